//! `dcos demo-web`: a small web service for demos and tests. It needs neither an image nor the network nor python.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// The first port that the task was given.
    #[arg(long, env = "PORT0", default_value_t = 8000)]
    port: u16,
    /// Address to listen on [default: $HOST if it is one, else all].
    #[arg(long)]
    bind: Option<IpAddr>,
}

/// What the page shows.
#[derive(Debug)]
struct Page {
    task: String,
    app: String,
    version: String,
    host: String,
    port: u16,
    requests: AtomicU64,
}

pub(crate) async fn run(flags: Flags) -> Result<()> {
    let var = |name: &str| std::env::var(name).unwrap_or_else(|_| "(not in a cluster)".into());
    let page = Page {
        task: var("MESOS_TASK_ID"),
        app: var("MARATHON_APP_ID"),
        version: var("MARATHON_APP_VERSION"),
        host: var("HOST"),
        port: flags.port,
        requests: AtomicU64::new(0),
    };
    let host = page.host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = SocketAddr::new(flags.bind.unwrap_or(host), flags.port);
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    tracing::info!(%address, task = page.task, "the demo service answers");
    let service = Router::new()
        .route("/", get(index))
        .route("/health", get(async || "ok\n"))
        .with_state(Arc::new(page));
    let mut stop = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let stopped = async move {
        stop.recv().await;
    };
    axum::serve(listener, service).with_graceful_shutdown(stopped).await.context("serving")
}

async fn index(State(page): State<Arc<Page>>) -> Html<String> {
    let requests = page.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let row =
        |name: &str, value: &str| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escaped(value));
    let rows = [
        row("task", &page.task),
        row("app", &page.app),
        row("version", &page.version),
        row("host", &page.host),
        row("port", &page.port.to_string()),
        row("requests", &requests.to_string()),
    ]
    .concat();
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{app}</title><style>\
         body{{font:16px sans-serif;margin:3em}}th{{text-align:left;padding-right:2em}}</style></head>\n\
         <body><h1>Hello from DC/OS</h1>\n<table>\n{rows}</table></body></html>\n",
        app = escaped(&page.app),
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_tells_who_answers_and_how_often() {
        let page = Arc::new(Page {
            task: "web.1".into(),
            app: "/a<b".into(),
            version: "v".into(),
            host: "127.0.0.1".into(),
            port: 31000,
            requests: AtomicU64::new(0),
        });
        let Html(_) = index(State(page.clone())).await;
        let Html(text) = index(State(page)).await;
        for part in ["<td>web.1</td>", "<td>/a&lt;b</td>", "<td>31000</td>", "<td>2</td>"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
