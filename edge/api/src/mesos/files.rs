//! What the master shows of files: its log, if that is kept in one. `/files/...`, LIST_FILES and READ_FILE.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, HeaderValue};
use axum::http::{Response, StatusCode};
use mesos_v1::master::call::{ReadFile, Type};
use mesos_v1::master::{Call, Response as Answer};
use serde_json::json;
use wire::agent_api::files::{Part, READ_BYTES_MAX};
use wire::mesos::operator::master;

use super::orders::lacking;
use crate::answer::{self, Layout};
use crate::failure::Failure;
use crate::logging::Logging;
use crate::request::Request;

/// As Mesos' masters call it.
const LOG: &str = "/master/log";
/// What READ_FILE and a download give at most, however much is asked for.
const PART_BYTES_MAX: usize = 4 << 20;
const DOWNLOAD_BYTES_MAX: usize = 64 << 20;

pub(super) async fn answer(
    logging: &Logging,
    asked: &str,
    request: &Request,
) -> Result<Response<Body>, Failure> {
    if asked == "debug" {
        let shown = logging.file().map_or_else(|| json!({}), |file| json!({ LOG: file }));
        return Ok(answer::json(StatusCode::OK, &shown, Layout::Compact));
    }
    let (query, missing) = (&request.query, "Expecting 'path=value' in query.");
    let path = query.first("path").filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| Failure::BadRequest(missing.to_owned()))?;
    let file = find(logging, path)?;
    match asked {
        "browse" => Err(no_directory()),
        "download" => download(file).await,
        _ => {
            let part = Part::asked(query.first("offset"), query.first("length"));
            let part = part.map_err(|cause| Failure::BadRequest(cause.trim_end().to_owned()))?;
            let content = on_disk(file, move |file| {
                part.of(size(file)?, |offset, length| bytes_at(file, offset, length))
            });
            Ok(answer::json(StatusCode::OK, &content.await?, Layout::Compact))
        }
    }
}

async fn download(file: PathBuf) -> Result<Response<Body>, Failure> {
    let bytes = on_disk(file, |file| {
        let size = size(file)?;
        let most = usize::try_from(size).unwrap_or(DOWNLOAD_BYTES_MAX).min(DOWNLOAD_BYTES_MAX);
        bytes_at(file, size - most as u64, most)
    });
    let kind = HeaderValue::from_static("application/octet-stream");
    let mut response = answer::with_body(StatusCode::OK, kind, bytes.await?.into());
    let name = HeaderValue::from_static("attachment; filename=log");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

/// LIST_FILES, of which there are no directories, or READ_FILE.
pub(super) async fn called(logging: &Logging, call: Call) -> Result<Answer, Failure> {
    if call.r#type() == Type::ListFiles {
        let asked = call.list_files.ok_or_else(|| lacking("list_files"))?;
        find(logging, &asked.path)?;
        return Err(no_directory());
    }
    part(logging, call.read_file.ok_or_else(|| lacking("read_file"))?).await
}

fn no_directory() -> Failure {
    Failure::BadRequest("Cannot browse a file; read or download it.".to_owned())
}

async fn part(logging: &Logging, asked: ReadFile) -> Result<Answer, Failure> {
    let most = asked.length.map_or(READ_BYTES_MAX, |length| {
        usize::try_from(length).map_or(PART_BYTES_MAX, |length| length.min(PART_BYTES_MAX))
    });
    let read = on_disk(find(logging, &asked.path)?, move |file| {
        Ok((size(file)?, bytes_at(file, asked.offset, most)?))
    });
    let (size, data) = read.await?;
    Ok(master::file(size, data))
}

fn find(logging: &Logging, path: &str) -> Result<PathBuf, Failure> {
    if path.trim_end_matches('/') != LOG {
        return Err(Failure::Unknown(format!("the master shows no file {path:?}, but {LOG}")));
    }
    logging.file().map(PathBuf::from).ok_or_else(|| {
        let cause = "the log is in no file: it goes where `dcos up` was started, to a terminal or the journal. Start it \
                     with `2>> FILE`, or StandardError=append:FILE in its unit, and it is shown here";
        Failure::Unknown(cause.to_owned())
    })
}

async fn on_disk<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(move || {
        let done = File::open(&path).and_then(|file| work(&file));
        done.map_err(|cause| Failure::Unknown(format!("reading {}: {cause}", path.display())))
    });
    done.await.expect("a panic while reading was reported where it happened")
}

fn size(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

/// As many as there are, up to so many.
fn bytes_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset.saturating_add(filled as u64))? {
            0 => break,
            more => filled += more,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
