//! `dcos quota`: how much of the cluster a group may use.

use anyhow::Result;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::World;
use crate::client::Client;
use crate::failure::Failure;
use crate::table::Table;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Limit what a group may use that has no quota yet.
    #[command(after_help = "Examples:
  dcos quota create dev --cpu 10 --mem 1024
  dcos quota create dev --gpu 0")]
    Create {
        group: String,
        #[command(flatten)]
        limits: Limits,
    },
    /// Change the limits of a group; what is not named stays.
    #[command(after_help = "Examples:
  dcos quota update dev --cpu 20
  dcos quota update dev --mem 512 --force")]
    Update {
        group: String,
        #[command(flatten)]
        limits: Limits,
    },
    /// Show a group's limits and what it uses.
    Get {
        group: String,
        #[arg(long)]
        json: bool,
    },
    /// Show the limits of all groups, and what they use.
    List {
        #[arg(long)]
        json: bool,
    },
    /// Let a group use as much as there is.
    Delete { group: String },
}

#[derive(Debug, Args)]
pub struct Limits {
    /// At most so many cpus.
    #[arg(long, allow_negative_numbers = true, value_parser = amount)]
    cpu: Option<f64>,
    /// At most so much memory, in MiB.
    #[arg(long, allow_negative_numbers = true, value_parser = amount)]
    mem: Option<f64>,
    /// At most so much disk, in MiB.
    #[arg(long, allow_negative_numbers = true, value_parser = amount)]
    disk: Option<f64>,
    /// At most so many GPUs.
    #[arg(long, allow_negative_numbers = true, value_parser = amount)]
    gpu: Option<f64>,
    /// Even if the group uses more already: what runs stays, and nothing new starts.
    #[arg(short, long)]
    force: bool,
}

/// Not less than nothing, and no number too large to be one.
fn amount(text: &str) -> Result<f64, String> {
    let number = text.parse().map_err(|_| "a number is needed, such as 2 or 0.5".to_owned())?;
    match (0.0..f64::INFINITY).contains(&number) {
        true => Ok(number),
        false => {
            Err("a limit is 0 or more; leave it out, or delete the quota, for no limit".to_owned())
        }
    }
}

/// What a quota can name here, in the order of the table.
const RESOURCES: [&str; 4] = ["cpus", "mem", "disk", "gpus"];

impl Limits {
    fn named(&self) -> Map<String, Value> {
        let given = [self.cpu, self.mem, self.disk, self.gpu];
        let named = RESOURCES.iter().zip(given);
        named.filter_map(|(name, value)| Some(((*name).to_owned(), json!(value?)))).collect()
    }
}

pub(crate) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    match command {
        Command::Create { group, limits } => {
            let role = role(&group)?;
            if known(&client, &role).await?.is_some() {
                return Err(Failure::Other(format!(
                    "{role} has a quota already: `dcos quota update {role}` changes it"
                ))
                .into());
            }
            set(&client, &role, limits.named(), limits.force).await
        }
        Command::Update { group, limits } => {
            let role = role(&group)?;
            let mut all = required(&client, &role).await?;
            all.extend(limits.named());
            set(&client, &role, all, limits.force).await
        }
        Command::Delete { group } => {
            let role = role(&group)?;
            required(&client, &role).await?;
            update(&client, &role, Map::new(), false).await
        }
        Command::Get { group, json } => {
            let role = role(&group)?;
            required(&client, &role).await?;
            let roles = limited(&client).await?.into_iter();
            let own: Vec<Value> = roles.filter(|one| one["role"] == role.as_str()).collect();
            match own.as_slice() {
                // One is one, and no list.
                [quota] if json => world.screen.json(quota),
                _ => show(own, json, world),
            }
        }
        Command::List { json } => show(limited(&client).await?, json, world),
    }
}

/// A group's name with or without the first slash is that of its role.
fn role(group: &str) -> Result<String> {
    let role = group.trim_matches('/');
    if role.is_empty() {
        let message = "the group at the top cannot have a quota: name one below it".to_owned();
        return Err(Failure::Usage(message).into());
    }
    Ok(role.to_owned())
}

/// The limits that the role has, by the resource's name.
async fn known(client: &Client, role: &str) -> Result<Option<Map<String, Value>>> {
    let status: Value = client.json(client.get("/mesos/quota")).await?;
    let configs = status["configs"].as_array().into_iter().flatten();
    let Some(config) = configs.into_iter().find(|one| one["role"] == role) else { return Ok(None) };
    let limits = config["limits"].as_object().cloned().unwrap_or_default();
    Ok(Some(limits.into_iter().map(|(name, one)| (name, one["value"].clone())).collect()))
}

async fn required(client: &Client, role: &str) -> Result<Map<String, Value>> {
    let none =
        || Failure::Other(format!("{role} has no quota: `dcos quota create {role}` sets one"));
    Ok(known(client, role).await?.ok_or_else(none)?)
}

async fn set(client: &Client, role: &str, limits: Map<String, Value>, force: bool) -> Result<()> {
    if limits.is_empty() {
        let message = "name at least one of --cpu, --mem, --disk and --gpu".to_owned();
        return Err(Failure::Usage(message).into());
    }
    update(client, role, limits, force).await
}

async fn update(
    client: &Client,
    role: &str,
    limits: Map<String, Value>,
    force: bool,
) -> Result<()> {
    let limits = limits.into_iter().map(|(name, value)| (name, json!({ "value": value })));
    let config = json!({ "role": role, "limits": limits.collect::<Map<String, Value>>() });
    let update = json!({ "force": force, "quota_configs": [config] });
    let call = json!({ "type": "UPDATE_QUOTA", "update_quota": update });
    client.open(client.request(Method::POST, "/mesos/api/v1").json(&call)).await?;
    Ok(())
}

/// What `/roles` tells of the roles that have a quota.
async fn limited(client: &Client) -> Result<Vec<Value>> {
    let told: Value = client.json(client.get("/mesos/roles")).await?;
    let roles = told["roles"].as_array().cloned().unwrap_or_default();
    let has_one = |quota: &Value| {
        let named = |part: &str| quota[part].as_object().is_some_and(|all| !all.is_empty());
        named("limit") || named("guarantee")
    };
    Ok(roles.into_iter().map(|mut role| role["quota"].take()).filter(has_one).collect())
}

fn show(quotas: Vec<Value>, json: bool, world: &mut World<'_>) -> Result<()> {
    if json {
        return world.screen.json(&quotas);
    }
    let mut table = Table::new(&["NAME", "CPU", "MEMORY", "DISK", "GPU"]);
    for quota in &quotas {
        let mut cells = vec![quota["role"].as_str().unwrap_or_default().to_owned()];
        cells.extend(RESOURCES.map(|name| cell(quota, name)));
        table.cells(cells);
    }
    world.screen.table(&table)
}

/// `2 of 10`, or what is used of something that is not limited.
fn cell(quota: &Value, name: &str) -> String {
    let used = quota["consumed"][name].as_f64().unwrap_or_default();
    match quota["limit"][name].as_f64() {
        Some(limit) => format!("{used} of {limit}"),
        None => format!("{used} (no limit)"),
    }
}
