//! What is wrong with operations on what resource providers bring, as strictly as Mesos' master judges.

use model::resources::{DiskKind, Resource, ResourceName, Resources};

use crate::judge::{Judgement, judge, one};

/// An operation is carried out by one provider, or by the agent.
pub(crate) fn of_one_provider(field: &str, all: &[Resource]) -> Judgement {
    let Some(first) = all.first() else { return Ok(()) };
    if all.iter().all(|one| one.provider == first.provider) {
        return Ok(());
    }
    if all.iter().any(|one| one.provider.is_none()) {
        return Err(format!("{field}: some have a resource provider and some do not"));
    }
    let mut ids: Vec<&str> =
        all.iter().filter_map(Resource::provider).map(model::id::ProviderId::as_str).collect();
    ids.sort_unstable();
    ids.dedup();
    Err(format!("{field}: they have multiple resource providers: {}", ids.join(", ")))
}

/// What the agent can do only with what is its own.
pub(crate) fn is_own(field: &str, volume: &Resource) -> Judgement {
    judge(volume.provider.is_none(), || {
        format!("{field}.provider_id: a volume of a resource provider keeps its size")
    })
}

pub(crate) fn create(source: &Resource, target: DiskKind, profile: Option<&str>) -> Judgement {
    managed(source)?;
    judge(is_disk(source, &[DiskKind::Raw]), || "'source' is not a RAW disk resource".to_owned())?;
    judge(matches!(target, DiskKind::Mount | DiskKind::Block), || {
        "'target_type' is neither MOUNT or BLOCK".to_owned()
    })?;
    let own = source.source().and_then(|source| source.profile.as_deref());
    match (own, profile) {
        (Some(_), Some(_)) => {
            Err("'target_profile' must not be set when 'source' has a profile".to_owned())
        }
        (None, None) => Err("'target_profile' must be set when 'source' has no profile".to_owned()),
        (Some(_), None) | (None, Some(_)) => Ok(()),
    }
}

pub(crate) fn destroy(source: &Resource) -> Judgement {
    managed(source)?;
    judge(is_disk(source, &[DiskKind::Mount, DiskKind::Block, DiskKind::Raw]), || {
        "'source' is neither a MOUNT, BLOCK or RAW disk resource".to_owned()
    })?;
    judge(source.source().is_some_and(|source| source.id.is_some()), || {
        "'source' is not backed by a CSI volume".to_owned()
    })?;
    judge(!source.is_persistent_volume(), || {
        let volume = Resources::new([source.clone()]);
        format!("'source' holds the persistent volume {volume}: destroy that first, then the disk")
    })
}

fn managed(source: &Resource) -> Judgement {
    one(source).map_err(|fault| format!("source.{fault}"))?;
    judge(source.provider.is_some(), || "'source' is not managed by a resource provider".to_owned())
}

fn is_disk(one: &Resource, kinds: &[DiskKind]) -> bool {
    let kind = one.source().map(|source| source.kind);
    one.name == ResourceName::Disk && kind.is_some_and(|kind| kinds.contains(&kind))
}
