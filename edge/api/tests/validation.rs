//! One row for each check of Mesos' master on what frameworks send (`src/master/validation.cpp` of Mesos 1.11, from top to
//! bottom), told through the door and refused for the same reason.
//!
//! Without a meaning here, and so without a row:
//! - of registering agents: their own protocol carries what can be true only;
//! - `offer_filters`, whose values are refused where they are read, and offer constraints: `tests/scheduler.rs`;
//! - principals of who has logged in: this release knows no log-in;
//! - `ExecutorInfo.framework_id` that is not set: Mesos' master fills it in before it looks, and so does ours;
//! - agents without HIERARCHICAL_ROLE, RESERVATION_REFINEMENT, RESIZE_VOLUME, TASK_RESOURCE_LIMITS: all of ours have them;
//! - resources of several providers: there are none, and `provider_id` is refused by its name;
//! - resources that are allocated to nobody: as in Mesos, the offer's role is filled in;
//! - `share_cgroups` of a group that differs from that of an earlier group of its executor: each task has a control group
//!   of its own here, whatever others have;
//! - inverse offers that are not valid any more: they are answered, and nothing follows from that;
//! - calls of operators: `tests/mesos.rs`.

mod stage;

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use mesos_v1::recordio::Reader;
use serde_json::{Value, json};
use stage::{Stage, send};
use tower::ServiceExt;

const PATIENCE: Duration = Duration::from_secs(20);

/// A scheduler that speaks JSON.
struct Scheduler<'a> {
    stage: &'a Stage,
    stream: String,
    id: Value,
    body: Body,
    reader: Reader,
}

fn info() -> Value {
    json!({
        "user": "root", "name": "judged", "roles": ["db"], "principal": "ops", "failover_timeout": 60.0,
        "capabilities": [{ "type": "MULTI_ROLE" }, { "type": "RESERVATION_REFINEMENT" }],
    })
}

fn subscribe(info: &Value) -> Value {
    json!({ "type": "SUBSCRIBE", "framework_id": info.get("id"), "subscribe": { "framework_info": info } })
}

async fn open(stage: &Stage, call: &Value) -> (String, Body) {
    let request: Request<Body> = Request::post("/api/v1/scheduler")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(call.to_string().into())
        .expect("a request");
    let response = stage.mesos.clone().oneshot(request).await.expect("an answer");
    let stream = response.headers().get("mesos-stream-id");
    let stream = stream.map_or("", |id| id.to_str().expect("ASCII")).to_owned();
    (stream, response.into_body())
}

impl<'a> Scheduler<'a> {
    async fn subscribe(stage: &'a Stage, call: &Value) -> Self {
        let (stream, body) = open(stage, call).await;
        Self { stage, stream, id: Value::Null, body, reader: Reader::default() }
    }

    /// The next event of the type.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            while let Some(record) = self.reader.take().expect("a record") {
                let event: Value = serde_json::from_slice(&record).expect("JSON");
                if event["type"] == kind {
                    return event;
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("waited for {kind}"));
            let frame = frame.unwrap_or_else(|| panic!("it ended before {kind}")).expect("a frame");
            self.reader.push(&frame.into_data().unwrap_or_default());
        }
    }

    /// What it is told of tasks and operations, one after the other.
    async fn told(&mut self, count: usize) -> Vec<Value> {
        let mut told = Vec::new();
        while told.len() < count {
            while let Some(record) = self.reader.take().expect("a record") {
                let event: Value = serde_json::from_slice(&record).expect("JSON");
                for (kind, body) in
                    [("UPDATE", "update"), ("UPDATE_OPERATION_STATUS", "update_operation_status")]
                {
                    if event["type"] == kind {
                        told.push(event[body]["status"].clone());
                    }
                }
            }
            if told.len() < count {
                let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
                let frame = frame.unwrap_or_else(|_| panic!("told {}: {told:#?}", told.len()));
                let data = frame.expect("no end").expect("a frame").into_data();
                self.reader.push(&data.unwrap_or_default());
            }
        }
        told
    }

    async fn says(&self, call: &Value) -> (StatusCode, String) {
        let mut call = call.clone();
        if call.get("framework_id").is_none() {
            call["framework_id"] = self.id.clone();
        }
        let request = Request::post("/api/v1/scheduler")
            .header("content-type", "application/json")
            .header("mesos-stream-id", &self.stream)
            .body(call.to_string().into())
            .expect("a request");
        let answer = send(&self.stage.mesos, request).await;
        (answer.status, answer.text)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_judged() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let of = |changes: Value| {
        let mut all = info();
        all.as_object_mut().expect("an object").extend(changes.as_object().expect("one").clone());
        all
    };
    let multi = "must not be set when the framework is";
    let rows = [
        (of(json!({ "role": "db" })), multi),
        (of(json!({ "capabilities": [] })), multi),
        (of(json!({ "roles": ["db", "db"] })), "contains duplicate items"),
        (of(json!({ "roles": ["-db"] })), "is not a role"),
        (of(json!({ "roles": ["a//b"] })), "is not a role"),
        (of(json!({ "roles": ["a b"] })), "is not a role"),
        (of(json!({ "id": { "value": "a/b" } })), "is no framework id"),
        (of(json!({ "id": { "value": ".." } })), "is no framework id"),
        (of(json!({ "id": { "value": "x".repeat(256) } })), "is no framework id"),
        (of(json!({ "failover_timeout": -1.0 })), "failover_timeout"),
        (of(json!({ "failover_timeout": 1e300 })), "failover_timeout"),
    ];
    for (info, words) in rows {
        let mut refused = Scheduler::subscribe(&stage, &subscribe(&info)).await;
        let error = refused.until("ERROR").await["error"]["message"].to_string();
        assert!(error.contains(words), "{error} is not {words}: {info}");
    }
    let mut call = subscribe(&info());
    call["subscribe"]["suppressed_roles"] = json!(["other"]);
    let mut refused = Scheduler::subscribe(&stage, &call).await;
    let error = refused.until("ERROR").await["error"]["message"].to_string();
    assert!(error.contains("are not contained in the set of roles"), "{error}");
    let mut own = Scheduler::subscribe(&stage, &subscribe(&info())).await;
    let id = own.until("SUBSCRIBED").await["subscribed"]["framework_id"].clone();
    let stolen = subscribe(&of(json!({ "id": id, "principal": "other" })));
    let mut refused = Scheduler::subscribe(&stage, &stolen).await;
    let error = refused.until("ERROR").await["error"]["message"].to_string();
    assert!(error.contains("Changing framework's principal is not allowed."), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_judged() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let mut scheduler = Scheduler::subscribe(&stage, &subscribe(&info())).await;
    let subscribed = scheduler.until("SUBSCRIBED").await;
    scheduler.id = subscribed["subscribed"]["framework_id"].clone();
    let id = |value: &str| json!({ "value": value });
    let mut rows = vec![
        (json!({}), "Expecting 'type' to be present".to_owned()),
        (json!({ "type": "REVIVE", "framework_id": null }), "'framework_id' to be present".into()),
    ];
    let bodies = [
        "ACCEPT",
        "DECLINE",
        "ACCEPT_INVERSE_OFFERS",
        "DECLINE_INVERSE_OFFERS",
        "KILL",
        "SHUTDOWN",
        "ACKNOWLEDGE",
        "ACKNOWLEDGE_OPERATION_STATUS",
        "RECONCILE",
        "RECONCILE_OPERATIONS",
        "MESSAGE",
        "REQUEST",
        "UPDATE_FRAMEWORK",
    ];
    rows.extend(bodies.map(|kind| {
        let words = format!("Expecting '{}' to be present", kind.to_lowercase());
        (json!({ "type": kind }), words)
    }));
    let acknowledge = json!({ "agent_id": id("a"), "task_id": id("t"), "uuid": "AAAA" });
    rows.push((json!({ "type": "ACKNOWLEDGE", "acknowledge": acknowledge }), "UUID".into()));
    let of = |agent: Value, uuid: &str| {
        json!({ "type": "ACKNOWLEDGE_OPERATION_STATUS", "acknowledge_operation_status":
            { "agent_id": agent, "operation_id": id("o"), "uuid": uuid } })
    };
    rows.push((of(id("a"), "AAAA"), "UUID".into()));
    rows.push((of(Value::Null, "AAAAAAAAAAAAAAAAAAAAAA=="), "Expecting 'agent_id'".into()));
    let mut other = info();
    other["id"] = id("other");
    let update =
        json!({ "type": "UPDATE_FRAMEWORK", "update_framework": { "framework_info": other } });
    rows.push((update, "differs from 'update_framework.framework_info.id'".into()));
    for (call, words) in rows {
        let (status, text) = scheduler.says(&call).await;
        assert!(
            status == StatusCode::BAD_REQUEST && text.contains(&words),
            "{call}: {status} {text}"
        );
    }
    let mut call = subscribe(&info());
    call["framework_id"] = id("other");
    let request = Request::post("/api/v1/scheduler")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(call.to_string().into())?;
    let text = send(&stage.mesos, request).await.text;
    assert!(text.contains("'framework_id' differs from 'subscribe.framework_info.id'"), "{text}");
    Ok(())
}

fn scalar(name: &str, value: f64) -> Value {
    json!({ "name": name, "type": "SCALAR", "scalar": { "value": value } })
}

fn with(mut one: Value, changes: &Value) -> Value {
    let changes = changes.as_object().expect("an object").clone();
    one.as_object_mut().expect("an object").extend(changes);
    one
}

fn dynamic(role: &str) -> Value {
    json!({ "type": "DYNAMIC", "role": role, "principal": "ops" })
}

fn reserved(name: &str, value: f64) -> Value {
    with(scalar(name, value), &json!({ "reservations": [dynamic("db")] }))
}

fn volume(id: &str) -> Value {
    let disk = json!({
        "persistence": { "id": id, "principal": "ops" },
        "volume": { "container_path": "data", "mode": "RW" },
    });
    with(reserved("disk", 64.0), &json!({ "disk": disk }))
}

/// A volume whose `disk` is changed.
fn of_disk(changes: &Value) -> Value {
    let mut one = volume("v");
    one["disk"] = with(one["disk"].clone(), changes);
    one
}

fn source(kind: &str) -> Value {
    let disk = json!({ "source": { "type": kind } });
    with(reserved("disk", 64.0), &json!({ "disk": disk }))
}

/// What is told about one operation: nothing if it is good.
type Row = (Value, &'static str);

struct Rows {
    agent: Value,
    all: Vec<Row>,
}

impl Rows {
    fn name(&self) -> String {
        format!("x{}", self.all.len())
    }

    fn task(&self, changes: &Value) -> Value {
        let one = json!({
            "name": "a", "task_id": { "value": self.name() }, "agent_id": self.agent,
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
            "command": { "value": "sleep 1" },
        });
        with(one, changes)
    }

    fn executor(&self, changes: &Value) -> Value {
        let one = json!({
            "type": "DEFAULT", "executor_id": { "value": format!("e{}", self.all.len()) },
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 8.0)],
        });
        with(one, changes)
    }

    fn launch(&mut self, changes: Value, words: &'static str) {
        let launch = json!({ "task_infos": [self.task(&changes)] });
        self.all.push((json!({ "type": "LAUNCH", "launch": launch }), words));
    }

    /// In an executor that is a program.
    fn launch_in(&mut self, executor: Value, words: &'static str) {
        let program = json!({ "type": "CUSTOM", "command": { "value": "./executor" } });
        let executor = with(with(self.executor(&json!({})), &program), &executor);
        self.launch(json!({ "command": null, "executor": executor }), words);
    }

    fn group(&mut self, executor: Value, task: Value, words: &'static str) {
        let executor = self.executor(&executor);
        let tasks = json!({ "tasks": [self.task(&task)] });
        let group = json!({ "executor": executor, "task_group": tasks });
        self.all.push((json!({ "type": "LAUNCH_GROUP", "launch_group": group }), words));
    }

    fn operate(&mut self, kind: &str, body: Value, words: &'static str) {
        let operation = json!({
            "type": kind, "id": { "value": self.name() }, kind.to_lowercase(): body,
        });
        self.all.push((operation, words));
    }

    fn reserve(&mut self, one: Value, words: &'static str) {
        self.operate("RESERVE", json!({ "resources": [one] }), words);
    }

    fn create(&mut self, one: Value, words: &'static str) {
        self.operate("CREATE", json!({ "volumes": [one] }), words);
    }
}

/// All rows go in one call: what is refused leaves the offer as it was.
async fn check(rows: impl FnOnce(&mut Rows)) -> anyhow::Result<()> {
    let stage = Stage::new()?.with_agent().await?;
    let mut scheduler = Scheduler::subscribe(&stage, &subscribe(&info())).await;
    let subscribed = scheduler.until("SUBSCRIBED").await;
    scheduler.id = subscribed["subscribed"]["framework_id"].clone();
    let offer = scheduler.until("OFFERS").await["offers"]["offers"][0].clone();
    let mut table = Rows { agent: offer["agent_id"].clone(), all: Vec::new() };
    rows(&mut table);
    let operations: Vec<&Value> = table.all.iter().map(|(operation, _)| operation).collect();
    let accept = json!({ "offer_ids": [offer["id"]], "operations": operations });
    let (status, text) = scheduler.says(&json!({ "type": "ACCEPT", "accept": accept })).await;
    assert_eq!((status, text.as_str()), (StatusCode::ACCEPTED, ""));
    let refused: Vec<&Row> = table.all.iter().filter(|(_, words)| !words.is_empty()).collect();
    let told = scheduler.told(refused.len()).await;
    let mut faults = Vec::new();
    for ((operation, words), told) in refused.iter().zip(&told) {
        let message = told["message"].as_str().unwrap_or_default();
        let state = told["state"].as_str().unwrap_or_default();
        if !message.contains(words) || !["TASK_ERROR", "OPERATION_ERROR"].contains(&state) {
            faults.push(format!("{state} {message:?} is not {words:?}: {operation}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

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
        rows.launch(of(provider), "provider_id");

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

        // Of groups.
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
        let limited = json!({ "limits": { "cpus": { "value": 1.0 } } });
        rows.group(good(), limited, "Resource limits may only be set for tasks within");
        rows.group(good(), json!({ "resources": [scalar("cpus", 99.0)] }), "cpus:99");
        let same = rows.executor(&json!({}));
        rows.group(good(), json!({ "executor": same }), "");
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

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_judged() -> anyhow::Result<()> {
    check(|rows| {
        // RESERVE
        rows.reserve(scalar("cpus", -1.0), "Invalid resources");
        rows.reserve(scalar("cpus", 1.0), "the last is to be DYNAMIC");
        let from = |source: Value, one: Value| json!({ "source": source, "resources": [one] });
        rows.operate(
            "RESERVE",
            from(json!([scalar("cpus", -1.0)]), reserved("cpus", 1.0)),
            "Invalid",
        );
        let mixed = json!([scalar("cpus", 1.0), reserved("mem", 1.0)]);
        rows.operate("RESERVE", from(mixed, reserved("cpus", 1.0)), "the same reservations");
        let other = json!([scalar("cpus", 2.0)]);
        rows.operate("RESERVE", from(other, reserved("cpus", 1.0)), "they are to be the same but");
        let by = |principal: Value| {
            let one = json!({ "type": "DYNAMIC", "role": "db", "principal": principal });
            with(scalar("cpus", 1.0), &json!({ "reservations": [one] }))
        };
        rows.reserve(by(Value::Null), "the last names principal none");
        rows.reserve(by(json!("other")), "the last names principal other");
        let role =
            |role: &str| with(scalar("cpus", 1.0), &json!({ "reservations": [dynamic(role)] }));
        rows.reserve(role("other"), "the last is for role other, but the offer is to db");
        let to = with(reserved("cpus", 1.0), &json!({ "allocation_info": { "role": "other" } }));
        rows.reserve(to, "allocated to role 'other'");
        rows.reserve(reserved("cpus", 99.0), "it needs cpus:99");

        // UNRESERVE
        let unreserve = |one: Value| json!({ "resources": [one] });
        rows.operate("UNRESERVE", unreserve(scalar("cpus", 1.0)), "the last is not DYNAMIC");
        rows.operate("UNRESERVE", unreserve(volume("v")), "destroy the volume first");
        rows.operate("UNRESERVE", unreserve(reserved("cpus", 1.0)), "it needs");

        // CREATE
        rows.create(reserved("disk", 64.0), "disk: it is not set");
        rows.create(source("MOUNT"), "disk.persistence: it is not set");
        let read_only = json!({ "volume": { "container_path": "data", "mode": "RO" } });
        rows.create(of_disk(&read_only), "created RW");
        let twice = json!({ "volumes": [volume("v"), volume("v")] });
        rows.operate("CREATE", twice, "two volumes of the id");
        rows.create(
            with(volume("v"), &json!({ "shared": {} })),
            "lacks the capability SHARED_RESOURCES",
        );
        let by = |persistence: Value| of_disk(&json!({ "persistence": persistence }));
        rows.create(by(json!({ "id": "v" })), "it is none, but ops creates it");
        rows.create(
            by(json!({ "id": "v", "principal": "other" })),
            "it is other, but ops creates it",
        );
        rows.create(volume("v"), "it needs");

        // DESTROY
        rows.operate(
            "DESTROY",
            json!({ "volumes": [reserved("disk", 1.0)] }),
            "disk: it is not set",
        );
        rows.operate("DESTROY", json!({ "volumes": [volume("v")] }), "the agent has no volume");

        // GROW_VOLUME and SHRINK_VOLUME
        let grow =
            |volume: Value, addition: Value| json!({ "volume": volume, "addition": addition });
        let space = || reserved("disk", 1.0);
        rows.operate("GROW_VOLUME", grow(scalar("disk", -1.0), space()), "Invalid resources");
        rows.operate("GROW_VOLUME", grow(volume("v"), scalar("disk", -1.0)), "Invalid resources");
        rows.operate("GROW_VOLUME", grow(volume("v"), reserved("disk", 0.0)), "greater than zero");
        rows.operate("GROW_VOLUME", grow(space(), space()), "volume.disk: it is not set");
        let shared = || with(volume("v"), &json!({ "shared": {} }));
        rows.operate("GROW_VOLUME", grow(shared(), space()), "a shared volume cannot grow");
        rows.operate("GROW_VOLUME", grow(volume("v"), scalar("disk", 1.0)), "not of the same disk");
        let mounted =
            || of_disk(&json!({ "source": { "type": "MOUNT", "mount": { "root": "/a" } } }));
        rows.operate("GROW_VOLUME", grow(mounted(), source("MOUNT")), "not of the same disk");
        rows.operate("GROW_VOLUME", grow(volume("v"), space()), "it needs");
        let shrink =
            |volume: Value, by: f64| json!({ "volume": volume, "subtract": { "value": by } });
        rows.operate("SHRINK_VOLUME", shrink(scalar("disk", -1.0), 1.0), "Invalid resources");
        rows.operate("SHRINK_VOLUME", shrink(volume("v"), 0.0), "greater than zero");
        rows.operate("SHRINK_VOLUME", shrink(volume("v"), 64.0), "less than the 64");
        rows.operate("SHRINK_VOLUME", shrink(mounted(), 1.0), "a MOUNT disk cannot shrink");
        rows.operate(
            "SHRINK_VOLUME",
            shrink(reserved("disk", 2.0), 1.0),
            "volume.disk: it is not set",
        );
        rows.operate("SHRINK_VOLUME", shrink(shared(), 1.0), "a shared volume cannot shrink");
        rows.operate("SHRINK_VOLUME", shrink(volume("v"), 1.0), "it needs");

        // CREATE_DISK and DESTROY_DISK: only what a resource provider manages, and there is none.
        let make =
            |one: Value| json!({ "source": one, "target_type": "MOUNT", "target_profile": "fast" });
        let unmanaged = "'source' is not managed by a resource provider";
        rows.operate("CREATE_DISK", make(scalar("disk", -1.0)), "Invalid resources");
        rows.operate("CREATE_DISK", make(source("RAW")), unmanaged);
        rows.operate(
            "DESTROY_DISK",
            json!({ "source": scalar("disk", -1.0) }),
            "Invalid resources",
        );
        rows.operate("DESTROY_DISK", json!({ "source": source("MOUNT") }), unmanaged);

        // What holds once there is a volume.
        rows.operate("RESERVE", json!({ "resources": [reserved("disk", 128.0)] }), "");
        rows.create(volume("v"), "");
        rows.create(volume("v"), "two volumes of the id");
        rows.launch(json!({ "resources": [scalar("cpus", 0.1), volume("v")] }), "");
        rows.operate("DESTROY", json!({ "volumes": [volume("v")] }), "is in use");
        let again = json!({ "resources": [scalar("cpus", 0.1), volume("v")] });
        rows.launch(again, "the task needs");
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_are_judged() -> anyhow::Result<()> {
    let stage = Stage::new()?.with_agent().await?;
    let mut scheduler = Scheduler::subscribe(&stage, &subscribe(&info())).await;
    let subscribed = scheduler.until("SUBSCRIBED").await;
    scheduler.id = subscribed["subscribed"]["framework_id"].clone();
    let offer = scheduler.until("OFFERS").await["offers"]["offers"][0].clone();
    let rows = Rows { agent: offer["agent_id"].clone(), all: Vec::new() };
    let unknown = json!({ "value": "nothing" });
    let own = &offer["id"];
    for (offers, words) in [
        (json!([]), "no offer is named"),
        (json!([unknown]), "an offer is not valid any more"),
        (json!([own, own]), "an offer is named twice"),
    ] {
        let launch =
            json!({ "type": "LAUNCH", "launch": { "task_infos": [rows.task(&json!({}))] } });
        let accept = json!({ "offer_ids": offers, "operations": [launch] });
        scheduler.says(&json!({ "type": "ACCEPT", "accept": accept })).await;
        let told = scheduler.told(1).await.remove(0);
        assert_eq!(told["state"], "TASK_LOST", "{told}");
        assert!(told["message"].as_str().is_some_and(|said| said.contains(words)), "{told}");
        assert_eq!(told["reason"], "REASON_INVALID_OFFERS");
    }
    Ok(())
}
