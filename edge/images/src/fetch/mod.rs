//! Brings URIs into sandboxes.
//!
//! As Mesos does it: `executable` wins over `extract`; what is not an archive by its name is copied; an archive that
//! does not come through the cache stays in the sandbox beside what was in it.

mod cache;
mod client;
mod source;
mod unpack;

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use model::container::Uri;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use reqwest::Url;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use crate::tree::{Attributes, Purpose, Tree, UnpackError};
use crate::{FetchError, FetchLimits, files};
use cache::{Cache, Downloaded};
pub use client::Clients;
use client::{Errand, Failure};
use source::{Order, Source};

const FILE_MODE: u32 = 0o644;
const EXECUTABLE_MODE: u32 = 0o755;

/// Fetches files and archives. A clone shares the cache.
#[derive(Debug, Clone)]
pub struct Fetcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    limits: FetchLimits,
    client: reqwest::Client,
    clients: Clients,
    cache: Cache,
    downloads: AtomicU64,
}

/// Where the bytes are before they go into the sandbox.
enum Held {
    Ours(Downloaded),
    Shared(Arc<Downloaded>),
}

/// On a machine that knows no authorities, everything but HTTPS can be fetched.
fn web_client(limits: &FetchLimits) -> reqwest::Result<reqwest::Client> {
    // Archives come as they are, whatever the server thinks of compressing them once more.
    let builder = || {
        reqwest::Client::builder()
            .user_agent(concat!("dcos/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.stall_timeout)
            .read_timeout(limits.stall_timeout)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
    };
    builder().build().or_else(|cause| {
        tracing::warn!(
            ?cause,
            "no HTTPS for what tasks fetch; the package ca-certificates is missing?"
        );
        builder().tls_certs_only([]).build()
    })
}

impl Fetcher {
    /// The cache directory is emptied: only what this process has fetched is trusted.
    pub fn new(cache_dir: &Path, limits: FetchLimits, clients: Clients) -> anyhow::Result<Self> {
        files::make_empty(cache_dir)
            .with_context(|| format!("emptying the cache {}", cache_dir.display()))?;
        let client = web_client(&limits).context("making a web client")?;
        let (dir, cache) = (cache_dir.to_owned(), Cache::new(limits.cache_bytes_max));
        Ok(Self(Arc::new(Inner {
            dir,
            limits,
            client,
            clients,
            cache,
            downloads: AtomicU64::new(0),
        })))
    }

    /// What the cache may take, and what it takes.
    pub fn cache_bytes(&self) -> [u64; 2] {
        self.0.cache.bytes()
    }

    /// Brings one URI into the directory `into`; `owner` (uid, gid) gets what is written, or it stays ours. Files of
    /// this machine are read with the rights of the owner.
    pub async fn fetch(
        &self,
        uri: &Uri,
        into: &Path,
        owner: Option<(u32, u32)>,
    ) -> Result<(), FetchError> {
        let order = source::parse(uri)?;
        let inner = &self.0;
        let held = if uri.cache {
            // Another owner may not be allowed to read the same file of this machine.
            let key = format!("{owner:?} {}", uri.value.trim());
            let file = inner.cache.get(&key, inner.obtain(&order, owner)).await;
            Held::Shared(file.map_err(|error| error.told_of(&order.shown))?)
        } else {
            Held::Ours(inner.obtain(&order, owner).await?)
        };
        let (uri, into, bytes_max) =
            (uri.clone(), into.to_owned(), inner.limits.unpacked_bytes_max);
        let shown = order.shown.clone();
        let place = move || {
            let placed = place(held, &order, &uri, &into, owner, bytes_max);
            placed.map_err(|error| told(error, &order, &into))
        };
        // A stranger's bytes may find a bug in us; that costs this task and not the agent.
        let placed = spawn_blocking(place).await;
        placed.map_err(|error| FetchError::Broken { uri: shown, cause: error.to_string() })?
    }
}

impl Inner {
    /// A file of our own, in the cache's directory.
    async fn obtain(
        &self,
        order: &Order,
        owner: Option<(u32, u32)>,
    ) -> Result<Downloaded, FetchError> {
        let path = self.dir.join(self.downloads.fetch_add(1, Ordering::Relaxed).to_string());
        // Made first, so that it is removed however this ends.
        let mut downloaded = Downloaded { path, bytes: 0, mode: FILE_MODE };
        match &order.source {
            Source::Web(url) => {
                downloaded.bytes = self.download(url, order, &downloaded.path).await?
            }
            Source::Local(from) => {
                let (from, to, shown) =
                    (from.clone(), downloaded.path.clone(), order.shown.clone());
                let copy = move || copy_local(&from, &to, owner);
                let copied = spawn_blocking(copy).await.expect("copying does not panic");
                (downloaded.bytes, downloaded.mode) = copied.map_err(|error| match error {
                    error if files::is_full(&error) => {
                        FetchError::NoSpace { uri: shown, dir: self.dir.clone() }
                    }
                    error => FetchError::Refused { uri: shown, cause: error.to_string() },
                })?;
            }
            Source::Client(by, uri) => {
                let stall_timeout = self.limits.stall_timeout;
                let errand = Errand { by: *by, uri, owner, stall_timeout };
                let fetched = self.clients.fetch(errand, &downloaded.path).await;
                downloaded.bytes =
                    fetched.map_err(|failure| self.failed(failure, order, &downloaded.path))?;
            }
        }
        Ok(downloaded)
    }

    fn failed(&self, failure: Failure, order: &Order, to: &Path) -> FetchError {
        let uri = order.shown.clone();
        match failure {
            Failure::Refused(cause) => FetchError::Refused { uri, cause },
            Failure::Stalled => {
                FetchError::Stalled { uri, secs: self.limits.stall_timeout.as_secs() }
            }
            Failure::Disk(error) if files::is_full(&error) => {
                FetchError::NoSpace { uri, dir: self.dir.clone() }
            }
            Failure::Disk(error) => {
                FetchError::Write { uri, path: to.to_owned(), cause: error.to_string() }
            }
        }
    }

    async fn download(&self, url: &Url, order: &Order, to: &Path) -> Result<u64, FetchError> {
        let uri = || order.shown.clone();
        let web = |error: reqwest::Error| {
            if error.is_timeout() {
                FetchError::Stalled { uri: uri(), secs: self.limits.stall_timeout.as_secs() }
            } else {
                FetchError::Unreachable { uri: uri(), cause: causes(&error) }
            }
        };
        let disk = |error: io::Error| self.failed(Failure::Disk(error), order, to);
        let mut answer = self.client.get(url.clone()).send().await.map_err(web)?;
        if !answer.status().is_success() {
            return Err(FetchError::Status { uri: uri(), status: answer.status().as_u16() });
        }
        let mut file = tokio::fs::File::create(to).await.map_err(disk)?;
        let mut bytes = 0;
        while let Some(more) = answer.chunk().await.map_err(web)? {
            bytes += more.len() as u64;
            file.write_all(&more).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        Ok(bytes)
    }
}

/// Puts a file that is here into the sandbox, as it is or unpacked.
fn place(
    held: Held,
    order: &Order,
    uri: &Uri,
    into: &Path,
    owner: Option<(u32, u32)>,
    bytes_max: u64,
) -> Result<(), UnpackError> {
    let (purpose, name) = (Purpose::Sandbox { owner }, order.output.as_str());
    let (file, is_shared): (&Downloaded, bool) = match &held {
        Held::Ours(file) => (file, false),
        Held::Shared(file) => (file, true),
    };
    let kind = if uri.extract && !uri.executable { unpack::kind(name) } else { None };
    if let Some(kind) = kind {
        unpack::unpack((&file.path, name), kind, into, purpose, bytes_max)?;
        if is_shared {
            return Ok(());
        }
    }
    let mode = if uri.executable { EXECUTABLE_MODE } else { file.mode };
    let disk = |error| UnpackError::Disk { what: name.into(), error };
    let mut tree = Tree::open(into, purpose).map_err(disk)?;
    let attributes = Attributes { mode, ..Attributes::default() };
    if is_shared {
        let mut reader = File::open(&file.path).map_err(disk)?;
        tree.stream(name.as_bytes(), &attributes, &mut reader, u64::MAX)?;
    } else {
        tree.adopt(name.as_bytes(), &attributes, &file.path)?;
    }
    tree.finish().map(|_| ())
}

/// Copies a file of this machine that the owner may read, and tells its size and mode.
fn copy_local(from: &Path, to: &Path, owner: Option<(u32, u32)>) -> io::Result<(u64, u32)> {
    let mut source = open_as(from, owner)?;
    let found = source.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file of this machine"));
    }
    let mut target = File::create(to)?;
    Ok((io::copy(&mut source, &mut target)?, found.mode() & 0o777))
}

/// Opens with the rights of another user; only this thread's, and only for this call.
fn open_as(path: &Path, owner: Option<(u32, u32)>) -> io::Result<File> {
    let before = owner.map(|(uid, gid)| {
        let gid = setfsgid(Gid::from_raw(gid));
        (setfsuid(Uid::from_raw(uid)), gid)
    });
    // A pipe would wait for a writer that never comes.
    let opened = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    if let Some((uid, gid)) = before {
        setfsuid(uid);
        setfsgid(gid);
    }
    opened
}

fn told(error: UnpackError, order: &Order, into: &Path) -> FetchError {
    let uri = order.shown.clone();
    match error {
        UnpackError::Unsafe { entry, cause } => FetchError::Unsafe { uri, entry, cause },
        UnpackError::Broken(cause) => FetchError::Broken { uri, cause },
        UnpackError::Disk { error, .. } if files::is_full(&error) => {
            FetchError::NoSpace { uri, dir: into.to_owned() }
        }
        UnpackError::Disk { what, error } => {
            FetchError::Write { uri, path: into.join(what), cause: error.to_string() }
        }
    }
}

/// The error without its URL, which is named before it.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::from("the request failed");
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        text = format!("{text}: {current}");
        cause = current.source();
    }
    text
}
