//! Claims: what was reserved on an agent while the cluster ran, and its volumes. They are true at the agent; what the
//! kernel writes down it believes until the agent says otherwise.

use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, OfferId, Role};
use model::resources::{Resource, Resources};

use crate::stock::Stock;
use crate::{Kernel, Out, Record};

/// What the framework may be offered of this in its role, and knows what to do with.
pub(crate) fn usable(free: &Resources, role: &Role, framework: &FrameworkInfo) -> Resources {
    let knows = |one: &Resource| {
        (!one.is_refined() || framework.can(Capability::ReservationRefinement))
            && (!one.shared || framework.can(Capability::SharedResources))
            && (!one.revocable || framework.can(Capability::RevocableResources))
    };
    free.only(|one| one.role().is_none_or(|owner| role.is_within(owner)) && knows(one))
}

impl Kernel {
    pub(crate) fn set_claims(&mut self, agent: &AgentId, claims: Resources, out: &mut Out) {
        if self.state.claims.get(agent).unwrap_or(&Resources::default()) != &claims {
            let claims = (!claims.is_empty()).then_some(claims);
            self.commit(Record::Claims(agent.clone(), claims), out);
        }
    }

    /// The agent has other claims than was thought: nothing that was offered of it is sure to be there.
    pub(crate) fn adopt_claims(&mut self, agent: &AgentId, claims: Resources, out: &mut Out) {
        if self.state.claims.get(agent).unwrap_or(&Resources::default()) == &claims {
            return;
        }
        let stock = self.offers.stock(agent);
        let offers: Vec<OfferId> = stock.into_iter().flat_map(Stock::offer_ids).collect();
        offers.iter().for_each(|offer| self.rescind(offer, out));
        self.set_claims(agent, claims, out);
        self.count_free(agent);
        self.offer_again(agent);
    }
}
