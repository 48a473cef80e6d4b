//! One registry, asked for one image: manifests and blobs, with patience for its faults and none for its silence.

use std::error::Error;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol, SizedStream};
use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::credentials::Sources;
use crate::manifest::Blob;
use crate::{Config, PullError, PullRequest, credentials, files, layer, name};

const MANIFEST_BYTES_MAX: usize = 4 << 20;
const CONFIG_BYTES_MAX: u64 = 4 << 20;
/// Each write is a matter for another thread, so it should be worth it.
pub(crate) const WRITE_BYTES: usize = 1 << 20;
const CLIENTS_MAX: usize = 32;
const CAUSE_CHARS_MAX: usize = 300;
const RETRY_DELAY_MS: u64 = 250;
/// What an image is, and is not there without.
const MANIFEST: &str = "the manifest";
const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

pub(crate) struct Registry<'a> {
    client: Client,
    auth: RegistryAuth,
    source: Reference,
    /// As its user calls it.
    image: &'a str,
    config: &'a Config,
}

/// Connections that wait for the next pull, each with its login. To make a client is a matter of many milliseconds:
/// it reads the certificates of this machine.
#[derive(Default)]
pub(crate) struct Clients(Mutex<Vec<(String, RegistryAuth, Client)>>);

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
}

impl Clients {
    fn get(
        &self,
        host: &str,
        auth: &RegistryAuth,
        config: &Config,
    ) -> Result<Client, OciDistributionError> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., client)) = clients.iter().find(|(of, with, _)| of == host && with == auth)
        {
            return Ok(client.clone());
        }
        let protocol =
            if name::is_plain(host, config) { ClientProtocol::Http } else { ClientProtocol::Https };
        let client = Client::try_from(ClientConfig {
            protocol,
            read_timeout: Some(config.stall_timeout),
            connect_timeout: Some(config.stall_timeout),
            user_agent: concat!("dcos/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        })?;
        if clients.len() == CLIENTS_MAX {
            clients.remove(0);
        }
        clients.push((host.to_owned(), auth.clone(), client.clone()));
        Ok(client)
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
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
        let client = clients.get(host, &auth, config).map_err(|error| PullError::Registry {
            image: image.into(),
            registry: host.into(),
            awaited: "a connection".into(),
            cause: error.to_string(),
        })?;
        let registry = Self { client, auth, source, image, config };
        let log_in =
            || registry.client.auth(&registry.source, &registry.auth, RegistryOperation::Pull);
        registry.retry("a login", log_in).await?;
        Ok(registry)
    }

    /// The manifest of the name's tag or digest, or of the digest given; with its own digest.
    pub(crate) async fn manifest(
        &self,
        digest: Option<&str>,
    ) -> Result<(Bytes, String), PullError> {
        let of = digest.map_or_else(
            || self.source.clone(),
            |digest| self.source.clone_with_digest(digest.into()),
        );
        let pull = || self.client.pull_manifest_raw(&of, &self.auth, &MANIFEST_TYPES);
        let (bytes, digest) = self.retry(MANIFEST, pull).await?;
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(self.broken(MANIFEST, format!("it has {} bytes", bytes.len())));
        }
        Ok((bytes, digest))
    }

    /// The image's config.
    pub(crate) async fn config(&self, blob: &Blob) -> Result<Vec<u8>, PullError> {
        if blob.size > CONFIG_BYTES_MAX {
            return Err(self.broken("the config", format!("it has {} bytes", blob.size)));
        }
        let bytes = self
            .retry("the config", || async {
                let answer = self.client.pull_blob_stream(&self.source, &descriptor(blob)).await?;
                let mut stream = answer.stream;
                let mut bytes = Vec::new();
                while let Some(more) = stream.next().await {
                    bytes.extend_from_slice(&more?);
                    if bytes.len() as u64 > blob.size {
                        break;
                    }
                }
                Ok(bytes)
            })
            .await?;
        let actual = layer::digest_of(&bytes, &blob.digest);
        if actual == blob.digest { Ok(bytes) } else { Err(self.wrong("the config".into(), actual)) }
    }

    /// Whether the image's repository has this layer for who asks. One that does not say so is asked for the layer.
    pub(crate) async fn has(&self, blob: &Blob) -> bool {
        self.client.blob_exists(&self.source, &blob.digest).await.unwrap_or(false)
    }

    /// Downloads a layer, and goes on where a connection was lost or an earlier life has ended. What has come is not
    /// looked at here.
    pub(crate) async fn layer(&self, blob: &Blob, to: &Path) -> Result<Arrived, PullError> {
        let (mut have, mut tried) = (have(blob, to).await, 0);
        let mut arrived = if have > 0 { Arrived::InParts } else { Arrived::AtOnce };
        while have < blob.size || tried == 0 && have == 0 {
            tried += 1;
            let Err(failed) = self.append(blob, to, have).await else { return Ok(arrived) };
            // What is all there and has failed nevertheless is wrong.
            let got = Some(self::have(blob, to).await).filter(|got| *got < blob.size).unwrap_or(0);
            // Less than before is progress too: of a registry that begins anew because it knows no ranges.
            let is_progress = got > 0 && got != have;
            have = got;
            if tried >= self.config.tries_max || !(failed.is_transient || is_progress) {
                return Err(failed.error);
            }
            arrived = Arrived::InParts;
            tokio::time::sleep(retry_delay(tried)).await;
        }
        Ok(arrived)
    }

    async fn append(&self, blob: &Blob, to: &Path, have: u64) -> Result<(), Failed> {
        let awaited = part(blob);
        let answer = if have == 0 {
            self.client
                .pull_blob_stream(&self.source, &descriptor(blob))
                .await
                .map(BlobResponse::Full)
        } else {
            self.client.pull_blob_stream_partial(&self.source, &descriptor(blob), have, None).await
        };
        let (stream, offset) = match answer.map_err(|error| self.failed(&awaited, &error))? {
            BlobResponse::Full(SizedStream { stream, .. }) => (stream, 0),
            BlobResponse::Partial(SizedStream { stream, .. }) => (stream, have),
        };
        let disk =
            |error: std::io::Error| Failed { error: self.disk(to, &error), is_transient: false };
        let file = open_at(to, offset).await.map_err(disk)?;
        let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
        let outcome = self.copy(stream, &mut file, blob, offset).await;
        let flushed = file.flush().await;
        outcome.map_err(|failure| match failure {
            CopyFailure::Registry(error) => {
                self.failed(&awaited, &OciDistributionError::IoError(error))
            }
            CopyFailure::TooMuch => {
                self.faulty(&awaited, format!("it sent more than the {} bytes promised", blob.size))
            }
            CopyFailure::TooLittle { got } => self.faulty(
                &awaited,
                format!("it sent {got} of {} bytes and closed the connection", blob.size),
            ),
            CopyFailure::Disk(error) => disk(error),
        })?;
        flushed.map_err(disk)
    }

    async fn copy(
        &self,
        mut stream: impl Stream<Item = std::io::Result<Bytes>> + Unpin,
        file: &mut BufWriter<tokio::fs::File>,
        blob: &Blob,
        offset: u64,
    ) -> Result<(), CopyFailure> {
        let mut got = offset;
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(CopyFailure::Registry)?;
            got += bytes.len() as u64;
            if got > blob.size {
                return Err(CopyFailure::TooMuch);
            }
            file.write_all(&bytes).await.map_err(CopyFailure::Disk)?;
        }
        if got < blob.size { Err(CopyFailure::TooLittle { got }) } else { Ok(()) }
    }

    async fn retry<T, F: Future<Output = Result<T, OciDistributionError>>>(
        &self,
        awaited: &str,
        ask: impl Fn() -> F,
    ) -> Result<T, PullError> {
        let mut tried = 0;
        loop {
            tried += 1;
            // Boxed: the client's futures are large, and each is small beside a request.
            match Box::pin(ask()).await.map_err(|error| self.failed(awaited, &error)) {
                Ok(answer) => return Ok(answer),
                Err(failed) if !failed.is_transient || tried >= self.config.tries_max => {
                    return Err(failed.error);
                }
                Err(_) => tokio::time::sleep(retry_delay(tried)).await,
            }
        }
    }

    fn failed(&self, awaited: &str, error: &OciDistributionError) -> Failed {
        let lasting = |error| Failed { error, is_transient: false };
        let (image, registry) = (self.image.to_owned(), self.source.registry().to_owned());
        if let Some(request) = find::<reqwest::Error>(error) {
            if request.is_timeout() {
                let secs = self.config.stall_timeout.as_secs();
                return lasting(PullError::Stalled {
                    image,
                    registry,
                    awaited: awaited.into(),
                    secs,
                });
            }
            return self.faulty(awaited, causes(request));
        }
        if let Some(DigestError::VerificationError { actual, .. }) = find::<DigestError>(error) {
            return lasting(self.wrong(awaited.into(), actual.clone()));
        }
        match answer(error) {
            Answer::NotThere if awaited == MANIFEST => {
                lasting(PullError::NotFound { image, registry })
            }
            Answer::NotThere => {
                let faulty =
                    self.faulty(awaited, "it does not have it; push the image again".into());
                Failed { is_transient: false, ..faulty }
            }
            Answer::Forbidden(cause) => lasting(PullError::Unauthorized { image, registry, cause }),
            Answer::Overloaded => self.faulty(awaited, shorten(&error.to_string())),
            Answer::Other => {
                Failed { is_transient: false, ..self.faulty(awaited, shorten(&error.to_string())) }
            }
        }
    }

    fn faulty(&self, awaited: &str, cause: String) -> Failed {
        let (image, registry) = (self.image.to_owned(), self.source.registry().to_owned());
        Failed {
            error: PullError::Registry { image, registry, awaited: awaited.to_owned(), cause },
            is_transient: true,
        }
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

enum CopyFailure {
    Registry(std::io::Error),
    TooMuch,
    TooLittle { got: u64 },
    Disk(std::io::Error),
}

/// What a registry means by an error.
enum Answer {
    NotThere,
    Forbidden(String),
    Overloaded,
    Other,
}

fn answer(error: &OciDistributionError) -> Answer {
    use OciErrorCode::{
        BlobUnknown, Denied, ManifestBlobUnknown, ManifestUnknown, NameUnknown, NotFound,
        Toomanyrequests, Unauthorized,
    };
    if let OciDistributionError::UnauthorizedError { .. } = error {
        return Answer::Forbidden("it wants a login or another one".into());
    }
    if let OciDistributionError::AuthenticationFailure(cause) = error {
        return Answer::Forbidden(format!("the login was refused ({})", shorten(cause)));
    }
    if let OciDistributionError::ServerError { code, .. } = error {
        return match code {
            404 => Answer::NotThere,
            401 | 403 => Answer::Forbidden(format!("it answered {code}")),
            429 | 500.. => Answer::Overloaded,
            _ => Answer::Other,
        };
    }
    let OciDistributionError::RegistryError { envelope, .. } = error else { return Answer::Other };
    let has =
        |codes: &[OciErrorCode]| envelope.errors.iter().any(|error| codes.contains(&error.code));
    if has(&[ManifestUnknown, NameUnknown, NotFound, BlobUnknown, ManifestBlobUnknown]) {
        Answer::NotThere
    } else if has(&[Unauthorized, Denied]) {
        Answer::Forbidden("it refuses this login".into())
    } else if has(&[Toomanyrequests]) {
        Answer::Overloaded
    } else {
        Answer::Other
    }
}

/// The error of this type, however deep it is wrapped.
fn find<E: Error + 'static>(error: &OciDistributionError) -> Option<&E> {
    // These speak for what they wrap, and do not count as its wrapping.
    let mut error: Option<&(dyn Error + 'static)> =
        if let OciDistributionError::RequestError(inner) = error {
            Some(inner)
        } else if let OciDistributionError::IoError(inner) = error {
            Some(inner)
        } else if let OciDistributionError::DigestError(inner) = error {
            Some(inner)
        } else {
            None
        };
    while let Some(current) = error {
        if let Some(found) = current.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        error = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| current.source());
    }
    None
}

/// The error with what caused it, the URL left out: it can hold a token.
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

fn retry_delay(tried: u32) -> Duration {
    Duration::from_millis(RETRY_DELAY_MS << tried.min(6))
}

fn part(blob: &Blob) -> String {
    format!("layer {}", blob.digest)
}

fn descriptor(blob: &Blob) -> OciDescriptor {
    let size = i64::try_from(blob.size).unwrap_or(i64::MAX);
    OciDescriptor { digest: blob.digest.clone(), size, ..OciDescriptor::default() }
}

/// How much of a layer is there; nothing if it is more than the layer has.
pub(crate) async fn have(blob: &Blob, at: &Path) -> u64 {
    let found = tokio::fs::metadata(at).await.map_or(0, |found| found.len());
    if found > blob.size { 0 } else { found }
}

pub(crate) async fn open_at(path: &Path, offset: u64) -> std::io::Result<tokio::fs::File> {
    use tokio::io::AsyncSeekExt;
    let mut file =
        tokio::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).await?;
    file.set_len(offset).await?;
    file.seek(std::io::SeekFrom::Start(offset)).await?;
    Ok(file)
}
