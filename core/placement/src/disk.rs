//! Volumes on disks other than the agent's own: which disk of an offer each of them takes.

use std::cmp::Reverse;

use model::resources::{DiskKind, Resource, ResourceName, Scalar};

use crate::demand::{Demand, Lack};
use crate::fit::Need;
use crate::room::Room;
use crate::rule::Rule;

/// What one volume asks of its disk.
#[derive(Debug, Clone)]
pub struct DiskNeed {
    pub share: Share,
    pub size: Scalar,
    /// Of this storage profile, or of none.
    pub profile: Option<String>,
    /// About the directory at which the disk is.
    pub rules: Vec<Rule>,
}

/// How much of its disk a volume takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// As much as it needs of a directory that others use, too: a PATH disk.
    Part,
    /// All of a file system, however large, unless it is larger than that: a MOUNT disk.
    Whole { max: Option<Scalar> },
}

/// Which of a room's disks, and how much of it.
pub(crate) type Pick = (usize, Scalar);

/// A place that a volume of an app can be made on. Its profile and path are asked for when a volume is.
pub(crate) fn is_disk(one: &Resource) -> bool {
    let kind = one.source().map(|source| source.kind);
    let is_usable = !one.is_persistent_volume() && !one.shared && !one.revocable;
    one.name == ResourceName::Disk && is_usable && kind.is_some_and(is_for_volumes)
}

fn is_for_volumes(kind: DiskKind) -> bool {
    match kind {
        DiskKind::Path | DiskKind::Mount => true,
        DiskKind::Unknown | DiskKind::Block | DiskKind::Raw => false,
    }
}

/// A disk for each volume in turn, or those volumes that there is none for.
pub(crate) fn pick_disks(need: &Need, room: &Room) -> Result<Vec<Pick>, Vec<Lack>> {
    if need.disks.is_empty() {
        return Ok(Vec::new());
    }
    let mut picks = vec![None; need.disks.len()];
    pick_whole(need, room, &mut picks);
    pick_parts(need, room, &mut picks);
    let lacks: Vec<Lack> = (0..picks.len())
        .filter(|nth| picks[*nth].is_none())
        .map(|nth| Lack { demand: nth_volume(nth), missing: missing(need, nth, room) })
        .collect();
    match lacks.is_empty() {
        true => Ok(picks.into_iter().flatten().collect()),
        false => Err(lacks),
    }
}

pub(crate) fn nth_volume(nth: usize) -> Demand {
    Demand::Volume(u16::try_from(nth).unwrap_or(u16::MAX))
}

/// Disks that are taken whole. The smallest are tried first, and who has one gives it up for another if somebody else can
/// have none but that.
fn pick_whole(need: &Need, room: &Room, picks: &mut [Option<Pick>]) {
    let suited = |wanted: &DiskNeed| {
        let mut all: Vec<usize> =
            (0..room.disks.len()).filter(|at| wanted.takes_whole(&room.disks[*at], need)).collect();
        all.sort_by_key(|at| room.disks[*at].scalar());
        all
    };
    let suited: Vec<Vec<usize>> = need.disks.iter().map(suited).collect();
    let mut owners = vec![None; room.disks.len()];
    for nth in 0..need.disks.len() {
        settle(nth, &suited, &mut owners, &mut vec![false; room.disks.len()]);
    }
    for (at, owner) in owners.into_iter().enumerate() {
        if let Some(nth) = owner {
            picks[nth] = Some((at, room.disks[at].scalar()));
        }
    }
}

fn settle(
    nth: usize,
    suited: &[Vec<usize>],
    owners: &mut [Option<usize>],
    asked: &mut [bool],
) -> bool {
    let free = suited[nth].iter().find(|at| owners[**at].is_none());
    if let Some(at) = free {
        owners[*at] = Some(nth);
        return true;
    }
    for at in &suited[nth] {
        if std::mem::replace(&mut asked[*at], true) {
            continue;
        }
        let owner = owners[*at].expect("none of them is free");
        if settle(owner, suited, owners, asked) {
            owners[*at] = Some(nth);
            return true;
        }
    }
    false
}

/// Disks that are shared: the largest volume first, each where it leaves least.
fn pick_parts(need: &Need, room: &Room, picks: &mut [Option<Pick>]) {
    let mut free: Vec<Scalar> = room.disks.iter().map(Resource::scalar).collect();
    let mut order: Vec<usize> = (0..need.disks.len()).collect();
    order.sort_by_key(|nth| Reverse(need.disks[*nth].size));
    for nth in order {
        let wanted = &need.disks[nth];
        let suits =
            |at: &usize| wanted.size <= free[*at] && wanted.takes_part(&room.disks[*at], need);
        let best = (0..free.len()).filter(suits).min_by_key(|at| free[*at]);
        if let Some(at) = best {
            free[at].0 -= wanted.size.0;
            picks[nth] = Some((at, wanted.size));
        }
    }
}

/// How much larger the largest disk would have to be that is right but for being too small. Nothing if there is none,
/// and nothing if it is large enough and another of the volumes has it.
fn missing(need: &Need, nth: usize, room: &Room) -> Scalar {
    let wanted = &need.disks[nth];
    let small = DiskNeed { size: Scalar(1), ..wanted.clone() };
    let suits = |one: &&Resource| small.takes_part(one, need) || small.takes_whole(one, need);
    let largest = room.disks.iter().filter(suits).map(Resource::scalar).max();
    largest.map_or(Scalar(0), |largest| Scalar(wanted.size.0.saturating_sub(largest.0)))
}

impl DiskNeed {
    fn takes_part(&self, disk: &Resource, need: &Need) -> bool {
        match self.share {
            Share::Part => !disk.is_whole() && self.size <= disk.scalar() && self.suits(disk, need),
            Share::Whole { .. } => false,
        }
    }

    fn takes_whole(&self, disk: &Resource, need: &Need) -> bool {
        let is_mount = disk.source().is_some_and(|source| source.kind == DiskKind::Mount);
        let size = disk.scalar();
        match self.share {
            Share::Part => false,
            Share::Whole { max } => {
                let is_right_size = self.size <= size && max.is_none_or(|max| size <= max);
                is_mount && is_right_size && self.suits(disk, need)
            }
        }
    }

    fn suits(&self, disk: &Resource, need: &Need) -> bool {
        let Some(source) = disk.source() else { return false };
        let path = source.root.as_deref().unwrap_or_default();
        need.may_use(&disk.reservations)
            && source.profile == self.profile
            && self.rules.iter().all(|rule| rule.test.judges(path))
    }
}
