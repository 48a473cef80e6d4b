//! The Mesos master's API: the v0 endpoints (here, [`files`], [`quota`], [`upkeep`], [`logging`]), the v1 operator API ([`operator`]
//! with [`orders`] and [`follow`]), and the scheduler API ([`scheduler`], with [`stream`] for its events). [`access`] is the
//! guard in front of them.

pub mod access;
mod files;
mod follow;
pub mod logging;
mod measured;
mod operator;
mod orders;
mod quota;
mod scheduler;
mod stream;
mod upkeep;

use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderValue, LOCATION, USER_AGENT};
use axum::http::{Response, StatusCode};
use axum::routing::any;
use engine::Handle;
use kernel::operator::Order;
use kernel::view::View;
use mesos_v1::codec::Encoding;
use serde_json::{json, to_writer};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use wire::mesos::master::MasterInfo;
use wire::mesos::{help, master, roles, state, summary, upkeep as told};

use self::scheduler::Schedulers;
use crate::answer::{self, Layout};
use crate::failure::Failure;
use crate::logging::Logging;
use crate::pieces::{self, Pieces};
use crate::query::Query;
use crate::request::Request;

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
    logging: Arc<Logging>,
    /// One for each stream of events that an operator reads, and one of its own.
    followers: Arc<()>,
}

/// Everything below `/` of port 5050, and of `/mesos` at the front door.
pub fn router(handle: Handle, info: MasterInfo, logging: Arc<Logging>) -> Router {
    let schedulers = Arc::new(Schedulers {
        handle: handle.clone(),
        info: Arc::new(info.clone()),
        seed: uuid::Uuid::new_v4().as_u64_pair().0,
    });
    let api = Arc::new(Api { handle, info, logging, followers: Arc::default() });
    let rest = Router::new()
        .fallback(serve)
        .layer(CompressionLayer::new().compress_when(AtOnce))
        .with_state(api);
    // An event that waits in a compressor is late, so nothing compresses these.
    let mut router = Router::new();
    for path in SCHEDULER_PATHS {
        router = router.route(path, any(scheduler::serve));
    }
    router.with_state(schedulers).fallback_service(rest)
}

/// Compresses what has an end.
#[derive(Debug, Clone, Copy)]
struct AtOnce;

impl Predicate for AtOnce {
    fn should_compress<B>(&self, response: &Response<B>) -> bool
    where
        B: axum::body::HttpBody,
    {
        response.extensions().get::<Endless>().is_none()
            && DefaultPredicate::new().should_compress(response)
    }
}

/// Marks an answer that goes on: what waits in a compressor is late.
#[derive(Debug, Clone, Copy)]
struct Endless;

async fn serve(State(api): State<Arc<Api>>, request: axum::extract::Request) -> Response<Body> {
    let request = match Request::read(request).await {
        Ok(request) => request,
        Err(failure) => return failure.response(),
    };
    api.dispatch(request).await.unwrap_or_else(|failure| failure.response())
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
    async fn carry_out(
        &self,
        order: Result<Order, Failure>,
        request: &Request,
    ) -> Result<Response<Body>, Failure> {
        let principal = request.principal.clone();
        let order = orders::by(principal.clone(), order?);
        let name = orders::name(&order);
        // What becomes of resources is up to their agent.
        let is_conversion = matches!(order, Order::Convert { .. });
        let status = if is_conversion { StatusCode::ACCEPTED } else { StatusCode::OK };
        self.handle.order(order).await?;
        tracing::info!(principal, order = name, "an operator's order stands");
        Ok(answer::empty(status))
    }

    /// The table of endpoints.
    async fn dispatch(self: &Arc<Self>, request: Request) -> Result<Response<Body>, Failure> {
        let path = path(&request);
        let allowed = methods(&path).ok_or(Failure::NoEndpoint)?;
        if !allowed.contains(&request.method.as_str()) {
            return Err(Failure::Expecting(allowed));
        }
        let order = quota::order(&request, &path).or_else(|| upkeep::order(&request, &path));
        if let Some(order) = order {
            return self.carry_out(order, &request).await;
        }
        match path.as_slice() {
            ["api", "v1"] | ["api", "v1", "operator"] => self.operator(&request).await,
            ["teardown"] => self.tear_down(&framework(&request)?, &request).await,
            ["logging", "toggle"] => self.toggle(&request),
            ["health"] => Ok(answer::empty(StatusCode::OK)),
            ["redirect", rest @ ..] => Ok(self.redirect(rest)),
            ["files", asked] => files::answer(&self.logging, asked, &request).await,
            ["help", asked @ ..] => help(asked, &request),
            path => {
                let told = Told::of(path).ok_or(Failure::NoEndpoint)?;
                if let Some(time) = request.query.first("timeout").filter(|_| told == Told::Metrics)
                {
                    // Whatever it is, it is enough.
                    let bad = || {
                        Failure::BadRequest(format!("Invalid timeout '{time}': one is like 10secs"))
                    };
                    logging::duration(time).ok_or_else(bad)?;
                }
                Ok(self.clone().tell_all(told, request))
            }
        }
    }

    /// Sent while it is written: the state of a large cluster is long.
    fn tell_all(self: Arc<Self>, told: Told, request: Request) -> Response<Body> {
        let view = self.handle.read();
        let function = request.query.first("jsonp").map(identifier);
        let kind = if function.is_some() { SCRIPT } else { answer::JSON };
        let body = pieces::body(move |out| {
            if let Some(function) = &function {
                write!(out, "{function}(")?;
            }
            self.write(told, &request, &view.kernel, out)?;
            if function.is_some() { out.write_all(b");") } else { Ok(()) }
        });
        answer::with_body(StatusCode::OK, kind, body)
    }

    fn write(
        &self,
        told: Told,
        request: &Request,
        view: &View,
        out: &mut Pieces,
    ) -> std::io::Result<()> {
        let (info, query) = (&self.info, &request.query);
        Ok(match told {
            Told::State => return state::write_state(view, info, out),
            Told::Summary => to_writer(out, &summary::summary(view, info)),
            Told::Agents => to_writer(out, &state::slaves(view, query.first("slave_id"))),
            Told::Frameworks => {
                return state::write_frameworks(view, query.first("framework_id"), out);
            }
            Told::Tasks => to_writer(out, &state::tasks(view, page(query))),
            Told::Roles => to_writer(out, &roles::roles(view)),
            Told::Schedule => {
                return out.write_all(&Encoding::Json.encode(&told::told_schedule(view)));
            }
            Told::Maintenance => {
                return out.write_all(&Encoding::Json.encode(&told::told_status(view)));
            }
            Told::Quota => return out.write_all(&quota::status(view)),
            Told::Weights => to_writer(out, &roles::weights(view)),
            Told::Version => to_writer(out, &master::version()),
            Told::Flags => to_writer(out, &json!({ "flags": master::flags(info) })),
            Told::Metrics => to_writer(out, &self.figures(view)),
            Told::Machine => to_writer(out, &measured::machine().stats()),
        }?)
    }

    fn redirect(&self, rest: &[&str]) -> Response<Body> {
        let mut response = answer::empty(StatusCode::TEMPORARY_REDIRECT);
        let rest: String = rest.iter().map(|part| format!("/{part}")).collect();
        let location = format!("//{}:{}{rest}", self.info.hostname, self.info.port);
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const MARKDOWN: HeaderValue = HeaderValue::from_static("text/x-markdown; charset=utf-8");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript");

/// What the v0 endpoints tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    State,
    Summary,
    Agents,
    Frameworks,
    Tasks,
    Roles,
    Quota,
    Schedule,
    Maintenance,
    Weights,
    Version,
    Flags,
    Metrics,
    Machine,
}

impl Told {
    fn of(path: &[&str]) -> Option<Self> {
        Some(match path {
            ["state"] => Told::State,
            ["state-summary"] => Told::Summary,
            ["slaves"] => Told::Agents,
            ["frameworks"] => Told::Frameworks,
            ["tasks"] => Told::Tasks,
            ["roles"] => Told::Roles,
            ["quota"] => Told::Quota,
            ["maintenance", "schedule"] => Told::Schedule,
            ["maintenance", "status"] => Told::Maintenance,
            ["weights"] => Told::Weights,
            ["version"] => Told::Version,
            ["flags"] => Told::Flags,
            ["metrics", "snapshot"] => Told::Metrics,
            ["system", "stats"] => Told::Machine,
            _ => return None,
        })
    }
}

/// Which one a form says is to be torn down.
fn framework(request: &Request) -> Result<String, Failure> {
    let form = Query::parse(&String::from_utf8_lossy(&request.body));
    let named = form.first("frameworkId").filter(|id| !id.is_empty()).map(str::to_owned);
    named.ok_or_else(|| Failure::BadRequest("Missing 'frameworkId' query parameter".to_owned()))
}

/// With which an endpoint may be asked; nothing if there is none.
fn methods(path: &[&str]) -> Option<&'static [&'static str]> {
    let path = match path {
        ["help", ..] => "/help".to_owned(),
        ["redirect", ..] => "/redirect".to_owned(),
        ["quota", _, ..] => return Some(&["DELETE"]),
        ["api", "v1", "operator"] => "/api/v1".to_owned(),
        path => format!("/{}", path.join("/")),
    };
    help::methods(&help::MASTER, "master", &path)
}

fn help(asked: &[&str], request: &Request) -> Result<Response<Body>, Failure> {
    if asked.is_empty() && request.query.first("format") == Some("json") {
        return Ok(answer::json(StatusCode::OK, &help::json(&help::MASTER), Layout::Compact));
    }
    let unknown = || Failure::BadRequest(format!("No help available for '/{}'.", asked.join("/")));
    let page = help::page(&help::MASTER, asked).ok_or_else(unknown)?;
    let agent = request.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    Ok(match agent.is_some_and(|agent| agent.starts_with("Mozilla")) {
        true => answer::with_body(StatusCode::OK, HTML, help::html(&page).into()),
        false => answer::with_body(StatusCode::OK, MARKDOWN, page.into()),
    })
}

fn page(query: &Query) -> state::Page<'_> {
    let number = |name: &'static str| query.first(name).and_then(|text| text.parse().ok());
    state::Page {
        limit: number("limit").unwrap_or(TASKS_LISTED),
        offset: number("offset").unwrap_or(0),
        task: query.first("task_id"),
        framework: query.first("framework_id"),
        order: match query.first("order") {
            Some("asc") => state::Order::OldestFirst,
            Some(_) | None => state::Order::NewestFirst,
        },
    }
}

/// A name that a script can call, and nothing that a script could do.
fn identifier(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || "_$.".contains(*c)).collect()
}
