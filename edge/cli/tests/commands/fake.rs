//! A cluster that answers from a table and remembers what it was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Response, StatusCode};
use clap::{CommandFactory, Parser};
use cli::World;
use cli::screen::Screen;
use cli::settings::Env;
use tokio::net::TcpListener;

const BODY_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// By method, path and query.
    answers: BTreeMap<String, (u16, String)>,
    /// What the header of an answer names.
    deployments: BTreeMap<String, String>,
    asked: Vec<String>,
}

#[derive(Debug, Parser)]
struct Binary {
    #[command(subcommand)]
    command: cli::Command,
}

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The exit status, or the error.
    pub(crate) ended: Result<u8, String>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Fake {
    pub(crate) fn answer(self, asked: &str, status: u16, body: &str) -> Self {
        self.0.lock().expect("no panic").answers.insert(asked.into(), (status, body.into()));
        self
    }

    /// The same, with the deployment named in a header only, as pods are answered.
    pub(crate) fn deploys(self, asked: &str, deployment: &str) -> Self {
        let named = (asked.to_owned(), deployment.to_owned());
        self.0.lock().expect("no panic").deployments.extend([named]);
        self.answer(asked, 200, "{}")
    }

    /// Every request since the last call: method, path, query, body.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic").asked)
    }

    pub(crate) async fn url(&self) -> String {
        format!("http://{}", self.serve().await)
    }

    async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.80.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Runs `dcos <words>` with this on standard input.
    pub(crate) async fn run(&self, words: &[&str], input: &str) -> Told {
        let env = Env { url: Some(self.url().await), ..Env::default() };
        run(env, words, input).await
    }
}

pub(crate) async fn run(env: Env, words: &[&str], input: &str) -> Told {
    let (mut out, mut err, mut input) = (Vec::new(), Vec::new(), input.as_bytes());
    let command = Binary::try_parse_from([&["dcos"], words].concat()).expect("a command");
    let screen = Screen { out: &mut out, err: &mut err, input: &mut input, typed: false };
    let mut world = World { screen, env, binary: Binary::command() };
    let ended = cli::execute(command.command, &mut world).await;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Told { ended: ended.map_err(|error| format!("{error:#}")), out: text(out), err: text(err) }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.expect("a small body");
    let place = format!("{} {}", head.method, head.uri);
    let mut inner = fake.0.lock().expect("no panic");
    let sent = String::from_utf8_lossy(&body);
    inner.asked.push(if sent.is_empty() { place.clone() } else { format!("{place} {sent}") });
    let unknown = (404, format!("{{\"message\":\"nothing at {place}\"}}"));
    let (status, body) = inner.answers.get(&place).cloned().unwrap_or(unknown);
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    if let Some(id) = inner.deployments.get(&place) {
        let id = HeaderValue::from_str(id).expect("plain text");
        response.headers_mut().insert("Marathon-Deployment-Id", id);
    }
    response
}
