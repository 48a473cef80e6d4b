//! Containers that have namespaces in common.

use std::path::PathBuf;
use std::time::Duration;

use containers::spec::{ImageConfig, Root, Shares, Spec};
use model::confinement::{Capabilities, Confinement, Rights, Sharing};
use model::id::ContainerId;

use crate::image::layers;
use crate::world::{World, cgroups, shell, wait_until};

/// One of a group that shares process numbers and memory, of 1 MiB.
fn member(world: &mut World, group: &str, text: &str) -> Spec {
    let parent = Some(Sharing::Parent);
    let confinement = Confinement { pid: parent, ipc: parent, ..Confinement::default() };
    let group = ContainerId::new(group);
    let shares = Some(Shares { group, pid: true, ipc: true, shm_bytes: Some(1 << 20), net: false });
    Spec { confinement, shares, ..world.spec(shell(text)) }
}

/// Says which namespaces it has and whether it sees the first one, and its file.
const LOOK: &str = "readlink /proc/self/ns/ipc /proc/self/ns/pid
    grep -lzx '[4]711007' /proc/[0-9]*/cmdline | wc -l
    cat /dev/shm/file 2>/dev/null || echo none
    df -k --output=size /dev/shm | tail -1";

const FIRST: &str = "readlink /proc/self/ns/ipc /proc/self/ns/pid; echo here > /dev/shm/file
    exec sleep 4711007";

async fn first(world: &mut World, group: &str) -> (Spec, Vec<String>) {
    let spec = member(world, group, FIRST);
    world.launch(&spec).await;
    let said = ready(world, &spec).await;
    (spec, said)
}

/// What it has said, once that has arrived and it is the program that others look for.
async fn ready(world: &World, spec: &Spec) -> Vec<String> {
    let group = format!("{}/{}", world.config.cgroup_parent, spec.container);
    let is_it = |pid: &str| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line == b"sleep\x004711007\0")
    };
    let runs = || {
        let of = |dir: &PathBuf| std::fs::read_to_string(dir.join("cgroup.procs"));
        let all = cgroups(&group);
        all.iter().filter_map(|dir| of(dir).ok()).any(|pids| pids.lines().any(is_it))
    };
    wait_until("it runs", runs, || world.log(spec, "stderr")).await;
    let said = || world.log(spec, "stdout");
    wait_until("it names both", || said().lines().count() == 2 && said().ends_with('\n'), said)
        .await;
    said().lines().map(String::from).collect()
}

async fn look(world: &mut World, spec: &Spec) -> Vec<String> {
    assert_eq!(world.run(spec).await.wait_status, 0);
    world.log(spec, "stdout").split_whitespace().map(String::from).collect()
}

#[tokio::test]
async fn those_of_a_group_see_each_others_processes_and_memory_and_nobody_elses() {
    let mut world = World::open().await;
    let (lasting, own) = first(&mut world, "a").await;
    let spec = member(&mut world, "a", LOOK);
    let seen = look(&mut world, &spec).await;
    assert_eq!(seen[..2], own[..]);
    assert_eq!(seen[2..], ["1", "here", "1024"]);
    let other = member(&mut world, "b", LOOK);
    let seen = look(&mut world, &other).await;
    assert!(seen[0] != own[0] && seen[1] != own[1], "another group has its own: {seen:?}");
    assert_eq!(seen[2..4], ["0", "none"]);
    let machine = std::fs::read_link("/proc/self/ns/pid").expect("read").display().to_string();
    assert_ne!(own[1], machine);
    world.kill(&lasting).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn one_that_ends_takes_its_own_processes_with_it_and_no_others() {
    let mut world = World::open().await;
    let (lasting, _) = first(&mut world, "a").await;
    let text = "setsid sh -c 'sleep 4711008; true' & echo ready; exec sleep 1000";
    let leaving = member(&mut world, "a", text);
    world.launch(&leaving).await;
    world.wait_for_output(&leaving, "ready\n").await;
    world.containers().stop(&leaving.container, Duration::from_secs(60)).await.expect("asked");
    assert_eq!(world.end_of(&leaving).await.wait_status, 15, "it is asked to end");
    world.containers().remove(&leaving.container).await.expect("removed");
    assert_eq!(world.containers().usage(&lasting.container).expect("it lives").processes, 2);
    world.kill(&lasting).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn namespaces_that_are_shared_outlive_the_daemon_and_go_with_the_last() {
    let mut world = World::open().await;
    let (lasting, own) = first(&mut world, "a").await;
    let found = world.reopen().await;
    assert_eq!(found.len(), 1, "what keeps them is nobody's business: {found:?}");
    let spec = member(&mut world, "a", LOOK);
    assert_eq!(look(&mut world, &spec).await[..3], [own[0].as_str(), own[1].as_str(), "1"]);
    world.containers().stop(&lasting.container, Duration::ZERO).await.expect("asked");
    assert_eq!(world.next_event().await.container, lasting.container, "it is the only one");
    world.containers().remove(&lasting.container).await.expect("removed");
    world.check_nothing_is_left().await;

    // A daemon that is gone before it could end them.
    let (lasting, _) = first(&mut world, "b").await;
    world.close().await;
    std::fs::remove_file(world.config.run_dir.join(lasting.container.as_str()).join("keeper"))
        .expect("as if nobody had it");
    assert_eq!(world.reopen().await.len(), 1);
    world.end_of(&lasting).await;
    world.containers().remove(&lasting.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn what_lies_in_a_container_may_have_its_namespaces() {
    let mut world = World::open().await;
    let outer = world.spec(shell(FIRST));
    world.launch(&outer).await;
    let own = ready(&world, &outer).await;
    let parent = Some(Sharing::Parent);
    let within = |name: &str, confinement: Confinement, spec: Spec| {
        let container = ContainerId::new(format!("{}.{name}", outer.container));
        Spec { container, confinement, ..spec }
    };
    let both = Confinement { pid: parent, ipc: parent, ..Confinement::default() };
    let spec = within("both", both, world.spec(shell(LOOK)));
    let seen = look(&mut world, &spec).await;
    assert_eq!(seen[..2], own[..]);
    assert_eq!(seen[2..4], ["1", "here"]);
    let spec = within("neither", Confinement::default(), world.spec(shell(LOOK)));
    let seen = look(&mut world, &spec).await;
    assert!(seen[0] != own[0] && seen[1] != own[1], "{seen:?}");
    world.kill(&outer).await;
    let spec = within("late", Confinement { pid: parent, ..Confinement::default() }, spec);
    let refused = world.containers().launch(spec).await.expect_err("nobody is there");
    assert!(refused.cause.contains("has ended"), "{}", refused.cause);
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn containers_with_an_image_share_as_well_and_what_keeps_it_is_no_way_out() {
    let mut world = World::open().await;
    let (lasting, own) = first(&mut world, "a").await;
    let layers = layers(&world);
    let image = |spec: Spec, rights: Rights| {
        let confinement = Confinement { rights, ..spec.confinement.clone() };
        let root = Root::Image { layers: layers.clone(), config: ImageConfig::default() };
        Spec { root, confinement, ..spec }
    };
    let text = "ls -l /proc/self/ns/ | grep -o 'ipc:.*\\|pid:.*' | tail -n 3; cat /dev/shm/file; grep -lzx '[4]711007' /proc/[0-9]*/cmdline | grep -c .
        ls /proc/1/root/ 2>&1; kill -9 1; echo still here";
    let spec = image(member(&mut world, "a", text), Rights::Usual);
    assert_eq!(world.run(&spec).await.wait_status, 0, "{}", world.log(&spec, "stderr"));
    let output = world.log(&spec, "stdout");
    assert!(output.contains(&own[0]) && output.contains(&own[1]), "{output}");
    assert!(output.contains("\nhere\n1\n"), "{output}");
    assert!(output.contains("Permission denied") && output.contains("still here"), "{output}");

    // Even one that may look into the processes of others finds nothing there.
    let add = ["SYS_PTRACE"].map(|name| name.parse::<Capabilities>().expect("known"))[0];
    let rights = Rights::Changed { add, drop: Capabilities::default() };
    let look = "ls /proc/1/root/ /proc/1/root/etc /proc/1/root/mnt/mesos/sandbox; echo end";
    let spec = image(member(&mut world, "a", look), rights);
    assert_eq!(world.run(&spec).await.wait_status, 0, "{}", world.log(&spec, "stderr"));
    let output = world.log(&spec, "stdout");
    assert!(!output.contains("usr") && !output.contains("home"), "{output}");
    assert!(output.contains("/proc/1/root/mnt/mesos/sandbox:\nend\n"), "{output}");
    world.kill(&lasting).await;
    world.check_nothing_is_left().await;
}
