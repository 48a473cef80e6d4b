//! Devices that tasks are given whole. They are fakes: nodes of a number that is kept for experiments, behind which no driver
//! is. Whoever may open one is told that there is no such device, whoever may not is told that.

use std::path::Path;

use model::task::{TaskInfo, TaskState};
use rustix::fs::{CWD, FileType, Mode};

use crate::world::{World, shell};

/// `LOCAL/EXPERIMENTAL USE`, as the kernel documents it.
const MAJOR: u32 = 60;
const DEVICES: u32 = 3;

fn fakes(dir: &Path) {
    std::fs::create_dir(dir).expect("made");
    for minor in 0..DEVICES {
        let path = dir.join(format!("nvidia{minor}"));
        let number = rustix::fs::makedev(MAJOR, minor);
        let kind = FileType::CharacterDevice;
        rustix::fs::mknodat(CWD, &path, kind, Mode::from(0o666), number).expect("a node");
    }
}

/// Writes which devices it may open, and stays.
fn task(id: &str, gpus: u32, dir: &Path) -> TaskInfo {
    let dir = dir.display();
    let command = format!(
        "for n in 0 1 2; do (: < {dir}/nvidia$n) 2>&1 | grep -q permitted || printf $n; done > open; mv open opened; \
         echo -n $NVIDIA_VISIBLE_DEVICES > told; mv told visible; sleep 1000"
    );
    let resources = format!("cpus:0.1;mem:32;gpus:{gpus}").parse().expect("well formed");
    TaskInfo { resources, ..shell(id, &command) }
}

async fn starts(world: &mut World, task: TaskInfo) -> (String, String) {
    let id = task.id.clone();
    world.run(task).await;
    world.expect(TaskState::Running).await;
    let sandbox = world.sandbox(id.as_str());
    world.until("it has tried", |_| sandbox.join("visible").exists()).await;
    let read = |name: &str| std::fs::read_to_string(sandbox.join(name)).expect("written");
    (read("opened"), read("visible"))
}

pub(crate) async fn a_task_opens_its_own_devices_and_no_others_whoever_the_agent_is() {
    let mut world = World::prepare().await;
    let dir = world.path().join("dev");
    fakes(&dir);
    let search = agent::GpuSearch { names: None, device_dir: dir.clone(), cdi_dirs: vec![] };
    world.config.gpus = search.find().expect("found");
    world.config.containers.policy.handed_out = agent::handed_out(&world.config.gpus);
    world.config.resources = Some("cpus:4;mem:1024;gpus:3".parse().expect("well formed"));
    world.start().await;
    let pair = |opened: &str, visible: &str| (opened.to_owned(), visible.to_owned());
    assert_eq!(starts(&mut world, task("two", 2, &dir)).await, pair("01", "0,1"));
    assert_eq!(starts(&mut world, task("one", 1, &dir)).await, pair("2", "2"));
    assert_eq!(starts(&mut world, task("none", 0, &dir)).await, pair("", ""));
    world.stop().await;
    assert_eq!(world.start().await.len(), 3);
    // The master knows better than to ask for this.
    world.run(task("more", 1, &dir)).await;
    let failed = world.ended().await;
    let cause = failed.message.expect("it says why");
    assert!(
        cause.contains("needs 1 GPUs, and of the 3 devices of this agent 0 are free"),
        "{cause}"
    );
    world.kill("two").await;
    world.expect(TaskState::Killed).await;
    assert_eq!(starts(&mut world, task("next", 1, &dir)).await, pair("0", "0"));
    for id in ["one", "none", "next"] {
        world.kill(id).await;
        world.expect(TaskState::Killed).await;
    }
    world.close().await;
}
