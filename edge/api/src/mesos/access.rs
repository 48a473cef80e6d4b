//! Who may speak to the Mesos master: those who know a secret, by HTTP's basic authentication, as Mesos has it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Method, Response, StatusCode};
use axum::middleware::{self, Next};
use mesos_v1::authorization::Credentials;

use crate::answer;

/// Nobody has to say who asks for these: who watches over the master knows no secrets.
const OPEN_PATHS: [&str; 3] = ["/health", "/redirect", "/version"];

/// Of whom it is wanted that they prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    OfFrameworks,
    OfOperators,
    OfBoth,
}

/// Who can be known, and who has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub credentials: Credentials,
    pub wanted: Wanted,
}

/// Only those are let in who prove who they are.
pub fn guard(router: Router, access: Access) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::new(access), judge))
}

async fn judge(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    if let Some(principal) = access.credentials.principal(request.headers()) {
        request.extensions_mut().insert(principal);
    } else if let Some(realm) = access.realm(request.method(), request.uri().path()) {
        return unauthorized(realm);
    }
    next.run(request).await
}

fn unauthorized(realm: &'static str) -> Response<Body> {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    let why =
        "say who you are, as one of the principals of the credentials, by basic authentication";
    let mut response = answer::with_body(StatusCode::UNAUTHORIZED, text, why.into());
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(realm));
    response
}

impl Access {
    /// What is to be proved for this; nothing if everybody may have it.
    fn realm(&self, method: &Method, path: &str) -> Option<&'static str> {
        let path = path.trim_end_matches('/');
        let path = path.strip_prefix("/master").unwrap_or(path);
        let (of_frameworks, of_operators) = match self.wanted {
            Wanted::OfFrameworks => (true, false),
            Wanted::OfOperators => (false, true),
            Wanted::OfBoth => (true, true),
        };
        if path == "/api/v1/scheduler" {
            return of_frameworks.then_some(r#"Basic realm="mesos-master-scheduler""#);
        }
        if !of_operators || OPEN_PATHS.contains(&path) {
            return None;
        }
        Some(match *method == Method::GET {
            true => r#"Basic realm="mesos-master-readonly""#,
            false => r#"Basic realm="mesos-master-readwrite""#,
        })
    }
}
