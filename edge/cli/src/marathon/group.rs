//! `dcos marathon group`: apps and pods that are deployed together.

use std::iter;

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::change::{Change, changed, started};
use super::wait::Wait;
use super::{API, absolute, versions};
use crate::World;
use crate::client::{Client, segment, segments};
use crate::failure::Failure;
use crate::input;
use crate::screen::Screen;
use crate::table::Table;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a group.
    #[command(after_help = "Examples:
  dcos marathon group add shop.json --wait
  dcos marathon group add --id /shop               # an empty one
  dcos marathon group add < shop.json")]
    Add {
        /// File or URL of its definition; standard input if left out or `-`.
        source: Option<String>,
        /// Add an empty group of this id.
        #[arg(long, conflicts_with = "source")]
        id: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// List the groups and how much is in each, nested groups included.
    List {
        #[arg(long)]
        json: bool,
        /// Print ids only.
        #[arg(long, short)]
        quiet: bool,
    },
    /// Print a group with everything in it as JSON.
    #[command(after_help = "Examples:
  dcos marathon group show /shop
  dcos marathon group show --group-version=-1 /shop      # the version before this one")]
    Show {
        group: String,
        /// A version, or -1 for the one before the current, -2 ...
        #[arg(long, allow_hyphen_values = true)]
        group_version: Option<String>,
        /// It is JSON anyway.
        #[arg(long)]
        json: bool,
    },
    /// Multiply the instances of every app in a group; pods stay as they are.
    #[command(after_help = "Examples:
  dcos marathon group scale /shop 2          # twice as many of each
  dcos marathon group scale /shop 0.5 --wait")]
    Scale {
        group: String,
        factor: f64,
        #[command(flatten)]
        change: Change,
    },
    /// Change a group: what the new definition does not name is removed from it.
    #[command(after_help = "Examples:
  dcos marathon group update /shop --wait < shop.json
  dcos marathon group update /shop dependencies='[\"/db\"]'")]
    Update {
        group: String,
        /// Fields as key=value; a JSON object on standard input if left out.
        properties: Vec<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Stop everything in a group and forget it.
    Remove {
        group: String,
        #[command(flatten)]
        change: Change,
    },
}

/// What the table shows of a group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    id: String,
    #[serde(default)]
    apps: Vec<Value>,
    #[serde(default)]
    pods: Vec<Value>,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    enforce_role: bool,
}

pub(super) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let screen = &mut world.screen;
    match command {
        Command::Add { source, id, wait } => {
            let group = match id {
                Some(id) => json!({ "id": id }),
                None => input::definition(screen, source.as_deref()).await?,
            };
            add(screen, &client, &group, &wait).await
        }
        Command::List { json, quiet } => list(screen, &client, json, quiet).await,
        Command::Show { group, group_version, json: _ } => {
            let shown = show(&client, &group, group_version.as_deref()).await?;
            screen.json(&shown)
        }
        Command::Scale { group, factor, change } => {
            put(screen, &client, &group, &json!({ "scaleBy": factor }), &change).await
        }
        Command::Update { group, properties, change } => {
            let update = match properties.is_empty() {
                true => input::definition(screen, None).await?,
                false => input::properties(&properties)?,
            };
            put(screen, &client, &group, &update, &change).await
        }
        Command::Remove { group, change } => {
            let request = client.request(Method::DELETE, &path(&group));
            changed(screen, &client, &absolute(&group), request, &change).await
        }
    }
}

fn path(group: &str) -> String {
    format!("{API}/v2/groups/{}", segments(group))
}

async fn add(screen: &mut Screen<'_>, client: &Client, group: &Value, wait: &Wait) -> Result<()> {
    let Some(id) = group["id"].as_str().map(absolute) else {
        return Err(Failure::Other("the definition has no \"id\", such as \"/shop\"".into()).into());
    };
    let request = client.request(Method::POST, &format!("{API}/v2/groups")).json(group);
    started(screen, client, Some(&id), request, wait).await
}

async fn put(
    screen: &mut Screen<'_>,
    client: &Client,
    group: &str,
    update: &Value,
    change: &Change,
) -> Result<()> {
    // PUT would create a group that does not exist.
    client.open(client.get(&path(group))).await?;
    let request = client.request(Method::PUT, &path(group)).json(update);
    changed(screen, client, &absolute(group), request, change).await
}

async fn show(client: &Client, group: &str, version: Option<&str>) -> Result<Value> {
    let Some(version) = version else { return client.json(client.get(&path(group))).await };
    let all = format!("{}/versions", path(group));
    let version = match version.parse::<i64>() {
        Ok(back) => {
            let mut known: Vec<String> = client.json(client.get(&all)).await?;
            known.sort_by(|a, b| b.cmp(a));
            versions::relative(&known, back)?
        }
        Err(_) => version.to_owned(),
    };
    client.json(client.get(&format!("{all}/{}", segment(&version)))).await
}

async fn list(screen: &mut Screen<'_>, client: &Client, json: bool, quiet: bool) -> Result<()> {
    let mut root: Value = client.json(client.get(&format!("{API}/v2/groups"))).await?;
    let groups = root["groups"].take();
    if json {
        return screen.json(&groups);
    }
    let groups: Vec<Group> = serde_json::from_value(groups)?;
    if quiet {
        let mut all: Vec<&str> = groups.iter().flat_map(ids).collect();
        all.sort_unstable();
        return all.into_iter().try_for_each(|id| screen.line(id));
    }
    let mut table = Table::new(&["ID", "APPS", "ENFORCE_ROLE", "PODS"]);
    for group in &groups {
        fill(&mut table, group);
    }
    table.sort();
    screen.table(&table)
}

/// Of the group and of those in it.
fn ids(group: &Group) -> Vec<&str> {
    let inner = group.groups.iter().flat_map(ids);
    iter::once(group.id.as_str()).chain(inner).collect()
}

/// Adds the group and those in it; gives how many apps and pods there are in all of them.
fn fill(table: &mut Table, group: &Group) -> (usize, usize) {
    let (mut apps, mut pods) = (group.apps.len(), group.pods.len());
    for (more_apps, more_pods) in group.groups.iter().map(|child| fill(table, child)) {
        apps += more_apps;
        pods += more_pods;
    }
    table.row([
        group.id.clone(),
        apps.to_string(),
        group.enforce_role.to_string(),
        pods.to_string(),
    ]);
    (apps, pods)
}
