//! Task groups: containers that share directories and the network, and their fate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::agent::{TellKilling, ToAgent};
use model::confinement::{Confinement, Namespaces, Sharing};
use model::container::{Bounds, ContainerInfo, ContainerKind, SharedVolume, VolumeMode};
use model::id::ExecutorId;
use model::task::{Cgroups, ExecutorInfo, Reason, TaskInfo, TaskState, TaskStatus};

use crate::world::{World, framework, shell};

/// With the group's directory `volume` at `here`.
fn sharing(id: &str, command: &str, mode: VolumeMode) -> TaskInfo {
    let (name, container_path) = ("volume".to_owned(), "here".to_owned());
    let container = ContainerInfo {
        kind: ContainerKind::Mesos,
        image: None,
        volumes: vec![],
        privileged: false,
        tty: false,
        parameters: vec![],
        shared: vec![SharedVolume { name, container_path, mode }],
        bounds: None,
    };
    TaskInfo { container: Some(container), ..shell(id, command) }
}

async fn run(world: &World, tasks: Vec<TaskInfo>) {
    run_in(world, Cgroups::Own, tasks).await;
}

pub(crate) async fn run_in(world: &World, cgroups: Cgroups, tasks: Vec<TaskInfo>) {
    run_as(world, (cgroups, Namespaces::default()), tasks).await;
}

async fn run_as(world: &World, (cgroups, namespaces): (Cgroups, Namespaces), tasks: Vec<TaskInfo>) {
    let executor = ExecutorInfo {
        cgroups,
        namespaces,
        ..ExecutorInfo::plain(
            ExecutorId::new("pod"),
            "cpus:0.1;mem:32".parse().expect("well formed"),
        )
    };
    let (framework, killing) = (framework(), TellKilling::Yes);
    world.master.say(ToAgent::RunGroup { framework, executor, tasks, killing, of: None }).await;
}

/// What each task says next, up to so many statuses of this state.
pub(crate) async fn all(
    world: &mut World,
    count: usize,
    state: TaskState,
) -> BTreeMap<String, TaskStatus> {
    let mut said = BTreeMap::new();
    while said.len() < count {
        let status = world.update().await;
        if status.state == state {
            said.insert(status.task.to_string(), status);
        }
    }
    said
}

/// Listens on an address of this test's own, tells the port in the volume, and answers one caller.
const SERVER: &str = r#"exec perl -MIO::Socket::INET -e '
    my $own = IO::Socket::INET->new(LocalAddr => "127.61.0.1", Listen => 1) or die "listening: $!";
    open(my $file, ">", "here/port.new") or die "writing: $!";
    print $file $own->sockport;
    close($file);
    rename("here/port.new", "here/port");
    my $caller = $own->accept;
    print $caller "hello";
    close($caller);
    sleep 1000;'"#;

const CALLER: &str = r#"while ! test -e here/port; do sleep 0.05; done
    touch here/mine 2>/dev/null && exit 9
    exec perl -MIO::Socket::INET -e '
    open(my $file, "<", "here/port") or die "reading: $!";
    my $port = <$file>;
    my $there = IO::Socket::INET->new(PeerAddr => "127.61.0.1", PeerPort => $port) or die "$!";
    print <$there>;'"#;

pub(crate) async fn a_group_shares_directories_and_the_network() {
    let mut world = World::open().await;
    let server = sharing("server", SERVER, VolumeMode::ReadWrite);
    let caller = sharing("caller", CALLER, VolumeMode::ReadOnly);
    run(&world, vec![server, caller]).await;
    let ended = all(&mut world, 1, TaskState::Finished).await;
    assert!(ended.contains_key("caller"), "{ended:?}");
    assert_eq!(ended["caller"].executor, Some(ExecutorId::new("pod")));

    // What Mesos' clients expect of the executor and of what is in it.
    let state = world.json("/state").await;
    let executor = &state["frameworks"][0]["executors"][0];
    assert_eq!(
        (executor["id"].as_str(), executor["type"].as_str()),
        (Some("pod"), Some("DEFAULT"))
    );
    let directory = executor["directory"].as_str().expect("a path").to_owned();
    let read = |task: &str, file: &str| {
        format!("/files/read?path={directory}/tasks/{task}/{file}&offset=0")
    };
    assert_eq!(world.json(&read("caller", "stdout")).await["data"], "hello");
    let listed = "/files/browse?path=/frameworks/f/executors/pod/runs/latest/tasks/server";
    assert_eq!(world.get(listed).await.0, 200);
    let shared = format!("/files/browse?path={directory}/volumes/volume");
    assert!(world.get(&shared).await.1.contains("port"));

    world.kill("server").await;
    all(&mut world, 1, TaskState::Killing).await;
    all(&mut world, 1, TaskState::Killed).await;
    world.close().await;
}

pub(crate) async fn one_that_fails_takes_its_group_with_it() {
    let mut world = World::open().await;
    let wait = "while ! test -e here/go; do sleep 0.05; done; exit 3";
    let failing = sharing("failing", wait, VolumeMode::ReadOnly);
    let patient = sharing("patient", "sleep 1000", VolumeMode::ReadWrite);
    run(&world, vec![failing, patient]).await;
    let running = all(&mut world, 2, TaskState::Running).await;
    let parent = |task: &str| running[task].container.clone().expect("it runs").parent;
    let pod = parent("failing").expect("it is nested");
    assert_eq!(parent("patient"), Some(pod.clone()));

    // The agent ends and comes back in the middle.
    world.stop().await;
    let held = world.start().await;
    let running = held.iter().filter(|held| held.task.state == TaskState::Running).count();
    assert_eq!(running, 2, "{held:?}");
    let shared = world.sandbox("pod").join("volumes/volume");
    std::fs::write(shared.join("go"), "").expect("written");
    let ended = [world.ended().await, world.ended().await];
    let states: BTreeMap<_, _> =
        ended.iter().map(|status| (status.task.as_str(), status.state)).collect();
    let expected = [("failing", TaskState::Failed), ("patient", TaskState::Killed)];
    assert_eq!(states, BTreeMap::from(expected), "{ended:?}");
    world.close().await;
}

pub(crate) async fn a_group_that_cannot_be_prepared_does_not_stay_in_part() {
    let mut world = World::open().await;
    let mut broken = shell("broken", "true");
    broken.command.user = Some("nobody-knows-me".to_owned());
    run(&world, vec![shell("good", "sleep 1000"), broken]).await;
    let ended = [world.ended().await, world.ended().await];
    let states: BTreeMap<_, _> =
        ended.iter().map(|status| (status.task.as_str(), status.state)).collect();
    let expected = [("broken", TaskState::Failed), ("good", TaskState::Killed)];
    assert_eq!(states, BTreeMap::from(expected), "{ended:?}");
    assert!(world.json("/containers").await.as_array().expect("an array").is_empty());
    world.close().await;
}

/// Takes so much memory, a byte at its end, and says so in the group's directory.
fn taker(id: &str, mib: u64) -> TaskInfo {
    let script = format!(
        r#"exec perl -e 'vec($x, ({mib} << 20) - 1, 8) = 1;
        open(my $file, ">", "here/{id}") or die "writing: $!"; close($file); sleep 1000;'"#
    );
    sharing(id, &script, VolumeMode::ReadWrite)
}

/// Of each of its containers, by its last word: `statistics` of what the agent shows.
async fn statistics(world: &World, name: &str) -> Vec<u64> {
    let all = world.json("/containers").await;
    let all = all.as_array().expect("an array").iter();
    all.map(|one| one["statistics"][name].as_u64().expect("a number")).collect()
}

pub(crate) fn groups_of(world: &World) -> Vec<PathBuf> {
    let parent = world.config.containers.cgroup_parent.trim_start_matches('/').to_owned();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("read");
    let mounts = mounts.lines().filter(|line| line.contains(" - cgroup"));
    let dirs = mounts.filter_map(|line| Some(Path::new(line.split(' ').nth(4)?).join(&parent)));
    let below = dirs.flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
    let groups = below.filter(|entry| entry.path().is_dir() && entry.file_name() != "shims");
    groups.map(|entry| entry.path()).collect()
}

pub(crate) async fn what_one_of_a_group_leaves_of_its_memory_another_may_use() {
    let mut world = World::open().await;
    // Each may have 64 MiB, and their executor 32.
    let idle = sharing("idle", "exec sleep 1000", VolumeMode::ReadWrite);
    run_in(&world, Cgroups::Shared, vec![idle, taker("greedy", 96)]).await;
    all(&mut world, 2, TaskState::Running).await;
    let taken = world.sandbox("pod").join("volumes/volume/greedy");
    world.until("it has taken what it wants", |_| taken.exists()).await;
    assert_eq!(statistics(&world, "mem_limit_bytes").await, [160 << 20; 2]);

    // A new agent finds them as they are.
    world.stop().await;
    world.start().await;
    assert_eq!(statistics(&world, "mem_limit_bytes").await, [160 << 20; 2]);
    let mut used = statistics(&world, "mem_total_bytes").await;
    used.sort_unstable();
    assert!(used[0] < 32 << 20 && 96 << 20 < used[1], "each is counted on its own: {used:?}");
    world.kill("idle").await;
    let ended = [world.ended().await, world.ended().await];
    assert!(ended.iter().all(|status| status.state == TaskState::Killed), "{ended:?}");
    let (groups, none) = (|| groups_of(&world), Vec::<PathBuf>::new());
    world.until("no control group stays", |_| groups() == none).await;
    world.close().await;
}

pub(crate) async fn who_takes_what_a_group_has_together_is_told_so_and_ends_the_group() {
    let mut world = World::open().await;
    let idle = sharing("idle", "exec sleep 1000", VolumeMode::ReadWrite);
    run_in(&world, Cgroups::Shared, vec![idle, taker("greedy", 300)]).await;
    let ended = [world.ended().await, world.ended().await];
    let ended: BTreeMap<_, _> = ended.iter().map(|status| (status.task.as_str(), status)).collect();
    let (greedy, idle) = (ended["greedy"], ended["idle"]);
    assert_eq!(
        (greedy.state, greedy.reason),
        (TaskState::Failed, Some(Reason::ContainerLimitationMemory))
    );
    let message = greedy.message.as_deref().expect("a cause");
    assert!(message.contains("Requested: 160MB"), "{message}");
    assert_eq!(idle.state, TaskState::Killed);
    world.close().await;
}

pub(crate) async fn who_is_killed_ends_before_the_others_of_its_group() {
    let mut world = World::open().await;
    // It can only end well while the other still serves it.
    let last = "trap 'test -e here/gone || echo served > here/last; exit 0' TERM
        touch here/ready; while :; do sleep 0.05; done";
    let beside = "trap 'touch here/gone; exit 0' TERM; while :; do sleep 0.05; done";
    let served = sharing("served", last, VolumeMode::ReadWrite);
    let beside = sharing("beside", beside, VolumeMode::ReadWrite);
    run(&world, vec![served, beside]).await;
    all(&mut world, 2, TaskState::Running).await;
    let shared = world.sandbox("pod").join("volumes/volume");
    world.until("it listens", |_| shared.join("ready").exists()).await;
    world.kill("served").await;
    let ended = [world.ended().await, world.ended().await];
    let names: Vec<_> = ended.iter().map(|status| status.task.as_str()).collect();
    assert_eq!(names, ["served", "beside"], "{ended:?}");
    assert!(ended.iter().all(|status| status.state == TaskState::Killed), "{ended:?}");
    assert_eq!(std::fs::read_to_string(shared.join("last")).expect("written"), "served\n");
    world.close().await;
}

/// Has the process numbers and the shared memory of its executor.
fn close(id: &str, command: &str) -> TaskInfo {
    let parent = Some(Sharing::Parent);
    let confinement = Confinement { pid: parent, ipc: parent, ..Confinement::default() };
    let bounds = Some(Box::new(Bounds { confinement, ..Bounds::default() }));
    let task = sharing(id, command, VolumeMode::ReadWrite);
    let container = task.container.map(|container| ContainerInfo { bounds, ..container });
    TaskInfo { container, ..task }
}

pub(crate) async fn tasks_of_a_group_see_each_others_processes_and_memory_if_they_ask_for_it() {
    let mut world = World::open().await;
    let look =
        "readlink /proc/self/ns/pid /proc/self/ns/ipc; df -k --output=size /dev/shm | tail -1";
    let first = format!("({look}) > here/first; echo hello > /dev/shm/word; exec sleep 1000");
    let second = format!(
        "until test -e /dev/shm/word; do sleep 0.05; done; ({look}) > here/second; sleep 1000"
    );
    let apart = format!("({look}) > here/apart; sleep 1000");
    let ipc = Some(Sharing::Private);
    let own = Confinement { ipc, ..Confinement::default() };
    let mut apart = close("apart", &apart);
    let container = apart.container.as_mut().expect("it has one");
    container.bounds = Some(Box::new(Bounds { confinement: own, ..Bounds::default() }));
    let namespaces = Namespaces { pid: None, ipc, shm_bytes: Some(2 << 20) };
    let tasks = vec![close("first", &first), close("second", &second), apart];
    run_as(&world, (Cgroups::Shared, namespaces), tasks).await;
    all(&mut world, 3, TaskState::Running).await;
    let shared = world.sandbox("pod").join("volumes/volume");
    let read = |name: &str| std::fs::read_to_string(shared.join(name)).unwrap_or_default();
    let are_there = |names: &[&str]| names.iter().all(|name| read(name).lines().count() == 3);
    world.until("all have looked", |_| are_there(&["first", "second", "apart"])).await;
    assert_eq!(read("first"), read("second"));
    assert_eq!(read("first").lines().last().map(str::trim), Some("2048"));
    let others: Vec<_> = read("apart").lines().map(String::from).collect();
    assert!(others.iter().all(|line| !read("first").contains(line.as_str())), "{others:?}");

    // Also when the agent has been replaced meanwhile.
    world.stop().await;
    world.start().await;
    let third = format!("({look}) > here/third; sleep 1000");
    run_as(&world, (Cgroups::Shared, namespaces), vec![close("third", &third)]).await;
    world.until("it has looked", |_| are_there(&["third"])).await;
    assert_eq!(read("first"), read("third"));
    for id in ["second", "third"] {
        world.kill(id).await;
    }
    for _ in 0..4 {
        world.ended().await;
    }
    let left = || {
        let dir = std::fs::read_dir(&world.config.containers.run_dir).into_iter().flatten();
        dir.flatten().map(|entry| entry.path()).chain(groups_of(&world)).collect::<Vec<_>>()
    };
    world.until("nothing of them stays", |_| left().is_empty()).await;
    world.close().await;
}
