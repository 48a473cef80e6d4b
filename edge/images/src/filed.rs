//! Pulls from files of this machine.

use std::sync::Arc;

use futures::future::try_join_all;
use tokio::task::spawn_blocking;

use crate::bundle::{Bundle, Place};
use crate::index::Image;
use crate::install::{settle, unpack};
use crate::layer::{self, LayerError, Proof};
use crate::manifest::{self, Blob, Manifest};
use crate::store::{Inner, MANIFEST_LISTS_MAX, largest_first};
use crate::tree::UnpackError;
use crate::{Prepared, PullError, PullRequest};

/// What a bundle's image consists of.
struct Described {
    digest: String,
    image: Image,
    layers: Vec<Blob>,
}

impl Inner {
    pub(crate) async fn pull_file(
        self: &Arc<Self>,
        place: &Place,
        request: PullRequest<'_>,
    ) -> Result<Prepared, PullError> {
        let full = place.whole();
        if !request.force
            && let Some(prepared) = self.here(&full)
        {
            return Ok(prepared);
        }
        let (from, asked, aside) = (place.clone(), request.name.to_owned(), self.temporary());
        let (locals, bytes_max) = (self.config.locals.clone(), self.config.layer_bytes_max);
        let read = move || {
            let mut bundle = Bundle::open((&from, locals), &asked, (&aside, bytes_max))?;
            let described = describe(&mut bundle, &asked)?;
            Ok::<_, PullError>((bundle, described))
        };
        let (bundle, Described { digest, image, layers }) = self.aside(request.name, read).await?;
        let keep = self.pin(&digest, &image.layers);
        let bundle = Arc::new(bundle);
        let layers = largest_first(&layers).map(|blob| self.layer_of(&bundle, blob, request.name));
        try_join_all(layers).await?;
        self.remember(&full, &digest, &image)
            .await
            .map_err(|error| self.disk(request.name, "the index", &error))?;
        tracing::info!(image = %full, %digest, "took an image from a file");
        Ok(self.prepared(&digest, &image, keep))
    }

    async fn layer_of(
        self: &Arc<Self>,
        bundle: &Arc<Bundle>,
        blob: &Blob,
        asked: &str,
    ) -> Result<(), PullError> {
        if self.index.has_layer(&blob.digest) {
            return Ok(());
        }
        let bring = async {
            let turn = Arc::clone(&self.unpacking).acquire_owned().await;
            let turn = turn.expect("this semaphore is never closed");
            let (inner, bundle, blob, name) =
                (Arc::clone(self), Arc::clone(bundle), blob.clone(), asked.to_owned());
            let work = move || {
                let unpacked = unpack(&inner, &blob, Proof::Wanted, bundle.layer(&blob)?);
                drop(turn);
                let installed = unpacked.and_then(|unpacked| settle(&inner, &blob, &unpacked));
                installed.map_err(|failure| {
                    let digest = &blob.digest;
                    match failure {
                        LayerError::Digest(actual) => bundle
                            .refuse(format!("layer {digest} is damaged: it has digest {actual}")),
                        LayerError::Unpack(UnpackError::Unsafe { entry, cause }) => {
                            PullError::Unsafe { image: name, layer: digest.clone(), entry, cause }
                        }
                        LayerError::Unpack(
                            failure @ (UnpackError::Broken(_) | UnpackError::TooLarge(_)),
                        ) => bundle.refuse(format!("layer {digest}: {failure}")),
                        LayerError::Unpack(UnpackError::Disk { what, error }) => {
                            inner.disk(&name, &what, &error)
                        }
                    }
                })
            };
            self.aside(asked, work).await
        };
        let arrival = self.layers.join(&blob.digest, Box::pin(bring)).await;
        arrival.map_err(|error| error.told_of(asked))
    }

    /// A stranger's bytes may find a bug in us; that costs this image and not the agent.
    async fn aside<T: Send + 'static>(
        &self,
        image: &str,
        work: impl FnOnce() -> Result<T, PullError> + Send + 'static,
    ) -> Result<T, PullError> {
        spawn_blocking(work).await.map_err(|error| {
            let (image, part) = (image.to_owned(), "the file".to_owned());
            PullError::Broken { image, part, cause: error.to_string() }
        })?
    }
}

/// By the manifest for this platform.
fn describe(bundle: &mut Bundle, asked: &str) -> Result<Described, PullError> {
    let mut bytes = bundle.root()?;
    for _ in 0..=MANIFEST_LISTS_MAX {
        let parsed = manifest::parse(&bytes).map_err(|cause| bundle.refuse(cause))?;
        let choices = match parsed {
            Manifest::Image { config, layers } => {
                let digest = layer::digest_of(&bytes, "sha256:");
                let config = manifest::parse_config(&bundle.document(&config.digest)?);
                let config =
                    config.map_err(|cause| bundle.refuse(format!("its config: {cause}")))?;
                let digests = layers.iter().map(|blob| blob.digest.clone()).collect();
                return Ok(Described { digest, image: Image { layers: digests, config }, layers });
            }
            Manifest::List(choices) => choices,
        };
        let chosen = manifest::choose(&choices).map_err(|(wanted, offered)| {
            PullError::Platform { image: asked.into(), wanted, offered }
        })?;
        bytes = bundle.document(chosen)?;
    }
    Err(bundle.refuse(format!("it has more than {MANIFEST_LISTS_MAX} lists in each other")))
}
