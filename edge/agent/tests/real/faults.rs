//! What the machine and those who are at home on it do to an agent and its containers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::task::{Reason, TaskState, TaskStatus};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use tokio_util::sync::CancellationToken;

use crate::volumes::{self, on_volume};
use crate::world::{World, shell};

/// A task of this name that sleeps; gives the first process of its container.
async fn sleeper(world: &mut World, id: &str) -> Pid {
    world.run(shell(id, "sleep 1000")).await;
    first_process(&world.expect(TaskState::Running).await)
}

fn first_process(status: &TaskStatus) -> Pid {
    let container = status.container.as_ref().expect("it runs");
    Pid::from_raw(container.pid.expect("told").try_into().expect("small"))
}

fn parent(pid: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Some(Pid::from_raw(line.trim().parse().ok()?))
}

/// Of the group that a process is in, in those hierarchies that have such a file.
fn files(pid: Pid, name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("read");
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("read");
    let mut files = Vec::new();
    for mount in mounts.lines().filter(|line| line.contains(" - cgroup")) {
        let point = mount.split(' ').nth(4).expect("a mount has a place");
        for group in groups.lines() {
            let (_, group) = group.split_once(':').expect("hierarchy, controllers, path");
            let (controllers, group) = group.split_once(':').expect("hierarchy, controllers, path");
            let is_there = match controllers {
                "" => mount.contains(" - cgroup2 "),
                named => mount.ends_with(&format!(",{named}")),
            };
            files.extend(is_there.then(|| PathBuf::from(format!("{point}{group}/{name}"))));
        }
    }
    files.retain(|file| file.exists());
    files
}

/// What all containers share has a name that none can have.
fn left(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"~")).count()
}

async fn until_nothing_is_left(world: &World, of: Pid) {
    let gone = |config: &agent::AgentConfig| {
        left(&config.containers.run_dir) == 0
            && left(&config.containers.layer_dir) == 0
            && kill(of, None).is_err()
    };
    world.until("nothing of its containers is left", gone).await;
}

pub(crate) async fn tasks_are_gone_with_a_reboot_and_volumes_are_not() {
    let mut world = volumes::world().await;
    volumes::make(&mut world).await;
    let mode = model::container::VolumeMode::ReadWrite;
    world.run(on_volume("t", mode, "echo kept > data/f; touch written; sleep 1000")).await;
    let pid = first_process(&world.expect(TaskState::Running).await);
    let written = world.sandbox("t").join("written");
    world.until("it has written", |_| written.exists()).await;
    world.reboot().await;
    let held = world.start().await;
    assert_eq!(held[0].task.state, TaskState::Gone);
    let status = world.expect(TaskState::Gone).await;
    assert_eq!(status.reason, Some(Reason::AgentRestarted));
    assert_eq!(status.message.as_deref(), Some("The agent's machine was rebooted"));
    until_nothing_is_left(&world, pid).await;
    assert_eq!(world.finish(on_volume("after", mode, "cat data/f")).await.1, "kept\n");
    world.close().await;
}

pub(crate) async fn a_new_agent_takes_up_nothing_and_puts_aside_what_was() {
    let mut world = World::open().await;
    let pid = sleeper(&mut world, "t").await;
    world.stop().await;
    world.config.recover = false;
    assert_eq!(world.start().await, []);
    until_nothing_is_left(&world, pid).await;
    assert!(world.config.dir.join("put-aside/1/state.redb").exists());
    world.close().await;
}

pub(crate) async fn damaged_checkpoints_are_refused_with_what_to_do() {
    let mut world = World::open().await;
    let pid = sleeper(&mut world, "t").await;
    world.stop().await;
    let store = world.config.dir.join("state.redb");
    let length = fs::metadata(&store).expect("it is there").len().try_into().expect("small");
    fs::write(&store, vec![0xa5; length]).expect("written");
    let ended = agent::run(world.config.clone(), CancellationToken::new()).await;
    let cause = format!("{:#}", ended.expect_err("it cannot be read"));
    for part in ["state.redb is damaged", "--recover=false"] {
        assert!(cause.contains(part), "{cause}");
    }
    assert!(kill(pid, None).is_ok(), "the task is spared until somebody has decided");
    world.config.recover = false;
    assert_eq!(world.start().await, []);
    until_nothing_is_left(&world, pid).await;
    world.close().await;
}

pub(crate) async fn a_task_whose_shim_is_killed_has_failed() {
    let mut world = World::open().await;
    let pid = sleeper(&mut world, "t").await;
    kill(parent(pid).expect("a shim"), Signal::SIGKILL).expect("killed");
    let status = world.expect(TaskState::Failed).await;
    assert_eq!(status.reason, Some(Reason::ExecutorTerminated));
    until_nothing_is_left(&world, pid).await;
    world.close().await;
}

pub(crate) async fn a_killed_zygote_costs_no_task() {
    let mut world = World::open().await;
    let pid = sleeper(&mut world, "before").await;
    let homes = files(parent(pid).expect("a shim"), "cgroup.procs");
    let members = fs::read_to_string(&homes[0]).expect("read");
    let members = members.lines().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw);
    let ours: Vec<Pid> = members.filter(|pid| parent(*pid) == Some(getpid())).collect();
    let [zygote] = ours[..] else { panic!("{ours:?}") };
    kill(zygote, Signal::SIGKILL).expect("killed");
    let (status, output) = world.finish(shell("after", "echo here")).await;
    assert_eq!((status.state, output.as_str()), (TaskState::Finished, "here\n"));
    world.kill("before").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}

pub(crate) async fn a_frozen_task_can_be_killed() {
    let mut world = World::open().await;
    let pid = sleeper(&mut world, "t").await;
    let v1 = files(pid, "freezer.state");
    let (states, word) = match v1.is_empty() {
        true => (files(pid, "cgroup.freeze"), "1"),
        false => (v1, "FROZEN"),
    };
    states.iter().for_each(|state| fs::write(state, word).expect("written"));
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    until_nothing_is_left(&world, pid).await;
    world.close().await;
}

pub(crate) async fn processes_that_are_killed_from_outside_are_a_failed_task() {
    let mut world = World::open().await;
    let pid = sleeper(&mut world, "t").await;
    let members = fs::read_to_string(&files(pid, "cgroup.procs")[0]).expect("read");
    for member in members.lines().filter_map(|pid| pid.parse().ok()) {
        // With the first of them the others go.
        let _ = kill(Pid::from_raw(member), Signal::SIGKILL);
    }
    let status = world.expect(TaskState::Failed).await;
    assert_eq!(status.message.as_deref(), Some("Command terminated with signal Killed"));
    until_nothing_is_left(&world, pid).await;
    world.close().await;
}

/// A place on the disk that takes no byte more.
pub(crate) async fn a_task_whose_sandbox_is_on_a_full_disk_ends_as_it_would() {
    const WITHIN: Duration = Duration::from_secs(20);
    let mut world = World::prepare().await;
    let disk = crate::full::Disk::mount(&world.config.dir);
    world.start().await;
    let command = "while ! test -e full; do sleep 0.05; done; seq 100000; exit 6";
    world.run(shell("t", command)).await;
    let pid = first_process(&world.expect(TaskState::Running).await);
    // Room for a name, which needs none on this disk.
    let ballast = disk.fill();
    fs::File::create(world.sandbox("t").join("full")).expect("an empty file needs no space");
    let told = tokio::time::timeout(WITHIN, world.ended()).await.expect("it ends");
    assert_eq!(told.message.as_deref(), Some("Command exited with status 6"));
    fs::remove_file(ballast).expect("removed");
    until_nothing_is_left(&world, pid).await;
    world.stop().await;
    drop(disk);
    world.close().await;
}
