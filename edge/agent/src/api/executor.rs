//! `/api/v1/executor`: executors that are programs of their frameworks subscribe, and say what becomes of their tasks.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use mesos_v1::codec::Encoding;
use mesos_v1::recordio::record;
use model::id::ContainerId;
use node::{FromExecutor, Input, Own, ToExecutor};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use wire::agent_api::executor::{Said, event, heartbeat, read};

use super::answer::refuse;
use super::{Api, access};
use crate::door::Claims;

/// Of a call. What an executor says goes on to the master in one letter.
const CALL_BYTES_MAX: usize = 1 << 20;
/// As Mesos beats.
const HEARTBEAT: Duration = Duration::from_secs(15 * 60);

pub(super) async fn answer(api: &Api, request: Request) -> Response {
    if request.method() != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "Expecting one of { 'POST' }.\n");
    }
    let (parts, body) = request.into_parts();
    let claims = match access::executor(api, &parts.headers) {
        Ok(claims) => claims,
        Err(refused) => return *refused,
    };
    let kinds = match kinds(&parts.headers) {
        Ok(kinds) => kinds,
        Err(refused) => return *refused,
    };
    let Ok(body) = to_bytes(body, CALL_BYTES_MAX).await else {
        let cause = format!("A call has at most {CALL_BYTES_MAX} bytes.\n");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &cause);
    };
    let heard = match read(kinds.call, &body) {
        Ok(heard) => heard,
        Err(cause) => return refuse(StatusCode::BAD_REQUEST, &cause.to_string()),
    };
    let view = api.0.board.view();
    let mut all = view.executors.iter();
    let known = all.find(|(_, executor)| {
        *executor.framework() == heard.framework && executor.info.id == heard.executor
    });
    let Some((container, executor)) = known else {
        return refuse(StatusCode::BAD_REQUEST, "Executor cannot be found");
    };
    let right = Claims::of(executor.framework(), &executor.info.id, container);
    if claims.is_some_and(|claims| claims != right) {
        return refuse(StatusCode::FORBIDDEN, "The token is that of another executor");
    }
    let own = view.own.as_deref().expect("an agent that has executors has started");
    match heard.said {
        Said::Subscribe { tasks, updates } => {
            let (stream, waiting) = api.0.streams.begin(container);
            let said = FromExecutor::Subscribed { stream, tasks, updates };
            match hand_in(api, container, said).await {
                Ok(()) => told(container.clone(), own.clone(), waiting, kinds.answer),
                Err(gone) => gone,
            }
        }
        Said::Say(_) | Said::Heartbeat if !executor.subscribed => {
            refuse(StatusCode::FORBIDDEN, "Executor is not subscribed")
        }
        Said::Say(said) => match hand_in(api, container, said).await {
            Ok(()) => StatusCode::ACCEPTED.into_response(),
            Err(gone) => gone,
        },
        Said::Heartbeat => StatusCode::ACCEPTED.into_response(),
    }
}

/// How a call is spelled, and how its answer is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kinds {
    pub(super) call: Encoding,
    pub(super) answer: Encoding,
}

pub(super) fn kinds(headers: &HeaderMap) -> Result<Kinds, Box<Response>> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let refused = |status, cause: &str| Err(Box::new(refuse(status, cause)));
    let Some(call) = text(header::CONTENT_TYPE) else {
        return refused(StatusCode::BAD_REQUEST, "Expecting 'Content-Type' to be present");
    };
    let Some(call) = Encoding::of(call) else {
        let cause = "Expecting 'Content-Type' of application/json or application/x-protobuf";
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, cause);
    };
    let accepted = text(header::ACCEPT).unwrap_or("*/*");
    let mut wanted = accepted.split(',').map(str::trim);
    let any = |kind: &str| kind.starts_with("*/*") || kind.starts_with("application/*");
    let answer = match wanted.clone().find_map(Encoding::of) {
        Some(encoding) => encoding,
        None if wanted.any(any) => call,
        None => {
            let cause = "Expecting 'Accept' to allow application/json or application/x-protobuf";
            return refused(StatusCode::NOT_ACCEPTABLE, cause);
        }
    };
    Ok(Kinds { call, answer })
}

/// To the brain, in order. What comes of it is on the stream.
async fn hand_in(api: &Api, container: &ContainerId, said: FromExecutor) -> Result<(), Response> {
    let (container, seed) = (container.clone(), api.0.seeds.next());
    let handed = api.0.calls.send(Input::Executor { container, said, seed }).await;
    handed.map_err(|_| refuse(StatusCode::SERVICE_UNAVAILABLE, "The agent is ending"))
}

/// Until the stream is given up, or the executor goes away.
fn told(
    container: ContainerId,
    own: Own,
    waiting: mpsc::Receiver<ToExecutor>,
    encoding: Encoding,
) -> Response {
    let mut beats = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let teller = Teller { container, own, waiting, encoding, beats };
    let body = Body::from_stream(records(teller));
    ([(header::CONTENT_TYPE, encoding.media_type())], body).into_response()
}

struct Teller {
    container: ContainerId,
    own: Own,
    waiting: mpsc::Receiver<ToExecutor>,
    encoding: Encoding,
    beats: Interval,
}

fn records(teller: Teller) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::unfold(teller, |mut teller| async move {
        let event = tokio::select! {
            said = teller.waiting.recv() => event(&teller.container, &said?, &teller.own),
            _ = teller.beats.tick() => heartbeat(),
        };
        Some((Ok(record(&teller.encoding.encode(&event))), teller))
    })
}
