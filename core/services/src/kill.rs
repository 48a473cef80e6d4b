//! Killing: who is doomed is written down first, so that the kill can be repeated until it is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minicbor::{Decode, Encode};
use model::id::{Serial, TaskId};
use model::scheduler::Call;
use model::task::TaskState;

use crate::deploy::{Intent, Plan};
use crate::machine::{Services, TURN_KILLS_MAX, Turn};
use crate::spec::{AppId, AppSpec};
use crate::state::{Goal, Instance, Record};
use crate::timers::Due;
use crate::{Kill, Refusal, Reply};

/// Instances of an app that somebody wants killed.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Doom {
    #[n(0)]
    pub app: AppId,
    /// As many as a turn kills.
    #[n(1)]
    pub instances: Vec<Serial>,
    #[cbor(n(2), default)]
    pub volumes: Volumes,
}

/// What becomes of what is set aside for an instance that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Volumes {
    #[default]
    #[n(0)]
    Kept,
    /// It is given back, and what is in its volumes is gone for good.
    #[n(1)]
    Wiped,
}

/// Whether there were any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doomed {
    None,
    Some,
}

impl Services {
    /// The instance is not to run any more. A resident rests once its task has ended.
    pub(crate) fn doom(&mut self, serial: Serial, turn: &mut Turn<'_>) {
        self.doom_with(serial, Volumes::Kept, turn);
    }

    pub(crate) fn doom_with(&mut self, serial: Serial, volumes: Volumes, turn: &mut Turn<'_>) {
        let instance = Arc::clone(&self.memory.instances[&serial]);
        turn.kills = turn.kills.saturating_sub(1);
        let goal = match (volumes, &instance.claim) {
            (Volumes::Kept, Some(_)) => Goal::Stopped,
            (Volumes::Wiped, Some(_)) | (_, None) => Goal::Decommissioned,
        };
        if instance.goal < goal {
            let doomed = Instance { goal, ..(*instance).clone() };
            self.commit(Record::Instance(serial, Some(Arc::new(doomed))), turn);
            // It counts among those that leave now, and no instance counts twice.
            self.forget_inactive(&instance);
        }
        match instance.is_resting() {
            true => self.desk.queue.thirst_for(&instance.role),
            false => self.send_kill(&instance, turn),
        }
    }

    /// Repeated after a while, for the message or its answer may be lost.
    pub(crate) fn send_kill(&mut self, instance: &Instance, turn: &mut Turn<'_>) {
        let key = (instance.app.clone(), instance.version);
        let grace = self.memory.view.versions.get(&key).and_then(|spec| spec.kill_grace);
        let agent = Some(instance.place.agent.clone());
        if instance.state != TaskState::Unreachable {
            // All of a group at once: the others of whoever is killed alone would wait for its end.
            let mut all: Vec<_> = instance.live_tasks().collect();
            if all.is_empty() {
                all.push(&instance.task);
            }
            for task in all {
                turn.call(Call::Kill { task: task.clone(), agent: agent.clone(), grace });
            }
        }
        self.desk.timers.set(turn.now + self.config.kill_retry, instance.serial, Due::Killed);
    }

    pub(crate) fn kill_tasks(
        &mut self,
        tasks: Vec<TaskId>,
        kill: Kill,
        force: bool,
        turn: &mut Turn<'_>,
    ) -> Result<Reply, Refusal> {
        // What has ended meanwhile needs no killing.
        let known = tasks.iter().filter_map(|task| self.memory.view.tasks.get(task));
        let mut instances: Vec<Arc<Instance>> = known.cloned().collect();
        // Whoever is named twice, be it by two of its members, is killed, and counted, once.
        let mut named = BTreeSet::new();
        instances.retain(|instance| named.insert(instance.serial));
        let (deployed, volumes) = match kill {
            Kill::Replace => (None, Volumes::Kept),
            Kill::Wipe => (None, Volumes::Wiped),
            Kill::Scale => (Some(self.plan_shrinking(&instances, force)?), Volumes::Kept),
        };
        // Doomed before the deployment begins, which would else choose others.
        match instances.len() <= TURN_KILLS_MAX {
            true => instances.iter().for_each(|one| self.doom_with(one.serial, volumes, turn)),
            false => self.doom_later(&instances, volumes, turn),
        }
        let deployed = deployed.map(|plan| self.carry_out(plan, turn));
        Ok(Reply::Killed { instances, deployed })
    }

    /// More than a turn has room for are written down, and follow app by app.
    fn doom_later(&mut self, instances: &[Arc<Instance>], volumes: Volumes, turn: &mut Turn<'_>) {
        let mut by_app: BTreeMap<&AppId, Vec<Serial>> = BTreeMap::new();
        for instance in instances {
            by_app.entry(&instance.app).or_default().push(instance.serial);
        }
        for (app, serials) in by_app {
            for some in serials.chunks(TURN_KILLS_MAX) {
                let doom = Doom { app: app.clone(), instances: some.to_vec(), volumes };
                let serial = self.next_serial();
                self.commit(Record::Doom(serial, Some(Arc::new(doom))), turn);
            }
            self.desk.dirty.insert(app.clone());
        }
    }

    /// The next instances of an app that somebody wants killed, before anything else is thought about it.
    pub(crate) fn carry_out_doom(&mut self, app: &AppId, turn: &mut Turn<'_>) -> Doomed {
        let next = self.memory.doomed.get(app).and_then(|dooms| dooms.first().copied());
        let Some(serial) = next else { return Doomed::None };
        let doom = Arc::clone(&self.memory.dooms[&serial]);
        for instance in &doom.instances {
            if self.memory.instances.contains_key(instance) {
                self.doom_with(*instance, doom.volumes, turn);
            }
        }
        self.commit(Record::Doom(serial, None), turn);
        self.desk.dirty.insert(app.clone());
        Doomed::Some
    }

    /// Each app shrinks by those of its instances that are not on their way out already.
    fn plan_shrinking(&self, instances: &[Arc<Instance>], force: bool) -> Result<Plan, Refusal> {
        let mut fewer: BTreeMap<&AppId, u32> = BTreeMap::new();
        for instance in instances {
            let count = u32::from(instance.goal == Goal::Running);
            *fewer.entry(&instance.app).or_default() += count;
        }
        let mut shrunk: Vec<AppSpec> = Vec::new();
        for (id, count) in fewer {
            let app = self.memory.view.apps.get(id);
            let app = app.ok_or_else(|| Refusal::UnknownApp(id.clone()))?;
            let instances = app.spec.instances.saturating_sub(count);
            shrunk.push(AppSpec { instances, ..(*app.spec).clone() });
        }
        self.plan_scaling(shrunk, Intent::order(force, None))
    }
}
