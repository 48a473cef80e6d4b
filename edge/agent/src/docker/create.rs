//! What a task is, in the words of the Docker Engine.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};
use bollard::models::{
    ContainerCreateBody, DeviceMapping, HostConfig, HostConfigCgroupnsModeEnum, ResourcesUlimits,
};
use containers::spec::{Limits, Source, Spec};
use model::confinement::{Capabilities, Confinement, Rights, Seccomp, Sharing, Tmpfs};
use model::container::{Rlimit, Rlimited, Run, SoftHard, VolumeMode};

/// Where a task finds its sandbox, as with an image under our own runtime.
const SANDBOX: &str = "/mnt/mesos/sandbox";
/// Of a whole CPU.
const CPU_SHARES: u64 = 1024;
const CPU_PERIOD_MICROS: i64 = 100_000;

/// Says by name what the engine cannot be asked for.
pub(super) fn body(
    spec: &Spec,
    image: &str,
    labels: HashMap<String, String>,
) -> anyhow::Result<ContainerCreateBody> {
    if !spec.devices.is_empty() || !spec.hooks.is_empty() {
        bail!("GPUs cannot be given to a container of the Docker Engine: take type MESOS for it");
    }
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
        host_config: Some(host(spec)?),
        ..Default::default()
    };
    match &spec.run {
        Run::Shell(text) => {
            body.entrypoint = Some(vec!["/bin/sh".to_owned()]);
            body.cmd = Some(vec!["-c".to_owned(), text.clone()]);
        }
        Run::Exec(argv) => body.cmd = Some(argv.clone()),
        // None: the image's own.
        Run::Image(arguments) => body.cmd = (!arguments.is_empty()).then(|| arguments.clone()),
    }
    Ok(body)
}

fn host(spec: &Spec) -> anyhow::Result<HostConfig> {
    let confinement = &spec.confinement;
    let (cap_add, cap_drop) = capabilities(confinement.rights)?;
    let devices = confinement.devices.iter().map(|device| DeviceMapping {
        path_on_host: Some(device.host_path.clone()),
        path_in_container: Some(device.container_path.clone()),
        cgroup_permissions: Some(device.access.clone()),
    });
    let ulimits: Vec<_> = spec.rlimits.iter().map(ulimit).collect::<anyhow::Result<_>>()?;
    let (dns, dns_search, dns_options) = resolver(&confinement.resolver);
    let unmasked = confinement.unmasked.then(Vec::new);
    Ok(HostConfig {
        network_mode: Some("host".to_owned()),
        binds: Some(binds(spec)?),
        privileged: Some(spec.privileged),
        cap_add: Some(cap_add),
        cap_drop: Some(cap_drop),
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
fn binds(spec: &Spec) -> anyhow::Result<Vec<String>> {
    let bind = |host: &Path, inside: &str, mode: VolumeMode| {
        let inside = Path::new(SANDBOX).join(inside);
        let mode = match mode {
            VolumeMode::ReadOnly => "ro",
            VolumeMode::ReadWrite => "rw",
        };
        let (host, inside) = (host.display().to_string(), inside.display().to_string());
        if host.contains(':') || inside.contains(':') {
            bail!("the Docker Engine takes no colon in the path of a volume: {host}, {inside}");
        }
        Ok(format!("{host}:{inside}:{mode}"))
    };
    let mut all = vec![bind(&spec.sandbox, SANDBOX, VolumeMode::ReadWrite)?];
    for volume in &spec.volumes {
        let host = spec.sandbox.join(&volume.host_path);
        if !Path::new(&volume.host_path).is_absolute() {
            std::fs::create_dir_all(&host)
                .with_context(|| format!("making the volume {}", host.display()))?;
        }
        all.push(bind(&host, &volume.container_path, volume.mode)?);
    }
    for mount in &spec.mounts {
        let Source::Host { root, path, both_ways } = &mount.source else {
            bail!(
                "the volume at {} is not a path of the machine, which is all that the Docker \
                 Engine takes: use type MESOS for it",
                mount.container_path
            );
        };
        let path = root.join(path.strip_prefix("/").unwrap_or(path));
        let plain = bind(&path, &mount.container_path, mount.mode)?;
        all.push(format!("{plain},{}", if *both_ways { "rshared" } else { "rslave" }));
    }
    Ok(all)
}

/// What is added to the engine's usual ones, and what is taken away.
fn capabilities(rights: Rights) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let names = |set: Capabilities| {
        set.to_string().split(", ").filter(|name| *name != "none").map(str::to_owned).collect()
    };
    match rights {
        Rights::Usual => Ok((Vec::new(), Vec::new())),
        Rights::Changed { add, drop } => Ok((names(add), names(drop))),
        Rights::Exactly { effective: Some(set), bounding: None } => {
            Ok((names(set), vec!["ALL".to_owned()]))
        }
        Rights::Exactly { effective: None, bounding: None } => Ok((Vec::new(), Vec::new())),
        Rights::Exactly { bounding: Some(_), .. } => bail!(
            "the Docker Engine knows no bounding capabilities: give effective ones, or use type MESOS"
        ),
    }
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
