//! `dcos marathon debug`: why does my app wait?

use anyhow::Result;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;

use super::{API, absolute};
use crate::World;
use crate::client::Client;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::table::{NOTHING, Table};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the apps that wait for offers.
    List {
        #[arg(long)]
        json: bool,
    },
    /// How many agents satisfy each demand of an app.
    #[command(after_help = "Example:
  dcos marathon debug summary /web       # the row with the lowest percentage is what is missing")]
    Summary {
        app: String,
        #[arg(long)]
        json: bool,
    },
    /// Which demands each agent satisfies.
    Details {
        app: String,
        #[arg(long)]
        json: bool,
    },
}

/// The launch queue.
#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    queue: Vec<Item>,
}

impl Queue {
    pub(super) fn is_waiting(&self, app: &str) -> bool {
        self.queue.iter().any(|item| item.app.id == app && item.delay.overdue)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    app: App,
    count: u64,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    delay: Delay,
    #[serde(default)]
    processed_offers_summary: Offers,
    #[serde(default)]
    last_unused_offers: Vec<Unused>,
    #[serde(default)]
    lacks: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct App {
    id: String,
    #[serde(default)]
    cpus: Value,
    #[serde(default)]
    mem: Value,
    #[serde(default)]
    disk: Value,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    accepted_resource_roles: Option<Vec<String>>,
    #[serde(default)]
    constraints: Vec<Vec<String>>,
    #[serde(default)]
    port_definitions: Vec<Port>,
}

#[derive(Debug, Deserialize)]
struct Port {
    #[serde(default)]
    port: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delay {
    #[serde(default)]
    overdue: bool,
    #[serde(default)]
    time_left_seconds: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Offers {
    #[serde(default)]
    processed_offers_count: u64,
    #[serde(default)]
    unused_offers_count: u64,
    #[serde(default)]
    last_unused_offer_at: Option<String>,
    #[serde(default)]
    last_used_offer_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Unused {
    offer: Offer,
    #[serde(default)]
    reason: Vec<String>,
    #[serde(default)]
    timestamp: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Offer {
    #[serde(default)]
    hostname: String,
}

/// A demand, and the reason that an offer does not satisfy it.
const DEMANDS: [(&str, &str); 6] = [
    ("ROLE", "UnfulfilledRole"),
    ("CONSTRAINTS", "UnfulfilledConstraint"),
    ("CPUS", "InsufficientCpus"),
    ("MEM", "InsufficientMemory"),
    ("DISK", "InsufficientDisk"),
    ("PORTS", "InsufficientPorts"),
];

const SCARCE: &str = "DeclinedScarceResources";

pub(super) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let screen = &mut world.screen;
    match command {
        Command::List { json: true } => {
            let answer: Value = client.json(client.get(&format!("{API}/v2/queue"))).await?;
            screen.json(&answer["queue"])
        }
        Command::List { json: false } => screen.table(&list(&queue(&client).await?)),
        Command::Summary { app, json: true } | Command::Details { app, json: true } => {
            raw(screen, &client, &app).await
        }
        Command::Summary { app, json: false } => {
            let item = waiting(&client, &app).await?;
            screen.table(&summary(&item))?;
            screen.remark(verdict(&item))
        }
        Command::Details { app, json: false } => {
            screen.table(&details(&waiting(&client, &app).await?))
        }
    }
}

pub(super) async fn queue(client: &Client) -> Result<Queue> {
    client.json(client.get(&format!("{API}/v2/queue"))).await
}

fn unused_offers(client: &Client) -> reqwest::RequestBuilder {
    client.get(&format!("{API}/v2/queue")).query(&[("embed", "lastUnusedOffers")])
}

fn not_waiting(app: &str) -> anyhow::Error {
    Failure::Other(format!(
        "{app} does not wait: it has all its instances, or does not exist; `dcos marathon app show {app}` tells"
    ))
    .into()
}

async fn waiting(client: &Client, app: &str) -> Result<Item> {
    let app = absolute(app);
    let queue: Queue = client.json(unused_offers(client)).await?;
    queue.queue.into_iter().find(|item| item.app.id == app).ok_or_else(|| not_waiting(&app))
}

async fn raw(screen: &mut Screen<'_>, client: &Client, app: &str) -> Result<()> {
    let app = absolute(app);
    let answer: Value = client.json(unused_offers(client)).await?;
    let items = answer["queue"].as_array().map(Vec::as_slice).unwrap_or_default();
    let item = items.iter().find(|item| item["app"]["id"] == app.as_str());
    screen.json(item.ok_or_else(|| not_waiting(&app))?)
}

fn list(queue: &Queue) -> Table {
    let mut table = Table::new(&[
        "ID",
        "SINCE",
        "INSTANCES TO LAUNCH",
        "WAITING",
        "PROCESSED OFFERS",
        "UNUSED OFFERS",
        "LAST UNUSED OFFER",
        "LAST USED OFFER",
    ]);
    let or_nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
    for item in &queue.queue {
        let offers = &item.processed_offers_summary;
        table.row([
            item.app.id.clone(),
            or_nothing(&item.since),
            item.count.to_string(),
            item.delay.overdue.to_string(),
            offers.processed_offers_count.to_string(),
            offers.unused_offers_count.to_string(),
            or_nothing(&offers.last_unused_offer_at),
            or_nothing(&offers.last_used_offer_at),
        ]);
    }
    table.sort();
    table
}

/// Agents that satisfy a demand, of all that were looked at.
fn matched(item: &Item, reason: &str) -> usize {
    let unmet = |unused: &&Unused| unused.reason.iter().any(|one| one == reason);
    item.last_unused_offers.len() - item.last_unused_offers.iter().filter(unmet).count()
}

fn requested(app: &App, demand: &str) -> String {
    match demand {
        "ROLE" => match &app.accepted_resource_roles {
            Some(roles) => roles.join(", "),
            None => app.role.clone().unwrap_or_else(|| "*".to_owned()),
        },
        "CONSTRAINTS" if app.constraints.is_empty() => NOTHING.to_owned(),
        "CONSTRAINTS" => {
            let spell = |constraint: &Vec<String>| format!("[{}]", constraint.join(" "));
            app.constraints.iter().map(spell).collect::<Vec<_>>().join(" ")
        }
        "CPUS" => app.cpus.to_string(),
        "MEM" => app.mem.to_string(),
        "DISK" => app.disk.to_string(),
        _ => {
            let ports: Vec<String> =
                app.port_definitions.iter().map(|port| port.port.to_string()).collect();
            format!("[{}]", ports.join(" "))
        }
    }
}

fn summary(item: &Item) -> Table {
    let mut table = Table::new(&["RESOURCE", "REQUESTED", "MATCHED", "PERCENTAGE"]);
    let agents = item.last_unused_offers.len();
    for (demand, reason) in DEMANDS {
        let matched = matched(item, reason);
        let percentage = match agents {
            0 => NOTHING.to_owned(),
            _ => format!("{:.2}%", 100.0 * ratio(matched, agents)),
        };
        table.row([
            demand.to_owned(),
            requested(&item.app, demand),
            format!("{matched}/{agents}"),
            percentage,
        ]);
    }
    table
}

fn ratio(part: usize, whole: usize) -> f64 {
    let whole = u32::try_from(whole).unwrap_or(u32::MAX);
    f64::from(u32::try_from(part).unwrap_or(u32::MAX)) / f64::from(whole)
}

/// The answer in one sentence.
fn verdict(item: &Item) -> String {
    let id = &item.app.id;
    if !item.lacks.is_empty() {
        return format!("{id} waits: {}.", item.lacks.join("; "));
    }
    if !item.delay.overdue && item.delay.time_left_seconds > 0 {
        return format!(
            "{id} failed before and is started again in {} s; `dcos task log --completed {}` may say why.",
            item.delay.time_left_seconds,
            id.trim_start_matches('/').replace('/', "_")
        );
    }
    let agents = item.last_unused_offers.len();
    if agents == 0 {
        return format!(
            "No agent has made an offer that {id} could not use. Is one there? See `dcos node list`."
        );
    }
    let scarcest = DEMANDS.iter().min_by_key(|(_, reason)| matched(item, reason));
    let (demand, reason) = scarcest.expect("there are demands");
    match matched(item, reason) {
        all if all == agents => format!(
            "Each demand of {id} is met by some offer, but no agent meets all of them; see `dcos marathon debug \
             details {id}`."
        ),
        some => {
            format!("{demand} is the scarcest: {some} of {agents} agents have enough for {id}.")
        }
    }
}

fn details(item: &Item) -> Table {
    let mut table = Table::new(&[
        "HOSTNAME",
        "ROLE",
        "CONSTRAINTS",
        "CPUS",
        "MEM",
        "DISK",
        "PORTS",
        "SCARCE",
        "RECEIVED",
    ]);
    for unused in &item.last_unused_offers {
        let met = |reason: &str| {
            if unused.reason.iter().any(|one| one == reason) { "-" } else { "ok" }.to_owned()
        };
        let [role, constraints, cpus, mem, disk, ports] = DEMANDS.map(|(_, reason)| met(reason));
        let received = unused.timestamp.clone().unwrap_or_else(|| NOTHING.to_owned());
        let hostname = unused.offer.hostname.clone();
        table.row([hostname, role, constraints, cpus, mem, disk, ports, met(SCARCE), received]);
    }
    table
}
