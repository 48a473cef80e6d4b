//! Why an app waits: how far the last offer of each agent got. Kept offer by offer, so that asking costs little.
//!
//! The demands of an app are judged in an order; an agent is stopped by the first that it does not meet. How many agents
//! each demand stops is counted as they are judged, and the agents that got furthest are at hand.

use std::cmp::Reverse;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use model::agent::AgentInfo;
use model::id::{AgentId, Role};
use model::time::Time;
use placement::demand::{Demand, Lack};
use placement::fit::Need;

use crate::spec::AppSpec;

/// What an app demands, and how the agents did that made offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// As it is to be launched, which for an app that waits for its step of a deployment is as it was before.
    pub spec: Arc<AppSpec>,
    /// Whose resources it may use.
    pub accepts: Vec<Role>,
    /// The region that it does not leave.
    pub home: Option<String>,
    /// In the order in which an offer is judged.
    pub steps: Vec<Step>,
    /// How the last offer of each agent was judged.
    pub agents: OrdMap<AgentId, Arc<Judged>>,
    /// Offers of agents that are not among these, because there is a limit to what is kept.
    pub unlisted: u32,
    /// Those that were stopped: the furthest first, among them the one that lacks least.
    ranks: OrdSet<(Reverse<usize>, u64, AgentId)>,
}

/// One demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub demand: Demand,
    /// Agents that do not meet it.
    pub unmet: u32,
    /// Those of them that meet all demands before it.
    pub stopped: u32,
}

/// How an offer was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub agent: Arc<AgentInfo>,
    pub at: Time,
    /// Empty if it was fit.
    pub lacks: Vec<Lack>,
}

impl Explain {
    pub(crate) fn new(spec: &Arc<AppSpec>, need: &Need) -> Self {
        let step = |demand| Step { demand, unmet: 0, stopped: 0 };
        Self {
            spec: Arc::clone(spec),
            accepts: need.accepts.clone(),
            home: need.bound_to().map(str::to_owned),
            steps: need.demands().into_iter().map(step).collect(),
            agents: OrdMap::new(),
            unlisted: 0,
            ranks: OrdSet::new(),
        }
    }

    /// How many agents meet this demand and all before it.
    pub fn passed(&self, nth: usize) -> usize {
        let stopped: u32 = self.steps[..=nth].iter().map(|step| step.stopped).sum();
        self.agents.len() - usize::try_from(stopped).expect("32 bits fit")
    }

    /// Of the agents that this demand stops, the one that lacks least of it.
    pub fn nearest(&self, nth: usize) -> Option<(&AgentId, &Judged)> {
        let first = (Reverse(nth), 0, AgentId::new(""));
        let (Reverse(stage), _, agent) = self.ranks.range(first..).next()?;
        (*stage == nth).then(|| (agent, &*self.agents[agent]))
    }

    /// Of all agents that do not fit, the one that is nearest to it.
    pub fn best(&self) -> Option<(&AgentId, &Judged)> {
        self.ranks.get_min().map(|(_, _, agent)| (agent, &*self.agents[agent]))
    }

    /// The agent's latest offer takes the place of the one before.
    pub(crate) fn note(&mut self, agent: &AgentId, judged: Judged) {
        self.forget(agent);
        self.count(&judged, |count| *count += 1);
        if let Some((stage, missing)) = self.stage(&judged) {
            self.ranks.insert((Reverse(stage), missing, agent.clone()));
        }
        self.agents.insert(agent.clone(), Arc::new(judged));
    }

    pub(crate) fn forget(&mut self, agent: &AgentId) {
        let Some(judged) = self.agents.remove(agent) else { return };
        self.count(&judged, |count| *count -= 1);
        if let Some((stage, missing)) = self.stage(&judged) {
            self.ranks.remove(&(Reverse(stage), missing, agent.clone()));
        }
    }

    fn count(&mut self, judged: &Judged, change: impl Fn(&mut u32)) {
        for (nth, lack) in judged.lacks.iter().enumerate() {
            let at = self.steps.iter().position(|step| step.demand == lack.demand);
            let step = &mut self.steps[at.expect("only what is demanded is lacking")];
            change(&mut step.unmet);
            if nth == 0 {
                change(&mut step.stopped);
            }
        }
    }

    /// Which demand stopped it, and how much was missing.
    fn stage(&self, judged: &Judged) -> Option<(usize, u64)> {
        let first = judged.lacks.first()?;
        let at = self.steps.iter().position(|step| step.demand == first.demand);
        Some((at.expect("only what is demanded is lacking"), first.missing.0))
    }
}
