//! Removes the images that nobody uses.

use axum::response::Response;
use mesos_v1::agent::call::PruneImages;
use mesos_v1::image;

use super::done;
use crate::api::Api;
use crate::guests::Refusal;

pub(super) async fn prune(api: &Api, wanted: PruneImages) -> Result<Response, Refusal> {
    let mut excluded = Vec::new();
    for image in wanted.excluded_images {
        let docker = image.docker.as_ref().filter(|_| image.r#type() == image::Type::Docker);
        let docker = docker.ok_or_else(|| {
            let cause = "'excluded_images' can only hold images of type DOCKER, with their names";
            Refusal::Bad(cause.to_owned())
        })?;
        excluded.push(docker.name.clone());
    }
    let pruned = api.0.images.prune_but(&excluded, &in_use(api)).await;
    pruned.map_err(|cause| Refusal::Mishap(format!("{cause:#}")))?;
    Ok(done())
}

/// What an earlier life of the agent has started is not spared by what this one keeps.
fn in_use(api: &Api) -> Vec<String> {
    let view = api.0.board.view();
    let tasks = view.held.values().filter(|held| !held.is_ended());
    let tasks = tasks.filter_map(|held| held.info.container.as_ref()?.image.as_ref());
    let programs = view.executors.values().filter_map(|executor| executor.info.program.as_ref());
    let programs = programs.filter_map(|program| program.container.as_ref()?.image.as_ref());
    let names = tasks.chain(programs).map(|image| image.name.clone());
    names.chain(api.0.guests.images()).collect()
}
