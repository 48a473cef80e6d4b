//! Identities. Two ids of different kinds never compare, convert or mix.

use std::fmt;
use std::sync::Arc;

use minicbor::{Decode, Encode};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Ok(Self(d.str()?.into()))
            }
        }
    };
}

id!(/// A machine that runs tasks: `<cluster>-S<n>`.
    AgentId);
id!(/// A scheduler registered with the kernel: `<cluster>-<nnnn>`.
    FrameworkId);
id!(/// One launch of one thing; chosen by its framework and never reused.
    TaskId);
id!(/// The process on an agent that runs tasks of one framework.
    ExecutorId);
id!(/// A promise of resources, good until accepted, declined or rescinded: `<cluster>-O<n>`.
    OfferId);
id!(/// What a framework calls an operation that it wants to hear of.
    OperationId);
id!(/// What brings an agent resources beside its own: given by the agent, and good for as long as that knows it.
    ProviderId);
id!(/// One container on one agent: a uuid.
    ContainerId);
id!(/// Whose share of the cluster is used: `*`, `slave_public`, `prod/web`.
    Role);

impl ExecutorId {
    /// Of the executor that a task without one gets: it is called like the task.
    pub fn of(task: &TaskId) -> Self {
        Self(task.0.clone())
    }
}

impl Role {
    /// The role of resources that nobody has reserved.
    pub fn star() -> Self {
        Self::new("*")
    }

    /// The role and those that enclose it, innermost first.
    pub fn up(&self) -> impl Iterator<Item = Role> + use<> {
        let parent = |role: &Role| role.0.rsplit_once('/').map(|(parent, _)| Role::new(parent));
        std::iter::successors(Some(self.clone()), parent)
    }

    /// Whether `self` is `other` or lies below it: `prod/web` is within `prod`.
    pub fn is_within(&self, other: &Role) -> bool {
        self == other
            || self.0.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// How often leadership has changed hands. Every message to an agent or framework carries it; an older one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Term(#[n(0)] pub u64);

/// One open stream to an agent or a framework, numbered by the edge that accepted it; never reused in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Connection(pub u64);

/// A number that ascends with creation: the leader's term above, its counter below. The key of durable records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Serial(#[n(0)] pub u64);

/// How many serials one term can hand out.
const SERIALS_PER_TERM_BITS: u32 = 40;

impl Serial {
    /// The first serial of `term`.
    pub fn first(term: Term) -> Self {
        Self(term.0 << SERIALS_PER_TERM_BITS)
    }

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Sixteen bytes spelled as a uuid. Made from a seed that came in with the input, so that the same run makes the same ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Uuid(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl Uuid {
    /// A version 4 uuid whose random bits come from `seed` and `serial`.
    pub fn derive(seed: u64, serial: u64) -> Self {
        let high = mix(seed ^ mix(serial));
        let low = mix(high ^ serial.rotate_left(32));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

/// SplitMix64's finaliser: every bit of the answer depends on every bit of the question.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            if matches!(n, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_within_itself_and_what_encloses_it() {
        let check = |role: &str, other: &str, within: bool| {
            assert_eq!(Role::new(role).is_within(&Role::new(other)), within, "{role} in {other}");
        };
        check("prod", "prod", true);
        check("prod/web", "prod", true);
        check("production", "prod", false);
        check("prod", "prod/web", false);
    }

    #[test]
    fn derived_uuids_are_version_4_and_differ() {
        let text = Uuid::derive(1, 2).to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "4");
        assert_ne!(Uuid::derive(1, 2), Uuid::derive(1, 3));
        assert_ne!(Uuid::derive(1, 2), Uuid::derive(2, 2));
    }
}
