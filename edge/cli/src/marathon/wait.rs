//! `--wait`: stay until a deployment is over, and show how far it is.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::app_path;
use super::deployment::{Deployment, actions, deployments};
use crate::client::Client;
use crate::failure::Failure;
use crate::screen::Screen;

const POLL_MS: u64 = 300;
const SPIN_MS: u64 = 120;

#[derive(Debug, Args)]
pub struct Wait {
    /// Stay until the deployment is over.
    #[arg(long)]
    wait: bool,
    /// With --wait: give up after so many seconds; the deployment goes on.
    #[arg(long, default_value_t = 600)]
    timeout: u64,
}

/// Returns at once unless waiting was asked for.
pub(super) async fn follow(
    screen: &mut Screen<'_>,
    client: &Client,
    id: &str,
    app: Option<&str>,
    wait: &Wait,
) -> Result<()> {
    if !wait.wait {
        return Ok(());
    }
    let until = Instant::now() + Duration::from_secs(wait.timeout);
    // Hides itself where standard error is not a terminal.
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(SPIN_MS));
    while let Some(deployment) = find(client, id).await? {
        if Instant::now() >= until {
            spinner.finish_and_clear();
            return Err(too_slow(&deployment, app, wait.timeout));
        }
        spinner.set_message(progress(client, &deployment, app).await?);
        sleep(Duration::from_millis(POLL_MS)).await;
    }
    spinner.finish_and_clear();
    screen.line(format_args!("Deployment {id} is over"))
}

async fn find(client: &Client, id: &str) -> Result<Option<Deployment>> {
    Ok(deployments(client).await?.into_iter().find(|deployment| deployment.id == id))
}

async fn progress(client: &Client, deployment: &Deployment, app: Option<&str>) -> Result<String> {
    let step = format!(
        "step {}/{}: {}",
        deployment.current_step,
        deployment.total_steps,
        actions(deployment).join(", ")
    );
    let Some(app) = app else { return Ok(step) };
    // It may be the app's removal that is waited for.
    let Ok(answer) = client.json::<Value>(client.get(&app_path(app))).await else {
        return Ok(step);
    };
    let number = |field: &str| answer["app"][field].as_u64().unwrap_or_default();
    Ok(format!(
        "{step}; {} of {} running, {} healthy",
        number("tasksRunning"),
        number("instances"),
        number("tasksHealthy")
    ))
}

fn too_slow(deployment: &Deployment, app: Option<&str>, secs: u64) -> anyhow::Error {
    let id = &deployment.id;
    let app = app.unwrap_or("APP");
    Failure::Other(format!(
        "deployment {id} is not over after {secs} s and goes on. `dcos marathon debug summary {app}` says why \
         instances wait, `dcos marathon deployment rollback {id}` undoes it."
    ))
    .into()
}
