//! A container as the OCI runtime specification describes it, for libcontainer to set up.

use std::path::Path;

use serde_json::{Value, json};

use super::Machine;
use super::users::Identity;
use crate::protocol::Launch;
use crate::spec::{Limits, Root, Spec};

/// Where Mesos mounts the sandbox in a container with an image.
pub(crate) const SANDBOX_IN_IMAGE: &str = "/mnt/mesos/sandbox";

/// Mesos gives a CPU so many shares, and nobody fewer than the kernel takes.
const SHARES_PER_CPU: u64 = 1024;
const SHARES_MIN: u64 = 2;

/// In which the CPU time that a quota allows is used up.
const CPU_PERIOD_MICROS: u64 = 100_000;
const CPU_QUOTA_MICROS_MIN: u64 = 1_000;

/// For POSIX shared memory in a container with an image, as Docker and DC/OS have it.
pub(crate) const SHM_SIZE: &str = "size=64m";

/// What Docker leaves to root in a container.
const CAPABILITIES: [&str; 13] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Of use only where the device controller says which devices may be opened, so not with version 2.
const CAPABILITY_MKNOD: &str = "CAP_MKNOD";

/// With it init installs the seccomp filter, and gives it up.
const CAPABILITY_TO_CONFINE: &str = "CAP_SYS_ADMIN";

const ALL_CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What tells about or changes the host.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(crate) fn describe(
    launch: &Launch,
    root: &Path,
    identity: &Identity,
    mounts: Vec<Value>,
    machine: &Machine,
) -> Value {
    let spec = &launch.spec;
    let is_open = !is_confined(spec);
    let mut namespaces =
        vec![json!({"type": "pid"}), json!({"type": "ipc"}), json!({"type": "mount"})];
    let mut linux = json!({
        "cgroupsPath": launch.cgroup,
        "resources": resources(&spec.limits, is_open, machine),
        "maskedPaths": [],
        "readonlyPaths": [],
    });
    if !is_open {
        linux["maskedPaths"] = json!(MASKED);
        linux["readonlyPaths"] = json!(READ_ONLY);
    }
    let mut described = json!({
        "ociVersion": "1.2.0",
        "root": {"path": root, "readonly": false},
        "process": {
            // The program itself is init's business.
            "args": ["init"],
            "env": [],
            "cwd": "/",
            "user": {"uid": identity.uid, "gid": identity.gid, "additionalGids": identity.groups},
            "capabilities": capabilities(identity, is_open, machine),
            "oomScoreAdj": 0,
        },
        "mounts": mounts,
    });
    if !is_open && identity.uid != 0 {
        // Root installs its filter without: programs that change the user go on working.
        described["process"]["noNewPrivileges"] = json!(true);
    }
    if let Some(hostname) = &spec.hostname {
        namespaces.push(json!({"type": "uts"}));
        described["hostname"] = json!(hostname);
    }
    linux["namespaces"] = json!(namespaces);
    described["linux"] = linux;
    described
}

/// Containers with an image cannot reach the host, unless they shall. Tasks without one are part of it.
pub(crate) fn is_confined(spec: &Spec) -> bool {
    !spec.privileged && matches!(spec.root, Root::Image { .. })
}

fn resources(limits: &Limits, is_open: bool, machine: &Machine) -> Value {
    let mut resources = json!({});
    if !machine.hierarchies.is_v2() {
        resources["devices"] = json!([{"allow": is_open, "access": "rwm"}]);
    }
    let mut cpu = json!({"shares": (limits.cpu_millis * SHARES_PER_CPU / 1000).max(SHARES_MIN)});
    if let Some(millis) = limits.cpu_millis_max {
        cpu["quota"] = json!((millis * CPU_PERIOD_MICROS / 1000).max(CPU_QUOTA_MICROS_MIN));
        cpu["period"] = json!(CPU_PERIOD_MICROS);
    }
    resources["cpu"] = cpu;
    if let Some(bytes) = limits.memory_bytes_max {
        resources["memory"] = json!({"limit": bytes});
        if machine.hierarchies.limits_swap() {
            resources["memory"]["swap"] = json!(bytes);
        }
    }
    if let Some(processes) = limits.processes_max {
        resources["pids"] = json!({"limit": processes});
    }
    resources
}

/// A user other than root starts without any; whatever it may gain by its files is bounded.
fn capabilities(identity: &Identity, is_open: bool, machine: &Machine) -> Value {
    let mut wanted: Vec<&str> =
        if is_open { ALL_CAPABILITIES.to_vec() } else { CAPABILITIES.to_vec() };
    if !is_open && !machine.hierarchies.is_v2() {
        wanted.push(CAPABILITY_MKNOD);
    }
    if !is_open && identity.uid == 0 {
        wanted.push(CAPABILITY_TO_CONFINE);
    }
    wanted.retain(|name| {
        let number = ALL_CAPABILITIES.iter().position(|known| known == name);
        number.is_some_and(|number| machine.capabilities >> number & 1 == 1)
    });
    let own = if identity.uid == 0 { wanted.clone() } else { Vec::new() };
    json!({"bounding": wanted, "effective": own, "permitted": own})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_capabilities_are_in_the_order_of_their_numbers() {
        let check = |name: &str, number: usize| assert_eq!(ALL_CAPABILITIES[number], name);
        check("CAP_CHOWN", 0);
        check("CAP_SYS_ADMIN", 21);
        check("CAP_SYS_RESOURCE", 24);
        check("CAP_AUDIT_READ", 37);
        check("CAP_CHECKPOINT_RESTORE", 40);
    }

    #[test]
    fn cpus_become_shares_and_a_quota() {
        let machine = Machine::look("/").expect("this machine has control groups");
        let check = |limits: Limits, shares: u64, quota: Option<u64>| {
            let cpu = &resources(&limits, false, &machine)["cpu"];
            assert_eq!((cpu["shares"].as_u64(), cpu["quota"].as_u64()), (Some(shares), quota));
        };
        let limits =
            |cpu_millis, cpu_millis_max| Limits { cpu_millis, cpu_millis_max, ..Limits::default() };
        check(limits(500, Some(500)), 512, Some(50_000));
        check(limits(1, Some(1)), 2, Some(1_000));
        check(limits(2_000, None), 2_048, None);
    }
}
