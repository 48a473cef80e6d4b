//! Pods come later: clients learn that there are none, and that none can be made.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::{Answer, respond};
use crate::failure::Failure;
use crate::request::Request;

pub(super) fn answer(request: &Request) -> Answer {
    let path: Vec<&str> = request.path.iter().skip(1).map(String::as_str).collect();
    match (&request.method, path.as_slice()) {
        (&Method::GET, ["pods" | "pods::status"]) => {
            Ok(respond(request, StatusCode::OK, &json!([])))
        }
        (&Method::GET, ["pods", id @ ..]) => {
            Err(Failure::Unknown(format!("Pod '/{}' does not exist", id.join("/"))))
        }
        (method, _) => Err(Failure::NotYet(format!("{method} /v2/pods"))),
    }
}
