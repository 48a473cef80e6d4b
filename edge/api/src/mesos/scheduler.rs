//! The scheduler API: `POST /api/v1/scheduler`. A SUBSCRIBE is answered by a stream of events, every other call by 202
//! before anything comes of it; what does is told on the stream.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use engine::frameworks::{FrameworkError, Subscription};
use engine::{CallError, Handle};
use mesos_v1::authorization::Principal;
use mesos_v1::codec::{Encoding, JSON, PROTOBUF};
use mesos_v1::negotiate;
use mesos_v1::scheduler::Call as Spelled;
use mesos_v1::scheduler::call::Type;
use model::framework::FrameworkInfo;
use model::id::{AgentId, Connection, ExecutorId, FrameworkId, OfferId, Uuid};
use model::scheduler::Call;
use model::wishes::Wishes;
use wire::mesos::master::MasterInfo;
use wire::mesos::v1::Fault;
use wire::mesos::v1::call::{self, Said, Speaker};

use super::stream;
use super::stream::Events;
use crate::answer;
use crate::request::Request;

pub(super) const STREAM_ID: &str = "mesos-stream-id";

/// What the calls of schedulers are judged against.
#[derive(Debug)]
pub(super) struct Schedulers {
    pub(super) handle: Handle,
    pub(super) info: Arc<MasterInfo>,
    /// Makes the names of streams, so that nobody guesses them.
    pub(super) seed: u64,
}

/// What Mesos answers where a call does not even reach the master: text, not JSON.
type Turned = (StatusCode, String);

fn bad(text: impl Into<String>) -> Turned {
    (StatusCode::BAD_REQUEST, text.into())
}

pub(super) async fn serve(
    State(api): State<Arc<Schedulers>>,
    request: axum::extract::Request,
) -> Response<Body> {
    if request.method() != Method::POST {
        let text = format!("Expecting one of {{ 'POST' }}, but received '{}'", request.method());
        let mut response = turned((StatusCode::METHOD_NOT_ALLOWED, text));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let principal = request.extensions().get::<Principal>().cloned();
    let request = match Request::read(request).await {
        Ok(request) => request,
        Err(failure) => return turned((failure.status(), failure.body().message)),
    };
    let sender = Sender { headers: &request.headers, principal };
    api.answer(sender, request.body).await.unwrap_or_else(turned)
}

fn turned((status, text): Turned) -> Response<Body> {
    answer::with_body(status, HeaderValue::from_static("text/plain; charset=utf-8"), text.into())
}

/// Where a call comes from.
struct Sender<'a> {
    headers: &'a HeaderMap,
    /// If it had to prove who it is.
    principal: Option<Principal>,
}

impl Sender<'_> {
    /// The framework is the sender's own, or has not said whose it is.
    fn require_own(&self, principal: Option<&String>) -> Result<(), Turned> {
        match (&self.principal, principal) {
            (Some(Principal(proved)), Some(said)) if proved != said => Err(bad(format!(
                "Authenticated principal '{proved}' does not match principal '{said}' set in `FrameworkInfo`"
            ))),
            _ => Ok(()),
        }
    }
}

impl Schedulers {
    async fn answer(&self, sender: Sender<'_>, body: Bytes) -> Result<Response<Body>, Turned> {
        let headers = sender.headers;
        let call = read(headers, &body)?;
        let invalid = |fault: Fault| bad(format!("Failed to validate scheduler::Call: {fault}"));
        call::judge(&call).map_err(invalid)?;
        if call.r#type() == Type::Subscribe {
            return self.subscribe(sender, &call).await;
        }
        let framework = call::speaker(&call).expect("the call was judged");
        if let Some(known) = self.handle.read().kernel.frameworks.get(&framework) {
            sender.require_own(known.framework.info.principal.as_ref())?;
        }
        self.require_stream(headers, &framework)?;
        let said = self.understand(&framework, &call).map_err(invalid)?;
        self.carry_out(framework, said).await
    }

    fn understand(&self, framework: &FrameworkId, call: &Spelled) -> Result<Said, Fault> {
        let view = self.handle.read();
        let role = |id: &OfferId| view.kernel.offers.get(id).map(|one| one.role.clone());
        call::read(call, &Speaker { framework: framework.clone(), role: &role })
    }

    /// The call is of a framework that is subscribed, and of the scheduler that subscribed it.
    fn require_stream(&self, headers: &HeaderMap, framework: &FrameworkId) -> Result<(), Turned> {
        let view = self.handle.read();
        let Some(known) = view.kernel.frameworks.get(framework) else {
            return Err(bad("Framework cannot be found"));
        };
        let forbidden = |text: &str| Err((StatusCode::FORBIDDEN, text.to_owned()));
        if !known.connected {
            return forbidden("Framework is not subscribed");
        }
        let Some(connection) = self.handle.stream_of(framework) else {
            return forbidden("Framework is not connected via HTTP");
        };
        let Some(told) = headers.get(STREAM_ID) else {
            return Err(bad("All non-subscribe calls should include the 'Mesos-Stream-Id' header"));
        };
        if told.as_bytes() == self.stream_id(connection).as_bytes() {
            return Ok(());
        }
        Err(bad(format!(
            "The stream ID '{}' included in this request didn't match the stream ID currently \
             associated with framework ID {framework}",
            String::from_utf8_lossy(told.as_bytes())
        )))
    }

    fn stream_id(&self, connection: Connection) -> String {
        Uuid::derive(self.seed, connection.0).to_string()
    }

    async fn subscribe(
        &self,
        sender: Sender<'_>,
        call: &Spelled,
    ) -> Result<Response<Body>, Turned> {
        let headers = sender.headers;
        let wanted = negotiate::stream(headers).ok_or_else(not_acceptable)?;
        if headers.contains_key(STREAM_ID) {
            return Err(bad("Subscribe calls should not include the 'Mesos-Stream-Id' header"));
        }
        let subscribed = match call::subscription(call) {
            Ok((info, wishes)) => {
                sender.require_own(info.principal.as_ref())?;
                let proved = sender.principal.map(|Principal(proved)| proved);
                let info = FrameworkInfo { principal: info.principal.or(proved), ..info };
                self.handle.subscribe(Subscription { info, wishes }).await
            }
            // Who cannot be subscribed hears so as a scheduler does: by an event.
            Err(fault) => return Ok(stream::refused(wanted, &fault.to_string())),
        };
        match subscribed {
            Ok(subscribed) => {
                let id = self.stream_id(subscribed.connection);
                let events = Events::new(self.handle.clone(), self.info.clone(), subscribed);
                Ok(stream::response(wanted, Some(&id), events.body(wanted.message)))
            }
            Err(FrameworkError::Refused(refusal)) => {
                Ok(stream::refused(wanted, &refused(&refusal)))
            }
            Err(FrameworkError::Call(error)) => Err(unavailable(&error)),
        }
    }

    async fn carry_out(&self, from: FrameworkId, said: Said) -> Result<Response<Body>, Turned> {
        match said {
            Said::UpdateFramework { info, wishes } => {
                return self.update_framework(from, info, wishes).await;
            }
            Said::Call(call) => self.pass(from, call).await?,
            Said::Shutdown { executor, agent } => {
                for call in self.shut_down(&from, &executor, &agent) {
                    self.pass(from.clone(), call).await?;
                }
            }
            Said::Heard => (),
        }
        Ok(answer::empty(StatusCode::ACCEPTED))
    }

    async fn pass(&self, from: FrameworkId, call: Call) -> Result<(), Turned> {
        self.handle.pass(from, call).await.map_err(|error| unavailable(&error))
    }

    /// An executor ends with its tasks.
    fn shut_down(&self, from: &FrameworkId, executor: &ExecutorId, agent: &AgentId) -> Vec<Call> {
        let view = self.handle.read();
        let tasks = view.kernel.tasks.get(from).into_iter().flat_map(|tasks| tasks.values());
        let is_its = |task: &&Arc<model::task::Task>| {
            // A task that has no executor of its own is run by one that is called as it is.
            let own = task.executor.as_ref().map_or(task.id.as_str(), |one| one.id.as_str());
            let is_program = task.executor.as_ref().is_some_and(|one| one.program.is_some());
            task.agent == *agent && own == executor.as_str() && !is_program
        };
        let kill = |task: &Arc<model::task::Task>| Call::Kill {
            task: task.id.clone(),
            agent: Some(agent.clone()),
            grace: None,
        };
        let (agent, executor) = (agent.clone(), executor.clone());
        // Is it a program, its agent ends it, and its tasks with it.
        tasks.filter(is_its).map(kill).chain([Call::Shutdown { agent, executor }]).collect()
    }

    /// Answered with 200 once it holds, as in Mesos.
    async fn update_framework(
        &self,
        from: FrameworkId,
        mut info: FrameworkInfo,
        wishes: Wishes,
    ) -> Result<Response<Body>, Turned> {
        let known = self.handle.read().kernel.frameworks.get(&from).cloned();
        if let Some(known) = known {
            // Who does not repeat whose it is stays who it is.
            info.principal = info.principal.or_else(|| known.framework.info.principal.clone());
            immutable(&known.framework.info, &info)?;
        }
        let call = Call::UpdateFramework { info, wishes: Some(wishes) };
        match self.handle.ask(from, call).await {
            Ok(()) => Ok(answer::empty(StatusCode::OK)),
            Err(FrameworkError::Refused(refusal)) => Err(bad(refused(&refusal))),
            Err(FrameworkError::Call(error)) => Err(unavailable(&error)),
        }
    }
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Spelled, Turned> {
    let Some(content) = negotiate::content(headers) else {
        return Err(bad("Expecting 'Content-Type' to be present"));
    };
    let Ok(encoding) = content else {
        let text = format!("Expecting 'Content-Type' of {JSON} or {PROTOBUF}");
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    };
    encoding.decode(body).map_err(|error| match encoding {
        Encoding::Json => bad(format!("Failed to convert JSON into Call protobuf: {error}")),
        Encoding::Protobuf => bad(format!("Failed to parse body into Call protobuf: {error}")),
    })
}

fn not_acceptable() -> Turned {
    let text = format!("Expecting 'Accept' to allow '{PROTOBUF}' or '{JSON}'");
    (StatusCode::NOT_ACCEPTABLE, text)
}

/// What a framework may not change.
fn immutable(before: &FrameworkInfo, after: &FrameworkInfo) -> Result<(), Turned> {
    let unsupported = |field: &str, from: &dyn std::fmt::Display, to: &dyn std::fmt::Display| {
        Err(bad(format!(
            "Updating 'FrameworkInfo.{field}' is unsupported; attempted to update from '{from}' to '{to}'"
        )))
    };
    if before.principal != after.principal {
        return Err(bad("Changing framework's principal is not allowed."));
    }
    if before.user != after.user {
        return unsupported("user", &before.user, &after.user);
    }
    if before.checkpoint != after.checkpoint {
        return unsupported("checkpoint", &before.checkpoint, &after.checkpoint);
    }
    Ok(())
}

/// Clients know some refusals by their words.
fn refused(refusal: &cluster::Refusal) -> String {
    match refusal {
        cluster::Refusal::Kernel(kernel::Refusal::CompletedFramework(_)) => {
            "Framework has been removed".to_owned()
        }
        cluster::Refusal::Kernel(_)
        | cluster::Refusal::Services(_)
        | cluster::Refusal::OwnFramework(_) => refusal.to_string(),
    }
}

fn unavailable(error: &CallError) -> Turned {
    let status = match error {
        CallError::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        CallError::NotLeading | CallError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        CallError::Quarantined { .. } | CallError::Refused(_) | CallError::Unfit(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    (status, error.to_string())
}

/// A header's value that is the name of a media type.
pub(super) fn named(media_type: &'static str) -> (axum::http::HeaderName, HeaderValue) {
    (CONTENT_TYPE, HeaderValue::from_static(media_type))
}
