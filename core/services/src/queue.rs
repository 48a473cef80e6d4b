//! What waits for offers: which apps, since when, why not yet. Volatile; every entry follows from an app's numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use model::id::{AgentId, Role};
use model::scheduler::Offer;
use model::time::Time;
use placement::demand::{Lack, misses};

use crate::explain::{Explain, Judged};
use crate::spec::{AppId, Backoff};
use crate::state::Version;
use crate::task::Template;
use crate::view::{Unused, Waiting};

/// Agents whose last unused offer is remembered for one app.
const UNUSED_MAX: usize = 20;

/// Judgements of agents that are remembered for all apps together...
const JUDGED_MAX: usize = 100_000;
/// ...and for one app in any case.
const JUDGED_MIN: usize = 20;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    wants: BTreeMap<AppId, Want>,
    /// Apps that offers are matched with now, by role.
    open: BTreeMap<Role, BTreeSet<AppId>>,
    /// After whom in `open` the next offer begins, so that nobody is always last.
    cursor: BTreeMap<Role, AppId>,
    delays: BTreeMap<AppId, Delay>,
    delay_ends: BTreeSet<(Time, AppId)>,
    taps: BTreeMap<Role, Tap>,
    /// Roles whose taps may have to be turned.
    touched: BTreeSet<Role>,
    pub(crate) shown: OrdMap<AppId, Arc<Waiting>>,
    /// How many agents the accounts of all apps name together.
    judged: usize,
}

/// Instances of one app that are yet to be launched.
#[derive(Debug)]
pub(crate) struct Want {
    pub(crate) template: Arc<Template>,
    pub(crate) count: u32,
}

/// How long launches wait after failures of one configuration.
#[derive(Debug, Clone, Copy)]
struct Delay {
    since: Version,
    /// The latest failure or launch.
    from: Time,
    length: Duration,
    /// Without failures for so long it is forgotten.
    max: Duration,
}

impl Delay {
    fn until(&self) -> Time {
        self.from + self.length
    }
}

/// Whether the kernel makes offers to a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tap {
    closed: bool,
    /// Offers were refused for a while since it was last revived.
    filtered: bool,
    /// Something new is wanted.
    thirsty: bool,
}

/// What came of looking at an offer for one app.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) launched: usize,
    /// Why there were no more of them.
    pub(crate) lacks: Vec<Lack>,
}

/// What is to be asked of the kernel.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Turned {
    pub(crate) revive: Vec<Role>,
    pub(crate) suppress: Vec<Role>,
}

impl Queue {
    pub(crate) fn want(&self, app: &AppId) -> Option<&Want> {
        self.wants.get(app)
    }

    /// How many more instances the app wants; `None` forgets it.
    pub(crate) fn set(&mut self, app: &AppId, want: Option<Want>, now: Time) {
        let Some(want) = want.filter(|want| want.count > 0) else { return self.forget(app) };
        let before = self.wants.get(app).map(|before| (before.count, before.template.version));
        let same_version = before.is_some_and(|(_, version)| version == want.template.version);
        let more = before.is_none_or(|(count, _)| count < want.count) || !same_version;
        if !more && before.is_some_and(|(count, _)| count == want.count) {
            return;
        }
        if before.is_some() && !same_version {
            self.explain_anew(app, &want);
        }
        self.show(app, &want, now);
        let role = want.template.role.clone();
        let since = want.template.since;
        let lacks = !want.template.lacks.is_empty();
        self.close(app);
        self.wants.insert(app.clone(), want);
        if lacks {
            return;
        }
        match self.delayed_until(app, since, now) {
            Some(until) => drop(self.delay_ends.insert((until, app.clone()))),
            None => {
                self.open.entry(role.clone()).or_default().insert(app.clone());
                self.tap(&role).thirsty |= more;
            }
        }
    }

    fn show(&mut self, app: &AppId, want: &Want, now: Time) {
        let delayed_until = self.delayed_until(app, want.template.since, now);
        let shown = self.shown.entry(app.clone()).or_insert_with(|| Arc::new(unseen(want, now)));
        let shown = Arc::make_mut(shown);
        shown.count = want.count;
        shown.delayed_until = delayed_until;
        shown.role = want.template.role.clone();
        shown.lacks = Arc::clone(&want.template.lacks);
    }

    fn forget(&mut self, app: &AppId) {
        self.close(app);
        self.wants.remove(app);
        if let Some(shown) = self.shown.remove(app) {
            self.judged -= shown.explain.agents.len();
        }
    }

    /// Another version demands other things.
    fn explain_anew(&mut self, app: &AppId, want: &Want) {
        let Some(shown) = self.shown.get_mut(app) else { return };
        self.judged -= shown.explain.agents.len();
        Arc::make_mut(shown).explain = Explain::new(&want.template.spec, &want.template.need);
    }

    /// The agent is gone for good.
    pub(crate) fn forget_agent(&mut self, agent: &AgentId) {
        let knows = |shown: &Arc<Waiting>| shown.explain.agents.contains_key(agent);
        let apps = self.shown.iter().filter(|(_, shown)| knows(shown));
        for app in apps.map(|(app, _)| app.clone()).collect::<Vec<_>>() {
            let shown = Arc::make_mut(self.shown.get_mut(&app).expect("it was just seen"));
            shown.explain.forget(agent);
            shown.last_unused.remove(agent);
            self.judged -= 1;
        }
    }

    fn close(&mut self, app: &AppId) {
        let Some(want) = self.wants.get(app) else { return };
        let role = &want.template.role;
        if let Some(open) = self.open.get_mut(role) {
            open.remove(app);
            if open.is_empty() {
                self.open.remove(role);
            }
        }
        self.touched.insert(role.clone());
    }

    fn tap(&mut self, role: &Role) -> &mut Tap {
        self.touched.insert(role.clone());
        self.taps.entry(role.clone()).or_default()
    }

    /// Up to `max` apps that an offer to this role is for, beginning where the last offer ended.
    pub(crate) fn candidates(&self, role: &Role, max: usize) -> Vec<AppId> {
        let Some(open) = self.open.get(role) else { return Vec::new() };
        match self.cursor.get(role) {
            Some(last) => {
                let after = (Bound::Excluded(last), Bound::Unbounded);
                let until = (Bound::Unbounded, Bound::Included(last));
                open.range(after).chain(open.range(until)).take(max).cloned().collect()
            }
            None => open.iter().take(max).cloned().collect(),
        }
    }

    /// The next offer begins with the app after this one.
    pub(crate) fn point_past(&mut self, role: &Role, app: AppId) {
        self.cursor.insert(role.clone(), app);
    }

    /// An offer was looked at for the app: whether something was launched, and what its rest lacks.
    pub(crate) fn note(&mut self, app: &AppId, offer: &Arc<Offer>, now: Time, look: Look) {
        let Some(shown) = self.shown.get_mut(app) else { return };
        let shown = Arc::make_mut(shown);
        shown.offers_processed += 1;
        let misses = misses(&look.lacks);
        match misses.first() {
            Some(first) if look.launched == 0 => {
                shown.offers_unused += 1;
                shown.last_unused_at = Some(now);
                *shown.misses.entry(*first).or_default() += 1;
                let known = shown.last_unused.contains_key(&offer.agent_id);
                if known || shown.last_unused.len() < UNUSED_MAX {
                    let unused = Unused { offer: Arc::clone(offer), misses, at: now };
                    shown.last_unused.insert(offer.agent_id.clone(), unused);
                }
            }
            Some(_) | None => {
                shown.last_used_at = Some(now);
                shown.last_unused.remove(&offer.agent_id);
            }
        }
        let explain = &mut shown.explain;
        let before = explain.agents.len();
        if explain.agents.contains_key(&offer.agent_id)
            || self.judged < JUDGED_MAX
            || before < JUDGED_MIN
        {
            let agent = Arc::clone(&offer.agent);
            explain.note(&offer.agent_id, Judged { agent, at: now, lacks: look.lacks });
            self.judged += explain.agents.len() - before;
        } else {
            explain.unlisted += 1;
        }
    }

    /// An instance of this configuration failed: the next launch waits, longer each time.
    pub(crate) fn slow_down(&mut self, app: &AppId, since: Version, backoff: Backoff, now: Time) {
        let length = match self.delay(app, since, now) {
            Some(delay) => scale(delay.length, backoff),
            None => backoff.initial,
        };
        let length = length.min(backoff.max);
        let delay = Delay { since, from: now, length, max: backoff.max };
        self.set_delay(app, Some(delay), now);
    }

    /// An instance got further: what is delayed waits once more, and no longer.
    pub(crate) fn keep_pace(&mut self, app: &AppId, since: Version, now: Time) {
        if let Some(delay) = self.delay(app, since, now) {
            self.set_delay(app, Some(Delay { from: now, ..delay }), now);
        }
    }

    pub(crate) fn reset_delay(&mut self, app: &AppId, now: Time) {
        if self.delays.contains_key(app) {
            self.set_delay(app, None, now);
        }
    }

    fn delay(&self, app: &AppId, since: Version, now: Time) -> Option<Delay> {
        let delay = self.delays.get(app).copied()?;
        (delay.since == since && now <= delay.from + delay.max).then_some(delay)
    }

    fn delayed_until(&self, app: &AppId, since: Version, now: Time) -> Option<Time> {
        self.delay(app, since, now).map(|delay| delay.until()).filter(|until| now < *until)
    }

    fn set_delay(&mut self, app: &AppId, delay: Option<Delay>, now: Time) {
        match delay {
            Some(delay) => self.delays.insert(app.clone(), delay),
            None => self.delays.remove(app),
        };
        self.close(app);
        if let Some(want) = self.wants.remove(app) {
            self.set(app, Some(want), now);
        }
    }

    /// Apps whose delay is over are open again.
    pub(crate) fn tick(&mut self, now: Time) {
        while let Some((until, app)) = self.delay_ends.pop_first() {
            if now < until {
                self.delay_ends.insert((until, app));
                return;
            }
            if let Some(want) = self.wants.remove(&app) {
                self.set(&app, Some(want), now);
            }
        }
    }

    pub(crate) fn wake_at(&self) -> Option<Time> {
        self.delay_ends.first().map(|(until, _)| *until)
    }

    /// Offers to this role were refused for a while.
    pub(crate) fn filtered(&mut self, role: &Role) {
        self.tap(role).filtered = true;
    }

    /// Something may fit now that did not before.
    pub(crate) fn thirst(&mut self, app: &AppId) {
        if let Some(want) = self.wants.get(app) {
            let role = want.template.role.clone();
            self.tap(&role).thirsty = true;
        }
    }

    /// Something of this role is to be given back.
    pub(crate) fn thirst_for(&mut self, role: &Role) {
        self.tap(role).thirsty = true;
    }

    /// A new subscription: the kernel makes offers to all of these, whatever they refused before.
    pub(crate) fn open_taps(&mut self, roles: impl Iterator<Item = Role>) {
        self.taps = roles.map(|role| (role, Tap::default())).collect();
        self.touched = self.taps.keys().cloned().collect();
    }

    /// The kernel has forgotten a role, and begins anew should it be told of it again.
    pub(crate) fn close_tap(&mut self, role: &Role) {
        self.taps.remove(role);
        self.touched.remove(role);
    }

    /// What has to be said to the kernel so that offers come where, and only where, something is wanted, or is to be
    /// given back.
    pub(crate) fn turn_taps(&mut self, litter: impl Fn(&Role) -> bool) -> Turned {
        let mut turned = Turned::default();
        for role in std::mem::take(&mut self.touched) {
            let tap = self.taps.entry(role.clone()).or_default();
            let wanted = self.open.get(&role).is_some_and(|open| !open.is_empty());
            let wanted = wanted || litter(&role);
            if wanted && tap.thirsty && (tap.closed || tap.filtered) {
                turned.revive.push(role.clone());
                *tap = Tap::default();
            }
            tap.thirsty = false;
            if !wanted && !tap.closed {
                tap.closed = true;
                turned.suppress.push(role);
            }
        }
        turned
    }
}

fn unseen(want: &Want, now: Time) -> Waiting {
    Waiting {
        count: want.count,
        role: want.template.role.clone(),
        since: now,
        lacks: Arc::clone(&want.template.lacks),
        delayed_until: None,
        offers_processed: 0,
        offers_unused: 0,
        last_used_at: None,
        last_unused_at: None,
        misses: BTreeMap::new(),
        last_unused: BTreeMap::new(),
        explain: Explain::new(&want.template.spec, &want.template.need),
    }
}

fn scale(length: Duration, backoff: Backoff) -> Duration {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.saturating_mul(backoff.factor.0) / 1000)
}
