//! `POST /api/v1`: what operators, frameworks and command lines ask of an agent, as Mesos v1 has it.
//!
//! [`attach`] carries input and output of processes, [`guests`] starts and ends containers.

mod attach;
mod guests;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mesos_v1::agent::call::Type;
use mesos_v1::agent::{Call, Response as Answer};
use mesos_v1::negotiate::{self, Content};

use super::Api;
use super::answer::refuse;
use crate::guests::Refusal;

/// Of a call that is one message.
const CALL_BYTES_MAX: usize = 4 << 20;

pub(super) async fn answer(api: &Api, request: Request) -> Response {
    if request.method() != Method::POST {
        let refused = refuse(StatusCode::METHOD_NOT_ALLOWED, "Expecting one of { 'POST' }.\n");
        return ([(header::ALLOW, "POST")], refused).into_response();
    }
    let (parts, body) = request.into_parts();
    let content = match negotiate::content_or_records(&parts.headers) {
        Some(Ok(content)) => content,
        Some(Err(told)) => {
            let known = "application/json, application/x-protobuf or application/recordio";
            let cause = format!("Expecting 'Content-Type' of {known}, not {told}.\n");
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, &cause);
        }
        None => return bad("Expecting 'Content-Type' to be present.\n"),
    };
    let encoding = match content {
        Content::Records(encoding) => return attach::input(api, encoding, body).await,
        Content::Message(encoding) => encoding,
    };
    let Ok(body) = to_bytes(body, CALL_BYTES_MAX).await else {
        let cause = format!("A call has at most {CALL_BYTES_MAX} bytes.\n");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &cause);
    };
    match encoding.decode::<Call>(&body) {
        Ok(call) => {
            let done = obey(api, call, &Asker(parts.headers)).await;
            done.unwrap_or_else(|refusal| refused(&refusal))
        }
        Err(cause) => bad(&format!("Failed to validate agent::Call: {cause}.\n")),
    }
}

#[expect(deprecated, reason = "clients of the first versions of Mesos v1 still say it so")]
async fn obey(api: &Api, call: Call, asker: &Asker) -> Result<Response, Refusal> {
    match call.r#type() {
        Type::LaunchNestedContainerSession => {
            let field = "launch_nested_container_session";
            attach::session(api, need(call.launch_nested_container_session, field)?, asker).await
        }
        Type::AttachContainerOutput => {
            let wanted = need(call.attach_container_output, "attach_container_output")?;
            attach::output(api, &wanted.container_id, asker).await
        }
        Type::AttachContainerInput => {
            let cause =
                "Expecting 'Content-Type' of application/recordio for ATTACH_CONTAINER_INPUT.\n";
            Ok(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, cause))
        }
        Type::WaitNestedContainer => {
            let wanted = need(call.wait_nested_container, "wait_nested_container")?;
            guests::wait_nested(api, &wanted.container_id, asker).await
        }
        Type::WaitContainer => {
            let wanted = need(call.wait_container, "wait_container")?;
            guests::wait(api, &wanted.container_id, asker).await
        }
        Type::KillNestedContainer => {
            let wanted = need(call.kill_nested_container, "kill_nested_container")?;
            guests::kill(api, &wanted.container_id, wanted.signal).await
        }
        Type::KillContainer => {
            let wanted = need(call.kill_container, "kill_container")?;
            guests::kill(api, &wanted.container_id, wanted.signal).await
        }
        Type::Unknown => Err(Refusal::Bad(absent("type"))),
        Type::GetHealth
        | Type::GetFlags
        | Type::GetVersion
        | Type::GetMetrics
        | Type::GetLoggingLevel
        | Type::SetLoggingLevel
        | Type::ListFiles
        | Type::ReadFile
        | Type::GetState
        | Type::GetContainers
        | Type::GetFrameworks
        | Type::GetExecutors
        | Type::GetOperations
        | Type::GetTasks
        | Type::GetAgent
        | Type::GetResourceProviders
        | Type::LaunchNestedContainer
        | Type::RemoveNestedContainer
        | Type::LaunchContainer
        | Type::RemoveContainer
        | Type::AddResourceProviderConfig
        | Type::UpdateResourceProviderConfig
        | Type::RemoveResourceProviderConfig
        | Type::MarkResourceProviderGone
        | Type::PruneImages => Err(Refusal::Unsupported(call.r#type().as_str_name())),
    }
}

/// A call says in its own field what it is about.
fn need<T>(field: Option<T>, name: &str) -> Result<T, Refusal> {
    field.ok_or_else(|| Refusal::Bad(absent(name)))
}

/// Who is to be answered.
pub(super) struct Asker(HeaderMap);

impl Asker {
    fn tell(&self, answer: &Answer) -> Response {
        let Some(encoding) = negotiate::answer(&self.0) else { return not_acceptable() };
        let headers = [(header::CONTENT_TYPE, encoding.media_type())];
        (headers, encoding.encode(answer)).into_response()
    }

    fn stream(&self) -> Option<negotiate::Stream> {
        negotiate::stream(&self.0)
    }
}

fn not_acceptable() -> Response {
    let known = "application/json or application/x-protobuf, or application/recordio of them";
    refuse(StatusCode::NOT_ACCEPTABLE, &format!("Expecting 'Accept' to allow {known}.\n"))
}

fn bad(cause: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, cause)
}

fn absent(field: &str) -> String {
    format!("Failed to validate agent::Call: Expecting '{field}' to be present")
}

fn done() -> Response {
    StatusCode::OK.into_response()
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Unknown(_) => StatusCode::NOT_FOUND,
        Refusal::Bad(_) => StatusCode::BAD_REQUEST,
        Refusal::Conflict(_) => StatusCode::CONFLICT,
        // As Mesos says that it has been launched before.
        Refusal::Exists(_) => StatusCode::ACCEPTED,
        Refusal::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        Refusal::Mishap(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, &format!("{refusal}.\n"))
}
