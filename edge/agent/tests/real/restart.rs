//! Agents that end and come back.

use std::fs;
use std::path::Path;
use std::time::Duration;

use model::task::TaskState;
use tokio_util::sync::CancellationToken;

use crate::world::{World, shell};

pub(crate) async fn tasks_outlive_their_agent() {
    let mut world = World::open().await;
    world.run(shell("t", "sleep 1000")).await;
    let before = world.expect(TaskState::Running).await.container.expect("it runs");
    world.stop().await;
    let held = world.start().await;
    assert_eq!(held.len(), 1);
    let after = held[0].task.status.clone().expect("it runs").container.expect("still");
    assert_eq!((held[0].task.state, after), (TaskState::Running, before));
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}

pub(crate) async fn an_agent_that_has_shrunk_is_refused_and_one_that_has_grown_goes_on() {
    let mut world = World::open().await;
    world.run(shell("t", "sleep 1000")).await;
    world.expect(TaskState::Running).await;
    world.stop().await;
    let shrunk = agent::AgentConfig {
        resources: Some("cpus:2;mem:1024;ports:[31000-31010]".parse().expect("well formed")),
        ..world.config.clone()
    };
    let refused = agent::run(shrunk, CancellationToken::new()).await.expect_err("it has less");
    let cause = format!("{refused:#}");
    assert!(cause.contains("this is agent S0, and it had cpus:4"), "{cause}");
    world.config.resources =
        Some("cpus:8;mem:1024;gpus:1;ports:[31000-31020]".parse().expect("well formed"));
    let held = world.start().await;
    assert_eq!((held.len(), held[0].task.state), (1, TaskState::Running));
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}

pub(crate) async fn what_ended_meanwhile_is_told() {
    let mut world = World::open().await;
    world.run(shell("t", "while ! test -e go; do sleep 0.05; done; touch gone; exit 4")).await;
    world.expect(TaskState::Running).await;
    world.stop().await;
    std::fs::write(world.sandbox("t").join("go"), "").expect("written");
    while !world.sandbox("t").join("gone").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.start().await;
    let status = world.expect(TaskState::Failed).await;
    assert_eq!(status.message.as_deref(), Some("Command exited with status 4"));
    world.close().await;
}

pub(crate) async fn an_agent_can_leave_nothing_behind() {
    let mut world = World::open().await;
    world.run(shell("t", "sleep 1000")).await;
    world.expect(TaskState::Running).await;
    world.stop().await;
    world.config.stop_tasks = true;
    world.start().await;
    world.stop().await;
    // What all containers share has a name that none can have.
    let is_shared = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b"~");
    let entries = |dir: &Path| fs::read_dir(dir).expect("it is there").filter_map(Result::ok);
    let left = |dir: &Path| entries(dir).filter(|entry| !is_shared(entry)).count();
    let containers = &world.config.containers;
    assert_eq!((left(&containers.run_dir), left(&containers.layer_dir)), (0, 0));
    let held = world.start().await;
    assert_eq!(held[0].task.state, TaskState::Killed);
    world.expect(TaskState::Killed).await;
    assert!(world.path().exists());
    world.close().await;
}
