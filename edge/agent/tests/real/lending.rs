//! What a task leaves idle is lent, and taken back once the task uses it.

use std::time::Duration;

use model::agent::FromAgent;
use model::resources::{Resource, Resources, Scalar};
use model::task::{Reason, TaskState};

use crate::world::{World, shell};

pub(crate) async fn what_a_task_leaves_idle_is_lent_until_it_is_used() {
    let mut world = World::prepare().await;
    world.config.resources = Some("cpus:0.3;mem:1024".parse().expect("well formed"));
    world.config.oversubscribe = Some(Duration::from_millis(200));
    world.start().await;
    // Waits without computing, then computes without waiting.
    let mut owner = shell("owner", "mkfifo go; read word < go; while :; do :; done");
    owner.resources = "cpus:0.3;mem:64".parse().expect("well formed");
    world.run(owner).await;
    world.expect(TaskState::Running).await;
    let enough = |message| {
        let FromAgent::Lends { revocable } = message else { return None };
        (revocable.cpus() >= Scalar(200)).then_some(revocable)
    };
    let lent = world.hear(enough).await;
    assert!(lent.iter().all(|one| one.revocable), "{lent}");
    let mut borrower = shell("borrower", "sleep 1000");
    let cpus: Resources = "cpus:0.2".parse().expect("well formed");
    let cpus = cpus.iter().map(|one| Resource { revocable: true, ..one.clone() });
    borrower.resources = "mem:64".parse().expect("well formed");
    borrower.resources.add(&Resources::new(cpus));
    world.run(borrower).await;
    assert_eq!(world.expect(TaskState::Running).await.task.as_str(), "borrower");
    // Opening it for reading as well does not wait for the reader.
    let go = world.sandbox("owner").join("go");
    let mut options = std::fs::OpenOptions::new();
    let mut go = options.read(true).write(true).open(go).expect("the task has made it");
    std::io::Write::write_all(&mut go, b"go\n").expect("written");
    let ended = world.ended().await;
    assert_eq!(ended.task.as_str(), "borrower");
    assert_eq!((ended.state, ended.reason), (TaskState::Gone, Some(Reason::ContainerPreempted)));
    world.kill("owner").await;
    assert_eq!(world.ended().await.task.as_str(), "owner");
    world.close().await;
}
