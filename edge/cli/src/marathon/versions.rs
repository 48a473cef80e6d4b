//! Versions that are named by how many changes ago they were.

use anyhow::Result;

use crate::failure::Failure;

/// -1 is the one before the newest.
pub(super) fn relative(newest_first: &[String], back: i64) -> Result<String> {
    let steps =
        back.checked_neg().and_then(|steps| usize::try_from(steps).ok()).filter(|steps| *steps > 0);
    let Some(steps) = steps else {
        return Err(Failure::Usage("a relative version is negative, such as -1".into()).into());
    };
    newest_first.get(steps).cloned().ok_or_else(|| {
        let kept = newest_first.len();
        Failure::Other(format!("there is no version {back}: {kept} are kept")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_versions_count_from_the_newest() {
        let versions = ["c", "b", "a"].map(str::to_owned);
        let check = |back, expected: Option<&str>| {
            assert_eq!(relative(&versions, back).ok().as_deref(), expected, "{back}");
        };
        check(-1, Some("b"));
        check(-2, Some("a"));
        check(-3, None);
        check(0, None);
        check(1, None);
        check(i64::MIN, None);
    }
}
