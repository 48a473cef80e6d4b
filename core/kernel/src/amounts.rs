//! How much resources amount to: for shares, and for quotas.

use std::collections::BTreeMap;

use model::resources::{Amount, Resource, ResourceName, Resources, Scalar};

use crate::quota::Quantities;

/// What nearly every quota is about.
const KNOWN: [ResourceName; 4] =
    [ResourceName::Cpus, ResourceName::Mem, ResourceName::Disk, ResourceName::Gpus];

/// Thousandths of scalars.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counted {
    known: [u64; 4],
    /// Of other names. None of them is zero.
    others: BTreeMap<String, u64>,
}

impl Counted {
    fn of<'a>(all: impl Iterator<Item = &'a Resource>) -> Self {
        let mut sum = Self::default();
        for one in all {
            let Amount::Scalar(amount) = &one.amount else { continue };
            match &one.name {
                ResourceName::Cpus => sum.known[0] += amount.0,
                ResourceName::Mem => sum.known[1] += amount.0,
                ResourceName::Disk => sum.known[2] += amount.0,
                ResourceName::Gpus => sum.known[3] += amount.0,
                ResourceName::Ports => (),
                ResourceName::Other(name) => {
                    *sum.others.entry(name.clone()).or_default() += amount.0;
                }
            }
        }
        sum
    }

    /// Of what is free: as much as quotas are about.
    pub(crate) fn spare(free: &Resources) -> Self {
        Self::of(free.iter().filter(|one| counts(one)))
    }

    pub(crate) fn add(&mut self, other: &Counted) {
        self.known.iter_mut().zip(other.known).for_each(|(mine, theirs)| *mine += theirs);
        for (name, amount) in &other.others {
            *self.others.entry(name.clone()).or_default() += amount;
        }
    }

    pub(crate) fn subtract(&mut self, other: &Counted) {
        let charged = "what is given back was charged before";
        for (mine, theirs) in self.known.iter_mut().zip(other.known) {
            *mine = mine.checked_sub(theirs).expect(charged);
        }
        for (name, amount) in &other.others {
            let mine = self.others.get_mut(name).expect(charged);
            *mine = mine.checked_sub(*amount).expect(charged);
            if *mine == 0 {
                self.others.remove(name);
            }
        }
    }

    /// Of everything whatever one of the two has more of.
    pub(crate) fn at_least(mut self, other: &Counted) -> Self {
        self.known.iter_mut().zip(other.known).for_each(|(mine, theirs)| *mine = theirs.max(*mine));
        for (name, amount) in &other.others {
            let mine = self.others.entry(name.clone()).or_default();
            *mine = amount.max(mine).to_owned();
        }
        self
    }

    /// What is left of it beside the other, if anything.
    pub(crate) fn without(&self, other: &Counted) -> Self {
        let mut left = self.clone();
        for (mine, theirs) in left.known.iter_mut().zip(other.known) {
            *mine = mine.saturating_sub(theirs);
        }
        left.others.retain(|name, mine| {
            *mine = mine.saturating_sub(other.others.get(name).copied().unwrap_or(0));
            *mine > 0
        });
        left
    }

    /// Whether it is more of anything.
    pub(crate) fn exceeds(&self, other: &Counted) -> bool {
        let mut known = self.known.iter().zip(other.known);
        let is_more = |(name, mine): (&String, &u64)| {
            other.others.get(name).is_none_or(|theirs| mine > theirs)
        };
        known.any(|(mine, theirs)| *mine > theirs) || self.others.iter().any(is_more)
    }

    pub(crate) fn get(&self, name: &ResourceName) -> Scalar {
        Scalar(match name {
            ResourceName::Cpus => self.known[0],
            ResourceName::Mem => self.known[1],
            ResourceName::Disk => self.known[2],
            ResourceName::Gpus => self.known[3],
            ResourceName::Ports => 0,
            ResourceName::Other(name) => self.others.get(name).copied().unwrap_or(0),
        })
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.known == [0; 4] && self.others.is_empty()
    }

    pub(crate) fn quantities(&self) -> Quantities {
        let known = KNOWN.into_iter().zip(self.known.map(Scalar));
        let others = self.others.iter();
        let others =
            others.map(|(name, amount)| (ResourceName::Other(name.clone()), Scalar(*amount)));
        known.chain(others).filter(|(_, amount)| !amount.is_zero()).collect()
    }
}

impl From<&Quantities> for Counted {
    fn from(quantities: &Quantities) -> Self {
        let all = quantities.iter().filter(|(_, amount)| !amount.is_zero());
        let all: Vec<Resource> = all
            .map(|(name, amount)| Resource::plain(name.clone(), Amount::Scalar(amount)))
            .collect();
        Self::of(all.iter())
    }
}

/// Whether a quota is about it when it is used. What is reserved counts already, and what may be revoked is a gift.
fn counts(one: &Resource) -> bool {
    one.role().is_none() && !one.revocable
}

/// What is held of the cluster: all of it counts for shares; what is not reserved, and what is reserved whether it is
/// used or not, counts for quotas.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Amounts {
    /// Thousandths of cpus, memory, disk and gpus.
    pub(crate) shared: [u64; 4],
    pub(crate) counted: Counted,
}

impl Amounts {
    /// Of what is used or offered.
    pub(crate) fn of(resources: &Resources) -> Self {
        // Several may hold a shared volume at once: it is nobody's share.
        let disk = resources.unshared_scalar(&ResourceName::Disk);
        Self {
            shared: [resources.cpus().0, resources.mem().0, disk.0, resources.gpus().0],
            counted: Counted::of(resources.iter().filter(|one| counts(one))),
        }
    }

    /// Of what is set aside for a role.
    pub(crate) fn reserved<'a>(all: impl IntoIterator<Item = &'a Resource>) -> Self {
        Self { shared: [0; 4], counted: Counted::of(all.into_iter()) }
    }

    pub(crate) fn add(&mut self, other: &Amounts) {
        self.shared.iter_mut().zip(other.shared).for_each(|(mine, theirs)| *mine += theirs);
        self.counted.add(&other.counted);
    }

    pub(crate) fn subtract(&mut self, other: &Amounts) {
        for (mine, theirs) in self.shared.iter_mut().zip(other.shared) {
            *mine = mine.checked_sub(theirs).expect("what is given back was charged before");
        }
        self.counted.subtract(&other.counted);
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.shared == [0; 4] && self.counted.is_zero()
    }
}

/// What a role or framework takes and gives back in one go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) plus: Amounts,
    pub(crate) minus: Amounts,
}

impl Change {
    pub(crate) fn plus(plus: Amounts) -> Self {
        Self { plus, minus: Amounts::default() }
    }

    pub(crate) fn minus(minus: Amounts) -> Self {
        Self { plus: Amounts::default(), minus }
    }

    pub(crate) fn apply(&self, to: &mut Amounts) {
        to.add(&self.plus);
        to.subtract(&self.minus);
    }
}

/// How much more may be used within the limits that apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Headroom {
    known: [u64; 4],
    others: BTreeMap<String, u64>,
}

impl From<&Quantities> for Headroom {
    fn from(limits: &Quantities) -> Self {
        let mut all = Self::unlimited();
        for (name, limit) in limits.iter() {
            if let ResourceName::Other(name) = name {
                all.others.insert(name.clone(), limit.0);
            } else if let Some(mine) = all.room(name) {
                *mine = limit.0;
            }
        }
        all
    }
}

impl Headroom {
    pub(crate) const fn unlimited() -> Self {
        Self { known: [u64::MAX; 4], others: BTreeMap::new() }
    }

    /// These limits apply as well, of which so much is used up.
    pub(crate) fn narrow(&mut self, limits: &Headroom, used: &Counted) {
        for (at, mine) in self.known.iter_mut().enumerate() {
            if limits.known[at] < u64::MAX {
                *mine = limits.known[at].saturating_sub(used.known[at]).min(*mine);
            }
        }
        for (name, limit) in &limits.others {
            let left = limit.saturating_sub(used.others.get(name).copied().unwrap_or(0));
            let mine = self.others.entry(name.clone()).or_insert(u64::MAX);
            *mine = left.min(*mine);
        }
    }

    /// What is used more of than that.
    pub(crate) fn exceeded_by(&self, used: &Counted) -> Vec<ResourceName> {
        let known = KNOWN.into_iter().zip(self.known.iter().zip(used.known));
        let known = known.filter(|(_, (limit, used))| used > limit).map(|(name, _)| name);
        let is_over = |(name, limit): &(&String, &u64)| {
            used.others.get(*name).is_some_and(|used| used > limit)
        };
        let others = self.others.iter().filter(is_over);
        known.chain(others.map(|(name, _)| ResourceName::Other(name.clone()))).collect()
    }

    /// No more than that of what is laid aside for anybody, whatever the limits.
    pub(crate) fn narrow_where(&mut self, laid_aside: &Counted, left: &Counted) {
        for (at, mine) in self.known.iter_mut().enumerate() {
            if laid_aside.known[at] > 0 {
                *mine = left.known[at].min(*mine);
            }
        }
        for name in laid_aside.others.keys() {
            let mine = self.others.entry(name.clone()).or_insert(u64::MAX);
            *mine = left.others.get(name).copied().unwrap_or(0).min(*mine);
        }
    }

    pub(crate) fn left(&self, name: &ResourceName) -> Scalar {
        Scalar(match name {
            ResourceName::Cpus => self.known[0],
            ResourceName::Mem => self.known[1],
            ResourceName::Disk => self.known[2],
            ResourceName::Gpus => self.known[3],
            ResourceName::Ports => u64::MAX,
            ResourceName::Other(name) => self.others.get(name).copied().unwrap_or(u64::MAX),
        })
    }

    /// Whether there is room for all of this.
    pub(crate) fn covers(&self, counted: &Counted) -> bool {
        let Counted { known, others } = counted;
        let is_within =
            |(name, left): (&String, &u64)| others.get(name).is_none_or(|one| one <= left);
        self.known.iter().zip(known).all(|(left, one)| one <= left)
            && self.others.iter().all(is_within)
    }

    fn room(&mut self, name: &ResourceName) -> Option<&mut u64> {
        match name {
            ResourceName::Cpus => Some(&mut self.known[0]),
            ResourceName::Mem => Some(&mut self.known[1]),
            ResourceName::Disk => Some(&mut self.known[2]),
            ResourceName::Gpus => Some(&mut self.known[3]),
            ResourceName::Ports => None,
            ResourceName::Other(name) => self.others.get_mut(name),
        }
    }

    /// As much of these as there is room for. What is reserved counts already.
    pub(crate) fn cut(mut self, resources: Resources) -> Resources {
        let all = resources.iter().filter_map(|one| self.cut_one(one));
        Resources::new(all.collect::<Vec<_>>())
    }

    fn cut_one(&mut self, one: &Resource) -> Option<Resource> {
        let Amount::Scalar(amount) = &one.amount else { return Some(one.clone()) };
        if !counts(one) {
            return Some(one.clone());
        }
        let Some(left) = self.room(&one.name) else { return Some(one.clone()) };
        let given = match one.is_whole() && amount.0 > *left {
            true => 0,
            false => amount.0.min(*left),
        };
        *left -= given;
        (given > 0).then(|| one.sized(Scalar(given)))
    }
}
