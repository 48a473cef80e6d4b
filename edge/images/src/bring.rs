//! How a layer comes: from another agent of the cluster or the registry to the disk, and from there into the store.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::PullError;
use crate::index::Index;
use crate::install::{Temporary, settle, unpack};
use crate::layer::{LayerError, Proof};
use crate::manifest::Blob;
use crate::registry::{Arrived, Registry};
use crate::sharing::{Holders, Keeper, Seeker, Sharing};
use crate::store::Inner;
use crate::tree::UnpackError;

/// One image's way into the store.
pub(crate) struct Pull<'a> {
    pub(crate) registry: &'a Registry<'a>,
    /// As its user calls the image.
    pub(crate) asked: &'a str,
    pub(crate) downloads: Arc<Semaphore>,
    /// Other agents that have its layers.
    pub(crate) holders: Holders,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) keeper: Arc<Keeper>,
    seeker: Seeker,
}

impl Shared {
    /// Nothing stays in `dir` of what the index does not know, and nothing at all if nothing is shared any more.
    pub(crate) fn open(
        dir: PathBuf,
        sharing: Option<&Sharing>,
        index: &Index,
    ) -> anyhow::Result<Option<Self>> {
        let failed = || format!("opening {}", dir.display());
        let Some(sharing) = sharing else {
            return match fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).with_context(failed)
                }
                Ok(()) | Err(_) => Ok(None),
            };
        };
        let keeper = Arc::new(Keeper::open(dir.clone(), sharing).with_context(failed)?);
        keeper.keep_only(|digest| index.has_layer(digest)).with_context(failed)?;
        Ok(Some(Self { seeker: Seeker::new(sharing, Arc::clone(&keeper))?, keeper }))
    }

    /// So that a master that has begun anew knows what is here.
    pub(crate) async fn greet(&self) {
        self.seeker.ask(Vec::new(), Vec::new()).await;
    }
}

impl Inner {
    /// Who has what is missing of these.
    pub(crate) async fn holders(&self, blobs: &[Blob]) -> Holders {
        let Some(shared) = &self.shared else { return Holders::new() };
        let missing = blobs.iter().filter(|blob| !self.index.has_layer(&blob.digest));
        let missing: Vec<_> = missing.map(|blob| blob.digest.clone()).collect();
        if missing.is_empty() {
            Holders::new()
        } else {
            shared.seeker.ask(Vec::new(), missing).await
        }
    }

    pub(crate) async fn layer(
        self: &Arc<Self>,
        pull: &Pull<'_>,
        blob: &Blob,
    ) -> Result<(), PullError> {
        if self.index.has_layer(&blob.digest) {
            return Ok(());
        }
        let arrival = self.layers.join(&blob.digest, Box::pin(self.bring(pull, blob))).await;
        arrival.map_err(|error| error.told_of(pull.asked))
    }

    /// Downloads and unpacks a layer that is not here.
    async fn bring(self: &Arc<Self>, pull: &Pull<'_>, blob: &Blob) -> Result<(), PullError> {
        let archive = self.partial_path(&blob.digest);
        let brought = self.bring_by(pull, blob, &archive).await;
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
        if brought.is_ok()
            && let Some(shared) = &self.shared
        {
            shared.seeker.ask(vec![blob.digest.clone()], Vec::new()).await;
        }
        brought
    }

    async fn bring_by(
        self: &Arc<Self>,
        pull: &Pull<'_>,
        blob: &Blob,
        archive: &Path,
    ) -> Result<(), PullError> {
        let (registry, asked) = (pull.registry, pull.asked);
        let mut are_others_asked = false;
        loop {
            let turn = Arc::clone(&pull.downloads).acquire_owned().await;
            let turn = turn.expect("this semaphore is never closed");
            if !are_others_asked {
                self.ask_others(pull, blob, archive).await;
                are_others_asked = true;
            }
            let arrived = registry.layer(blob, archive).await?;
            let installed = self.install(registry, blob, (archive, arrived), turn).await?;
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
                LayerError::Unpack(
                    failure @ (UnpackError::Broken(_) | UnpackError::TooLarge(_)),
                ) => {
                    let layer = format!("layer {}", blob.digest);
                    return Err(registry.broken(&layer, failure.to_string()));
                }
                LayerError::Unpack(UnpackError::Disk { what, error }) => {
                    return Err(self.disk(asked, &what, &error));
                }
            }
        }
    }

    /// Other agents for the rest of a layer. What one of them leaves unfinished the next goes on with, and then the
    /// registry. It has to say that the image's repository has the layer: what it keeps from the one who asks, others
    /// do not give either.
    async fn ask_others(&self, pull: &Pull<'_>, blob: &Blob, archive: &Path) {
        let holders = pull.holders.get(&blob.digest).filter(|holders| !holders.is_empty());
        let (Some(shared), Some(holders)) = (&self.shared, holders) else { return };
        if !pull.registry.has(blob).await {
            return;
        }
        for holder in holders {
            let (agent, layer) = (&holder.address, &blob.digest);
            match shared.seeker.download(holder, blob, archive).await {
                Ok(()) => {
                    tracing::info!(%agent, %layer, "took a layer from another agent");
                    return;
                }
                Err(cause) => {
                    let cause = format!("{cause:#}");
                    tracing::info!(%agent, %layer, cause, "another agent does not give a layer");
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
        (archive, arrived): (&Path, Arrived),
        turn: OwnedSemaphorePermit,
    ) -> Result<Result<(), LayerError>, PullError> {
        // At once: whoever was given up in the middle of the same layer removes the file when it is done with it.
        let opened = File::open(archive);
        let unpacking = Arc::clone(&self.unpacking).acquire_owned().await;
        let unpacking = unpacking.expect("this semaphore is never closed");
        let (inner, blob, archive) = (Arc::clone(self), blob.clone(), archive.to_owned());
        let layer = format!("layer {}", blob.digest);
        let work = move || {
            let disk = |error| {
                let what = archive.display().to_string();
                LayerError::Unpack(UnpackError::Disk { what, error })
            };
            let opened = opened.map_err(disk)?;
            let proof = match arrived {
                Arrived::AtOnce => Proof::Given,
                Arrived::InParts => Proof::Wanted,
            };
            let unpacked = unpack(&inner, &blob, proof, opened)?;
            match &inner.shared {
                Some(shared) => shared.keeper.keep(&blob.digest, &archive).map_err(disk)?,
                // What is not there need not be flushed.
                None => drop(Temporary::new(archive)),
            }
            drop((unpacking, turn));
            settle(&inner, &blob, &unpacked)
        };
        // A stranger's bytes may find a bug in us; that costs this image and not the agent.
        spawn_blocking(work).await.map_err(|error| registry.broken(&layer, error.to_string()))
    }

    /// How much of a layer is there.
    pub(crate) fn arrived(&self, blob: &Blob) -> u64 {
        if self.index.has_layer(&blob.digest) {
            return blob.size;
        }
        // Downloaded, and on its way from there.
        let about = fs::metadata(self.partial_path(&blob.digest));
        about.map_or(0, |about| about.len().min(blob.size))
    }
}
