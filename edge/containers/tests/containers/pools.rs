//! Containers that share control groups.

use std::time::Duration;

use containers::spec::{Limits, Spec};
use model::id::ContainerId;
use model::task::Reason;

use crate::world::{World, cgroups, shell, wait_until};

const MIB: u64 = 1 << 20;

fn pool() -> ContainerId {
    ContainerId::new("pool")
}

/// For all in the pool.
fn most(mib: u64) -> Limits {
    Limits {
        cpu_millis: 300,
        cpu_millis_max: Some(300),
        memory_bytes_max: Some(mib * MIB),
        memory_bytes_kept: Some(mib * MIB),
        ..Limits::default()
    }
}

/// Weighed as a fifth of a processor.
fn member(world: &mut World, text: &str) -> Spec {
    let limits = Limits { cpu_millis: 200, ..Limits::default() };
    Spec { pool: Some(pool()), limits, ..world.spec(shell(text)) }
}

/// Takes so much memory, says so and keeps it.
fn taker(mib: u64) -> String {
    format!("exec perl -e '$| = 1; vec($x, ({mib} << 20) - 1, 8) = 1; print \"taken\"; sleep 1000'")
}

fn is_there(world: &World) -> bool {
    !cgroups(&format!("{}/pool", world.config.cgroup_parent)).is_empty()
}

#[tokio::test]
async fn what_one_leaves_of_the_memory_another_may_use() {
    let mut world = World::open().await;
    world.containers().pool(&pool(), &most(96)).expect("made");
    let (idle, greedy) = (member(&mut world, "exec sleep 1000"), member(&mut world, &taker(64)));
    world.launch(&idle).await;
    world.launch(&greedy).await;
    world.wait_for_output(&greedy, "taken").await;
    let usage = |spec: &Spec| world.containers().usage(&spec.container).expect("used");
    let (little, much) = (usage(&idle), usage(&greedy));
    assert!(much.memory_bytes > 64 * MIB && little.memory_bytes < 16 * MIB, "each has its own");
    assert_eq!((little.processes, much.processes), (2, 2));
    assert_eq!((little.memory_bytes_max, little.cpu_millis_max), (Some(96 * MIB), Some(300)));
    world.kill(&greedy).await;
    assert!(is_there(&world), "the other is still in it");
    world.kill(&idle).await;
    assert!(!is_there(&world), "it went with the last");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn who_takes_more_than_all_may_have_is_killed_and_the_others_are_not() {
    let mut world = World::open().await;
    world.containers().pool(&pool(), &most(64)).expect("made");
    let (idle, greedy) = (member(&mut world, "exec sleep 1000"), member(&mut world, &taker(128)));
    world.launch(&idle).await;
    world.launch(&greedy).await;
    let ended = world.end_of(&greedy).await;
    let (reason, cause) = ended.limitation.expect("limited");
    assert_eq!(reason, Reason::ContainerLimitationMemory);
    assert!(cause.contains("Requested: 64MB Maximum Used: 6"), "{cause}");
    world.containers().remove(&greedy.container).await.expect("removed");
    assert_eq!(world.containers().usage(&idle.container).expect("it lives").processes, 2);
    world.kill(&idle).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn what_all_may_have_changes_and_does_not_fall_below_what_they_have() {
    let mut world = World::open().await;
    world.containers().pool(&pool(), &most(32)).expect("made");
    world.containers().pool(&pool(), &most(128)).expect("changed");
    let greedy = member(&mut world, &taker(64));
    world.launch(&greedy).await;
    world.wait_for_output(&greedy, "taken").await;
    // Version 1 of control groups refuses, version 2 is not asked.
    let _ = world.containers().pool(&pool(), &most(32));
    let usage = world.containers().usage(&greedy.container).expect("it lives");
    assert_eq!((usage.processes, usage.memory_bytes_max), (2, Some(128 * MIB)));
    world.kill(&greedy).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_new_daemon_knows_who_is_in_which_pool() {
    let mut world = World::open().await;
    world.containers().pool(&pool(), &most(64)).expect("made");
    let abandoned = ContainerId::new("abandoned");
    world.containers().pool(&abandoned, &most(64)).expect("made");
    let outer = member(&mut world, "exec sleep 1000");
    world.launch(&outer).await;
    world.reopen().await;
    let swept = || cgroups(&format!("{}/abandoned", world.config.cgroup_parent)).is_empty();
    assert!(swept(), "nobody is in it");
    assert_eq!(world.containers().usage(&outer.container).expect("it lives").processes, 2);
    let within = ContainerId::new(format!("{}.inner", outer.container));
    let limits = Limits::default();
    let inner = Spec { container: within, limits, ..world.spec(shell("exec sleep 1000")) };
    world.launch(&inner).await;
    let groups = cgroups(&format!("{}/pool/{}/inner", world.config.cgroup_parent, outer.container));
    assert!(!groups.is_empty(), "what lies in a container is limited with it");
    // Both end with the outer one.
    world.containers().stop(&outer.container, Duration::ZERO).await.expect("asked");
    for _ in 0..2 {
        let container = world.next_event().await.container;
        world.containers().remove(&container).await.expect("removed");
    }
    wait_until("no pool", || !is_there(&world), || "it stays".to_owned()).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_pool_that_somebody_has_removed_is_made_again() {
    let mut world = World::open().await;
    world.containers().pool(&pool(), &most(64)).expect("made");
    for dir in cgroups(&format!("{}/pool", world.config.cgroup_parent)) {
        std::fs::remove_dir(dir).expect("nobody is in it");
    }
    let spec = member(&mut world, "exec sleep 1000");
    world.launch(&spec).await;
    let usage = world.containers().usage(&spec.container).expect("it lives");
    assert_eq!(usage.memory_bytes_max, Some(64 * MIB));
    world.kill(&spec).await;
    world.containers().pool(&pool(), &most(64)).expect("made for one that never starts");
    world.containers().forget_pool(&pool()).expect("removed");
    world.check_nothing_is_left().await;
}
