//! What has to happen to instances at a later time. Volatile: set again from the instances after a restart.

use std::collections::{BTreeSet, VecDeque};

use model::id::Serial;
use model::time::Time;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// It should have been confirmed by its agent.
    Confirmed,
    /// It should be running.
    Launched,
    /// The kill should have been answered.
    Killed,
    /// It has been unreachable long enough to be replaced.
    Inactive,
    /// It has been unreachable long enough to be given up.
    Expunged,
}

/// Those with one delay for all are queues, because their order is the order of their setting.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    confirmed: VecDeque<(Time, Serial)>,
    launched: VecDeque<(Time, Serial)>,
    killed: VecDeque<(Time, Serial)>,
    others: BTreeSet<(Time, Serial, Due)>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Time, serial: Serial, due: Due) {
        match due {
            Due::Confirmed => self.confirmed.push_back((at, serial)),
            Due::Launched => self.launched.push_back((at, serial)),
            Due::Killed => self.killed.push_back((at, serial)),
            Due::Inactive | Due::Expunged => drop(self.others.insert((at, serial, due))),
        }
    }

    pub(crate) fn wake_at(&self) -> Option<Time> {
        let queues = [&self.confirmed, &self.launched, &self.killed];
        let fronts = queues.into_iter().filter_map(|queue| queue.front()).map(|(at, _)| *at);
        fronts.chain(self.others.first().map(|(at, _, _)| *at)).min()
    }

    /// The next that is due, if any.
    pub(crate) fn pop(&mut self, now: Time) -> Option<(Serial, Due)> {
        let queues = [
            (&mut self.confirmed, Due::Confirmed),
            (&mut self.launched, Due::Launched),
            (&mut self.killed, Due::Killed),
        ];
        for (queue, due) in queues {
            if let Some((_, serial)) = queue.pop_front_if(|(at, _)| *at <= now) {
                return Some((serial, due));
            }
        }
        let (at, serial, due) = self.others.first().copied()?;
        (at <= now).then(|| {
            self.others.remove(&(at, serial, due));
            (serial, due)
        })
    }
}
