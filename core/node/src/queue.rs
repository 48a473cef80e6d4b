//! Things that are due at some time: the earliest is found without a look at the rest.

use std::collections::{BTreeMap, BTreeSet};

use model::time::Time;

/// At most one time for each thing.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    ordered: BTreeSet<(Time, K)>,
    due: BTreeMap<K, Time>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { ordered: BTreeSet::new(), due: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Queue<K> {
    pub(crate) fn set(&mut self, thing: K, at: Time) {
        self.remove(&thing);
        self.ordered.insert((at, thing.clone()));
        self.due.insert(thing, at);
    }

    pub(crate) fn remove(&mut self, thing: &K) {
        if let Some(at) = self.due.remove(thing) {
            self.ordered.remove(&(at, thing.clone()));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.ordered.clear();
        self.due.clear();
    }

    /// Takes out what is due, earliest first, but not more than `most`.
    pub(crate) fn take_due(&mut self, now: Time, most: usize) -> Vec<K> {
        let mut taken = Vec::new();
        while taken.len() < most && self.first().is_some_and(|at| at <= now) {
            let (_, thing) = self.ordered.pop_first().expect("there is a first");
            self.due.remove(&thing);
            taken.push(thing);
        }
        taken
    }

    pub(crate) fn first(&self) -> Option<Time> {
        self.ordered.first().map(|(at, _)| *at)
    }
}
