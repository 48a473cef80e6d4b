//! Guarantees: what a role is promised is laid aside for it until it holds it.
//!
//! What is laid aside is an amount, not a place: it may be free in scraps on many agents. Offers that are out when a
//! promise is made are taken back as far as it needs them; tasks that run are not touched.

use model::id::{OfferId, Role};
use model::resources::{Resource, ResourceName};

use crate::amounts::Counted;
use crate::quota::{Quantities, is_counted};
use crate::stock::Slot;
use crate::{Kernel, Out};

impl Kernel {
    pub(crate) fn promise(&mut self, role: &Role, promised: Option<Quantities>) {
        let had_promises = self.shares.has_promises();
        self.shares.set_promises(role, promised.as_ref().filter(|promised| !promised.is_empty()));
        if self.shares.has_promises() && !had_promises {
            (0..self.offers.stocks.len()).for_each(|slot| self.count_spare(slot));
        }
    }

    /// Something of the agent has become free or has been taken.
    pub(crate) fn count_spare(&mut self, slot: Slot) {
        let stock = &mut self.offers.stocks[slot];
        let now = Counted::spare(&stock.free.resources);
        if stock.spare == now {
            return;
        }
        let before = std::mem::replace(&mut stock.spare, now.clone());
        self.offers.spare.add(&now);
        self.offers.spare.subtract(&before);
        if now.exceeds(&before) {
            self.shares.note_freer();
        }
    }

    /// Takes back offers to roles that have what they are promised, until what is free is enough for all promises, as
    /// far as offers are the cause.
    pub(crate) fn rescind_promised(&mut self, out: &mut Out) {
        if self.short_of().is_empty() {
            return;
        }
        let offers: Vec<OfferId> = self.view.offers.keys().cloned().collect();
        for id in offers {
            let (short, offer) = (self.short_of(), &self.view.offers[&id]);
            let helps = |one: &Resource| {
                is_counted(one)
                    && short.contains(&one.name)
                    && !self.shares.is_owed(&offer.role, &one.name)
            };
            if offer.resources.iter().any(helps) {
                self.rescind(&id, out);
            }
        }
    }

    /// What is promised more of than is free.
    fn short_of(&self) -> Vec<ResourceName> {
        let short = self.shares.laid_aside().without(&self.offers.spare).quantities();
        short.iter().map(|(name, _)| name.clone()).collect()
    }
}
