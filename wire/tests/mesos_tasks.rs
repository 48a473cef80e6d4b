//! What of a task's description is at fault, field by field, and how what is not is understood.

#![expect(clippy::wildcard_enum_match_arm, reason = "whatever was not expected fails the test")]

use mesos_v1::scheduler::Call as Spelled;
use model::confinement::{Capabilities, Confinement, Namespaces, Rights, Seccomp, Sharing};
use model::container::{
    Family, Image, Probe, Propagation, Rlimit, Rlimited, Run, Scheme, SoftHard, Visibility,
    VolumeSource,
};
use model::id::{FrameworkId, Role};
use model::limits::Limit;
use model::resources::{ReservationKind, Scalar};
use model::scheduler::{Call, Operation};
use model::task::{Cgroups, Reason, TaskInfo};
use serde_json::{Value, json};
use std::time::Duration;
use wire::mesos::v1::call::{self, Said, Speaker};

fn scalar(name: &str, value: f64) -> Value {
    json!({ "name": name, "type": "SCALAR", "scalar": { "value": value } })
}

fn task() -> Value {
    json!({
        "name": "a", "task_id": { "value": "a" }, "agent_id": { "value": "S0" },
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
        "command": { "value": "sleep 1" },
    })
}

fn with(changes: &Value) -> Value {
    let mut task = task();
    let members = changes.as_object().expect("an object");
    let all = task.as_object_mut().expect("an object");
    all.extend(members.clone());
    task
}

fn operations(operation: Value) -> Vec<Operation> {
    let spelled = json!({
        "type": "ACCEPT", "framework_id": { "value": "f" },
        "accept": { "offer_ids": [{ "value": "o" }], "operations": [operation] },
    });
    let spelled: Spelled = mesos_v1::json::from_value(spelled).expect("well-formed");
    call::judge(&spelled).expect("a call in form");
    let role = |_: &model::id::OfferId| Some(Role::new("prod"));
    let speaker = Speaker { framework: FrameworkId::new("f"), role: &role };
    match call::read(&spelled, &speaker) {
        Ok(Said::Call(Call::Accept { operations, .. })) => operations,
        other => panic!("{other:?}"),
    }
}

fn launched(task: &Value) -> Result<TaskInfo, String> {
    let launch = json!({ "type": "LAUNCH", "launch": { "task_infos": [task] } });
    match operations(launch).pop().expect("one operation") {
        Operation::Launch(mut tasks) => Ok(tasks.pop().expect("one task")),
        Operation::Refuse(mut tasks) => {
            let refused = tasks.pop().expect("one task");
            assert_eq!((refused.id.as_str(), refused.reason), ("a", Reason::TaskInvalid));
            Err(refused.cause)
        }
        other => panic!("{other:?}"),
    }
}

fn is_refused(changes: &Value, text: &str) {
    match launched(&with(changes)) {
        Err(cause) => assert!(cause.contains(text), "{changes}: {cause}"),
        Ok(task) => panic!("{changes}: {task:?}"),
    }
}

#[test]
fn a_faulty_task_is_refused_by_its_fault() {
    let check = |changes: Value, text: &str| is_refused(&changes, text);
    let executor = json!({ "executor_id": { "value": "e" } });
    check(json!({ "command": null }), "at least one (but not both) of CommandInfo or ExecutorInfo");
    check(json!({ "executor": executor }), "at least one (but not both)");
    check(json!({ "kill_policy": { "grace_period": { "nanoseconds": -1 } } }), "kill_policy");
    check(json!({ "resources": [] }), "Task uses no resources");
    let of = |resource: Value| json!({ "resources": [resource] });
    check(of(json!({ "name": "cpus", "type": "SCALAR" })), "another type than it says");
    check(of(json!({ "name": "", "type": "SCALAR", "scalar": { "value": 1 } })), "has no name");
    check(of(scalar("cpus", -1.0)), "is no sensible number");
    check(of(scalar("ports", 1.0)), "of the wrong type");
    check(of(scalar("gpus", 0.5)), "must be an unsigned integer");
    let ranges = |begin: u64, end: u64| {
        json!({ "name": "ports", "type": "RANGES",
        "ranges": { "range": [{ "begin": begin, "end": end }, { "begin": 5, "end": 9 }] } })
    };
    check(of(ranges(4, 3)), "ends before it begins");
    check(of(ranges(7, 12)), "ranges that overlap");
    let set = json!({ "name": "zones", "type": "SET", "set": { "item": ["a", "a"] } });
    check(of(set), "names an item twice");
    let mut both = scalar("cpus", 1.0);
    both["role"] = json!("prod");
    both["reservations"] = json!([{ "type": "DYNAMIC", "role": "prod" }]);
    check(of(both), "'reservations' beside");
    let mut nobody = scalar("cpus", 1.0);
    nobody["reservation"] = json!({});
    check(of(nobody), "reserved for no role");
    let mut disk = scalar("disk", 1.0);
    disk["disk"] = json!({ "persistence": { "id": "v" } });
    check(of(disk.clone()), "Expecting 'volume' to be set");
    disk["disk"]["volume"] = json!({ "container_path": "d", "mode": "RW" });
    check(json!({ "resources": [disk, disk] }), "duplicate persistence ID");
    disk["name"] = json!("mem");
    check(of(disk), "has DiskInfo and is no disk");
    let mut revocable = scalar("cpus", 1.0);
    revocable["revocable"] = json!({});
    check(json!({ "resources": [scalar("cpus", 1.0), revocable] }), "mixes revocable");
    let allocated = |role: &str| {
        let mut one = scalar("cpus", 1.0);
        one["allocation_info"] = json!({ "role": role });
        one
    };
    check(json!({ "resources": [allocated("a"), allocated("b")] }), "multiple allocation roles");
}

#[test]
fn a_faulty_bound_of_a_task_is_refused_by_its_fault() {
    let check = |changes: Value, text: &str| is_refused(&changes, text);
    check(json!({ "limits": { "disk": { "value": 1 } } }), "Only cpus and mem");
    check(json!({ "limits": { "cpus": { "value": 0.01 } } }), "The cpu limit must be greater");
    check(json!({ "limits": { "mem": { "value": 1 } } }), "The memory limit must be greater");
    check(
        json!({ "container": { "type": "MESOS", "linux_info": { "share_cgroups": false } } }),
        "Only tasks in a task group",
    );
    check(json!({ "max_completion_time": { "nanoseconds": -1 } }), "max_completion_time");
    let bounds =
        |field: &str, value: Value| json!({ "container": { "type": "MESOS", field: value } });
    check(bounds("hostname", json!("")), "'container.hostname' has 0 bytes");
    check(bounds("hostname", json!("a".repeat(65))), "'container.hostname' has 65 bytes");
    let limit = |limit: Value| bounds("rlimit_info", json!({ "rlimits": [limit] }));
    check(limit(json!({ "soft": 1, "hard": 2 })), "'rlimit_info.rlimits.type' is unknown");
    check(limit(json!({ "type": "RLMT_CPU", "soft": 3, "hard": 2 })), "above the hard one");
    check(limit(json!({ "type": "RLMT_CPU", "soft": 3 })), "RLMT_CPU: soft and hard");
    let port = json!({ "ports": { "ports": [{ "number": 70_000 }] }, "visibility": "CLUSTER" });
    check(json!({ "discovery": port }), "70000 is no port");
}

#[test]
fn a_faulty_command_check_or_container_is_refused_by_its_fault() {
    let check = |field: &str, value: Value, text: &str| is_refused(&json!({ field: value }), text);
    let variable = |one: Value| json!({ "value": "a", "environment": { "variables": [one] } });
    check("command", json!({}), "'command.value' must be set if 'command.shell' is true");
    check("command", json!({ "shell": false }), "where there is no image");
    check("command", variable(json!({ "name": "A" })), "must have a value set");
    check("command", variable(json!({ "name": "A", "type": "SECRET" })), "must have a secret set");
    check("command", variable(json!({ "name": "A", "type": "UNKNOWN", "value": "" })), "UNKNOWN");
    for (field, what) in [("health_check", "health check"), ("check", "check")] {
        let set = |kind: &str| format!("to be set for {kind} {what}");
        check(field, json!({}), "must specify 'type'");
        check(field, json!({ "type": "HTTP" }), &set("HTTP"));
        check(field, json!({ "type": "TCP" }), &set("TCP"));
        check(field, json!({ "type": "COMMAND" }), &set("COMMAND"));
        let http = json!({ "type": "HTTP", "http": { "port": 1, "path": "a" } });
        check(field, http, "must start with '/'");
        for span in ["delay_seconds", "interval_seconds", "timeout_seconds"] {
            let tcp = json!({ "type": "TCP", "tcp": { "port": 1 }, span: -1.0 });
            check(field, tcp, &format!("Expecting '{span}' to be non-negative"));
        }
    }
    let http = json!({ "type": "HTTP", "http": { "port": 1, "scheme": "ftp" } });
    check("health_check", http, "Unsupported HTTP health check scheme: 'ftp'");
    let docker = |docker: Value| json!({ "type": "DOCKER", "docker": docker });
    check("container", json!({ "type": "DOCKER" }), "'docker' is not set for DOCKER");
    check(
        "container",
        docker(json!({ "image": "a", "network": "BRIDGE" })),
        "'container.docker.network' BRIDGE",
    );
    let name = json!({ "image": "a", "parameters": [{ "key": "name", "value": "b" }] });
    check("container", docker(name), "must not be 'name'");
    let volume = |volume: Value| json!({ "type": "MESOS", "volumes": [volume] });
    let plain = json!({ "container_path": "d", "mode": "RW" });
    check("container", volume(plain.clone()), "Only one of them should be set");
    for (kind, text) in [
        ("SANDBOX_PATH", "'source.sandbox_path' is not set"),
        ("HOST_PATH", "'source.host_path' is not set"),
        ("SECRET", "'source.secret' is not set for SECRET volume"),
        ("DOCKER_VOLUME", "'container.volumes.source.docker_volume' is not supported yet"),
        ("CSI_VOLUME", "'container.volumes.source.csi_volume' is not supported yet"),
        ("UNKNOWN", "'source.type' is unknown"),
    ] {
        let mut of = plain.clone();
        of["source"] = json!({ "type": kind });
        check("container", volume(of), text);
    }
    for kind in ["SELF", "PARENT"] {
        let mut of = plain.clone();
        let path = json!({ "type": kind, "path": "/etc" });
        of["source"] = json!({ "type": "SANDBOX_PATH", "sandbox_path": path });
        check("container", volume(of), "must not be absolute");
    }
}

#[test]
fn volumes_may_be_images_and_say_how_mounts_are_shared() {
    let image = json!({ "type": "DOCKER", "docker": { "name": "data:1" }, "cached": false });
    let path = |mode: &str| {
        let host = json!({ "path": "/srv", "mount_propagation": { "mode": mode } });
        json!({ "type": "HOST_PATH", "host_path": host })
    };
    let volumes = json!([
        { "container_path": "/i", "mode": "RO", "image": image },
        { "container_path": "/b", "mode": "RW", "source": path("BIDIRECTIONAL") },
        { "container_path": "/h", "mode": "RW", "source": path("HOST_TO_CONTAINER") },
    ]);
    let task = launched(&with(&json!({ "container": { "type": "MESOS", "volumes": volumes } })));
    let container = task.expect("sound").container.expect("given");
    let bounds = container.bounds.as_ref().expect("seldom said");
    let force_pull = Image { force_pull: true, ..Image::plain("data:1".to_owned()) };
    let of_host = |propagation| VolumeSource::HostPath { path: "/srv".to_owned(), propagation };
    let sources: Vec<_> = bounds.volumes.iter().map(|volume| volume.source.clone()).collect();
    let expected = [
        VolumeSource::Image(force_pull),
        of_host(Propagation::Bidirectional),
        of_host(Propagation::HostToContainer),
    ];
    assert_eq!(sources, expected);
    let appc = json!({ "type": "APPC", "appc": { "name": "a" } });
    let appc = json!([{ "container_path": "/i", "mode": "RO", "image": appc }]);
    is_refused(
        &json!({ "container": { "type": "MESOS", "volumes": appc } }),
        "'container.volumes.image.appc' is not supported",
    );
}

#[test]
fn what_is_not_supported_yet_is_refused_by_its_name() {
    let check = |changes: Value, field: &str| {
        is_refused(&changes, &format!("'{field}' is not supported yet"));
    };
    let container =
        |field: &str, value: Value| json!({ "container": { "type": "MESOS", field: value } });
    let named = json!([{ "name": "dcos" }]);
    check(container("network_infos", named), "container.network_infos.name");
}

#[test]
fn a_sound_task_is_understood() {
    let shell = launched(&task()).expect("sound");
    assert_eq!(shell.command.run, Run::Shell("sleep 1".to_owned()));
    assert_eq!((shell.role.as_str(), shell.resources.cpus()), ("prod", Scalar(100)));
    let http = json!({ "type": "HTTP", "http": { "port": 80, "statuses": [200] } });
    let full = launched(&with(&json!({
        "command": { "shell": false, "value": "/bin/echo", "arguments": ["echo", "hi"], "user": "nobody",
            "environment": { "variables": [{ "name": "A", "value": "1" }] },
            "uris": [{ "value": "http://a/b.tgz", "cache": true }] },
        "health_check": http,
        "kill_policy": { "grace_period": { "nanoseconds": 3_000_000_000_i64 } },
        "limits": { "cpus": { "value": "Infinity" }, "mem": { "value": 64 } },
        "labels": { "labels": [{ "key": "k", "value": "v" }, { "key": "flag" }] },
        "container": { "type": "MESOS", "volumes": [
            { "container_path": "/data", "host_path": "/srv", "mode": "RO" },
            { "container_path": "s", "mode": "RW",
                "source": { "type": "SANDBOX_PATH", "sandbox_path": { "type": "PARENT", "path": "p" } } },
        ] },
    })));
    let full = full.expect("sound");
    assert_eq!(full.command.run, Run::Exec(vec!["/bin/echo".to_owned(), "hi".to_owned()]));
    assert!(full.command.uris[0].extract && full.command.uris[0].cache);
    assert_eq!(full.limits.cpus, Some(Limit::Unlimited));
    assert_eq!(full.limits.mem, Some(Limit::Amount(Scalar::whole(64))));
    assert_eq!(full.labels[1], ("flag".to_owned(), String::new()));
    let (scheme, family, path) = (Scheme::Http, Family::Ipv4, "/".to_owned());
    let probe = Probe::Http { scheme, port: 80, path, family, ignore_1xx: false };
    assert_eq!((&full.health_checks[0].probe, full.health_checks[0].failures_max), (&probe, 3));
    let container = full.container.expect("given");
    assert_eq!((container.volumes.len(), container.shared[0].name.as_str()), (1, "p"));
    let docker = launched(&with(&json!({
        "command": { "shell": false, "arguments": ["-v"] },
        "container": { "type": "DOCKER", "docker": { "image": "nginx", "force_pull_image": true } },
    })));
    let docker = docker.expect("sound");
    assert_eq!(docker.command.run, Run::Image(vec!["-v".to_owned()]));
    assert!(docker.container.and_then(|one| one.image).is_some_and(|image| image.force_pull));
}

#[test]
fn what_is_seldom_said_is_kept() {
    let task = launched(&with(&json!({
        "max_completion_time": { "nanoseconds": 1_500_000_000_i64 },
        "discovery": {
            "visibility": "EXTERNAL", "name": "web", "environment": "prod", "location": "eu",
            "version": "2", "labels": { "labels": [{ "key": "k", "value": "v" }] },
            "ports": { "ports": [{ "number": 80, "name": "http", "visibility": "CLUSTER" }] },
        },
        "container": {
            "type": "MESOS", "hostname": "box", "rlimit_info": { "rlimits": [
                { "type": "RLMT_NOFILE", "soft": 10, "hard": 20 }, { "type": "RLMT_CORE" },
            ] },
        },
    })));
    let task = task.expect("sound");
    assert_eq!(task.completes_within, Some(Duration::from_millis(1500)));
    let discovery = task.discovery.expect("given");
    assert_eq!(discovery.ports[0].visibility, Some(Visibility::Cluster));
    let more = discovery.more.expect("given");
    assert_eq!(more.visibility, Visibility::External);
    let said = [&more.environment, &more.location, &more.version];
    assert_eq!(said.map(Option::as_deref), [Some("prod"), Some("eu"), Some("2")]);
    assert_eq!(more.labels, [("k".to_owned(), "v".to_owned())]);
    let bounds = task.container.and_then(|container| container.bounds).expect("given");
    assert_eq!(bounds.hostname.as_deref(), Some("box"));
    let values = Some(SoftHard { soft: 10, hard: 20 });
    let files = Rlimit { of: Rlimited::OpenFiles, values };
    assert_eq!(bounds.rlimits, [files, Rlimit { of: Rlimited::CoreFile, values: None }]);
    let plain = json!({ "discovery": { "visibility": "FRAMEWORK", "name": "web" } });
    let plain = launched(&with(&plain)).expect("sound").discovery.expect("given");
    assert_eq!(plain.more, None);
}

#[test]
fn both_spellings_of_a_reservation_are_read() {
    let mut old = scalar("cpus", 1.0);
    old["role"] = json!("prod");
    old["reservation"] = json!({ "principal": "p" });
    let mut new = scalar("cpus", 1.0);
    new["reservations"] = json!([{ "type": "DYNAMIC", "role": "prod", "principal": "p" }]);
    for resource in [old, new] {
        let task = launched(&with(&json!({ "resources": [resource] }))).expect("sound");
        let one = task.resources.iter().next().expect("one").clone();
        assert_eq!(one.reservations[0].kind, ReservationKind::Dynamic);
        assert_eq!(one.role().map(Role::as_str), Some("prod"));
    }
}

fn group(executor: Value, tasks: Value) -> Operation {
    let group = json!({ "executor": executor, "task_group": { "tasks": tasks } });
    operations(json!({ "type": "LAUNCH_GROUP", "launch_group": group })).remove(0)
}

fn executor(changes: Value) -> Value {
    let resources = [scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 1.0)];
    let mut one =
        json!({ "type": "DEFAULT", "executor_id": { "value": "e" }, "resources": resources });
    let members = changes.as_object().expect("an object").clone();
    one.as_object_mut().expect("an object").extend(members);
    one
}

#[test]
fn a_group_shares_control_groups_unless_all_say_otherwise() {
    let said = |share: bool| {
        with(&json!({ "container": { "type": "MESOS", "linux_info": { "share_cgroups": share } } }))
    };
    let check = |tasks: Value, expected: Cgroups| match group(executor(json!({})), tasks) {
        Operation::LaunchGroup { executor, .. } => assert_eq!(executor.cgroups, expected),
        other => panic!("{other:?}"),
    };
    check(json!([task()]), Cgroups::Shared);
    check(json!([said(true), task()]), Cgroups::Shared);
    check(json!([said(false), said(false)]), Cgroups::Own);
    let mixed = group(executor(json!({})), json!([task(), said(false)]));
    let Operation::Refuse(tasks) = mixed else { panic!("{mixed:?}") };
    assert!(tasks[0].cause.contains("must be the same for all tasks in each task group"));
}

#[test]
fn an_executor_says_whose_namespaces_its_tasks_find_at_their_parent() {
    let around =
        |linux: Value| executor(json!({ "container": { "type": "MESOS", "linux_info": linux } }));
    let check = |linux: Value, expected: Namespaces| match group(around(linux), json!([task()])) {
        Operation::LaunchGroup { executor, .. } => assert_eq!(executor.namespaces, expected),
        other => panic!("{other:?}"),
    };
    check(json!({}), Namespaces::default());
    check(
        json!({ "ipc_mode": "PRIVATE", "shm_size": 16 }),
        Namespaces { pid: None, ipc: Some(Sharing::Private), shm_bytes: Some(16 << 20) },
    );
    check(
        json!({ "ipc_mode": "SHARE_PARENT", "share_pid_namespace": true }),
        Namespaces { pid: Some(Sharing::Parent), ipc: Some(Sharing::Parent), shm_bytes: None },
    );
}

#[test]
fn one_fault_in_a_group_is_the_fault_of_all() {
    let docker = json!({ "container": { "type": "DOCKER", "docker": { "image": "a" } } });
    let check =
        |executor: Value, second: Value, text: &str| match group(executor, json!([task(), second]))
        {
            Operation::Refuse(tasks) => {
                assert_eq!(tasks.len(), 2);
                for one in tasks {
                    assert_eq!(one.reason, Reason::TaskGroupInvalid);
                    assert!(one.cause.contains(text), "{}", one.cause);
                }
            }
            other => panic!("{text}: {other:?}"),
        };
    let sound = || executor(json!({}));
    check(sound(), with(&docker), "Docker ContainerInfo is not supported on the task");
    check(sound(), with(&json!({ "command": null })), "'TaskInfo.command' must be set");
    check(
        executor(json!({ "type": "CUSTOM" })),
        task(),
        "'ExecutorInfo.command' must be set for 'CUSTOM' executor",
    );
    check(executor(json!({ "type": null })), task(), "'ExecutorInfo.type' must be set");
    check(
        executor(json!({ "command": { "value": "a" } })),
        task(),
        "'ExecutorInfo.command' must not",
    );
    check(executor(docker), task(), "Docker ContainerInfo is not supported on the executor");
    check(executor(json!({ "framework_id": { "value": "g" } })), task(), "invalid FrameworkID");
    let found = group(sound(), json!([task()]));
    assert!(matches!(found, Operation::LaunchGroup { tasks, .. } if tasks.len() == 1));
    let given = |changes: Value| match group(executor(changes), json!([task()])) {
        Operation::LaunchGroup { executor, .. } => executor.given,
        other => panic!("{other:?}"),
    };
    assert_eq!(given(json!({ "labels": { "labels": [{ "key": "a" }] } })), None);
    assert!(given(json!({ "name": "a pod" })).is_some());
    assert!(given(json!({ "data": "AAEC" })).is_some());
}

#[test]
fn operations_that_make_no_sense_are_answered_under_their_names() {
    let check = |operation: Value, text: &str| {
        let mut operation = operation;
        operation["id"] = json!({ "value": "op" });
        match operations(operation).remove(0) {
            Operation::NoConversion { id, cause } => {
                assert_eq!(id.expect("it has one").as_str(), "op");
                assert!(cause.contains(text), "{cause}");
            }
            other => panic!("{other:?}"),
        }
    };
    check(json!({ "type": "RESERVE" }), "Expecting 'reserve' to be present");
    check(json!({ "type": "OF_A_LATER_RELEASE" }), "of no known type");
    let bad = json!({ "resources": [scalar("ports", 1.0)] });
    check(json!({ "type": "UNRESERVE", "unreserve": bad }), "of the wrong type");
}

#[test]
fn confinement_is_read_and_what_contradicts_itself_is_refused() {
    let of = |linux: Value| json!({ "container": { "type": "MESOS", "linux_info": linux } });
    let check = |linux: Value, expected: Confinement| {
        let read = launched(&with(&of(linux.clone()))).expect("sound");
        let bounds = read.container.and_then(|container| container.bounds);
        assert_eq!(bounds.expect("it is bounded").confinement, expected, "{linux}");
    };
    let none = Confinement::default;
    let capabilities = |names: &[&str]| json!({ "capabilities": names });
    let exactly = |effective, bounding| Confinement {
        rights: Rights::Exactly { effective, bounding },
        ..none()
    };
    let (chown, both) = (Capabilities(1), Capabilities(1 | 1 << 12));
    check(
        json!({ "effective_capabilities": capabilities(&["CHOWN"]) }),
        exactly(Some(chown), None),
    );
    check(json!({ "capability_info": capabilities(&["CHOWN"]) }), exactly(Some(chown), None));
    check(
        json!({
            "effective_capabilities": capabilities(&["CHOWN"]),
            "bounding_capabilities": capabilities(&["NET_ADMIN", "CHOWN"]),
        }),
        exactly(Some(chown), Some(both)),
    );
    let strict = Some(Seccomp::Profile("strict".to_owned()));
    check(
        json!({ "seccomp": { "profile_name": "strict" } }),
        Confinement { seccomp: strict, ..none() },
    );
    check(
        json!({ "ipc_mode": "PRIVATE", "shm_size": 64, "share_pid_namespace": true }),
        Confinement {
            ipc: Some(Sharing::Private),
            shm_bytes: Some(64 << 20),
            pid: Some(Sharing::Parent),
            ..none()
        },
    );
    let refused = |linux: Value, why: &str| is_refused(&of(linux), why);
    refused(
        json!({
            "effective_capabilities": capabilities(&["CHOWN"]),
            "bounding_capabilities": capabilities(&["KILL"]),
        }),
        "has CHOWN, which",
    );
    refused(json!({ "seccomp": {} }), "must name a profile or be unconfined");
    refused(json!({ "ipc_mode": "SHARE_PARENT", "shm_size": 1 }), "SHARE_PARENT");
}
