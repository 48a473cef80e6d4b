//! Known ways out of a container, each of which leads nowhere.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use containers::policy::{IdMap, Policy};
use containers::spec::Exec;
use model::confinement::{Capabilities, Rights};
use model::container::{Volume, VolumeMode};
use model::task::Reason;

use crate::image::{image, layers};
use crate::world::{World, cgroups, exec, shell, wait_until};

/// Descriptors beyond those that a container's first process ever has.
const DESCRIPTORS_TRIED: std::ops::RangeInclusive<u32> = 3..=10;

fn volume(container_path: &str, host_path: &str) -> Volume {
    let (container_path, host_path) = (container_path.into(), host_path.into());
    Volume { container_path, host_path, mode: VolumeMode::ReadWrite }
}

/// What the kernel obeys, or tells of the machine.
#[tokio::test]
async fn the_kernel_takes_no_orders() {
    takes_no_orders(Policy::default(), Rights::Usual).await;
}

fn own_users() -> Policy {
    let user_ids = Some(IdMap { first: 200_000, count: 65_536 });
    Policy { user_ids, map_users: true, ..Policy::default() }
}

async fn open(policy: Policy) -> World {
    let mut world = World::open().await;
    world.config.policy = policy;
    world.reopen().await;
    world
}

/// Nor from the root of a container with users of its own, which has nothing to say about the machine.
#[tokio::test]
async fn the_kernel_takes_no_orders_from_users_of_a_containers_own() {
    takes_no_orders(own_users(), Rights::Usual).await;
}

/// Not even if it has all capabilities there are, which count among its own users only.
#[tokio::test]
async fn the_kernel_takes_no_orders_from_users_of_a_containers_own_whatever_they_may_do() {
    let (add, drop) = (Capabilities::ALL, Capabilities::NONE);
    takes_no_orders(own_users(), Rights::Changed { add, drop }).await;
}

async fn takes_no_orders(policy: Policy, rights: Rights) {
    let mut world = open(policy).await;
    let layers = layers(&world);
    let written = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/drop_caches",
        "/proc/sysrq-trigger",
        "/proc/irq/0/smp_affinity",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/memory/cgroup.procs",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/devices/system/cpu/cpu0/online",
        "/proc/1/exe",
        "/proc/1/oom_score_adj",
        "/proc/1/mem",
    ];
    let mut read =
        vec!["/proc/1/exe", "/proc/1/environ", "/proc/kcore", "/proc/keys", "/proc/timer_list"];
    let mut more = vec![];
    if rights == Rights::Usual {
        // With the capabilities for it they are harmless: what is seen and made is the container's own.
        read.push("/proc/1/root/etc/passwd");
        more = vec!["unshare -U true", "unshare -m true"];
    }
    let mut script = String::new();
    for path in written {
        script += &format!("(echo '|/bin/sh' > {path}) 2> /dev/null && echo wrote {path}; ");
    }
    for path in read {
        script += &format!("grep -q . {path} 2> /dev/null && echo read {path}; ");
    }
    for path in ["/sys/firmware", "/proc/scsi", "/proc/acpi"] {
        script += &format!("[ -z \"$(ls {path} 2> /dev/null)\" ] || echo saw {path}; ");
    }
    for command in [
        "mknod /srv/disk b 8 0 && cat /srv/disk",
        "mknod /srv/memory c 1 1 && cat /srv/memory",
        "mount -t proc x /srv",
        "mount -t cgroup -o memory x /srv",
        "mount -o remount,rw /sys",
        "mount -o remount,rw /proc/sys",
        "unshare -m mount -t cgroup -o memory x /srv",
        "unshare -m mount -o remount,bind,rw /proc/sys",
        "unshare -m mount -o remount,bind,rw /sys",
    ]
    .into_iter()
    .chain(more)
    {
        script += &format!("({command}) > /dev/null 2>&1 && echo did {command}; ");
    }
    let mut spec = image(&mut world, &layers, shell(&(script + "echo done")));
    spec.confinement.rights = rights;
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout"), "done\n", "{}", world.log(&spec, "stderr"));
    world.check_nothing_is_left().await;
}

/// CVE-2024-21626 and its kin: a working directory that a descriptor of the runtime leads to.
#[tokio::test]
async fn no_descriptor_leads_out() {
    leads_nowhere(Policy::default()).await;
}

#[tokio::test]
async fn no_descriptor_leads_out_of_users_of_a_containers_own() {
    leads_nowhere(own_users()).await;
}

async fn leads_nowhere(policy: Policy) {
    let mut world = open(policy).await;
    let layers = layers(&world);
    std::fs::write(world.path().join("marker"), "host").expect("written");
    let look = "ls -l /proc/self/fd; pwd; ls ..; ls ../..; ls ../../..";
    let ways = DESCRIPTORS_TRIED.map(|fd| format!("/proc/self/fd/{fd}"));
    let ways: Vec<String> = ways.chain(["/proc/1/root".into(), "/proc/1/cwd".into()]).collect();
    for way in &ways {
        let mut spec = image(&mut world, &layers, shell(look));
        spec.confinement.working_dir = Some(way.clone());
        let refused = world.containers().launch(spec).await.expect_err(way);
        assert!(refused.cause.contains("working directory"), "{way}: {}", refused.cause);
    }
    let spec = image(&mut world, &layers, exec(&["sleep", "600"]));
    world.launch(&spec).await;
    for way in &ways {
        let exec = Exec {
            run: shell(look),
            environment: Vec::new(),
            user: None,
            working_dir: Some(way.clone()),
            terminal: None,
        };
        let refused = world.containers().exec(&spec.container, exec).await;
        assert!(refused.is_err(), "{way}");
    }
    world.kill(&spec).await;
    world.check_nothing_is_left().await;
}

/// CVE-2019-5736 and its kin: whoever reaches the runtime's own program by way of a process that runs it.
#[tokio::test]
async fn the_runtimes_program_cannot_be_changed_from_within() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let spec = image(&mut world, &layers, shell("exec sleep 1000"));
    let first = world.launch(&spec).await;
    let program = format!("/proc/{first}/exe");
    let mode = std::fs::metadata(&program).expect("it runs").permissions();
    // As the machine's root, who may more than any root in there.
    let check = |what: &str, done: std::io::Result<()>| {
        let kind = done.map_err(|e| e.kind());
        assert_eq!(kind, Err(std::io::ErrorKind::ReadOnlyFilesystem), "{what}");
    };
    check("its mode", std::fs::set_permissions(&program, mode));
    check("its owner", std::os::unix::fs::chown(&program, Some(0), Some(0)));
    std::fs::OpenOptions::new().write(true).open(&program).expect_err("its text");
    world.kill(&spec).await;
    // What is made of the image's libraries by that name is a program of the container's like others.
    let itself = image(&mut world, &layers, exec(&["/proc/self/exe", "zygote", "/"]));
    if world.containers().launch(itself.clone()).await.is_ok() {
        assert_ne!(world.end_of(&itself).await.wait_status, 0);
        world.containers().remove(&itself.container).await.expect("removed");
    }
    world.check_nothing_is_left().await;
}

/// Links in an image and in a sandbox belong to strangers.
#[tokio::test]
async fn links_lead_no_volume_out() {
    links_lead_nowhere(Policy::default()).await;
}

#[tokio::test]
async fn links_lead_no_volume_out_of_users_of_a_containers_own() {
    links_lead_nowhere(own_users()).await;
}

async fn links_lead_nowhere(policy: Policy) {
    let mut world = open(policy).await;
    let layers = layers(&world);
    let (outside, shared) = (world.path().join("outside"), world.path().join("shared"));
    for dir in [&outside, &shared] {
        std::fs::create_dir(dir).expect("made");
    }
    std::fs::write(outside.join("secret"), "secret").expect("written");
    // In the image: a place to mount to that lies on the host.
    symlink(&outside, layers[1].join("way")).expect("a link");
    symlink("../../../../../../..", layers[1].join("up")).expect("a link");
    let mut spec = image(&mut world, &layers, shell("ls /way/new /up/new && cat /way/secret"));
    let shared = shared.display().to_string();
    spec.volumes = vec![volume("/way/new", &shared), volume("/up/new", &shared)];
    world.run(&spec).await;
    assert!(!world.log(&spec, "stdout").contains("secret"));
    assert_eq!(std::fs::read_dir(&outside).expect("read").count(), 1, "nothing was made there");
    assert!(!PathBuf::from("/new").exists());
    // In the sandbox: a directory that an earlier run has replaced.
    let mut spec = image(&mut world, &layers, shell("cat /data/secret || echo none"));
    symlink(&outside, spec.sandbox.join("data")).expect("a link");
    spec.volumes = vec![volume("/data", "data")];
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout"), "none\n");
    world.check_nothing_is_left().await;
}

/// A neighbour that shares the sandbox swaps a directory for a link all the time.
#[tokio::test]
async fn no_link_is_quick_enough() {
    is_too_slow(Policy::default()).await;
}

#[tokio::test]
async fn no_link_is_quick_enough_of_users_of_a_containers_own() {
    is_too_slow(own_users()).await;
}

async fn is_too_slow(policy: Policy) {
    const TRIES: u32 = 20;
    let mut world = open(policy).await;
    let layers = layers(&world);
    let outside = world.path().join("outside");
    std::fs::create_dir(&outside).expect("made");
    std::fs::write(outside.join("secret"), "secret").expect("written");
    let sandbox = world.path().join("sandboxes/swapped");
    std::fs::create_dir_all(sandbox.join("data")).expect("made");
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (stop, within, target) = (over.clone(), sandbox.clone(), outside.clone());
    let swapping = std::thread::spawn(move || {
        let (data, link) = (within.join("data"), within.join("link"));
        symlink(&target, &link).expect("a link");
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            let cwd = rustix::fs::CWD;
            rustix::fs::renameat_with(cwd, &data, cwd, &link, exchange).expect("exchanged");
        }
    });
    for _ in 0..TRIES {
        let mut spec =
            image(&mut world, &layers, shell("cat /data/secret 2> /dev/null || echo none"));
        spec.sandbox.clone_from(&sandbox);
        spec.volumes = vec![volume("/data", "data")];
        // A place that is now this and now that may also be refused.
        if world.containers().launch(spec.clone()).await.is_ok() {
            world.end_of(&spec).await;
            assert!(!world.log(&spec, "stdout").contains("secret"));
            world.containers().remove(&spec.container).await.expect("removed");
        }
        // What is logged is of this try.
        for name in ["stdout", "stderr"] {
            let _ = std::fs::remove_file(sandbox.join(name));
        }
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    swapping.join().expect("it ends");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_bomb_of_processes_hurts_its_container_only() {
    const PROCESSES_MAX: u64 = 50;
    let mut world = World::open().await;
    let layers = layers(&world);
    let bomb = "bomb() { bomb | bomb & }; bomb; while :; do :; done";
    let mut spec = image(&mut world, &layers, shell(bomb));
    spec.limits.processes_max = Some(PROCESSES_MAX);
    world.launch(&spec).await;
    let count = || {
        let groups = cgroups(&format!("{}/{}", world.config.cgroup_parent, spec.container));
        let read = |dir: PathBuf| std::fs::read_to_string(dir.join("pids.events")).ok();
        let events = groups.into_iter().find_map(read).unwrap_or_default();
        events.lines().any(|line| line.starts_with("max ") && line != "max 0")
    };
    wait_until("the limit is reached", count, || "it is not".into()).await;
    let used = world.containers().usage(&spec.container).expect("told");
    assert!(used.processes <= PROCESSES_MAX, "{}", used.processes);
    world.kill(&spec).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_bomb_of_memory_hurts_its_container_only() {
    let mut world = World::open().await;
    let layers = layers(&world);
    for bomb in [
        "tail /dev/zero",
        // Shared memory is the container's, too.
        "cat /dev/zero > /dev/shm/a & cat /dev/zero > /dev/shm/b & wait; tail /dev/zero",
    ] {
        let mut spec = image(&mut world, &layers, shell(&format!("exec 2> /dev/null; {bomb}")));
        spec.limits.cpu_millis_max = None;
        world.launch(&spec).await;
        let ended = world.end_of(&spec).await;
        let (reason, cause) = ended.limitation.expect("it was limited");
        assert_eq!(reason, Reason::ContainerLimitationMemory);
        assert!(cause.contains("Maximum Used: 64MB"), "{cause}");
        world.containers().remove(&spec.container).await.expect("removed");
    }
    world.check_nothing_is_left().await;
}

/// What a container starts ends with it, wherever it hides.
#[tokio::test]
async fn nobody_stays_behind() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let script = "(trap '' TERM HUP; sleep 600) & (sleep 600 &) ; echo ready; sleep 600";
    let spec = image(&mut world, &layers, shell(script));
    world.launch(&spec).await;
    world.wait_for_output(&spec, "ready\n").await;
    world.containers().stop(&spec.container, Duration::ZERO).await.expect("asked");
    world.end_of(&spec).await;
    world.containers().remove(&spec.container).await.expect("removed");
    world.check_nothing_is_left().await;
}
