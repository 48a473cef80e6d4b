//! Groups: the tree that ids form, and what a group carries besides what lies in it.
//!
//! A group is there while an app lies in it, or while it has a record of its own: because somebody put it, or because it
//! depends on something or enforces its role. Ids are absolute in here; whoever reads relative ones resolves them.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::spec::{AppId, AppSpec, BadAppId};
use crate::state::Version;

/// Where apps and groups lie. The root comes first, and each group before what lies in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupId {
    Root,
    Path(AppId),
}

impl GroupId {
    pub fn as_str(&self) -> &str {
        match self {
            GroupId::Root => "/",
            GroupId::Path(path) => path.as_str(),
        }
    }

    /// `/prod` of `/prod/eu` and of itself; `None` for the root.
    pub fn top(&self) -> Option<GroupId> {
        match self {
            GroupId::Root => None,
            GroupId::Path(path) => {
                let outermost = path.groups().last();
                Some(GroupId::Path(outermost.unwrap_or_else(|| path.clone())))
            }
        }
    }

    /// Directly below the root, where roles are enforced.
    pub fn is_top_level(&self) -> bool {
        self.top().as_ref() == Some(self)
    }

    /// Whether an app, or a group with this path, lies somewhere within.
    pub fn holds(&self, id: &AppId) -> bool {
        match self {
            GroupId::Root => true,
            GroupId::Path(path) => {
                let inner = id.as_str().strip_prefix(path.as_str());
                inner.is_some_and(|rest| rest.starts_with('/'))
            }
        }
    }

    /// Of something within: the group directly below this one that it lies in, if there is one between.
    pub fn child_towards(&self, id: &AppId) -> Option<GroupId> {
        let parents: Vec<AppId> = id.groups().filter(|group| self.holds(group)).collect();
        parents.into_iter().next_back().map(GroupId::Path)
    }

    /// The innermost group that an app lies in.
    pub fn of(id: &AppId) -> GroupId {
        id.groups().next().map_or(GroupId::Root, GroupId::Path)
    }

    /// Whatever lies within sorts between these two.
    pub(crate) fn inside(&self) -> (AppId, AppId) {
        match self {
            GroupId::Root => AppId::all(),
            GroupId::Path(path) => path.inside(),
        }
    }
}

impl FromStr for GroupId {
    type Err = BadAppId;

    fn from_str(text: &str) -> Result<Self, BadAppId> {
        match text {
            "" | "/" => Ok(GroupId::Root),
            path => path.parse().map(GroupId::Path),
        }
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<C> Encode<C> for GroupId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(self.as_str())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for GroupId {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(|_| minicbor::decode::Error::message("not the id of a group"))
    }
}

/// What a group carries itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Group {
    /// When it was last put; what lies in it may be newer.
    #[n(0)]
    pub version: Version,
    /// Apps, or groups with all their apps, that come before the apps of this group.
    #[n(1)]
    pub dependencies: Vec<AppId>,
    /// Whether new apps take the group's name as their role and may have no other; of top-level groups only. Unset: as
    /// the configuration says.
    #[n(2)]
    pub enforce_role: Option<bool>,
}

/// A group as it is to be; what is unset stays as it is. Ids are absolute, and lie within the group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupUpdate {
    pub id: GroupId,
    /// Those that lie directly in it; one that is not named is removed. Pods are not among them.
    pub apps: Option<Vec<AppSpec>>,
    /// The same for its pods.
    pub pods: Option<Vec<AppSpec>>,
    /// Those directly below; one that is not named is removed with all that lies in it.
    pub groups: Option<Vec<GroupUpdate>>,
    pub dependencies: Option<Vec<AppId>>,
    pub enforce_role: Option<bool>,
}
