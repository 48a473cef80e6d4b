//! Layers of images for other agents of the cluster, who show the token that ours has told the master.

use std::io::SeekFrom;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use images::NotGiven;
use mesos_v1::authorization::bearer;
use tokio::fs::File;
use tokio::io::AsyncSeekExt;
use tokio_util::io::ReaderStream;

use super::Api;
use super::answer::refuse;

/// Each read is a matter for another thread, so it should be worth it.
const READ_BYTES: usize = 256 << 10;

pub(super) async fn give(api: &Api, digest: &str, request: Request) -> Response {
    if *request.method() != Method::GET {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "Layers can only be read.\n");
    }
    let token = bearer(request.headers()).unwrap_or_default();
    let given = match api.0.images.give(digest, token) {
        Ok(given) => given,
        Err(refusal) => return refused(refusal),
    };
    let from = start(request.headers()).filter(|from| *from < given.bytes);
    let mut file = match given.file.try_clone() {
        Ok(file) => File::from_std(file),
        Err(cause) => return failed(&cause),
    };
    if let Err(cause) = file.seek(SeekFrom::Start(from.unwrap_or(0))).await {
        return failed(&cause);
    }
    let status = if from.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let bytes = given.bytes - from.unwrap_or(0);
    let pieces = ReaderStream::with_capacity(file, READ_BYTES).map(move |piece| {
        let _turn_until_the_last = &given;
        piece
    });
    let length = [(header::CONTENT_LENGTH, bytes.to_string())];
    (status, length, Body::from_stream(pieces)).into_response()
}

/// Of `bytes=N-`, which is all that agents ask for.
fn start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

fn refused(refusal: NotGiven) -> Response {
    match refusal {
        NotGiven::Stranger => {
            refuse(StatusCode::FORBIDDEN, "Layers are for agents of this cluster only.\n")
        }
        NotGiven::Absent => refuse(StatusCode::NOT_FOUND, "This layer is not kept here.\n"),
        NotGiven::Busy => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, "Others get layers just now; ask elsewhere.\n")
        }
    }
}

fn failed(cause: &std::io::Error) -> Response {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, &format!("The layer cannot be read: {cause}.\n"))
}
