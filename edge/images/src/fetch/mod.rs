//! Brings URIs into sandboxes.
//!
//! As Mesos does it: `executable` wins over `extract`; what is not an archive by its name is copied; an archive that
//! does not come through the cache stays in the sandbox beside what was in it.

mod cache;
mod client;
mod room;
mod source;
mod unpack;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use futures::future::try_join_all;
use model::container::Uri;
use reqwest::Url;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use crate::layer::Hash;
use crate::tree::{Attributes, Purpose, Tree, UnpackError};
use crate::{FetchError, FetchLimits, Locals, files};
use cache::{Cache, Downloaded};
pub use client::Clients;
use client::{Errand, Failure};
use room::{Count, Excess, Room};
use source::{Order, Source};

const FILE_MODE: u32 = 0o644;
const EXECUTABLE_MODE: u32 = 0o755;
const READ_BYTES: usize = 256 * 1024;

/// Fetches files and archives. A clone shares the cache.
#[derive(Debug, Clone)]
pub struct Fetcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    limits: FetchLimits,
    client: reqwest::Client,
    sources: Sources,
    cache: Cache,
    downloads: AtomicU64,
}

/// What of this machine is used to fetch.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub clients: Clients,
    pub locals: Locals,
}

/// Whom something is fetched for. Users are told by their number and that of their group.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recipient {
    /// Who gets what is written; it stays ours if unset.
    pub owner: Option<(u32, u32)>,
    /// With whose rights this machine's files are read, and its programs run; with ours if unset.
    pub reader: Option<(u32, u32)>,
    /// Of all that is fetched, as it comes and unpacked.
    pub bytes_max: Option<u64>,
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
    pub fn new(cache_dir: &Path, limits: FetchLimits, sources: Sources) -> anyhow::Result<Self> {
        files::make_empty(cache_dir)
            .with_context(|| format!("emptying the cache {}", cache_dir.display()))?;
        let client = web_client(&limits).context("making a web client")?;
        let (dir, cache) = (cache_dir.to_owned(), Cache::new(limits.cache_bytes_max));
        Ok(Self(Arc::new(Inner {
            dir,
            limits,
            client,
            sources,
            cache,
            downloads: AtomicU64::new(0),
        })))
    }

    /// What the cache may take, and what it takes.
    pub fn cache_bytes(&self) -> [u64; 2] {
        self.0.cache.bytes()
    }

    /// Brings URIs into the directory `into`: all at a time, and into their places in their order, so that of two that
    /// bring the same file it is always the later one that stays.
    pub async fn fetch(
        &self,
        uris: &[Uri],
        into: &Path,
        recipient: Recipient,
    ) -> Result<(), FetchError> {
        let orders = uris.iter().map(source::parse).collect::<Result<Vec<_>, _>>()?;
        let room = Room::new(recipient.bytes_max);
        let brought = uris.iter().zip(&orders).map(|(uri, order)| {
            let way = Way { order, recipient, room: &room };
            self.0.bring(uri.cache, way)
        });
        let held = try_join_all(brought).await?;
        for ((held, order), uri) in held.into_iter().zip(orders).zip(uris) {
            let bytes_max = room.left().min(self.0.limits.unpacked_bytes_max);
            let (uri, into, owner) = (uri.clone(), into.to_owned(), recipient.owner);
            let place = Place { held, order, uri, into, owner, bytes_max };
            let (shown, limits) = (place.order.shown.clone(), self.0.limits);
            // A stranger's bytes may find a bug in us; that costs this task and not the agent.
            let placed = spawn_blocking(move || place.fill(&limits)).await;
            let placed = placed
                .map_err(|error| FetchError::Broken { uri: shown, cause: error.to_string() })?;
            // There was so much: less may be written only.
            let _ = room.take(placed?);
        }
        Ok(())
    }
}

/// How one URI comes to whom it is for.
#[derive(Clone, Copy)]
struct Way<'a> {
    order: &'a Order,
    recipient: Recipient,
    room: &'a Room,
}

impl Inner {
    async fn bring(&self, cache: bool, way: Way<'_>) -> Result<Held, FetchError> {
        if !cache {
            return self.obtain(way).await.map(Held::Ours);
        }
        // Another reader may not be allowed to read the same file of this machine.
        let key = format!("{:?} {}", way.recipient.reader, way.order.value);
        // What is kept for all takes nobody's room until it is in a sandbox.
        let open = Room::new(None);
        let file = self.cache.get(&key, self.obtain(Way { room: &open, ..way })).await;
        file.map(Held::Shared).map_err(|error| error.told_of(&way.order.shown))
    }

    /// A file of our own, in the cache's directory.
    async fn obtain(&self, way: Way<'_>) -> Result<Downloaded, FetchError> {
        let Way { order, recipient, room } = way;
        let path = self.dir.join(self.downloads.fetch_add(1, Ordering::Relaxed).to_string());
        // Made first, so that it is removed however this ends.
        let mut downloaded = Downloaded { path, bytes: 0, mode: FILE_MODE };
        let mut count = Count::new(self.limits.file_bytes_max, room);
        let path = &downloaded.path;
        let obtained = match &order.source {
            Source::Web(url) => self.download(url, path, &mut count).await.map(|()| FILE_MODE),
            Source::Local(from) => self.copy(from, path, (recipient, &mut count)).await,
            Source::Client(by, uri) => {
                let stall_timeout = self.limits.stall_timeout;
                let errand = Errand { by: *by, uri, owner: recipient.reader, stall_timeout };
                let fetched = self.sources.clients.fetch(errand, path, &mut count).await;
                fetched.map(|()| FILE_MODE)
            }
        };
        let proven = match (obtained, order.sum.clone()) {
            (Ok(mode), Some(sum)) => {
                let path = path.clone();
                let prove = move || prove(&path, &sum).map(|()| mode);
                spawn_blocking(prove).await.expect("hashing does not panic")
            }
            (obtained, _) => obtained,
        };
        downloaded.mode = proven.map_err(|failure| self.failed(failure, order, path))?;
        downloaded.bytes = count.bytes();
        Ok(downloaded)
    }

    fn failed(&self, failure: Failure, order: &Order, to: &Path) -> FetchError {
        let uri = order.shown.clone();
        match failure {
            Failure::Refused(cause) => FetchError::Refused { uri, cause },
            Failure::Status(status) => FetchError::Status { uri, status },
            Failure::Unreachable(cause) => FetchError::Unreachable { uri, cause },
            Failure::Stalled => {
                FetchError::Stalled { uri, secs: self.limits.stall_timeout.as_secs() }
            }
            Failure::TooLarge(Excess::File(bytes_max)) => FetchError::TooLarge { uri, bytes_max },
            Failure::TooLarge(Excess::Room) => FetchError::NoRoom { uri },
            Failure::Sum { wanted, actual } => FetchError::Sum { uri, wanted, actual },
            Failure::Disk(error) if files::is_full(&error) => {
                FetchError::NoSpace { uri, dir: self.dir.clone() }
            }
            Failure::Disk(error) => {
                FetchError::Write { uri, path: to.to_owned(), cause: error.to_string() }
            }
        }
    }

    async fn download(&self, url: &Url, to: &Path, count: &mut Count<'_>) -> Result<(), Failure> {
        let web = |error: reqwest::Error| match error.is_timeout() {
            true => Failure::Stalled,
            false => Failure::Unreachable(causes(&error)),
        };
        let mut answer = self.client.get(url.clone()).send().await.map_err(web)?;
        if !answer.status().is_success() {
            return Err(Failure::Status(answer.status().as_u16()));
        }
        count.expect(answer.content_length().unwrap_or(0))?;
        let mut file = tokio::fs::File::create(to).await.map_err(Failure::Disk)?;
        while let Some(more) = answer.chunk().await.map_err(web)? {
            count.add(more.len() as u64)?;
            file.write_all(&more).await.map_err(Failure::Disk)?;
        }
        file.flush().await.map_err(Failure::Disk)
    }

    /// Copies a file of this machine that the recipient may read, and tells its mode.
    async fn copy(
        &self,
        from: &Path,
        to: &Path,
        (recipient, count): (Recipient, &mut Count<'_>),
    ) -> Result<u32, Failure> {
        let (locals, from, to) = (self.sources.locals.clone(), from.to_owned(), to.to_owned());
        let open = move || locals.open(&from, recipient.reader);
        let opened = spawn_blocking(open).await.expect("opening does not panic");
        let source = opened.map_err(|error| Failure::Refused(error.to_string()))?;
        let about = source.metadata().map_err(|error| Failure::Refused(error.to_string()))?;
        count.expect(about.len())?;
        // It may grow while it is copied.
        let bytes_max = about.len();
        let copy = move || io::copy(&mut source.take(bytes_max), &mut File::create(to)?);
        let copied = spawn_blocking(copy).await.expect("copying does not panic");
        count.add(copied.map_err(Failure::Disk)?)?;
        Ok(about.mode() & 0o777)
    }
}

/// Whether a file is what its URI says. Blocks.
fn prove(path: &Path, wanted: &str) -> Result<(), Failure> {
    let (mut hash, mut buffer) = (Hash::like(wanted), vec![0; READ_BYTES]);
    let mut file = File::open(path).map_err(Failure::Disk)?;
    loop {
        let read = file.read(&mut buffer).map_err(Failure::Disk)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let (wanted, actual) = (wanted.to_owned(), hash.digest());
    if actual == wanted { Ok(()) } else { Err(Failure::Sum { wanted, actual }) }
}

/// What is here, and where it goes.
struct Place {
    held: Held,
    order: Order,
    uri: Uri,
    into: PathBuf,
    owner: Option<(u32, u32)>,
    bytes_max: u64,
}

impl Place {
    /// Tells how much was written besides what was downloaded for this place alone. Blocks.
    fn fill(self, limits: &FetchLimits) -> Result<u64, FetchError> {
        self.write().map_err(|error| told(error, &self.order, &self.into, limits))
    }

    /// Puts it into the sandbox, as it is or unpacked.
    fn write(&self) -> Result<u64, UnpackError> {
        let Self { held, order, uri, into, owner, bytes_max } = self;
        let (purpose, name) = (Purpose::Sandbox { owner: *owner }, order.output.as_str());
        let (file, is_shared): (&Downloaded, bool) = match held {
            Held::Ours(file) => (file, false),
            Held::Shared(file) => (file, true),
        };
        let kind = if uri.extract && !uri.executable { unpack::kind(name) } else { None };
        let unpacked = match kind {
            Some(kind) => unpack::unpack((&file.path, name), kind, into, purpose, *bytes_max)?,
            None => 0,
        };
        if kind.is_some() && is_shared {
            return Ok(unpacked);
        }
        let mode = if uri.executable { EXECUTABLE_MODE } else { file.mode };
        let disk = |error| UnpackError::Disk { what: name.into(), error };
        let mut tree = Tree::open(into, purpose).map_err(disk)?;
        let attributes = Attributes { mode, ..Attributes::default() };
        if is_shared {
            let mut reader = File::open(&file.path).map_err(disk)?;
            tree.stream(name.as_bytes(), &attributes, &mut reader, *bytes_max)?;
            return tree.finish();
        }
        tree.adopt(name.as_bytes(), &attributes, &file.path)?;
        tree.finish().map(|_| unpacked)
    }
}

fn told(error: UnpackError, order: &Order, into: &Path, limits: &FetchLimits) -> FetchError {
    let uri = order.shown.clone();
    match error {
        UnpackError::TooLarge(bytes_max) if bytes_max < limits.unpacked_bytes_max => {
            FetchError::NoRoom { uri }
        }
        UnpackError::TooLarge(bytes_max) => FetchError::TooLarge { uri, bytes_max },
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
