//! The layer store: pulls, keeps and forgets images.

use std::cmp::Reverse;
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

use crate::bring::{Pull, Shared};
use crate::flight::Flights;
use crate::flush::Flush;
use crate::garbage::{Need, secs_since_1970};
use crate::index::{Image, Index, Pinned};
use crate::install::{Temporary, make_layer};
use crate::manifest::{self, Blob, Manifest};
use crate::progress::{Progress, UnderWay};
use crate::registry::{Clients, Registry};
use crate::sharing::{Given, NotGiven};
use crate::tree;
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
    pub(crate) under_way: UnderWay,
    /// If layers are given to other agents and taken from them.
    pub(crate) shared: Option<Shared>,
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
        let inner = spawn_blocking(open).await.context("opening the image store")??;
        // Else no sweep would ever remove anything.
        inner.digests_of(&inner.config.garbage.excluded).context("excluded_images")?;
        Ok(Self(Arc::new(inner)))
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

    /// How far the pull of this image is, if one is under way and knows what there is to pull.
    pub fn progress(&self, name: &str) -> Option<Progress> {
        let full = name::full(name, &self.0.config).ok()?;
        self.0.under_way.look(&full, |blob| self.0.arrived(blob))
    }

    /// A layer for another agent that shows our token.
    pub fn give(&self, digest: &str, token: &str) -> Result<Given, NotGiven> {
        let shared = self.0.shared.as_ref().ok_or(NotGiven::Absent)?;
        shared.keeper.give(digest, token)
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
        let shared = Shared::open(dir.join("archives"), config.sharing.as_ref(), &index)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            config,
            dir,
            index,
            flush,
            under_way: UnderWay::default(),
            shared,
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
        let bytes_max = self.config.layer_bytes_max;
        if let Some(blob) = blobs.iter().find(|blob| blob.size > bytes_max) {
            let cause = format!("it has {} bytes, and at most {bytes_max} are taken", blob.size);
            return Err(registry.broken(&format!("layer {}", blob.digest), cause));
        }
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
        let _told = self.under_way.begin(full, &blobs);
        let pull = Pull {
            holders: self.holders(&blobs).await,
            downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
            registry: &registry,
            asked,
        };
        try_join_all(largest_first(&blobs).map(|blob| self.layer(&pull, blob))).await?;
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
    pub(crate) fn partial_path(&self, digest: &str) -> PathBuf {
        self.dir.join("partial").join(digest.replace(':', "-"))
    }

    pub(crate) fn temporary(&self) -> Temporary {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        Temporary::new(self.dir.join("tmp").join(number.to_string()))
    }
}

/// So that no processor is left with a large one when the others have nothing to do any more.
pub(crate) fn largest_first(blobs: &[Blob]) -> impl Iterator<Item = &Blob> {
    let mut blobs: Vec<_> = blobs.iter().collect();
    blobs.sort_by_key(|blob| Reverse(blob.size));
    blobs.into_iter()
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
