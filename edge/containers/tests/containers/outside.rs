//! What others do to a container behind our back.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use containers::spec::{Exec, Spec};
use containers::{Exited, Found, FoundState};
use model::task::Reason;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::process::{Pid, Signal};

use crate::world::{PATIENCE, World, cgroups, exec, shell, shims, wait_until};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
/// Enough for those that do not hang, even on a busy machine.
const SHIM_PATIENCE: Duration = Duration::from_secs(2);

/// Its group in every hierarchy.
fn groups(world: &World, spec: &Spec) -> Vec<PathBuf> {
    cgroups(&format!("{}/{}", world.config.cgroup_parent, spec.container))
}

fn members(group: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// Returns once nobody in the container moves any more.
async fn freeze(world: &World, spec: &Spec) {
    let (v1, v2) = ("freezer.state", "cgroup.freeze");
    let groups = groups(world, spec);
    let find = |file: &str| groups.iter().map(|group| group.join(file)).find(|file| file.exists());
    match find(v1) {
        Some(state) => {
            // A process that is just being forked may miss the first call.
            let is = || {
                fs::write(&state, "FROZEN").expect("written");
                fs::read_to_string(&state).unwrap_or_default()
            };
            wait_until("it is frozen", || is() == "FROZEN\n", is).await;
        }
        None => fs::write(find(v2).expect("one of the two"), "1").expect("written"),
    }
}

#[tokio::test]
async fn a_frozen_container_is_thawed_to_be_stopped() {
    let mut world = World::open().await;
    let spec = world.spec(shell("sleep 600"));
    world.launch(&spec).await;
    freeze(&world, &spec).await;
    world.containers().stop(&spec.container, Duration::from_secs(600)).await.expect("asked");
    assert_eq!(world.end_of(&spec).await.wait_status, SIGTERM);
    world.containers().remove(&spec.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_frozen_container_can_be_killed_and_goes_with_its_shim() {
    let mut world = World::open().await;
    let (killed, lost) = (world.spec(shell("sleep 600")), world.spec(shell("sleep 600")));
    world.launch(&lost).await;
    let shim = shims(&world.config.cgroup_parent).remove(0);
    world.launch(&killed).await;
    freeze(&world, &killed).await;
    world.kill(&killed).await;
    freeze(&world, &lost).await;
    let pid = shim.parse().ok().and_then(Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, Signal::KILL).expect("it is there");
    let ended = world.end_of(&lost).await;
    assert_eq!(ended.limitation.map(|(reason, _)| reason), Some(Reason::ExecutorTerminated));
    world.containers().remove(&lost.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn who_wants_to_enter_a_frozen_container_is_told() {
    let mut world = World::open().await;
    world.close().await;
    world.config.shim_patience = SHIM_PATIENCE;
    world.reopen().await;
    let spec = world.spec(shell("sleep 600"));
    world.launch(&spec).await;
    freeze(&world, &spec).await;
    let wanted = Exec {
        run: exec(&["true"]),
        environment: vec![],
        user: None,
        working_dir: None,
        terminal: None,
    };
    let refused = world.containers().exec(&spec.container, wanted).await.expect_err("it is frozen");
    assert_eq!(refused.to_string(), "the container does not answer; is it frozen?");
    world.kill(&spec).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_container_whose_processes_are_killed_from_outside_was_killed() {
    let mut world = World::open().await;
    let spec = world.spec(shell("sleep 600 & sleep 600"));
    world.launch(&spec).await;
    for pid in members(&groups(&world, &spec)[0]) {
        // Of those that go with process 1 some are gone by now.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    let ended = world.end_of(&spec).await;
    assert_eq!((ended.wait_status, ended.limitation), (SIGKILL, None));
    world.containers().remove(&spec.container).await.expect("removed");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_container_without_its_groups_ends_as_it_would_and_can_be_stopped() {
    let mut world = World::open().await;
    let ending = world.spec(shell("while [ ! -e go ]; do sleep 0.02; done; exit 4"));
    let stopped = world.spec(shell("exec sleep 600"));
    for spec in [&ending, &stopped] {
        world.launch(spec).await;
        for group in groups(&world, spec) {
            let above = group.ancestors().map(|dir| dir.join("cgroup.procs"));
            let top = above.take_while(|procs| procs.exists()).last().expect("its own");
            wait_until("the group is gone", || removed(&group, &top), || format!("{group:?}"))
                .await;
        }
    }
    fs::write(ending.sandbox.join("go"), "").expect("written");
    assert_eq!(world.end_of(&ending).await.wait_status, 4 << 8);
    world.containers().stop(&stopped.container, Duration::from_secs(600)).await.expect("asked");
    assert_eq!(world.end_of(&stopped).await.wait_status, SIGTERM);
    for spec in [&ending, &stopped] {
        world.containers().remove(&spec.container).await.expect("removed");
    }
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn groups_that_are_removed_before_anybody_is_in_them_are_made_again() {
    const REMOVED_MIN: usize = 3;
    let mut world = World::open().await;
    let first = world.spec(shell("true"));
    world.run(&first).await;
    let (removed, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let remove = {
        let (removed, done) = (Arc::clone(&removed), Arc::clone(&done));
        let all = cgroups(&world.config.cgroup_parent);
        move || {
            while !done.load(Ordering::Relaxed) {
                let inside = all.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten());
                let paths = inside.flatten().map(|entry| entry.path());
                let groups = paths.filter(|path| !path.ends_with("shims"));
                let gone = groups.filter(|group| fs::remove_dir(group).is_ok()).count();
                removed.fetch_add(gone, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    };
    let remover = std::thread::spawn(remove);
    let deadline = Instant::now() + PATIENCE;
    while removed.load(Ordering::Relaxed) < REMOVED_MIN && Instant::now() < deadline {
        let spec = world.spec(shell("exit 5"));
        assert_eq!(world.run(&spec).await.wait_status, 5 << 8);
    }
    done.store(true, Ordering::Relaxed);
    remover.join().expect("it does not panic");
    assert!(removed.load(Ordering::Relaxed) >= REMOVED_MIN, "nothing was removed in time");
    world.check_nothing_is_left().await;
}

/// A run directory on a disk of its own, which is full once the container runs. Nobody hears of the end when it comes.
#[tokio::test]
async fn how_a_container_ended_is_known_though_there_was_no_space_to_write_it_down() {
    let mut world = World::open().await;
    world.close().await;
    let disk = Disk::mount(&world.config.run_dir);
    world.reopen().await;
    let spec = world.spec(shell("while [ ! -e go ]; do sleep 0.02; done; exit 4"));
    world.launch(&spec).await;
    disk.fill();
    let refused = world.spec(shell("true"));
    let cause = world.containers().launch(refused).await.expect_err("it has no room").to_string();
    assert!(cause.contains("No space left"), "{cause}");
    world.close().await;
    fs::write(spec.sandbox.join("go"), "").expect("written");
    let parent = world.config.cgroup_parent.clone();
    wait_until("the shim has ended", || shims(&parent).is_empty(), String::new).await;
    let found = world.reopen().await;
    let exited = Exited { wait_status: 4 << 8, limitation: None };
    let state = FoundState::Exited(exited);
    assert_eq!(found, [Found { container: spec.container.clone(), state }]);
    world.containers().remove(&spec.container).await.expect("removed");
    world.close().await;
    drop(disk);
    world.check_nothing_is_left().await;
}

/// A small one, as long as this lives.
struct Disk(PathBuf);

impl Disk {
    const BYTES: usize = 4 << 20;

    fn mount(at: &Path) -> Disk {
        fs::create_dir_all(at).expect("made");
        let size = format!("size={}", Disk::BYTES);
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
            .expect("mounted");
        Disk(at.to_owned())
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("ballast")).expect("made");
        while file.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).expect("unmounted");
    }
}

/// Whoever is in the group goes elsewhere first.
fn removed(group: &Path, elsewhere: &Path) -> bool {
    for pid in members(group) {
        // It may have ended just now.
        let _ = fs::write(elsewhere, pid.as_raw_nonzero().to_string());
    }
    fs::remove_dir(group).is_ok()
}
