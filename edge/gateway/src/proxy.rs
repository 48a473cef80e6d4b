//! The reverse proxy: bodies stream, WebSockets upgrade, redirects come back below the door they left by.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, HOST, LOCATION, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::pages::failure;
use crate::services::Target;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Concern one connection, so they are not passed on.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
];

#[derive(Debug, Clone)]
pub(crate) struct Proxy(Client<HttpConnector, Body>);

impl Proxy {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Carries `request` to the target and its answer back.
    pub(crate) async fn pass(&self, mut request: Request, target: &Target) -> Response {
        let upgrade = request.headers().get(UPGRADE).cloned();
        let waiting = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        if let Err(cause) = prepare(&mut request, target, upgrade) {
            return failure(
                StatusCode::BAD_REQUEST,
                &format!("the path cannot be passed on: {cause}"),
            );
        }
        let mut response = match self.0.request(request).await {
            Ok(response) => response,
            Err(cause) => return unreachable_target(target, &cause),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if let Some(waiting) = waiting {
                // Lives as long as both ends of the upgraded connection.
                tokio::spawn(join(waiting, hyper::upgrade::on(&mut response)));
            }
            return response.into_response();
        }
        strip(response.headers_mut());
        redirect(response.headers_mut(), target);
        response.into_response()
    }
}

fn unreachable_target(target: &Target, cause: &hyper_util::client::legacy::Error) -> Response {
    let authority = &target.authority;
    let why = std::error::Error::source(cause).map(ToString::to_string).unwrap_or_default();
    let text = format!(
        "what is behind {} does not answer at {authority}: {cause}: {why}; see whether it is running and listens there",
        target.prefix
    );
    failure(StatusCode::BAD_GATEWAY, &text)
}

/// Makes the request one to the target.
fn prepare(
    request: &mut Request,
    target: &Target,
    upgrade: Option<HeaderValue>,
) -> Result<(), http::Error> {
    let path = match request.uri().query() {
        Some(query) => format!("{}?{query}", target.path),
        None => target.path.clone(),
    };
    let authority: Authority = target.authority.parse()?;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    *request.uri_mut() = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority.clone())
        .path_and_query(path.parse::<PathAndQuery>()?)
        .build()?;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    strip(headers);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
    }
    headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
    if let Some(peer) = peer {
        headers.insert("x-real-ip", HeaderValue::from_str(&peer.to_string())?);
        let before = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        let chain = before.map_or_else(|| peer.to_string(), |before| format!("{before}, {peer}"));
        headers.insert("x-forwarded-for", HeaderValue::from_str(&chain)?);
    }
    Ok(())
}

/// Also what `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(UPGRADE);
}

/// A service knows nothing of its prefix: its own absolute redirects are put below it.
fn redirect(headers: &mut HeaderMap, target: &Target) {
    let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
        return;
    };
    let own = format!("{}://{}", target.scheme, target.authority);
    let path = location.strip_prefix(&own).unwrap_or(location);
    let is_below = path
        .strip_prefix(&target.prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !path.starts_with('/') || path.starts_with("//") || is_below {
        return;
    }
    let moved = HeaderValue::from_str(&format!("{}{path}", target.prefix));
    headers.insert(LOCATION, moved.expect("made of header values and paths"));
}

async fn join(near: hyper::upgrade::OnUpgrade, far: hyper::upgrade::OnUpgrade) {
    let (near, far) = match tokio::try_join!(near, far) {
        Ok(both) => both,
        Err(cause) => return tracing::debug!(%cause, "an upgrade was not completed"),
    };
    let copied =
        tokio::io::copy_bidirectional(&mut TokioIo::new(near), &mut TokioIo::new(far)).await;
    if let Err(cause) = copied {
        tracing::debug!(%cause, "an upgraded connection broke");
    }
}
