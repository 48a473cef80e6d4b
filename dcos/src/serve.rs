//! The HTTP servers of this process, and their common end.

use std::time::Duration;

use anyhow::{Result, anyhow};
use axum::Router;
use axum::middleware;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cross_site;

/// Requests that are still being answered get so long when the cluster stops; event streams never end by themselves.
const DRAIN_MS_MAX: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct Servers {
    running: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
}

impl Servers {
    pub(crate) fn new() -> Self {
        Self { running: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    pub(crate) fn add(&mut self, what: &'static str, listener: TcpListener, router: Router) {
        let router = router.layer(middleware::from_fn(cross_site::keep_out));
        let mut stop = self.stop.subscribe();
        let stopped = async move {
            // The sender lives as long as the servers do.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        // An event is a small write that nothing follows: it must not wait for the answer to the one before.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection stays slow");
            }
        });
        self.running.spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
            served.map_err(|error| anyhow!(error).context(format!("serving the {what}")))
        });
    }

    /// Resolves if one of them fails.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        match self.running.join_next().await {
            Some(Ok(Ok(()))) | None => anyhow!("a server has stopped by itself"),
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => anyhow!(error).context("a server panicked"),
        }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        let drained = async { while self.running.join_next().await.is_some() {} };
        // Who has not finished by then is cut off.
        let _ = timeout(Duration::from_millis(DRAIN_MS_MAX), drained).await;
        self.running.shutdown().await;
    }
}
