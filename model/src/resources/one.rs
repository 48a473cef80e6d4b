//! One resource: how much of what, set aside for whom, on which disk.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use super::{Amount, ResourceName, Scalar};
use crate::container::VolumeMode;
use crate::id::{ProviderId, Role};

/// In a scalar's thousandths of MiB.
const BYTES_PER_MIB: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Resource {
    #[n(0)]
    pub name: ResourceName,
    #[n(1)]
    pub amount: Amount,
    /// Each refines the one before it; the last is in force. Nobody has set it aside if there is none.
    #[cbor(n(2), with = "stack", has_nil)]
    pub reservations: Vec<Reservation>,
    #[n(3)]
    pub disk: Option<Box<DiskInfo>>,
    /// Several tasks may hold it at the same time.
    #[cbor(n(4), with = "flag", has_nil)]
    pub shared: bool,
    /// It may be taken away from who uses it.
    #[cbor(n(5), with = "flag", has_nil)]
    pub revocable: bool,
    /// Who brings it to its agent; the agent itself if unset. Boxed, for nearly none has one and there are millions.
    #[n(6)]
    pub provider: Option<Box<ProviderId>>,
}

/// Who set a resource aside, and for which role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Reservation {
    #[n(0)]
    pub kind: ReservationKind,
    #[n(1)]
    pub role: Role,
    #[n(2)]
    pub principal: Option<String>,
    #[n(3)]
    pub labels: Labels,
}

/// Keys and values, in whatever order they were given.
pub type Labels = BTreeSet<(String, Option<String>)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum ReservationKind {
    /// By the agent's configuration.
    #[n(0)]
    Static,
    /// By a framework or an operator, while the cluster runs.
    #[n(1)]
    Dynamic,
}

impl Reservation {
    pub fn fixed(role: Role) -> Self {
        let (kind, labels) = (ReservationKind::Static, Labels::new());
        Self { kind, role, principal: None, labels }
    }
}

/// What is special about disk space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Encode, Decode)]
pub struct DiskInfo {
    /// It is a volume that outlives the tasks that use it.
    #[n(0)]
    pub persistence: Option<Persistence>,
    /// Where a task sees it.
    #[n(1)]
    pub volume: Option<DiskVolume>,
    /// Where it comes from; the agent's own disk if unset.
    #[n(2)]
    pub source: Option<DiskSource>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Persistence {
    /// Unique for its role on its agent.
    #[n(0)]
    pub id: String,
    /// Who created it.
    #[n(1)]
    pub principal: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct DiskVolume {
    #[n(0)]
    pub container_path: String,
    #[n(1)]
    pub mode: VolumeMode,
    #[n(2)]
    pub host_path: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct DiskSource {
    #[n(0)]
    pub kind: DiskKind,
    /// Of a path or a mount: the directory on the agent.
    #[n(1)]
    pub root: Option<String>,
    #[n(2)]
    pub vendor: Option<String>,
    /// Names one disk among those of its vendor.
    #[n(3)]
    pub id: Option<String>,
    #[n(4)]
    pub metadata: Labels,
    #[n(5)]
    pub profile: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum DiskKind {
    #[n(0)]
    Unknown,
    /// A directory that shares its file system with others.
    #[n(1)]
    Path,
    /// A file system of its own.
    #[n(2)]
    Mount,
    /// A device without a file system.
    #[n(3)]
    Block,
    /// Space that a volume can be made of.
    #[n(4)]
    Raw,
}

impl Resource {
    /// Set aside for nobody, and nothing special.
    pub fn plain(name: ResourceName, amount: Amount) -> Self {
        let (reservations, disk, provider) = (Vec::new(), None, None);
        Self { name, amount, reservations, disk, shared: false, revocable: false, provider }
    }

    /// As the agent's operator sets it aside.
    pub fn reserved(name: ResourceName, amount: Amount, role: Option<Role>) -> Self {
        let reservations = role.map(Reservation::fixed).into_iter().collect();
        Self { reservations, ..Self::plain(name, amount) }
    }

    /// Whom it is set aside for, if for anybody.
    pub fn role(&self) -> Option<&Role> {
        self.reservations.last().map(|last| &last.role)
    }

    pub fn is_dynamically_reserved(&self) -> bool {
        self.reservations.last().is_some_and(|last| last.kind == ReservationKind::Dynamic)
    }

    /// Set aside a second time, out of what was set aside for a role that encloses it.
    pub fn is_refined(&self) -> bool {
        self.reservations.len() > 1
    }

    pub fn persistence(&self) -> Option<&Persistence> {
        self.disk.as_ref()?.persistence.as_ref()
    }

    /// Of a disk, or of memory; of anything else it means nothing.
    pub fn bytes(&self) -> u64 {
        match &self.amount {
            Amount::Scalar(Scalar(thousandths)) => thousandths.saturating_mul(BYTES_PER_MIB) / 1000,
            Amount::Ranges(_) | Amount::Set(_) => 0,
        }
    }

    pub fn source(&self) -> Option<&DiskSource> {
        self.disk.as_ref()?.source.as_ref()
    }

    pub fn is_persistent_volume(&self) -> bool {
        self.persistence().is_some()
    }

    /// It came about while the cluster ran.
    pub fn is_made(&self) -> bool {
        self.is_dynamically_reserved() || self.is_persistent_volume()
    }

    /// Likewise, and a restarted agent would not know of it from its configuration, nor from a provider.
    pub fn is_claim(&self) -> bool {
        self.provider.is_none() && self.is_made()
    }

    pub fn provider(&self) -> Option<&ProviderId> {
        self.provider.as_deref()
    }

    /// The same volume, or the same but for where a task sees it.
    pub fn is_same_as(&self, other: &Resource) -> bool {
        let unseen = |one: &Resource| {
            let disk = one.disk.as_deref().map(|disk| DiskInfo { volume: None, ..disk.clone() });
            Resource { disk: disk.map(Box::new), ..one.clone() }
        };
        unseen(self) == unseen(other)
    }

    /// It is used whole or not at all, and never becomes one with another: a volume, a disk with a file system.
    pub fn is_whole(&self) -> bool {
        let source = |source: &DiskSource| match source.kind {
            DiskKind::Mount | DiskKind::Block => true,
            DiskKind::Path | DiskKind::Raw | DiskKind::Unknown => source.id.is_some(),
        };
        self.is_persistent_volume() || self.source().is_some_and(source)
    }

    /// How much it is, if it is counted.
    pub fn scalar(&self) -> Scalar {
        match self.amount {
            Amount::Scalar(scalar) => scalar,
            Amount::Ranges(_) | Amount::Set(_) => Scalar::default(),
        }
    }

    /// So much of it.
    #[must_use]
    pub fn sized(&self, size: Scalar) -> Self {
        Self { amount: Amount::Scalar(size), ..self.clone() }
    }

    /// What it was before it was reserved last.
    #[must_use]
    pub fn unreserved_once(&self) -> Self {
        let mut before = self.clone();
        before.reservations.pop();
        before
    }

    /// The space that a volume is made of.
    #[must_use]
    pub fn without_volume(&self) -> Self {
        let source = self.source().cloned();
        let disk = source.map(|source| DiskInfo { source: Some(source), ..DiskInfo::default() });
        Self { disk: disk.map(Box::new), shared: false, ..self.clone() }
    }

    /// What it was by the agent's configuration.
    #[must_use]
    pub fn unclaimed(&self) -> Self {
        let mut before =
            if self.is_persistent_volume() { self.without_volume() } else { self.clone() };
        before.reservations.retain(|one| one.kind == ReservationKind::Static);
        before
    }
}

mod stack {
    //! A single reservation by configuration is spelled by its role alone, as all were when there was no other kind.

    use minicbor::data::Type;
    use minicbor::decode::Error as DecodeError;
    use minicbor::encode::{Error as EncodeError, Write};
    use minicbor::{Decode, Decoder, Encode, Encoder};

    use super::{Reservation, ReservationKind};

    pub(super) fn encode<C, W: Write>(
        stack: &Vec<Reservation>,
        e: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        match stack.as_slice() {
            [] => e.null()?.ok(),
            [Reservation { kind: ReservationKind::Static, role, principal: None, labels }]
                if labels.is_empty() =>
            {
                role.encode(e, context)
            }
            _ => stack.encode(e, context),
        }
    }

    pub(super) fn decode<'b, C>(
        d: &mut Decoder<'b>,
        context: &mut C,
    ) -> Result<Vec<Reservation>, DecodeError> {
        let given = d.datatype()?;
        if given == Type::Null {
            return d.null().map(|()| Vec::new());
        }
        if given == Type::String {
            return Decode::decode(d, context).map(|role| vec![Reservation::fixed(role)]);
        }
        Vec::decode(d, context)
    }

    pub(super) fn nil() -> Option<Vec<Reservation>> {
        Some(Vec::new())
    }

    #[expect(clippy::ptr_arg, reason = "the derived code hands over the field as it is")]
    pub(super) fn is_nil(stack: &Vec<Reservation>) -> bool {
        stack.is_empty()
    }
}

mod flag {
    //! What is not so takes no space.

    use minicbor::data::Type;
    use minicbor::decode::Error as DecodeError;
    use minicbor::encode::{Error as EncodeError, Write};
    use minicbor::{Decoder, Encoder};

    pub(super) fn encode<C, W: Write>(
        flag: &bool,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        e.bool(*flag)?.ok()
    }

    pub(super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<bool, DecodeError> {
        if d.datatype()? == Type::Null {
            return d.null().map(|()| false);
        }
        d.bool()
    }

    pub(super) fn nil() -> Option<bool> {
        Some(false)
    }

    pub(super) fn is_nil(flag: &bool) -> bool {
        !flag
    }
}
