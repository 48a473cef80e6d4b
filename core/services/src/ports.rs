//! Which service ports apps have, and which are free, so that the next free one is found without a search.

use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(crate) struct ServicePorts {
    /// How many apps have each.
    used: BTreeMap<u16, u32>,
    /// The ports that no app has, as ranges: from the first to the last.
    free: BTreeMap<u16, u16>,
}

impl Default for ServicePorts {
    fn default() -> Self {
        Self { used: BTreeMap::new(), free: BTreeMap::from([(0, u16::MAX)]) }
    }
}

impl ServicePorts {
    pub(crate) fn take(&mut self, port: u16) {
        let count = self.used.entry(port).or_default();
        *count += 1;
        if *count > 1 {
            return;
        }
        let (first, last) = self.range_of(port).expect("what nobody has is free");
        self.free.remove(&first);
        if first < port {
            self.free.insert(first, port - 1);
        }
        if port < last {
            self.free.insert(port + 1, last);
        }
    }

    pub(crate) fn give_back(&mut self, port: u16) {
        let count = self.used.get_mut(&port).expect("what is given back was taken");
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.used.remove(&port);
        let before = port.checked_sub(1).and_then(|before| self.range_of(before));
        let after = port.checked_add(1).and_then(|after| self.range_of(after));
        if let Some((first, _)) = after {
            self.free.remove(&first);
        }
        let first = before.map_or(port, |(first, _)| first);
        self.free.insert(first, after.map_or(port, |(_, last)| last));
    }

    /// The lowest that no app has, from this one on.
    pub(crate) fn next_free(&self, from: u16) -> Option<u16> {
        match self.range_of(from) {
            Some(_) => Some(from),
            None => self.free.range(from..).next().map(|(first, _)| *first),
        }
    }

    /// The range of free ports that this one lies in.
    fn range_of(&self, port: u16) -> Option<(u16, u16)> {
        let (first, last) = self.free.range(..=port).next_back()?;
        (port <= *last).then_some((*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a search through all ports would find.
    fn searched(used: &[u16], from: u16) -> Option<u16> {
        (from..=u16::MAX).find(|port| !used.contains(port))
    }

    #[test]
    fn the_next_free_port_is_what_a_search_would_find() {
        let check = |taken: &[u16], back: &[u16]| {
            let mut ports = ServicePorts::default();
            let mut used = taken.to_vec();
            taken.iter().for_each(|port| ports.take(*port));
            for port in back {
                ports.give_back(*port);
                used.swap_remove(used.iter().position(|one| one == port).expect("taken"));
            }
            for from in [0, 1, 2, 3, 4, 5, 6, 9, u16::MAX - 1, u16::MAX] {
                let found = ports.next_free(from);
                assert_eq!(found, searched(&used, from), "{taken:?} but {back:?} from {from}");
            }
        };
        check(&[], &[]);
        check(&[0, 1, 2], &[]);
        check(&[1, 3], &[]);
        check(&[1, 2, 3], &[2]);
        check(&[1, 2, 3], &[1, 3]);
        check(&[1, 2, 3], &[3, 1, 2]);
        check(&[2, 2, 3], &[2]);
        check(&[2, 2, 3], &[2, 2]);
        check(&[0, u16::MAX - 1, u16::MAX], &[]);
        check(&[0, u16::MAX - 1, u16::MAX], &[u16::MAX, 0]);
    }
}
