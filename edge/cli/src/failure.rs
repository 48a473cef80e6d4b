//! What can go wrong between the user and the cluster, what to do about it, and the exit code that says which it was.

use std::io;

use serde::Deserialize;
use serde_json::Value;

/// The cluster refused, or something on this side failed.
pub const EXIT_FAILED: u8 = 1;
/// The command line makes no sense (clap uses the same code).
pub const EXIT_USAGE: u8 = 2;
/// No cluster is set up, or it cannot be reached.
pub const EXIT_UNREACHABLE: u8 = 3;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error(
        "no cluster is set up. Connect to one with\n    dcos cluster setup http://127.0.0.1\n\
         or name it for one command with DCOS_URL=http://127.0.0.1"
    )]
    NotSetUp,
    #[error(
        "cannot reach the cluster at {url}: {cause}\nIs it running? `dcos up` starts one on this machine; \
         `dcos cluster list` shows the clusters that are set up."
    )]
    Unreachable { url: String, cause: String },
    #[error("{}", refusal(*status, what, body))]
    Refused { status: u16, what: String, body: Box<Refusal> },
    #[error("{url} did not answer as a cluster does: {cause}")]
    Garbled { url: String, cause: String },
    /// Of a stream that was open.
    #[error("the connection to the agent was lost: {0}")]
    Lost(String),
    #[error("{0}")]
    Other(String),
}

/// How the APIs say no. Everything is optional, because proxies say no as well.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Refusal {
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default)]
    pub details: Value,
    #[serde(default)]
    pub deployments: Vec<Named>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Named {
    pub id: String,
}

impl Refusal {
    /// Of any body: JSON with a message, or whatever text came.
    pub fn read(body: &str) -> Self {
        serde_json::from_str(body).unwrap_or_else(|_| {
            let text = body.trim();
            Self { message: (!text.is_empty()).then(|| text.to_owned()), ..Self::default() }
        })
    }
}

fn refusal(status: u16, what: &str, body: &Refusal) -> String {
    let mut text = match &body.message {
        Some(message) => message.clone(),
        None => format!("{what} was refused with status {status}"),
    };
    for fault in faults(&body.details) {
        text.push_str("\n    ");
        text.push_str(&fault);
    }
    if !body.deployments.is_empty() {
        let ids: Vec<&str> = body.deployments.iter().map(|named| named.id.as_str()).collect();
        text.push_str(&format!(
            "\nDeployment {} is in the way: wait for it with `dcos marathon deployment watch {}`, \
             or override it with --force.",
            ids.join(", "),
            ids[0]
        ));
    }
    text
}

/// One line for each: `/cpus: must be at least 0.001`.
fn faults(details: &Value) -> Vec<String> {
    match details {
        Value::Array(faults) => faults.iter().flat_map(fault).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn fault(fault: &Value) -> Vec<String> {
    let path = fault["path"].as_str().unwrap_or_default();
    let errors = fault["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().filter_map(Value::as_str).map(|error| format!("{path}: {error}")).collect()
}

/// The exit code of a command that ended with this error; `None` if its reader went away, which is no error.
pub fn exit_code(error: &anyhow::Error) -> Option<u8> {
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return None;
    }
    Some(match error.downcast_ref::<Failure>() {
        Some(Failure::Usage(_)) => EXIT_USAGE,
        Some(Failure::NotSetUp | Failure::Unreachable { .. } | Failure::Lost(_)) => {
            EXIT_UNREACHABLE
        }
        Some(Failure::Refused { .. } | Failure::Garbled { .. } | Failure::Other(_)) | None => {
            EXIT_FAILED
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, expected: &str) {
        let body = Box::new(Refusal::read(body));
        let failure = Failure::Refused { status, what: "GET /x".into(), body };
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn a_refusal_names_every_fault() {
        check(
            422,
            r#"{"message":"Object is not valid","details":[{"path":"/cpus","errors":["too small","odd"]},
                {"path":"/id","errors":["bad"]}]}"#,
            "Object is not valid\n    /cpus: too small\n    /cpus: odd\n    /id: bad",
        );
        check(400, r#"{"message":"Invalid JSON","details":"at 3"}"#, "Invalid JSON\n    at 3");
        check(502, "Bad Gateway\n", "Bad Gateway");
        check(500, "", "GET /x was refused with status 500");
    }

    #[test]
    fn a_lock_says_what_holds_it_and_how_to_go_on() {
        check(
            409,
            r#"{"message":"App is locked","deployments":[{"id":"d-1"}]}"#,
            "App is locked\nDeployment d-1 is in the way: wait for it with `dcos marathon deployment watch d-1`, \
             or override it with --force.",
        );
    }
}
