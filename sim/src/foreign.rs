//! Frameworks of somebody else, and badly behaved ones: they answer offers that are gone or another's, ask for more than
//! they were offered, use a task id twice and ids that another uses, name agents and roles that are not there, kill what is
//! not their own, forget to acknowledge, flood, subscribe over themselves, and end in the middle of it all to come back as
//! others. The kernel must bear all of it.

use std::time::Duration;

use cluster::Input;
use model::container::CommandInfo;
use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, ExecutorId, FrameworkId, OfferId, Role, TaskId};
use model::resources::{Amount, Resource, ResourceName, Resources, Scalar};
use model::scheduler::{Call, Event, Filters, Offer, Operation};
use model::task::{Cgroups, ExecutorInfo, TaskInfo};
use model::wishes::Wishes;

use crate::parcel::Parcel;
use crate::programs;
use crate::world::World;

/// Calls in one flood.
const FLOOD_CALLS: u32 = 200;
/// How ids begin that no master has given.
const NOBODY: &str = "id-of-nobody-";
/// Each holds no more than this, so that there is room for the apps.
const TASKS_MAX: usize = 3;
/// What each of them subscribes to.
const ROLES: [&[&str]; 2] = [&["foreign"], &["foreign/child", "group"]];

/// One of those frameworks: its place in [`World::foreigners`].
pub type Foreigner = usize;

#[derive(Debug, Default)]
pub struct Foreign {
    pub id: Option<FrameworkId>,
    is_subscribed: bool,
    is_over: bool,
    /// It asked to be torn down, and comes back under a new id once it is.
    is_leaving: bool,
    old_offers: Vec<Offer>,
    tasks: Vec<TaskId>,
    launched: u64,
}

pub fn all() -> Vec<Foreign> {
    ROLES.iter().map(|_| Foreign::default()).collect()
}

impl Foreign {
    /// The master is another one.
    pub fn lost(&mut self) {
        self.is_subscribed = false;
    }
}

impl World {
    /// Subscribes, or leaves for good once the weather is calm.
    pub fn act_foreign(&mut self, who: Foreigner) {
        if !self.master.is_running() || self.foreigners[who].is_over {
            return;
        }
        self.come_back(who);
        let own = &mut self.foreigners[who];
        if !own.is_subscribed {
            let id = own.id.clone();
            self.subscribe_foreign(who, id);
        } else if own.is_leaving {
            self.foreign_calls(who, Call::Teardown);
        } else if self.weather.loss_permille == 0 {
            own.is_over = true;
            self.lift_quotas();
            self.foreign_calls(who, Call::Teardown);
        } else if self.dice.chance(100) {
            self.misbehave(who);
        } else if self.dice.chance(200) {
            self.change_quota();
        } else if self.dice.chance(50) {
            self.flood(who);
        } else if self.dice.chance(300) {
            self.foreign_calls(who, Call::Revive { roles: vec![] });
        } else if self.dice.chance(300) {
            let tasks = self.foreigners[who].tasks.iter();
            let tasks = tasks.map(|task| (task.clone(), None)).collect();
            self.foreign_calls(who, Call::Reconcile { tasks });
        } else if let Some(task) = self.dice.pick(&self.foreigners[who].tasks).cloned() {
            self.foreign_calls(who, Call::Kill { task, agent: None, grace: None });
        }
        let pause = self.dice.between(1_000, 15_000);
        self.send_in(pause, Parcel::ForeignActs { who });
    }

    fn subscribe_foreign(&mut self, who: Foreigner, id: Option<FrameworkId>) {
        let (info, seed) = (info(who, id, self.foreign_travels), self.dice.roll());
        self.tell_master(None, Input::Subscribe { info, wishes: Wishes::default(), seed });
    }

    /// A framework that was torn down is not admitted again.
    fn come_back(&mut self, who: Foreigner) {
        let Some(cluster) = self.master.machine().filter(|_| self.master.is_settled()) else {
            return;
        };
        let view = cluster.view().kernel;
        let is_gone = |id: &FrameworkId| !view.frameworks.contains_key(id);
        let own = &mut self.foreigners[who];
        if own.is_leaving && own.id.as_ref().is_some_and(is_gone) {
            let old_offers = std::mem::take(&mut own.old_offers);
            *own = Foreign { old_offers, launched: own.launched, ..Foreign::default() };
        }
    }

    /// What no framework has any business to do.
    fn misbehave(&mut self, who: Foreigner) {
        match self.dice.between(0, 6) {
            0 => self.foreigners[who].is_leaving = true,
            1 => self.subscribe_foreign(who, self.foreigners[who].id.clone()),
            2 => {
                // A framework may know its id from a master that has forgotten it.
                let from = FrameworkId::new(format!("{NOBODY}{}", self.dice.roll()));
                self.subscribe_foreign(who, Some(from.clone()));
                let (call, seed) = (Call::Teardown, self.dice.roll());
                self.tell_master(None, Input::Framework { from, call, seed });
            }
            3 => {
                let roles = vec![Role::new("nobody"), Role::new("foreign/child")];
                self.foreign_calls(who, Call::Suppress { roles: roles.clone() });
                self.foreign_calls(who, Call::Revive { roles });
            }
            4 => {
                let Some(cluster) = self.master.machine() else { return };
                let theirs: Vec<TaskId> = cluster.view().services.tasks.keys().cloned().collect();
                let Some(task) = self.dice.pick(&theirs).cloned() else { return };
                self.foreign_calls(
                    who,
                    Call::Kill { task: task.clone(), agent: None, grace: None },
                );
                self.foreign_calls(who, Call::Reconcile { tasks: vec![(task, None)] });
            }
            _ => {
                let last = self.foreigners[who].old_offers.last();
                let Some(agent) = last.map(|offer| offer.agent_id.clone()) else { return };
                let executor = programs::described(self.dice.between(0, 1), cpus(10)).id;
                self.foreign_calls(who, Call::Shutdown { agent, executor });
            }
        }
    }

    /// An offer that was made to another framework.
    fn offer_of_another(&mut self, who: Foreigner) -> Vec<OfferId> {
        let Some(cluster) = self.master.machine() else { return vec![] };
        let (view, own) = (cluster.view().kernel, self.foreigners[who].id.as_ref());
        let theirs = view.offers.values().filter(|one| Some(&one.framework) != own);
        let theirs: Vec<OfferId> = theirs.map(|offer| offer.id.clone()).collect();
        self.dice.pick(&theirs).cloned().into_iter().collect()
    }

    /// More calls than anybody has a use for.
    fn flood(&mut self, who: Foreigner) {
        for n in 0..FLOOD_CALLS {
            let roles = vec![];
            let call = match n % 4 {
                0 => Call::Suppress { roles },
                1 => Call::Revive { roles },
                2 => Call::Reconcile { tasks: vec![] },
                _ => Call::ReconcileOperations { operations: vec![] },
            };
            self.foreign_calls(who, call);
        }
    }

    pub fn foreign_calls(&mut self, who: Foreigner, call: Call) {
        if let Some(from) = self.foreigners[who].id.clone() {
            let seed = self.dice.roll();
            self.tell_master(None, Input::Framework { from, call, seed });
        }
    }

    fn foreigner(&self, framework: &FrameworkId) -> Option<Foreigner> {
        self.foreigners.iter().position(|own| own.id.as_ref() == Some(framework))
    }

    /// Whose new id that is, by the name that was given. Who asked twice, for lack of an answer, ends what it has too much.
    fn is_admitted(&mut self, framework: FrameworkId) {
        let who = self.foreigner(&framework).or_else(|| {
            let view = self.master.machine()?.view().kernel;
            let name = &view.frameworks.get(&framework)?.framework.info.name;
            (0..self.foreigners.len()).find(|who| name_of(*who) == *name)
        });
        let Some(who) = who.filter(|_| !is_nobody(&framework)) else { return };
        let own = &mut self.foreigners[who];
        if *own.id.get_or_insert_with(|| framework.clone()) == framework {
            own.is_subscribed = true;
        } else {
            let (call, seed) = (Call::Teardown, self.dice.roll());
            self.tell_master(None, Input::Framework { from: framework, call, seed });
        }
    }

    pub fn hear_kernel(&mut self, framework: FrameworkId, event: Event) {
        if let Event::Subscribed { framework } = event {
            return self.is_admitted(framework);
        }
        let Some(who) = self.foreigner(&framework) else { return };
        match event {
            Event::Offers(offers) => offers.into_iter().for_each(|offer| self.answer(who, offer)),
            Event::Update(status) => {
                if status.state.is_terminal() {
                    self.foreigners[who].tasks.retain(|task| *task != status.task);
                }
                let (Some(agent), Some(uuid)) = (status.agent, status.uuid) else { return };
                // Told again until it is.
                if self.dice.chance(900) || self.weather.loss_permille == 0 {
                    self.foreign_calls(who, Call::Acknowledge { agent, task: status.task, uuid });
                }
            }
            Event::Error(cause) => {
                self.trace(|| format!("{framework} hears an error: {cause}"));
                self.foreigners[who].is_subscribed = false;
            }
            Event::UpdateOperation(status) => self.hear_operation(who, status),
            Event::Subscribed { .. }
            | Event::Rescind(_)
            | Event::Used(_)
            | Event::Checked { .. }
            | Event::Message { .. }
            | Event::Failure { .. }
            | Event::Away(_)
            | Event::RescindInverse(_) => {}
            Event::InverseOffers(offers) => {
                // Whatever it answers, nothing follows from it.
                let offers = offers.into_iter().map(|offer| offer.id).collect();
                let filters = Filters { refuse: Duration::from_secs(self.dice.between(0, 10)) };
                match self.dice.chance(500) {
                    true => self.foreign_calls(who, Call::AcceptInverse { offers, filters }),
                    false => self.foreign_calls(who, Call::DeclineInverse { offers, filters }),
                }
            }
        }
    }

    fn answer(&mut self, who: Foreigner, offer: Offer) {
        let id = offer.id.clone();
        let filters = Filters { refuse: Duration::from_secs(self.dice.between(0, 10)) };
        if self.foreigners[who].is_over {
            return self.foreign_calls(who, Call::Decline { offers: vec![id], filters });
        }
        if self.foreigners[who].tasks.len() >= TASKS_MAX {
            let operations = vec![self.conversion(&offer)];
            return self.foreign_calls(who, Call::Accept { offers: vec![id], operations, filters });
        }
        let old = self.dice.pick(&self.foreigners[who].old_offers).map(|offer| offer.id.clone());
        let (offers, task): (Vec<OfferId>, TaskInfo) = match self.dice.between(0, 13) {
            12 => (self.offer_of_another(who), self.task(who, &offer)),
            13 => (vec![id], TaskInfo { role: Role::new("nobody"), ..self.task(who, &offer) }),
            0 => (old.into_iter().collect(), self.task(who, &offer)),
            1 => (vec![id.clone(), id], self.task(who, &offer)),
            2 => (vec![id], TaskInfo { resources: cpus(1_000_000), ..self.task(who, &offer) }),
            3 => {
                let used = self.foreigners[who].tasks.first().cloned();
                let task = self.task(who, &offer);
                (vec![id], TaskInfo { id: used.unwrap_or_else(|| task.id.clone()), ..task })
            }
            4 => (vec![OfferId::new("no such offer")], self.task(who, &offer)),
            // Never answered: the kernel takes it back.
            5 => return self.foreigners[who].old_offers.push(offer),
            6 => {
                let agent = self.agent_elsewhere(who, &offer);
                (vec![id], TaskInfo { agent, ..self.task(who, &offer) })
            }
            _ => (vec![id], self.task(who, &offer)),
        };
        let conversion = self.dice.chance(400).then(|| self.conversion(&offer));
        let task = self.with_volume(task, &offer, conversion.as_ref());
        let operation = self.operation(who, task, &offer);
        self.foreigners[who].old_offers.push(offer);
        self.foreigners[who].tasks.extend(operation.tasks().iter().map(|task| task.id.clone()));
        let operations = conversion.into_iter().chain([operation]).collect();
        self.foreign_calls(who, Call::Accept { offers, operations, filters });
    }

    /// Another than the one that is offered; one that is not there if it knows no other.
    fn agent_elsewhere(&mut self, who: Foreigner, offer: &Offer) -> AgentId {
        let others = self.foreigners[who].old_offers.iter().map(|old| &old.agent_id);
        let others: Vec<AgentId> = others.filter(|id| **id != offer.agent_id).cloned().collect();
        self.dice.pick(&others).cloned().unwrap_or_else(|| AgentId::new("no such agent"))
    }

    /// Launches the task alone or with another one, in one of two executors that may or may not be there.
    fn operation(&mut self, who: Foreigner, task: TaskInfo, offer: &Offer) -> Operation {
        if self.dice.chance(500) {
            return Operation::Launch(vec![task]);
        }
        let id = ExecutorId::new(format!("foreign-pod-{}", self.dice.between(0, 1)));
        let resources = if self.dice.chance(900) { cpus(10) } else { cpus(20) };
        if self.dice.chance(500) {
            let executor = programs::described(self.dice.between(0, 1), resources);
            let other = self.dice.chance(300).then(|| self.task(who, offer));
            let tasks = [task].into_iter().chain(other).collect();
            return match self.dice.chance(700) {
                true => Operation::LaunchIn { executor, tasks },
                false => Operation::LaunchGroup { executor, tasks },
            };
        }
        let executor =
            ExecutorInfo { cgroups: Cgroups::Shared, ..ExecutorInfo::plain(id, resources) };
        let other = self.dice.chance(700).then(|| self.task(who, offer));
        Operation::LaunchGroup { executor, tasks: [task].into_iter().chain(other).collect() }
    }

    fn task(&mut self, who: Foreigner, offer: &Offer) -> TaskInfo {
        self.foreigners[who].launched += 1;
        let resources = self.some_cpus(offer, 50);
        TaskInfo {
            name: "foreign".to_owned(),
            ..TaskInfo::plain(
                TaskId::new(format!("foreign-{}", self.foreigners[who].launched)),
                offer.agent_id.clone(),
                offer.role.clone(),
                resources,
                CommandInfo::shell("run"),
            )
        }
    }
}

fn is_nobody(id: &FrameworkId) -> bool {
    id.as_str().starts_with(NOBODY)
}

fn cpus(milli: u64) -> Resources {
    let amount = Amount::Scalar(Scalar(milli));
    Resources::new([Resource::plain(ResourceName::Cpus, amount)])
}

fn name_of(who: Foreigner) -> String {
    format!("foreign {who}")
}

fn info(who: Foreigner, id: Option<FrameworkId>, travels: bool) -> FrameworkInfo {
    let mut capabilities = vec![
        Capability::PartitionAware,
        Capability::MultiRole,
        Capability::ReservationRefinement,
        Capability::SharedResources,
    ];
    capabilities.extend(travels.then_some(Capability::RegionAware));
    FrameworkInfo {
        id,
        name: name_of(who),
        user: "root".to_owned(),
        roles: ROLES[who].iter().map(|role| Role::new(*role)).collect(),
        failover_timeout: Duration::from_secs(3_600),
        checkpoint: true,
        hostname: "elsewhere".to_owned(),
        principal: None,
        webui_url: None,
        capabilities,
        labels: vec![],
        offer_minima: Default::default(),
    }
}
