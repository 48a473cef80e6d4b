//! How an app gets from what runs to what is wanted: numbers in, numbers out.

use model::resources::Scalar;

use crate::crew::{Muster, Rank};
use crate::spec::{AppSpec, UpgradeStrategy};

/// What is to be done with an app now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// So many, whatever their version.
    Keep(u32),
    /// The same, as an action of a deployment.
    Scale(u32),
    /// So many of the current configuration instead of the older ones.
    Replace(u32, Bounds),
    Stop,
}

/// The instances that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Strength {
    /// Of earlier configurations.
    pub(crate) old: Muster,
    pub(crate) new: Muster,
    /// Those launched since the app was last changed.
    pub(crate) latest: Muster,
    /// Being killed, on agents that answer.
    pub(crate) leaving: u32,
    /// Unreachable for so long that they do not count any more.
    pub(crate) inactive: u32,
}

/// What follows from both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Step {
    /// Of any configuration.
    pub(crate) kill: u32,
    /// Good ones of earlier configurations.
    pub(crate) kill_old_good: u32,
    /// Others of earlier configurations.
    pub(crate) kill_old_bad: u32,
    pub(crate) launch: u32,
    /// Whether the action is complete.
    pub(crate) done: bool,
}

pub(crate) fn next_step(manner: Manner, strength: &Strength) -> Step {
    match manner {
        Manner::Keep(count) | Manner::Scale(count) => keep(count, strength),
        Manner::Replace(count, bounds) => replace(count, bounds, strength),
        Manner::Stop => {
            let all = strength.old.total() + strength.new.total();
            Step { kill: all, done: all == 0 && strength.leaving == 0, ..Step::default() }
        }
    }
}

/// An instance that is being killed still holds its ports and files, so what replaces it waits until it has ended.
fn keep(count: u32, strength: &Strength) -> Step {
    let running = strength.old.total() + strength.new.total() - strength.inactive;
    let kill = running.saturating_sub(count);
    let launch = count.saturating_sub(running).saturating_sub(strength.leaving);
    // What was lost for good while the action went on has been replaced.
    let lost = strength.latest.count(Rank::Unreachable).min(strength.inactive);
    let proven = strength.latest.good() + lost == strength.latest.total();
    let done = running == count && strength.leaving == 0 && proven;
    Step { kill, launch, done, ..Step::default() }
}

/// Marathon's `TaskReplaceActor`, decided anew at each event from what there is: a good old instance goes only while
/// more than the minimum are good, and a new one comes only while the capacity is not exhausted.
fn replace(count: u32, bounds: Bounds, strength: &Strength) -> Step {
    let Strength { old, new, leaving, .. } = strength;
    let (minimum, capacity) = bounds.within(count);
    let good = old.good() + new.good();
    let spare = good.saturating_sub(minimum);
    let bad_old = old.total() - old.good();
    // Each new good one relieves an old one, and what is more than was wanted is not needed at all.
    let relieved = old.total().saturating_sub(count.saturating_sub(new.good()));
    let here = old.total() + new.total() + leaving - strength.inactive;
    let room = capacity.saturating_sub(here);
    // Too few are good and nothing that could become good has room, so one that serves nobody makes way.
    let is_stuck = room == 0 && *leaving == 0 && new.good() == new.total() && new.total() < count;
    let kill_old_bad = match spare {
        0 => bad_old.min(relieved.max(old.total() - old.reachable()).max(is_stuck.into())),
        _ => bad_old,
    };
    Step {
        kill_old_good: spare.min(old.good()),
        kill_old_bad,
        launch: count.saturating_sub(new.total() - strength.inactive.min(new.total())).min(room),
        done: new.good() >= count && old.total() == 0 && *leaving == 0,
        ..Step::default()
    }
}

/// Within what an upgrade keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    strategy: UpgradeStrategy,
    way: Way,
}

/// What gives way where the strategy leaves no way forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// There is one more for a while.
    More,
    /// A resident's successor needs its volumes, so one is missing for a while.
    Fewer,
}

impl Bounds {
    pub(crate) fn of(spec: &AppSpec) -> Self {
        let way = if spec.is_resident() { Way::Fewer } else { Way::More };
        Self { strategy: spec.upgrade, way }
    }

    /// So many must be good at any time, as far as it lies with us; and so many may there be.
    fn within(self, count: u32) -> (u32, u32) {
        let (minimum, capacity) = (self.minimum(count), self.capacity(count));
        if minimum < capacity {
            return (minimum, capacity);
        }
        match self.way {
            Way::More => (minimum, capacity + 1),
            Way::Fewer => (minimum.saturating_sub(1), capacity),
        }
    }

    fn minimum(self, count: u32) -> u32 {
        let thousandths = u64::from(count) * self.strategy.minimum_health_capacity.0;
        u32::try_from(thousandths.div_ceil(1000)).unwrap_or(u32::MAX)
    }

    fn capacity(self, count: u32) -> u32 {
        let factor = Scalar::whole(1).0 + self.strategy.maximum_over_capacity.0;
        u32::try_from(u64::from(count) * factor / 1000).unwrap_or(u32::MAX)
    }
}
