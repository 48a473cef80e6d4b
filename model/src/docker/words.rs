//! Word by word.

use std::time::Duration;

use super::refused::remedy;
use super::spelled::{
    amount, bytes, host, millis, number, rlimit, switch, sysctl, tmpfs, volume, whole_seconds,
};
use super::{Asked, Most, Quota, device, security, sharing};
use crate::confinement::{Capabilities, Sharing};

/// What is honoured besides what a task says itself: the words of `docker run`, sorted.
const HONOURED: &str = "add-host, cap-add, cap-drop, cpu-period, cpu-quota, cpu-shares, cpus, device, dns, dns-option, \
                        dns-search, domainname, entrypoint, env, group-add, hostname, init, ipc, label, log-driver, \
                        log-opt, memory, memory-reservation, memory-swap, mount, network, oom-score-adj, pid, \
                        pids-limit, privileged, read-only, security-opt, shm-size, stop-signal, stop-timeout, sysctl, \
                        tmpfs, ulimit, user, userns, uts, volume, workdir";

/// Named in refusals of words that nobody knows.
pub fn rest_of() -> &'static str {
    HONOURED
}

/// What it changes.
pub(super) fn heed(
    word: &str,
    value: &str,
    asked: &mut Asked,
    quota: &mut Quota,
) -> Result<(), String> {
    let heeded = of_process(word, value, asked)?
        || of_confinement(word, value, asked)?
        || of_network(word, value, asked)?
        || of_limits(word, value, asked, quota)?
        || is_so_anyway(word, value)?;
    if heeded { Ok(()) } else { Err(remedy(word)) }
}

fn of_process(word: &str, value: &str, asked: &mut Asked) -> Result<bool, String> {
    let confinement = &mut asked.confinement;
    match word {
        "user" | "u" => asked.user = Some(value.to_owned()),
        "env" | "e" => {
            let (name, value) = value.split_once('=').unwrap_or((value, ""));
            asked.environment.push((name.to_owned(), value.to_owned()));
        }
        // They are for whoever looks at it, and stay where they are.
        "label" | "l" => {}
        "workdir" | "w" => confinement.working_dir = Some(absolute(value)?),
        "entrypoint" => {
            let parts = Some(value.to_owned()).filter(|program| !program.is_empty());
            confinement.entrypoint = Some(parts.into_iter().collect());
        }
        "hostname" | "h" => asked.hostname = Some(name_of_machine(value)?),
        "domainname" => confinement.domain_name = Some(name_of_machine(value)?),
        "group-add" => confinement.groups.push(value.to_owned()),
        "stop-signal" => confinement.stop_signal = Some(signal(value)?),
        "stop-timeout" => asked.stop_timeout = Some(whole_seconds(value)?),
        "volume" | "v" => asked.volumes.push(volume(value)?),
        "mount" => super::spelled::mount(value, &mut asked.volumes, &mut confinement.tmpfs)?,
        "tmpfs" => confinement.tmpfs.push(tmpfs(value)?),
        "log-driver" if matches!(value, "json-file" | "local") => {}
        "log-opt" => log_option(value, asked)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn of_confinement(word: &str, value: &str, asked: &mut Asked) -> Result<bool, String> {
    match word {
        "cap-add" => {
            let one: Capabilities = value.parse().map_err(|e| format!("{e}"))?;
            asked.change(|add, _| *add = add.with(one));
        }
        "cap-drop" => {
            let one: Capabilities = value.parse().map_err(|e| format!("{e}"))?;
            asked.change(|_, drop| *drop = drop.with(one));
        }
        "privileged" => asked.privileged = switch(value)?,
        "security-opt" => security(value, &mut asked.confinement)?,
        "read-only" => asked.confinement.read_only_root = switch(value)?,
        "ipc" => asked.confinement.ipc = sharing(word, value)?,
        "pid" => asked.confinement.pid = sharing(word, value)?,
        "userns" => asked.confinement.users = sharing(word, value)?,
        "shm-size" => asked.confinement.shm_bytes = Some(bytes(value)?),
        "device" => asked.confinement.devices.push(device(value)?),
        "sysctl" => asked.confinement.sysctls.push(sysctl(value)?),
        "ulimit" => asked.rlimits.push(rlimit(value)?),
        "oom-score-adj" => {
            let score = value.parse().ok().filter(|score| *score <= 1000_u16);
            let score = score.ok_or("expected 0 to 1000: nobody is spared at the others' cost")?;
            asked.confinement.oom_score = Some(score);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn of_network(word: &str, value: &str, asked: &mut Asked) -> Result<bool, String> {
    let resolver = &mut asked.confinement.resolver;
    match word {
        "add-host" => asked.confinement.hosts.push(host(value)?),
        "network" | "net" if value == "none" => asked.confinement.net = Some(Sharing::Private),
        "dns" => {
            let address: std::net::IpAddr =
                value.parse().map_err(|_| "expected the address of a server".to_owned())?;
            resolver.push(format!("nameserver {address}"));
        }
        "dns-search" => resolver.push(format!("search {}", name_of_machine(value)?)),
        "dns-option" | "dns-opt" => resolver.push(format!("options {}", name_of_machine(value)?)),
        _ => return Ok(false),
    }
    Ok(true)
}

fn of_limits(
    word: &str,
    value: &str,
    asked: &mut Asked,
    quota: &mut Quota,
) -> Result<bool, String> {
    let limits = &mut asked.limits;
    match word {
        "cpu-shares" | "c" => limits.cpu_shares = Some(number(value)?).filter(|some| *some > 0),
        "cpus" => limits.cpu_millis_max = Some(millis(value)?),
        "cpu-quota" => quota.micros = Some(number(value)?).filter(|some| *some > 0),
        "cpu-period" => quota.period_micros = number(value)?,
        "memory" | "m" => limits.memory_bytes = Some(bytes(value)?),
        "memory-reservation" => limits.memory_reservation_bytes = Some(bytes(value)?),
        "memory-swap" => limits.memory_swap = Some(amount(value, bytes)?),
        "pids-limit" => {
            let most = amount(value, number)?;
            // Docker's other word for none.
            let most = if most == Most::Amount(0) { Most::Unlimited } else { most };
            limits.processes = Some(most);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// What asks for nothing but what a task has here.
fn is_so_anyway(word: &str, value: &str) -> Result<bool, String> {
    Ok(match word {
        // Every container has a first process that passes signals on and reaps.
        "init" | "rm" | "detach" | "d" | "sig-proxy" | "no-healthcheck" => {
            switch(value).map(|_| true)?
        }
        "network" | "net" | "uts" => value == "host",
        "cgroupns" => value == "private",
        "restart" => value == "no",
        "pull" => value == "missing",
        "runtime" => matches!(value, "runc" | "io.containerd.runc.v2"),
        _ => false,
    })
}

fn log_option(value: &str, asked: &mut Asked) -> Result<(), String> {
    match value.split_once('=') {
        Some(("max-size", size)) => asked.logs.file_bytes_max = Some(bytes(size)?),
        Some(("max-file", count)) => {
            let count = count.parse().ok().filter(|count| *count > 0);
            asked.logs.files_max = Some(count.ok_or("expected a number from 1 on")?);
        }
        Some(_) | None => {
            return Err("expected max-size=SIZE or max-file=NUMBER; the log is in the task's \
                        sandbox, in the files stdout and stderr"
                .into());
        }
    }
    Ok(())
}

fn absolute(path: &str) -> Result<String, String> {
    match path.starts_with('/') {
        true => Ok(path.to_owned()),
        false => Err("expected an absolute path".into()),
    }
}

/// As long as the kernel takes it, and on one line.
fn name_of_machine(name: &str) -> Result<String, String> {
    const BYTES_MAX: usize = 64;
    let is_good =
        (1..=BYTES_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    match is_good {
        true => Ok(name.to_owned()),
        false => Err(format!("expected 1 to {BYTES_MAX} letters, digits and signs, no spaces")),
    }
}

fn signal(text: &str) -> Result<i32, String> {
    super::spelled::signal(text).ok_or_else(|| format!("{text:?} is no signal"))
}

/// Longer is a mistake.
pub(super) const STOP_TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
