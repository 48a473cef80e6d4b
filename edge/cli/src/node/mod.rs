//! `dcos node`: the machines of the cluster.

mod drain;

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use crate::World;
use crate::client::Client;
use crate::table::Table;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List agents and masters.
    #[command(after_help = "Examples:
  dcos node list
  dcos node list --field resources.cpus --field attributes")]
    List {
        #[arg(long)]
        json: bool,
        /// Show one more field of the agents' state, such as resources.cpus; may be repeated.
        #[arg(long)]
        field: Vec<String>,
        /// Only the node with this id.
        #[arg(long)]
        mesos_id: Option<String>,
    },
    /// End all tasks of an agent and start nothing new there, so that its machine can be taken down.
    #[command(
        after_help = "Services start replacements on other agents. Once nothing is left, the status in \
        `dcos node list` is DRAINED.

Examples:
  dcos node drain 0b1c-S3 --wait
  dcos node drain 0b1c-S3 --max-grace-period 5m
  dcos node drain 0b1c-S3 --decommission --wait --timeout 900"
    )]
    Drain(#[command(flatten)] drain::Drain),
    /// Start nothing new on an agent; what runs there goes on.
    Deactivate {
        /// As `dcos node list` shows it.
        mesos_id: String,
    },
    /// Use an agent again that was deactivated or drained.
    Reactivate {
        /// As `dcos node list` shows it.
        mesos_id: String,
    },
    /// Give up an agent for good, with all that runs on it and all data of its services.
    #[command(
        after_help = "The agent cannot come back under this id. `dcos node drain --decommission` ends its \
        tasks in order before.

Examples:
  dcos node decommission 0b1c-S3"
    )]
    Decommission {
        /// As `dcos node list` shows it.
        mesos_id: String,
    },
}

const HEADER: [&str; 8] =
    ["HOSTNAME", "IP", "PUBLIC IP(S)", "ID", "TYPE", "STATUS", "REGION", "ZONE"];

const UNKNOWN: &str = "N/A";

pub(crate) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    match command {
        Command::List { json, field, mesos_id } => {
            list(&client, Asked { json, field, mesos_id }, world).await
        }
        Command::Drain(drain) => drain::run(&client, &drain, world).await,
        Command::Deactivate { mesos_id } => order(&client, "DEACTIVATE_AGENT", &mesos_id).await,
        Command::Reactivate { mesos_id } => order(&client, "REACTIVATE_AGENT", &mesos_id).await,
        Command::Decommission { mesos_id } => order(&client, "MARK_AGENT_GONE", &mesos_id).await,
    }
}

async fn order(client: &Client, kind: &str, id: &str) -> Result<()> {
    call(client, kind, json!({ "agent_id": { "value": id } })).await
}

async fn call(client: &Client, kind: &str, asked: Value) -> Result<()> {
    let call = json!({ "type": kind, kind.to_lowercase(): asked });
    client.open(client.request(Method::POST, "/mesos/api/v1").json(&call)).await?;
    Ok(())
}

/// What is to be listed, and how.
struct Asked {
    json: bool,
    field: Vec<String>,
    mesos_id: Option<String>,
}

async fn list(client: &Client, asked: Asked, world: &mut World<'_>) -> Result<()> {
    let Asked { json, field, mesos_id } = asked;
    let state: Value = client.json(client.get("/mesos/state")).await?;
    let wanted = |node: &Value| mesos_id.as_ref().is_none_or(|id| node["id"] == id.as_str());
    let agents = state["slaves"].as_array().cloned().unwrap_or_default();
    let nodes: Vec<Value> =
        agents.into_iter().map(agent).chain([master(&state)]).filter(wanted).collect();
    if json {
        return world.screen.json(&nodes);
    }
    let header: Vec<&str> = HEADER.into_iter().chain(field.iter().map(String::as_str)).collect();
    let mut table = Table::new(&header);
    for node in &nodes {
        table.cells(row(node, &field));
    }
    world.screen.table(&table)
}

fn agent(mut agent: Value) -> Value {
    let public = agent["attributes"]["public_ip"] == "true";
    let status = match (agent["deactivated"].as_bool(), agent["active"].as_bool()) {
        (Some(true), _) => "DEACTIVATED",
        (_, Some(true)) => "ACTIVE",
        _ => "UNREACHABLE",
    };
    agent["type"] = json!(if public { "agent (public)" } else { "agent" });
    agent["status"] = json!(agent["drain_info"]["state"].as_str().unwrap_or(status));
    agent["ip"] = json!(ip(&agent));
    agent
}

fn master(state: &Value) -> Value {
    json!({
        "type": "master (leader)", "hostname": state["hostname"], "ip": ip(state), "id": state["id"],
        "pid": state["pid"], "version": state["version"], "domain": state["domain"], "status": "",
    })
}

/// Of `slave(1)@10.0.0.1:5051`.
fn ip(node: &Value) -> String {
    let pid = node["pid"].as_str().unwrap_or_default();
    let address = pid.rsplit_once('@').map_or(pid, |(_, address)| address);
    address.rsplit_once(':').map_or(address, |(ip, _)| ip).to_owned()
}

fn row(node: &Value, fields: &[String]) -> Vec<String> {
    let text = |value: &Value| match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_null() => UNKNOWN.to_owned(),
        None => value.to_string(),
    };
    let domain = &node["domain"]["fault_domain"];
    let known = [
        &node["hostname"],
        &node["ip"],
        &Value::String(String::new()),
        &node["id"],
        &node["type"],
        &node["status"],
        &domain["region"]["name"],
        &domain["zone"]["name"],
    ]
    .map(text);
    let extra = fields.iter().map(|path| {
        let value = path.split('.').fold(node, |value, name| &value[name]);
        text(value)
    });
    known.into_iter().chain(extra).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_shown_with_what_is_known_of_it() {
        let node = agent(json!({"id": "a-1", "hostname": "127.0.0.1", "active": true,
            "pid": "slave(1)@127.0.0.1:5051", "attributes": {"rack": "a"}, "resources": {"cpus": 4.0}}));
        let row = row(&node, &["attributes.rack".into(), "resources.cpus".into()]);
        let expected =
            ["127.0.0.1", "127.0.0.1", "", "a-1", "agent", "ACTIVE", "N/A", "N/A", "a", "4.0"];
        assert_eq!(row, expected);
    }

    #[test]
    fn an_agent_that_does_not_answer_is_unreachable() {
        assert_eq!(agent(json!({"id": "a-1", "active": false}))["status"], "UNREACHABLE");
    }
}
