//! `dcos node drain`: empty an agent, and wait until it is empty.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::World;
use crate::client::Client;
use crate::failure::Failure;

const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct Drain {
    /// As `dcos node list` shows it.
    mesos_id: String,
    /// Give the agent up for good once it is empty, with the data of its services.
    #[arg(long)]
    decommission: bool,
    /// No task has longer than this from SIGTERM to SIGKILL, such as 90s, 10m or 1h30m.
    #[arg(long, value_parser = span)]
    max_grace_period: Option<Duration>,
    /// Stay until the agent is empty.
    #[arg(long)]
    wait: bool,
    /// With --wait: give up after so many seconds; the agent goes on draining.
    #[arg(long, requires = "wait")]
    timeout: Option<u64>,
}

pub(super) async fn run(client: &Client, drain: &Drain, world: &mut World<'_>) -> Result<()> {
    let id = &drain.mesos_id;
    let mut asked = json!({ "agent_id": { "value": id }, "mark_gone": drain.decommission });
    if let Some(most) = drain.max_grace_period {
        asked["max_grace_period"] =
            json!({ "seconds": most.as_secs(), "nanos": most.subsec_nanos() });
    }
    super::call(client, "DRAIN_AGENT", asked).await?;
    if !drain.wait {
        return world.screen.line(format_args!(
            "Agent {id} is draining; `dcos node list` shows when it is DRAINED"
        ));
    }
    wait(client, drain).await?;
    world.screen.line(format_args!("Agent {id} is drained"))
}

async fn wait(client: &Client, drain: &Drain) -> Result<()> {
    let id = &drain.mesos_id;
    let until = drain.timeout.map(|secs| Instant::now() + Duration::from_secs(secs));
    loop {
        let told: Value = client.json(client.get("/mesos/slaves")).await?;
        let agents = told["slaves"].as_array().into_iter().flatten();
        let agent = agents.into_iter().find(|agent| agent["id"] == id.as_str());
        let is_over = match agent {
            Some(agent) => agent["drain_info"]["state"] == "DRAINED",
            // One that is out of reach goes on draining when it is back.
            None => drain.decommission && is_gone(client, id).await?,
        };
        if is_over {
            return Ok(());
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(Failure::Other(format!(
                "agent {id} is not empty after {} s and goes on draining: `dcos task list` shows what still runs \
                 there; with a --max-grace-period tasks get no longer than that to end",
                drain.timeout.unwrap_or_default()
            ))
            .into());
        }
        sleep(POLL).await;
    }
}

/// One that is merely out of reach may still be deactivated, which it is: only of one that is gone this is refused.
async fn is_gone(client: &Client, id: &str) -> Result<bool> {
    match super::order(client, "DEACTIVATE_AGENT", id).await {
        Ok(()) => Ok(false),
        Err(error) => match error.downcast_ref() {
            Some(Failure::Refused { status: 400, .. }) => Ok(true),
            _ => Err(error),
        },
    }
}

/// `1h30m`, `90s`, `500ms`; a bare number is of seconds.
fn span(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no length of time; one looks like 90s, 10m or 1h30m");
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: u64 = rest[..end].parse().map_err(|_| bad())?;
        let unit = &rest[end..];
        let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let known = units.iter().find(|(name, _)| unit.starts_with(name));
        let (name, millis) = known.ok_or_else(bad)?;
        let part = number.checked_mul(*millis).map(Duration::from_millis).ok_or_else(bad)?;
        sum = sum.checked_add(part).ok_or_else(bad)?;
        rest = &unit[name.len()..];
    }
    if text.is_empty() { Err(bad()) } else { Ok(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_written_as_people_write_them() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(span(text).ok(), millis.map(Duration::from_millis), "{text:?}");
        };
        check("90s", Some(90_000));
        check("1h30m", Some(5_400_000));
        check("500ms", Some(500));
        check("2m500ms", Some(120_500));
        check("600", Some(600_000));
        check("0s", Some(0));
        for bad in
            ["", "s", "5x", "-1s", "1.5h", "5m3", "99999999999999999999s", "9999999999999999h"]
        {
            check(bad, None);
        }
    }
}
