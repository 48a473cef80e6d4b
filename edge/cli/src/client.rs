//! HTTP to the cluster's front door, with every failure turned into one that says what to do.

use std::time::Duration;

use anyhow::Result;
use http::Method;
use mesos_v1::authorization::Secret;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Refusal};
use crate::settings::{Cluster, Env};

const CONNECT_MS_MAX: u64 = 10_000;
/// No answer for so long, or a pause of this length in one, and the cluster counts as gone.
const ANSWER_SECS_MAX_DEFAULT: u64 = 180;

/// What a path segment may not hold as it is.
const SEGMENT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?');

#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    target: Target,
}

/// Where to go and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub url: String,
    pub token: Option<String>,
    /// Sent instead of the token.
    pub login: Option<Login>,
    pub verify: Verify,
    pub timeout_secs: u64,
}

/// One of the credentials that the Mesos API asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub principal: String,
    pub secret: Secret,
}

/// Whether a certificate has to be one that this machine trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    Trusted,
    Any,
}

impl Target {
    /// Of the environment, else of the attached cluster.
    pub fn of(env: &Env) -> Result<Self> {
        let cluster = match &env.url {
            Some(_) => None,
            None => Some(env.attached()?),
        };
        let setting = |key: &str| cluster.as_ref().and_then(|cluster| cluster.text(key));
        let Some(url) = env.url.as_deref().or_else(|| setting("core.dcos_url")) else {
            let name = cluster.as_ref().map_or("", Cluster::name);
            return Err(Failure::Other(format!(
                "the cluster {name} has no URL: `dcos config set core.dcos_url http://...` gives it one"
            ))
            .into());
        };
        let principal = env.principal.as_deref().or_else(|| setting("core.mesos_principal"));
        let secret = env.secret.as_ref().map(|secret| secret.0.as_str());
        let secret = secret.or_else(|| setting("core.mesos_secret"));
        let verify = env.ssl_verify.as_deref().or_else(|| setting("core.ssl_verify"));
        let timeout = env.timeout.as_deref().or_else(|| setting("core.timeout"));
        Ok(Self {
            url: base(url)?,
            token: env.token.clone().or_else(|| setting("core.dcos_acs_token").map(str::to_owned)),
            login: principal.map(|principal| Login {
                principal: principal.to_owned(),
                secret: Secret(secret.unwrap_or_default().to_owned()),
            }),
            verify: verify.map_or(Verify::Trusted, verification),
            timeout_secs: timeout
                .and_then(|secs| secs.parse().ok())
                .unwrap_or(ANSWER_SECS_MAX_DEFAULT),
        })
    }

    pub fn plain(url: &str) -> Result<Self> {
        Ok(Self {
            url: base(url)?,
            token: None,
            login: None,
            verify: Verify::Trusted,
            timeout_secs: ANSWER_SECS_MAX_DEFAULT,
        })
    }
}

fn verification(text: &str) -> Verify {
    match text.to_ascii_lowercase().as_str() {
        "false" | "0" | "no" => Verify::Any,
        _ => Verify::Trusted,
    }
}

/// With a scheme and without the last slash.
fn base(url: &str) -> Result<String> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    match reqwest::Url::parse(&url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        Ok(_) | Err(_) => Err(Failure::Usage(format!(
            "{url:?} is not the URL of a cluster; one looks like http://127.0.0.1"
        ))
        .into()),
    }
}

impl Client {
    pub fn of(env: &Env) -> Result<Self> {
        Self::new(&Target::of(env)?)
    }

    pub fn new(target: &Target) -> Result<Self> {
        Self::build(target, Some(Duration::from_secs(target.timeout_secs)))
    }

    /// The same for streams, which may be quiet for as long as they like.
    pub(crate) fn patient(&self) -> Result<Self> {
        Self::build(&self.target, None)
    }

    fn build(target: &Target, pause: Option<Duration>) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
            .http1_only();
        if let Some(pause) = pause {
            builder = builder.read_timeout(pause);
        }
        if target.url.starts_with("http://") {
            // Plain HTTP works on a machine that has no certificates at all.
            builder = builder.tls_certs_only([]);
        }
        if target.verify == Verify::Any {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        Ok(Self { http: builder.build()?, target: target.clone() })
    }

    pub fn base(&self) -> &str {
        &self.target.url
    }

    pub fn token(&self) -> Option<&str> {
        self.target.token.as_deref()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.target.url));
        match (&self.target.login, &self.target.token) {
            (Some(login), _) => request.basic_auth(&login.principal, Some(&login.secret.0)),
            (None, Some(token)) => {
                request.header(http::header::AUTHORIZATION, format!("token={token}"))
            }
            (None, None) => request,
        }
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// The answer, once its status says that it is one.
    pub(crate) async fn open(&self, request: RequestBuilder) -> Result<Response> {
        let request = request.build()?;
        let what = format!("{} {}", request.method(), request.url());
        let response =
            self.http.execute(request).await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = Refusal::read(&response.text().await.unwrap_or_default());
        Err(Failure::Refused { status: status.as_u16(), what, body: Box::new(body) }.into())
    }

    pub async fn text(&self, request: RequestBuilder) -> Result<String> {
        let response = self.open(request).await?;
        Ok(response.text().await.map_err(|error| self.unreachable(&error))?)
    }

    pub async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = self.open(request).await?;
        let url = response.url().to_string();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let garbled = |error: serde_json::Error| Failure::Garbled { url, cause: error.to_string() };
        Ok(serde_json::from_slice(&body).map_err(garbled)?)
    }

    pub fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Unreachable { url: self.target.url.clone(), cause: root_cause(error) }
    }
}

/// The innermost error says it shortest: `Connection refused (os error 111)`.
pub fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match error.is_timeout() {
        true => "it does not answer".to_owned(),
        false => cause.to_string(),
    }
}

/// One segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// `/prod/web` as it stands in a path: `prod/web`.
pub fn segments(path: &str) -> String {
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(segment).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_needs_no_scheme_and_no_last_slash() {
        assert_eq!(base("127.0.0.1").ok().as_deref(), Some("http://127.0.0.1"));
        assert_eq!(base("https://m.example/").ok().as_deref(), Some("https://m.example"));
        assert!(base("ftp://m.example").is_err());
        assert!(base("").is_err());
    }

    #[test]
    fn the_environment_goes_before_the_settings() {
        let env = Env { url: Some("http://a/".into()), ..Env::default() };
        let target = Target::of(&env).expect("a URL is enough");
        assert_eq!((target.url.as_str(), target.verify), ("http://a", Verify::Trusted));
        let env = Env { ssl_verify: Some("False".into()), timeout: Some("5".into()), ..env };
        let target = Target::of(&env).expect("a URL is enough");
        assert_eq!((target.timeout_secs, target.verify), (5, Verify::Any));
    }

    #[test]
    fn credentials_are_sent_instead_of_a_token_and_told_to_nobody() {
        let env = Env {
            url: Some("http://a/".into()),
            token: Some("t".into()),
            principal: Some("ops".into()),
            secret: Some(Secret("s3cret".into())),
            ..Env::default()
        };
        let target = Target::of(&env).expect("a URL is enough");
        let client = Client::new(&target).expect("made");
        let request = client.get("/state").build().expect("it can be sent");
        // "ops:s3cret" in base64.
        assert_eq!(request.headers()["authorization"], "Basic b3BzOnMzY3JldA==");
        assert!(!format!("{env:?} {client:?} {request:?}").contains("s3cret"));
    }

    #[test]
    fn ids_are_safe_in_paths() {
        assert_eq!(segments("//prod/web?x/"), "prod/web%3Fx");
        assert_eq!(segment("a/b c"), "a%2Fb%20c");
    }
}
