//! `dcos service`: the frameworks of the cluster.

use std::io::{BufRead, BufReader};

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use crate::World;
use crate::client::{Client, segments};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::table::Table;
use crate::task;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List services: Marathon, and every framework that is subscribed.
    #[command(after_help = "Examples:
  dcos service list
  dcos service list --inactive --completed
  dcos service list --json")]
    List {
        /// Those as well that are not connected at the moment.
        #[arg(long)]
        inactive: bool,
        /// Those as well that are over.
        #[arg(long)]
        completed: bool,
        #[arg(long)]
        json: bool,
        /// Print names only.
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
        #[arg(long, hide = true, conflicts_with_all = ["json", "quiet"])]
        id_only: bool,
    },
    /// End a service and all its tasks, for good: it cannot subscribe with its id again.
    #[command(after_help = "Examples:
  dcos service shutdown 5ed4c0c5-0003
  dcos service shutdown --yes kafka")]
    Shutdown {
        /// Its id, or its name if no other service has that.
        service: String,
        /// Do not ask whether it is meant.
        #[arg(long)]
        yes: bool,
    },
    /// Print the end of the log of a service's scheduler, which runs as an app.
    #[command(after_help = "Examples:
  dcos service log kafka
  dcos service log --lines 50 --follow kafka stderr")]
    Log {
        /// The name of the service: the app's label DCOS_PACKAGE_FRAMEWORK_NAME, or its id.
        service: String,
        /// A file of the scheduler's sandbox.
        #[arg(default_value = "stdout")]
        file: String,
        /// Go on as the file grows.
        #[arg(long, short)]
        follow: bool,
        /// So many lines from the end.
        #[arg(long, default_value_t = 10, allow_hyphen_values = true)]
        lines: i64,
    },
}

const NAME_LABEL: &str = "DCOS_PACKAGE_FRAMEWORK_NAME";

pub(crate) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let screen = &mut world.screen;
    match command {
        Command::List { inactive, completed, json, quiet, id_only } => {
            let state: Value = client.json(client.get("/mesos/frameworks")).await?;
            let all = chosen(&state, inactive, completed);
            match () {
                () if json => screen.json(&all),
                () if quiet => all.iter().try_for_each(|one| screen.line(text(&one["name"]))),
                () if id_only => all.iter().try_for_each(|one| screen.line(text(&one["id"]))),
                () => screen.table(&table(&all)),
            }
        }
        Command::Shutdown { service, yes } => {
            let state: Value = client.json(client.get("/mesos/frameworks")).await?;
            let id = identified(&chosen(&state, true, false), &service)?;
            if !yes && !confirmed(screen, &service)? {
                return Err(Failure::Other("nothing was shut down".to_owned()).into());
            }
            let call =
                json!({ "type": "TEARDOWN", "teardown": { "framework_id": { "value": id } } });
            client.open(client.request(Method::POST, "/mesos/api/v1").json(&call)).await?;
            Ok(())
        }
        Command::Log { service, file, follow, lines } => {
            let task = scheduler(&client, &service).await?;
            let lines = usize::try_from(lines.unsigned_abs()).unwrap_or(usize::MAX);
            let filter = task::find::Filter::part(task::find::Which::Active, &task);
            task::log::run(screen, &client, &filter, task::log::View { file, lines, follow }).await
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn chosen(state: &Value, inactive: bool, completed: bool) -> Vec<Value> {
    let mut all = list(&state["frameworks"]);
    all.retain(|one| inactive || one["active"] == true);
    if completed {
        all.extend(list(&state["completed_frameworks"]));
    }
    all
}

fn table(services: &[Value]) -> Table {
    let mut table = Table::new(&["NAME", "HOST", "ACTIVE", "TASKS", "CPU", "MEM", "DISK", "ID"]);
    for one in services {
        let amount =
            |name: &str| format!("{:.1}", one["resources"][name].as_f64().unwrap_or_default());
        table.row([
            text(&one["name"]).to_owned(),
            text(&one["hostname"]).to_owned(),
            if one["active"] == true { "True" } else { "False" }.to_owned(),
            one["tasks"].as_array().map_or(0, Vec::len).to_string(),
            amount("cpus"),
            amount("mem"),
            amount("disk"),
            text(&one["id"]).to_owned(),
        ]);
    }
    table
}

/// The id of the one that has this id, or else this name.
fn identified(services: &[Value], wanted: &str) -> Result<String> {
    if services.iter().any(|one| one["id"] == wanted) {
        return Ok(wanted.to_owned());
    }
    let named: Vec<&str> =
        services.iter().filter(|one| one["name"] == wanted).map(|one| text(&one["id"])).collect();
    match named.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => Err(Failure::Other(format!(
            "no service has the id or name {wanted}; `dcos service list --inactive` shows those that there are"
        ))
        .into()),
        several => Err(Failure::Usage(format!(
            "several services are called {wanted}: name one by its id: {}",
            several.join(", ")
        ))
        .into()),
    }
}

fn confirmed(screen: &mut Screen<'_>, service: &str) -> Result<bool> {
    let question = format!("Do you really want to end {service} with all its tasks? [yes/no] ");
    screen.remark_bytes(question.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(&mut screen.input).read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "yes" | "y"))
}

/// The id of the task that the service's scheduler runs as.
async fn scheduler(client: &Client, service: &str) -> Result<String> {
    if service == "marathon" {
        return Err(Failure::Other(
            "marathon is part of the cluster and has no log of its own: it is in what `dcos up` prints"
                .to_owned(),
        )
        .into());
    }
    let apps: Value = client.json(client.get("/service/marathon/v2/apps")).await?;
    let own_id = format!("/{}", service.trim_start_matches('/'));
    let mut apps = list(&apps["apps"]);
    apps.retain(|app| app["labels"][NAME_LABEL] == service || app["id"] == own_id.as_str());
    let ids: Vec<&str> = apps.iter().map(|app| text(&app["id"])).collect();
    let id = match ids.as_slice() {
        [id] => *id,
        [] => {
            let cause = format!(
                "no app has the label {NAME_LABEL}={service} or is called so: only schedulers that \
                 run as apps have a log here"
            );
            return Err(Failure::Other(cause).into());
        }
        several => {
            let cause = format!("several apps belong to {service}: {}", several.join(", "));
            return Err(Failure::Other(cause).into());
        }
    };
    let path = format!("/service/marathon/v2/apps/{}/tasks", segments(id));
    let tasks: Value = client.json(client.get(&path)).await?;
    match list(&tasks["tasks"]).as_slice() {
        [task] => Ok(text(&task["id"]).to_owned()),
        all => Err(Failure::Other(format!(
            "the app {id} has {} tasks, and one is needed: choose with `dcos task log`",
            all.len()
        ))
        .into()),
    }
}
