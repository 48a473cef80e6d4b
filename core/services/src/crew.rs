//! What is counted of one app's instances, so that no decision has to look at all of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{AddAssign, Bound};

use model::id::Serial;
use model::task::TaskState;
use placement::rule::{Rule, Spot, Tally, Test};

use crate::spec::{AppSpec, KillSelection};
use crate::state::{Goal, Instance, Place, Version};
use crate::view::Counts;

/// How good an instance is; the worst are killed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Unreachable,
    /// Failed its health check, or is being killed by somebody else.
    Unhealthy,
    Staging,
    Starting,
    /// Running, and its health check has not yet decided.
    Unproven,
    Good,
}

const RANKS: usize = Rank::Good as usize + 1;

impl Rank {
    pub(crate) fn of(instance: &Instance, checks: Checks) -> Self {
        match (instance.state, instance.healthy, checks) {
            (TaskState::Unreachable, _, _) => Rank::Unreachable,
            (TaskState::Staging, _, _) => Rank::Staging,
            (TaskState::Starting, _, _) => Rank::Starting,
            (TaskState::Running, Some(false), _) => Rank::Unhealthy,
            (TaskState::Running, None, Checks::Some) => Rank::Unproven,
            (TaskState::Running, Some(true), _) | (TaskState::Running, None, Checks::None) => {
                if instance.ready {
                    Rank::Good
                } else {
                    Rank::Unproven
                }
            }
            // Terminal instances are removed and not kept.
            (
                TaskState::Killing
                | TaskState::Finished
                | TaskState::Failed
                | TaskState::Killed
                | TaskState::Error
                | TaskState::Lost
                | TaskState::Dropped
                | TaskState::Gone
                | TaskState::GoneByOperator
                | TaskState::Unknown,
                _,
                _,
            ) => Rank::Unhealthy,
        }
    }
}

/// Whether a version of an app has health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    None,
    Some,
}

impl Checks {
    pub(crate) fn of(spec: &AppSpec) -> Self {
        let of_pod = spec.pod.as_ref().is_some_and(|pod| pod.has_health_checks());
        if spec.health_checks.is_empty() && !of_pod { Checks::None } else { Checks::Some }
    }
}

/// Instances that are to run, by rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Muster([u32; RANKS]);

impl Muster {
    pub(crate) fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    pub(crate) fn count(&self, rank: Rank) -> u32 {
        self.0[rank as usize]
    }

    pub(crate) fn good(&self) -> u32 {
        self.count(Rank::Good)
    }

    pub(crate) fn reachable(&self) -> u32 {
        self.total() - self.count(Rank::Unreachable)
    }
}

impl AddAssign for Muster {
    fn add_assign(&mut self, other: Muster) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// The instances of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Generation {
    checks: Checks,
    muster: Muster,
    /// Those that are being killed included.
    all: u32,
}

/// The instances of one app.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crew {
    /// Since when the app's configuration is what it is; older instances are to be replaced in a restart.
    since: Option<Version>,
    pub(crate) rules: Vec<Rule>,
    /// One for each rule: where the instances of the current configuration are.
    pub(crate) tallies: Vec<Tally>,
    /// Those that are to run, the first to be killed first.
    line: BTreeSet<(Rank, Version, Serial)>,
    doomed: BTreeSet<Serial>,
    doomed_unreachable: u32,
    /// Residents whose task is over. They are counted nowhere else: what is launched next takes their place.
    resting: BTreeSet<Serial>,
    generations: BTreeMap<Version, Generation>,
    /// Of earlier configurations, and of the current one.
    pub(crate) old: Muster,
    pub(crate) new: Muster,
    pub(crate) counts: Counts,
}

impl Crew {
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty() && self.doomed.is_empty() && self.resting.is_empty()
    }

    /// Those on their way out whose agent answers.
    pub(crate) fn leaving(&self) -> u32 {
        u32::try_from(self.doomed.len()).expect("instances are counted in 32 bits")
            - self.doomed_unreachable
    }

    pub(crate) fn resting(&self) -> &BTreeSet<Serial> {
        &self.resting
    }

    /// Those of just this version.
    pub(crate) fn of_version(&self, version: Version) -> Muster {
        self.generations.get(&version).map_or(Muster::default(), |generation| generation.muster)
    }

    pub(crate) fn has_version(&self, version: Version) -> bool {
        self.generations.contains_key(&version)
    }

    pub(crate) fn is_current(&self, version: Version) -> bool {
        self.since.is_some_and(|since| since <= version)
    }

    pub(crate) fn since(&self) -> Option<Version> {
        self.since
    }

    /// The app's configuration is now this one, or the app is gone. `all` are its instances.
    pub(crate) fn configure<'a>(
        &mut self,
        since: Option<Version>,
        rules: Vec<Rule>,
        all: impl Iterator<Item = &'a Instance>,
    ) {
        self.since = since;
        self.tallies = vec![Tally::default(); rules.len()];
        self.rules = rules;
        (self.old, self.new) = (Muster::default(), Muster::default());
        let split = since.map_or(Bound::Unbounded, Bound::Excluded);
        for (version, generation) in &self.generations {
            let is_old = match split {
                Bound::Excluded(since) => *version < since,
                Bound::Included(_) | Bound::Unbounded => true,
            };
            let side = if is_old { &mut self.old } else { &mut self.new };
            *side += generation.muster;
        }
        // There are none of a new configuration; there are of one that is gone back to.
        let newest = self.generations.keys().next_back();
        if newest.is_some_and(|newest| self.is_current(*newest)) {
            all.for_each(|one| self.tally(one, Tally::add));
        }
    }

    /// Counts an instance. `checks` tells whether its version has health checks.
    pub(crate) fn enter(&mut self, instance: &Instance, checks: impl FnOnce() -> Checks) {
        if instance.is_resting() {
            self.resting.insert(instance.serial);
            return;
        }
        let generation = self.generations.entry(instance.version).or_insert_with(|| Generation {
            checks: checks(),
            muster: Muster::default(),
            all: 0,
        });
        generation.all += 1;
        let rank = Rank::of(instance, generation.checks);
        match instance.goal {
            Goal::Running => {
                generation.muster.0[rank as usize] += 1;
                self.side(instance.version).0[rank as usize] += 1;
                self.line.insert((rank, instance.version, instance.serial));
            }
            Goal::Stopped | Goal::Decommissioned => {
                self.doomed.insert(instance.serial);
                self.doomed_unreachable += u32::from(rank == Rank::Unreachable);
            }
        }
        self.tally(instance, Tally::add);
        count(&mut self.counts, instance, |count| *count += 1);
    }

    /// Takes an instance out of the counts, as it was entered.
    pub(crate) fn leave(&mut self, instance: &Instance) {
        if instance.is_resting() {
            self.resting.remove(&instance.serial);
            return;
        }
        let generation =
            self.generations.get_mut(&instance.version).expect("entered with its version");
        let rank = Rank::of(instance, generation.checks);
        generation.all -= 1;
        match instance.goal {
            Goal::Running => {
                generation.muster.0[rank as usize] -= 1;
                self.side(instance.version).0[rank as usize] -= 1;
                self.line.remove(&(rank, instance.version, instance.serial));
            }
            Goal::Stopped | Goal::Decommissioned => {
                self.doomed.remove(&instance.serial);
                self.doomed_unreachable -= u32::from(rank == Rank::Unreachable);
            }
        }
        if self.generations[&instance.version].all == 0 {
            self.generations.remove(&instance.version);
        }
        self.tally(instance, |tally, value| tally.remove(&value));
        count(&mut self.counts, instance, |count| *count -= 1);
    }

    fn side(&mut self, version: Version) -> &mut Muster {
        if self.is_current(version) { &mut self.new } else { &mut self.old }
    }

    fn tally(&mut self, instance: &Instance, change: impl Fn(&mut Tally, Option<String>)) {
        if !self.rules.is_empty() && self.is_current(instance.version) {
            for (rule, tally) in self.rules.iter().zip(&mut self.tallies) {
                change(tally, rule.value(spot(&instance.place)));
            }
        }
    }

    /// Those that are to run, the first to be killed first: the worst, and among equals by age.
    pub(crate) fn victims(&self, of: Of, by_age: KillSelection) -> impl Iterator<Item = Serial> {
        let (ranks, until): (&[Rank], Version) = match of {
            Of::All => (&BY_RANK, Version::MAX),
            Of::OldAndBad => (&BY_RANK[..RANKS - 1], self.since.unwrap_or(Version::MAX)),
            Of::OldAndGood => (&BY_RANK[RANKS - 1..], self.since.unwrap_or(Version::MAX)),
        };
        ranks.iter().flat_map(move |rank| {
            let within = (*rank, Version::default(), Serial(0))..(*rank, until, Serial(0));
            Aged { within: self.line.range(within), by_age }.map(|(_, _, serial)| *serial)
        })
    }
}

impl Crew {
    /// Whether a constraint spreads it evenly.
    pub(crate) fn is_spread(&self) -> bool {
        self.spreading_rule().is_some()
    }

    fn spreading_rule(&self) -> Option<&Rule> {
        self.rules.iter().find(|rule| matches!(rule.test, Test::GroupBy(_)))
    }

    /// Those that are to run by the value that spreads them, in each group the first to be killed first.
    pub(crate) fn groups<'a>(
        &self,
        by_age: KillSelection,
        place_of: impl Fn(&Serial) -> &'a Place,
    ) -> Vec<VecDeque<Serial>> {
        let Some(rule) = self.spreading_rule() else { return Vec::new() };
        let mut groups: BTreeMap<Option<String>, VecDeque<Serial>> = BTreeMap::new();
        for serial in self.victims(Of::All, by_age) {
            let value = rule.value(spot(place_of(&serial)));
            groups.entry(value).or_default().push_back(serial);
        }
        groups.into_values().collect()
    }
}

const BY_RANK: [Rank; RANKS] =
    [Rank::Unreachable, Rank::Unhealthy, Rank::Staging, Rank::Starting, Rank::Unproven, Rank::Good];

/// Who may be killed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    All,
    /// Of an earlier configuration, and not good.
    OldAndBad,
    OldAndGood,
}

/// Walks a range from either end.
struct Aged<I> {
    within: I,
    by_age: KillSelection,
}

impl<I: DoubleEndedIterator> Iterator for Aged<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        match self.by_age {
            KillSelection::YoungestFirst => self.within.next_back(),
            KillSelection::OldestFirst => self.within.next(),
        }
    }
}

pub(crate) fn spot(place: &Place) -> Spot<'_> {
    Spot { host: &place.host, domain: place.domain.as_ref(), attributes: &place.attributes }
}

fn count(counts: &mut Counts, instance: &Instance, change: impl Fn(&mut u32)) {
    match instance.state {
        TaskState::Staging | TaskState::Starting => change(&mut counts.staged),
        TaskState::Running => {
            change(&mut counts.running);
            match instance.healthy {
                Some(true) => change(&mut counts.healthy),
                Some(false) => change(&mut counts.unhealthy),
                None => (),
            }
        }
        TaskState::Killing
        | TaskState::Unreachable
        | TaskState::Finished
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone
        | TaskState::GoneByOperator
        | TaskState::Unknown => (),
    }
}
