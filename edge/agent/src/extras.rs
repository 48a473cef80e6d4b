//! The volumes of a container that are more than paths: their images are pulled, and paths of the machine looked at.

use anyhow::{Context, Result};
use containers::spec::{Mount, Source};
use futures::future::try_join_all;
use images::{Keep, PullRequest, Store};
use model::container::{ContainerInfo, Image, OtherVolume, Volume, VolumeSource};
use tokio::task::spawn_blocking;

use crate::asked::Asked;
use crate::host_paths::HostPaths;

/// What a container is given.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    pub(crate) volumes: Vec<Volume>,
    pub(crate) mounts: Vec<Mount>,
    /// Spares the images for as long as the container is there.
    pub(crate) keeps: Vec<Keep>,
}

/// Those that it asks for itself.
pub(crate) async fn gather(
    images: &Store,
    paths: &HostPaths,
    asked: Option<&ContainerInfo>,
) -> Result<Extras> {
    let Some(asked) = asked else { return Ok(Extras::default()) };
    let words = Asked::read(Some(asked))?.volumes;
    let plain: Vec<Volume> = asked.volumes.iter().cloned().chain(words).collect();
    let allowed = paths.clone();
    let (volumes, mut mounts) = spawn_blocking(move || allowed.admit(plain)).await??;
    let others = asked.bounds.iter().flat_map(|bounds| &bounds.volumes);
    let others = others.map(|volume| other(images, paths, volume));
    let mut keeps = Vec::new();
    for (mount, keep) in try_join_all(others).await? {
        mounts.push(mount);
        keeps.extend(keep);
    }
    Ok(Extras { volumes, mounts, keeps })
}

async fn other(
    images: &Store,
    paths: &HostPaths,
    volume: &OtherVolume,
) -> Result<(Mount, Option<Keep>)> {
    match &volume.source {
        VolumeSource::Image(image) => {
            let image = images.pull(request(image)?).await?;
            let (container_path, source) =
                (volume.container_path.clone(), Source::Layers(image.layers));
            Ok((Mount { container_path, mode: volume.mode, source }, Some(image.keep)))
        }
        VolumeSource::HostPath { path, propagation } => {
            let (paths, volume) = (paths.clone(), volume.clone());
            let (path, propagation) = (path.clone(), *propagation);
            let look = move || paths.propagated(&volume, &path, propagation);
            Ok((spawn_blocking(look).await??, None))
        }
        VolumeSource::Secret(secret) => {
            let (container_path, source) =
                (volume.container_path.clone(), Source::Secret(secret.clone()));
            Ok((Mount { container_path, mode: volume.mode, source }, None))
        }
    }
}

/// How an image is asked for: with the login that it brings itself, if it does.
pub(crate) fn request(image: &Image) -> Result<PullRequest<'_>> {
    let login = image.login.as_ref().map(|login| str::from_utf8(login.bytes()));
    let credentials = login.transpose().context("the config of its image is no text")?;
    Ok(PullRequest { name: &image.name, force: image.force_pull, credentials })
}
