//! Ports and the like: sets of whole numbers kept as intervals.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::resources::BadResources;

/// More intervals than this are merged in one go.
const IN_PLACE_MAX: usize = 8;

/// Whole numbers as sorted, disjoint, closed intervals that do not touch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Ranges(#[n(0)] Vec<(u64, u64)>);

impl Ranges {
    /// Sorts and joins; an interval that ends before it begins is dropped.
    pub fn new(intervals: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut all: Vec<_> = intervals.into_iter().filter(|(begin, end)| begin <= end).collect();
        all.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(all.len());
        for (begin, end) in all {
            match joined.last_mut() {
                Some(last) if begin <= last.1.saturating_add(1) => last.1 = last.1.max(end),
                _ => joined.push((begin, end)),
            }
        }
        Self(joined)
    }

    pub fn single(value: u64) -> Self {
        Self(vec![(value, value)])
    }

    pub fn intervals(&self) -> &[(u64, u64)] {
        &self.0
    }

    pub fn values(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|(begin, end)| *begin..=*end)
    }

    /// How many whole numbers there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(begin, end)| end - begin + 1).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, value: u64) -> bool {
        let after = self.0.partition_point(|(begin, _)| *begin <= value);
        after.checked_sub(1).is_some_and(|at| value <= self.0[at].1)
    }

    pub fn contains(&self, other: &Ranges) -> bool {
        other.0.iter().all(|(begin, end)| {
            let after = self.0.partition_point(|(mine, _)| mine <= begin);
            after.checked_sub(1).is_some_and(|at| *end <= self.0[at].1)
        })
    }

    #[must_use]
    pub fn union(&self, other: &Ranges) -> Ranges {
        Ranges::new(self.0.iter().chain(&other.0).copied())
    }

    /// What of `self` is not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Ranges) -> Ranges {
        let mut left = Vec::with_capacity(self.0.len() + other.0.len());
        let mut cuts = other.0.iter().copied().peekable();
        for (mut begin, end) in self.0.iter().copied() {
            let mut used_up = false;
            while let Some((cut_begin, cut_end)) = cuts.peek().copied() {
                if cut_end < begin {
                    cuts.next();
                    continue;
                }
                if end < cut_begin {
                    break;
                }
                if begin < cut_begin {
                    left.push((begin, cut_begin - 1));
                }
                if end <= cut_end {
                    used_up = true;
                    break;
                }
                begin = cut_end + 1;
                cuts.next();
            }
            if !used_up {
                left.push((begin, end));
            }
        }
        Ranges(left)
    }

    /// What is added is mostly a port or two: the rest stays where it is.
    pub fn add(&mut self, other: &Ranges) {
        if other.0.len() > IN_PLACE_MAX {
            *self = self.union(other);
            return;
        }
        for (begin, end) in other.0.iter().copied() {
            // Those that it overlaps or touches become one with it.
            let first = self.0.partition_point(|(_, mine)| mine.saturating_add(1) < begin);
            let reach = end.saturating_add(1);
            let alike = self.0[first..].partition_point(|(mine, _)| *mine <= reach);
            let known = &self.0[first..first + alike];
            let low = known.first().map_or(begin, |one| one.0.min(begin));
            let high = known.last().map_or(end, |one| one.1.max(end));
            self.0.splice(first..first + alike, [(low, high)]);
        }
    }

    /// Takes what is there of `other`.
    pub fn take(&mut self, other: &Ranges) {
        if other.0.len() > IN_PLACE_MAX {
            *self = self.minus(other);
            return;
        }
        for (begin, end) in other.0.iter().copied() {
            let first = self.0.partition_point(|(_, mine)| *mine < begin);
            let hit = self.0[first..].partition_point(|(mine, _)| *mine <= end);
            let Some(last) = hit.checked_sub(1) else { continue };
            let (low, high) = (self.0[first].0, self.0[first + last].1);
            let before = (low < begin).then(|| (low, begin - 1));
            let after = (end < high).then(|| (end + 1, high));
            self.0.splice(first..first + hit, before.into_iter().chain(after));
        }
    }

    pub fn intersects(&self, other: &Ranges) -> bool {
        self.minus(other) != *self
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (n, (begin, end)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{begin}-{end}")?;
        }
        f.write_str("]")
    }
}

impl FromStr for Ranges {
    type Err = BadResources;

    /// `[31000-32000, 40000-40010]`; a single number stands for itself.
    fn from_str(text: &str) -> Result<Self, BadResources> {
        let bad = || BadResources::new(text, "is not of the form [begin-end, ...]");
        let inner = text
            .trim()
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .ok_or_else(bad)?;
        let mut intervals = Vec::new();
        for part in inner.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (begin, end) = part.split_once('-').unwrap_or((part, part));
            let begin: u64 = begin.trim().parse().map_err(|_| bad())?;
            let end: u64 = end.trim().parse().map_err(|_| bad())?;
            if end < begin {
                return Err(bad());
            }
            intervals.push((begin, end));
        }
        Ok(Self::new(intervals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Ranges {
        text.parse().expect("ranges")
    }

    #[test]
    fn ranges_join_split_and_compare() {
        let check = |left: &str, right: &str, union: &str, minus: &str| {
            assert_eq!(ranges(left).union(&ranges(right)), ranges(union), "{left} + {right}");
            assert_eq!(ranges(left).minus(&ranges(right)), ranges(minus), "{left} - {right}");
            let (mut more, mut less) = (ranges(left), ranges(left));
            more.add(&ranges(right));
            less.take(&ranges(right));
            assert_eq!((more, less), (ranges(union), ranges(minus)), "{left}, {right} in place");
        };
        check("[1-5]", "[6-9]", "[1-9]", "[1-5]");
        check("[]", "[3]", "[3]", "[]");
        check("[1-3]", "[]", "[1-3]", "[1-3]");
        check("[1-3,7-9]", "[5]", "[1-3,5,7-9]", "[1-3,7-9]");
        check("[1-3,5-7]", "[4]", "[1-7]", "[1-3,5-7]");
        check("[5-7]", "[1-2,9]", "[1-2,5-7,9]", "[5-7]");
        check("[1-2,4-5,7-8]", "[2-7]", "[1-8]", "[1,8]");
        check(
            "[0-18446744073709551615]",
            "[0]",
            "[0-18446744073709551615]",
            "[1-18446744073709551615]",
        );
        check("[1-10]", "[4-6]", "[1-10]", "[1-3,7-10]");
        check("[1-10,20-30]", "[5-25]", "[1-30]", "[1-4,26-30]");
        check("[1-10]", "[1-10]", "[1-10]", "[]");
        check("[1-3,5-7,9-11]", "[2,6,10]", "[1-3,5-7,9-11]", "[1,3,5,7,9,11]");
        assert!(ranges("[1-10,20-30]").contains(&ranges("[2-3,20-30]")));
        assert!(!ranges("[1-10,20-30]").contains(&ranges("[10-11]")));
        assert!(ranges("[1-10,20-30]").has(20));
        assert!(!ranges("[1-10,20-30]").has(11));
    }
}
