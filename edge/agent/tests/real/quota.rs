//! What tasks keep on the disk, where the operator has it limited.

use std::time::Duration;

use model::task::{Reason, TaskInfo, TaskState};

use crate::world::{World, shell};

fn task(id: &str, mebibytes: u32) -> TaskInfo {
    let resources = "cpus:0.1;mem:64;disk:4".parse().expect("well formed");
    let command =
        format!("dd if=/dev/zero of=data bs=1M count={mebibytes} 2> /dev/null; sleep 1000");
    TaskInfo { resources, ..shell(id, &command) }
}

pub(crate) async fn a_task_that_keeps_more_on_the_disk_than_is_set_aside_is_ended() {
    let mut world = World::prepare().await;
    world.config.resources = Some("cpus:4;mem:1024;disk:1024".parse().expect("well formed"));
    world.config.disk_quota = Some(Duration::from_millis(100));
    world.start().await;
    world.run(task("modest", 1)).await;
    world.expect(TaskState::Running).await;
    world.run(task("greedy", 16)).await;
    let ended = world.ended().await;
    assert_eq!(ended.task.as_str(), "greedy");
    let told = (ended.state, ended.reason);
    assert_eq!(told, (TaskState::Failed, Some(Reason::ContainerLimitationDisk)));
    let cause = ended.message.expect("it says why");
    assert!(cause.contains("exceeds quota (4MB)"), "{cause}");
    world.kill("modest").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}
