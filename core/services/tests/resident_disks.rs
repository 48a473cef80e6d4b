//! Residents whose volumes are on disks of their own.

mod stage;

use model::container::VolumeMode;
use model::id::AgentId;
use model::resources::{
    Amount, DiskInfo, DiskKind as Kind, DiskSource, Labels, Resource, ResourceName, Resources,
    Scalar,
};
use model::task::TaskState;
use placement::demand::Demand;
use services::Config;
use services::spec::volume::{AppVolume, AppVolumeSource, DiskKind, PersistentVolume};
use services::spec::{AppSpec, UnreachableStrategy};
use stage::{Stage, app, id, upgrade};

fn disk(kind: Kind, root: &str, size: u64) -> Resource {
    let source = DiskSource {
        kind,
        root: Some(root.to_owned()),
        vendor: None,
        id: None,
        metadata: Labels::new(),
        profile: None,
    };
    let info = DiskInfo { source: Some(source), ..DiskInfo::default() };
    let plain = Resource::plain(ResourceName::Disk, Amount::Scalar(Scalar::whole(size)));
    Resource { disk: Some(Box::new(info)), ..plain }
}

const MACHINE: &str = "cpus:4;mem:1024;disk:1000;ports:[31000-31999]";

fn machine() -> Resources {
    let mut all: Resources = MACHINE.parse().expect("resources");
    all.add(&Resources::new([
        disk(Kind::Path, "/shared", 100),
        disk(Kind::Mount, "/ssd", 300),
        disk(Kind::Mount, "/hdd", 900),
    ]));
    all
}

fn stage(agents: usize) -> Stage {
    let mut stage = Stage::new();
    stage.agents(agents, MACHINE);
    stage.agents.values_mut().for_each(|agent| agent.free = machine());
    stage
}

/// A volume of each kind: 20 MiB of the agent's own disk, 30 of the shared one, a mount of 200 to 500.
fn resident(instances: u32) -> AppSpec {
    let volume = |at: u32, path: &str, kind, size, size_max| AppVolume {
        at,
        container_path: path.to_owned(),
        mode: VolumeMode::ReadWrite,
        source: AppVolumeSource::Persistent(PersistentVolume {
            kind: Some(kind),
            size,
            size_max,
            profile: None,
            constraints: Vec::new(),
        }),
    };
    AppSpec {
        volumes: vec![
            volume(0, "own", DiskKind::Root, 20, None),
            volume(1, "mount", DiskKind::Mount, 200, Some(500)),
            volume(2, "path", DiskKind::Path, 30, None),
        ],
        upgrade: upgrade(500, 0),
        unreachable: UnreachableStrategy::Disabled,
        ..app("/a", instances)
    }
}

/// As each task that runs has them: where it sees the volume, the disk's root and how much it is.
fn volumes(stage: &Stage) -> Vec<Vec<(String, Option<String>, u64)>> {
    let of = |resources: &Resources| {
        let volumes = resources.iter().filter(|one| one.is_persistent_volume());
        let spell = |one: &Resource| {
            let info = one.disk.as_ref().expect("it is a disk");
            let path = info.volume.as_ref().expect("it is mounted").container_path.clone();
            (path, one.source().and_then(|source| source.root.clone()), one.scalar().0 / 1000)
        };
        let mut all: Vec<_> = volumes.map(spell).collect();
        all.sort();
        all
    };
    let live = stage.tasks.values().filter(|(_, state)| !state.is_terminal());
    live.map(|(task, _)| of(&task.resources)).collect()
}

fn expected() -> Vec<(String, Option<String>, u64)> {
    let one =
        |path: &str, root: Option<&str>, size| (path.to_owned(), root.map(str::to_owned), size);
    vec![one("mount", Some("/ssd"), 300), one("own", None, 20), one("path", Some("/shared"), 30)]
}

#[test]
fn each_volume_is_on_the_disk_that_it_asks_for_and_stays_there() {
    let mut stage = stage(2);
    stage.create(resident(2));
    stage.calm();
    assert_eq!(volumes(&stage), [expected(), expected()], "one of each agent's mounts is right");
    for task in stage.in_state(TaskState::Running) {
        stage.report(&task, TaskState::Failed, None);
    }
    stage.wait(3_600);
    stage.restart(Config::default());
    stage.calm();
    assert_eq!(volumes(&stage), [expected(), expected()], "the next tasks have the same");
    let process = services::spec::Process::Cmd("sleep 2000".to_owned());
    stage.put(AppSpec { process, ..resident(2) }, false).expect("upgraded");
    stage.calm();
    assert_eq!(volumes(&stage), [expected(), expected()], "and so have those of an upgrade");
    stage.put(resident(1), false).expect("scaled");
    stage.calm();
    assert_eq!(volumes(&stage), [expected()]);
    stage.delete("/a");
    stage.calm();
    stage.calm();
    assert!(stage.agents.values().all(|agent| agent.free == machine()), "all is given back");
}

#[test]
fn it_waits_for_a_disk_and_says_for_which() {
    let mut stage = stage(1);
    stage.create(resident(2));
    stage.calm();
    assert_eq!(stage.live(), 1, "the other mount is too large");
    let agent = AgentId::new("agent-0000");
    let view = stage.view();
    let explained = &view.queue[&id("/a")].explain;
    let judged = &explained.agents[&agent];
    let lacks: Vec<Demand> = judged.lacks.iter().map(|lack| lack.demand).collect();
    assert_eq!(lacks, [Demand::Volume(0)]);
    stage.agents.get_mut(&agent).expect("it is there").free.add(&Resources::new([disk(
        Kind::Mount,
        "/new",
        500,
    )]));
    stage.calm();
    assert_eq!(stage.live(), 2);
}
