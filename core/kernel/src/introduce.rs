//! A framework says something else of itself, or of what it wants.

use std::sync::Arc;

use model::framework::FrameworkInfo;
use model::id::{FrameworkId, OfferId, Role};
use model::scheduler::{Event, Offer};
use model::wishes::Wishes;

use crate::constraints::Constraints;
use crate::demand::{Client, Number};
use crate::state::Framework;
use crate::{Kernel, Out, Record, Refusal};

impl Kernel {
    /// Offers to roles that it gives up are taken back; to new ones it gets some, and to those that it has suppressed
    /// until now. What was refused stays refused.
    pub(crate) fn update_framework(
        &mut self,
        info: FrameworkInfo,
        wishes: Option<Wishes>,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        self.judge(&info)?;
        let info = self.kept(info)?;
        let wishes = wishes.map(|wishes| read(&info, wishes)).transpose()?;
        let id = info.id.clone().expect("whoever subscribed has an id");
        let before = self.roles(&id);
        let known = self.state.frameworks[&id].clone();
        let mut sees_others = is_served_otherwise(&known.info, &info);
        if *known.info != info {
            let framework = Framework { info: Arc::new(info), ..known };
            self.commit(Record::Framework(id.clone(), Some(framework)), out);
        }
        let now = self.roles(&id);
        for role in before.difference(&now) {
            self.leave_role(&Client { framework: id.clone(), role: role.clone() }, out);
        }
        let suppressed = wishes.map(|(suppressed, constraints)| {
            let live = self.frameworks.get_mut(&id).expect("it is subscribed");
            let is_other = live.constraints.said != constraints.said;
            sees_others |= is_other;
            live.constraints = constraints;
            (suppressed, is_other)
        });
        let is_other = suppressed.as_ref().is_some_and(|(_, is_other)| *is_other);
        let suppressed = suppressed.map(|(suppressed, _)| suppressed);
        if is_other {
            self.take_back_unwanted(&id, out);
        }
        let kept = self.clients(&id, &[]);
        kept.iter().for_each(|client| self.introduce_again(*client));
        for role in now.difference(&before) {
            self.enroll(Client { framework: id.clone(), role: role.clone() });
        }
        for client in self.clients(&id, &[]) {
            let wants = self.wants(client, suppressed.as_deref(), !kept.contains(&client));
            let wanted = self.offers.wanting.has(client);
            match (wanted, wants) {
                (false, true) => self.look_anew(client),
                (true, true) if sees_others => self.look_anew(client),
                (true, false) => self.stop_wanting(client),
                (true, true) | (false, false) => (),
            }
        }
        self.touched_frameworks.insert(id);
        Ok(())
    }

    /// Whether the client is to get offers from now on. Unless it is said which roles are not to, new ones are.
    fn wants(&self, client: Number, suppressed: Option<&[Role]>, is_new: bool) -> bool {
        let demand = self.offers.demand(client).expect("a client of ours");
        match suppressed {
            Some(suppressed) => !suppressed.contains(&demand.client.role),
            None => is_new || self.offers.wanting.has(client),
        }
    }

    fn introduce_again(&mut self, client: Number) {
        let demand = self.offers.demand_mut(client).expect("a client of ours");
        let Client { framework, role } = &demand.client;
        demand.info = self.state.frameworks[framework].info.clone();
        demand.constraints = self.frameworks[framework].constraints.of(role);
    }

    /// Offers that are out, of agents that it does not want any more.
    fn take_back_unwanted(&mut self, id: &FrameworkId, out: &mut Out) {
        let constraints = &self.frameworks[id].constraints;
        let is_unwanted = |offer: &Offer| {
            let tests = constraints.of(&offer.role);
            tests.is_some_and(|tests| !tests.are_met_by(&offer.agent))
        };
        let offers = self.offers_which(|one| one.framework == *id && is_unwanted(one));
        self.take_back(id, offers, out);
    }

    fn offers_which(&self, is_meant: impl Fn(&Offer) -> bool) -> Vec<OfferId> {
        let is_valid = |offer: &Offer| !self.leftovers.is_void(&offer.id);
        let offers = self.view.offers.values();
        let offers = offers.filter(|offer| is_meant(offer) && is_valid(offer));
        offers.map(|offer| offer.id.clone()).collect()
    }

    fn take_back(&mut self, from: &FrameworkId, offers: Vec<OfferId>, out: &mut Out) {
        for offer in offers {
            let Some(taken) = self.take_offer(from, &offer) else { continue };
            self.count_free(&taken.agent_id);
            self.offer_again(&taken.agent_id);
            self.tell(from, Event::Rescind(offer), out);
        }
    }

    fn leave_role(&mut self, client: &Client, out: &mut Out) {
        let offers =
            self.offers_which(|one| one.framework == client.framework && one.role == client.role);
        self.take_back(&client.framework, offers, out);
        if let Some(number) = self.shares.find(client) {
            self.forget_client(number);
        }
    }

    /// What a framework that is known already keeps, whatever it says on coming back. Who it is may not change.
    pub(crate) fn kept(&self, info: FrameworkInfo) -> Result<FrameworkInfo, Refusal> {
        let known = info.id.as_ref().and_then(|id| self.state.frameworks.get(id));
        let Some(known) = known.map(|known| &known.info) else { return Ok(info) };
        if known.principal != info.principal {
            let cause = "Changing framework's principal is not allowed.".to_owned();
            return Err(Refusal::InvalidFramework(cause));
        }
        Ok(FrameworkInfo { user: known.user.clone(), checkpoint: known.checkpoint, ..info })
    }
}

fn read(info: &FrameworkInfo, wishes: Wishes) -> Result<(Vec<Role>, Constraints), Refusal> {
    let Wishes { suppressed, constraints } = wishes;
    judge_roles(info, constraints.keys())?;
    let constraints = Constraints::read(constraints).map_err(Refusal::InvalidFramework)?;
    Ok((suppressed, constraints))
}

/// Wishes are for roles that the framework has.
fn judge_roles<'a>(
    info: &FrameworkInfo,
    mut roles: impl Iterator<Item = &'a Role>,
) -> Result<(), Refusal> {
    let is_own =
        |role: &Role| info.roles.contains(role) || info.roles.is_empty() && *role == Role::star();
    match roles.find(|role| !is_own(role)) {
        None => Ok(()),
        Some(role) => {
            let cause =
                format!("offer constraints are for role {role}, which is none of its roles");
            Err(Refusal::InvalidFramework(cause))
        }
    }
}

/// Whether other agents may be offered to it than before.
fn is_served_otherwise(before: &FrameworkInfo, after: &FrameworkInfo) -> bool {
    before.capabilities != after.capabilities || before.offer_minima != after.offer_minima
}
