//! What agents lend: processors that tasks have and do not use. An agent says how much, a new leader hears it again.

use model::id::{AgentId, OfferId};
use model::resources::{Resource, Resources};
use model::task::{Reason, TaskState, TaskStatus};

use crate::agents::LiveAgent;
use crate::{Kernel, Out};

/// Whatever an agent lends may be taken back, and is nobody's.
fn borrowable(told: &Resources) -> Resources {
    let plain = told.iter().filter(|one| !one.scalar().is_zero());
    Resources::new(plain.map(|one| Resource {
        revocable: true,
        ..Resource::plain(one.name.clone(), one.amount.clone())
    }))
}

impl LiveAgent {
    pub(crate) fn lend(&mut self, told: &Resources) {
        self.revocable = borrowable(told);
    }
}

impl Kernel {
    /// It lends more or less than it did: what was offered of it is taken back, for it may not be there.
    pub(crate) fn lends(&mut self, agent: &AgentId, told: &Resources, out: &mut Out) {
        let live = self.agents.get_mut(agent).expect("it has just spoken");
        let before = live.revocable.clone();
        live.lend(told);
        if live.revocable == before {
            return;
        }
        self.touched_agents.insert(agent.clone());
        let has_lent = |one: &Resources| one.iter().any(|one| one.revocable);
        let offers = self.offers.stock(agent).into_iter().flat_map(|stock| &stock.offers);
        let offers = offers.filter(|(_, offer)| has_lent(&offer.resources));
        let offers: Vec<OfferId> = offers.map(|(_, offer)| offer.id.clone()).collect();
        offers.iter().for_each(|offer| self.rescind(offer, out));
        self.count_free(agent);
        self.offer_again(agent);
    }

    /// Frameworks that know only TASK_LOST hear that instead.
    pub(crate) fn spell_preempted(
        &self,
        framework: &model::id::FrameworkId,
        status: &mut TaskStatus,
    ) {
        if status.reason == Some(Reason::ContainerPreempted) {
            status.state = self.state_for(framework, TaskState::Gone);
        }
    }
}
