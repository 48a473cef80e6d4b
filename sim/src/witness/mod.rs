//! Looks over the control plane's shoulder: every record is judged when it is decided, against all that was decided
//! before it. What [`crate::check`] asks is true of states; what is asked here is true of decisions.
//!
//! - [`capacity`]: who is launched and who is killed, in an upgrade and outside of one.
//! - [`plan`]: in which order a deployment proceeds, when a step is over, and why a deployment ends.
//! - [`scaling`]: when an app is scaled by its use, and how far.

mod capacity;
pub(crate) mod crew;
mod plan;
mod scaling;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use cluster::{Cluster, Effect, Input, Out, Record, Refusal, Reply};
use model::id::{Serial, TaskId, Uuid};
use model::machine::Machine;
use model::time::Time;
use services::autoscale::Decision;
use services::spec::AppId;
use services::view::View;
use services::{Notice, Order, Services, What};

use plan::Reached;
use scaling::Calls;

/// The control plane, and beside it its services as they are after each single record.
#[derive(Debug)]
pub struct Witness {
    cluster: Cluster,
    shadow: Services,
    config: services::Config,
    now: Time,
    reached: Reached,
    calls: Calls,
}

/// What is known of one step besides its records.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) now: Time,
    pub(crate) config: &'a services::Config,
    pub(crate) order: Option<&'a Order>,
    /// Whom somebody asked to kill.
    pub(crate) named: BTreeSet<TaskId>,
    /// Who is killed for failing checks that are judged by services.
    pub(crate) ill: BTreeSet<Serial>,
    /// Who was told to have ended.
    pub(crate) ended: BTreeSet<Serial>,
    pub(crate) succeeded: BTreeSet<Uuid>,
    pub(crate) failed: BTreeMap<Uuid, String>,
    pub(crate) scaled: Vec<(AppId, Decision)>,
}

impl<'a> Step<'a> {
    fn new(now: Time, config: &'a services::Config, order: Option<&'a Order>) -> Self {
        let named = match order {
            Some(Order::KillTasks { tasks, .. }) => tasks.iter().cloned().collect(),
            _ => BTreeSet::new(),
        };
        Self {
            now,
            config,
            order,
            named,
            ill: BTreeSet::new(),
            ended: BTreeSet::new(),
            succeeded: BTreeSet::new(),
            failed: BTreeMap::new(),
            scaled: Vec::new(),
        }
    }

    fn hear(&mut self, notice: &Notice) {
        match &notice.what {
            What::UnhealthyKill { instance, .. } if !instance.state.is_terminal() => {
                self.ill.insert(instance.serial);
            }
            What::Status { instance, .. } | What::InstanceChanged { instance }
                if instance.state.is_terminal() =>
            {
                self.ended.insert(instance.serial);
            }
            What::DeploymentSuccess { deployment } => {
                self.succeeded.insert(deployment.id);
            }
            What::DeploymentFailed { deployment, cause } => {
                self.failed.insert(deployment.id, cause.clone());
            }
            What::Autoscaled { app, decision } => {
                self.scaled.push((app.clone(), decision.clone()));
            }
            What::Status { .. }
            | What::InstanceChanged { .. }
            | What::UnhealthyKill { .. }
            | What::AppPosted { .. }
            | What::PodPosted { .. }
            | What::AppTerminated { .. }
            | What::InstanceHealthChanged { .. }
            | What::CheckFailed { .. }
            | What::UnknownTerminated { .. }
            | What::DeploymentInfo { .. }
            | What::DeploymentStepSuccess { .. }
            | What::DeploymentStepFailure { .. }
            | What::SchedulerRegistered { .. }
            | What::SchedulerDisconnected => (),
        }
    }
}

impl Witness {
    pub fn new(name: &str, kernel: kernel::Config, services: services::Config) -> Self {
        let cluster = Cluster::new(name, kernel, services.clone());
        let shadow = cluster.services().framework_info().id.expect("services have a name");
        Self {
            cluster,
            shadow: Services::new(services.clone(), shadow),
            config: services,
            now: Time(0),
            reached: Reached::default(),
            calls: Calls::default(),
        }
    }

    fn judge(&mut self, step: &Step<'_>, before: &View, record: &services::Record) -> View {
        self.reached.look(step, before);
        self.shadow.apply(record);
        let after = self.shadow.view();
        match record {
            services::Record::Instance(serial, instance) => {
                capacity::judge(step, before, *serial, instance.as_deref());
            }
            services::Record::App(id, Some(app)) => scaling::is_within_bounds(id, app),
            services::Record::Deployment(serial, _) => {
                self.reached.judge(step, *serial, before, &after);
            }
            services::Record::App(_, None)
            | services::Record::Version(..)
            | services::Record::Part(..)
            | services::Record::Doom(..)
            | services::Record::Autoscaled(..)
            | services::Record::History(..)
            | services::Record::Group(..)
            | services::Record::Past(..) => (),
        }
        after
    }
}

impl Deref for Witness {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Machine for Witness {
    type Input = Input;
    type Reply = Reply;
    type Refusal = Refusal;
    type Record = Record;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Out) -> Result<Reply, Refusal> {
        self.now = self.now.max(now);
        let order = match &input {
            Input::Services { order, .. } => Some(order.clone()),
            Input::Lead { .. }
            | Input::Operator { .. }
            | Input::Subscribe { .. }
            | Input::FrameworkLost { .. }
            | Input::Framework { .. }
            | Input::Agent { .. }
            | Input::AgentLost { .. }
            | Input::Tick { .. } => None,
        };
        let (written, told) = (out.records.len(), out.effects.len());
        let reply = self.cluster.step(now, input, out);
        let config = self.config.clone();
        let mut step = Step::new(self.now, &config, order.as_ref());
        for effect in &out.effects[told..] {
            if let Effect::Notice(notice) = effect {
                step.hear(notice);
            }
        }
        let first = self.shadow.view();
        if reply.is_ok() {
            self.calls.hear(&step, &first);
        }
        let mut view = first.clone();
        for record in &out.records[written..] {
            if let Record::Services(record) = record {
                view = self.judge(&step, &view, record);
            }
        }
        self.reached.look(&step, &view);
        plan::keeps_the_order(&first, &view);
        plan::has_one_holder(&view);
        self.calls.judge(&step, &first);
        reply
    }

    fn apply(&mut self, record: &Record) {
        self.cluster.apply(record);
        if let Record::Services(record) = record {
            self.shadow.apply(record);
        }
    }

    fn wake_at(&self) -> Option<Time> {
        self.cluster.wake_at()
    }
}
