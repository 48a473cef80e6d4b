//! What a container may do beyond what is usual, and below it, as it was asked for.

use std::path::Path;

use containers::policy::Policy;
use containers::spec::Spec;
use model::confinement::{
    Capabilities, Confinement, Device, Rights, Seccomp, Sharing, Tmpfs, TmpfsFlags,
};
use model::container::Run;

use crate::image::{image, layers};
use crate::world::{World, exec, shell};

const RIGHTS: &str = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | cut -f2";

/// The runtime again, with another operator.
async fn ruled(world: &mut World, policy: Policy) {
    world.config.policy = policy;
    world.reopen().await;
}

fn confined(
    world: &mut World,
    layers: &[std::path::PathBuf],
    run: Run,
    asked: Confinement,
) -> Spec {
    Spec { confinement: asked, ..image(world, layers, run) }
}

/// The name of the machine and its control groups are not a container's to see or change, also where nobody names it.
#[tokio::test]
async fn a_container_with_an_image_has_its_own_name_and_its_groups_topmost() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let run = shell(
        "readlink /proc/self/ns/uts; grep -E '^(0:|.*:memory:)' /proc/self/cgroup | cut -d: -f3",
    );
    let spec = image(&mut world, &layers, run);
    world.run(&spec).await;
    let told = world.log(&spec, "stdout");
    let (uts, groups) = told.split_once('\n').expect("two answers");
    let of_machine = std::fs::read_link("/proc/self/ns/uts").expect("read");
    assert_ne!(uts, of_machine.display().to_string());
    assert!(!groups.is_empty() && groups.lines().all(|group| group == "/"), "{groups:?}");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn capabilities_are_those_that_were_asked_for() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let exactly = |effective: u64, bounding: Option<u64>| Rights::Exactly {
        effective: Some(Capabilities(effective)),
        bounding: bounding.map(Capabilities),
    };
    let changed = |add, drop| Rights::Changed { add: Capabilities(add), drop: Capabilities(drop) };
    let cases = [
        (exactly(1, None), None, "0000000000000001 0000000000000001 0 2"),
        (exactly(1, Some(0x21)), None, "0000000000000001 0000000000000021 0 2"),
        (exactly(1, Some(0x21)), Some("web"), "0000000000000001 0000000000000021 1 2"),
        (exactly(0, Some(1)), Some("web"), "0000000000000000 0000000000000001 1 2"),
        (changed(0, Capabilities::ALL.0), None, "0000000000000000 0000000000000000 0 2"),
        (changed(0x1000, Capabilities::ALL.0), None, "0000000000001000 0000000000001000 0 2"),
        (
            changed(0x1000, Capabilities::ALL.0),
            Some("web"),
            "0000000000000000 0000000000001000 1 2",
        ),
    ];
    for (rights, user, expected) in cases {
        let asked = Confinement { rights, ..Confinement::default() };
        let mut spec = confined(&mut world, &layers, shell(&format!("echo $({RIGHTS})")), asked);
        spec.user = user.map(String::from);
        world.run(&spec).await;
        let told = world.log(&spec, "stdout");
        // In the order of the file: bounding comes after effective.
        assert_eq!(told.trim(), expected, "{rights:?} {user:?}: {}", world.log(&spec, "stderr"));
    }
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn an_operator_bounds_what_any_container_has() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let (few, one) = (Capabilities(0x21), Capabilities(1));
    let policy = Policy {
        effective_capabilities: Some(one),
        bounding_capabilities: Some(few),
        ..Policy::default()
    };
    ruled(&mut world, policy).await;
    let spec = image(&mut world, &layers, shell(&format!("echo $({RIGHTS})")));
    world.run(&spec).await;
    let told = world.log(&spec, "stdout");
    assert_eq!(told.trim(), "0000000000000001 0000000000000021 0 2");
    let add = Capabilities(1 << 21);
    let rights = Rights::Changed { add, drop: Capabilities::NONE };
    let asked = Confinement { rights, ..Confinement::default() };
    let spec = confined(&mut world, &layers, shell("true"), asked);
    let refused = world.containers().launch(spec).await.expect_err("out of bounds");
    assert!(refused.cause.contains("SYS_ADMIN"), "{}", refused.cause);
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn whoever_may_mount_can() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let add: Capabilities = "SYS_ADMIN".parse().expect("known");
    let rights = Rights::Changed { add, drop: Capabilities::NONE };
    let asked = Confinement { rights, ..Confinement::default() };
    let spec = confined(&mut world, &layers, shell("mount -t tmpfs x /srv && echo mounted"), asked);
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout"), "mounted\n", "{}", world.log(&spec, "stderr"));
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn seccomp_profiles_are_the_agents_and_may_be_left_out() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let profiles = world.path().join("seccomp");
    std::fs::create_dir(&profiles).expect("made");
    let profile = |calls: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{{"names": [{calls}], "action": "SCMP_ACT_ERRNO"}}]}}"#
        )
    };
    std::fs::write(profiles.join("no-dirs.json"), profile(r#""mkdir", "mkdirat""#))
        .expect("written");
    std::fs::write(profiles.join("broken"), "{").expect("written");
    ruled(&mut world, Policy { seccomp_profiles: Some(profiles.clone()), ..Policy::default() })
        .await;
    let try_it =
        "mkdir /srv/new && echo made || echo refused; grep Seccomp: /proc/self/status | cut -f2";
    let with = |seccomp| Confinement { seccomp: Some(seccomp), ..Confinement::default() };
    let named = |name: &str| with(Seccomp::Profile(name.into()));
    for (asked, user, expected) in [
        (Confinement::default(), None, "made\n2\n"),
        (with(Seccomp::Unconfined), None, "made\n0\n"),
        (named("no-dirs.json"), None, "refused\n2\n"),
        (named("no-dirs.json"), Some("web"), "refused\n2\n"),
    ] {
        let mut spec = confined(&mut world, &layers, shell(try_it), asked.clone());
        spec.user = user.map(String::from);
        world.run(&spec).await;
        assert_eq!(world.log(&spec, "stdout"), expected, "{asked:?}");
    }
    // One that was changed counts from the next container on.
    std::fs::write(profiles.join("no-dirs.json"), profile(r#""rmdir""#)).expect("written");
    let spec = confined(&mut world, &layers, shell(try_it), named("no-dirs.json"));
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout"), "made\n2\n");
    for (name, why) in [("absent", "absent"), ("broken", "broken"), ("../broken", "no name")] {
        let spec = confined(&mut world, &layers, shell("true"), named(name));
        let refused = world.containers().launch(spec).await.expect_err(name);
        assert!(refused.cause.contains(why), "{}", refused.cause);
    }
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_container_finds_what_was_asked_for() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let devices = vec!["/dev/null".into()];
    ruled(&mut world, Policy { devices, ..Policy::default() }).await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let asked = Confinement {
        shm_bytes: Some(1 << 20),
        read_only_root: true,
        tmpfs: vec![Tmpfs {
            path: "/srv/memory".into(),
            bytes_max: Some(2 << 20),
            mode: Some(0o700),
            flags: TmpfsFlags::default(),
        }],
        devices: vec![Device {
            host_path: "/dev/null".into(),
            container_path: "/dev/own/nothing".into(),
            access: "rw".into(),
        }],
        groups: vec!["logs".into(), "77".into()],
        hosts: vec![pair("database", "10.1.2.3")],
        resolver: vec!["nameserver 10.9.8.7".into()],
        sysctls: vec![pair("kernel.shmmax", "12345")],
        working_dir: Some("/etc".into()),
        oom_score: Some(321),
        domain_name: Some("example.org".into()),
        ..Confinement::default()
    };
    let commands = [
        ("touch /new 2> /dev/null && echo made || echo read-only", "read-only"),
        ("echo kept > /mnt/mesos/sandbox/file && cat /mnt/mesos/sandbox/file", "kept"),
        (
            "touch /srv/memory/file && grep -c 'srv/memory tmpfs.*nosuid,nodev,noexec.*size=2048k,mode=700' /proc/mounts",
            "1",
        ),
        ("grep -c '/dev/shm tmpfs.*size=1024k' /proc/mounts", "1"),
        ("cat /dev/own/nothing && echo opened", "opened"),
        ("grep -c '^10.1.2.3.database' /etc/hosts", "1"),
        ("grep nameserver /etc/resolv.conf", "nameserver 10.9.8.7"),
        ("cat /proc/sys/kernel/shmmax", "12345"),
        ("cat /proc/sys/kernel/domainname", "example.org"),
        ("cat /proc/self/oom_score_adj", "321"),
        ("id -G", "0 4 77"),
        ("echo $PWD", "/etc"),
    ];
    let script = commands.map(|(command, _)| command).join("; ");
    let spec = confined(&mut world, &layers, shell(&script), asked);
    world.run(&spec).await;
    let told = world.log(&spec, "stdout");
    let expected: Vec<&str> = commands.iter().map(|(_, output)| *output).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{}", world.log(&spec, "stderr"));
    let shmmax = std::fs::read_to_string("/proc/sys/kernel/shmmax").expect("read");
    assert_ne!(shmmax.trim(), "12345", "it is the container's own");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn what_an_operator_has_not_allowed_is_refused_with_what_would_allow_it() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let device = Device {
        host_path: "/dev/full".into(),
        container_path: "/dev/full".into(),
        access: "rwm".into(),
    };
    let none = Confinement::default;
    for (asked, key) in [
        (Confinement { devices: vec![device], ..none() }, "isolation.devices"),
        (Confinement { pid: Some(Sharing::Parent), ..none() }, "isolation.share_pid"),
        (Confinement { ipc: Some(Sharing::Parent), ..none() }, "isolation.share_ipc"),
        (
            Confinement { seccomp: Some(Seccomp::Profile("x".into())), ..none() },
            "isolation.seccomp_profiles",
        ),
    ] {
        let spec = confined(&mut world, &layers, shell("true"), asked);
        let refused = world.containers().launch(spec).await.expect_err(key);
        assert!(refused.cause.contains(key), "{}", refused.cause);
    }
    world.check_nothing_is_left().await;
}

fn namespace(name: &str) -> String {
    let link = std::fs::read_link(Path::new("/proc/self/ns").join(name)).expect("a link");
    link.display().to_string()
}

#[tokio::test]
async fn what_is_shared_with_the_machine_is_the_machines() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let policy = Policy { share_pid: true, share_ipc: true, ..Policy::default() };
    ruled(&mut world, policy).await;
    let parent = Some(Sharing::Parent);
    let asked = Confinement { pid: parent, ipc: parent, ..Confinement::default() };
    let script = "ls -l /proc/self/ns/pid /proc/self/ns/ipc; sleep 600 & sleep 600";
    let spec = confined(&mut world, &layers, shell(script), asked);
    world.launch(&spec).await;
    let [pid, ipc] = ["pid", "ipc"].map(namespace);
    crate::world::wait_until(
        "namespaces",
        || world.log(&spec, "stdout").contains(&ipc) && world.log(&spec, "stdout").contains(&pid),
        || world.log(&spec, "stdout"),
    )
    .await;
    // SIGTERM reaches the container's processes and nobody else's: this test goes on.
    let patience = std::time::Duration::from_secs(20);
    world.containers().stop(&spec.container, patience).await.expect("asked");
    let ended = world.end_of(&spec).await;
    assert_eq!(ended.wait_status, 15);
    world.containers().remove(&spec.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn the_signal_that_asks_to_end_is_the_tasks_or_else_the_images() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let script = "trap 'echo heard; exit 5' USR1; trap 'echo image; exit 6' USR2; echo ready; \
                  while :; do sleep 0.05; done";
    for (asked, heard, status) in [(Some(10), "heard", 5), (None, "image", 6)] {
        // Its image says SIGUSR2.
        let mut spec = image(&mut world, &layers, shell(script));
        spec.confinement.stop_signal = asked;
        world.launch(&spec).await;
        world.wait_for_output(&spec, "ready\n").await;
        let patience = std::time::Duration::from_secs(20);
        world.containers().stop(&spec.container, patience).await.expect("asked");
        assert_eq!(world.end_of(&spec).await.wait_status, status << 8);
        assert_eq!(world.log(&spec, "stdout"), format!("ready\n{heard}\n"));
        world.containers().remove(&spec.container).await.expect("removed");
    }
}

#[tokio::test]
async fn a_privileged_container_has_all_if_it_is_allowed() {
    let mut world = World::open().await;
    let layers = layers(&world);
    world.config.allow_privileged = true;
    world.reopen().await;
    let script = format!("echo $({RIGHTS}); mount -t tmpfs x /srv && echo mounted");
    let mut spec = image(&mut world, &layers, shell(&script));
    spec.privileged = true;
    world.run(&spec).await;
    let own = std::fs::read_to_string("/proc/self/status").expect("read");
    let all = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).expect("told");
    assert_eq!(world.log(&spec, "stdout"), format!("{all} {all} 0 0\nmounted\n"));
    // With words of its own it may be confined nevertheless.
    let drop = Rights::Changed { add: Capabilities::NONE, drop: Capabilities::ALL };
    spec = Spec { container: model::id::ContainerId::new("another"), ..spec };
    spec.confinement.rights = drop;
    spec.run = exec(&["/bin/mount", "-t", "tmpfs", "x", "/srv"]);
    assert_ne!(world.run(&spec).await.wait_status, 0);
    world.check_nothing_is_left().await;
}
