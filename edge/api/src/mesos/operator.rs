//! The v1 operator API: `POST /api/v1`, in JSON or protobuf, with an arm for each call. [`orders`](super::orders) has
//! those that want something of the kernel, [`wire::mesos::operator`] the answers.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use engine::frameworks::FrameworkError;
use kernel::view::View;
use mesos_v1::codec::{Encoding, JSON, PROTOBUF};
use mesos_v1::json::Message;
use mesos_v1::master::call::Type;
use mesos_v1::master::{Call, Response as Answer};
use mesos_v1::negotiate;
use model::id::FrameworkId;
use model::scheduler;
use wire::mesos::operator::listing::{self, Listing};
use wire::mesos::operator::{master, role};

use super::{Api, files, follow, orders, upkeep};
use crate::answer;
use crate::failure::Failure;
use crate::pieces;
use crate::request::Request;

/// The call and how its answer is to be spelled.
fn read(request: &Request) -> Result<(Call, Encoding), Failure> {
    let spelled = match negotiate::content(&request.headers) {
        None => Encoding::Json,
        Some(known) => known.map_err(|named| {
            Failure::UnsupportedMedia(format!(
                "a call is of Content-Type {JSON} or {PROTOBUF}, not {named:?}"
            ))
        })?,
    };
    let wanted = negotiate::answer(&request.headers);
    let bad = |cause: &dyn std::fmt::Display| {
        Failure::BadRequest(format!("the body is no mesos.v1.master.Call: {cause}"))
    };
    let call: Call = spelled.decode(&request.body).map_err(|cause| bad(&cause))?;
    if call.r#type() == Type::Unknown {
        return Err(bad(&"its 'type' is missing or not known"));
    }
    // A stream of records has names of its own.
    let wanted = match call.r#type() == Type::Subscribe {
        true => wanted.unwrap_or(Encoding::Json),
        false => wanted.ok_or_else(not_acceptable)?,
    };
    Ok((call, wanted))
}

fn not_acceptable() -> Failure {
    Failure::NotAcceptable(format!("answers are {JSON} or {PROTOBUF}; the call accepts neither"))
}

impl Api {
    /// Answers a call.
    #[expect(deprecated, reason = "older clients set and remove quotas so")]
    pub(super) async fn operator(
        self: &Arc<Self>,
        request: &Request,
    ) -> Result<Response<Body>, Failure> {
        let (call, wanted) = read(request)?;
        match call.r#type() {
            Type::Unknown => unreachable!("it was refused when it was read"),
            Type::GetHealth => Ok(spell(&master::health(), wanted)),
            Type::GetVersion => Ok(spell(&master::version(), wanted)),
            Type::GetFlags => Ok(spell(&master::flags(&self.info), wanted)),
            Type::GetLoggingLevel => Ok(spell(&self.logging_level(), wanted)),
            Type::SetLoggingLevel => self.set_logging_level(&call),
            Type::ListFiles | Type::ReadFile => {
                Ok(spell(&files::called(&self.logging, call).await?, wanted))
            }
            Type::GetMaster => {
                Ok(self.tell(wanted, |view, api| master::this(view, &api.info)).await)
            }
            Type::GetMetrics => {
                Ok(self.tell(wanted, |view, api| master::metrics(api.figures(view))).await)
            }
            Type::GetRoles => Ok(self.tell(wanted, |view, _| role::roles(view)).await),
            Type::GetQuota => Ok(self.tell(wanted, |view, _| master::quotas(view)).await),
            Type::GetWeights => Ok(self.tell(wanted, |view, _| master::weights(view)).await),
            Type::GetState => Ok(self.list(Listing::State, wanted)),
            Type::GetAgents => Ok(self.list(Listing::Agents, wanted)),
            Type::GetFrameworks => Ok(self.list(Listing::Frameworks, wanted)),
            Type::GetExecutors => Ok(self.list(Listing::Executors, wanted)),
            Type::GetOperations => Ok(self.list(Listing::Operations, wanted)),
            Type::GetTasks => Ok(self.list(Listing::Tasks, wanted)),
            Type::UpdateWeights | Type::UpdateQuota | Type::SetQuota | Type::RemoveQuota => {
                self.carry_out(orders::called(call), request).await
            }
            Type::Teardown => {
                let asked = call.teardown.ok_or_else(|| orders::lacking("teardown"))?;
                self.tear_down(&asked.framework_id.value, request).await
            }
            Type::Subscribe => {
                let stream = negotiate::stream(&request.headers).ok_or_else(not_acceptable)?;
                Ok(follow::subscribe(&self.handle, stream, self.followers.clone()).await)
            }
            Type::ReserveResources
            | Type::UnreserveResources
            | Type::CreateVolumes
            | Type::DestroyVolumes
            | Type::GrowVolume
            | Type::ShrinkVolume
            | Type::UpdateMaintenanceSchedule
            | Type::StartMaintenance
            | Type::StopMaintenance
            | Type::DrainAgent
            | Type::DeactivateAgent
            | Type::ReactivateAgent
            | Type::MarkAgentGone => self.carry_out(upkeep::called(call), request).await,
            Type::GetMaintenanceStatus => {
                Ok(self.tell(wanted, |view, _| master::maintenance_status(view)).await)
            }
            Type::GetMaintenanceSchedule => {
                Ok(self.tell(wanted, |view, _| master::maintenance_schedule(view)).await)
            }
        }
    }

    /// A short answer, which may still take a walk over the cluster: not on a thread that others wait for.
    async fn tell(
        self: &Arc<Self>,
        wanted: Encoding,
        answer: impl FnOnce(&View, &Self) -> Answer + Send + 'static,
    ) -> Response<Body> {
        let api = self.clone();
        let made = tokio::task::spawn_blocking(move || answer(&api.handle.read().kernel, &api));
        spell(&made.await.expect("a panic while answering was reported where it happened"), wanted)
    }

    /// A long answer, sent while it is written.
    fn list(&self, listing: Listing, wanted: Encoding) -> Response<Body> {
        let view = self.handle.read();
        let body =
            pieces::body(move |out| listing::write(listing, &view.kernel, wanted, out).map(drop));
        answer::with_body(StatusCode::OK, HeaderValue::from_static(wanted.media_type()), body)
    }

    /// As if it had asked for it itself: its tasks end, and it is not let in again.
    pub(super) async fn tear_down(
        &self,
        framework: &str,
        request: &Request,
    ) -> Result<Response<Body>, Failure> {
        let id = FrameworkId::new(framework);
        if !self.handle.read().kernel.frameworks.contains_key(&id) {
            return Err(Failure::BadRequest(format!("no framework {framework} is registered")));
        }
        match self.handle.ask(id, scheduler::Call::Teardown).await {
            Ok(()) => {
                let principal = request.principal.as_deref();
                tracing::info!(principal, framework, "an operator has torn a framework down");
                Ok(answer::empty(StatusCode::OK))
            }
            Err(FrameworkError::Call(error)) => Err(error.into()),
            Err(FrameworkError::Refused(cluster::Refusal::Kernel(refusal))) => {
                Err(engine::CallError::Unfit(refusal).into())
            }
            Err(FrameworkError::Refused(refusal)) => Err(Failure::Conflict(refusal.to_string())),
        }
    }
}

fn spell(message: &impl Message, encoding: Encoding) -> Response<Body> {
    let mut response = Response::new(Body::from(encoding.encode(message)));
    let kind = HeaderValue::from_static(encoding.media_type());
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
