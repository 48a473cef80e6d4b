//! The agent's own API on port 5051: what Mesos agents answer.
//!
//! Paths are known with and without `/slave(1)` before them and `.json` or a slash behind them, as old clients ask.

pub(crate) mod access;
mod answer;
mod attached;
mod changes;
mod executor;
mod files;
mod follow;
mod layers;
pub(crate) mod logging;
mod provider;
mod shown;
mod v1;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use containers::Containers;
use model::agent::AgentInfo;
use model::time::Time;
use node::Input;
use tokio::sync::mpsc;
use wire::mesos::help;

use crate::board::Board;
use crate::clock::wall;
use crate::collect::Policy;
use crate::config::AgentConfig;
use crate::door::Door;
use crate::gauges::Gauges;
use crate::guests::Guests;
use crate::projects::Projects;
use crate::provider_streams::ProviderStreams;
use crate::seeds::Seeds;
use crate::streams::Streams;
use crate::usage::DiskMeter;
use access::Access;
use answer::{Asked, refuse};
use follow::Followers;
use logging::Levels;

/// What the answers are made of. A clone answers the same.
#[derive(Clone)]
pub(crate) struct Api(Arc<Parts>);

struct Parts {
    info: AgentInfo,
    dir: PathBuf,
    board: Board,
    containers: Containers,
    guests: Guests,
    images: images::Store,
    streams: Streams,
    providers: ProviderStreams,
    calls: mpsc::Sender<Input>,
    seeds: Arc<Seeds>,
    started_at: Time,
    /// The name of its machine, without the port.
    master: String,
    gc: Policy,
    fetcher: images::Fetcher,
    gauges: Gauges,
    door: Door,
    access: Access,
    levels: Arc<dyn Levels>,
    disks: DiskMeter,
    projects: Projects,
    followers: Followers,
}

/// What leads to the other parts of the agent.
pub(crate) struct Doors {
    pub(crate) board: Board,
    pub(crate) containers: Containers,
    pub(crate) guests: Guests,
    pub(crate) streams: Streams,
    pub(crate) providers: ProviderStreams,
    /// To the brain.
    pub(crate) calls: mpsc::Sender<Input>,
    pub(crate) seeds: Arc<Seeds>,
    pub(crate) gauges: Gauges,
}

impl Api {
    pub(crate) fn new(config: &AgentConfig, info: AgentInfo, doors: Doors) -> Self {
        let Doors { board, containers, guests, streams, providers, calls, seeds, gauges } = doors;
        let gc = Policy { delay: config.node.gc_delay, headroom: config.gc_disk_headroom };
        Self(Arc::new(Parts {
            info,
            dir: config.dir.clone(),
            board,
            containers,
            guests,
            images: config.images.clone(),
            streams,
            providers,
            calls,
            seeds,
            started_at: wall(),
            master: host(&config.master).to_owned(),
            gc,
            fetcher: config.fetcher.clone(),
            gauges,
            door: config.door.clone(),
            access: config.access.clone(),
            levels: config.levels.clone(),
            disks: DiskMeter::default(),
            projects: config.projects.clone(),
            followers: Followers::default(),
        }))
    }
}

/// Answers until it is dropped.
pub(crate) async fn serve<L: Listener<Addr: Debug>>(listener: L, api: Api) {
    let router = Router::new().fallback(answer).with_state(api);
    if let Err(cause) = axum::serve(listener, router).await {
        tracing::error!(%cause, "the agent's API has ended");
    }
}

async fn answer(State(api): State<Api>, request: Request) -> Response {
    let path = plain(request.uri().path());
    if path == "/api/v1/executor" {
        return executor::answer(&api, request).await;
    }
    if let Some(digest) = path.strip_prefix("/layers/") {
        return layers::give(&api, digest, request).await;
    }
    let caller = match access::judge(&api, &path, &request) {
        Ok(caller) => caller,
        Err(refused) => return *refused,
    };
    if path == "/api/v1/resource_provider" {
        return provider::answer(&api, request).await;
    }
    if path == "/api/v1" {
        return Box::pin(v1::answer(&api, &caller, request)).await;
    }
    let Some(allowed) = methods(&path) else {
        return refuse(StatusCode::NOT_FOUND, &format!("There is nothing at {path}.\n"));
    };
    // A HEAD is a GET whose body the server leaves out.
    let is_head = *request.method() == Method::HEAD && allowed.contains(&"GET");
    if !is_head && !allowed.contains(&request.method().as_str()) {
        let expected = format!("Expecting one of {{ '{}' }}.\n", allowed.join("', '"));
        let refused = refuse(StatusCode::METHOD_NOT_ALLOWED, &expected);
        return ([(header::ALLOW, allowed.join(", "))], refused).into_response();
    }
    let headers = request.headers().clone();
    let asked = match Asked::read(request.uri()) {
        Ok(asked) => asked,
        Err(cause) => return refuse(StatusCode::BAD_REQUEST, &cause),
    };
    match path.as_str() {
        "/files/browse" => files::browse(&api, &asked).await,
        "/files/read" => files::read(&api, &asked).await,
        "/files/follow" => follow::follow(&api, &asked).await,
        "/files/download" => files::download(&api, &asked).await,
        "/files/debug" => asked.json(&shown::attached(&api)),
        "/state" => asked.json(&shown::state(&api)),
        "/flags" => asked.json(&serde_json::json!({"flags": shown::flags(&api)})),
        "/version" => asked.json(&wire::mesos::master::version()),
        "/metrics/snapshot" => shown::snapshot(&api, &asked),
        "/system/stats" => asked.json(&crate::gauges::machine().stats()),
        "/monitor/statistics" => asked.json(&shown::statistics(&api)),
        "/containers" => shown::containers(&api, &asked),
        "/containerizer/debug" => asked.json(&shown::pending(&api)),
        "/logging/toggle" => logging::toggle(&api, &asked),
        "/health" => StatusCode::OK.into_response(),
        path => shown::help(path, &asked, &headers),
    }
}

/// With which an endpoint may be asked; nothing if there is none.
fn methods(path: &str) -> Option<&'static [&'static str]> {
    let path = if path.starts_with("/help/") { "/help" } else { path };
    help::methods(&help::AGENT, "slave(1)", path)
}

/// Of `host:port`.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Without what old clients write around a path.
fn plain(path: &str) -> String {
    let path = path.replace("%28", "(").replace("%29", ")");
    let path = path.trim_end_matches('/');
    let path = path.strip_prefix("/slave(1)").unwrap_or(path);
    path.strip_suffix(".json").unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_spellings_of_a_path_mean_the_same() {
        let check = |path: &str, meant: &str| assert_eq!(plain(path), meant);
        check("/state", "/state");
        check("/slave(1)/state", "/state");
        check("/slave%281%29/state.json", "/state");
        check("/files/browse.json", "/files/browse");
        check("/monitor/statistics/", "/monitor/statistics");
    }
}
