//! Resources, tasks, executors and groups.

use serde_json::{Value, json};

use crate::rows::{check, dynamic, of_disk, reserved, scalar, volume, with};

#[tokio::test(flavor = "multi_thread")]
async fn resources_are_judged() -> anyhow::Result<()> {
    check(|rows| {
        let of = |one: Value| json!({ "resources": [scalar("cpus", 0.1), one] });
        rows.launch(of(scalar("", 1.0)), "has no name");
        rows.launch(of(json!({ "name": "mem", "type": "SCALAR" })), "another type than it says");
        rows.launch(of(scalar("mem", -1.0)), "is no sensible number");
        rows.launch(of(scalar("ports", 1.0)), "of the wrong type");
        rows.launch(of(scalar("gpus", 0.5)), "must be an unsigned integer");
        let ranges = |end: u64| {
            json!({ "name": "ports", "type": "RANGES", "ranges": { "range":
                [{ "begin": 31_005, "end": end }, { "begin": 31_007, "end": 31_009 }] } })
        };
        rows.launch(of(ranges(31_004)), "ends before it begins");
        rows.launch(of(ranges(31_008)), "ranges that overlap");
        let twice = json!({ "name": "zones", "type": "SET", "set": { "item": ["a", "a"] } });
        rows.launch(of(twice), "names an item twice");
        let both = with(reserved("mem", 1.0), &json!({ "role": "db" }));
        rows.launch(of(both), "'reservations' beside");
        let to =
            |role: &str| with(scalar("mem", 1.0), &json!({ "allocation_info": { "role": role } }));
        rows.launch(json!({ "resources": [to("a"), to("db")] }), "multiple allocation roles");
        rows.launch(json!({ "resources": [to("a")] }), "the offer is to db");
        let provider = with(scalar("mem", 1.0), &json!({ "provider_id": { "value": "p" } }));
        rows.launch(of(provider), "the task needs");

        // Of reservations.
        let stack = |stack: Value| with(scalar("mem", 1.0), &json!({ "reservations": stack }));
        rows.reserve(stack(json!([dynamic("-db")])), "is not a role");
        rows.reserve(stack(json!([dynamic("*")])), "for no role");
        rows.reserve(stack(json!([dynamic("db"), dynamic("db")])), "is not below");
        rows.reserve(stack(json!([dynamic("a"), dynamic("db")])), "is not below");
        let fixed = json!({ "type": "STATIC", "role": "db/a" });
        rows.reserve(stack(json!([dynamic("db"), fixed])), "only the first can be STATIC");
        rows.reserve(with(reserved("mem", 1.0), &json!({ "revocable": {} })), "cannot be reserved");
        rows.reserve(
            with(reserved("mem", 1.0), &json!({ "shared": {} })),
            "only a persistent volume",
        );

        // Of disks.
        rows.create(with(volume("v"), &json!({ "name": "mem" })), "is no disk");
        rows.create(with(volume("v"), &json!({ "revocable": {} })), "may be taken away");
        rows.create(with(volume("v"), &json!({ "reservations": [] })), "what is not reserved");
        rows.create(of_disk(&json!({ "volume": null })), "Expecting 'volume' to be set");
        let host = json!({ "container_path": "data", "mode": "RW", "host_path": "/etc" });
        rows.create(of_disk(&json!({ "volume": host })), "host_path");
        for id in ["", ".", "..", "a/b", "a\\b"] {
            rows.create(of_disk(&json!({ "persistence": { "id": id } })), "is no volume id");
        }
        rows.create(
            of_disk(&json!({ "persistence": null })),
            "Non-persistent volume not supported",
        );
        rows.create(of_disk(&json!({ "persistence": null, "volume": null })), "set but empty");
        rows.create(of_disk(&json!({ "source": { "type": "UNKNOWN" } })), "disk.source.type");
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_judged() -> anyhow::Result<()> {
    check(|rows| {
        for id in ["", ".", "..", "a/b", "a\\b", "a\u{7}"] {
            rows.launch(json!({ "task_id": { "value": id } }), "is no task id");
        }
        let long = "x".repeat(256);
        rows.launch(json!({ "task_id": { "value": long } }), "is no task id");
        rows.launch(json!({ "task_id": { "value": "good" } }), "");
        rows.launch(json!({ "task_id": { "value": "good" } }), "a task good already");
        rows.launch(json!({ "agent_id": { "value": "other" } }), "the task names agent other");
        let nanos = |value: i64| json!({ "nanoseconds": value });
        rows.launch(json!({ "kill_policy": { "grace_period": nanos(-1) } }), "kill_policy");
        rows.launch(json!({ "max_completion_time": nanos(-1) }), "max_completion_time");
        rows.launch(json!({ "check": { "type": "COMMAND" } }), "Task uses invalid check");
        rows.launch(json!({ "health_check": { "type": "TCP" } }), "Task uses invalid health check");
        rows.launch(json!({ "resources": [] }), "Task uses no resources");
        let twice = json!({ "resources": [volume("v"), volume("v")] });
        rows.launch(twice, "Task uses duplicate persistence ID");
        let revocable = with(scalar("cpus", 0.1), &json!({ "revocable": {} }));
        let mixed = json!({ "resources": [scalar("cpus", 0.1), revocable] });
        rows.launch(mixed, "Cannot use both revocable and non-revocable");
        rows.launch(json!({ "command": {} }), "Task's `CommandInfo` is invalid");
        rows.launch(json!({ "container": { "type": "DOCKER" } }), "`ContainerInfo` is invalid");
        // Fields that Mesos passes on to what is not here.
        let docker = |more: Value| json!({ "type": "DOCKER", "docker": with(json!({ "image": "a" }), &more) });
        let of = |container: Value| json!({ "container": container });
        let driver = docker(json!({ "volume_driver": "rexray" }));
        rows.launch(of(driver), "container.docker.volume_driver");
        let network = |one: Value| of(json!({ "type": "MESOS", "network_infos": [one] }));
        rows.launch(network(json!({ "groups": ["a"] })), "network_infos.groups");
        let labels = json!({ "labels": { "labels": [{ "key": "a", "value": "b" }] } });
        rows.launch(network(labels), "network_infos.labels");
        let login = json!({ "name": "a", "credential": { "principal": "a" } });
        let image = json!({ "image": { "type": "DOCKER", "docker": login } });
        rows.launch(of(json!({ "type": "MESOS", "mesos": image })), "docker.credential");
        let limits = |name: &str, value: f64| json!({ "limits": { name: { "value": value } } });
        rows.launch(limits("disk", 1.0), "Only cpus and mem may be included");
        let only = |name: &str| json!({ "resources": [scalar(name, 64.0)] });
        rows.launch(with(limits("cpus", 1.0), &only("mem")), "a CPU request must also be");
        rows.launch(limits("cpus", 0.01), "The cpu limit must be greater than or equal");
        rows.launch(with(limits("mem", 64.0), &only("cpus")), "a memory request must also be");
        rows.launch(limits("mem", 1.0), "The memory limit must be greater than or equal");
        let apart = json!({ "type": "MESOS", "linux_info": { "share_cgroups": false } });
        rows.launch(json!({ "container": apart }), "Only tasks in a task group may have");
        rows.launch(json!({ "resources": [scalar("cpus", 99.0)] }), "the task needs cpus:99");
        rows.launch(json!({ "command": null }), "at least one (but not both)");
        rows.launch(json!({}), "The `id` field cannot be set on LAUNCH operations");
        rows.with_feedback();
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_are_judged() -> anyhow::Result<()> {
    check(|rows| {
        rows.launch_in(json!({ "executor_id": { "value": "a/b" } }), "is no executor id");
        rows.launch_in(json!({ "command": null }), "'ExecutorInfo.command' must be set");
        rows.launch_in(json!({ "type": "DEFAULT", "command": null }), "'ExecutorInfo.command'");
        let id = |one: &str| json!({ "executor_id": { "value": one } });
        rows.launch_in(id("program"), "");
        let other = json!({ "resources": [scalar("cpus", 0.2)] });
        rows.launch_in(with(id("program"), &other), "executor program");
        let stranger = json!({ "framework_id": { "value": "other" } });
        rows.launch_in(stranger, "ExecutorInfo has an invalid FrameworkID");
        let grace = json!({ "shutdown_grace_period": { "nanoseconds": -1 } });
        rows.launch_in(grace.clone(), "shutdown_grace_period");
        let of = |one: Value| json!({ "resources": [one] });
        rows.launch_in(of(scalar("cpus", -1.0)), "Executor uses invalid resources");
        let twice = json!({ "resources": [volume("v"), volume("v")] });
        rows.launch_in(twice, "two volumes of the id");
        let revocable = with(scalar("cpus", 0.1), &json!({ "revocable": {} }));
        let mixed = json!({ "resources": [scalar("cpus", 0.1), revocable] });
        rows.launch_in(mixed.clone(), "some cpus may be taken away");
        rows.launch_in(of(revocable.clone()), "some cpus may be taken away");
        rows.launch_in(json!({ "command": {} }), "Executor's `CommandInfo` is invalid");
        let docker = json!({ "container": { "type": "DOCKER" } });
        rows.launch_in(docker.clone(), "Executor's `ContainerInfo` is invalid");
        rows.launch_in(of(with(volume("v"), &json!({ "shared": {} }))), "cannot be shared");
        let share = json!({ "type": "MESOS", "linux_info": { "share_cgroups": true } });
        let share = json!({ "container": share });
        rows.launch_in(share.clone(), "cannot be set to 'true' on executor containers");
        rows.launch_in(of(scalar("cpus", 99.0)), "cpus:99");
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_judged() -> anyhow::Result<()> {
    check(|rows| {
        let grace = json!({ "shutdown_grace_period": { "nanoseconds": -1 } });
        let docker = json!({ "container": { "type": "DOCKER" } });
        let revocable = with(scalar("cpus", 0.1), &json!({ "revocable": {} }));
        let mixed = json!({ "resources": [scalar("cpus", 0.1), revocable] });
        let share = json!({ "type": "MESOS", "linux_info": { "share_cgroups": true } });
        let share = json!({ "container": share });
        let good = || json!({});
        rows.group(json!({ "command": { "value": "x" } }), good(), "must not be set for 'DEFAULT'");
        rows.group(docker, good(), "Docker ContainerInfo is not supported on the executor");
        let image = json!({ "type": "DOCKER", "docker": { "name": "alpine" } });
        let image = json!({ "container": { "type": "MESOS", "mesos": { "image": image } } });
        rows.group(image, good(), "mesos.image' must not be set");
        rows.group(json!({ "type": "UNKNOWN" }), good(), "'ExecutorInfo.type' must be set");
        rows.group(grace, good(), "shutdown_grace_period");
        rows.group(share, good(), "cannot be set to 'true' on executor containers");
        let least = |cpus: f64, mem: f64| json!({ "resources": [scalar("cpus", cpus), scalar("mem", mem)] });
        rows.group(least(0.001, 32.0), good(), "uses less CPUs (0.001) than the minimum");
        rows.group(least(0.1, 31.0), good(), "uses less memory (31) than the minimum");
        rows.group(least(0.1, 32.0), good(), "uses no disk");
        rows.group(mixed, good(), "uses less memory (None)");
        let revocable = json!({ "resources": [revocable, scalar("mem", 32.0)] });
        rows.group(good(), revocable, "some cpus may be taken away");
        rows.group(good(), json!({ "task_id": { "value": "a/b" } }), "is no task id");
        let stranger = rows.executor(&json!({ "executor_id": { "value": "stranger" } }));
        rows.group(good(), json!({ "executor": stranger }), "is different from executor");
        let docker = json!({ "type": "DOCKER", "docker": { "image": "a" } });
        rows.group(good(), json!({ "container": docker }), "Docker ContainerInfo");
        for kind in ["HTTP", "TCP"] {
            let check = json!({ "type": kind, kind.to_lowercase(): { "port": 80 } });
            let networks = json!({ "type": "MESOS", "network_infos": [{}] });
            let row = json!({ "health_check": check, "container": networks });
            rows.group(good(), row, "for nested containers not joining parent's network");
        }
        let limited = json!({ "limits": { "cpus": { "value": 1.0 } } });
        rows.group(good(), limited, "Resource limits may only be set for tasks within");
        rows.group(good(), json!({ "resources": [scalar("cpus", 99.0)] }), "cpus:99");
        let same = rows.executor(&json!({}));
        rows.group(good(), json!({ "executor": same }), "");
        let reserved_twice = json!({ "resources": [volume("v"), scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 8.0)] });
        rows.group(reserved_twice, json!({ "resources": [volume("v")] }), "two volumes of the id");
        let pod = || json!({ "executor_id": { "value": "pod" } });
        rows.group(pod(), good(), "");
        let own = json!({ "container": { "type": "MESOS", "linux_info": { "share_cgroups": false } } });
        rows.group(pod(), own, "must be the same for all tasks under a single executor");
        let other = json!({ "resources": [scalar("cpus", 0.2), scalar("mem", 32.0), scalar("disk", 8.0)] });
        rows.group(with(pod(), &other), good(), "executor pod runs already");
        rows.group(good(), good(), "The `id` field cannot be set on LAUNCH_GROUP operations");
        rows.with_feedback();
        let apart = json!({ "type": "MESOS", "linux_info": { "share_cgroups": false } });
        let apart = rows.task(&json!({ "container": apart }));
        let tasks = json!({ "tasks": [apart, rows.task(&json!({ "task_id": { "value": "other" } }))] });
        let group = json!({ "executor": rows.executor(&json!({})), "task_group": tasks });
        let operation = json!({ "type": "LAUNCH_GROUP", "launch_group": group });
        // Both of the tasks are told.
        rows.all.push((operation, "must be the same for all tasks"));
    })
    .await
}
