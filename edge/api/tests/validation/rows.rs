//! Rows of the table: what is asked for, and the words with which it is refused.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::scheduler::{Scheduler, info, subscribe};
use crate::stage::Stage;

pub(crate) fn scalar(name: &str, value: f64) -> Value {
    json!({ "name": name, "type": "SCALAR", "scalar": { "value": value } })
}

pub(crate) fn with(mut one: Value, changes: &Value) -> Value {
    let changes = changes.as_object().expect("an object").clone();
    one.as_object_mut().expect("an object").extend(changes);
    one
}

pub(crate) fn dynamic(role: &str) -> Value {
    json!({ "type": "DYNAMIC", "role": role, "principal": "ops" })
}

pub(crate) fn reserved(name: &str, value: f64) -> Value {
    with(scalar(name, value), &json!({ "reservations": [dynamic("db")] }))
}

pub(crate) fn volume(id: &str) -> Value {
    let disk = json!({
        "persistence": { "id": id, "principal": "ops" },
        "volume": { "container_path": "data", "mode": "RW" },
    });
    with(reserved("disk", 64.0), &json!({ "disk": disk }))
}

/// A volume whose `disk` is changed.
pub(crate) fn of_disk(changes: &Value) -> Value {
    let mut one = volume("v");
    one["disk"] = with(one["disk"].clone(), changes);
    one
}

pub(crate) fn source(kind: &str) -> Value {
    let disk = json!({ "source": { "type": kind } });
    with(reserved("disk", 64.0), &json!({ "disk": disk }))
}

/// What is told about one operation: nothing if it is good.
pub(crate) type Row = (Value, &'static str);

pub(crate) struct Rows {
    pub(crate) agent: Value,
    pub(crate) all: Vec<Row>,
}

impl Rows {
    pub(crate) fn name(&self) -> String {
        format!("x{}", self.all.len())
    }

    pub(crate) fn task(&self, changes: &Value) -> Value {
        let one = json!({
            "name": "a", "task_id": { "value": self.name() }, "agent_id": self.agent,
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
            "command": { "value": "sleep 1" },
        });
        with(one, changes)
    }

    pub(crate) fn executor(&self, changes: &Value) -> Value {
        let one = json!({
            "type": "DEFAULT", "executor_id": { "value": format!("e{}", self.all.len()) },
            "resources": [scalar("cpus", 0.1), scalar("mem", 32.0), scalar("disk", 8.0)],
        });
        with(one, changes)
    }

    pub(crate) fn launch(&mut self, changes: Value, words: &'static str) {
        let launch = json!({ "task_infos": [self.task(&changes)] });
        self.all.push((json!({ "type": "LAUNCH", "launch": launch }), words));
    }

    /// In an executor that is a program.
    pub(crate) fn launch_in(&mut self, executor: Value, words: &'static str) {
        let program = json!({ "type": "CUSTOM", "command": { "value": "./executor" } });
        let executor = with(with(self.executor(&json!({})), &program), &executor);
        self.launch(json!({ "command": null, "executor": executor }), words);
    }

    pub(crate) fn group(&mut self, executor: Value, task: Value, words: &'static str) {
        let executor = self.executor(&executor);
        let tasks = json!({ "tasks": [self.task(&task)] });
        let group = json!({ "executor": executor, "task_group": tasks });
        self.all.push((json!({ "type": "LAUNCH_GROUP", "launch_group": group }), words));
    }

    /// The last is to be told of, as only operations are that launch nothing.
    pub(crate) fn with_feedback(&mut self) {
        let (operation, _) = self.all.last_mut().expect("a row");
        operation["id"] = json!({ "value": "launch" });
    }

    pub(crate) fn operate(&mut self, kind: &str, body: Value, words: &'static str) {
        let operation = json!({
            "type": kind, "id": { "value": self.name() }, kind.to_lowercase(): body,
        });
        self.all.push((operation, words));
    }

    pub(crate) fn reserve(&mut self, one: Value, words: &'static str) {
        self.operate("RESERVE", json!({ "resources": [one] }), words);
    }

    pub(crate) fn create(&mut self, one: Value, words: &'static str) {
        self.operate("CREATE", json!({ "volumes": [one] }), words);
    }
}

/// All rows go in one call: what is refused leaves the offer as it was.
pub(crate) async fn check(rows: impl FnOnce(&mut Rows)) -> anyhow::Result<()> {
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
