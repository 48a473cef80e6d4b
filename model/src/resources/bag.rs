//! A bag of resources and how it is reckoned with.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minicbor::{Decode, Decoder, Encode, Encoder};

use super::{Amount, DiskSource, Ranges, Resource, ResourceName, Scalar};
use crate::id::{ProviderId, Role};

/// A bag of resources, sorted, none of them empty. What differs in its amount alone is one entry, but for what is used
/// whole: each volume is an entry of its own, and a shared one is there as often as it is held.
///
/// A copy shares the entries until one of the two changes: what an agent has, what is free of it, what is offered and what
/// was refused is one and the same as long as nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// `None` if there are none, so that equal bags are equal.
    entries: Option<Arc<Vec<Resource>>>,
}

impl<C> Encode<C> for Resources {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        self.entries().encode(e, context)
    }
}

impl<'b, C> Decode<'b, C> for Resources {
    fn decode(d: &mut Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self::of(Vec::decode(d, context)?))
    }
}

/// All that tells two entries apart but their amounts: what several providers bring never becomes one. Where a task sees a volume does not: another may see it elsewhere.
fn by_kind(one: &Resource, other: &Resource) -> Ordering {
    let rest = |one: &Resource| (one.shared, one.revocable, one.amount.kind());
    one.name
        .cmp(&other.name)
        .then_with(|| one.reservations.cmp(&other.reservations))
        .then_with(|| disk(one).cmp(&disk(other)))
        .then_with(|| one.provider.cmp(&other.provider))
        .then_with(|| rest(one).cmp(&rest(other)))
}

fn disk(one: &Resource) -> Option<(Option<&str>, Option<&DiskSource>)> {
    let disk = one.disk.as_ref()?;
    Some((disk.persistence.as_ref().map(|volume| volume.id.as_str()), disk.source.as_ref()))
}

impl Resources {
    pub fn new(all: impl IntoIterator<Item = Resource>) -> Self {
        let mut bag = Self::default();
        for resource in all {
            bag.add_one(&resource);
        }
        bag
    }

    fn of(entries: Vec<Resource>) -> Self {
        Self { entries: (!entries.is_empty()).then(|| Arc::new(entries)) }
    }

    fn entries(&self) -> &[Resource] {
        self.entries.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Nobody else's from now on. Whoever takes the last one out says so.
    fn entries_mut(&mut self) -> &mut Vec<Resource> {
        Arc::make_mut(self.entries.get_or_insert_default())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.entries().iter()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_none()
    }

    /// Whether it is not even a copy: they have never differed.
    fn is_same(&self, other: &Resources) -> bool {
        match (&self.entries, &other.entries) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Where it would be taken from: of what is used whole, the very same.
    fn position(&self, of: &Resource) -> Result<usize, usize> {
        let first = self.entries().partition_point(|one| by_kind(one, of).is_lt());
        let mut alike = self.entries()[first..].iter().take_while(|one| by_kind(one, of).is_eq());
        let found = alike.position(|one| !of.is_whole() || one.amount == of.amount);
        found.map(|at| first + at).ok_or(first)
    }

    /// How often a volume is there.
    fn count(&self, of: &Resource) -> usize {
        let Ok(first) = self.position(of) else { return 0 };
        let alike = self.entries()[first..].iter().take_while(|one| by_kind(one, of).is_eq());
        alike.filter(|one| one.amount == of.amount).count()
    }

    pub(super) fn add_one(&mut self, resource: &Resource) {
        if resource.amount.is_empty() {
            return;
        }
        match self.position(resource) {
            Ok(at) if !resource.is_whole() => self.entries_mut()[at].amount.add(&resource.amount),
            Ok(at) | Err(at) => self.entries_mut().insert(at, resource.clone()),
        }
    }

    pub fn add(&mut self, other: &Resources) {
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        other.entries().iter().for_each(|resource| self.add_one(resource));
    }

    pub fn contains(&self, other: &Resources) -> bool {
        let has = |theirs: &Resource| match theirs.is_whole() {
            true => other.count(theirs) <= self.count(theirs),
            false => {
                let mine = self.position(theirs).map(|at| &self.entries()[at]);
                mine.is_ok_and(|mine| mine.amount.contains(&theirs.amount))
            }
        };
        self.is_same(other) || other.iter().all(has)
    }

    /// Takes `other` out. The caller has made sure that it is there.
    pub fn subtract(&mut self, other: &Resources) {
        assert!(self.contains(other), "subtracting {other} from {self}");
        self.take(other);
    }

    /// What is left without `other`; what is not there cannot be taken and is passed over.
    #[must_use]
    pub fn minus(&self, other: &Resources) -> Resources {
        let mut rest = self.clone();
        rest.take(other);
        rest
    }

    /// Takes what is there of `other`.
    pub fn take(&mut self, other: &Resources) {
        if self.is_same(other) {
            self.entries = None;
            return;
        }
        for theirs in other.entries() {
            let Ok(at) = self.position(theirs) else { continue };
            let mine = self.entries_mut();
            if !theirs.is_whole() {
                mine[at].amount.take(&theirs.amount);
            }
            if theirs.is_whole() || mine[at].amount.is_empty() {
                mine.remove(at);
            }
        }
        self.entries.take_if(|mine| mine.is_empty());
    }

    /// Takes what is there of `other` and cannot be used by others as well.
    pub fn take_unshared(&mut self, other: &Resources) {
        match other.entries().iter().any(|theirs| theirs.shared) {
            true => self.take(&other.only(|theirs| !theirs.shared)),
            false => self.take(other),
        }
    }

    /// What is left once this has become that, if all of it is there.
    pub fn converted(&self, consumed: &Resources, converted: &Resources) -> Option<Resources> {
        self.contains(consumed).then(|| {
            let mut all = self.minus(consumed);
            all.add(converted);
            all
        })
    }

    /// A volume whose id another volume of its role has. What is shared may be held several times.
    pub fn volume_named_twice(&self) -> Option<&Resource> {
        let mut seen: BTreeMap<_, &Resource> = BTreeMap::new();
        self.iter().find(|one| {
            let Some(persistence) = one.persistence() else { return false };
            let before = seen.insert((one.role(), &persistence.id), one);
            before.is_some_and(|before| !(one.shared && before.is_same_as(one)))
        })
    }

    /// Those of its entries that are so.
    #[must_use]
    pub fn only(&self, is_so: impl Fn(&Resource) -> bool) -> Resources {
        match self.iter().all(&is_so) {
            true => self.clone(),
            false => Self::of(self.iter().filter(|one| is_so(one)).cloned().collect()),
        }
    }

    /// The sum over all reservations of a scalar; zero if there is none. A shared volume is there once.
    pub fn scalar(&self, name: &ResourceName) -> Scalar {
        self.sum(name, |at, one| self.is_first(at, one))
    }

    /// Not the second holding of what is shared.
    fn is_first(&self, at: usize, one: &Resource) -> bool {
        !one.shared || at == 0 || by_kind(&self.entries()[at - 1], one).is_ne()
    }

    /// The same without what is shared: so the sum of two bags is the sum of their amounts.
    pub fn unshared_scalar(&self, name: &ResourceName) -> Scalar {
        self.sum(name, |_, one| !one.shared)
    }

    fn sum(&self, name: &ResourceName, counts: impl Fn(usize, &Resource) -> bool) -> Scalar {
        let of = |(at, one): (usize, &Resource)| match &one.amount {
            Amount::Scalar(scalar) if one.name == *name && counts(at, one) => scalar.0,
            Amount::Scalar(_) | Amount::Ranges(_) | Amount::Set(_) => 0,
        };
        Scalar(self.entries().iter().enumerate().map(of).sum())
    }

    pub fn cpus(&self) -> Scalar {
        self.scalar(&ResourceName::Cpus)
    }

    /// MiB.
    pub fn mem(&self) -> Scalar {
        self.scalar(&ResourceName::Mem)
    }

    /// MiB.
    pub fn disk(&self) -> Scalar {
        self.scalar(&ResourceName::Disk)
    }

    pub fn gpus(&self) -> Scalar {
        self.scalar(&ResourceName::Gpus)
    }

    /// All ports, whoever they are reserved for.
    pub fn ports(&self) -> Ranges {
        let mut ports = Ranges::default();
        for one in self.entries() {
            if let (ResourceName::Ports, Amount::Ranges(ranges)) = (&one.name, &one.amount) {
                ports = ports.union(ranges);
            }
        }
        ports
    }

    #[must_use]
    pub fn unreserved(&self) -> Resources {
        self.only(|one| one.reservations.is_empty())
    }

    #[must_use]
    pub fn reserved_for(&self, role: &Role) -> Resources {
        self.only(|one| one.role() == Some(role))
    }

    /// What a framework in `role` may use: the unreserved, and what is reserved for the role or one that encloses it.
    #[must_use]
    pub fn allocatable_to(&self, role: &Role) -> Resources {
        self.only(|one| one.role().is_none_or(|owner| role.is_within(owner)))
    }

    /// The same amounts, whoever they are set aside for and whatever disk they are of. A shared volume is there once.
    #[must_use]
    pub fn unlabelled(&self) -> Resources {
        let once = self.entries().iter().enumerate().filter(|(at, one)| self.is_first(*at, one));
        Self::new(once.map(|(_, one)| Resource::plain(one.name.clone(), one.amount.clone())))
    }

    /// What this provider has brought, or the agent itself.
    #[must_use]
    pub fn of_provider(&self, provider: Option<&ProviderId>) -> Resources {
        self.only(|one| one.provider() == provider)
    }

    /// Who has brought them, each once; unset for the agent itself.
    pub fn providers(&self) -> BTreeSet<Option<&ProviderId>> {
        self.entries().iter().map(Resource::provider).collect()
    }

    /// What an agent's configuration does not tell: what was reserved while the cluster ran, and volumes.
    #[must_use]
    pub fn claims(&self) -> Resources {
        self.only(Resource::is_claim)
    }

    /// The same as the agent's configuration has it.
    #[must_use]
    pub fn unclaimed(&self) -> Resources {
        Self::new(self.entries().iter().map(Resource::unclaimed))
    }

    /// An agent's resources by its configuration, with what became of them since.
    #[must_use]
    pub fn with_claims(&self, claims: &Resources) -> Resources {
        let mut all = self.minus(&claims.unclaimed());
        all.add(claims);
        all
    }
}
