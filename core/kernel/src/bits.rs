//! Sets of small numbers, one bit each: a thousand clients times ten thousand agents fit into a megabyte.

/// Bits of one word.
const WORD: usize = 64;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn set(&mut self, at: usize) {
        if at / WORD >= self.0.len() {
            self.0.resize(at / WORD + 1, 0);
        }
        self.0[at / WORD] |= 1 << (at % WORD);
    }

    pub(crate) fn unset(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / WORD) {
            *word &= !(1 << (at % WORD));
        }
    }

    pub(crate) fn has(&self, at: usize) -> bool {
        self.0.get(at / WORD).is_some_and(|word| word & (1 << (at % WORD)) != 0)
    }

    pub(crate) fn clear(&mut self) {
        self.0.iter_mut().for_each(|word| *word = 0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn add(&mut self, other: &Bits) {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    pub(crate) fn remove(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine &= !theirs);
    }

    /// Exactly the numbers below this one.
    pub(crate) fn fill(&mut self, end: usize) {
        self.clear();
        self.0.resize(end.div_ceil(WORD), 0);
        self.0.iter_mut().for_each(|word| *word = u64::MAX);
        if !end.is_multiple_of(WORD) {
            self.0[end / WORD] = (1 << (end % WORD)) - 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let rest = |word: &u64| Some(word & (word - 1)).filter(|rest| *rest != 0);
            let words = std::iter::successors(Some(*word).filter(|word| *word != 0), rest);
            words.map(move |word| at * WORD + word.trailing_zeros() as usize)
        })
    }

    /// The first number in both sets from `start` on, and around from the beginning.
    pub(crate) fn next_in(&self, other: &Bits, start: usize) -> Option<usize> {
        self.first_in(other, start).or_else(|| self.first_in(other, 0))
    }

    fn first_in(&self, other: &Bits, start: usize) -> Option<usize> {
        let mut first = u64::MAX << (start % WORD);
        for at in start / WORD..self.0.len().min(other.0.len()) {
            let both = self.0[at] & other.0[at] & first;
            if both != 0 {
                return Some(at * WORD + both.trailing_zeros() as usize);
            }
            first = u64::MAX;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(all: &[usize]) -> Bits {
        let mut bits = Bits::default();
        all.iter().for_each(|at| bits.set(*at));
        bits
    }

    #[test]
    fn the_next_one_is_in_both_sets_and_found_around_the_end() {
        let check = |one: &[usize], other: &[usize], start: usize, next: Option<usize>| {
            assert_eq!(bits(one).next_in(&bits(other), start), next, "{one:?} {other:?} {start}");
        };
        check(&[], &[1], 0, None);
        check(&[1], &[2], 0, None);
        check(&[1, 70, 200], &[1, 70, 200], 0, Some(1));
        check(&[1, 70, 200], &[1, 70, 200], 2, Some(70));
        check(&[1, 70, 200], &[1, 70, 200], 71, Some(200));
        check(&[1, 70, 200], &[1, 70], 71, Some(1));
        check(&[63, 64], &[63, 64], 64, Some(64));
        check(&[5], &[5], 1_000, Some(5));
    }

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let mut all = bits(&[0, 63, 64, 130]);
        assert_eq!(all.iter().collect::<Vec<_>>(), [0, 63, 64, 130]);
        all.remove(&bits(&[63, 500]));
        all.add(&bits(&[7, 300]));
        assert_eq!(all.iter().collect::<Vec<_>>(), [0, 7, 64, 130, 300]);
        all.unset(130);
        all.unset(5_000);
        assert!(all.has(300) && !all.has(130) && !all.has(5_000));
        for end in [0, 1, 64, 65] {
            all.fill(end);
            assert_eq!(all.iter().collect::<Vec<_>>(), (0..end).collect::<Vec<_>>());
        }
        all.clear();
        assert!(all.is_empty());
    }
}
