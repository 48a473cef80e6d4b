//! A request as handlers see it: method, path in parts, query, and the body within its limit.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mesos_v1::authorization::Principal;
use model::time::Time;
use percent_encoding::percent_decode_str;

use crate::failure::Failure;
use crate::query::Query;

/// A group of 1,000 apps has 2 MiB.
pub(crate) const BODY_BYTES_MAX: usize = 8 << 20;

/// How much more than that is read before the client is told so.
const BODY_BYTES_FORGOTTEN_MAX: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The segments of the path, decoded, without empty ones.
    pub(crate) path: Vec<String>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) remote: Option<SocketAddr>,
    /// Who it has proved to be from.
    pub(crate) principal: Option<String>,
    pub(crate) body: Bytes,
}

impl Request {
    /// How long the deployment that this asks for may take before it is rolled back.
    pub(crate) fn deployment_timeout(&self) -> Result<Option<Duration>, Failure> {
        self.query.seconds("deploymentTimeoutSeconds")
    }

    pub(crate) async fn read(request: axum::extract::Request) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let segments = parts.uri.path().split('/').filter(|segment| !segment.is_empty());
        let decode = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        // A HEAD is a GET whose body the server leaves out.
        let method = if parts.method == Method::HEAD { Method::GET } else { parts.method };
        Ok(Self {
            method,
            path: segments.flat_map(|one| split(&decode(one))).collect(),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            headers: parts.headers,
            remote: parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0),
            principal: parts.extensions.get().map(|Principal(proved)| proved.clone()),
            body: read_body(body).await?,
        })
    }
}

/// A slash may come as `%2F`.
fn split(segment: &str) -> Vec<String> {
    segment.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

async fn read_body(mut body: Body) -> Result<Bytes, Failure> {
    match Limited::new(&mut body, BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            hear_out(body).await;
            Err(Failure::TooLarge)
        }
        Err(error) => Err(Failure::BadRequest(format!("the body could not be read: {error}"))),
    }
}

/// A client that is still sending when its connection closes loses the answer. So what is moderately too large is read
/// to its end, and forgotten.
async fn hear_out(mut body: Body) {
    let mut heard = 0;
    while let Some(Ok(frame)) = body.frame().await {
        heard += frame.data_ref().map_or(0, Bytes::len);
        if heard > BODY_BYTES_FORGOTTEN_MAX {
            break;
        }
    }
}

pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
