//! One registry, asked for one image: manifests and blobs, with patience for its faults and none for its silence.

mod request;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use reqwest::header::{ACCEPT, HeaderMap, RANGE};
use reqwest::{Method, StatusCode};

use crate::credentials::Sources;
use crate::download::{Interrupted, have, receive};
use crate::manifest::Blob;
use crate::{Config, PullError, PullRequest, credentials, files, layer, manifest, name};
use request::Shown;

const MANIFEST_BYTES_MAX: usize = 4 << 20;
const CONFIG_BYTES_MAX: u64 = 4 << 20;
const CLIENTS_MAX: usize = 32;
const RETRY_DELAY_MS: u64 = 250;
const USER_AGENT: &str = concat!("dcos/", env!("CARGO_PKG_VERSION"));
/// What an image is, and is not there without.
const MANIFEST: &str = "the manifest";
const CONFIG: &str = "the config";
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";
/// In which a registry says what a manifest's digest is.
const DIGEST: &str = "docker-content-digest";

pub(crate) struct Registry<'a> {
    line: Line,
    auth: RegistryAuth,
    shown: Mutex<Shown>,
    source: Reference,
    /// As its user calls it.
    image: &'a str,
    config: &'a Config,
}

/// How a registry is reached.
#[derive(Clone)]
struct Line {
    scheme: &'static str,
    client: reqwest::Client,
    /// Knows how one logs in.
    logins: Client,
}

/// Connections that wait for the next pull, each with its login. To make a client is a matter of many milliseconds:
/// it reads the certificates of this machine.
#[derive(Default)]
pub(crate) struct Clients(Mutex<Vec<(String, RegistryAuth, Line)>>);

/// How a download came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    AtOnce,
    /// Which may not fit together.
    InParts,
}

/// A request that went wrong, and whether it is worth another try.
struct Failed {
    error: PullError,
    is_transient: bool,
    /// How long the registry wants to be left alone.
    wait: Option<Duration>,
}

impl Clients {
    fn get(&self, host: &str, auth: &RegistryAuth, config: &Config) -> anyhow::Result<Line> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., line)) = clients.iter().find(|(of, with, _)| of == host && with == auth) {
            return Ok(line.clone());
        }
        let line = Line::new(host, config)?;
        if clients.len() == CLIENTS_MAX {
            clients.remove(0);
        }
        clients.push((host.to_owned(), auth.clone(), line.clone()));
        Ok(line)
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Line {
    fn new(host: &str, config: &Config) -> anyhow::Result<Self> {
        let (scheme, protocol) = if name::is_plain(host, config) {
            ("http", ClientProtocol::Http)
        } else {
            ("https", ClientProtocol::Https)
        };
        let logins = Client::try_from(ClientConfig {
            protocol,
            read_timeout: Some(config.stall_timeout),
            connect_timeout: Some(config.stall_timeout),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        })?;
        let client = reqwest::Client::builder()
            .read_timeout(config.stall_timeout)
            .connect_timeout(config.stall_timeout)
            .user_agent(USER_AGENT)
            .build()?;
        Ok(Self { scheme, client, logins })
    }
}

impl<'a> Registry<'a> {
    /// Logs in, if the registry wants that. Logins are read anew, so that a changed password counts at once.
    pub(crate) async fn connect(
        source: Reference,
        request: PullRequest<'a>,
        config: &'a Config,
        clients: &Clients,
    ) -> Result<Self, PullError> {
        let (host, image) = (source.registry(), request.name);
        let refuse =
            |cause| PullError::Unauthorized { image: image.into(), registry: host.into(), cause };
        let logins = Sources { own: request.credentials, file: config.credentials.as_deref() };
        let auth = credentials::login(logins, host, source.repository()).await.map_err(refuse)?;
        let line = clients.get(host, &auth, config).map_err(|error| PullError::Registry {
            image: image.into(),
            registry: host.into(),
            awaited: "a connection".into(),
            cause: format!("{error:#}"),
        })?;
        let registry = Self { line, auth, shown: Mutex::default(), source, image, config };
        registry.retry(|| registry.log_in()).await?;
        Ok(registry)
    }

    /// The manifest of the name's tag or digest, or of the digest given; with its own digest.
    pub(crate) async fn manifest(
        &self,
        digest: Option<&str>,
    ) -> Result<(Vec<u8>, String), PullError> {
        let digest = digest.or(self.source.digest());
        let reference = digest.or(self.source.tag()).unwrap_or("latest");
        let what = format!("manifests/{reference}");
        let (told, bytes) = self
            .retry(async || {
                let accept =
                    |request: reqwest::RequestBuilder| request.header(ACCEPT, MANIFEST_TYPES);
                let answer = self.ask(MANIFEST, (Method::GET, &what), accept).await?;
                let told = digest_told(answer.headers());
                Ok((told, self.body(MANIFEST, answer, MANIFEST_BYTES_MAX).await?))
            })
            .await?;
        let bytes = bytes.ok_or_else(|| {
            self.broken(MANIFEST, format!("it has more than {MANIFEST_BYTES_MAX} bytes"))
        })?;
        let expected = digest.map(str::to_owned).or(told);
        let actual = layer::digest_of(&bytes, expected.as_deref().unwrap_or_default());
        match expected {
            Some(expected) if expected != actual => Err(self.wrong(MANIFEST.into(), actual)),
            Some(_) | None => Ok((bytes, actual)),
        }
    }

    /// The image's config.
    pub(crate) async fn config(&self, blob: &Blob) -> Result<Vec<u8>, PullError> {
        let broken = |bytes: u64| self.broken(CONFIG, format!("it has {bytes} bytes"));
        let bytes_max = usize::try_from(blob.size).ok().filter(|_| blob.size <= CONFIG_BYTES_MAX);
        let bytes_max = bytes_max.ok_or_else(|| broken(blob.size))?;
        let what = blob_path(blob);
        let bytes = self
            .retry(async || {
                let answer = self.ask(CONFIG, (Method::GET, &what), |request| request).await?;
                self.body(CONFIG, answer, bytes_max).await
            })
            .await?;
        let bytes = bytes.ok_or_else(|| {
            self.broken(CONFIG, format!("it has more than the {bytes_max} bytes promised"))
        })?;
        let actual = layer::digest_of(&bytes, &blob.digest);
        if actual == blob.digest { Ok(bytes) } else { Err(self.wrong(CONFIG.into(), actual)) }
    }

    /// Whether the image's repository has this layer for who asks. One that does not say so is asked for the layer.
    pub(crate) async fn has(&self, blob: &Blob) -> bool {
        let what = blob_path(blob);
        self.ask(&part(blob), (Method::HEAD, &what), |request| request).await.is_ok()
    }

    /// Downloads a layer, and goes on where a connection was lost or an earlier life has ended. What comes in parts is
    /// not looked at here.
    pub(crate) async fn layer(&self, blob: &Blob, to: &Path) -> Result<Arrived, PullError> {
        let (mut have, mut tried) = (have(blob, to).await, 0);
        let mut arrived = if have > 0 { Arrived::InParts } else { Arrived::AtOnce };
        while have < blob.size || tried == 0 && have == 0 {
            tried += 1;
            let Err(failed) = self.append(blob, to, have).await else { return Ok(arrived) };
            // What is all there and has failed nevertheless is wrong.
            let got = crate::download::have(blob, to).await;
            let got = Some(got).filter(|got| *got < blob.size).unwrap_or(0);
            // Less than before is progress too: of a registry that begins anew because it knows no ranges.
            let is_progress = got > 0 && got != have;
            have = got;
            if tried >= self.config.tries_max || !(failed.is_transient || is_progress) {
                return Err(failed.error);
            }
            arrived = Arrived::InParts;
            tokio::time::sleep(failed.delay(tried)).await;
        }
        Ok(arrived)
    }

    async fn append(&self, blob: &Blob, to: &Path, have: u64) -> Result<(), Failed> {
        let (awaited, what) = (part(blob), blob_path(blob));
        let rest = |request: reqwest::RequestBuilder| {
            if have == 0 { request } else { request.header(RANGE, format!("bytes={have}-")) }
        };
        let answer = self.ask(&awaited, (Method::GET, &what), rest).await?;
        let offset = if answer.status() == StatusCode::PARTIAL_CONTENT { have } else { 0 };
        let received = receive(answer.bytes_stream(), blob, to, offset).await;
        received.map_err(|interrupted| match interrupted {
            Interrupted::Source(error) => self.lost(&awaited, &error),
            Interrupted::TooMuch => {
                self.faulty(&awaited, format!("it sent more than the {} bytes promised", blob.size))
            }
            Interrupted::TooLittle { got } => self.faulty(
                &awaited,
                format!("it sent {got} of {} bytes and closed the connection", blob.size),
            ),
            Interrupted::Wrong { actual } => Failed::lasting(self.wrong(awaited.clone(), actual)),
            Interrupted::Disk(error) => Failed::lasting(self.disk(to, &error)),
        })
    }

    async fn retry<T, F: Future<Output = Result<T, Failed>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, PullError> {
        let mut tried = 0;
        loop {
            tried += 1;
            // Boxed: the client's futures are large, and each is small beside a request.
            match Box::pin(ask()).await {
                Ok(answer) => return Ok(answer),
                Err(failed) if !failed.is_transient || tried >= self.config.tries_max => {
                    return Err(failed.error);
                }
                Err(failed) => tokio::time::sleep(failed.delay(tried)).await,
            }
        }
    }

    fn faulty(&self, awaited: &str, cause: String) -> Failed {
        let (image, registry) = (self.image.to_owned(), self.source.registry().to_owned());
        let error = PullError::Registry { image, registry, awaited: awaited.to_owned(), cause };
        Failed { error, is_transient: true, wait: None }
    }

    pub(crate) fn wrong(&self, part: String, actual: String) -> PullError {
        PullError::Digest {
            image: self.image.into(),
            registry: self.source.registry().into(),
            part,
            actual,
        }
    }

    pub(crate) fn broken(&self, part: &str, cause: String) -> PullError {
        PullError::Broken { image: self.image.into(), part: part.into(), cause }
    }

    fn disk(&self, path: &Path, error: &std::io::Error) -> PullError {
        let (image, dir) = (self.image.to_owned(), path.parent().unwrap_or(path).to_owned());
        if files::is_full(error) {
            PullError::NoSpace { image, dir }
        } else {
            PullError::Store { image, dir, cause: error.to_string() }
        }
    }
}

impl Failed {
    /// Another try would end the same way.
    fn lasting(error: PullError) -> Self {
        Self { error, is_transient: false, wait: None }
    }

    fn delay(&self, tried: u32) -> Duration {
        let ours = Duration::from_millis(RETRY_DELAY_MS << tried.min(6));
        self.wait.map_or(ours, |theirs| theirs.max(ours))
    }
}

fn digest_told(headers: &HeaderMap) -> Option<String> {
    let told = headers.get(DIGEST)?.to_str().ok()?;
    // One that we do not know is no proof of anything, and no harm.
    manifest::check_digest(told).is_ok().then(|| told.to_owned())
}

fn part(blob: &Blob) -> String {
    format!("layer {}", blob.digest)
}

fn blob_path(blob: &Blob) -> String {
    format!("blobs/{}", blob.digest)
}
