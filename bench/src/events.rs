//! The event stream, read for the moments at which tasks change their state.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::client::Client;

#[derive(Debug)]
pub(crate) struct Events {
    answer: reqwest::Response,
    unread: Vec<u8>,
}

impl Events {
    pub(crate) async fn open(client: &Client) -> Result<Self> {
        let answer = client.stream("/v2/events?event_type=status_update_event").await?;
        Ok(Self { answer, unread: Vec::new() })
    }

    /// When a task of the app was first heard to be in the state. An unwanted end of a task is a failure.
    pub(crate) async fn until(&mut self, app: &str, state: &str) -> Result<Instant> {
        loop {
            let (event, at) = self.next().await?;
            if event["appId"] != app {
                continue;
            }
            if event["taskStatus"] == state {
                return Ok(at);
            }
            if let Some("TASK_FAILED" | "TASK_ERROR") = event["taskStatus"].as_str() {
                bail!("a task of {app} failed: {}", event["message"]);
            }
        }
    }

    async fn next(&mut self) -> Result<(Value, Instant)> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.unread.drain(..end + 2).collect();
                let text = String::from_utf8(event)?;
                if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
                    return Ok((serde_json::from_str(data)?, Instant::now()));
                }
                continue;
            }
            let chunk = self.answer.chunk().await?.context("the event stream has ended")?;
            self.unread.extend_from_slice(&chunk);
        }
    }
}
