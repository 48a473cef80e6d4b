//! What tasks keep on a disk whose kernel counts and limits it by project.

use std::time::Duration;

use agent::{Beyond, Projects};
use containers::projects::{Disk, of};
use model::container::VolumeMode;
use model::operation::OperationState;
use model::task::{Reason, TaskInfo, TaskState};

use crate::counted::{Counted, KINDS};
use crate::volumes::{destroy, make, on_volume};
use crate::world::{World, shell};

const FIRST: u32 = 7_000;
/// Whom the kernel lets beyond no limit.
const NOBODY: &str = "65534";

/// An agent that works on such a disk.
async fn on(kind: &[&str], beyond: Beyond) -> Option<(World, Counted)> {
    let mut world = World::prepare().await;
    let disk = Counted::mount(kind, world.path())?;
    world.config.dir = disk.at.join("agents/0");
    std::fs::create_dir_all(&world.config.dir).expect("made");
    world.config.containers.layer_dir = disk.at.join("layers");
    world.config.resources = Some("cpus:4;mem:1024;disk:200".parse().expect("well formed"));
    world.config.projects = Projects::new(FIRST..FIRST + 100, beyond);
    world.config.disk_quota = Some(Duration::from_millis(100));
    world.start().await;
    Some((world, disk))
}

async fn close(mut world: World, disk: Counted) {
    world.stop().await;
    drop(disk);
    world.close().await;
}

fn task(id: &str, command: &str) -> TaskInfo {
    let mut task = shell(id, command);
    task.resources = "cpus:0.1;mem:64;disk:8".parse().expect("well formed");
    task.command.user = Some(NOBODY.to_owned());
    task
}

pub(crate) async fn who_writes_more_than_is_set_aside_is_told_that_there_is_no_space() {
    for kind in KINDS {
        let Some((mut world, disk)) = on(kind, Beyond::Refused).await else { continue };
        let write = "dd if=/dev/zero of=data bs=1M count=4 2> /dev/null && echo some; \
            dd if=/dev/zero of=more bs=1M count=16 2>&1 | grep -ciE 'no space|quota'; \
            echo done; sleep 1000";
        world.run(task("greedy", write)).await;
        world.expect(TaskState::Running).await;
        let at = world.sandbox("greedy").canonicalize().expect("it is there");
        let output = || std::fs::read_to_string(at.join("stdout")).unwrap_or_default();
        world.until("it has written", |_| output().ends_with("done\n")).await;
        assert_eq!(output(), "some\n1\ndone\n");
        assert_eq!(of(&at).expect("told"), FIRST);
        let used = Disk::of(&at).and_then(|disk| disk.used(FIRST)).expect("told");
        assert_eq!(used.bytes_max, Some(8 << 20));
        assert!((4 << 20..=8 << 20).contains(&used.bytes), "{used:?}");
        // The next agent finds it, and the next task has another.
        world.stop().await;
        world.start().await;
        world.run(task("next", "sleep 1000")).await;
        world.expect(TaskState::Running).await;
        assert_eq!(of(&at).expect("told"), FIRST);
        assert_eq!(
            of(&world.sandbox("next").canonicalize().expect("a link")).expect("told"),
            FIRST + 1
        );
        for id in ["greedy", "next"] {
            world.kill(id).await;
            world.expect(TaskState::Killed).await;
        }
        close(world, disk).await;
    }
}

pub(crate) async fn who_goes_beyond_a_limit_is_ended_where_that_is_wanted_or_nothing_else_helps() {
    for kind in KINDS {
        for (beyond, user) in [(Beyond::Ended, NOBODY), (Beyond::Refused, "0")] {
            if user == "0" && kind[0] == "mkfs.xfs" {
                // Even root goes not beyond it.
                continue;
            }
            let Some((mut world, disk)) = on(kind, beyond).await else { continue };
            let mut greedy = task("greedy", "dd if=/dev/zero of=data bs=1M count=10; sleep 1000");
            greedy.command.user = Some(user.to_owned());
            world.run(greedy).await;
            let ended = world.ended().await;
            let told = (ended.state, ended.reason);
            assert_eq!(told, (TaskState::Failed, Some(Reason::ContainerLimitationDisk)));
            let cause = ended.message.expect("it says why");
            assert!(cause.contains("exceeds quota (8MB)"), "{cause}");
            close(world, disk).await;
        }
    }
}

pub(crate) async fn a_volume_has_a_limit_of_its_own_and_its_number_is_free_when_it_is_gone() {
    for kind in KINDS {
        let Some((mut world, disk)) = on(kind, Beyond::Refused).await else { continue };
        assert_eq!(make(&mut world).await.state, OperationState::Finished);
        let write = "dd if=/dev/zero of=data/f bs=1M count=100 2> errors || grep -ciE 'no space|quota' errors";
        let mut greedy = on_volume("greedy", VolumeMode::ReadWrite, write);
        greedy.command.user = Some(NOBODY.to_owned());
        let (status, output) = world.finish(greedy).await;
        assert_eq!((status.state, output.as_str()), (TaskState::Finished, "1\n"), "{status:?}");
        let at = world.config.dir.join("volumes/roles/db eu/v1");
        let (project, of_disk) = (of(&at).expect("told"), Disk::of(&disk.at).expect("opened"));
        let used = of_disk.used(project).expect("told");
        assert_eq!((project, used.bytes_max), (FIRST, Some(64 << 20)), "{used:?}");
        assert_eq!(destroy(&mut world).await.state, OperationState::Finished);
        assert_eq!(of_disk.used(project).expect("told").bytes_max, None);
        // Xfs counts what is removed a little later.
        world.until("nobody has it", |_| of_disk.used(project).expect("told").files == 0).await;
        drop(of_disk);
        close(world, disk).await;
    }
}
