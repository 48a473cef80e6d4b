//! Storage that outlives a container, of apps and pods alike.

use ::placement::Operator;
use services::spec::volume::{DiskKind, PersistentVolume};

use super::faults::{Faults, WHOLE_MAX};
use super::placement;
use crate::marathon::number::Whole;
use crate::marathon::shared;

/// The paths of faults begin within `persistent`.
pub(super) fn persistent(info: &shared::PersistentVolume, faults: &mut Faults) -> PersistentVolume {
    let kind = match info.kind.as_deref() {
        None => None,
        Some("root") => Some(DiskKind::Root),
        Some("path") => Some(DiskKind::Path),
        Some("mount") => Some(DiskKind::Mount),
        Some(_) => {
            faults.add("/type", "must be one of root, path and mount");
            None
        }
    };
    if info.size.is_none() {
        faults.add("/size", "undefined");
    }
    if info.max_size.is_some() && kind != Some(DiskKind::Mount) {
        faults.add("/maxSize", "may only be set for mount volumes");
    }
    let mut constraints = Vec::new();
    for (n, words) in info.constraints.iter().flatten().enumerate() {
        match placement::constraint(words) {
            Ok(one) if one.field == "path" => match one.operator {
                Operator::Like | Operator::Unlike => constraints.push(one),
                Operator::Unique
                | Operator::Cluster
                | Operator::GroupBy
                | Operator::MaxPer
                | Operator::Is => {
                    faults.add(format!("/constraints({n})"), "must be LIKE or UNLIKE");
                }
            },
            Ok(_) => faults.add(format!("/constraints({n})"), "is not about 'path'"),
            Err(message) => faults.add(format!("/constraints({n})"), message),
        }
    }
    PersistentVolume {
        kind,
        size: size("/size", info.size.unwrap_or_default(), faults),
        size_max: info.max_size.map(|given| size("/maxSize", given, faults)),
        profile: info.profile_name.clone(),
        constraints,
    }
}

/// MiB, more than nothing.
fn size(path: &str, given: Whole, faults: &mut Faults) -> u64 {
    if !(1..=WHOLE_MAX).contains(&given.0) {
        faults.add(path, format!("must be from 1 to {WHOLE_MAX}"));
        return 0;
    }
    given.0.unsigned_abs()
}
