//! Answers: JSON, compact unless `?pretty` asks otherwise.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use serde::Serialize;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Compact,
    Pretty,
}

pub(crate) fn encode(value: &impl Serialize, layout: Layout) -> Vec<u8> {
    let encoded = match layout {
        Layout::Compact => serde_json::to_vec(value),
        Layout::Pretty => serde_json::to_vec_pretty(value),
    };
    encoded.expect("wire types have string keys and no fallible parts")
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize, layout: Layout) -> Response<Body> {
    with_body(status, JSON, Body::from(encode(value, layout)))
}

pub(crate) fn text(text: impl Into<Body>) -> Response<Body> {
    with_body(StatusCode::OK, HeaderValue::from_static("text/plain; charset=utf-8"), text.into())
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(crate) fn with_body(status: StatusCode, kind: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
