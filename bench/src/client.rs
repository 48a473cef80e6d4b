//! What the drivers ask of Marathon's API.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// How long a list took, from the moment it was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    /// Until the first byte of the body was there.
    pub(crate) first: Duration,
    pub(crate) whole: Duration,
    pub(crate) bytes: usize,
}

/// Clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub(crate) fn new(api: SocketAddr) -> Self {
        Self { http: reqwest::Client::new(), base: format!("http://{api}") }
    }

    /// Sends a body; the status is the caller's to judge.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(StatusCode, String)> {
        let sent =
            self.http.request(method, format!("{}{path}", self.base)).json(body).send().await;
        let answer = sent.with_context(|| format!("asking {path}"))?;
        Ok((answer.status(), answer.text().await?))
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Result<()> {
        let (status, text) = self.try_send(method.clone(), path, body).await?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {text}");
        }
        Ok(())
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let sent = self.http.get(format!("{}{path}", self.base)).send().await;
        let answer = sent.with_context(|| format!("asking {path}"))?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Reads and forgets.
    pub(crate) async fn read(&self, path: &str) -> Result<Read> {
        let begun = Instant::now();
        let sent = self.http.get(format!("{}{path}", self.base)).send().await;
        let mut answer = sent.with_context(|| format!("asking {path}"))?.error_for_status()?;
        let mut bytes = answer.chunk().await?.context("an empty answer")?.len();
        let first = begun.elapsed();
        while let Some(chunk) = answer.chunk().await? {
            bytes += chunk.len();
        }
        Ok(Read { first, whole: begun.elapsed(), bytes })
    }

    /// An answer that does not end by itself.
    pub(crate) async fn stream(&self, path: &str) -> Result<reqwest::Response> {
        let asked = self.http.get(format!("{}{path}", self.base));
        let sent = asked.header("accept", "text/event-stream").send().await;
        Ok(sent.with_context(|| format!("asking {path}"))?.error_for_status()?)
    }
}
