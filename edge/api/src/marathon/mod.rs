//! Marathon's API: one table of endpoints, a file per noun.

mod apps;
mod deployments;
mod events;
mod filters;
mod groups;
mod ids;
pub mod openapi;
mod pods;
mod queue;
mod spellings;
mod system;
mod tasks;
mod updates;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, EXPIRES, HeaderValue, LOCATION, PRAGMA};
use axum::http::{HeaderName, Method, Response, StatusCode};
use engine::{CallError, Handle};
use model::id::Uuid;
use serde_json::json;
use services::state::Version;
use services::{Fault, Order, Refusal, Reply};
use tower_http::compression::CompressionLayer;
use wire::marathon::judge::Rules;
use wire::marathon::{deployment, info};

use crate::answer::{self, Layout};
use crate::failure::Failure;
use crate::logging::Logging;
use crate::request::Request;

const DEPLOYMENT_ID: HeaderName = HeaderName::from_static("marathon-deployment-id");
const LEADER: HeaderName = HeaderName::from_static("x-marathon-leader");

/// What the operator's settings say of this API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarathonInfo {
    /// `127.0.0.1:8080`: where this API answers.
    pub address: String,
    pub hostname: String,
    pub http_port: u16,
    /// `127.0.0.1:5050`: where the Mesos API answers.
    pub mesos_master: String,
    pub config: services::Config,
}

#[derive(Debug)]
struct Api {
    handle: Handle,
    info: MarathonInfo,
    rules: Rules,
    /// Shared by all who subscribe to events.
    spellings: Arc<spellings::Spellings>,
    tally: system::Tally,
    logging: Arc<Logging>,
}

/// What the changes of an order came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bodies {
    One,
    List,
}

impl Bodies {
    /// Services says `/2/dependencies` of its third change: `(2)/dependencies` in a list.
    fn locate(self, fault: Fault) -> Fault {
        let located = fault.path.strip_prefix('/').map(|path| {
            let (index, rest) = path
                .split_once('/')
                .map_or((path, "/".to_owned()), |(index, rest)| (index, format!("/{rest}")));
            match self {
                Bodies::One => indexed(&rest),
                Bodies::List => format!("({index}){}", indexed(&rest)),
            }
        });
        Fault { path: located.unwrap_or(fault.path), message: fault.message }
    }
}

/// `/apps/1/id` as Marathon spells it: `/apps(1)/id`.
fn indexed(path: &str) -> String {
    let mut spelled = String::new();
    for part in path.split('/').skip(1) {
        if !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit()) {
            spelled.push_str(&format!("({part})"));
        } else {
            spelled.push_str(&format!("/{part}"));
        }
    }
    spelled
}

type Answer = Result<Response<Body>, Failure>;

/// Everything below `/` of port 8080, and of `/service/marathon` at the front door.
pub fn router(handle: Handle, info: MarathonInfo, logging: Arc<Logging>) -> Router {
    let rules = Rules {
        default_role: info.config.default_role.clone(),
        enforce_group_role: info.config.enforce_group_role,
    };
    let tally = system::Tally::new();
    let api = Api { handle, info, rules, spellings: Arc::default(), tally, logging };
    Router::new().fallback(serve).layer(CompressionLayer::new()).with_state(Arc::new(api))
}

async fn serve(State(api): State<Arc<Api>>, request: axum::extract::Request) -> Response<Body> {
    let answer = match Request::read(request).await {
        Ok(request) => api.dispatch(&request).await,
        Err(failure) => Err(failure),
    };
    let mut response = answer.unwrap_or_else(|failure| failure.response());
    api.tally.count(response.status());
    let headers = response.headers_mut();
    let never = "no-cache, no-store, must-revalidate";
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(never));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(EXPIRES, HeaderValue::from_static("0"));
    if let Ok(leader) = HeaderValue::from_str(&format!("http://{}", api.info.address)) {
        headers.insert(LEADER, leader);
    }
    response
}

impl Api {
    /// The table of endpoints. Ids of apps have slashes, so their endpoints are told by how a path ends.
    async fn dispatch(&self, request: &Request) -> Answer {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        match (&request.method, path.as_slice()) {
            (&Method::OPTIONS, _) => Ok(system::options()),
            (_, ["v2", "apps", id @ ..]) => self.apps(request, id).await,
            (_, ["v2", "tasks", rest @ ..]) => self.tasks(request, rest).await,
            (_, ["v2", "deployments", rest @ ..]) => self.deployments(request, rest).await,
            (_, ["v2", "queue", rest @ ..]) => self.queue(request, rest).await,
            (_, ["v2", "groups", rest @ ..]) => self.groups(request, rest).await,
            (_, ["v2", pods, rest @ ..]) if *pods == "pods" || pods.starts_with("pods::") => {
                let rest: Vec<&str> = [&pods["pods".len()..]].iter().chain(rest).copied().collect();
                self.pods(request, rest.join("/").trim_start_matches('/')).await
            }
            (_, path) => self.system(request, path).await,
        }
    }

    /// What is asked of the service itself.
    async fn system(&self, request: &Request, path: &[&str]) -> Answer {
        match (&request.method, path) {
            (&Method::GET, ["ping"]) => Ok(system::pong(&request.headers)),
            (&Method::GET, ["metrics"]) => Ok(self.metrics(request)),
            (&Method::GET, ["metrics", "prometheus"]) => Ok(self.prometheus()),
            (&Method::GET, ["logging"]) => {
                Ok(respond(request, StatusCode::OK, &self.logging.shown()))
            }
            (&Method::POST, ["logging"]) => self.change_logging(request),
            (&Method::GET, ["v2", "openapi.json"]) => Ok(openapi::answer()),
            (&Method::GET, ["v2", "events"]) => self.events(request),
            (&Method::GET, ["v2", "info"]) => Ok(self.told(request)),
            (&Method::GET, ["v2", "leader"]) => {
                Ok(respond(request, StatusCode::OK, &json!({ "leader": self.info.address })))
            }
            (&Method::DELETE, ["v2", "leader"]) => self.abdicate(request).await,
            (&Method::GET, ["v2", "plugins"]) => {
                Ok(respond(request, StatusCode::OK, &json!({ "plugins": [] })))
            }
            (
                _,
                ["ping" | "metrics" | "logging"]
                | ["metrics", "prometheus"]
                | ["v2", "events" | "info" | "leader" | "plugins" | "openapi.json"],
            ) => Err(Failure::MethodNotAllowed),
            (_, _) => Err(Failure::NoEndpoint),
        }
    }

    async fn apps(&self, request: &Request, id: &[&str]) -> Answer {
        match (&request.method, id) {
            (&Method::GET, []) => self.list_apps(request),
            // A group may be called `tasks` or `versions`: what is there goes first.
            (&Method::GET, id) if self.is_app(id) => self.show_app(request, id).await,
            (&Method::DELETE, id) if self.is_app(id) => self.delete_app(request, id).await,
            (&Method::POST, []) => self.create_app(request).await,
            (&Method::PUT, []) => self.update_apps(request, updates::Missing::Created).await,
            (&Method::PATCH, []) => self.update_apps(request, updates::Missing::Refused).await,
            (&Method::POST, [id @ .., "restart"]) => self.restart_app(request, id).await,
            (&Method::POST, [id @ .., "metrics", metric]) => {
                self.report_metric(request, id, metric).await
            }
            (&Method::GET, [id @ .., "tasks"]) => self.list_app_tasks(request, id),
            (&Method::DELETE, [id @ .., "tasks"]) => self.kill_app_tasks(request, id).await,
            (&Method::DELETE, [id @ .., "tasks", task]) => {
                self.kill_app_task(request, id, task).await
            }
            (&Method::GET, [id @ .., "versions"]) => self.list_versions(request, id),
            (&Method::GET, [id @ .., "versions", version]) => {
                self.show_version(request, id, version)
            }
            (&Method::GET, [group @ .., "*"]) => self.list_group_apps(request, group),
            (&Method::GET, id) => self.show_app(request, id).await,
            (&Method::PUT, id) => self.update_app(request, id, updates::Missing::Created).await,
            (&Method::PATCH, id) => self.update_app(request, id, updates::Missing::Refused).await,
            (&Method::DELETE, id @ [_, ..]) => self.delete_app(request, id).await,
            (_, _) => Err(Failure::MethodNotAllowed),
        }
    }

    fn is_app(&self, id: &[&str]) -> bool {
        let view = self.handle.read();
        ids::app_id(id).is_ok_and(|id| ids::app(&view.services, &id).is_ok())
    }

    fn told(&self, request: &Request) -> Response<Body> {
        let framework = self.handle.read().services.framework.clone();
        let info = info::info(&info::Info {
            leader: self.info.address.clone(),
            hostname: self.info.hostname.clone(),
            http_port: self.info.http_port,
            mesos_master: self.info.mesos_master.clone(),
            framework: framework.map(|id| id.to_string()),
            config: self.info.config.clone(),
        });
        respond(request, StatusCode::OK, &info)
    }

    /// Asks for a deployment and says which one it became. `bodies` is what the faults of its changes are located in.
    async fn deploy(&self, order: Order, bodies: Bodies) -> Result<(Uuid, Version), Failure> {
        match self.order(order, bodies).await? {
            Reply::Deployed { deployment, version }
            | Reply::Killed { deployed: Some((deployment, version)), .. } => {
                Ok((deployment, version))
            }
            Reply::Done | Reply::Planned { .. } | Reply::Killed { deployed: None, .. } => {
                unreachable!("services answers a deployment with its id")
            }
        }
    }

    async fn order(&self, order: Order, bodies: Bodies) -> Result<Reply, Failure> {
        self.handle.call(order).await.map_err(|error| match error {
            CallError::Refused(Refusal::Invalid(faults)) => {
                Failure::Invalid(faults.into_iter().map(|fault| bodies.locate(fault)).collect())
            }
            CallError::Refused(_)
            | CallError::Unfit(_)
            | CallError::NoSpace
            | CallError::NotLeading
            | CallError::Quarantined { .. }
            | CallError::Stopped => Failure::Call(error),
        })
    }
}

fn layout(request: &Request) -> Layout {
    if request.query.is_set("pretty") { Layout::Pretty } else { Layout::Compact }
}

fn respond(request: &Request, status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    answer::json(status, value, layout(request))
}

/// `{"version": ..., "deploymentId": ...}`, also as a header.
fn deployed(request: &Request, status: StatusCode, done: (Uuid, Version)) -> Response<Body> {
    let (id, version) = done;
    with_deployment(respond(request, status, &deployment::result(id, version)), id)
}

fn with_deployment(mut response: Response<Body>, deployment: Uuid) -> Response<Body> {
    let id = HeaderValue::from_str(&deployment.to_string()).expect("a uuid is plain ASCII");
    response.headers_mut().insert(DEPLOYMENT_ID, id);
    response
}

fn located(mut response: Response<Body>, app: &services::spec::AppId) -> Response<Body> {
    let location = HeaderValue::from_str(&format!("/v2/apps{app}")).expect("ids are plain ASCII");
    response.headers_mut().insert(LOCATION, location);
    response
}
