//! The HTTP servers of this process, and their common end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, anyhow};
use axum::Router;
use axum::middleware;
use axum::serve::ListenerExt;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cross_site;

/// Requests that are still being answered get so long when the cluster stops; event streams never end by themselves.
const DRAIN_MS_MAX: u64 = 1_000;

/// What becomes of a connection whose other end takes nothing of what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Somebody else finds out.
    Kept,
    /// The kernel closes it after so long, even if nobody looks at it: whoever writes to it waits for room meanwhile.
    CutAfter(Duration),
}

impl Unread {
    fn ask(self, stream: &TcpStream) -> io::Result<()> {
        let Unread::CutAfter(time) = self else { return Ok(()) };
        let millis = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Ok(set_tcp_user_timeout(stream, millis)?)
    }
}

#[derive(Debug)]
pub(crate) struct Servers {
    running: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
}

impl Servers {
    pub(crate) fn new() -> Self {
        Self { running: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    pub(crate) fn add(
        &mut self,
        what: &'static str,
        listener: TcpListener,
        router: Router,
        unread: Unread,
    ) {
        let router = router.layer(middleware::from_fn(cross_site::keep_out));
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        let mut stop = self.stop.subscribe();
        let stopped = async move {
            // The sender lives as long as the servers do.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        // An event is a small write that nothing follows: it must not wait for the answer to the one before.
        let listener = listener.tap_io(move |stream| {
            if let Err(error) = stream.set_nodelay(true).and_then(|()| unread.ask(stream)) {
                tracing::debug!(%error, "a connection stays as it came");
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures::stream;
    use tokio::io::AsyncWriteExt;
    use tokio::time::sleep;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_does_not_read_is_cut_although_nobody_looks() {
        let listener = TcpListener::bind("127.64.0.1:0").await.expect("an address on loopback");
        let address = listener.local_addr().expect("bound");
        let held = Arc::new(());
        let given = held.clone();
        let endless = move || {
            let given = given.clone();
            let piece = Bytes::from(vec![0; 64 << 10]);
            async move {
                let parts = stream::repeat_with(move || {
                    let _held_by_the_body = &given;
                    Ok::<_, io::Error>(piece.clone())
                });
                Body::from_stream(parts)
            }
        };
        let router = Router::new().route("/", get(endless));
        let mut servers = Servers::new();
        servers.add("endless page", listener, router, Unread::CutAfter(Duration::from_secs(1)));
        let idle = Arc::strong_count(&held);
        let mut reader = TcpStream::connect(address).await.expect("a connection");
        reader.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("a request");
        let changes = async |wanted: fn(usize, usize) -> bool| {
            while !wanted(Arc::strong_count(&held), idle) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, changes(|now, idle| now > idle)).await.expect("it is answered");
        timeout(PATIENCE, changes(|now, idle| now == idle)).await.expect("it is cut");
        drop(reader);
        servers.stop().await;
    }
}
