//! Quotas and weights: what operators order, by `/quota`, `/weights` and the v1 calls, and what they are told.

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use kernel::operator::Order;
use kernel::view::View;
use mesos_v1::codec::{Encoding, Unreadable};
use mesos_v1::json::Message;
use mesos_v1::master::call::Type as Asked;
use mesos_v1::master::response::{GetQuota, GetWeights, Type as Told};
use mesos_v1::master::{Call, Response as Answer};
use mesos_v1::{WeightInfo, json};
use model::id::Role;
use wire::mesos::quota::{self, Faults};

use crate::answer;
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
        (&Method::POST, ["api", "v1"] | ["api", "v1", "operator"]) => {
            call(request).and_then(ordered)?
        }
        _ => return None,
    })
}

/// The call, if it can be read: who answers it otherwise has more to say of what is wrong.
fn call(request: &Request) -> Option<Call> {
    encoding(&request.headers, CONTENT_TYPE)?.decode(&request.body).ok()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of some forty calls four order something")]
fn ordered(call: Call) -> Option<Result<Order, Failure>> {
    let lacking = |name: &str| Failure::BadRequest(format!("the call lacks {name}"));
    Some(match call.r#type() {
        Asked::UpdateQuota => {
            call.update_quota.ok_or_else(|| lacking("update_quota")).and_then(|asked| {
                sound(quota::update(asked.quota_configs, asked.force.unwrap_or_default()))
            })
        }
        #[expect(deprecated, reason = "older clients ask so")]
        Asked::SetQuota => call
            .set_quota
            .ok_or_else(|| lacking("set_quota"))
            .and_then(|asked| sound(quota::set(asked.quota_request))),
        #[expect(deprecated, reason = "older clients ask so")]
        Asked::RemoveQuota => call
            .remove_quota
            .ok_or_else(|| lacking("remove_quota"))
            .map(|asked| Order::RemoveQuota { role: Role::new(asked.role) }),
        Asked::UpdateWeights => call
            .update_weights
            .ok_or_else(|| lacking("update_weights"))
            .and_then(|asked| sound(quota::weights(asked.weight_infos))),
        _ => return None,
    })
}

/// What the v1 calls that ask for quotas or weights are told.
#[expect(clippy::wildcard_enum_match_arm, reason = "of some forty calls two ask for them")]
pub(super) fn tell(request: &Request, view: &View) -> Option<Response<Body>> {
    let mut told = Answer::default();
    match call(request)?.r#type() {
        Asked::GetQuota => {
            told.r#type = Some(Told::GetQuota.into());
            told.get_quota = Some(GetQuota { status: quota::status(view) });
        }
        Asked::GetWeights => {
            told.r#type = Some(Told::GetWeights.into());
            told.get_weights = Some(GetWeights { weight_infos: quota::weight_infos(view) });
        }
        _ => return None,
    }
    let wanted = encoding(&request.headers, ACCEPT).unwrap_or(Encoding::Json);
    Some(spell(&told, wanted))
}

/// What `GET /quota` tells.
pub(super) fn status(view: &View) -> Response<Body> {
    spell(&quota::status(view), Encoding::Json)
}

fn spell(message: &impl Message, encoding: Encoding) -> Response<Body> {
    let kind = HeaderValue::from_static(encoding.media_type());
    answer::with_body(StatusCode::OK, kind, encoding.encode(message).into())
}

/// JSON, if nothing is said.
fn encoding(headers: &HeaderMap, header: HeaderName) -> Option<Encoding> {
    match headers.get(header) {
        None => Some(Encoding::Json),
        Some(named) => Encoding::of(named.to_str().ok()?),
    }
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

fn sound(order: Result<Order, Faults>) -> Result<Order, Failure> {
    order.map_err(|faults| Failure::BadRequest(faults.join("; ")))
}
