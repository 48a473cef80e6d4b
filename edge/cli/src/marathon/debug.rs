//! `dcos marathon debug`: why does my app or pod wait?

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
    /// List the apps and pods that wait for offers.
    List {
        #[arg(long)]
        json: bool,
    },
    /// How many agents satisfy each demand of an app or a pod.
    #[command(after_help = "Example:
  dcos marathon debug summary /web       # the row with the fewest matches is what is missing")]
    Summary {
        app: String,
        #[arg(long)]
        json: bool,
    },
    /// What each agent lacks, and why others made no offer.
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
    /// Or the pod.
    #[serde(alias = "pod")]
    app: App,
    count: u64,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    delay: Delay,
    #[serde(default)]
    processed_offers_summary: Offers,
    #[serde(default)]
    explain: Explain,
    #[serde(default)]
    lacks: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct App {
    id: String,
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

/// How far the agents' offers got.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Explain {
    summary: String,
    agents: Crowd,
    steps: Vec<Step>,
    looks: Vec<Look>,
    silent: Vec<Silent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Crowd {
    known: u32,
    looked_at: u32,
    silent: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    demand: String,
    asks: String,
    met_by: u32,
    reached: u32,
    passed: u32,
}

#[derive(Debug, Deserialize)]
struct Look {
    hostname: String,
    at: String,
    lacks: Vec<Lack>,
}

#[derive(Debug, Deserialize)]
struct Lack {
    demand: String,
    lacks: String,
}

#[derive(Debug, Deserialize)]
struct Silent {
    hostname: String,
    why: String,
}

pub(super) async fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    let client = world.client()?;
    let screen = &mut world.screen;
    match command {
        Command::List { json: true } => {
            let answer: Value = client.json(explained(&client)).await?;
            screen.json(&answer["queue"])
        }
        Command::List { json: false } => {
            let queue = queue(&client).await?;
            screen.table(&list(&queue))?;
            queue.queue.iter().try_for_each(|item| screen.remark(verdict(item)))
        }
        Command::Summary { app, json: true } | Command::Details { app, json: true } => {
            raw(screen, &client, &app).await
        }
        Command::Summary { app, json: false } => {
            let item = waiting(&client, &app).await?;
            // A table of zeros would only hide what the verdict says.
            if item.explain.agents.looked_at > 0 {
                screen.table(&summary(&item))?;
            }
            screen.remark(verdict(&item))
        }
        Command::Details { app, json: false } => {
            let item = waiting(&client, &app).await?;
            // What no agent can give is no agent's fault.
            if item.lacks.is_empty() {
                screen.table(&details(&item))?;
            }
            screen.remark(verdict(&item))
        }
    }
}

pub(super) async fn queue(client: &Client) -> Result<Queue> {
    client.json(explained(client)).await
}

fn explained(client: &Client) -> reqwest::RequestBuilder {
    client.get(&format!("{API}/v2/queue")).query(&[("embed", "explain")])
}

fn unused_offers(client: &Client) -> reqwest::RequestBuilder {
    explained(client).query(&[("embed", "lastUnusedOffers")])
}

fn not_waiting(app: &str) -> anyhow::Error {
    Failure::Other(format!(
        "{app} does not wait: it has all its instances, or does not exist; `dcos marathon app show {app}` tells \
         (`dcos marathon pod show {app}` of a pod)"
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
    let item = items
        .iter()
        .find(|item| ["app", "pod"].iter().any(|kind| item[kind]["id"] == app.as_str()));
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

fn summary(item: &Item) -> Table {
    let mut table = Table::new(&["RESOURCE", "REQUESTED", "MATCHED", "PERCENTAGE", "IN TURN"]);
    let agents = item.explain.agents.looked_at;
    for step in &item.explain.steps {
        let percentage = match agents {
            0 => NOTHING.to_owned(),
            _ => format!("{:.2}%", 100.0 * ratio(step.met_by, agents)),
        };
        table.row([
            heading(&step.demand),
            step.asks.clone(),
            format!("{}/{agents}", step.met_by),
            percentage,
            format!("{}/{}", step.passed, step.reached),
        ]);
    }
    table
}

/// `SCARCE GPUS` for `scarceGpus`.
fn heading(demand: &str) -> String {
    let mut words = String::new();
    for letter in demand.chars() {
        if letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_uppercase());
    }
    words
}

fn ratio(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole)
}

/// The answer in a few words.
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
    let explain = &item.explain;
    let silent = match explain.agents.silent {
        0 => String::new(),
        count => {
            format!(" For the {count} that made none see `dcos marathon debug details {id}`.")
        }
    };
    match explain.agents.known {
        0 => format!("{id} waits: there is no agent. See `dcos node list`."),
        _ => format!("{id} waits. {}{silent}", explain.summary),
    }
}

fn details(item: &Item) -> Table {
    let mut table = Table::new(&["HOSTNAME", "STOPPED BY", "LACKS", "LOOKED AT"]);
    for look in &item.explain.looks {
        let all: Vec<&str> = look.lacks.iter().map(|lack| lack.lacks.as_str()).collect();
        let first = look.lacks.first().map_or(NOTHING, |lack| lack.demand.as_str());
        let lacks = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
        table.row([look.hostname.clone(), heading(first), lacks, look.at.clone()]);
    }
    for silent in &item.explain.silent {
        let row = ["NO OFFER", &silent.why, NOTHING].map(str::to_owned);
        let [stopped, why, at] = row;
        table.row([silent.hostname.clone(), stopped, why, at]);
    }
    table
}
