//! `POST /api/v1`: what operators, frameworks and command lines ask of an agent, as Mesos v1 has it.
//!
//! [`attach`] carries input and output of processes, [`guests`] starts and ends containers, [`judge`] says what is wrong with calls about them, [`providers`] is about resource providers, [`told`] answers questions.

mod attach;
mod guests;
mod judge;
mod providers;
mod prune;
mod told;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mesos_v1::agent::call::{LaunchContainer, LaunchNestedContainer, Type};
use mesos_v1::agent::{Call, Response as Answer};
use mesos_v1::negotiate::{self, Content};

use wire::agent_api::told as agent;

use super::access::Caller;
use super::answer::refuse;
use super::{Api, logging, shown};
use crate::guests::Refusal;

/// Of a call that is one message.
const CALL_BYTES_MAX: usize = 4 << 20;

pub(super) async fn answer(api: &Api, caller: &Caller, request: Request) -> Response {
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
        Content::Records(encoding) => return attach::input(api, caller, encoding, body).await,
        Content::Message(encoding) => encoding,
    };
    let Ok(body) = to_bytes(body, CALL_BYTES_MAX).await else {
        let cause = format!("A call has at most {CALL_BYTES_MAX} bytes.\n");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &cause);
    };
    match encoding.decode::<Call>(&body) {
        Ok(call) => {
            let done = match caller.may_call(&call) {
                Ok(()) => match judge::call(&call) {
                    Ok(()) => obey(api, call, &Asker(parts.headers)).await,
                    Err(refusal) => Err(refusal),
                },
                Err(refusal) => Err(refusal),
            };
            done.unwrap_or_else(|refusal| refused(&refusal))
        }
        Err(cause) => bad(&format!("Failed to validate agent::Call: {cause}.\n")),
    }
}

#[expect(deprecated, reason = "clients of the first versions of Mesos v1 still say it so")]
async fn obey(api: &Api, call: Call, asker: &Asker) -> Result<Response, Refusal> {
    let kind = call.r#type();
    let answer = match kind {
        Type::LaunchNestedContainerSession => {
            let wanted = need(call.launch_nested_container_session, kind)?;
            return attach::session(api, wanted, asker).await;
        }
        Type::AttachContainerOutput => {
            let wanted = need(call.attach_container_output, kind)?;
            return attach::output(api, &wanted.container_id, asker).await;
        }
        Type::AttachContainerInput => {
            let cause = "Expecting 'Content-Type' of application/recordio for this call.\n";
            return Ok(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, cause));
        }
        Type::LaunchNestedContainer
        | Type::LaunchContainer
        | Type::RemoveNestedContainer
        | Type::RemoveContainer => return change(api, call).await,
        Type::WaitNestedContainer
        | Type::WaitContainer
        | Type::KillNestedContainer
        | Type::KillContainer => return end(api, call, asker).await,
        Type::ListFiles => return told::list(api, need(call.list_files, kind)?, asker).await,
        Type::ReadFile => return told::read(api, need(call.read_file, kind)?, asker).await,
        Type::PruneImages => {
            return prune::prune(api, call.prune_images.unwrap_or_default()).await;
        }
        Type::GetHealth => agent::health(),
        Type::GetVersion => agent::version(),
        Type::GetFlags => agent::flags(shown::flags(api)),
        Type::GetMetrics => agent::metrics(shown::figures(api)),
        Type::GetAgent => agent::agent(&api.0.board.view()),
        Type::GetOperations => agent::operations(&api.0.board.view()),
        Type::GetResourceProviders => agent::resource_providers(&api.0.board.view()),
        Type::GetState => told::seen(api, agent::state),
        Type::GetTasks => told::seen(api, agent::tasks),
        Type::GetExecutors => told::seen(api, agent::executors),
        Type::GetFrameworks => told::seen(api, agent::frameworks),
        Type::GetContainers => told::containers(api, &call.get_containers.unwrap_or_default()),
        Type::Unknown => return Err(Refusal::Bad(absent("type"))),
        Type::GetLoggingLevel => agent::logging_level(api.0.levels.level()),
        Type::SetLoggingLevel => {
            return logging::set(api, &need(call.set_logging_level, kind)?);
        }
        Type::AddResourceProviderConfig
        | Type::UpdateResourceProviderConfig
        | Type::RemoveResourceProviderConfig => return Err(providers::refusal(call)),
        Type::MarkResourceProviderGone => {
            let wanted = need(call.mark_resource_provider_gone, kind)?;
            return providers::mark_gone(api, &wanted).await;
        }
    };
    Ok(asker.tell(&answer))
}

/// Starts or removes a container.
#[expect(deprecated, reason = "clients of the first versions of Mesos v1 still say it so")]
async fn change(api: &Api, call: Call) -> Result<Response, Refusal> {
    let kind = call.r#type();
    if kind == Type::RemoveContainer {
        return guests::remove(api, &need(call.remove_container, kind)?.container_id).await;
    }
    if kind == Type::RemoveNestedContainer {
        return guests::remove(api, &need(call.remove_nested_container, kind)?.container_id).await;
    }
    if kind == Type::LaunchContainer {
        return guests::launch(api, &need(call.launch_container, kind)?).await;
    }
    let LaunchNestedContainer { container_id, command, container } =
        need(call.launch_nested_container, kind)?;
    let wanted = LaunchContainer { container_id, command, container, ..LaunchContainer::default() };
    guests::launch(api, &wanted).await
}

/// Waits for the end of a container, or brings it about.
#[expect(deprecated, reason = "clients of the first versions of Mesos v1 still say it so")]
async fn end(api: &Api, call: Call, asker: &Asker) -> Result<Response, Refusal> {
    let kind = call.r#type();
    if kind == Type::WaitContainer {
        return guests::wait(api, &need(call.wait_container, kind)?.container_id, asker).await;
    }
    if kind == Type::WaitNestedContainer {
        let wanted = need(call.wait_nested_container, kind)?;
        return guests::wait_nested(api, &wanted.container_id, asker).await;
    }
    if kind == Type::KillContainer {
        let wanted = need(call.kill_container, kind)?;
        return guests::kill(api, &wanted.container_id, wanted.signal).await;
    }
    let wanted = need(call.kill_nested_container, kind)?;
    guests::kill(api, &wanted.container_id, wanted.signal).await
}

/// A call says in a field of its own name what it is about.
fn need<T>(field: Option<T>, kind: Type) -> Result<T, Refusal> {
    field.ok_or_else(|| Refusal::Bad(absent(&kind.as_str_name().to_ascii_lowercase())))
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
        Refusal::Unknown(_) | Refusal::Missing(_) => StatusCode::NOT_FOUND,
        Refusal::Bad(_) => StatusCode::BAD_REQUEST,
        Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
        Refusal::Conflict(_) => StatusCode::CONFLICT,
        // As Mesos says that it has been launched before.
        Refusal::Exists(_) => StatusCode::ACCEPTED,
        Refusal::Mishap(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, &format!("{refusal}.\n"))
}
