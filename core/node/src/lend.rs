//! Processors that tasks have and do not use: what can be lent of them, and taking it back once they are used.
//!
//! Only processors are lent. Memory that is written to cannot be had back in time.

use std::collections::BTreeMap;

use model::agent::FromAgent;
use model::id::ContainerId;
use model::resources::{Amount, Resource, ResourceName, Resources, Scalar};
use std::time::Duration;

use crate::state::{Held, KilledBy};
use crate::tasks::Kill;
use crate::{Effect, Node, Turn};

/// So much of what is idle is lent, in percent: use rises faster than it is measured.
const LENT_PERCENT: u64 = 90;
/// What is newly idle counts by so much at once, in percent; what is newly used counts whole.
const TRUST_PERCENT: u64 = 25;
/// The master hears of changes that are at least so large, in thousandths of a processor.
const STEP_MILLIS: u64 = 100;
/// Measurements in a row that find too little left before somebody has to go.
const SHORT_MAX: u32 = 2;

/// What a container used since it was last measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    pub container: ContainerId,
    /// Of processors, on the average.
    pub cpus: Scalar,
}

/// What is known of idleness. Volatile: a restarted agent measures anew.
#[derive(Debug, Default)]
pub(crate) struct Lending {
    /// Smoothed, in thousandths of a processor.
    idle: u64,
    /// As the master knows it.
    told: u64,
    /// Measurements in a row that found too little left.
    short: u32,
}

impl Lending {
    /// What may be lent in all, those included that are lent already.
    pub(crate) fn resources(&self) -> Resources {
        let amount = Amount::Scalar(Scalar(self.told));
        let cpus = Resource { revocable: true, ..Resource::plain(ResourceName::Cpus, amount) };
        Resources::new([cpus])
    }

    /// Whether the master is to hear of it.
    fn learn(&mut self, idle: u64) -> bool {
        self.idle = match idle.checked_sub(self.idle) {
            // Rounded up, or the last of it would never be lent.
            Some(more) => self.idle + (more * TRUST_PERCENT).div_ceil(100),
            None => idle,
        };
        let worth = self.idle / STEP_MILLIS * STEP_MILLIS;
        std::mem::replace(&mut self.told, worth) != worth
    }
}

/// What a task holds for as long as nobody else wants it.
fn borrowed(held: &Held) -> u64 {
    held.info.resources.only(|one| one.revocable).cpus().0
}

impl Node {
    /// What the containers of running tasks use was measured.
    pub(crate) fn loaded(&mut self, loads: &[Load], turn: &mut Turn<'_>) {
        let loads = loads.iter().map(|load| (&load.container, load.cpus.0)).collect();
        let (idle, used) = self.own_use(&loads);
        if self.lending.learn(idle * LENT_PERCENT / 100) {
            let revocable = self.lending.resources();
            turn.out.effects.push(Effect::ToMaster(FromAgent::Lends { revocable }));
        }
        let capacity = self.own().info.resources.cpus().0;
        self.take_back(capacity.saturating_sub(used) * LENT_PERCENT / 100, turn);
    }

    /// Of tasks that have borrowed nothing: what they leave idle, and what they use. Who was not measured is busy.
    fn own_use(&self, loads: &BTreeMap<&ContainerId, u64>) -> (u64, u64) {
        let (mut idle, mut used) = (0, 0);
        let live = self.state.all();
        let live = live.iter().filter(|(_, held)| !held.is_ended() && borrowed(held) == 0);
        for (container, held) in live {
            let allotted = held.info.resources.cpus().0;
            let busy = loads.get(container).map_or(allotted, |busy| *busy);
            idle += allotted.saturating_sub(busy);
            used += busy;
        }
        (idle, used)
    }

    /// The youngest go first, and no more of them than have to.
    fn take_back(&mut self, left: u64, turn: &mut Turn<'_>) {
        let live = self.state.all();
        let is_lent =
            |held: &Held| held.is_running() && held.killed.is_none() && borrowed(held) > 0;
        let mut lent: Vec<_> = live.iter().filter(|(_, held)| is_lent(held)).collect();
        let mut sum: u64 = lent.iter().map(|(_, held)| borrowed(held)).sum();
        self.lending.short = if sum > left { self.lending.short + 1 } else { 0 };
        if self.lending.short < SHORT_MAX {
            return;
        }
        self.lending.short = 0;
        lent.sort_by_key(|(container, held)| (held.accepted_at, (*container).clone()));
        while sum > left
            && let Some((container, held)) = lent.pop()
        {
            sum -= borrowed(held);
            let kill = Kill { grace: Some(Duration::ZERO), by: KilledBy::Preemption };
            self.kill(container, kill, turn);
        }
    }
}
