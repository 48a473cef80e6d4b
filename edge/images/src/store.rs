//! The layer store: pulls, keeps and forgets images.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use futures::future::try_join_all;
use oci_client::Reference;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::flight::Flights;
use crate::index::{Image, Index, Pinned};
use crate::manifest::{self, Blob, Manifest};
use crate::registry::{Clients, Registry};
use crate::tree::{self, UnpackError};
use crate::{Config, Prepared, PullError, PullRequest, Usage, files, layer, name};

/// Of one image at a time.
const DOWNLOADS_MAX: usize = 3;
/// Lists of lists are allowed, but not without end.
const MANIFEST_LISTS_MAX: usize = 3;
/// Layers of a directory are found by so much of their digest: overlayfs wants all their paths in one page.
const LAYER_NAME_CHARS: usize = 32;
/// For images that have no layers: overlayfs wants one.
const EMPTY_LAYER: &str = "empty";

/// The images of this machine. A clone is the same store.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

/// Spares an image from [`Store::prune`] while a clone of it lives. The default spares nothing.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    _pinned: Option<Arc<Pinned>>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    dir: PathBuf,
    index: Arc<Index>,
    clients: Clients,
    pulls: Flights<Result<Prepared, PullError>>,
    layers: Flights<Result<(), PullError>>,
    /// Unpacking is work for a processor: more at a time would only be slower.
    unpacking: Semaphore,
    temporary: AtomicU64,
    /// Locked while we live.
    _lock: File,
}

impl Store {
    /// Opens or makes the store in `dir`, removes what an interrupted pull has left, and refuses a store that
    /// another process has open.
    pub async fn open(dir: &Path, config: Config) -> anyhow::Result<Self> {
        let dir = dir.to_owned();
        let open = move || Inner::open(&dir, config);
        Ok(Self(Arc::new(spawn_blocking(open).await.context("opening the image store")??)))
    }

    /// Makes an image ready to run: at once if it is here, by its registry otherwise. Pulls of the same image or
    /// layer share one download, and none waits for that of another.
    pub async fn pull(&self, request: PullRequest<'_>) -> Result<Prepared, PullError> {
        let image = name::parse(request.name, &self.0.config)?;
        let full = image.whole();
        if !request.force
            && let Some(prepared) = self.0.here(&full)
        {
            return Ok(prepared);
        }
        let flight = format!("{full} {}", request.force);
        let pulled = self.0.pulls.join(&flight, Box::pin(self.0.pull(&image, request))).await;
        pulled.map_err(|error| error.told_of(request.name))
    }

    /// Removes the images that are neither named here by digest nor kept, and tells what is left. Layers that are mounted
    /// anywhere stay.
    pub async fn prune(&self, keep: &[String]) -> anyhow::Result<Usage> {
        let (inner, keep) = (Arc::clone(&self.0), keep.to_vec());
        spawn_blocking(move || inner.prune(&keep)).await.context("pruning images")?
    }

    /// The same, with those to be spared told by name. A name that is not here is passed over; one that is none fails.
    pub async fn prune_but(&self, names: &[String]) -> anyhow::Result<Usage> {
        let contents = self.0.index.contents();
        let mut keep = Vec::new();
        for name in names {
            let whole = name::parse(name, &self.0.config)?.whole();
            keep.extend(contents.names.get(&whole).cloned());
        }
        self.prune(&keep).await
    }

    pub fn usage(&self) -> Usage {
        self.0.index.contents().usage()
    }
}

impl Inner {
    fn open(dir: &Path, config: Config) -> anyhow::Result<Self> {
        let failed = || format!("opening the image store in {}", dir.display());
        files::make_private(dir).with_context(failed)?;
        let dir = dir.canonicalize().with_context(failed)?;
        let lock = File::create(dir.join("lock")).with_context(failed)?;
        if lock.try_lock().is_err() {
            bail!(
                "the image store in {} is in use by another process; give each agent its own",
                dir.display()
            );
        }
        let index = Arc::new(Index::open(dir.join("index.json"))?);
        files::make_empty(&dir.join("tmp")).with_context(failed)?;
        make_layer(&dir.join("layers").join(EMPTY_LAYER)).with_context(failed)?;
        remove_unknown(&dir.join("layers"), &index).with_context(failed)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            config,
            dir,
            index,
            clients: Clients::default(),
            pulls: Flights::default(),
            layers: Flights::default(),
            unpacking: Semaphore::new(processors),
            temporary: AtomicU64::new(0),
            _lock: lock,
        })
    }

    fn here(&self, full: &str) -> Option<Prepared> {
        let contents = self.index.contents();
        let digest = contents.names.get(full)?;
        let image = contents.images.get(digest)?;
        let keep = self.pin(digest, &image.layers);
        // Looked up again: it may have been pruned before it was pinned.
        self.index
            .contents()
            .images
            .contains_key(digest)
            .then(|| self.prepared(digest, image, keep))
    }

    fn pin(&self, image: &str, layers: &[String]) -> Keep {
        let digests = layers.iter().cloned().chain([image.to_owned()]).collect();
        Keep { _pinned: Some(self.index.pin(digests)) }
    }

    fn prepared(&self, digest: &str, image: &Image, keep: Keep) -> Prepared {
        let mut layers: Vec<PathBuf> = Vec::new();
        // Of a layer that comes twice only the upper one shows; overlayfs refuses the same directory twice.
        for layer in image.layers.iter().rev().map(|layer| self.layer_path(layer)) {
            if !layers.contains(&layer) {
                let hides_all_below = tree::is_opaque(&layer);
                layers.push(layer);
                if hides_all_below {
                    break;
                }
            }
        }
        if layers.is_empty() {
            layers.push(self.dir.join("layers").join(EMPTY_LAYER));
        }
        layers.reverse();
        Prepared { digest: digest.to_owned(), layers, config: image.config.clone(), keep }
    }

    async fn pull(
        &self,
        image: &Reference,
        request: PullRequest<'_>,
    ) -> Result<Prepared, PullError> {
        let full = image.whole();
        if !request.force
            && let Some(prepared) = self.here(&full)
        {
            return Ok(prepared);
        }
        let mut outcome =
            Err(PullError::BadName { image: full.clone(), cause: "it names no registry".into() });
        for source in name::sources(image, &self.config) {
            let host = source.registry().to_owned();
            outcome = self.pull_from(source, &full, request.name).await;
            match &outcome {
                Ok(prepared) => {
                    tracing::info!(image = %full, registry = %host, digest = %prepared.digest, "pulled an image");
                    break;
                }
                Err(error) => {
                    tracing::warn!(image = %full, registry = %host, %error, "could not pull an image")
                }
            }
        }
        outcome
    }

    async fn pull_from(
        &self,
        source: Reference,
        full: &str,
        asked: &str,
    ) -> Result<Prepared, PullError> {
        let registry = Registry::connect(source, asked, &self.config, &self.clients).await?;
        let (digest, config, blobs) = self.manifest(&registry, asked).await?;
        let layers: Vec<String> = blobs.iter().map(|blob| blob.digest.clone()).collect();
        let keep = self.pin(&digest, &layers);
        let known = self.index.contents().images.get(&digest).cloned();
        let image = match known {
            Some(image) => image,
            None => {
                let config = manifest::parse_config(&registry.config(&config).await?);
                Image {
                    layers,
                    config: config.map_err(|cause| registry.broken("the config", cause))?,
                }
            }
        };
        let downloads = Semaphore::new(DOWNLOADS_MAX);
        try_join_all(blobs.iter().map(|blob| self.layer(&registry, blob, &downloads, asked)))
            .await?;
        self.remember(full, &digest, &image)
            .await
            .map_err(|error| self.disk(asked, "the index", &error))?;
        Ok(self.prepared(&digest, &image, keep))
    }

    /// The manifest for this platform: its digest, its config and its layers.
    async fn manifest(
        &self,
        registry: &Registry<'_>,
        asked: &str,
    ) -> Result<(String, Blob, Vec<Blob>), PullError> {
        let mut wanted = None;
        for _ in 0..=MANIFEST_LISTS_MAX {
            let (bytes, digest) = registry.manifest(wanted.as_deref()).await?;
            let parsed =
                manifest::parse(&bytes).map_err(|cause| registry.broken("the manifest", cause))?;
            let choices = match parsed {
                Manifest::Image { config, layers } => return Ok((digest, config, layers)),
                Manifest::List(choices) => choices,
            };
            let chosen = manifest::choose(&choices).map_err(|(wanted, offered)| {
                PullError::Platform { image: asked.into(), wanted, offered }
            })?;
            wanted = Some(chosen.to_owned());
        }
        Err(registry.broken(
            "the manifest",
            format!("it has more than {MANIFEST_LISTS_MAX} lists in each other"),
        ))
    }

    async fn remember(&self, full: &str, digest: &str, image: &Image) -> io::Result<()> {
        let (index, full, digest, image) =
            (Arc::clone(&self.index), full.to_owned(), digest.to_owned(), image.clone());
        let write = move || {
            index.change(
                || Ok(()),
                |contents, ()| {
                    contents.images.insert(digest.clone(), image);
                    contents.names.insert(full, digest);
                },
            )
        };
        spawn_blocking(write).await.map_err(io::Error::other)?
    }

    async fn layer(
        &self,
        registry: &Registry<'_>,
        blob: &Blob,
        downloads: &Semaphore,
        asked: &str,
    ) -> Result<(), PullError> {
        let _turn = downloads.acquire().await.expect("this semaphore is never closed");
        if self.index.has_layer(&blob.digest) {
            return Ok(());
        }
        let arrival =
            self.layers.join(&blob.digest, Box::pin(self.bring(registry, blob, asked))).await;
        arrival.map_err(|error| error.told_of(asked))
    }

    /// Downloads and unpacks a layer that is not here.
    async fn bring(
        &self,
        registry: &Registry<'_>,
        blob: &Blob,
        asked: &str,
    ) -> Result<(), PullError> {
        if self.index.has_layer(&blob.digest) {
            return Ok(());
        }
        let archive = Temporary(self.temporary_path());
        registry.layer(blob, &archive.0).await?;
        let _turn = self.unpacking.acquire().await.expect("this semaphore is never closed");
        let (index, digest, bytes_max) =
            (Arc::clone(&self.index), blob.digest.clone(), self.config.layer_bytes_max);
        let (unpacked, target) = (Temporary(self.temporary_path()), self.layer_path(&blob.digest));
        // Not interrupted: once begun, the layer arrives even if nobody waits for it any more.
        let install = move || install(&index, &digest, &archive, &unpacked, &target, bytes_max);
        let broken = |cause| registry.broken(&format!("layer {}", blob.digest), cause);
        // A stranger's bytes may find a bug in us; that costs this image and not the agent.
        let installed = spawn_blocking(install).await.map_err(|error| broken(error.to_string()))?;
        installed.map_err(|error| match error {
            UnpackError::Unsafe { entry, cause } => {
                PullError::Unsafe { image: asked.into(), layer: blob.digest.clone(), entry, cause }
            }
            UnpackError::Broken(cause) => broken(cause),
            UnpackError::Disk { what, error } => self.disk(asked, &what, &error),
        })
    }

    fn prune(&self, keep: &[String]) -> anyhow::Result<Usage> {
        let doomed = Temporary(self.temporary_path());
        fs::create_dir(&doomed.0).with_context(|| format!("making {}", doomed.0.display()))?;
        let contents = self.index.contents();
        // Containers that an earlier life of the agent started are held by nothing else.
        let mounted = mounted();
        let in_use = contents.layers.keys().filter(|layer| mounted.contains(layer_name(layer)));
        let keep = keep.iter().chain(in_use).map(String::as_str).collect::<BTreeSet<_>>();
        let before = self.index.contents().usage();
        let put_away = |layers: &[String]| {
            for layer in layers.iter().map(|layer| self.layer_path(layer)) {
                fs::rename(&layer, doomed.0.join(layer.file_name().expect("a layer has a name")))?;
            }
            files::sync_directory(&self.dir.join("layers"))
        };
        self.index
            .prune(&keep, put_away)
            .with_context(|| format!("pruning {}", self.dir.display()))?;
        let after = self.index.contents().usage();
        if before != after {
            tracing::info!(
                images = before.images - after.images,
                bytes = before.bytes - after.bytes,
                "removed unused images"
            );
        }
        Ok(after)
    }

    fn disk(&self, image: &str, what: &str, error: &io::Error) -> PullError {
        let (image, dir) = (image.to_owned(), self.dir.clone());
        if files::is_full(error) {
            PullError::NoSpace { image, dir }
        } else {
            PullError::Store { image, dir, cause: format!("{what}: {error}") }
        }
    }

    fn layer_path(&self, digest: &str) -> PathBuf {
        self.dir.join("layers").join(layer_name(digest))
    }

    fn temporary_path(&self) -> PathBuf {
        self.dir.join("tmp").join(self.temporary.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

/// Removed with whatever is in it when it goes out of scope, unless it was renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let removed =
            if self.0.is_dir() { fs::remove_dir_all(&self.0) } else { fs::remove_file(&self.0) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "a temporary file stays until the next start");
            }
            Ok(()) | Err(_) => (),
        }
    }
}

/// Unpacks aside, flushes, renames, and only then tells the index.
fn install(
    index: &Index,
    digest: &str,
    archive: &Temporary,
    unpacked: &Temporary,
    target: &Path,
    bytes_max: u64,
) -> Result<(), UnpackError> {
    let disk = |path: &Path| {
        let what = path.display().to_string();
        move |error: io::Error| UnpackError::Disk { what, error }
    };
    make_layer(&unpacked.0).map_err(disk(&unpacked.0))?;
    let bytes = layer::unpack(&archive.0, &unpacked.0, bytes_max)?;
    // One flush of the file system instead of one for each of its files.
    File::open(&unpacked.0)
        .and_then(|dir| Ok(rustix::fs::syncfs(&dir)?))
        .map_err(disk(&unpacked.0))?;
    let place = || match fs::rename(&unpacked.0, target) {
        Ok(()) => files::sync_directory(target.parent().expect("a layer lies in the store")),
        // Whoever began before us and was given up has finished after all.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    };
    let note = |contents: &mut crate::index::Contents, (): &()| {
        contents.layers.insert(digest.to_owned(), bytes);
    };
    index.change(place, note).map_err(disk(target))
}

/// The root of a layer, as the root of a file system is: visible for all.
fn make_layer(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn remove_unknown(layers: &Path, index: &Index) -> io::Result<()> {
    let contents = index.contents();
    let known: BTreeSet<&str> =
        contents.layers.keys().map(|digest| layer_name(digest)).chain([EMPTY_LAYER]).collect();
    for entry in fs::read_dir(layers)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| known.contains(name)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// What of overlay file systems any process of this machine sees.
fn mounted() -> String {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let tables = processes.filter_map(|one| fs::read_to_string(one.path().join("mountinfo")).ok());
    let mut mounts = BTreeSet::new();
    for table in tables {
        mounts.extend(table.lines().filter(|line| line.contains("lowerdir=")).map(str::to_owned));
    }
    mounts.into_iter().collect()
}

fn layer_name(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    &hex[..LAYER_NAME_CHARS.min(hex.len())]
}
