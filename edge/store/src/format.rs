//! Which releases can read a store.
//!
//! A release writes what its predecessor can read: new fields are optional and old readers skip them. Where that cannot
//! be, [`NEEDED`] goes up, and with the first start of that release there is no way back, which is said in the log.

use std::path::Path;

use crate::StoreError;

/// The newest format that this release reads.
pub const FORMAT: u32 = 1;
/// The format that a reader of what this release writes has to know.
const NEEDED: u32 = 1;

const NEEDED_NAME: &str = "format";
const RELEASE_NAME: &str = "release";

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// What a reader has to know.
    pub(crate) needed: u32,
    /// The release that brought the store to this format.
    pub(crate) release: String,
}

impl Stamp {
    fn ours() -> Self {
        Self { needed: NEEDED, release: env!("CARGO_PKG_VERSION").into() }
    }

    /// `None` for a new store.
    pub(crate) fn read(
        mut fact: impl FnMut(&str) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(needed) = fact(NEEDED_NAME)? else { return Ok(None) };
        let needed = needed
            .try_into()
            .map_err(|_| anyhow::anyhow!("the store's format is not a number; restore a backup"))?;
        let release = fact(RELEASE_NAME)?.unwrap_or_default();
        let release = String::from_utf8_lossy(&release).into_owned();
        Ok(Some(Self { needed: u32::from_be_bytes(needed), release }))
    }

    pub(crate) fn facts(&self) -> [(&'static str, Vec<u8>); 2] {
        [
            (NEEDED_NAME, self.needed.to_be_bytes().to_vec()),
            (RELEASE_NAME, self.release.as_bytes().to_vec()),
        ]
    }
}

/// The stamp to write before anything else, if any; refuses a store of a later format.
pub(crate) fn settle(found: Option<Stamp>, path: &Path) -> Result<Option<Stamp>, StoreError> {
    let ours = Stamp::ours();
    let Some(found) = found else { return Ok(Some(ours)) };
    if found.needed > FORMAT {
        return Err(StoreError::Later {
            path: path.to_owned(),
            release: found.release,
            needed: found.needed,
            ours: ours.release,
            format: FORMAT,
        });
    }
    if found.needed < ours.needed {
        tracing::warn!(
            from = found.release,
            to = ours.release,
            "the state is now written in a format that the earlier release cannot read: there is no way back"
        );
        return Ok(Some(ours));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_store_of_a_later_format_is_refused() {
        let stamp = |needed| Some(Stamp { needed, release: "9.9.9".into() });
        let check = |found, expected: Result<Option<Stamp>, ()>| {
            assert_eq!(settle(found, Path::new("x")).map_err(drop), expected);
        };
        check(None, Ok(Some(Stamp::ours())));
        check(stamp(NEEDED - 1), Ok(Some(Stamp::ours())));
        check(stamp(NEEDED), Ok(None));
        check(stamp(FORMAT + 1), Err(()));
    }

    #[test]
    fn the_refusal_names_both_releases() {
        let found = Some(Stamp { needed: FORMAT + 1, release: "9.9.9".into() });
        let text = settle(found, Path::new("x")).expect_err("later format").to_string();
        assert!(text.contains("9.9.9") && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    }
}
