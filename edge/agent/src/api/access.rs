//! Who may ask what of an agent: those who know a secret, and executors that show their token.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use mesos_v1::agent::Call;
use mesos_v1::agent::call::Type;
use mesos_v1::authorization::{Credentials, bearer};

use super::Api;
use super::answer::refuse;
use crate::door::Claims;
use crate::guests::{Lineage, Refusal};

/// Who watches over the agent knows no secrets.
const OPEN_PATHS: [&str; 2] = ["/health", "/version"];
const EXECUTORS: &str = r#"Bearer realm="mesos-agent-executor""#;
const READERS: &str = r#"Basic realm="mesos-agent-readonly""#;
const WRITERS: &str = r#"Basic realm="mesos-agent-readwrite""#;

/// Who has to prove who they are.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub credentials: Credentials,
    /// Whoever looks at something.
    pub readonly: bool,
    /// Whoever changes something, or says what it wants in the body of a call.
    pub readwrite: bool,
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// May do all.
    Operator,
    Executor(Claims),
}

/// Of whoever asks for anything but the executors' own API.
pub(super) fn judge(api: &Api, path: &str, request: &Request) -> Result<Caller, Box<Response>> {
    let headers = request.headers();
    if path == "/api/v1"
        && let Some(key) = &api.0.door.key
        && let Some(token) = bearer(headers)
    {
        let claims = key.claims(token).ok_or_else(|| Box::new(unauthorized(EXECUTORS)))?;
        return Ok(Caller::Executor(claims));
    }
    let access = &api.0.access;
    let reads = path != "/api/v1"
        && path != "/logging/toggle"
        && matches!(*request.method(), Method::GET | Method::HEAD);
    let (is_wanted, realm) =
        if reads { (access.readonly, READERS) } else { (access.readwrite, WRITERS) };
    if is_wanted && !OPEN_PATHS.contains(&path) && access.credentials.principal(headers).is_none() {
        return Err(Box::new(unauthorized(realm)));
    }
    Ok(Caller::Operator)
}

/// What an executor's token says; nothing if none is wanted.
pub(super) fn executor(api: &Api, headers: &HeaderMap) -> Result<Option<Claims>, Box<Response>> {
    let Some(key) = &api.0.door.key else { return Ok(None) };
    let claims = bearer(headers).and_then(|token| key.claims(token));
    claims.map(Some).ok_or_else(|| Box::new(unauthorized(EXECUTORS)))
}

fn unauthorized(realm: &'static str) -> Response {
    let cause = match realm == EXECUTORS {
        true => {
            "Send MESOS_EXECUTOR_AUTHENTICATION_TOKEN of your environment as a bearer's token.\n"
        }
        false => {
            "Say who you are, as one of the principals of the credentials, by basic authentication.\n"
        }
    };
    let mut response = refuse(StatusCode::UNAUTHORIZED, cause);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(realm));
    response
}

impl Caller {
    /// Executors may have containers below their own, and nothing else.
    pub(super) fn may_call(&self, call: &Call) -> Result<(), Refusal> {
        let Caller::Executor(_) = self else { return Ok(()) };
        let refused = || {
            let name = call.r#type().as_str_name();
            Refusal::Forbidden(format!("An executor may not call {name}"))
        };
        let container = about(call).ok_or_else(refused)?;
        self.may_use(&Lineage::read(container).map_err(Refusal::Bad)?)
    }

    pub(super) fn may_use(&self, lineage: &Lineage) -> Result<(), Refusal> {
        let Caller::Executor(claims) = self else { return Ok(()) };
        match lineage.names() {
            [own, _, ..] if *own == claims.container => Ok(()),
            _ => Err(Refusal::Forbidden(format!(
                "Container {lineage} is not below the executor's own, {}",
                claims.container
            ))),
        }
    }
}

/// The container that a call is about that executors may make. Input says it for itself, in its stream.
#[expect(deprecated, reason = "executors of the first versions of Mesos v1 still say it so")]
fn about(call: &Call) -> Option<&mesos_v1::ContainerId> {
    match call.r#type() {
        Type::LaunchNestedContainer => Some(&call.launch_nested_container.as_ref()?.container_id),
        Type::LaunchNestedContainerSession => {
            Some(&call.launch_nested_container_session.as_ref()?.container_id)
        }
        Type::WaitNestedContainer => Some(&call.wait_nested_container.as_ref()?.container_id),
        Type::KillNestedContainer => Some(&call.kill_nested_container.as_ref()?.container_id),
        Type::RemoveNestedContainer => Some(&call.remove_nested_container.as_ref()?.container_id),
        Type::AttachContainerOutput => Some(&call.attach_container_output.as_ref()?.container_id),
        Type::LaunchContainer => Some(&call.launch_container.as_ref()?.container_id),
        Type::WaitContainer => Some(&call.wait_container.as_ref()?.container_id),
        Type::KillContainer => Some(&call.kill_container.as_ref()?.container_id),
        Type::RemoveContainer => Some(&call.remove_container.as_ref()?.container_id),
        Type::Unknown
        | Type::AttachContainerInput
        | Type::GetHealth
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
        | Type::AddResourceProviderConfig
        | Type::UpdateResourceProviderConfig
        | Type::RemoveResourceProviderConfig
        | Type::MarkResourceProviderGone
        | Type::PruneImages => None,
    }
}

#[cfg(test)]
mod tests {
    use mesos_v1::ContainerId;

    use super::*;

    #[test]
    fn an_executor_has_what_lies_in_its_container() {
        let claims = Claims {
            framework: "f".to_owned(),
            executor: "e".to_owned(),
            container: "own".to_owned(),
        };
        let check = |names: &[&str], allowed: bool| {
            let mut spelled = ContainerId { value: names[0].to_owned(), parent: None };
            for name in &names[1..] {
                let parent = Some(Box::new(spelled));
                spelled = ContainerId { value: (*name).to_owned(), parent };
            }
            let lineage = Lineage::read(&spelled).expect("names");
            let caller = Caller::Executor(claims.clone());
            assert_eq!(caller.may_use(&lineage).is_ok(), allowed, "{names:?}");
            assert!(Caller::Operator.may_use(&lineage).is_ok());
        };
        check(&["own", "a"], true);
        check(&["own", "a", "b"], true);
        check(&["own"], false);
        check(&["other", "own"], false);
        check(&["other", "a"], false);
    }
}
