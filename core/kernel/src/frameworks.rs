//! Frameworks subscribe, lose their stream, come back or are torn down.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::framework::{Capability, FrameworkInfo};
use model::id::{FrameworkId, Role};
use model::scheduler::{Call, Event};
use model::time::Time;

use crate::accept::{Answer, id_fault};
use crate::constraints::Constraints;
use crate::demand::Client;
use crate::state::Framework;
use crate::tasks::{Kill, Seen};
use crate::timers::Timer;
use crate::{Effect, Kernel, Out, Record, Refusal, view};

/// Torn-down frameworks that are remembered, as DC/OS sets it.
const COMPLETED_FRAMEWORKS_MAX: usize = 10;

/// What the kernel knows of a framework without having to remember it.
#[derive(Debug, Default)]
pub(crate) struct Subscription {
    pub(crate) connected: bool,
    /// It was subscribed to an earlier leader, and has yet to return to this one.
    pub(crate) recovered: bool,
    /// When it is torn down unless it has subscribed again.
    pub(crate) failover_at: Option<Time>,
    /// Of which agents it wants offers.
    pub(crate) constraints: Constraints,
}

impl Kernel {
    /// A subscription starts with no offers and no filters: those of an earlier one are void without a word.
    pub(crate) fn subscribe(
        &mut self,
        now: Time,
        info: FrameworkInfo,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        // Whoever asks hears the refusal; who is subscribed under that id is not disturbed.
        self.judge(&info)?;
        let info = self.kept(info)?;
        let id = match &info.id {
            Some(id) => id.clone(),
            None => self.state.new_framework_id(&self.view.cluster),
        };
        let known = self.state.frameworks.get(&id);
        let mut info = FrameworkInfo { id: Some(id.clone()), ..info };
        if let Some(known) = known {
            // As in Mesos, a framework that comes back keeps what it cannot change.
            info.user.clone_from(&known.info.user);
            info.checkpoint = known.info.checkpoint;
        }
        let framework = Framework {
            info: Arc::new(info),
            registered_at: known.map_or(now, |known| known.registered_at),
            completed_at: None,
        };
        if known != Some(&framework) {
            self.commit(Record::Framework(id.clone(), Some(framework)), out);
        }
        self.end_subscription(&id);
        let live = self.frameworks.entry(id.clone()).or_default();
        (live.connected, live.recovered) = (true, false);
        live.constraints = Constraints::default();
        if let Some(at) = live.failover_at.take() {
            self.timers.cancel(at, Timer::Failover(id.clone()));
        }
        out.effects.push(Effect::Event(id.clone(), Event::Subscribed { framework: id.clone() }));
        for role in self.roles(&id) {
            self.enroll(Client { framework: id.clone(), role });
        }
        self.revive(&id, &[]);
        self.inverse.look_at_all();
        Ok(())
    }

    pub(crate) fn judge(&self, info: &FrameworkInfo) -> Result<(), Refusal> {
        let invalid = |cause: String| Err(Refusal::InvalidFramework(cause));
        if let Some(bad) = info.roles.iter().find(|role| !is_role(role)) {
            return invalid(format!("{:?} is not a role", bad.as_str()));
        }
        if info.roles.len() > 1 && !info.can(Capability::MultiRole) {
            return invalid("several roles need the capability MULTI_ROLE".to_owned());
        }
        let Some(id) = &info.id else { return Ok(()) };
        if let Some(fault) = id_fault("framework", id.as_str()) {
            return invalid(fault);
        }
        let known = self.state.frameworks.get(id);
        if known.is_some_and(|known| known.info.principal != info.principal) {
            return invalid("Changing framework's principal is not allowed.".to_owned());
        }
        if known.is_some_and(|known| known.completed_at.is_some()) {
            return Err(Refusal::CompletedFramework(id.clone()));
        }
        Ok(())
    }

    pub(crate) fn roles(&self, id: &FrameworkId) -> BTreeSet<Role> {
        let info = &self.state.frameworks[id].info;
        if info.roles.is_empty() && !info.can(Capability::MultiRole) {
            return BTreeSet::from([Role::star()]);
        }
        info.roles.iter().cloned().collect()
    }

    /// Takes back its offers and forgets what it wants.
    fn end_subscription(&mut self, id: &FrameworkId) {
        for client in self.clients(id, &[]) {
            self.forget_client(client);
        }
        self.void_offers(id);
        self.forget_asks(id);
        self.forget_asked(id);
        self.touched_frameworks.insert(id.clone());
    }

    pub(crate) fn framework_lost(&mut self, now: Time, id: &FrameworkId) {
        let Some(framework) = self.state.active(id) else { return };
        let at = now + framework.info.failover_timeout;
        let Some(live) = self.frameworks.get_mut(id).filter(|live| live.connected) else { return };
        live.connected = false;
        live.failover_at = Some(at);
        self.timers.set(at, Timer::Failover(id.clone()));
        self.end_subscription(id);
    }

    /// The framework is over: its tasks are killed and its id is not admitted again.
    pub(crate) fn tear_down(&mut self, now: Time, id: &FrameworkId, out: &mut Out) {
        let Some(framework) = self.state.active(id) else { return };
        let over = Framework { completed_at: Some(now), ..framework.clone() };
        if let Some(at) = self.frameworks.remove(id).and_then(|live| live.failover_at) {
            self.timers.cancel(at, Timer::Failover(id.clone()));
        }
        self.end_subscription(id);
        self.clear_framework(now, id.clone(), out);
        self.forget_operations(id);
        self.commit(Record::Framework(id.clone(), Some(over)), out);
        self.forget_oldest(out);
    }

    /// The one with the lowest number goes first, so that the highest number that was ever given stays known.
    fn forget_oldest(&mut self, out: &mut Out) {
        let completed = self.state.frameworks.iter().filter(|(_, one)| one.completed_at.is_some());
        let completed: Vec<FrameworkId> = completed.map(|(id, _)| id.clone()).collect();
        let surplus = completed.len().saturating_sub(COMPLETED_FRAMEWORKS_MAX);
        for id in completed.into_iter().take(surplus) {
            self.view.completed.remove(&id);
            self.commit(Record::Framework(id, None), out);
        }
    }

    /// Refuses calls of a framework that is not there, or no more.
    pub(crate) fn require_subscribed(
        &self,
        from: &FrameworkId,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        let refusal = match self.state.frameworks.get(from) {
            Some(known) if known.completed_at.is_some() => {
                Refusal::CompletedFramework(from.clone())
            }
            Some(_) if self.frameworks.get(from).is_some_and(|live| live.connected) => {
                return Ok(());
            }
            Some(_) | None => Refusal::UnknownFramework(from.clone()),
        };
        out.effects.push(Effect::Event(from.clone(), Event::Error(refusal.to_string())));
        Err(refusal)
    }

    pub(crate) fn call(
        &mut self,
        now: Time,
        from: &FrameworkId,
        call: Call,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        if let Call::Subscribe { info } = call {
            return self.subscribe(now, FrameworkInfo { id: Some(from.clone()), ..info }, out);
        }
        self.require_subscribed(from, out)?;
        match call {
            Call::Subscribe { .. } => unreachable!("handled above"),
            Call::UpdateFramework { info, wishes } => {
                let info = FrameworkInfo { id: Some(from.clone()), ..info };
                return self.update_framework(info, wishes, out);
            }
            Call::Teardown => self.tear_down(now, from, out),
            Call::Accept { offers, operations, filters } => {
                self.accept(now, from, Answer { offers, operations, filters }, out);
            }
            Call::AcceptInverse { offers, filters } => {
                self.answered(now, from, &offers, (view::Answer::Accept, filters.refuse));
            }
            Call::DeclineInverse { offers, filters } => {
                self.answered(now, from, &offers, (view::Answer::Decline, filters.refuse));
            }
            Call::Decline { offers, filters } => self.decline(now, from, &offers, filters),
            Call::Revive { roles } => self.revive(from, &roles),
            Call::Suppress { roles } => self.suppress(from, &roles),
            Call::Kill { task, agent, grace } => {
                self.kill(now, from, Kill { task, agent, grace }, out)
            }
            Call::Acknowledge { agent, task, uuid } => {
                self.acknowledge(from, Seen { agent, task, uuid }, out);
            }
            Call::Shutdown { agent, executor } => {
                self.shut_down_executor(from, &agent, executor, out);
            }
            Call::Message { agent, executor, data } => {
                self.pass_down(from, &agent, (executor, data), out);
            }
            Call::Reconcile { tasks } => self.reconcile(now, from, tasks, out),
            // The kernel knows better than its framework where it is.
            Call::AcknowledgeOperation { operation, uuid, agent: _ } => {
                self.acknowledge_operation(from, operation, uuid, out);
            }
            Call::ReconcileOperations { operations } => {
                self.reconcile_operations(from, operations, out);
            }
        }
        Ok(())
    }

    /// To a framework that listens. Who does not listen asks when it is back, and agents repeat what matters.
    pub(crate) fn tell(&self, framework: &FrameworkId, event: Event, out: &mut Out) {
        if self.frameworks.get(framework).is_some_and(|live| live.connected) {
            out.effects.push(Effect::Event(framework.clone(), event));
        }
    }
}

/// As Mesos has it: `*`, or parts between slashes that are no directory names and start with no dash.
pub(crate) fn is_role(role: &Role) -> bool {
    let is_part = |part: &str| {
        !matches!(part, "" | "." | ".." | "*")
            && !part.starts_with('-')
            && !part.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    role.as_str() == "*" || role.as_str().split('/').all(is_part)
}
