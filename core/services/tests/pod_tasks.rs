//! What the kernel is told to run of a pod: one group for each instance.

mod stage;

use std::collections::BTreeMap;

use model::confinement::{Namespaces, Sharing};
use model::container::{Family, Image, Probe, Run, Scheme};
use model::resources::Resources;
use model::scheduler::{Call, Operation};
use model::task::{Cgroups, ExecutorInfo, TaskInfo};
use services::spec::AppSpec;
use services::spec::environment::EnvValue;
use services::spec::pod::{
    Command, Endpoint, Exec, PodContainer, PodHealthCheck, PodImage, PodProbe, PodSpec, PodVolume,
    VolumeMount, VolumeSource,
};
use services::spec::resource::{Ipc, IpcMode, LinuxInfo};
use services::state::Instance;
use stage::pods::{changed, container, endpoint, health_check, of_containers, pod};
use stage::{ROOMY, Stage, id};

fn started(spec: AppSpec) -> Stage {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    stage.create(spec);
    stage.settle();
    stage.offer();
    stage
}

fn groups(stage: &Stage) -> Vec<(ExecutorInfo, Vec<TaskInfo>)> {
    let accepted = stage.calls.iter().filter_map(|call| {
        let Call::Accept { operations, .. } = call else { return None };
        Some(operations.clone())
    });
    let groups = accepted.flatten().filter_map(|operation| match operation {
        Operation::LaunchGroup { executor, tasks } => Some((executor, tasks)),
        Operation::Launch(_)
        | Operation::LaunchIn { .. }
        | Operation::Refuse(_)
        | Operation::Convert { .. }
        | Operation::NoConversion { .. } => None,
    });
    groups.collect()
}

fn launched(spec: AppSpec) -> (ExecutorInfo, Vec<TaskInfo>) {
    groups(&started(spec)).pop().expect("one group")
}

/// The only instance of `/p`.
fn instance(stage: &Stage) -> Instance {
    let view = stage.view();
    (**view.instances[&id("/p")].values().next().expect("one")).clone()
}

#[test]
fn an_instance_is_launched_as_one_group() {
    let stage = started(pod("/prod/p", 2));
    let groups = groups(&stage);
    assert_eq!(groups.len(), 2);
    let view = stage.view();
    for ((executor, tasks), instance) in groups.iter().zip(view.instances[&id("/prod/p")].values())
    {
        assert_eq!(executor.id.as_str(), instance.id());
        let ids: Vec<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
        let uuid = instance.uuid;
        assert_eq!(
            ids,
            [format!("prod_p.instance-{uuid}.web"), format!("prod_p.instance-{uuid}.log")]
        );
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        assert_eq!(names, ["web", "log"]);
        assert!(instance.tasks().all(|task| view.tasks[task].serial == instance.serial));
    }
    assert!(view.pods.contains(&id("/prod/p")));
}

#[test]
fn containers_have_control_groups_of_their_own_unless_the_pod_is_of_before() {
    let check = |legacy_shared_cgroups: Option<bool>, expected: Cgroups| {
        let mut spec = pod("/p", 1);
        let of = spec.pod.take().map(|one| PodSpec { legacy_shared_cgroups, ..one });
        assert_eq!(launched(AppSpec { pod: of, ..spec }).0.cgroups, expected);
    };
    check(None, Cgroups::Own);
    check(Some(false), Cgroups::Own);
    check(Some(true), Cgroups::Shared);
}

#[test]
fn whose_memory_containers_share_is_told_to_the_agent() {
    let ipc = |mode, shm_size| Some(LinuxInfo { seccomp: None, ipc: Some(Ipc { mode, shm_size }) });
    let member = PodContainer { linux: ipc(IpcMode::ShareParent, None), ..container("web") };
    let spec = of_containers("/p", 1, vec![member, container("log")]);
    let of = spec.pod.clone().map(|one| PodSpec { linux: ipc(IpcMode::Private, Some(16)), ..one });
    let (executor, tasks) = launched(AppSpec { pod: of, ..spec });
    let own = Namespaces { ipc: Some(Sharing::Private), shm_bytes: Some(16 << 20), pid: None };
    assert_eq!(executor.namespaces, own);
    let bounds = tasks[0].container.as_ref().and_then(|one| one.bounds.as_ref()).expect("bounded");
    assert_eq!(bounds.confinement.ipc, Some(Sharing::Parent));
}

#[test]
fn what_an_instance_takes_is_split_among_executor_and_containers() {
    let check = |spec: AppSpec, agent: &str, executor: &str, containers: &[&str]| {
        let mut stage = Stage::new();
        stage.agent("host", agent, "");
        stage.create(spec);
        stage.settle();
        stage.offer();
        let (given, tasks) = groups(&stage).pop().expect("one group");
        let resources = |text: &str| text.parse::<Resources>().expect("resources");
        assert_eq!(given.resources, resources(executor));
        let each: Vec<Resources> = tasks.iter().map(|task| task.resources.clone()).collect();
        assert_eq!(each, containers.iter().map(|text| resources(text)).collect::<Vec<_>>());
    };
    check(
        pod("/p", 1),
        "cpus:4;mem:1024;disk:100;ports:[31000-31000]",
        "cpus:0.1;mem:32;disk:10;ports:[31000-31000]",
        &["cpus:0.05;mem:16", "cpus:0.05;mem:16"],
    );
    // Reserved and unreserved together make up what is needed.
    let roles = Some(["*", "slave_public"].map(model::id::Role::new).to_vec());
    check(
        AppSpec { accepted_roles: roles, ..pod("/p", 1) },
        "cpus(slave_public):0.12;cpus:4;mem:1024;disk:100;ports(slave_public):[31000-31000]",
        "cpus(slave_public):0.1;mem:32;disk:10;ports(slave_public):[31000-31000]",
        &["cpus:0.05;mem:16", "cpus(slave_public):0.02;cpus:0.03;mem:16"],
    );
}

#[test]
fn host_ports_are_shared_out_to_the_endpoints_that_want_one() {
    let internal = Endpoint { host_port: None, ..endpoint("internal", 0) };
    let web = PodContainer {
        endpoints: vec![endpoint("http", 0), internal, endpoint("admin", 31_500)],
        ..container("web")
    };
    let feed = Endpoint { protocols: Vec::new(), ..endpoint("feed", 0) };
    let log = PodContainer { endpoints: vec![feed], ..container("log") };
    let stage = started(of_containers("/p", 1, vec![web, log]));
    let instance = instance(&stage);
    assert_eq!(instance.ports.len(), 3);
    assert_eq!(instance.members[0].ports, &instance.ports[..2]);
    assert_eq!(instance.members[1].ports, &instance.ports[2..]);
    let (executor, tasks) = groups(&stage).pop().expect("one group");
    assert!(instance.ports.iter().all(|port| executor.resources.ports().has(u64::from(*port))));
    let discovered = |nth: usize| -> Vec<(Option<String>, u16)> {
        let discovery: &model::container::DiscoveryInfo =
            tasks[nth].discovery.as_ref().expect("it is discoverable");
        discovery.ports.iter().map(|port| (port.name.clone(), port.number)).collect()
    };
    assert_eq!(
        discovered(0),
        [
            (Some("http".to_owned()), instance.ports[0]),
            (Some("admin".to_owned()), instance.ports[1])
        ]
    );
    assert_eq!(discovered(1), [(Some("feed".to_owned()), instance.ports[2])]);
}

#[test]
fn a_container_is_told_who_it_is_and_where_all_endpoints_are() {
    let text = |text: &str| EnvValue::Text(text.to_owned());
    let mut spec = pod("/prod/p", 1);
    spec.labels = BTreeMap::from([("tier".to_owned(), "back".to_owned())]);
    let spec = changed(&spec, |pod| {
        pod.environment = BTreeMap::from([
            ("A".to_owned(), text("pod")),
            ("B".to_owned(), text("pod")),
            ("MARATHON_APP_ID".to_owned(), text("mine")),
        ]);
        pod.containers[1].environment = BTreeMap::from([("B".to_owned(), text("log"))]);
        pod.containers[1].labels = BTreeMap::from([("tier".to_owned(), "log".to_owned())]);
        pod.containers[0].endpoints[0].name = "my-web".to_owned();
    });
    let stage = started(spec);
    let (executor, tasks) = groups(&stage).pop().expect("one group");
    let instance = Instance::clone(stage.view().tasks.values().next().expect("one"));
    let log: BTreeMap<&str, &str> = tasks[1]
        .command
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let version = instance.version.to_string();
    let port = instance.ports[0].to_string();
    let expected = [
        ("A", "pod"),
        ("B", "log"),
        ("HOST", instance.place.host.as_str()),
        ("MESOS_TASK_ID", tasks[1].id.as_str()),
        ("MESOS_EXECUTOR_ID", executor.id.as_str()),
        ("MARATHON_APP_ID", "/prod/p"),
        ("MARATHON_APP_VERSION", &version),
        ("MARATHON_APP_ENFORCE_GROUP_ROLE", "TRUE"),
        ("MARATHON_APP_LABELS", "TIER"),
        ("MARATHON_APP_LABEL_TIER", "log"),
        ("MARATHON_CONTAINER_ID", "log"),
        ("MARATHON_CONTAINER_RESOURCE_CPUS", "0.05"),
        ("MARATHON_CONTAINER_RESOURCE_MEM", "16.0"),
        ("MARATHON_CONTAINER_RESOURCE_DISK", "0.0"),
        ("MARATHON_CONTAINER_RESOURCE_GPUS", "0"),
        ("ENDPOINT_MY_WEB", &port),
        ("EP_HOST_MY_WEB", &port),
    ];
    assert_eq!(log, BTreeMap::from(expected));
}

#[test]
fn commands_images_and_volumes_become_those_of_tasks() {
    let argv = || Command::Argv(vec!["run".to_owned(), "--fast".to_owned()]);
    let image = || PodImage {
        name: "nginx".to_owned(),
        force_pull: Some(true),
        pull_config: None,
        labels: BTreeMap::new(),
    };
    let check = |exec: Option<Exec>, image: Option<PodImage>, expected: Run| {
        let one = PodContainer { exec, image, ..container("one") };
        let (_, tasks) = launched(of_containers("/p", 1, vec![one]));
        assert_eq!(tasks[0].command.run, expected);
    };
    let exec = |command, override_entrypoint| Some(Exec { command, override_entrypoint });
    let words = vec!["run".to_owned(), "--fast".to_owned()];
    check(exec(Command::Shell("ls".to_owned()), None), None, Run::Shell("ls".to_owned()));
    check(exec(argv(), None), None, Run::Exec(words.clone()));
    check(exec(argv(), None), Some(image()), Run::Image(words.clone()));
    check(exec(argv(), Some(true)), Some(image()), Run::Exec(words));
    check(None, Some(image()), Run::Image(Vec::new()));

    let mount = |name: &str, read_only| VolumeMount {
        name: name.to_owned(),
        path: format!("at-{name}"),
        read_only,
    };
    let volume = |name: &str, source| PodVolume { name: name.to_owned(), source };
    let mounts = vec![mount("scratch", None), mount("logs", Some(true)), mount("rel", None)];
    let one = PodContainer { image: Some(image()), mounts, ..container("one") };
    let spec = changed(&of_containers("/p", 1, vec![one, container("two")]), |pod| {
        pod.volumes = vec![
            volume("scratch", VolumeSource::Ephemeral),
            volume("logs", VolumeSource::Host("/var/log".to_owned())),
            volume("rel", VolumeSource::Host("data".to_owned())),
        ];
    });
    let (_, tasks) = launched(spec);
    let surrounds = tasks[0].container.as_ref().expect("an image and volumes");
    assert_eq!(
        surrounds.image,
        Some(Image { force_pull: true, ..Image::plain("nginx".to_owned()) })
    );
    assert_eq!(surrounds.volumes.len(), 1);
    assert_eq!(surrounds.volumes[0].host_path, "/var/log");
    assert_eq!(surrounds.volumes[0].mode, model::container::VolumeMode::ReadOnly);
    let shared: Vec<&str> = surrounds.shared.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(shared, ["scratch", "rel"]);
    assert_eq!(tasks[1].container, None);
}

#[test]
fn health_checks_probe_the_port_that_the_container_listens_at() {
    let check = |probe: PodProbe, expected: Option<Probe>| {
        let internal = Endpoint { host_port: None, ..endpoint("internal", 0) };
        let web = PodContainer {
            endpoints: vec![endpoint("http", 31_200), internal],
            health_check: Some(PodHealthCheck { probe, ..health_check("") }),
            ..container("web")
        };
        let (_, tasks) = launched(of_containers("/p", 1, vec![web]));
        let probes: Vec<Probe> =
            tasks[0].health_checks.iter().map(|check| check.probe.clone()).collect();
        assert_eq!(probes, expected.into_iter().collect::<Vec<_>>());
    };
    let http = |endpoint: &str, path: Option<&str>| PodProbe::Http {
        endpoint: endpoint.to_owned(),
        path: path.map(str::to_owned),
        scheme: Scheme::Https,
    };
    let probe = |path: &str| Probe::Http {
        scheme: Scheme::Https,
        port: 31_200,
        path: path.to_owned(),
        family: Family::Ipv4,
        ignore_1xx: false,
    };
    check(http("http", None), Some(probe("/")));
    check(http("http", Some("/ping")), Some(probe("/ping")));
    check(http("internal", None), None);
    check(
        PodProbe::Tcp { endpoint: "http".to_owned() },
        Some(Probe::Tcp { port: 31_200, family: Family::Ipv4 }),
    );
    check(
        PodProbe::Exec(Command::Argv(vec!["true".to_owned()])),
        Some(Probe::command(Run::Exec(vec!["true".to_owned()]))),
    );
}
