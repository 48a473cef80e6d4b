//! What apps, pods and groups are called.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use minicbor::{Decode, Encode};

/// An absolute path such as `/prod/web`: segments of lower-case letters, digits, dashes and dots.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(Arc<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an app id: segments of lower-case letters, digits, dashes and dots, such as /prod/web"
)]
pub struct BadAppId(pub String);

impl AppId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `/prod/web` as Marathon spells it in task ids: `prod_web`.
    pub fn underscored(&self) -> String {
        self.0.trim_start_matches('/').replace('/', "_")
    }

    /// The topmost group, `prod` of `/prod/web`, if it lies in one.
    pub fn top_group(&self) -> Option<&str> {
        self.0.trim_start_matches('/').split_once('/').map(|(top, _)| top)
    }

    /// The groups that it lies in, the innermost first.
    pub(crate) fn groups(&self) -> impl Iterator<Item = AppId> {
        let parent = |id: &AppId| match id.0.rsplit_once('/') {
            None | Some(("", _)) => None,
            Some((parent, _)) => Some(AppId(parent.into())),
        };
        std::iter::successors(parent(self), parent)
    }

    /// Every id sorts between these two.
    pub(crate) fn all() -> (AppId, AppId) {
        (AppId("/".into()), AppId("0".into()))
    }

    /// Whatever lies in the group of this name sorts between these two.
    pub(crate) fn inside(&self) -> (AppId, AppId) {
        // `0` follows `/`.
        (AppId(format!("{}/", self.0).into()), AppId(format!("{}0", self.0).into()))
    }
}

impl FromStr for AppId {
    type Err = BadAppId;

    /// Takes absolute and rootless paths, folds double and trailing slashes, and resolves `..`.
    fn from_str(text: &str) -> Result<Self, BadAppId> {
        let bad = || BadAppId(text.to_owned());
        let mut path: Vec<&str> = Vec::new();
        for segment in text.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
            match segment {
                ".." => drop(path.pop().ok_or_else(bad)?),
                name if is_segment(name) => path.push(name),
                _ => return Err(bad()),
            }
        }
        if path.is_empty() {
            return Err(bad());
        }
        Ok(Self(format!("/{}", path.join("/")).into()))
    }
}

/// Dot-separated names that neither begin nor end with a dash.
fn is_segment(text: &str) -> bool {
    text.split('.').all(|name| {
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !name.is_empty()
            && name.bytes().all(legal)
            && !name.starts_with('-')
            && !name.ends_with('-')
    })
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for AppId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for AppId {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(d.str()?.into()))
    }
}
