//! The Mesos master's API: the v0 endpoints, the v1 operator API ([`quota`] is what orders something), and the scheduler
//! API ([`scheduler`], with [`stream`] for its events).

mod quota;
mod scheduler;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use axum::http::{Method, Response, StatusCode};
use axum::routing::any;
use engine::Handle;
use kernel::operator::Order;
use kernel::view::View;
use serde::Serialize;
use serde_json::json;
use tower_http::compression::CompressionLayer;
use wire::marathon::reading;
use wire::mesos::master::MasterInfo;
use wire::mesos::{master, metrics, operator, roles, state, summary};

use self::scheduler::Schedulers;
use crate::answer::{self, Layout};
use crate::failure::Failure;
use crate::request::{Request, now};

const SCHEDULER_PATHS: [&str; 4] = [
    "/api/v1/scheduler",
    "/api/v1/scheduler/",
    "/master/api/v1/scheduler",
    "/master/api/v1/scheduler/",
];

/// What `/tasks` lists if it is not told otherwise, as in Mesos.
const TASKS_LISTED: usize = 100;

#[derive(Debug)]
struct Api {
    handle: Handle,
    info: MasterInfo,
}

/// Everything below `/` of port 5050, and of `/mesos` at the front door.
pub fn router(handle: Handle, info: MasterInfo) -> Router {
    let schedulers = Arc::new(Schedulers {
        handle: handle.clone(),
        info: Arc::new(info.clone()),
        seed: uuid::Uuid::new_v4().as_u64_pair().0,
    });
    let api = Arc::new(Api { handle, info });
    let rest = Router::new().fallback(serve).layer(CompressionLayer::new()).with_state(api);
    // An event that waits in a compressor is late, so nothing compresses these.
    let mut router = Router::new();
    for path in SCHEDULER_PATHS {
        router = router.route(path, any(scheduler::serve));
    }
    router.with_state(schedulers).fallback_service(rest)
}

async fn serve(State(api): State<Arc<Api>>, request: axum::extract::Request) -> Response<Body> {
    let request = match Request::read(request).await {
        Ok(request) => request,
        Err(failure) => return failure.response(),
    };
    if let Some(order) = quota::order(&request, &path(&request)) {
        return api.carry_out(order).await.unwrap_or_else(|failure| failure.response());
    }
    // What is told of a large cluster takes a while to spell: not on a thread that others wait for.
    let answer = tokio::task::spawn_blocking(move || api.dispatch(&request)).await;
    match answer.expect("a panic while answering was reported where it happened") {
        Ok(response) => response,
        Err(failure) => failure.response(),
    }
}

/// The master answers below `/master` as well, and to the names that ended in `.json`.
fn path(request: &Request) -> Vec<&str> {
    let mut path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    if path.len() > 1 && path[0] == "master" {
        path.remove(0);
    }
    match path.as_mut_slice() {
        // A role is what it is.
        ["quota", _, ..] | [] => (),
        [.., name] => *name = name.strip_suffix(".json").unwrap_or(name),
    }
    path
}

impl Api {
    /// What an operator has ordered is durable once it is answered.
    async fn carry_out(&self, order: Result<Order, Failure>) -> Result<Response<Body>, Failure> {
        self.handle.order(order?).await?;
        Ok(answer::empty(StatusCode::OK))
    }

    /// The table of endpoints that tell.
    fn dispatch(&self, request: &Request) -> Result<Response<Body>, Failure> {
        match (&request.method, path(request).as_slice()) {
            (&Method::POST, ["api", "v1"] | ["api", "v1", "operator"]) => self.call(request),
            (&Method::GET, ["health"]) => Ok(answer::empty(StatusCode::OK)),
            (&Method::GET, ["redirect"]) => Ok(self.redirect()),
            (&Method::GET, path) => self.read(request, path),
            (_, ["api", "v1", ..]) => Err(Failure::MethodNotAllowed),
            (method, path) => Err(Failure::NotYet(format!("{method} /{}", path.join("/")))),
        }
    }

    fn read(&self, request: &Request, path: &[&str]) -> Result<Response<Body>, Failure> {
        let view = self.handle.read();
        let (view, info) = (&view.kernel, &self.info);
        Ok(match path {
            ["state"] => spell(request, &state::state(view, info)),
            ["state-summary"] => spell(request, &summary::summary(view, info)),
            ["slaves"] => spell(request, &state::slaves(view, request.query.first("slave_id"))),
            ["frameworks"] => spell(request, &state::frameworks(view)),
            ["tasks"] => spell(request, &state::tasks(view, page(request))),
            ["roles"] => spell(request, &roles::roles(view)),
            ["quota"] => quota::status(view),
            ["weights"] => spell(request, &roles::weights(view)),
            ["version"] => spell(request, &master::version()),
            ["flags"] => spell(request, &json!({ "flags": master::flags(info) })),
            ["metrics", "snapshot"] => spell(request, &metrics::snapshot(view, info, now())),
            _ => return Err(Failure::NoEndpoint),
        })
    }

    fn redirect(&self) -> Response<Body> {
        let mut response = answer::empty(StatusCode::TEMPORARY_REDIRECT);
        let location = format!("//{}:{}", self.info.hostname, self.info.port);
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    fn call(&self, request: &Request) -> Result<Response<Body>, Failure> {
        let cluster = self.handle.read();
        if let Some(told) = quota::tell(request, &cluster.kernel) {
            return Ok(told);
        }
        let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/x-protobuf")) {
            return Err(Failure::NotYet("the operator API in protobuf".to_owned()));
        }
        let call: operator::Call = reading::body(&request.body)?;
        let view: &View = &cluster.kernel;
        operator::answer(&call.kind, view, &self.info)
            .map(|answer| spell(request, &answer))
            .ok_or_else(|| Failure::NotYet(format!("the operator call {}", call.kind)))
    }
}

fn page(request: &Request) -> state::Page<'_> {
    let number = |name: &'static str| request.query.first(name).and_then(|text| text.parse().ok());
    state::Page {
        limit: number("limit").unwrap_or(TASKS_LISTED),
        offset: number("offset").unwrap_or(0),
        task: request.query.first("task_id"),
        framework: request.query.first("framework_id"),
    }
}

/// JSON, or a call of the function that `?jsonp=` names.
fn spell(request: &Request, value: &impl Serialize) -> Response<Body> {
    let Some(function) = request.query.first("jsonp") else {
        return answer::json(StatusCode::OK, value, Layout::Compact);
    };
    let mut script = format!("{}(", identifier(function)).into_bytes();
    script.extend(answer::encode(value, Layout::Compact));
    script.extend_from_slice(b");");
    answer::with_body(StatusCode::OK, HeaderValue::from_static("text/javascript"), script.into())
}

/// A name that a script can call, and nothing that a script could do.
fn identifier(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || "_$.".contains(*c)).collect()
}
