//! What a task is, in the words of the Docker Engine.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use bollard::models::{
    ContainerCreateBody, DeviceMapping, HostConfig, HostConfigCgroupnsModeEnum, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, ResourcesUlimits,
};
use containers::spec::{Limits, Source, Spec};
use model::confinement::{Capabilities, Confinement, Seccomp, Sharing, Tmpfs};
use model::container::{Rlimit, Rlimited, Run, SoftHard, VolumeMode};

/// Where a task finds its sandbox, as with an image under our own runtime.
const SANDBOX: &str = "/mnt/mesos/sandbox";
/// Of a whole CPU.
const CPU_SHARES: u64 = 1024;
const CPU_PERIOD_MICROS: i64 = 100_000;

/// Says by name what the engine cannot be asked for.
pub(super) fn body(
    spec: &Spec,
    rights: Capabilities,
    image: &str,
    labels: HashMap<String, String>,
) -> anyhow::Result<ContainerCreateBody> {
    let variables = spec.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let confinement = &spec.confinement;
    let mut body = ContainerCreateBody {
        image: Some(image.to_owned()),
        env: Some(variables.chain([format!("MESOS_SANDBOX={SANDBOX}")]).collect()),
        user: spec.user.clone(),
        hostname: spec.hostname.clone(),
        domainname: confinement.domain_name.clone(),
        working_dir: confinement.working_dir.clone(),
        entrypoint: confinement.entrypoint.clone(),
        tty: Some(spec.terminal.is_some()),
        open_stdin: Some(spec.terminal.is_some()),
        labels: Some(labels),
        stop_signal: confinement.stop_signal.map(|signal| signal.to_string()),
        host_config: Some(host(spec, rights)?),
        ..Default::default()
    };
    match &spec.run {
        Run::Shell(text) => {
            let shell = || vec!["/bin/sh".to_owned()];
            body.entrypoint = body.entrypoint.filter(|it| !it.is_empty()).or_else(|| Some(shell()));
            body.cmd = Some(vec!["-c".to_owned(), text.clone()]);
        }
        Run::Exec(argv) => match (&body.entrypoint, argv.split_first()) {
            (None, Some((program, rest))) => {
                body.entrypoint = Some(vec![program.clone()]);
                body.cmd = Some(rest.to_vec());
            }
            (Some(_), _) | (None, None) => body.cmd = Some(argv.clone()),
        },
        // None: the image's own.
        Run::Image(arguments) => body.cmd = (!arguments.is_empty()).then(|| arguments.clone()),
    }
    Ok(body)
}

fn network(net: Option<Sharing>) -> &'static str {
    match net {
        Some(Sharing::Private) => "none",
        Some(Sharing::Parent) | None => "host",
    }
}

fn host(spec: &Spec, rights: Capabilities) -> anyhow::Result<HostConfig> {
    let confinement = &spec.confinement;
    if confinement.users == Some(Sharing::Private) {
        bail!(
            "users of its own are for dockerd to give ('userns-remap'), not for a task: use type MESOS for it"
        );
    }
    let devices = confinement.devices.iter().map(|device| DeviceMapping {
        path_on_host: Some(device.host_path.clone()),
        path_in_container: Some(device.container_path.clone()),
        cgroup_permissions: Some(device.access.clone()),
    });
    let ulimits: Vec<_> = spec.rlimits.iter().map(ulimit).collect::<anyhow::Result<_>>()?;
    let (dns, dns_search, dns_options) = resolver(&confinement.resolver);
    let unmasked = confinement.unmasked.then(Vec::new);
    Ok(HostConfig {
        network_mode: Some(network(confinement.net).to_owned()),
        mounts: Some(mounts(spec)?),
        privileged: Some(spec.privileged),
        // What our own runtime would leave it.
        cap_add: Some(names(rights)),
        cap_drop: Some(vec!["ALL".to_owned()]),
        userns_mode: (confinement.users == Some(Sharing::Parent)).then(|| "host".to_owned()),
        devices: Some(devices.collect()),
        ulimits: Some(ulimits),
        security_opt: Some(security(confinement)?),
        readonly_rootfs: Some(confinement.read_only_root),
        tmpfs: Some(confinement.tmpfs.iter().map(tmpfs).collect()),
        shm_size: confinement.shm_bytes.map(whole).transpose()?,
        ipc_mode: confinement.ipc.map(sharing),
        pid_mode: (confinement.pid == Some(Sharing::Parent)).then(|| "host".to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        group_add: Some(confinement.groups.clone()),
        extra_hosts: Some(confinement.hosts.iter().map(|(n, a)| format!("{n}:{a}")).collect()),
        dns: Some(dns),
        dns_search: Some(dns_search),
        dns_options: Some(dns_options),
        sysctls: Some(confinement.sysctls.iter().cloned().collect()),
        oom_score_adj: confinement.oom_score.map(i64::from),
        masked_paths: unmasked.clone(),
        readonly_paths: unmasked,
        // Zombies are reaped, as under our own runtime.
        init: Some(confinement.pid != Some(Sharing::Parent)),
        ..limited(&spec.limits)?
    })
}

fn limited(limits: &Limits) -> anyhow::Result<HostConfig> {
    let shares = limits.cpu_shares.unwrap_or(limits.cpu_millis * CPU_SHARES / 1000);
    let quota =
        limits.cpu_millis_max.map(|millis| whole(millis).map(|m| m * CPU_PERIOD_MICROS / 1000));
    let memory = limits.memory_bytes_max.map(whole).transpose()?;
    let swap = match (limits.swap_bytes_max, memory) {
        (_, None) => None,
        (None, Some(memory)) => Some(memory),
        (Some(u64::MAX), Some(_)) => Some(-1),
        (Some(swap), Some(memory)) => Some(memory + whole(swap)?),
    };
    // It may be no more than the limit.
    let kept = limits.memory_bytes_kept.map(whole).transpose()?;
    Ok(HostConfig {
        // The engine's least.
        cpu_shares: Some(whole(shares)?.max(2)),
        cpu_quota: quota.transpose()?,
        cpu_period: limits.cpu_millis_max.map(|_| CPU_PERIOD_MICROS),
        memory,
        memory_swap: swap,
        memory_reservation: kept.map(|kept| memory.map_or(kept, |most| kept.min(most))),
        pids_limit: limits.processes_max.map(whole).transpose()?,
        ..Default::default()
    })
}

fn whole(number: u64) -> anyhow::Result<i64> {
    i64::try_from(number).with_context(|| format!("{number} is too much for the Docker Engine"))
}

/// The sandbox, and all volumes in their places.
fn mounts(spec: &Spec) -> anyhow::Result<Vec<Mount>> {
    let bind = |host: &Path, inside: String, mode: VolumeMode, both_ways: bool| Mount {
        typ: Some(MountType::BIND),
        source: Some(host.display().to_string()),
        target: Some(inside),
        read_only: Some(mode == VolumeMode::ReadOnly),
        bind_options: both_ways.then(|| MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RSHARED),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut all = vec![bind(&spec.sandbox, SANDBOX.to_owned(), VolumeMode::ReadWrite, false)];
    for volume in &spec.volumes {
        let host = source(&spec.sandbox, &volume.host_path)?;
        all.push(bind(&host, target(&volume.container_path)?, volume.mode, false));
    }
    for mount in &spec.mounts {
        let Source::Host { root, path, both_ways } = &mount.source else {
            bail!(
                "the volume at {} is not a path of the machine, which is all that the Docker \
                 Engine takes: use type MESOS for it",
                mount.container_path
            );
        };
        let below = root.canonicalize().context("a directory that volumes may lie in")?;
        let host = below.join(path.strip_prefix("/").unwrap_or(path));
        if host.canonicalize().ok().as_ref() != Some(&host) {
            bail!("volume {}: it does not exist, or a link leads to it", host.display());
        }
        all.push(bind(&host, target(&mount.container_path)?, mount.mode, *both_ways));
    }
    Ok(all)
}

/// Relative paths lie in the sandbox, and are made. What was fetched may have left a link that leads out of it: none is
/// followed.
fn source(sandbox: &Path, path: &str) -> anyhow::Result<PathBuf> {
    if path.starts_with('/') {
        return Ok(PathBuf::from(path));
    }
    stays_below(path)?;
    let mut at = sandbox.canonicalize().context("the sandbox")?;
    for part in Path::new(path).components() {
        at.push(part);
        match std::fs::symlink_metadata(&at) {
            Ok(found) if found.is_symlink() => {
                bail!("volume {path}: {} is a link, and may lead anywhere", at.display());
            }
            Ok(_) => (),
            Err(_) => std::fs::create_dir(&at).with_context(|| format!("volume {path}"))?,
        }
    }
    Ok(at)
}

fn target(path: &str) -> anyhow::Result<String> {
    if path.starts_with('/') {
        return Ok(path.to_owned());
    }
    stays_below(path)?;
    Ok(format!("{SANDBOX}/{path}"))
}

fn stays_below(path: &str) -> anyhow::Result<()> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    match Path::new(path).components().all(is_plain) {
        true => Ok(()),
        false => bail!("volume {path}: the path leads out of the sandbox"),
    }
}

/// One by one, as capabilities are named where there are many.
fn names(set: Capabilities) -> Vec<String> {
    set.numbers().filter_map(Capabilities::number).map(|one| one.to_string()).collect()
}

fn security(confinement: &Confinement) -> anyhow::Result<Vec<String>> {
    let seccomp = match &confinement.seccomp {
        None => None,
        Some(Seccomp::Unconfined) => Some("seccomp=unconfined".to_owned()),
        Some(Seccomp::Profile(name)) => bail!(
            "the seccomp profile {name} is the agent's and unknown to the Docker Engine: use type MESOS for it"
        ),
    };
    let no_new = confinement.no_new_privileges.map(|so| format!("no-new-privileges:{so}"));
    Ok(seccomp.into_iter().chain(no_new).collect())
}

fn sharing(sharing: Sharing) -> String {
    match sharing {
        Sharing::Private => "private".to_owned(),
        Sharing::Parent => "host".to_owned(),
    }
}

fn tmpfs(tmpfs: &Tmpfs) -> (String, String) {
    let size = tmpfs.bytes_max.map(|most| format!("size={most}"));
    let mode = tmpfs.mode.map(|mode| format!("mode={mode:o}"));
    let executable = tmpfs.flags.executable.then(|| "exec".to_owned());
    let read_only = tmpfs.flags.read_only.then(|| "ro".to_owned());
    let options: Vec<_> = [size, mode, executable, read_only].into_iter().flatten().collect();
    (tmpfs.path.clone(), options.join(","))
}

/// Servers, domains and options, from lines of `/etc/resolv.conf`.
fn resolver(lines: &[String]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let of = |key: &str| -> Vec<String> {
        let values = lines.iter().filter_map(|line| line.strip_prefix(key));
        values.map(|value| value.trim().to_owned()).collect()
    };
    (of("nameserver "), of("search "), of("options "))
}

fn ulimit(limit: &Rlimit) -> anyhow::Result<ResourcesUlimits> {
    let name = match limit.of {
        Rlimited::AddressSpace => bail!("the Docker Engine cannot limit the address space"),
        Rlimited::CoreFile => "core",
        Rlimited::CpuTime => "cpu",
        Rlimited::Data => "data",
        Rlimited::FileSize => "fsize",
        Rlimited::Locks => "locks",
        Rlimited::LockedMemory => "memlock",
        Rlimited::MessageQueues => "msgqueue",
        Rlimited::Nice => "nice",
        Rlimited::OpenFiles => "nofile",
        Rlimited::Processes => "nproc",
        Rlimited::ResidentSet => "rss",
        Rlimited::RealtimePriority => "rtprio",
        Rlimited::RealtimeTime => "rttime",
        Rlimited::PendingSignals => "sigpending",
        Rlimited::Stack => "stack",
    };
    let (soft, hard) = match limit.values {
        None => (-1, -1),
        Some(SoftHard { soft, hard }) => (whole(soft)?, whole(hard)?),
    };
    Ok(ResourcesUlimits { name: Some(name.to_owned()), soft: Some(soft), hard: Some(hard) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_volume_of_the_sandbox_stays_in_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("there");
        symlink("/", root.join("link")).expect("linked");
        let check = |path: &str, place: Result<&str, &str>| match (source(&root, path), place) {
            (Ok(found), Ok(place)) => {
                assert_eq!(found, root.join(place));
                assert!(found.is_dir());
            }
            (Err(cause), Err(expected)) => assert!(cause.to_string().contains(expected), "{cause}"),
            (found, place) => panic!("{path}: {found:?}, and not {place:?}"),
        };
        check("a/b", Ok("a/b"));
        check("a", Ok("a"));
        check("link", Err("is a link"));
        check("link/etc", Err("is a link"));
        check("a/../..", Err("leads out"));
    }

    #[test]
    fn memory_that_is_kept_is_no_more_than_the_limit() {
        let check = |kept, most, swap, told: (Option<i64>, Option<i64>)| {
            let limits = Limits {
                memory_bytes_kept: kept,
                memory_bytes_max: most,
                swap_bytes_max: swap,
                ..Limits::default()
            };
            let host = limited(&limits).expect("possible");
            assert_eq!((host.memory_reservation, host.memory_swap), told);
        };
        check(Some(64), Some(32), None, (Some(32), Some(32)));
        check(Some(16), Some(32), Some(8), (Some(16), Some(40)));
        check(Some(16), Some(32), Some(u64::MAX), (Some(16), Some(-1)));
        check(Some(16), None, None, (Some(16), None));
    }
}
