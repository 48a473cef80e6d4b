//! The contract of OCI's runtime specification, as far as containers show it from within: the checks of the programs in
//! `validation/` of opencontainers/runtime-tools that look at a running container. Theirs that drive a command line
//! (create, start, state, kill, delete, hooks, pidfile) have no counterpart: there is no such command here.
//!
//! | of theirs | here |
//! |---|---|
//! | default, mounts, mounts_recursive, root_readonly_true, hostname, process, process_user, process_rlimits, process_oom_score_adj, process_capabilities, linux_masked_paths, linux_readonly_paths, linux_seccomp, linux_sysctl, linux_cgroups_memory, linux_cgroups_cpus, linux_cgroups_pids | the checks of that name below |
//! | linux_rootfs_propagation | below: nothing leads back; which volumes do is in `mounts.rs` |
//! | linux_ns_nopath, linux_ns_itype | the namespaces below; those that are shared with the machine, or not, in `confinement.rs` |
//! | linux_ns_path, linux_ns_path_type | no paths can be named; whose namespaces are shared is in `shares` of a container's description |
//! | linux_devices, linux_cgroups_devices | `devices.rs`, `confinement.rs` (what was asked for), `escape.rs` (what was not) |
//! | linux_uid_mappings, linux_gid_mappings | `users.rs` |
//! | process_capabilities_fail | `confinement.rs`: capabilities out of bounds; unknown names are refused where they are read |
//! | process_rlimits_fail | no test here: what the kernel refuses is the cause that the launch tells |
//! | kill, killsig, kill_no_effect | `stop.rs`: signals as `Containers::stop` and `signal` send them |
//! | delete, delete_resources, delete_only_create_resources | `stop.rs`, `survive.rs`, `outside.rs`, each of which ends by looking for what is left |
//! | create, start, state, config_updates_without_affect | `run.rs`: a name is used once; a container is described once and cannot be changed |
//! | hooks (createContainer), hooks_stdin | `devices.rs`, for devices of CDI; prestart, poststart and poststop are not there |
//! | linux_cgroups_blkio, _hugetlb, _network, linux_process_apparmor_profile, linux_mount_label | not there, and no word of a task or an app asks for it |
//! | linux_cgroups_relative_* | control groups are the agent's affair: no description names one |
//! | linux_intelrdt, pidfile, misc_props, prestart_fail, poststart_fail, poststop_fail | of the command line, or of what is not there |

use containers::policy::Policy;
use model::confinement::{Confinement, Seccomp};
use model::container::{Rlimit, Rlimited, SoftHard, Volume, VolumeMode};

use crate::image::{image, layers};
use crate::world::{World, shell};

/// Which of their programs looks, how, and what it has to see.
const CHECKS: &[(&str, &str, &str)] = &[
    (
        "default: devices",
        "for d in null zero full random urandom tty; do [ -c /dev/$d ] && echo $d; done",
        "null zero full random urandom tty",
    ),
    ("default: device modes", "ls -ln /dev/null /dev/zero | cut -c1-10", "crw-rw-rw- crw-rw-rw-"),
    (
        "default: links",
        "for l in fd stdin stdout stderr ptmx; do ls -l /dev/$l | cut -d'>' -f2; done",
        "/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 pts/ptmx",
    ),
    ("default: proc", "grep -c ' /proc proc rw,nosuid,nodev,noexec' /proc/mounts", "1"),
    ("default: sysfs", "grep -c ' /sys sysfs ro,nosuid,nodev,noexec' /proc/mounts", "1"),
    ("default: dev", "grep -c ' /dev tmpfs rw,nosuid' /proc/mounts", "1"),
    (
        "default: devpts",
        "grep -c ' /dev/pts devpts rw,nosuid,noexec.*gid=5,mode=620,ptmxmode=666' /proc/mounts",
        "1",
    ),
    ("default: shm", "grep -c ' /dev/shm tmpfs rw,nosuid,nodev,noexec' /proc/mounts", "1"),
    ("default: mqueue", "grep -c ' /dev/mqueue mqueue rw,nosuid,nodev,noexec' /proc/mounts", "1"),
    (
        "mounts: bind",
        "cat /bound/file; touch /bound/new 2> /dev/null || echo read-only",
        "bound read-only",
    ),
    ("mounts: recursive", "grep -c ' /bound .* ro,' /proc/mounts; :", "1"),
    ("root_readonly_true", "touch /etc/new 2> /dev/null || echo read-only", "read-only"),
    ("linux_rootfs_propagation", "grep -c ' shared:' /proc/self/mountinfo", "0"),
    (
        "linux_masked_paths",
        "for p in /proc/kcore /proc/keys /proc/timer_list; do grep -q . $p 2> /dev/null && echo $p; done; :",
        "",
    ),
    (
        "linux_masked_paths: directories",
        "ls /sys/firmware /proc/scsi 2> /dev/null | grep -v : | grep .; :",
        "",
    ),
    (
        "linux_readonly_paths",
        "for p in /proc/sys/kernel/hostname /proc/sysrq-trigger; do (echo x > $p) 2> /dev/null && echo $p; done; :",
        "",
    ),
    ("hostname", "cat /proc/sys/kernel/hostname", "contract"),
    ("process: cwd", "echo $PWD", "/srv"),
    ("process: env", "echo $SHAPE", "square"),
    ("process_user", "echo $(id -u) $(id -g) $(id -G)", "1000 1001 1001 4 77"),
    ("process_user: umask", "umask", "0022"),
    ("process_rlimits", "ulimit -Sn; ulimit -Hn", "100 200"),
    ("process_oom_score_adj", "cat /proc/self/oom_score_adj", "100"),
    (
        "process_capabilities",
        "grep -E '^Cap(Inh|Eff|Prm|Amb)' /proc/self/status | cut -f2",
        "0000000000000000 0000000000000000 0000000000000000 0000000000000000",
    ),
    ("process: no_new_privs", "grep NoNewPrivs /proc/self/status | cut -f2", "1"),
    (
        "linux_seccomp",
        "grep Seccomp: /proc/self/status | cut -f2; mkdir /srv/x 2> /dev/null || echo refused",
        "2 refused",
    ),
    ("linux_sysctl", "cat /proc/sys/kernel/shmmni", "77"),
    ("linux_ns_pid", "echo /proc/[0-9]* | cut -d' ' -f1", "/proc/1"),
    (
        "linux_cgroups_memory",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2> /dev/null || cat /sys/fs/cgroup/memory.max",
        "67108864",
    ),
    (
        "linux_cgroups_pids",
        "cat /sys/fs/cgroup/pids/pids.max 2> /dev/null || cat /sys/fs/cgroup/pids.max",
        "100",
    ),
    (
        "linux_cgroups_cpus",
        "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2> /dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max",
        "50000",
    ),
];

/// Namespaces of the container that are not the machine's.
const OWN: [&str; 5] = ["pid", "ipc", "mnt", "uts", "cgroup"];
const SHARED: [&str; 1] = ["net"];

#[tokio::test]
async fn a_container_is_as_the_contract_has_it() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let (bound, profiles) = (world.path().join("bound"), world.path().join("seccomp"));
    for dir in [&bound, &profiles] {
        std::fs::create_dir(dir).expect("made");
    }
    std::fs::write(bound.join("file"), "bound\n").expect("written");
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(profiles.join("no-dirs"), profile).expect("written");
    world.config.policy = Policy { seccomp_profiles: Some(profiles), ..Policy::default() };
    world.reopen().await;
    let mut script = String::new();
    for (name, command, _) in CHECKS {
        script += &format!("echo \"{name}| $(echo $({command}))\"; ");
    }
    script += "ls -l /proc/self/ns";
    let mut spec = image(&mut world, &layers, shell(&script));
    spec.environment.push(("SHAPE".into(), "square".into()));
    spec.user = Some("web".into());
    spec.hostname = Some("contract".into());
    spec.rlimits =
        vec![Rlimit { of: Rlimited::OpenFiles, values: Some(SoftHard { soft: 100, hard: 200 }) }];
    spec.volumes = vec![Volume {
        container_path: "/bound".into(),
        host_path: bound.display().to_string(),
        mode: VolumeMode::ReadOnly,
    }];
    spec.confinement = Confinement {
        seccomp: Some(Seccomp::Profile("no-dirs".into())),
        read_only_root: true,
        groups: vec!["77".into()],
        sysctls: vec![("kernel.shmmni".into(), "77".into())],
        oom_score: Some(100),
        ..Confinement::default()
    };
    world.run(&spec).await;
    let told = world.log(&spec, "stdout");
    let (seen, namespaces): (Vec<&str>, Vec<&str>) =
        told.lines().partition(|line| line.contains("| "));
    let expected = CHECKS.iter().map(|(name, _, expected)| format!("{name}| {expected}"));
    let expected: Vec<String> = expected.collect();
    assert_eq!(seen, expected, "{}", world.log(&spec, "stderr"));
    let of_machine = |name: &str| {
        let link = std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a link");
        namespaces.iter().any(|line| line.ends_with(&link.display().to_string()))
    };
    assert!(OWN.iter().all(|name| !of_machine(name)), "{namespaces:?}");
    assert!(SHARED.iter().all(|name| of_machine(name)), "{namespaces:?}");
    world.check_nothing_is_left().await;
}
