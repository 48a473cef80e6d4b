//! What this release cannot give is a reason to wait, never a reason to launch without it.

mod stage;

use std::collections::BTreeMap;

use model::confinement::{self, Confinement, Sharing};
use model::container::{ContainerInfo, ContainerKind, Image, VolumeMode};
use model::task::TaskState;
use services::spec::environment::EnvValue;
use services::spec::network::{Network, NetworkMode};
use services::spec::resource::{Ipc, IpcMode, LinuxInfo, Seccomp};
use services::spec::volume::{
    AppVolume, AppVolumeSource, Csi, CsiAccess, CsiKind, DiskKind, Dvdi, PersistentVolume,
};
use services::spec::{AppSpec, Process};
use stage::{ROOMY, Stage, app, id};

fn volume(source: AppVolumeSource) -> AppSpec {
    let path = "data".to_owned();
    let volume = AppVolume { at: 0, container_path: path, mode: VolumeMode::ReadWrite, source };
    AppSpec { volumes: vec![volume], ..app("/a", 1) }
}

fn network(mode: NetworkMode, name: Option<&str>) -> AppSpec {
    let name = name.map(str::to_owned);
    AppSpec { networks: vec![Network { mode, name, labels: BTreeMap::new() }], ..app("/a", 1) }
}

fn parameters(all: &[(&str, &str)]) -> AppSpec {
    let word = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let container = ContainerInfo {
        kind: ContainerKind::Docker,
        image: Some(Image::plain("a".to_owned())),
        volumes: Vec::new(),
        privileged: false,
        tty: false,
        parameters: all.iter().map(word).collect(),
        shared: Vec::new(),
        bounds: None,
    };
    AppSpec { container: Some(container), ..app("/a", 1) }
}

/// The app waits, with this reason, and no offer is used for it.
fn check(spec: AppSpec, reason: &str) {
    let mut stage = Stage::new();
    stage.agent("host-1", ROOMY, "");
    stage.create(spec.clone());
    stage.offer();
    let view = stage.view();
    let waiting = view.queue.get(&id("/a")).expect("it waits");
    assert_eq!(waiting.lacks.as_ref(), [reason]);
    assert_eq!(stage.in_state(TaskState::Staging), [], "{reason}");
    // Without it, it is launched.
    stage.put(app("/a", 1), true).expect("changed");
    stage.offer();
    assert_eq!(stage.in_state(TaskState::Staging).len(), 1, "{reason}");
}

#[test]
fn an_app_waits_for_what_is_not_there_yet() {
    let only = "only the host network is there yet";
    check(network(NetworkMode::Bridge, None), &format!("it is on a bridge network: {only}"));
    check(
        network(NetworkMode::Container, Some("dcos")),
        &format!("it is on the container network dcos: {only}"),
    );
    let secrets = "secrets are not there yet";
    let env = BTreeMap::from([("PASSWORD".to_owned(), EnvValue::Secret("db".to_owned()))]);
    check(
        AppSpec { env, ..app("/a", 1) },
        &format!("it is to find the secret db in PASSWORD: {secrets}"),
    );
    check(
        AppSpec { pull_secret: Some("hub".to_owned()), ..app("/a", 1) },
        &format!("its image is pulled with credentials from the secret hub: {secrets}"),
    );
    check(
        AppSpec { executor: "/opt/mine".to_owned(), ..app("/a", 1) },
        "it brings the executor /opt/mine: only //cmd is there yet",
    );
    check(
        parameters(&[("label", "a=b"), ("name", "web"), ("env", "A=B")]),
        "it has the docker parameter name=web: it is not obeyed here; tasks are named by their id",
    );
}

#[test]
fn an_app_waits_for_volumes_that_are_more_than_a_path() {
    check(
        volume(AppVolumeSource::Persistent(PersistentVolume {
            kind: Some(DiskKind::Root),
            size: 512,
            size_max: None,
            profile: Some("fast".to_owned()),
            constraints: Vec::new(),
        })),
        "its volume data is of type root with the profile fast: an agent's own disk has no profile",
    );
    check(
        volume(AppVolumeSource::Dvdi(Dvdi {
            name: "disk-1".to_owned(),
            size: None,
            options: BTreeMap::new(),
            shared: false,
        })),
        "its volume data is the external volume disk-1: docker volume drivers are not there yet",
    );
    check(
        volume(AppVolumeSource::Csi(Csi {
            name: "disk-2".to_owned(),
            plugin: "nfs".to_owned(),
            access: CsiAccess::SingleNodeWriter,
            kind: CsiKind::Block,
            node_stage_secret: BTreeMap::new(),
            node_publish_secret: BTreeMap::new(),
            context: BTreeMap::new(),
        })),
        "its volume data is the block device disk-2: CSI is not there yet",
    );
    check(
        volume(AppVolumeSource::Secret("tls".to_owned())),
        "its volume data holds the secret tls: secrets are not there yet",
    );
}

#[test]
fn confinement_is_told_to_the_agent() {
    let check = |info: LinuxInfo, expected: Confinement| {
        let mut stage = Stage::new();
        stage.agent("host-1", ROOMY, "");
        stage.create(AppSpec { linux: Some(info), ..parameters(&[]) });
        stage.offer();
        let task = stage.in_state(TaskState::Staging).pop().expect("launched");
        let container = stage.tasks[&task].0.container.as_ref().expect("it has one");
        let told = container.bounds.as_ref().expect("it is bounded");
        assert_eq!(told.confinement, expected);
    };
    let seccomp = |profile: Option<&str>| LinuxInfo {
        seccomp: Some(Seccomp {
            profile: profile.map(str::to_owned),
            unconfined: profile.is_none(),
        }),
        ipc: None,
    };
    let told = |seccomp| Confinement { seccomp: Some(seccomp), ..Confinement::default() };
    check(seccomp(Some("strict")), told(confinement::Seccomp::Profile("strict".to_owned())));
    check(seccomp(None), told(confinement::Seccomp::Unconfined));
    check(
        LinuxInfo { seccomp: None, ipc: Some(Ipc { mode: IpcMode::Private, shm_size: Some(16) }) },
        Confinement {
            ipc: Some(Sharing::Private),
            shm_bytes: Some(16 << 20),
            ..Confinement::default()
        },
    );
}

#[test]
fn words_for_docker_that_mean_something_here_are_obeyed() {
    let mut stage = Stage::new();
    stage.agent("host-1", ROOMY, "");
    let words = [("user", "nobody"), ("env", "A=B=C"), ("label", "x"), ("env", "BARE")];
    let env = BTreeMap::from([("A".to_owned(), EnvValue::Text("mine".to_owned()))]);
    stage.create(AppSpec { env, process: Process::Image, ..parameters(&words) });
    stage.offer();
    let task = stage.in_state(TaskState::Staging).pop().expect("launched");
    let command = &stage.tasks[&task].0.command;
    assert_eq!(command.user.as_deref(), Some("nobody"));
    let last = |name: &str| {
        let mut named = command.environment.iter().filter(|(key, _)| key == name);
        named.next_back().map(|(_, value)| value.as_str())
    };
    assert_eq!(last("A"), Some("B=C"), "docker's own word comes after Marathon's");
    assert_eq!(last("BARE"), Some(""));
}
