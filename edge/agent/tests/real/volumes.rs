//! Persistent volumes: made, used, kept and removed.

use std::os::unix::fs::MetadataExt;

use model::agent::ToAgent;
use model::container::{ContainerInfo, ContainerKind, Volume, VolumeMode};
use model::id::{OperationId, Role, Uuid};
use model::operation::{Conversion, OperationState, OperationStatus};
use model::resources::{
    Amount, DiskInfo, DiskKind, DiskSource, DiskVolume, Labels, Persistence, Reservation,
    ReservationKind, Resource, ResourceName, Resources, Scalar,
};
use model::task::{TaskInfo, TaskState};

use crate::world::{World, framework, shell};

fn space() -> Resource {
    let (kind, role, labels) = (ReservationKind::Dynamic, Role::new("db/eu"), Labels::new());
    let reservations = vec![Reservation { kind, role, principal: None, labels }];
    let amount = Amount::Scalar(Scalar::whole(64));
    Resource { reservations, ..Resource::plain(ResourceName::Disk, amount) }
}

fn volume(mode: VolumeMode) -> Resource {
    let persistence = Some(Persistence { id: "v1".to_owned(), principal: None });
    let volume = DiskVolume { container_path: "data".to_owned(), mode, host_path: None };
    let disk = DiskInfo { persistence, volume: Some(volume), source: None };
    Resource { disk: Some(Box::new(disk)), ..space() }
}

pub(crate) fn on_volume(id: &str, mode: VolumeMode, command: &str) -> TaskInfo {
    let mut task = shell(id, command);
    task.resources.add(&Resources::new([volume(mode)]));
    task
}

pub(crate) async fn world() -> World {
    let mut world = World::prepare().await;
    let resources = "cpus:4;mem:1024;disk:100;ports:[31000-31010]";
    world.config.resources = Some(resources.parse().expect("well formed"));
    world.start().await;
    world
}

async fn convert(world: &mut World, serial: u64, conversion: Conversion) -> OperationStatus {
    let (operation, id) = (Uuid::derive(1, serial), Some(OperationId::new(format!("o{serial}"))));
    let framework = Some(framework());
    let version = None;
    world.master.say(ToAgent::Convert { operation, framework, id, conversion, version }).await;
    world.operated(operation).await.latest
}

pub(crate) async fn make(world: &mut World) -> OperationStatus {
    let reserve = Conversion::Reserve { source: vec![], resources: vec![space()] };
    assert_eq!(convert(world, 1, reserve).await.state, OperationState::Finished);
    convert(world, 2, Conversion::Create { volumes: vec![volume(VolumeMode::ReadWrite)] }).await
}

pub(crate) async fn destroy(world: &mut World) -> OperationStatus {
    let destroy = Conversion::Destroy { volumes: vec![volume(VolumeMode::ReadWrite)] };
    convert(world, 3, destroy).await
}

pub(crate) async fn a_volume_outlives_tasks_and_agents_and_goes_with_all_that_is_in_it() {
    let mut world = world().await;
    assert_eq!(make(&mut world).await.state, OperationState::Finished);
    let write = on_volume("write", VolumeMode::ReadWrite, "mkdir data/deep; echo 1 > data/deep/f");
    assert_eq!(world.finish(write).await.0.state, TaskState::Finished);
    let read = |id| on_volume(id, VolumeMode::ReadWrite, "cat data/deep/f");
    assert_eq!(world.finish(read("read")).await.1, "1\n");
    world.stop().await;
    world.start().await;
    assert_eq!(world.finish(read("again")).await.1, "1\n");
    let state = world.json("/state").await;
    assert_eq!(state["reserved_resources"]["db/eu"]["disk"], 64.0, "{state}");
    let read_only = on_volume("ro", VolumeMode::ReadOnly, "cat data/deep/f; echo 2 > data/deep/f");
    let (status, output) = world.finish(read_only).await;
    assert_eq!((status.state, output.as_str()), (TaskState::Failed, "1\n"));
    let at = world.config.dir.join("volumes/roles/db eu/v1");
    let mut of_nobody = read("nobody");
    of_nobody.command.user = Some("nobody".to_owned());
    assert_eq!(world.finish(of_nobody).await.1, "1\n");
    assert_ne!(std::fs::metadata(&at).expect("it is there").uid(), 0, "it is its user's");
    assert_eq!(destroy(&mut world).await.state, OperationState::Finished);
    assert!(!at.exists());
    let (status, _) = world.finish(read("late")).await;
    assert_eq!(status.state, TaskState::Dropped);
    assert!(status.message.expect("a cause").contains("does not have all"));
    world.close().await;
}

pub(crate) async fn a_volume_in_use_is_not_destroyed() {
    let mut world = world().await;
    make(&mut world).await;
    world.run(on_volume("t", VolumeMode::ReadWrite, "echo 1 > data/f; sleep 1000")).await;
    world.expect(TaskState::Running).await;
    let destroy = || Conversion::Destroy { volumes: vec![volume(VolumeMode::ReadWrite)] };
    let refused = convert(&mut world, 3, destroy()).await;
    assert_eq!(refused.state, OperationState::Failed);
    assert!(refused.message.expect("a cause").contains("uses the volume"));
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    assert_eq!(convert(&mut world, 4, destroy()).await.state, OperationState::Finished);
    world.close().await;
}

pub(crate) async fn a_volume_that_cannot_be_made_is_none() {
    let mut world = world().await;
    let blocked = world.config.dir.join("volumes");
    std::fs::write(&blocked, "").expect("written");
    let failed = make(&mut world).await;
    assert_eq!(failed.state, OperationState::Failed);
    assert!(failed.message.expect("a cause").contains("making the volume"));
    std::fs::remove_file(&blocked).expect("removed");
    // The space is what it was before, so it can be tried again.
    let create = Conversion::Create { volumes: vec![volume(VolumeMode::ReadWrite)] };
    assert_eq!(convert(&mut world, 3, create).await.state, OperationState::Finished);
    world.close().await;
}

fn with_path(id: &str, host_path: &std::path::Path, mode: VolumeMode, command: &str) -> TaskInfo {
    let (container_path, host_path) = ("data".to_owned(), host_path.display().to_string());
    let container = ContainerInfo {
        kind: ContainerKind::Mesos,
        image: None,
        volumes: vec![Volume { container_path, host_path, mode }],
        privileged: false,
        tty: false,
        parameters: vec![],
        shared: vec![],
        bounds: None,
    };
    TaskInfo { container: Some(container), ..shell(id, command) }
}

pub(crate) async fn paths_of_the_machine_need_the_operators_leave() {
    let mut world = World::prepare().await;
    let (allowed, other) = (world.path().join("allowed"), world.path().join("other"));
    for dir in [&allowed, &other] {
        std::fs::create_dir(dir).expect("made");
        std::fs::write(dir.join("f"), "1\n").expect("written");
    }
    let told = [format!("{}:ro", allowed.display())];
    world.config.host_paths = agent::HostPaths::only(&told).expect("a path");
    world.start().await;
    let read = with_path("read", &allowed, VolumeMode::ReadOnly, "cat data/f; echo 2 > data/f");
    let (status, output) = world.finish(read).await;
    assert_eq!((status.state, output.as_str()), (TaskState::Failed, "1\n"));
    for (id, path, mode, words) in [
        ("write", &allowed, VolumeMode::ReadWrite, "of mode RO only"),
        ("other", &other, VolumeMode::ReadOnly, "host_volumes"),
    ] {
        let status = world.finish(with_path(id, path, mode, "true")).await.0;
        assert_eq!(status.state, TaskState::Failed);
        let message = status.message.expect("it says why");
        assert!(message.contains(words), "{message}");
    }
    world.close().await;
}

/// Of a disk of its own, as it is and as a volume.
fn on_disk(kind: DiskKind, root: &std::path::Path) -> [Resource; 3] {
    let root = Some(root.display().to_string());
    let metadata = Labels::new();
    let source = Some(DiskSource { kind, root, vendor: None, id: None, metadata, profile: None });
    let with = |resource: Resource, of: Option<DiskInfo>| {
        let (persistence, volume) = of.map_or((None, None), |of| (of.persistence, of.volume));
        let disk = Some(Box::new(DiskInfo { persistence, volume, source: source.clone() }));
        Resource { disk, ..resource }
    };
    let plain = Resource { reservations: vec![], ..space() };
    let volume = volume(VolumeMode::ReadWrite);
    let of = volume.disk.as_deref().cloned();
    [with(plain, None), with(space(), None), with(volume, of)]
}

/// Unmounted at the end, however that comes.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

pub(crate) async fn a_task_uses_volumes_on_disks_of_their_own() {
    let mut world = World::prepare().await;
    let (path, mount) = (world.path().join("path"), world.path().join("mount"));
    std::fs::create_dir(&mount).expect("made");
    let mounting = ["-t", "tmpfs", "-o", "size=64m", "none"];
    let done = std::process::Command::new("mount").args(mounting).arg(&mount).status();
    assert!(done.is_ok_and(|status| status.success()));
    let _mounted = Mounted(mount.clone());
    let disks = [on_disk(DiskKind::Path, &path), on_disk(DiskKind::Mount, &mount)];
    let plain: Resources = "cpus:4;mem:1024;ports:[31000-31010]".parse().expect("well formed");
    let all = plain.iter().cloned().chain(disks.iter().map(|[plain, ..]| plain.clone()));
    world.config.resources = Some(Resources::new(all));
    world.start().await;
    for (n, [_, reserved, volume]) in disks.into_iter().enumerate() {
        let first = 10 * n as u64;
        let reserve = Conversion::Reserve { source: vec![], resources: vec![reserved] };
        assert_eq!(convert(&mut world, first, reserve).await.state, OperationState::Finished);
        let create = Conversion::Create { volumes: vec![volume.clone()] };
        assert_eq!(convert(&mut world, first + 1, create).await.state, OperationState::Finished);
        let at = if n == 0 { path.join("volumes/roles/db eu/v1") } else { mount.clone() };
        let mut task = shell(&format!("t{n}"), "echo 1 > data/f; cat data/f");
        task.resources.add(&Resources::new([volume.clone()]));
        assert_eq!(world.finish(task).await.1, "1\n");
        assert_eq!(std::fs::read_to_string(at.join("f")).expect("it is there"), "1\n");
        let destroy = Conversion::Destroy { volumes: vec![volume] };
        assert_eq!(convert(&mut world, first + 2, destroy).await.state, OperationState::Finished);
        assert!(!at.join("f").exists() && mount.exists());
    }
    world.close().await;
}
