//! What of daemon, zygote and shim may die, and what happens then.

use std::time::Duration;

use containers::{Containers, Found, FoundState};
use model::task::Reason;
use rustix::process::{Pid, Signal};

use crate::world::{World, cgroups, shell, shims, spares, wait_until, zygotes};

const SIGKILL: i32 = 9;

/// Enough for those that do not hang, even on a busy machine.
const SHIM_PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_new_daemon_finds_what_runs_and_hears_of_its_end() {
    let mut world = World::open().await;
    let spec = world.spec(shell("while [ ! -e go ]; do sleep 0.02; done; exit 4"));
    let pid = world.launch(&spec).await;
    world.close().await;
    assert!(zygotes(&world.config.cgroup_parent).is_empty(), "a zygote ends with its daemon");
    let found = world.reopen().await;
    let alive = Found { container: spec.container.clone(), state: FoundState::Alive { pid } };
    assert_eq!(found, [alive]);
    std::fs::write(spec.sandbox.join("go"), "").expect("written");
    assert_eq!(world.end_of(&spec).await.wait_status, 4 << 8);
    world.containers().remove(&spec.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn the_last_to_leave_removes_the_control_groups() {
    let mut world = World::open().await;
    let spec = world.spec(shell("true"));
    world.run(&spec).await;
    let parent = world.config.cgroup_parent.clone();
    wait_until("the shim ends", || shims(&parent).is_empty(), String::new).await;
    assert!(!cgroups(&parent).is_empty());
    world.close().await;
    assert_eq!(cgroups(&parent), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn what_was_made_ahead_may_die_before_it_is_needed() {
    /// Four shims, and an init of each.
    const SPARES: usize = 8;
    let mut world = World::open().await;
    let parent = world.config.cgroup_parent.clone();
    let all = || spares(&parent);
    let is_init = |pid: &String| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
    };
    let is_dead = |pid: &String| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
        status.map_or(true, |status| status.contains("State:\tZ"))
    };
    for inits in [false, true] {
        wait_until("spares", || all().len() == SPARES, || format!("{:?}", all())).await;
        let killed: Vec<String> = all().into_iter().filter(|pid| is_init(pid) == inits).collect();
        assert_eq!(killed.len(), SPARES / 2);
        killed.iter().for_each(|pid| kill(pid));
        wait_until("dead", || killed.iter().all(is_dead), || format!("{killed:?}")).await;
        let spec = world.spec(shell("exit 3"));
        assert_eq!(world.run(&spec).await.wait_status, 3 << 8);
    }
    world.close().await;
    assert_eq!(all(), Vec::<String>::new(), "they end with their zygote");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_new_daemon_learns_how_a_container_ended_meanwhile() {
    let mut world = World::open().await;
    let spec = world.spec(shell("while [ ! -e go ]; do sleep 0.02; done; echo late; exit 4"));
    world.launch(&spec).await;
    world.close().await;
    std::fs::write(spec.sandbox.join("go"), "").expect("written");
    let parent = world.config.cgroup_parent.clone();
    wait_until("the shim ends", || shims(&parent).is_empty(), String::new).await;
    let found = world.reopen().await;
    let [Found { state: FoundState::Exited(ended), .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!((ended.wait_status, &ended.limitation), (4 << 8, &None));
    assert_eq!(world.log(&spec, "stdout"), "late\n");
    world.containers().remove(&spec.container).await.expect("removed");
    assert_eq!(world.reopen().await, []);
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_grace_period_ends_without_the_daemon() {
    let mut world = World::open().await;
    let spec = world.spec(shell("trap '' TERM; echo ready; while :; do sleep 0.1; done"));
    world.launch(&spec).await;
    world.wait_for_output(&spec, "ready\n").await;
    world.containers().stop(&spec.container, Duration::from_millis(300)).await.expect("asked");
    world.close().await;
    let parent = world.config.cgroup_parent.clone();
    wait_until("the shim ends", || shims(&parent).is_empty(), String::new).await;
    let found = world.reopen().await;
    let [Found { state: FoundState::Exited(ended), .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!(ended.wait_status, SIGKILL);
}

#[tokio::test]
async fn a_container_does_not_outlive_its_shim_and_the_loss_is_told() {
    let mut world = World::open().await;
    let spec = world.spec(shell("sleep 600"));
    world.launch(&spec).await;
    kill(&shims(&world.config.cgroup_parent)[0]);
    let ended = world.end_of(&spec).await;
    assert_eq!(ended.wait_status, SIGKILL);
    let (reason, cause) = ended.limitation.expect("a reason");
    assert_eq!(reason, Reason::ExecutorTerminated);
    assert!(cause.contains("shim was killed"), "{cause}");
    world.containers().remove(&spec.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_new_daemon_tells_of_a_shim_that_was_killed_meanwhile() {
    let mut world = World::open().await;
    let spec = world.spec(shell("sleep 600"));
    world.launch(&spec).await;
    world.close().await;
    kill(&shims(&world.config.cgroup_parent)[0]);
    let found = world.reopen().await;
    let [Found { state: FoundState::Exited(ended), .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        ended.limitation.as_ref().map(|(reason, _)| *reason),
        Some(Reason::ExecutorTerminated)
    );
    world.containers().remove(&spec.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_shim_that_hangs_does_not_hold_up_the_next_daemon() {
    let mut world = World::open().await;
    let (good, bad) = (world.spec(shell("sleep 600")), world.spec(shell("sleep 600")));
    world.launch(&bad).await;
    let hangs = shims(&world.config.cgroup_parent).remove(0);
    world.launch(&good).await;
    world.close().await;
    send(&hangs, Signal::STOP);
    world.config.shim_patience = SHIM_PATIENCE;
    let found = world.reopen().await;
    for Found { container, state } in found {
        match state {
            FoundState::Alive { .. } => assert_eq!(container, good.container),
            FoundState::Exited(ended) => {
                assert_eq!(container, bad.container);
                let (reason, _) = ended.limitation.expect("a reason");
                assert_eq!(reason, Reason::ExecutorTerminated);
            }
        }
    }
    world.containers().remove(&bad.container).await.expect("removed");
    world.kill(&good).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_container_whose_shim_hangs_can_be_stopped_and_removed() {
    let mut world = World::open().await;
    let (stopped, removed) = (world.spec(shell("sleep 600")), world.spec(shell("sleep 600")));
    world.launch(&stopped).await;
    world.launch(&removed).await;
    world.close().await;
    world.config.shim_patience = SHIM_PATIENCE;
    world.reopen().await;
    for shim in shims(&world.config.cgroup_parent) {
        send(&shim, Signal::STOP);
    }
    world.containers().stop(&stopped.container, Duration::ZERO).await.expect("stopped");
    assert_eq!(world.end_of(&stopped).await.wait_status, SIGKILL);
    world.containers().remove(&stopped.container).await.expect("removed");
    world.containers().remove(&removed.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn groups_that_a_container_has_made_go_with_it() {
    let mut world = World::open().await;
    let spec = world.spec(shell("sleep 600"));
    let pid = world.launch(&spec).await;
    let own = format!("{}/{}", world.config.cgroup_parent, spec.container);
    for group in cgroups(&own) {
        let inner = group.join("a/b");
        std::fs::create_dir_all(&inner).expect("made");
        // Not every hierarchy takes processes into a group that was just made.
        let _ = std::fs::write(inner.join("cgroup.procs"), pid.to_string());
    }
    world.kill(&spec).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn with_the_last_daemon_the_groups_above_go() {
    let mut world = World::open().await;
    let above = world.config.cgroup_parent.clone();
    let open = async |name: &str| {
        let mut config = world.config.clone();
        config.cgroup_parent = format!("{above}/{name}");
        config.run_dir = world.path().join(name);
        Containers::open(config).await.expect("opened")
    };
    let (first, second) = (open("first").await, open("second").await);
    // A zygote goes there by itself.
    let inner = ["first/shims", "second/shims"].map(|name| format!("{above}/{name}"));
    let there = || inner.iter().all(|group| !cgroups(group).is_empty());
    wait_until("both are there", there, || above.clone()).await;
    world.close().await;
    drop(first);
    assert!(!cgroups(&inner[1]).is_empty());
    drop(second);
    wait_until("all are gone", || cgroups(&above).is_empty(), || above.clone()).await;
}

#[tokio::test]
async fn a_killed_zygote_is_replaced_and_its_containers_go_on() {
    let mut world = World::open().await;
    let before = world.spec(shell("while [ ! -e go ]; do sleep 0.02; done; exit 4"));
    world.launch(&before).await;
    for _ in 0..2 {
        kill(&zygotes(&world.config.cgroup_parent)[0]);
        let after = world.spec(shell("exit 6"));
        assert_eq!(world.run(&after).await.wait_status, 6 << 8);
    }
    std::fs::write(before.sandbox.join("go"), "").expect("written");
    assert_eq!(world.end_of(&before).await.wait_status, 4 << 8);
    world.containers().remove(&before.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn the_hosts_mounts_and_devices_stay_as_they_are() {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").expect("read");
    let ptmx = || std::fs::symlink_metadata("/dev/ptmx").map(|m| m.file_type()).expect("there");
    let (mounts_before, ptmx_before) = (mounts(), ptmx());
    let mut world = World::open().await;
    let spec = world.spec(shell("mkdir m && mount -t tmpfs inside m && sleep 600"));
    world.launch(&spec).await;
    assert_eq!((mounts(), ptmx()), (mounts_before.clone(), ptmx_before));
    world.kill(&spec).await;
    assert_eq!((mounts(), ptmx()), (mounts_before, ptmx_before));
}

fn kill(pid: &str) {
    send(pid, Signal::KILL);
}

fn send(pid: &str, signal: Signal) {
    let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("it is there");
}
