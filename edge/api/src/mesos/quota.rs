//! Quotas and weights in the v0 API: what operators order by `/quota` and `/weights`, and what they are told.

use axum::body::Bytes;
use axum::http::Method;
use kernel::operator::Order;
use kernel::view::View;
use mesos_v1::codec::{Encoding, Unreadable};
use mesos_v1::json::Message;
use mesos_v1::{WeightInfo, json};
use model::id::Role;
use wire::mesos::quota;

use super::orders::sound;
use crate::failure::Failure;
use crate::request::Request;

/// What the request orders, if it is one that orders something; `path` is that below `/master`.
pub(super) fn order(request: &Request, path: &[&str]) -> Option<Result<Order, Failure>> {
    Some(match (&request.method, path) {
        (&Method::POST, ["quota"]) => read(&request.body).and_then(|body| sound(quota::set(body))),
        (&Method::DELETE, ["quota", role @ ..]) if !role.is_empty() => {
            Ok(Order::RemoveQuota { role: Role::new(role.join("/")) })
        }
        (&Method::PUT, ["weights"]) => {
            weights(&request.body).and_then(|infos| sound(quota::weights(infos)))
        }
        _ => return None,
    })
}

/// What `GET /quota` tells.
pub(super) fn status(view: &View) -> Vec<u8> {
    Encoding::Json.encode(&quota::status(view))
}

fn read<M: Message>(body: &Bytes) -> Result<M, Failure> {
    Encoding::Json.decode(body).map_err(unreadable)
}

fn weights(body: &Bytes) -> Result<Vec<WeightInfo>, Failure> {
    let all: Vec<json::Value> = serde_json::from_slice(body)
        .map_err(|error| Failure::BadRequest(format!("weights are a list: {error}")))?;
    let read = |one| json::from_value(one).map_err(|fault| unreadable(Unreadable::Faulty(fault)));
    all.into_iter().map(read).collect()
}

fn unreadable(cause: Unreadable) -> Failure {
    Failure::BadRequest(cause.to_string())
}
