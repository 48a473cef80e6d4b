//! Containers come and go for a long time, in every way in which they can, and nothing of them is left.
//!
//! `SOAK_CYCLES=24000 cargo test -p containers --test soak -- --nocapture` as root, for more than what every test run does.
#![allow(clippy::print_stdout)]

#[path = "../containers/world.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod world;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use containers::Containers;
use containers::policy::IdMap;
use containers::spec::{ImageConfig, Mount, Root, Shares, Source, Spec};
use futures::future::join_all;
use model::confinement::Sharing;
use model::container::{Volume, VolumeMode};
use model::id::ContainerId;
use model::task::Reason;

use crate::world::{World, cgroups, exec, shell, shims, spares, wait_until, zygotes};

/// In every test run.
const CYCLES_DEFAULT: usize = 500;
/// How many of each kind there are at a time.
const AT_ONCE: usize = 2;
/// Four shims that were made ahead, and an init of each.
const SPARES: usize = 8;
const OOM_BYTES: u64 = 16 * 1024 * 1024;

/// How a container comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ends,
    EndsOnTheHost,
    IsKilled,
    IsTerminatedOnTheHost,
    HasNoProgram,
    HasNoVolume,
    RunsOutOfMemory,
    LosesItsShim,
    LosesItsInit,
    HasItsOwnNetwork,
    IsInAPool,
    SharesNamespaces,
    HasItsOwnUsers,
    HasAnImageAsVolume,
}

const KINDS: [Kind; 14] = [
    Kind::Ends,
    Kind::EndsOnTheHost,
    Kind::IsKilled,
    Kind::IsTerminatedOnTheHost,
    Kind::HasNoProgram,
    Kind::HasNoVolume,
    Kind::RunsOutOfMemory,
    Kind::LosesItsShim,
    Kind::LosesItsInit,
    Kind::HasItsOwnNetwork,
    Kind::IsInAPool,
    Kind::SharesNamespaces,
    Kind::HasItsOwnUsers,
    Kind::HasAnImageAsVolume,
];

impl Kind {
    fn has_image(self) -> bool {
        match self {
            Kind::Ends
            | Kind::IsKilled
            | Kind::HasNoProgram
            | Kind::LosesItsShim
            | Kind::HasItsOwnUsers => true,
            Kind::EndsOnTheHost
            | Kind::IsTerminatedOnTheHost
            | Kind::HasNoVolume
            | Kind::RunsOutOfMemory
            | Kind::LosesItsInit
            | Kind::HasItsOwnNetwork
            | Kind::IsInAPool
            | Kind::SharesNamespaces
            | Kind::HasAnImageAsVolume => false,
        }
    }

    fn starts(self) -> bool {
        !matches!(self, Kind::HasNoProgram | Kind::HasNoVolume)
    }

    /// What ends it, if it is not the program itself or who asked for its end.
    fn limitation(self) -> Option<Reason> {
        match self {
            Kind::RunsOutOfMemory => Some(Reason::ContainerLimitationMemory),
            Kind::LosesItsShim => Some(Reason::ExecutorTerminated),
            Kind::Ends
            | Kind::EndsOnTheHost
            | Kind::IsKilled
            | Kind::IsTerminatedOnTheHost
            | Kind::HasNoProgram
            | Kind::HasNoVolume
            | Kind::LosesItsInit
            | Kind::HasItsOwnNetwork
            | Kind::IsInAPool
            | Kind::SharesNamespaces
            | Kind::HasItsOwnUsers
            | Kind::HasAnImageAsVolume => None,
        }
    }

    fn spec(self, world: &mut World, image: &Path) -> Spec {
        let run = match self {
            Kind::Ends
            | Kind::EndsOnTheHost
            | Kind::HasItsOwnNetwork
            | Kind::IsInAPool
            | Kind::SharesNamespaces
            | Kind::HasItsOwnUsers
            | Kind::HasAnImageAsVolume => shell("echo done; echo gone >&2; exit 3"),
            Kind::IsKilled
            | Kind::IsTerminatedOnTheHost
            | Kind::LosesItsShim
            | Kind::LosesItsInit => shell("sleep 1000 & sleep 1000"),
            Kind::HasNoProgram => exec(&["/no/such/program"]),
            Kind::HasNoVolume => shell("true"),
            Kind::RunsOutOfMemory => shell("exec tail /dev/zero"),
        };
        let mut spec = world.spec(run);
        if self.has_image() {
            let config = ImageConfig::default();
            spec.root = Root::Image { layers: vec![image.to_owned()], config };
        }
        self.change(&mut spec, image);
        spec
    }

    fn change(self, spec: &mut Spec, image: &Path) {
        let confinement = &mut spec.confinement;
        match self {
            Kind::RunsOutOfMemory => spec.limits.memory_bytes_max = Some(OOM_BYTES),
            Kind::HasNoVolume => {
                let (host_path, container_path) = ("/no/such/volume".into(), "here".into());
                let mode = VolumeMode::ReadOnly;
                spec.volumes = vec![Volume { container_path, host_path, mode }];
            }
            Kind::HasItsOwnNetwork => confinement.net = Some(Sharing::Private),
            Kind::IsInAPool => spec.pool = Some(ContainerId::new("pool")),
            Kind::SharesNamespaces => {
                let (group, parent) = (ContainerId::new("group"), Some(Sharing::Parent));
                (confinement.pid, confinement.ipc) = (parent, parent);
                let shares = Shares { group, pid: true, ipc: true, shm_bytes: None, net: true };
                spec.shares = Some(shares);
            }
            Kind::HasItsOwnUsers => confinement.users = Some(Sharing::Private),
            Kind::HasAnImageAsVolume => {
                let (container_path, mode) = ("files".into(), VolumeMode::ReadWrite);
                let source = Source::Layers(vec![image.to_owned()]);
                spec.mounts = vec![Mount { container_path, mode, source }];
            }
            Kind::Ends
            | Kind::EndsOnTheHost
            | Kind::IsKilled
            | Kind::IsTerminatedOnTheHost
            | Kind::HasNoProgram
            | Kind::LosesItsShim
            | Kind::LosesItsInit => {}
        }
    }
}

/// All that could be left.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    mounts: BTreeSet<String>,
    groups: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    shims: Vec<String>,
    spares: usize,
    /// Each made by somebody who still is in it.
    namespaces: usize,
    open_by_daemon: usize,
    open_by_zygote: usize,
}

impl Left {
    /// The daemon may have been about to close something when it was looked at before.
    fn exceeds(self, before: &Left) -> bool {
        let open_by_daemon = self.open_by_daemon.max(before.open_by_daemon);
        Left { open_by_daemon, ..self } != *before
    }

    fn look(world: &World) -> Left {
        let parent = &world.config.cgroup_parent;
        let zygote = zygotes(parent).into_iter().next().expect("a zygote");
        let made_ahead = spares(parent);
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").expect("read");
        let own = world.path().display().to_string();
        let links = |pid: &String| {
            let dir = PathBuf::from(format!("/proc/{pid}/ns"));
            ["mnt", "pid", "ipc", "uts", "net"].map(|kind| std::fs::read_link(dir.join(kind)).ok())
        };
        let namespaces: BTreeSet<_> = made_ahead.iter().flat_map(links).collect();
        Left {
            mounts: mountinfo.lines().filter(|l| l.contains(&own)).map(String::from).collect(),
            groups: cgroups(parent).iter().flat_map(|dir| below(dir, true)).collect(),
            files: below(world.path(), false),
            shims: shims(parent),
            spares: made_ahead.len(),
            namespaces: namespaces.len(),
            open_by_daemon: below(Path::new("/proc/self/fd"), false).len(),
            open_by_zygote: below(&PathBuf::from(format!("/proc/{zygote}/fd")), false).len(),
        }
    }
}

fn below(dir: &Path, dirs_only: bool) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir {
            all.append(&mut below(&entry.path(), dirs_only));
        }
        if is_dir || !dirs_only {
            all.insert(entry.path());
        }
    }
    all
}

#[tokio::test]
async fn nothing_leaks_however_containers_come_and_go() {
    let cycles = std::env::var("SOAK_CYCLES").map_or(CYCLES_DEFAULT, |n| n.parse().expect("n"));
    let mut world = World::open().await;
    world.config.policy.user_ids = Some(IdMap { first: 200_000, count: 65_536 });
    world.reopen().await;
    let image = world.path().join("image");
    for program in ["/bin/sh", "/bin/sleep"] {
        copy_with_libraries(program, &image);
    }
    // What is made once, like the threads that work for the daemon, is there afterwards.
    round(&mut world, &image).await;
    settled(&world).await;
    let before = Left::look(&world);
    let (begun, memory) = (Instant::now(), memory_of_zygote(&world));
    let rounds = cycles.div_ceil(KINDS.len() * AT_ONCE);
    for _ in 0..rounds {
        round(&mut world, &image).await;
    }
    let took = begun.elapsed();
    settled(&world).await;
    let is_all = || !Left::look(&world).exceeds(&before);
    wait_until("nothing leaks", is_all, || format!("{before:#?}\n{:#?}", Left::look(&world))).await;
    let count = rounds * KINDS.len() * AT_ONCE;
    println!("{count} containers in {took:?}; zygote: {memory}, then {}", memory_of_zygote(&world));
    world.close().await;
    assert_eq!(cgroups(&world.config.cgroup_parent), Vec::<PathBuf>::new());
}

/// Nothing is under way, and the zygote has made ahead what it makes ahead.
async fn settled(world: &World) {
    let parent = &world.config.cgroup_parent;
    let is_settled = || shims(parent).is_empty() && spares(parent).len() == SPARES;
    let instead = || format!("{:?} {:?}", shims(parent), spares(parent));
    wait_until("all shims have gone", is_settled, instead).await;
}

fn memory_of_zygote(world: &World) -> String {
    let zygote = zygotes(&world.config.cgroup_parent).into_iter().next().expect("a zygote");
    let text = std::fs::read_to_string(format!("/proc/{zygote}/status")).expect("read");
    text.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default().replace('\t', "")
}

/// Some of each kind, all at once, from their start until they are forgotten.
async fn round(world: &mut World, image: &Path) {
    let mut all = Vec::new();
    for kind in KINDS.into_iter().cycle().take(KINDS.len() * AT_ONCE) {
        all.push((kind, kind.spec(world, image)));
    }
    let runtime = world.containers();
    let started = join_all(all.iter().map(|(kind, spec)| async move {
        let launched = runtime.launch(spec.clone()).await;
        assert_eq!(launched.is_ok(), kind.starts(), "{kind:?}: {launched:?}");
        let Ok(started) = launched else { return };
        match kind {
            Kind::IsKilled => stop(runtime, spec, Duration::ZERO).await,
            Kind::IsTerminatedOnTheHost => stop(runtime, spec, Duration::from_secs(60)).await,
            Kind::LosesItsInit => kill(started.pid),
            Kind::LosesItsShim => kill(parent_of(started.pid)),
            Kind::Ends
            | Kind::EndsOnTheHost
            | Kind::RunsOutOfMemory
            | Kind::HasItsOwnNetwork
            | Kind::IsInAPool
            | Kind::SharesNamespaces
            | Kind::HasItsOwnUsers
            | Kind::HasAnImageAsVolume => {}
            Kind::HasNoProgram | Kind::HasNoVolume => unreachable!("it did not start"),
        }
    }));
    started.await;
    for _ in 0..all.iter().filter(|(kind, _)| kind.starts()).count() {
        let event = world.next_event().await;
        let of = all.iter().find(|(_, spec)| spec.container == event.container);
        let (kind, _) = of.expect("one of this round");
        let limitation = event.exited.limitation.map(|(reason, _)| reason);
        let expected = kind.limitation();
        assert_eq!(limitation, expected, "{kind:?}: {}", event.exited.wait_status);
    }
    let runtime = world.containers();
    join_all(all.iter().map(|(_, spec)| async move {
        runtime.remove(&spec.container).await.expect("removed");
        // Sandboxes are the agent's to remove.
        std::fs::remove_dir_all(&spec.sandbox).expect("removed");
    }))
    .await;
}

async fn stop(runtime: &Containers, spec: &Spec, grace: Duration) {
    runtime.stop(&spec.container, grace).await.expect("asked");
}

fn parent_of(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent.expect("a parent").trim().parse().expect("a number")
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is there");
}

fn copy_with_libraries(program: &str, root: &Path) {
    let linked = Command::new("ldd").arg(program).output().expect("ldd runs");
    let linked = String::from_utf8(linked.stdout).expect("text");
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain([program]) {
        let target = root.join(file.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("made");
        std::fs::copy(file, target).expect("copied");
    }
}
