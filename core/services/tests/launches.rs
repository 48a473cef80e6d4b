//! What the kernel is told to run, and where.

mod stage;

use std::collections::BTreeMap;
use std::time::Duration;

use model::container::{
    CommandInfo, ContainerInfo, ContainerKind, Family, HealthCheck, Image, Probe, Run, Scheme, Uri,
};
use model::id::Role;
use model::machine::Record as _;
use model::resources::Scalar;
use model::scheduler::Call;
use model::task::{TaskInfo, TaskState};
use placement::{Constraint, Operator};
use services::spec::environment::EnvValue;
use services::spec::{AppHealthCheck, AppSpec, CheckKind, CheckPort, Process};
use services::{Change, Config, Record};
use stage::{ROOMY, Stage, app, id, port};

fn launched(spec: AppSpec) -> TaskInfo {
    launched_on(Stage::new(), spec)
}

fn launched_on(mut stage: Stage, spec: AppSpec) -> TaskInfo {
    stage.agent("host-1", ROOMY, "");
    stage.create(spec);
    stage.offer();
    let task = stage.in_state(TaskState::Staging).pop().expect("launched");
    stage.tasks[&task].0.clone()
}

fn constraint(field: &str, operator: Operator, value: Option<&str>) -> Constraint {
    Constraint { field: field.to_owned(), operator, value: value.map(str::to_owned) }
}

#[test]
fn an_app_is_launched_however_many_wait_in_vain() {
    let mut stage = Stage::new();
    stage.agent("host-1", ROOMY, "");
    let huge = |n| AppSpec { cpus: Scalar::whole(64), ..app(&format!("/huge-{n:03}"), 1) };
    let all = (0..450).map(huge).chain([app("/small", 1)]);
    stage.deploy(all.map(Change::Create).collect(), false).expect("created");
    stage.settle();
    // A few offers, each of which is tried on so many apps and no more.
    (0..3).for_each(|_| stage.offer());
    let launched = stage.in_state(TaskState::Staging);
    assert_eq!(launched.len(), 1, "the last app in line");
    let declined = stage.calls.iter().find_map(|call| {
        if let Call::Decline { filters, .. } = call { Some(filters.refuse) } else { None }
    });
    let long = Config::default().decline_duration;
    assert!(declined.is_some_and(|span| span < long), "{declined:?} with others yet to be tried");
}

#[test]
fn a_task_gets_the_environment_that_marathon_tasks_expect() {
    let labels = [("team.name", "blue"), ("x", "1"), ("long", &"v".repeat(600))];
    let spec = AppSpec {
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        env: [("PORT1", "mine"), ("MODE", "test")]
            .map(|(key, value)| (key.to_owned(), EnvValue::Text(value.to_owned())))
            .into(),
        ports: vec![port(0, "http"), port(9_999, "admin")],
        cpus: Scalar(250),
        ..app("/prod/web", 1)
    };
    let task = launched(spec);
    let ports: Vec<u64> = task.resources.ports().values().collect();
    // A later one of the same name wins.
    let found: BTreeMap<String, String> = task.command.environment.into_iter().collect();
    let given = &task.discovery.as_ref().expect("discovery").ports;
    let (first, second) = (given[0].number.to_string(), given[1].number.to_string());
    assert_eq!(ports.len(), 2);
    let version = &found["MARATHON_APP_VERSION"];
    assert!(version.starts_with("2023-11-14T22:13:20.0"), "{version}");
    let check = |name: &str, value: &str| {
        assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
    };
    check("MARATHON_APP_ID", "/prod/web");
    check("MARATHON_APP_ENFORCE_GROUP_ROLE", "TRUE");
    check("MARATHON_APP_RESOURCE_CPUS", "0.25");
    check("MARATHON_APP_RESOURCE_MEM", "32.0");
    check("MARATHON_APP_RESOURCE_DISK", "0.0");
    check("MARATHON_APP_RESOURCE_GPUS", "0");
    check("MARATHON_APP_LABELS", "TEAM_NAME X");
    check("MARATHON_APP_LABEL_TEAM_NAME", "blue");
    check("MARATHON_APP_LABEL_X", "1");
    check("MESOS_TASK_ID", task.id.as_str());
    check("HOST", "host-1");
    check("PORT", &first);
    check("PORT0", &first);
    check("PORT1", "mine");
    check("PORTS", &format!("{first},{second}"));
    check("PORT_10000", &first);
    check("PORT_9999", &second);
    check("PORT_HTTP", &first);
    check("PORT_ADMIN", &second);
    check("MODE", "test");
    assert!(!found.contains_key("MARATHON_APP_LABEL_LONG"));
    assert!(!found.contains_key("MARATHON_APP_DOCKER_IMAGE"));
}

#[test]
fn a_task_is_named_and_described_as_marathon_does() {
    let mut ports = vec![port(0, "dns")];
    ports[0].protocol = "udp,tcp".to_owned();
    ports[0].labels.insert("VIP_0".to_owned(), "/dns:53".to_owned());
    let uri = Uri {
        value: "http://x/y.tgz".to_owned(),
        extract: true,
        executable: false,
        cache: false,
        output_file: None,
    };
    let grace = Some(Duration::from_secs(5));
    let task = launched(AppSpec {
        ports,
        user: Some("nobody".to_owned()),
        fetch: vec![uri.clone()],
        kill_grace: grace,
        ..app("/prod/eu/web", 1)
    });
    assert_eq!(task.name, "web.eu.prod");
    let (prefix, rest) = task.id.as_str().split_once(".instance-").expect("an instance");
    assert_eq!((prefix, &rest[36..]), ("prod_eu_web", "._app.1"));
    assert_eq!(task.role, Role::new("prod"));
    assert_eq!(task.kill_grace, grace);
    assert_eq!((task.command.user.as_deref(), &task.command.uris), (Some("nobody"), &vec![uri]));
    let discovery = task.discovery.expect("discovery");
    assert_eq!(discovery.name, "web.eu.prod");
    let spelled: Vec<String> = discovery
        .ports
        .iter()
        .map(|port| format!("{:?} {} {:?}", port.name, port.protocol, port.labels))
        .collect();
    assert_eq!(
        spelled,
        [r#"Some("dns") udp [("VIP_0", "/dns:53")]"#, r#"Some("dns") tcp [("VIP_0", "/dns:53")]"#,]
    );
}

#[test]
fn a_process_is_a_shell_a_program_or_the_images_own() {
    let check = |process: Process, image: Option<&str>, run: Run| {
        let container = image.map(|name| ContainerInfo {
            kind: ContainerKind::Docker,
            image: Some(Image::plain(name.to_owned())),
            volumes: Vec::new(),
            privileged: false,
            shared: vec![],
            bounds: None,
            tty: false,
            parameters: Vec::new(),
        });
        let task = launched(AppSpec { process, container, tty: Some(true), ..app("/a", 1) });
        let CommandInfo { run: found, environment, .. } = task.command;
        assert_eq!(found, run);
        let name = environment.iter().find(|(name, _)| name == "MARATHON_APP_DOCKER_IMAGE");
        assert_eq!(name.map(|(_, value)| value.as_str()), image);
        assert!(task.container.expect("a container").tty);
    };
    let args = || vec!["top".to_owned(), "-b".to_owned()];
    check(Process::Cmd("top".to_owned()), None, Run::Shell("top".to_owned()));
    check(Process::Cmd("top".to_owned()), Some("redis"), Run::Shell("top".to_owned()));
    check(Process::Args(args()), None, Run::Exec(args()));
    check(Process::Args(args()), Some("redis"), Run::Image(args()));
    check(Process::Image, Some("redis"), Run::Image(Vec::new()));
}

#[test]
fn only_checks_that_mesos_would_run_wait_before_their_first_probe() {
    let check = |kind: CheckKind, delay_secs: u64| {
        let checked = AppHealthCheck { kind, ..stage::health_check() };
        let task = launched(AppSpec { health_checks: vec![checked], ..app("/a", 1) });
        assert_eq!(task.health_checks[0].delay, Duration::from_secs(delay_secs));
    };
    let tcp = |mesos| CheckKind::Tcp { port: CheckPort::Index(0), family: Family::Ipv4, mesos };
    check(tcp(false), 0);
    check(tcp(true), 15);
    check(CheckKind::Command("true".to_owned()), 15);
}

#[test]
fn health_checks_probe_the_ports_that_were_given() {
    let check = |kind: CheckKind, probe: &dyn Fn(u16) -> Probe| {
        let spec = AppSpec {
            health_checks: vec![AppHealthCheck { kind, ..stage::health_check() }],
            ports: vec![port(0, "a"), port(0, "b")],
            ..app("/a", 1)
        };
        let task = launched(spec);
        let second = task.discovery.expect("discovery").ports[1].number;
        let [HealthCheck { probe: found, grace, .. }] = &task.health_checks[..] else {
            panic!("one check");
        };
        assert_eq!(found, &probe(second));
        assert_eq!(*grace, Duration::from_secs(300));
    };
    let http = |path: Option<&str>| CheckKind::Http {
        scheme: Scheme::Https,
        path: path.map(str::to_owned),
        port: CheckPort::Index(1),
        family: Family::Ipv6,
        mesos: false,
    };
    let probe = |port, path: &str| Probe::Http {
        scheme: Scheme::Https,
        port,
        path: path.to_owned(),
        family: Family::Ipv6,
        ignore_1xx: false,
    };
    check(http(None), &|port| probe(port, "/"));
    check(http(Some("/up")), &|port| probe(port, "/up"));
    let tcp = |port| CheckKind::Tcp { port, family: Family::Ipv4, mesos: true };
    check(tcp(CheckPort::Index(1)), &|port| Probe::Tcp { port, family: Family::Ipv4 });
    check(tcp(CheckPort::Number(80)), &|_| Probe::Tcp { port: 80, family: Family::Ipv4 });
    check(CheckKind::Command("true".to_owned()), &|_| {
        Probe::command(Run::Shell("true".to_owned()))
    });
}

#[test]
fn required_ports_are_taken_exactly_and_once_per_agent() {
    let mut stage = Stage::new();
    stage.agents(2, ROOMY);
    stage.create(AppSpec { ports: vec![port(31_500, "p")], require_ports: true, ..app("/a", 3) });
    stage.calm();
    assert_eq!(stage.live(), 2);
    let view = stage.view();
    assert!(view.instances[&id("/a")].values().all(|one| one.ports == [31_500]));
    assert_eq!(view.queue[&id("/a")].count, 1);
}

#[test]
fn no_two_tasks_of_an_agent_have_the_same_port() {
    let mut stage = Stage::new();
    stage.agent("host-1", "cpus:64;mem:64000;ports:[31000-31059]", "");
    stage
        .create(AppSpec { ports: vec![port(0, "a"), port(0, "b"), port(0, "c")], ..app("/a", 21) });
    stage.calm();
    let view = stage.view();
    let mut ports: Vec<u16> =
        view.instances[&id("/a")].values().flat_map(|one| one.ports.clone()).collect();
    ports.sort_unstable();
    assert_eq!(ports, (31_000..31_060).collect::<Vec<u16>>(), "all, and each of them once");
    assert_eq!(stage.live(), 20);
}

#[test]
fn constraints_spread_and_gather_instances() {
    let check = |constraint: Constraint, instances: u32, expected: &[usize]| {
        let mut stage = Stage::new();
        stage.agent("a", ROOMY, "rack:1;ssd:true");
        stage.agent("b", ROOMY, "rack:1");
        stage.agent("c", ROOMY, "rack:2");
        stage.agent("d", ROOMY, "");
        let label = format!("{constraint:?}");
        stage.create(AppSpec { constraints: vec![constraint], ..app("/a", instances) });
        stage.calm();
        let view = stage.view();
        let placed = view.instances.get(&id("/a")).cloned().unwrap_or_default();
        let on = |host: &str| placed.values().filter(|one| one.place.host == host).count();
        assert_eq!(["a", "b", "c", "d"].map(on), expected, "{label}");
    };
    check(constraint("hostname", Operator::Unique, None), 5, &[1, 1, 1, 1]);
    check(constraint("hostname", Operator::MaxPer, Some("2")), 7, &[2, 2, 2, 1]);
    check(constraint("hostname", Operator::Cluster, Some("c")), 3, &[0, 0, 3, 0]);
    check(constraint("hostname", Operator::Cluster, None), 3, &[3, 0, 0, 0]);
    check(constraint("hostname", Operator::GroupBy, Some("4")), 6, &[2, 2, 1, 1]);
    check(constraint("rack", Operator::GroupBy, Some("2")), 6, &[3, 0, 3, 0]);
    check(constraint("rack", Operator::Is, Some("2")), 2, &[0, 0, 2, 0]);
    check(constraint("rack", Operator::Unique, None), 3, &[1, 0, 1, 0]);
    check(constraint("ssd", Operator::Unlike, Some("true")), 2, &[0, 2, 0, 0]);
    check(constraint("ssd", Operator::Like, Some("true|false")), 2, &[2, 0, 0, 0]);
}

#[test]
fn an_app_that_waits_for_its_step_is_kept_within_its_old_constraints() {
    let mut stage = Stage::new();
    stage.agents(2, ROOMY);
    let constraints = vec![constraint("hostname", Operator::Unique, None)];
    let second = AppSpec { constraints, dependencies: vec![id("/a")], ..app("/b", 2) };
    stage.create(app("/a", 1));
    stage.calm();
    stage.create(second.clone());
    stage.calm();
    let changes = [app("/a", 1), AppSpec { constraints: Vec::new(), ..second }].map(|spec| {
        let base = Some(stage.view().apps[&spec.id].version);
        services::Change::Put { spec: AppSpec { cpus: Scalar(200), ..spec }, base }
    });
    stage.deploy(changes.to_vec(), false).expect("changed");
    for task in stage.in_state(TaskState::Running) {
        if task.as_str().starts_with("b.") {
            stage.report(&task, TaskState::Killed, None);
        }
    }
    stage.offer();
    let view = stage.view();
    let hosts: Vec<&str> =
        view.instances[&id("/b")].values().map(|one| one.place.host.as_str()).collect();
    assert_eq!(hosts, ["agent-0000", "agent-0001"]);
    stage.calm();
    assert!(stage.view().deployments.is_empty());
}

#[test]
fn scaling_down_keeps_groups_even() {
    let mut stage = Stage::new();
    stage.agent("a", ROOMY, "");
    stage.agent("b", ROOMY, "");
    let constraints = vec![constraint("hostname", Operator::GroupBy, Some("2"))];
    let spec = AppSpec { constraints, ..app("/a", 8) };
    stage.create(spec.clone());
    stage.calm();
    stage.put(AppSpec { instances: 4, ..spec }, false).expect("scaled");
    stage.calm();
    let view = stage.view();
    let on = |host: &str| {
        view.instances[&id("/a")].values().filter(|one| one.place.host == host).count()
    };
    assert_eq!((on("a"), on("b")), (2, 2));
}

#[test]
fn an_app_takes_what_is_reserved_for_it_only_if_it_says_so() {
    let check = |accepted: Option<&[&str]>, live: usize| {
        let mut stage = Stage::new();
        let resources = "cpus(slave_public):1;mem(slave_public):640;ports(slave_public):[80-99]";
        stage.agent("public", resources, "");
        let accepted_roles =
            accepted.map(|roles| roles.iter().map(|role| Role::new(*role)).collect());
        stage.create(AppSpec { accepted_roles, ..app("/a", 2) });
        stage.calm();
        assert_eq!(stage.live(), live, "{accepted:?}");
    };
    check(None, 0);
    check(Some(&["*"]), 0);
    check(Some(&["slave_public"]), 2);
    check(Some(&["*", "slave_public"]), 2);
}

#[test]
fn an_offer_launches_no_more_than_its_share_and_all_apps_get_theirs() {
    let config = Config { instances_per_offer_max: 3, ..Config::default() };
    let mut stage = Stage::with(config);
    stage.agents(2, ROOMY);
    stage.create(app("/a", 10));
    stage.create(app("/b", 2));
    stage.offer();
    let of = |stage: &Stage, name: &str| {
        stage.view().instances.get(&id(name)).map_or(0, imbl::OrdMap::len)
    };
    assert_eq!((of(&stage, "/a"), of(&stage, "/b")), (4, 2), "the second offer begins after /a");
    assert_eq!(stage.accepts, 2);
    stage.calm();
    assert_eq!(stage.live(), 12);
}

#[test]
fn a_large_launch_takes_several_bounded_steps() {
    let mut stage = Stage::new();
    stage.agents(30, "cpus:100;mem:32000;ports:[31000-32000]");
    let resources = AppSpec { cpus: Scalar(10), mem: Scalar::whole(32), ..app("/a", 2_500) };
    stage.create(resources);
    stage.offer();
    assert_eq!(stage.live(), 2_500);
    stage.calm();
    stage
        .put(AppSpec { cpus: Scalar(10), mem: Scalar::whole(32), ..app("/a", 0) }, false)
        .expect("scaled");
    let doomed = stage.condemned().len();
    assert_eq!(doomed, services::machine::TURN_KILLS_MAX, "in the first step");
    stage.calm();
    assert_eq!(stage.live(), 0);
}

#[test]
fn a_record_of_a_later_format_or_of_others_is_refused_by_name() {
    let check = |key: &[u8], value: &[u8], cause: &str| {
        let error = Record::read(key, value).expect_err(cause).to_string();
        assert!(error.contains(cause), "{error}");
    };
    check(b"k\x01x", &[1], "not a key of services");
    check(b"s\xffx", &[1], "entity 255");
    check(b"s\x01/a", &[2], "format 2");
    check(b"s\x01/a", &[], "empty");
    check(b"s\x01/a", &[1, 0xff], "");
    check(b"s\x01/A", &[1], "not an app id");
    check(b"s\x03\x00", &[1], "8 bytes");
    check(b"s\x02/a", &[1], "too short");
}

#[test]
fn schedulers_are_told_whether_their_role_is_that_of_their_group() {
    let check = |name: &str, enforce: bool, told: &str| {
        let stage = Stage::with(Config { enforce_group_role: enforce, ..Config::default() });
        let mut all = launched_on(stage, app(name, 1)).command.environment.into_iter();
        let found = all.find(|(name, _)| name == "MARATHON_APP_ENFORCE_GROUP_ROLE");
        assert_eq!(found.expect("it is told").1, told, "{name}");
    };
    check("/prod/web", true, "TRUE");
    check("/prod/web", false, "FALSE");
    check("/web", true, "FALSE");
}
