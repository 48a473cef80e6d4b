//! A web server on loopback that can be told to misbehave, and remembers what it was asked.
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use futures::StreamExt;
use futures::stream;

use super::support::{Image, digest};

/// What happens to one request for a path; the next one is served as it should be.
#[derive(Debug, Clone)]
pub enum Fault {
    Status(u16),
    /// It wants to be left alone for so many seconds.
    Busy(u64),
    /// From now on another token is wanted.
    NewToken(String),
    /// It is at another path.
    Moved(String),
    Hang,
    HangAfter(usize),
    CutAfter(usize),
    Instead(Vec<u8>),
}

#[derive(Debug, Default)]
struct Shared {
    files: BTreeMap<String, (String, Vec<u8>)>,
    faults: BTreeMap<String, VecDeque<Fault>>,
    /// Paths, with the range if one was asked for; `HEAD` and the path if nothing but its head was.
    asked: Vec<String>,
    /// The `Authorization` of each.
    shown: Vec<String>,
    knows_ranges: bool,
    /// Wanted as `Authorization` for everything but the token, which is given for `login`.
    login: Option<(String, String)>,
}

#[derive(Debug, Clone, Default)]
struct Handle(Arc<Mutex<Shared>>);

/// Ends when dropped.
#[derive(Debug)]
pub struct Fake {
    pub address: String,
    handle: Handle,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    pub async fn start(ip: &str) -> Self {
        let listener =
            tokio::net::TcpListener::bind((ip, 0)).await.expect("a loopback address can be bound");
        let address = listener.local_addr().expect("a bound socket has an address").to_string();
        let handle = Handle::default();
        handle.with(|shared| shared.knows_ranges = true);
        let router =
            axum::Router::new().fallback(answer).with_state((handle.clone(), address.clone()));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves until aborted")
        });
        let fake = Self { address, handle, server };
        fake.file("/v2/", "application/json", b"{}");
        fake
    }

    pub fn file(&self, path: &str, media_type: &str, contents: &[u8]) {
        self.handle.with(|shared| {
            shared.files.insert(path.into(), (media_type.into(), contents.to_vec()))
        });
    }

    /// Serves an image and tells the paths of its manifest and its layers.
    pub fn image(&self, repository: &str, tag: &str, image: &Image) -> (String, Vec<String>) {
        let blob = |bytes: &[u8]| {
            let path = format!("/v2/{repository}/blobs/{}", digest(bytes));
            self.file(&path, "application/octet-stream", bytes);
            path
        };
        let layers = image.layers.iter().map(|layer| blob(layer)).collect();
        blob(&image.config_bytes());
        let manifest = serde_json::to_vec(&image.manifest()).expect("a manifest is plain data");
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.file(&path, super::support::OCI_MANIFEST, &manifest);
        (path, layers)
    }

    pub fn fault(&self, path: &str, fault: Fault) {
        self.handle.with(|shared| shared.faults.entry(path.into()).or_default().push_back(fault));
    }

    pub fn forget_ranges(&self) {
        self.handle.with(|shared| shared.knows_ranges = false);
    }

    pub fn want_login(&self, login: &str, token: &str) {
        self.handle.with(|shared| shared.login = Some((login.into(), token.into())));
    }

    /// Each `Authorization` that came with a request.
    pub fn shown(&self) -> Vec<String> {
        self.handle.with(|shared| shared.shown.clone())
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.split(' ').next() == Some(path)).count()
    }

    pub fn asked(&self) -> Vec<String> {
        self.handle.with(|shared| shared.asked.clone())
    }
}

impl Handle {
    fn with<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        work(&mut self.0.lock().expect("no test panics in here"))
    }
}

async fn answer(
    State((handle, address)): State<(Handle, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path().to_owned();
    let text = |name: header::HeaderName| {
        headers.get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
    };
    let (range, authorization) = (text(header::RANGE), text(header::AUTHORIZATION));
    let head = if method == Method::HEAD { "HEAD " } else { "" };
    handle.with(|shared| shared.asked.push(format!("{head}{path} {range}").trim().to_owned()));
    handle.with(|shared| shared.shown.push(authorization.clone()));
    let fault = handle.with(|shared| shared.faults.get_mut(&path).and_then(VecDeque::pop_front));
    if let Some(Fault::NewToken(token)) = &fault {
        handle.with(|shared| shared.login.as_mut().expect("a login is wanted").1.clone_from(token));
    }
    if let Some(refusal) = handle.with(|shared| shared.guard(&path, &authorization, &address)) {
        return refusal;
    }
    if let Some(Fault::Moved(to)) = &fault {
        let moved = response(StatusCode::FOUND).header(header::LOCATION, to);
        return moved.body(Body::empty()).expect("a response");
    }
    let Some((media_type, contents)) = handle.with(|shared| shared.files.get(&path).cloned())
    else {
        return response(StatusCode::NOT_FOUND).body(Body::empty()).expect("a response");
    };
    let from = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'))
        .and_then(|from| from.parse().ok());
    let from = from.filter(|_| handle.with(|shared| shared.knows_ranges)).unwrap_or(0);
    let status = if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let rest = contents[from..].to_vec();
    let answer = response(status).header(header::CONTENT_TYPE, media_type);
    let whole = |body: Vec<u8>| (body.len(), Body::from(body));
    let (length, body) = match fault {
        None | Some(Fault::NewToken(_)) => whole(rest),
        Some(Fault::Instead(other)) => whole(other),
        Some(Fault::Status(code)) => {
            let status = StatusCode::from_u16(code).expect("a status");
            return response(status).body(Body::empty()).expect("a response");
        }
        Some(Fault::Busy(secs)) => {
            let busy = response(StatusCode::TOO_MANY_REQUESTS).header(header::RETRY_AFTER, secs);
            return busy.body(Body::empty()).expect("a response");
        }
        Some(Fault::Moved(_)) => unreachable!("it has been answered"),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::HangAfter(bytes)) => {
            (rest.len(), start_of(&rest, bytes, stream::pending().boxed()))
        }
        Some(Fault::CutAfter(bytes)) => {
            // What came before goes out while the rest is waited for.
            let cut = stream::once(async {
                tokio::task::yield_now().await;
                Err(std::io::Error::other("cut"))
            });
            (rest.len(), start_of(&rest, bytes, cut.boxed()))
        }
    };
    answer.header(header::CONTENT_LENGTH, length).body(body).expect("a response")
}

type Chunks = stream::BoxStream<'static, std::io::Result<Bytes>>;

fn start_of(rest: &[u8], bytes: usize, then: Chunks) -> Body {
    let start = Bytes::copy_from_slice(&rest[..bytes]);
    Body::from_stream(stream::once(async { Ok(start) }).chain(then))
}

fn response(status: StatusCode) -> axum::http::response::Builder {
    Response::builder().status(status)
}

impl Shared {
    fn guard(&self, path: &str, authorization: &str, address: &str) -> Option<Response> {
        let (login, token) = self.login.as_ref()?;
        if path == "/token" {
            let body = if authorization == login {
                format!(r#"{{"token": "{token}"}}"#)
            } else {
                String::new()
            };
            let status = if body.is_empty() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
            return Some(response(status).body(Body::from(body)).expect("a response"));
        }
        if authorization == format!("Bearer {token}") {
            return None;
        }
        let challenge = format!(r#"Bearer realm="http://{address}/token",service="fake""#);
        let refusal =
            response(StatusCode::UNAUTHORIZED).header(header::WWW_AUTHENTICATE, challenge);
        Some(refusal.body(Body::empty()).expect("a response"))
    }
}
