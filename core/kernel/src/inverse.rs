//! Inverse offers: whoever holds something on an agent that is to go down is asked whether it will let go of it. What it
//! answers is shown to operators and binds nobody. Volatile: a new leader asks anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::id::{AgentId, FrameworkId, OfferId};
use model::scheduler::{Event, InverseOffer, Unavailability};
use model::time::Time;

use crate::clients::{REFUSE_MS_MAX, REFUSE_MS_MIN};
use crate::tasks::holds;
use crate::timers::Timer;
use crate::view::{Answer, Answered};
use crate::{Effect, Kernel, Out};

/// Agents whose frameworks are asked in one tick.
const ASKED_AGENTS_PER_TICK_MAX: usize = 256;

/// Agents in the schedule, and what their frameworks were asked.
#[derive(Debug, Default)]
pub(crate) struct Inverse {
    asked: BTreeMap<AgentId, Asked>,
    /// Whose frameworks are to be looked at.
    due: BTreeSet<AgentId>,
}

#[derive(Debug)]
struct Asked {
    unavailability: Unavailability,
    by: BTreeMap<FrameworkId, Ask>,
    timer: Option<Time>,
}

#[derive(Debug)]
struct Ask {
    offer: Option<OfferId>,
    /// When the offer runs out, or the framework is asked again.
    until: Time,
    answer: Option<(Answer, Time)>,
}

impl Inverse {
    pub(crate) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Somebody else may hold something on this agent.
    pub(crate) fn look_at(&mut self, agent: &AgentId) {
        if self.asked.contains_key(agent) {
            self.due.insert(agent.clone());
        }
    }

    pub(crate) fn look_at_all(&mut self) {
        self.due.extend(self.asked.keys().cloned());
    }

    pub(crate) fn unavailability(&self, agent: &AgentId) -> Option<Unavailability> {
        self.asked.get(agent).map(|asked| asked.unavailability)
    }

    pub(crate) fn answers(&self, agent: &AgentId) -> Vec<Answered> {
        let by = self.asked.get(agent).into_iter().flat_map(|asked| &asked.by);
        let answered = by.filter_map(|(framework, ask)| {
            let (answer, at) = ask.answer?;
            Some(Answered { framework: framework.clone(), answer, at })
        });
        answered.collect()
    }
}

impl Kernel {
    /// The agent is there, and the schedule may say something else of it than before.
    pub(crate) fn follow_plan(&mut self, id: &AgentId, out: &mut Out) {
        let connected = self.agents.get(id).is_some_and(|live| live.connection.is_some());
        let info = self.state.agents.get(id).filter(|_| connected).map(|agent| &agent.info);
        let planned = info.and_then(|info| self.state.planned(info));
        let unavailability = planned.map(|planned| planned.unavailability);
        if self.inverse.unavailability(id) == unavailability {
            return;
        }
        self.drop_asked(id, out);
        if let Some(unavailability) = unavailability {
            let asked = Asked { unavailability, by: BTreeMap::new(), timer: None };
            self.inverse.asked.insert(id.clone(), asked);
            self.inverse.due.insert(id.clone());
        }
        if let Some(slot) = self.offers.slots.get(id) {
            self.offers.stocks[*slot].unavailability = unavailability;
        }
        // They did not say so.
        self.rescind_all(id, out);
        self.touched_agents.insert(id.clone());
    }

    fn drop_asked(&mut self, id: &AgentId, out: &mut Out) {
        self.inverse.due.remove(id);
        let Some(asked) = self.inverse.asked.remove(id) else { return };
        if let Some(at) = asked.timer {
            self.timers.cancel(at, Timer::Inverse(id.clone()));
        }
        for (framework, ask) in asked.by {
            self.rescind_inverse(&framework, ask.offer, out);
        }
    }

    fn rescind_inverse(&mut self, framework: &FrameworkId, offer: Option<OfferId>, out: &mut Out) {
        if let Some(id) = offer
            && self.view.inverse_offers.remove(&id).is_some()
        {
            self.tell(framework, Event::RescindInverse(id), out);
        }
    }

    /// The framework's stream is gone, or is another.
    pub(crate) fn forget_asks(&mut self, framework: &FrameworkId) {
        for (agent, asked) in &mut self.inverse.asked {
            let Some(ask) = asked.by.remove(framework) else { continue };
            ask.offer.and_then(|offer| self.view.inverse_offers.remove(&offer));
            self.touched_agents.insert(agent.clone());
        }
    }

    pub(crate) fn ask_again(&mut self, agent: &AgentId) {
        let Some(asked) = self.inverse.asked.get_mut(agent) else { return };
        asked.timer = None;
        self.inverse.due.insert(agent.clone());
    }

    pub(crate) fn ask_back(&mut self, now: Time, out: &mut Out) {
        let mut told: BTreeMap<FrameworkId, Vec<InverseOffer>> = BTreeMap::new();
        for _ in 0..ASKED_AGENTS_PER_TICK_MAX {
            let Some(agent) = self.inverse.due.pop_first() else { break };
            for offer in self.ask_on(now, &agent, out) {
                told.entry(offer.framework.clone()).or_default().push(offer);
            }
        }
        for (framework, offers) in told {
            out.effects.push(Effect::Event(framework, Event::InverseOffers(offers)));
        }
    }

    /// Asks whoever holds something there and was not asked, or long ago.
    fn ask_on(&mut self, now: Time, agent: &AgentId, out: &mut Out) -> Vec<InverseOffer> {
        let mut holders = self.holders_on(agent);
        holders.retain(|id| self.frameworks.get(id).is_some_and(|live| live.connected));
        let Some(asked) = self.inverse.asked.get_mut(agent) else { return Vec::new() };
        let unavailability = asked.unavailability;
        let is_over = |framework: &FrameworkId, ask: &Ask| {
            ask.until <= now && ask.offer.is_some() || !holders.contains(framework)
        };
        let over = asked.by.iter_mut().filter(|(framework, ask)| is_over(framework, ask));
        let over: Vec<(FrameworkId, Option<OfferId>)> =
            over.map(|(framework, ask)| (framework.clone(), ask.offer.take())).collect();
        asked.by.retain(|framework, _| holders.contains(framework));
        for (framework, offer) in over {
            self.rescind_inverse(&framework, offer, out);
        }
        let mut made = Vec::new();
        for framework in holders {
            let asked = self.inverse.asked.get_mut(agent).expect("it was just there");
            let before = asked.by.get(&framework);
            if before.is_some_and(|ask| now < ask.until) {
                continue;
            }
            let id = OfferId::new(format!("{}-O{}", self.view.cluster, self.offers.next.0));
            self.offers.next = self.offers.next.next();
            let answer = before.and_then(|ask| ask.answer);
            let until = now + self.config.offer_timeout.max(Duration::from_millis(1));
            asked.by.insert(framework.clone(), Ask { offer: Some(id.clone()), until, answer });
            let offer =
                InverseOffer { id: id.clone(), framework, agent: agent.clone(), unavailability };
            self.view.inverse_offers.insert(id, Arc::new(offer.clone()));
            made.push(offer);
        }
        self.set_inverse_timer(agent);
        self.touched_agents.insert(agent.clone());
        made
    }

    fn holders_on(&self, agent: &AgentId) -> BTreeSet<FrameworkId> {
        let of_tasks = self.tasks_of(agent).filter(|task| holds(task));
        let of_tasks = of_tasks.map(|task| task.framework.clone());
        let live = self.agents.get(agent);
        let of_programs = live.into_iter().flat_map(|live| live.executors());
        of_tasks.chain(of_programs.map(|held| held.framework)).collect()
    }

    fn set_inverse_timer(&mut self, agent: &AgentId) {
        let Some(asked) = self.inverse.asked.get_mut(agent) else { return };
        let next = asked.by.values().map(|ask| ask.until).min();
        let before = std::mem::replace(&mut asked.timer, next);
        if let Some(at) = before {
            self.timers.cancel(at, Timer::Inverse(agent.clone()));
        }
        if let Some(at) = next {
            self.timers.set(at, Timer::Inverse(agent.clone()));
        }
    }

    /// A framework says whether it will let go. It is not asked again for a while.
    pub(crate) fn answered(
        &mut self,
        now: Time,
        from: &FrameworkId,
        offers: &[OfferId],
        (answer, refuse): (Answer, Duration),
    ) {
        let least = Duration::from_millis(REFUSE_MS_MIN);
        let span = refuse.clamp(least, Duration::from_millis(REFUSE_MS_MAX));
        for id in offers {
            let known = self.view.inverse_offers.get(id).filter(|offer| offer.framework == *from);
            let Some(offer) = known.cloned() else { continue };
            self.view.inverse_offers.remove(id);
            let agent = &offer.agent;
            let asked = self.inverse.asked.get_mut(agent).expect("its offer was out");
            let ask = Ask { offer: None, until: now + span, answer: Some((answer, now)) };
            asked.by.insert(from.clone(), ask);
            self.set_inverse_timer(agent);
            self.touched_agents.insert(agent.clone());
        }
    }

    /// Whether what is asked agrees with what is shown: for tests and simulations.
    pub(crate) fn audit_inverse(&self) {
        let out = self.inverse.asked.iter().flat_map(|(agent, asked)| {
            asked.by.values().filter_map(move |ask| Some((ask.offer.clone()?, agent.clone())))
        });
        let out: BTreeMap<OfferId, AgentId> = out.collect();
        let shown = self.view.inverse_offers.values();
        let shown = shown.map(|offer| (offer.id.clone(), offer.agent.clone())).collect();
        assert_eq!(out, shown, "inverse offers");
        for (agent, asked) in &self.inverse.asked {
            let planned = self.state.planned(&self.state.agents[agent].info);
            let planned = planned.map(|planned| planned.unavailability);
            assert_eq!(planned, Some(asked.unavailability), "{agent}");
            let stock = self.offers.stock(agent).expect("it is connected");
            assert_eq!(stock.unavailability, planned, "{agent}");
        }
    }
}
