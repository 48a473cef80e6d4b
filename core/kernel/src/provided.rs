//! What resource providers bring to agents. It is true at the providers, and an agent hands it on: what the kernel writes down
//! it believes until the agent says otherwise.
//!
//! Of an operation whose outcome nobody can foresee, what it uses up is nobody's until it is over.

use model::id::{AgentId, OfferId, ProviderId, Uuid};
use model::operation::{Conversion, Operated};
use model::provider::Provided;
use model::resources::{Resource, Resources};

use crate::{Kernel, Out, Record};

impl Kernel {
    pub(crate) fn set_provided(
        &mut self,
        agent: &AgentId,
        mut provided: Vec<Provided>,
        out: &mut Out,
    ) {
        // Which operations the agent knows of is no matter any more.
        provided.iter_mut().for_each(|one| one.pending.clear());
        if self.state.provided(agent) != provided {
            let provided = (!provided.is_empty()).then_some(provided);
            self.commit(Record::Provided(agent.clone(), provided), out);
        }
    }

    /// Others than was thought, or they bring something else: none of what was offered of them is sure to be there.
    pub(crate) fn adopt_provided(&mut self, agent: &AgentId, told: Vec<Provided>, out: &mut Out) {
        let told = told.into_iter().map(|one| self.with_foreseen(agent, one));
        let told: Vec<Provided> = told.collect();
        if self.state.provided(agent) == told {
            return;
        }
        self.rescind_provided(agent, out);
        self.set_provided(agent, told, out);
        self.count_free(agent);
        self.offer_again(agent);
    }

    /// One of them, after an operation on what it brings. Unset if it is away, of which the agent has spoken before.
    pub(crate) fn adopt_provider(
        &mut self,
        agent: &AgentId,
        told: Option<Provided>,
        out: &mut Out,
    ) {
        let Some(told) = told else { return self.look_again_at(agent) };
        let told = self.with_foreseen(agent, told);
        let mut all = self.state.provided(agent).to_vec();
        match all.iter_mut().find(|one| one.id == told.id) {
            Some(known) => *known = told,
            None => all.push(told),
        }
        all.sort_by(|one, other| one.id.cmp(&other.id));
        let known = self.state.provided(agent).iter().map(|one| &one.total);
        if all.iter().map(|one| &one.total).ne(known) {
            self.rescind_provided(agent, out);
        }
        self.set_provided(agent, all, out);
        self.look_again_at(agent);
    }

    /// What was held back for an operation is free, or is something else.
    fn look_again_at(&mut self, agent: &AgentId) {
        self.count_free(agent);
        self.offer_again(agent);
    }

    fn rescind_provided(&mut self, agent: &AgentId, out: &mut Out) {
        let is_provided = |one: &Resource| one.provider.is_some();
        let stock = self.offers.stock(agent);
        let offers = stock.into_iter().flat_map(|stock| &stock.offers);
        let offers = offers.filter(|(_, offer)| offer.resources.iter().any(is_provided));
        let offers: Vec<OfferId> = offers.map(|(_, offer)| offer.id.clone()).collect();
        offers.iter().for_each(|offer| self.rescind(offer, out));
    }

    /// With what will come of operations that are on their way to the agent, which cannot know of them yet.
    fn with_foreseen(&self, agent: &AgentId, mut told: Provided) -> Provided {
        let keys = self.operations_of(agent);
        let known = keys.iter().map(|key| &self.view.operations[key]);
        let begun = known.filter(|one| !one.latest.state.is_terminal());
        let coming = begun.filter(|one| {
            one.conversion.provider() == Some(&told.id)
                && one.conversion.is_foreseeable()
                && !told.pending.contains(&one.uuid)
        });
        let mut left: Vec<&Conversion> = coming.map(|one| &one.conversion).collect();
        loop {
            let before = left.len();
            left.retain(|conversion| match conversion.applied(&told.total) {
                Some(after) => {
                    told.total = after;
                    false
                }
                None => true,
            });
            if left.len() == before {
                told.pending.clear();
                return told;
            }
        }
    }

    /// The provider has what will come of it from now on, if that can be foreseen. Says in which state it is asked for.
    pub(crate) fn foresee_at(
        &mut self,
        agent: &AgentId,
        provider: &ProviderId,
        conversion: &Conversion,
        out: &mut Out,
    ) -> Option<Uuid> {
        let mut all = self.state.provided(agent).to_vec();
        let known = all.iter_mut().find(|one| one.id == *provider);
        let known = known.expect("what is free or offered is there");
        let version = known.version;
        if conversion.is_foreseeable() {
            let total = conversion.applied(&known.total);
            known.total = total.expect("likewise");
            self.set_provided(agent, all, out);
        }
        Some(version)
    }

    /// Takes out what operations are using up whose outcome nobody can foresee.
    pub(crate) fn take_converting(&self, agent: &AgentId, free: &mut Resources) {
        if !self.state.provided.contains_key(agent) {
            return;
        }
        for key in self.operations_of(agent) {
            let known = &self.view.operations[&key];
            if !known.latest.state.is_terminal() && !known.conversion.is_foreseeable() {
                free.take(&known.conversion.consumed());
            }
        }
    }

    /// Whether only a provider that is away knows how it goes on.
    pub(crate) fn waits_for_provider(&self, agent: &AgentId, known: &Operated) -> bool {
        let away = |id: &ProviderId| self.state.provider(agent, id).is_none();
        !known.latest.state.is_terminal() && known.conversion.provider().is_some_and(away)
    }
}
