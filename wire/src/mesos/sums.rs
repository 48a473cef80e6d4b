//! What frameworks have, in one pass over the cluster: what they use and are offered, their offers and executors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kernel::view::View;
use model::executor::HeldExecutor;
use model::id::{AgentId, FrameworkId, Role};
use model::resources::{Amount, Resource, ResourceName, Resources, Scalar};
use model::scheduler::{InverseOffer, Offer};
use model::task::{ExecutorInfo, Task, TaskState};

/// Numbers by name. Ports of different agents may be the same, so they are not summed up.
#[derive(Debug, Clone, Default)]
pub struct Scalars(Vec<(ResourceName, Scalar)>);

impl Scalars {
    pub fn add(&mut self, resources: &Resources) {
        for one in resources.iter() {
            let Amount::Scalar(amount) = one.amount else { continue };
            match self.0.iter_mut().find(|(name, _)| *name == one.name) {
                Some((_, sum)) => sum.0 += amount.0,
                None => self.0.push((one.name.clone(), amount)),
            }
        }
    }

    pub fn get(&self, name: &ResourceName) -> Scalar {
        self.0.iter().find(|(known, _)| known == name).map_or(Scalar(0), |(_, sum)| *sum)
    }

    pub fn resources(&self) -> Resources {
        let one = |(name, sum): &(ResourceName, Scalar)| {
            Resource::plain(name.clone(), Amount::Scalar(*sum))
        };
        Resources::new(self.0.iter().map(one))
    }
}

/// An executor, where it is and whose resources it has.
#[derive(Debug, Clone, Copy)]
pub struct Executor<'a> {
    pub agent: &'a AgentId,
    pub framework: &'a FrameworkId,
    pub info: &'a ExecutorInfo,
    pub role: &'a Role,
}

/// What one framework has.
#[derive(Debug, Default)]
pub struct Sum<'a> {
    pub used: Scalars,
    pub offered: Scalars,
    pub offers: Vec<&'a Arc<Offer>>,
    pub inverse_offers: Vec<&'a Arc<InverseOffer>>,
    pub executors: Vec<Executor<'a>>,
}

/// By framework; of those that have nothing there is no entry.
pub type Sums<'a> = BTreeMap<&'a FrameworkId, Sum<'a>>;

pub fn sums(view: &View) -> Sums<'_> {
    let mut sums = Sums::new();
    for (id, tasks) in &view.tasks {
        let sum = sums.entry(id).or_default();
        let holding = tasks.values().filter(|task| holds(task));
        holding.for_each(|task| sum.used.add(&task.resources));
    }
    for executor in executors(view) {
        let sum = sums.entry(executor.framework).or_default();
        sum.used.add(&executor.info.resources);
        sum.executors.push(executor);
    }
    for offer in view.inverse_offers.values() {
        sums.entry(&offer.framework).or_default().inverse_offers.push(offer);
    }
    for offer in view.offers.values() {
        let sum = sums.entry(&offer.framework).or_default();
        sum.offered.add(&offer.resources);
        sum.offers.push(offer);
    }
    sums
}

/// Of one framework.
pub fn sum<'a>(view: &'a View, id: &FrameworkId) -> Sum<'a> {
    let mut sum = Sum::default();
    let tasks = view.tasks.get(id).into_iter().flat_map(|tasks| tasks.values());
    tasks.filter(|task| holds(task)).for_each(|task| sum.used.add(&task.resources));
    for executor in executors(view).filter(|executor| executor.framework == id) {
        sum.used.add(&executor.info.resources);
        sum.executors.push(executor);
    }
    for offer in view.offers.values().filter(|offer| offer.framework == *id) {
        sum.offered.add(&offer.resources);
        sum.offers.push(offer);
    }
    sum
}

fn holds(task: &Task) -> bool {
    !task.state.is_terminal() && task.state != TaskState::Unreachable
}

/// Each once: those that are programs, with tasks or without, and those of task groups. What runs a command of its own
/// is nothing that anybody could see.
pub fn executors(view: &View) -> impl Iterator<Item = Executor<'_>> {
    let programs = view.agents.iter().flat_map(|(agent, seen)| {
        seen.executors.iter().map(move |HeldExecutor { framework, info, role }| Executor {
            agent,
            framework,
            info,
            role,
        })
    });
    let mut seen = BTreeSet::new();
    let tasks = view.tasks.values().flat_map(|tasks| tasks.values());
    let groups = tasks.filter(|task| holds(task)).filter_map(move |task| {
        let Task { agent, framework, role, .. } = task.as_ref();
        let info = task.executor.as_ref().filter(|one| one.program.is_none())?;
        let is_new = seen.insert((agent, framework, &info.id));
        is_new.then_some(Executor { agent, framework, info, role })
    });
    programs.chain(groups)
}
