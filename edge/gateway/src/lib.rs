//! The front door: one address for every API of the cluster and for the services that run in it.
//!
//! Marathon and the Mesos master answer within this process, without a hop over the network; agents and services are
//! reached through a reverse proxy.

mod pages;
mod proxy;
mod route;
mod services;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use engine::Handle;
use http::StatusCode;
use http::uri::PathAndQuery;
use model::id::AgentId;
use tower::ServiceExt;

use proxy::Proxy;
use route::{Route, route};
use services::{Missed, Names, Target};

#[derive(Debug, Clone)]
pub struct GatewayConfig {
    pub handle: Handle,
    /// Answers `/v2/...` and `/ping`.
    pub marathon: Router,
    /// Answers `/master/state` and its like.
    pub mesos: Router,
    /// A uuid, kept for the life of the cluster.
    pub cluster_id: String,
    /// Where users reach this master.
    pub public_ip: IpAddr,
}

struct Gateway {
    config: GatewayConfig,
    names: Names,
    proxy: Proxy,
}

/// Everything that is served on port 80.
pub fn router(config: GatewayConfig) -> Router {
    let gateway = Gateway { config, names: Names::default(), proxy: Proxy::new() };
    Router::new().fallback(answer).with_state(Arc::new(gateway))
}

async fn answer(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let config = &gateway.config;
    match route(&path) {
        Route::Marathon { rest } => inside(&config.marathon, rest, request).await,
        Route::Mesos { rest } => inside(&config.mesos, rest, request).await,
        Route::Agent { id, rest } => gateway.agent(id, rest, request).await,
        Route::Service { path } => gateway.service(path, request).await,
        Route::Home => pages::home(&config.handle.read(), &config.cluster_id),
        Route::Metadata => pages::metadata(&config.cluster_id, &config.public_ip.to_string()),
        Route::Version => pages::version(),
        Route::BuildInfo => pages::build_info(),
        Route::LoginProviders => pages::login_providers(),
        Route::Certificate => pages::no_certificate(),
        Route::Host { name } => pages::host(name, &config.public_ip.to_string()),
        Route::AddSlash => add_slash(&path, request.uri().query()),
        Route::Unknown => pages::unknown(&path),
    }
}

fn add_slash(path: &str, query: Option<&str>) -> Response {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Redirect::permanent(&format!("{path}/{query}")).into_response()
}

/// Answered by a router of this process, which sees the path below its door.
async fn inside(router: &Router, rest: &str, mut request: Request) -> Response {
    let path = match request.uri().query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    let mut uri = request.uri().clone().into_parts();
    uri.path_and_query = Some(PathAndQuery::try_from(path).expect("the end of a path is a path"));
    *request.uri_mut() = http::Uri::from_parts(uri).expect("only the path has changed");
    router.clone().oneshot(request).await.into_response()
}

impl Gateway {
    async fn agent(&self, id: &str, rest: &str, request: Request) -> Response {
        let view = self.config.handle.read();
        let Some(agent) = view.kernel.agents.get(&AgentId::new(id)) else {
            let text = format!("no agent has the id {id}; /mesos/slaves lists those there are");
            return pages::failure(StatusCode::NOT_FOUND, &text);
        };
        let info = &agent.agent.info;
        let target = Target {
            scheme: "http".into(),
            authority: format!("{}:{}", info.ip, info.port),
            prefix: format!("/agent/{id}"),
            path: rest.to_owned(),
        };
        drop(view);
        self.proxy.pass(request, &target).await
    }

    async fn service(&self, path: &str, request: Request) -> Response {
        let resolved = self.names.resolve(&self.config.handle.read(), path);
        match resolved {
            Ok(target) => self.proxy.pass(request, &target).await,
            Err(missed) => pages::failure(status(&missed), &missed.to_string()),
        }
    }
}

fn status(missed: &Missed) -> StatusCode {
    match missed {
        Missed::Unknown(_) => StatusCode::NOT_FOUND,
        Missed::NotRunning(_) => StatusCode::SERVICE_UNAVAILABLE,
        Missed::NoPort { .. } | Missed::Scheme { .. } => StatusCode::BAD_GATEWAY,
    }
}
