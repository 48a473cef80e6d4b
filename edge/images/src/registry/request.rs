//! Requests to a registry: with a login that is renewed when it has run out, and answers that take no more memory than
//! they may.

use std::error::Error;
use std::sync::PoisonError;
use std::time::Duration;

use futures::StreamExt;
use oci_client::RegistryOperation;
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};

use super::{Failed, MANIFEST, Registry};
use crate::PullError;

/// Of an answer that says why there is none.
const COMPLAINT_BYTES_MAX: usize = 64 << 10;
const CAUSE_CHARS_MAX: usize = 300;
/// Registries say in seconds how long they want to be left alone; tasks do not wait longer than that.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What is shown with each request.
#[derive(Debug, Clone, Default)]
pub(super) enum Shown {
    #[default]
    Nothing,
    Token(String),
    Password {
        user: String,
        password: String,
    },
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Complaint {
    errors: Vec<OneError>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct OneError {
    code: String,
    message: String,
}

impl Registry<'_> {
    /// Asks what the registry wants to be shown, and gets it.
    pub(super) async fn log_in(&self) -> Result<(), Failed> {
        let (source, auth) = (&self.source, &self.auth);
        let asked = Box::pin(self.line.logins.auth(source, auth, RegistryOperation::Pull)).await;
        let shown = match (asked.map_err(|error| self.not_let_in(&error))?, auth) {
            (Some(token), _) => Shown::Token(token),
            (None, RegistryAuth::Basic(user, password)) => {
                Shown::Password { user: user.clone(), password: password.clone() }
            }
            (None, RegistryAuth::Anonymous | RegistryAuth::Bearer(_)) => Shown::Nothing,
        };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        Ok(())
    }

    /// A good answer. A login may run out in the middle of a long pull, so one that is refused is renewed once.
    ///
    /// Where the registry sends us elsewhere, to a host or a port that is not its own, the login does not go along.
    pub(super) async fn ask(
        &self,
        awaited: &str,
        (method, what): (Method, &str),
        adorn: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Failed> {
        let host = self.source.resolve_registry();
        let url = format!("{}://{host}/v2/{}/{what}", self.line.scheme, self.source.repository());
        let send = async || {
            let request = adorn(self.line.client.request(method.clone(), &url));
            let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let request = match shown {
                Shown::Nothing => request,
                Shown::Token(token) => request.bearer_auth(token),
                Shown::Password { user, password } => request.basic_auth(user, Some(password)),
            };
            request.send().await.map_err(|error| self.lost(awaited, &error))
        };
        let mut answer = send().await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.log_in().await?;
            answer = send().await?;
        }
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let wait = wait_wanted(answer.headers());
        let complaint = self.body(awaited, answer, COMPLAINT_BYTES_MAX).await?.unwrap_or_default();
        Err(self.complained(awaited, status, &complaint, wait))
    }

    /// All of an answer, unless it is more than it may be.
    pub(super) async fn body(
        &self,
        awaited: &str,
        answer: Response,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, Failed> {
        let (mut stream, mut body) = (answer.bytes_stream(), Vec::new());
        while let Some(more) = stream.next().await {
            body.extend_from_slice(&more.map_err(|error| self.lost(awaited, &error))?);
            if body.len() > bytes_max {
                return Ok(None);
            }
        }
        Ok(Some(body))
    }

    /// What a connection that failed means.
    pub(super) fn lost(&self, awaited: &str, error: &reqwest::Error) -> Failed {
        if error.is_timeout() {
            let (image, registry) = (self.image.to_owned(), self.source.registry().to_owned());
            let secs = self.config.stall_timeout.as_secs();
            let awaited = awaited.to_owned();
            return Failed::lasting(PullError::Stalled { image, registry, awaited, secs });
        }
        self.faulty(awaited, causes(error))
    }

    fn not_let_in(&self, error: &OciDistributionError) -> Failed {
        if let OciDistributionError::RequestError(error) = error {
            return self.lost("a login", error);
        }
        if let OciDistributionError::AuthenticationFailure(cause) = error {
            return self.forbidden(format!("the login was refused ({})", shorten(cause)));
        }
        Failed { is_transient: false, ..self.faulty("a login", shorten(&error.to_string())) }
    }

    /// What a registry means that has something else to say than what it was asked for.
    fn complained(
        &self,
        awaited: &str,
        status: StatusCode,
        complaint: &[u8],
        wait: Option<Duration>,
    ) -> Failed {
        let told: Complaint = serde_json::from_slice(complaint).unwrap_or_default();
        let says = |codes: &[&str]| told.errors.iter().any(|one| codes.contains(&&*one.code));
        let text = told.errors.first().map_or_else(
            || String::from_utf8_lossy(complaint).into_owned(),
            |first| format!("{} {}", first.code, first.message),
        );
        let separator = if text.trim().is_empty() { "" } else { ": " };
        let answered = format!("it answered {status}{separator}{}", shorten(&text));
        let is_missing = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND", "BLOB_UNKNOWN"];
        if says(&is_missing) || says(&["MANIFEST_BLOB_UNKNOWN"]) || status == StatusCode::NOT_FOUND
        {
            return self.missing(awaited);
        }
        match status {
            StatusCode::UNAUTHORIZED => self.forbidden("it wants a login or another one".into()),
            _ if says(&["UNAUTHORIZED", "DENIED"]) => {
                self.forbidden("it refuses this login".into())
            }
            StatusCode::FORBIDDEN => self.forbidden(answered),
            _ if status.is_server_error()
                || status == StatusCode::TOO_MANY_REQUESTS
                || says(&["TOOMANYREQUESTS"]) =>
            {
                self.overloaded(awaited, answered, wait)
            }
            _ => Failed { is_transient: false, ..self.faulty(awaited, answered) },
        }
    }

    fn missing(&self, awaited: &str) -> Failed {
        if awaited == MANIFEST {
            let (image, registry) = (self.image.to_owned(), self.source.registry().to_owned());
            return Failed::lasting(PullError::NotFound { image, registry });
        }
        let faulty = self.faulty(awaited, "it does not have it; push the image again".into());
        Failed { is_transient: false, ..faulty }
    }

    fn forbidden(&self, cause: String) -> Failed {
        let (image, registry) = (self.image.to_owned(), self.source.registry().to_owned());
        Failed::lasting(PullError::Unauthorized { image, registry, cause })
    }

    fn overloaded(&self, awaited: &str, answered: String, wait: Option<Duration>) -> Failed {
        match wait {
            Some(long) if long > WAIT_MAX => {
                let cause =
                    format!("{answered}, and wants to be left alone for {} s", long.as_secs());
                Failed { is_transient: false, ..self.faulty(awaited, cause) }
            }
            wait => Failed { wait, ..self.faulty(awaited, answered) },
        }
    }
}

/// In seconds; the other spelling, a date, is rare and not understood.
fn wait_wanted(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What caused an error, the URL left out: it can hold a token.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(current) = cause {
        let more = current.to_string();
        if !text.ends_with(&more) {
            text = if text.is_empty() { more } else { format!("{text}: {more}") };
        }
        cause = current.source();
    }
    shorten(if text.is_empty() { "the request failed" } else { &text })
}

fn shorten(text: &str) -> String {
    text.trim().chars().take(CAUSE_CHARS_MAX).collect()
}
