//! Commands, as the v0 endpoints spell them.

use model::container::{CommandInfo, Run, Uri};
use serde_json::{Value, json};

/// Of a task that has not begun.
pub fn command(command: &CommandInfo) -> Value {
    let (shell, value, argv) = match &command.run {
        Run::Shell(text) => (true, Some(text), &[][..]),
        Run::Exec(argv) => (false, argv.first(), &argv[..]),
        Run::Image(argv) => (false, None, &argv[..]),
    };
    let variable =
        |(name, value): &(String, String)| json!({ "name": name, "type": "VALUE", "value": value });
    let variables: Vec<Value> = command.environment.iter().map(variable).collect();
    let mut spelled = json!({
        "shell": shell,
        "argv": argv,
        "uris": command.uris.iter().map(uri).collect::<Vec<_>>(),
    });
    if let Some(value) = value {
        spelled["value"] = json!(value);
    }
    if !variables.is_empty() {
        spelled["environment"] = json!({ "variables": variables });
    }
    spelled
}

fn uri(one: &Uri) -> Value {
    json!({ "value": one.value, "executable": one.executable })
}

/// Of an executor, as its framework gave it.
pub(super) fn given(command: &mesos_v1::CommandInfo) -> Value {
    let uri = |one: &mesos_v1::command_info::Uri| json!({ "value": one.value, "executable": one.executable() });
    let mut spelled = json!({
        "shell": command.shell(),
        "argv": command.arguments,
        "uris": command.uris.iter().map(uri).collect::<Vec<_>>(),
    });
    if let Some(value) = &command.value {
        spelled["value"] = json!(value);
    }
    if let Some(environment) = &command.environment {
        spelled["environment"] = serde_json::from_slice(&mesos_v1::json::to_vec(environment))
            .expect("what is spelled is JSON");
    }
    spelled
}
