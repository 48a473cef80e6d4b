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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::flight::Flights;
use crate::flush::Flush;
use crate::garbage::{Need, secs_since_1970};
use crate::index::{Image, Index, Pinned};
use crate::install::{Temporary, make_layer, settle, unpack};
use crate::layer::{LayerError, Proof};
use crate::manifest::{self, Blob, Manifest};
use crate::registry::{Arrived, Clients, Registry};
use crate::tree::{self, UnpackError};
use crate::{Config, Prepared, PullError, PullRequest, Usage, bundle, files, name};

/// Of one image at a time.
const DOWNLOADS_MAX: usize = 3;
/// Lists of lists are allowed, but not without end.
pub(crate) const MANIFEST_LISTS_MAX: usize = 3;
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
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) dir: PathBuf,
    pub(crate) index: Arc<Index>,
    pub(crate) flush: Flush,
    clients: Clients,
    pulls: Flights<Result<Prepared, PullError>>,
    pub(crate) layers: Flights<Result<(), PullError>>,
    /// Unpacking is work for a processor: more at a time would only be slower.
    pub(crate) unpacking: Arc<Semaphore>,
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
        let full = name::full(request.name, &self.0.config)?;
        if !request.force
            && let Some(prepared) = self.0.here(&full)
        {
            return Ok(prepared);
        }
        // Who brings another login may be answered otherwise.
        let flight =
            format!("{full} {} {}", request.force, request.credentials.unwrap_or_default());
        let pull = || self.0.pulls.join(&flight, Box::pin(Inner::pull(&self.0, request)));
        let mut pulled = pull().await;
        if let Err(PullError::NoSpace { .. }) = &pulled {
            match self.sweep(Need::Space).await {
                Ok(()) => pulled = pull().await,
                Err(cause) => {
                    tracing::warn!(cause = format!("{cause:#}"), "no image can be removed")
                }
            }
        }
        pulled.map_err(|error| error.told_of(request.name))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
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
        files::make_private(&dir.join("partial")).with_context(failed)?;
        make_layer(&dir.join("layers").join(EMPTY_LAYER)).with_context(failed)?;
        remove_unknown(&dir.join("layers"), &index).with_context(failed)?;
        let flush = Flush::new(File::open(&dir).with_context(failed)?);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            config,
            dir,
            index,
            flush,
            clients: Clients::default(),
            pulls: Flights::default(),
            layers: Flights::default(),
            unpacking: Arc::new(Semaphore::new(processors)),
            temporary: AtomicU64::new(0),
            _lock: lock,
        })
    }

    pub(crate) fn here(&self, full: &str) -> Option<Prepared> {
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

    pub(crate) fn pin(&self, image: &str, layers: &[String]) -> Keep {
        let digests = layers.iter().cloned().chain([image.to_owned()]).collect();
        Keep { _pinned: Some(self.index.pin(digests)) }
    }

    pub(crate) fn prepared(&self, digest: &str, image: &Image, keep: Keep) -> Prepared {
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

    async fn pull(self: &Arc<Self>, request: PullRequest<'_>) -> Result<Prepared, PullError> {
        if let Some(place) = bundle::place(request.name, &self.config) {
            return self.pull_file(&place, request).await;
        }
        let image = &name::parse(request.name, &self.config)?;
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
            outcome = self.pull_from(source, &full, request).await;
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
        self: &Arc<Self>,
        source: Reference,
        full: &str,
        request: PullRequest<'_>,
    ) -> Result<Prepared, PullError> {
        let asked = request.name;
        let registry = Registry::connect(source, request, &self.config, &self.clients).await?;
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
        let downloads = Arc::new(Semaphore::new(DOWNLOADS_MAX));
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

    pub(crate) async fn remember(&self, full: &str, digest: &str, image: &Image) -> io::Result<()> {
        let (index, full, digest, image) =
            (Arc::clone(&self.index), full.to_owned(), digest.to_owned(), image.clone());
        let write = move || {
            index.change(
                || Ok(()),
                |contents, ()| {
                    contents.images.insert(digest.clone(), image);
                    contents.used.insert(digest.clone(), secs_since_1970());
                    contents.names.insert(full, digest);
                },
            )
        };
        spawn_blocking(write).await.map_err(io::Error::other)?
    }

    async fn layer(
        self: &Arc<Self>,
        registry: &Registry<'_>,
        blob: &Blob,
        downloads: &Arc<Semaphore>,
        asked: &str,
    ) -> Result<(), PullError> {
        if self.index.has_layer(&blob.digest) {
            return Ok(());
        }
        let bring = Box::pin(self.bring(registry, blob, downloads, asked));
        let arrival = self.layers.join(&blob.digest, bring).await;
        arrival.map_err(|error| error.told_of(asked))
    }

    /// Downloads and unpacks a layer that is not here.
    async fn bring(
        self: &Arc<Self>,
        registry: &Registry<'_>,
        blob: &Blob,
        downloads: &Arc<Semaphore>,
        asked: &str,
    ) -> Result<(), PullError> {
        let archive = self.partial_path(&blob.digest);
        let brought = self.bring_by(registry, blob, &archive, downloads, asked).await;
        let is_worth_keeping = match &brought {
            // What has come so far is gone on with, in this life or the next.
            Err(PullError::Registry { .. } | PullError::Stalled { .. }) => true,
            Ok(())
            | Err(
                PullError::BadName { .. }
                | PullError::NotFound { .. }
                | PullError::Unauthorized { .. }
                | PullError::Digest { .. }
                | PullError::Unsafe { .. }
                | PullError::Broken { .. }
                | PullError::Platform { .. }
                | PullError::NoSpace { .. }
                | PullError::File { .. }
                | PullError::Store { .. },
            ) => false,
        };
        if !is_worth_keeping {
            drop(Temporary::new(archive));
        }
        brought
    }

    async fn bring_by(
        self: &Arc<Self>,
        registry: &Registry<'_>,
        blob: &Blob,
        archive: &Path,
        downloads: &Arc<Semaphore>,
        asked: &str,
    ) -> Result<(), PullError> {
        loop {
            let turn = Arc::clone(downloads).acquire_owned().await;
            let turn = turn.expect("this semaphore is never closed");
            let arrived = registry.layer(blob, archive).await?;
            let installed = self.install(registry, blob, archive, arrived, turn).await?;
            let failure = match installed {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            match failure {
                // What was there before may have been wrong, or the registry gave another part than we asked for.
                LayerError::Digest(_) if arrived == Arrived::InParts => {
                    drop(Temporary::new(archive.to_owned()));
                }
                LayerError::Digest(actual) => {
                    return Err(registry.wrong(format!("layer {}", blob.digest), actual));
                }
                LayerError::Unpack(UnpackError::Unsafe { entry, cause }) => {
                    let layer = blob.digest.clone();
                    return Err(PullError::Unsafe { image: asked.into(), layer, entry, cause });
                }
                LayerError::Unpack(UnpackError::Broken(cause)) => {
                    return Err(registry.broken(&format!("layer {}", blob.digest), cause));
                }
                LayerError::Unpack(UnpackError::Disk { what, error }) => {
                    return Err(self.disk(asked, &what, &error));
                }
            }
        }
    }

    /// Not interrupted: once begun, the layer arrives even if nobody waits for it any more. The turn ends before the
    /// flush: neither the network nor the processors need wait for the disk.
    async fn install(
        self: &Arc<Self>,
        registry: &Registry<'_>,
        blob: &Blob,
        archive: &Path,
        arrived: Arrived,
        turn: OwnedSemaphorePermit,
    ) -> Result<Result<(), LayerError>, PullError> {
        let unpacking = Arc::clone(&self.unpacking).acquire_owned().await;
        let unpacking = unpacking.expect("this semaphore is never closed");
        let (inner, blob, archive) = (Arc::clone(self), blob.clone(), archive.to_owned());
        let layer = format!("layer {}", blob.digest);
        let work = move || {
            let opened = File::open(&archive);
            let opened = opened.map_err(|error| {
                let what = archive.display().to_string();
                LayerError::Unpack(UnpackError::Disk { what, error })
            })?;
            let proof = match arrived {
                Arrived::AtOnce => Proof::Given,
                Arrived::InParts => Proof::Wanted,
            };
            let unpacked = unpack(&inner, &blob, proof, opened)?;
            // What is not there need not be flushed.
            drop(Temporary::new(archive));
            drop((unpacking, turn));
            settle(&inner, &blob, &unpacked)
        };
        // A stranger's bytes may find a bug in us; that costs this image and not the agent.
        spawn_blocking(work).await.map_err(|error| registry.broken(&layer, error.to_string()))
    }

    pub(crate) fn disk(&self, image: &str, what: &str, error: &io::Error) -> PullError {
        let (image, dir) = (image.to_owned(), self.dir.clone());
        if files::is_full(error) {
            PullError::NoSpace { image, dir }
        } else {
            PullError::Store { image, dir, cause: format!("{what}: {error}") }
        }
    }

    pub(crate) fn layer_path(&self, digest: &str) -> PathBuf {
        self.dir.join("layers").join(layer_name(digest))
    }

    /// A layer that is being downloaded: named by its digest, so that whoever wants it next goes on with it.
    fn partial_path(&self, digest: &str) -> PathBuf {
        self.dir.join("partial").join(digest.replace(':', "-"))
    }

    pub(crate) fn temporary(&self) -> Temporary {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        Temporary::new(self.dir.join("tmp").join(number.to_string()))
    }
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

pub(crate) fn layer_name(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    &hex[..LAYER_NAME_CHARS.min(hex.len())]
}
