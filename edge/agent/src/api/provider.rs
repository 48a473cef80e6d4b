//! `/api/v1/resource_provider`: programs that bring resources to the agent subscribe, and say what they have and what became
//! of it.

use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use mesos_v1::codec::Encoding;
use mesos_v1::recordio::record;
use model::id::{ProviderId, Uuid};
use node::{Admitted, FromProvider, Input, ToProvider};
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;
use wire::agent_api::provider::{Heard, event, heard};

use super::Api;
use super::answer::refuse;
use super::executor::kinds;
use crate::provider_streams::Begun;

/// Of a call: all that a provider has is one.
const CALL_BYTES_MAX: usize = 16 << 20;
const STREAM_ID: &str = "Mesos-Stream-Id";

pub(super) async fn answer(api: &Api, request: Request) -> Response {
    if request.method() != Method::POST {
        let refused = refuse(StatusCode::METHOD_NOT_ALLOWED, "Expecting one of { 'POST' }.\n");
        return ([(header::ALLOW, "POST")], refused).into_response();
    }
    let (parts, body) = request.into_parts();
    let kinds = match kinds(&parts.headers) {
        Ok(kinds) => kinds,
        Err(refused) => return *refused,
    };
    let Ok(body) = to_bytes(body, CALL_BYTES_MAX).await else {
        let cause = format!("A call has at most {CALL_BYTES_MAX} bytes.\n");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &cause);
    };
    let stream = parts.headers.get(STREAM_ID).and_then(|value| value.to_str().ok());
    match heard(kinds.call, &body) {
        Ok(Heard { said: FromProvider::Subscribe { id, info }, .. }) => {
            let said = FromProvider::Subscribe { id, info };
            subscribe(api, said, &parts.headers, kinds.answer).await
        }
        Ok(Heard { provider: Some(provider), said }) => say(api, &provider, stream, said).await,
        Ok(Heard { provider: None, .. }) => bad("Resource provider is not subscribed"),
        Err(cause) => bad(&cause.to_string()),
    }
}

fn bad(cause: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, cause)
}

async fn subscribe(
    api: &Api,
    said: FromProvider,
    headers: &HeaderMap,
    encoding: Encoding,
) -> Response {
    if headers.contains_key(STREAM_ID) {
        return bad("Subscribe calls should not include the 'Mesos-Stream-Id' header");
    }
    if let Some(cause) = stranger(api, &said) {
        return bad(&cause);
    }
    let name = Uuid::derive(api.0.seeds.next(), 0).to_string();
    let Begun { number, waiting, guard } = api.0.providers.begin(name.clone());
    let listener = Listener { waiting, encoding, _guard: guard };
    if let Err(gone) = hand_in(api, number, said).await {
        api.0.providers.end(number);
        return gone;
    }
    let headers = [(header::CONTENT_TYPE.as_str(), encoding.media_type()), (STREAM_ID, &name)];
    (headers, Body::from_stream(records(listener))).into_response()
}

/// Why it is not who it says it is. Whom an operator has marked gone is told so on its stream.
fn stranger(api: &Api, said: &FromProvider) -> Option<String> {
    let FromProvider::Subscribe { id: Some(id), info } = said else { return None };
    let Some(known) = api.0.board.view().admitted.get(id).cloned() else {
        return Some(format!(
            "Resource provider {id} is not known here: subscribe without an id to be given one"
        ));
    };
    let Admitted { kind, name, .. } = known.as_ref();
    let differs = *kind != info.kind || *name != info.name;
    differs.then(|| {
        format!("Resource provider {id} is of type {kind} and called {name}, which may not change")
    })
}

/// On its stream.
async fn say(
    api: &Api,
    provider: &ProviderId,
    stream: Option<&str>,
    said: FromProvider,
) -> Response {
    let view = api.0.board.view();
    let Some(known) = view.providers.iter().find(|one| one.id == *provider) else {
        return bad("Resource provider is not subscribed");
    };
    let Some(stream) = stream else {
        return bad("All non-subscribe calls should include the 'Mesos-Stream-Id' header");
    };
    if !api.0.providers.is_named(known.stream, stream) {
        return bad(&format!(
            "The stream ID '{stream}' is not that of the stream of resource provider {provider}"
        ));
    }
    match hand_in(api, known.stream, said).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(gone) => gone,
    }
}

/// To the brain, in order. What comes of it is on the stream.
async fn hand_in(api: &Api, stream: u64, said: FromProvider) -> Result<(), Response> {
    let seed = api.0.seeds.next();
    let handed = api.0.calls.send(Input::Provider { stream, said, seed }).await;
    handed.map_err(|_| refuse(StatusCode::SERVICE_UNAVAILABLE, "The agent is ending"))
}

struct Listener {
    waiting: mpsc::Receiver<ToProvider>,
    encoding: Encoding,
    /// Nobody listens once the answer is dropped.
    _guard: DropGuard,
}

fn records(listener: Listener) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold(listener, |mut listener| async move {
        let event = event(&listener.waiting.recv().await?)?;
        Some((Ok(record(&listener.encoding.encode(&event))), listener))
    })
}
