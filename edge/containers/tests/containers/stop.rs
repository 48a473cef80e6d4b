//! Stopping: politely first, surely in the end.

use std::time::{Duration, Instant};

use crate::world::{PATIENCE, World, shell};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;

#[tokio::test]
async fn a_program_that_does_not_handle_sigterm_ends_by_it() {
    let mut world = World::open().await;
    let spec = world.spec(shell("sleep 600"));
    world.launch(&spec).await;
    world.containers().stop(&spec.container, PATIENCE).await.expect("asked");
    assert_eq!(world.end_of(&spec).await.wait_status, SIGTERM);
    world.containers().remove(&spec.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_program_that_handles_sigterm_ends_as_it_likes() {
    let mut world = World::open().await;
    let spec =
        world.spec(shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.1; done"));
    world.launch(&spec).await;
    world.wait_for_output(&spec, "ready\n").await;
    world.containers().stop(&spec.container, PATIENCE).await.expect("asked");
    assert_eq!(world.end_of(&spec).await.wait_status, 7 << 8);
    assert_eq!(world.log(&spec, "stdout"), "ready\nbye\n");
}

#[tokio::test]
async fn a_program_that_ignores_sigterm_is_killed_after_the_grace_period() {
    const GRACE: Duration = Duration::from_millis(300);
    let mut world = World::open().await;
    let spec = world.spec(shell("trap '' TERM; echo ready; while :; do sleep 0.1; done"));
    world.launch(&spec).await;
    world.wait_for_output(&spec, "ready\n").await;
    let begin = Instant::now();
    world.containers().stop(&spec.container, GRACE).await.expect("asked");
    assert_eq!(world.end_of(&spec).await.wait_status, SIGKILL);
    assert!(begin.elapsed() >= GRACE, "{:?}", begin.elapsed());
    world.containers().remove(&spec.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_second_stop_shortens_the_grace_period() {
    let mut world = World::open().await;
    let spec = world.spec(shell("trap '' TERM; echo ready; while :; do sleep 0.1; done"));
    world.launch(&spec).await;
    world.wait_for_output(&spec, "ready\n").await;
    world.containers().stop(&spec.container, Duration::MAX).await.expect("asked");
    world.containers().stop(&spec.container, Duration::ZERO).await.expect("asked");
    assert_eq!(world.end_of(&spec).await.wait_status, SIGKILL);
    world
        .containers()
        .stop(&spec.container, Duration::ZERO)
        .await
        .expect("an ended one is no error");
}

#[tokio::test]
async fn signals_reach_the_main_process() {
    let mut world = World::open().await;
    let spec = world.spec(shell("trap 'exit 5' USR1; echo ready; while :; do sleep 0.1; done"));
    world.launch(&spec).await;
    world.wait_for_output(&spec, "ready\n").await;
    world.containers().signal(&spec.container, SIGUSR1).await.expect("sent");
    assert_eq!(world.end_of(&spec).await.wait_status, 5 << 8);
}

#[tokio::test]
async fn an_alive_container_is_killed_to_be_removed() {
    let mut world = World::open().await;
    let spec = world.spec(shell("trap '' TERM; echo ready; while :; do sleep 0.1; done"));
    world.launch(&spec).await;
    world.wait_for_output(&spec, "ready\n").await;
    world.containers().remove(&spec.container).await.expect("removed");
    assert_eq!(world.end_of(&spec).await.wait_status, SIGKILL);
    world.check_nothing_is_left().await;
}
