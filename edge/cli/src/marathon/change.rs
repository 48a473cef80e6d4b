//! Changes that make a deployment: how they are asked for, and what is said of them.

use anyhow::Result;
use clap::Args;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use super::wait::{Wait, follow};
use crate::client::Client;
use crate::failure::Failure;
use crate::screen::Screen;

/// Where answers name the deployment that they made.
const DEPLOYMENT_ID: &str = "Marathon-Deployment-Id";

/// How a change is made.
#[derive(Debug, Args)]
pub struct Change {
    /// Cancel a deployment that is in the way.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wait: Wait,
}

impl Change {
    /// Unset is not `false`: each endpoint has a default of its own.
    fn query(&self) -> &[(&str, &str)] {
        if self.force { &[("force", "true")] } else { &[] }
    }
}

/// Sends a request that makes a deployment, says which, and waits for it if asked to. `subject` is what changes.
pub(super) async fn changed(
    screen: &mut Screen<'_>,
    client: &Client,
    subject: &str,
    request: RequestBuilder,
    change: &Change,
) -> Result<()> {
    let request = request.query(change.query());
    started(screen, client, Some(subject), request, &change.wait).await
}

/// The same for what nothing can be in the way of.
pub(super) async fn started(
    screen: &mut Screen<'_>,
    client: &Client,
    subject: Option<&str>,
    request: RequestBuilder,
    wait: &Wait,
) -> Result<()> {
    let deployment = deployment(client.open(request).await?).await?;
    screen.line(format_args!("Created deployment {deployment}"))?;
    follow(screen, client, &deployment, subject, wait).await
}

/// Apps and pods are answered with themselves and a header, the rest with a body.
async fn deployment(answer: Response) -> Result<String> {
    let named = answer.headers().get(DEPLOYMENT_ID).and_then(|id| id.to_str().ok());
    if let Some(id) = named.map(str::to_owned) {
        return Ok(id);
    }
    let url = answer.url().to_string();
    let body: Value = serde_json::from_str(&answer.text().await?).unwrap_or_default();
    let of_app = body["deployments"][0]["id"].as_str();
    let id = body["deploymentId"].as_str().or(of_app).map(str::to_owned);
    let cause = "it names no deployment".to_owned();
    Ok(id.ok_or(Failure::Garbled { url, cause })?)
}
