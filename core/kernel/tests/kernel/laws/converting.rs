//! Random conversions, and agents that keep what comes of them.

use std::collections::BTreeMap;

use kernel::Input;
use kernel::operator::Order;
use model::agent::FromAgent;
use model::id::{Connection, FrameworkId, OperationId, Uuid};
use model::operation::{Conversion, Operated, OperationState, OperationStatus};
use model::resources::{Resource, ResourceName, Scalar};
use model::scheduler::{Call, Offer, Operation};

use super::{RESOURCES, World};
use crate::made::{reserved, volume};
use crate::stage::bag;

impl World {
    /// Something that may be right for the offer, or not.
    pub(super) fn conversions(&mut self, offer: &Offer) -> Vec<Operation> {
        let claims = offer.resources.claims();
        let claim = claims.iter().nth(self.dice.roll(3)).cloned();
        let conversion = match claim {
            Some(volume) if volume.is_persistent_volume() => match self.dice.roll(3) {
                0 => Conversion::ShrinkVolume { volume, subtract: Scalar::whole(1) },
                1 => {
                    let addition = reserved(ResourceName::Disk, 1, offer.role.as_str());
                    Conversion::GrowVolume { volume, addition }
                }
                _ => Conversion::Destroy { volumes: vec![volume] },
            },
            Some(space) if space.name == ResourceName::Disk && self.dice.roll(3) > 0 => {
                self.serial += 1;
                let id = format!("v{}", self.serial - self.dice.roll(2) as u64);
                let shared = self.dice.roll(3) == 0;
                let volume = Resource { shared, ..volume(&space, &id) };
                Conversion::Create { volumes: vec![volume] }
            }
            Some(claim) => Conversion::Unreserve { resources: vec![claim] },
            None => {
                let disk = reserved(ResourceName::Disk, 4, offer.role.as_str());
                let cpus = reserved(ResourceName::Cpus, 1, offer.role.as_str());
                Conversion::Reserve { source: vec![], resources: vec![disk, cpus] }
            }
        };
        self.serial += 1;
        let id = (self.dice.roll(2) == 0).then(|| OperationId::new(format!("o{}", self.serial)));
        vec![Operation::Convert { id, conversion }]
    }

    /// An operator wants something of an agent.
    pub(super) fn operate(&mut self, at: usize) {
        let Some(agent) = self.agents[at].id.clone() else { return };
        let claims = &self.agents[at].books.claims;
        let claim = claims.iter().nth(self.dice.roll(3)).cloned();
        let conversion = match claim {
            Some(volume) if volume.is_persistent_volume() => {
                Conversion::Destroy { volumes: vec![volume] }
            }
            Some(claim) => Conversion::Unreserve { resources: vec![claim] },
            None => {
                let cpus = reserved(ResourceName::Cpus, 1, "c");
                Conversion::Reserve { source: vec![], resources: vec![cpus] }
            }
        };
        let order = Order::Convert { agent, conversion, principal: None };
        self.input(Input::Operator { order });
    }

    /// An agent is told to; now and then its disk is full.
    pub(super) fn convert(&mut self, at: usize, mut operated: Operated) {
        let all = bag(RESOURCES).with_claims(&self.agents[at].books.claims);
        let conversion = &operated.conversion;
        let done = all.converted(&conversion.consumed(), &conversion.converted());
        let fits = done.is_some();
        let (state, books) = (self.dice.roll(8), &mut self.agents[at].books);
        let state = match done {
            Some(all) if state > 0 => {
                books.claims = all.claims();
                OperationState::Finished
            }
            Some(_) => OperationState::Failed,
            None => OperationState::Dropped,
        };
        assert!(fits || !books.operations.is_empty(), "{operated:?} of {all}");
        self.serial += 1;
        let id = operated.latest.operation.clone();
        let uuid = Some(Uuid::derive(5, self.serial));
        operated.latest = OperationStatus { uuid, ..OperationStatus::new(id, state, "") };
        let name = operated.uuid;
        self.agents[at].books.operations.push(operated);
        if self.dice.roll(4) > 0 {
            self.report_operation(at, name);
        }
    }

    fn report_operation(&mut self, at: usize, name: Uuid) {
        let Some(connection) = self.agents[at].connection else { return };
        let books = &self.agents[at].books;
        let Some(operated) = books.operations.iter().find(|known| known.uuid == name) else {
            return;
        };
        let operated = Box::new(operated.clone());
        let message =
            FromAgent::Operated { operated, claims: books.claims.clone(), provided: None };
        self.input(Input::Agent { connection: Connection(connection), message });
    }

    pub(super) fn report_operations(&mut self, at: usize) {
        let names: Vec<Uuid> =
            self.agents[at].books.operations.iter().map(|known| known.uuid).collect();
        names.into_iter().for_each(|name| self.report_operation(at, name));
    }

    pub(super) fn operation_acknowledged(&mut self, at: usize, uuid: Uuid) {
        let books = &mut self.agents[at].books;
        books.operations.retain(|known| known.latest.uuid != Some(uuid));
    }

    pub(super) fn acknowledge_operations(&mut self) {
        for (from, status) in std::mem::take(&mut self.operated) {
            let (Some(operation), Some(uuid)) = (status.operation, status.uuid) else { continue };
            let agent = status.agent;
            self.call(from, Call::AcknowledgeOperation { agent, operation, uuid });
        }
    }

    /// The operations of a framework that is gone are nobody's: the kernel alone hears how they went.
    pub(super) fn forget_operations(&mut self, at: usize, framework: &FrameworkId) {
        let operations = &mut self.agents[at].books.operations;
        let its = operations.iter_mut().filter(|known| known.framework.as_ref() == Some(framework));
        its.for_each(|known| known.framework = None);
    }

    /// The kernel and its agents know of the same claims and operations.
    pub(super) fn agree_on_claims(&self) {
        let state = self.stage.kernel.state();
        for agent in &self.agents {
            let id = agent.id.as_ref().expect("it has registered");
            let known = state.claims.get(id).cloned().unwrap_or_default();
            assert_eq!(known, agent.books.claims, "{id}");
            // Those of frameworks that are away wait for them.
            let held = agent.books.operations.iter().map(|held| (held.uuid, held.latest.state));
            let view = self.stage.kernel.view();
            let known = view.operations.iter().filter(|((of, _), _)| of == id);
            let known: BTreeMap<_, _> =
                known.map(|((_, uuid), known)| (*uuid, known.latest.state)).collect();
            assert_eq!(known, held.collect(), "{id}");
            let total = state.total(id);
            assert_eq!(total.unlabelled(), bag(RESOURCES).unlabelled(), "{id}");
        }
    }
}
