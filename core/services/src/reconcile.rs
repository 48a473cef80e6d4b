//! What services and the kernel know of tasks is compared: at first, and every ten minutes.

use std::time::Duration;

use model::id::{FrameworkId, Role, Serial, TaskId};
use model::scheduler::Call;

use crate::What;
use crate::machine::{Services, Turn};

/// From the end of one comparison to the next, as Marathon has it.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(600);
/// Tasks asked about in one step.
const TURN_QUESTIONS_MAX: usize = 5_000;

impl Services {
    pub(crate) fn subscribed(&mut self, framework: FrameworkId, turn: &mut Turn<'_>) {
        // Roles that were added subscribe once more, which changes nothing else.
        if self.desk.is_subscribed {
            return;
        }
        self.desk.is_subscribed = true;
        self.desk.roles = self.roles();
        self.desk.queue.open_taps(self.desk.roles.iter().cloned());
        self.desk.asking = Some(Serial(0));
        self.reconcile(turn);
        turn.notice(What::SchedulerRegistered { framework });
    }

    /// Tells the kernel of roles that apps have and it does not know.
    pub(crate) fn announce_roles(&mut self, turn: &mut Turn<'_>) {
        if !std::mem::take(&mut self.desk.roles_may_differ) {
            return;
        }
        let added: Vec<Role> = self.roles().difference(&self.desk.roles).cloned().collect();
        if !added.is_empty() {
            self.desk.queue.open_taps(added.iter().cloned());
            self.desk.roles.extend(added);
            turn.call(Call::Subscribe { info: self.framework_info() });
        }
    }

    /// First about each task by name, for the kernel may know nothing of it; then about all that the kernel knows.
    pub(crate) fn reconcile(&mut self, turn: &mut Turn<'_>) {
        if self.desk.reconcile_at.is_some_and(|at| at <= turn.now) {
            self.desk.reconcile_at = None;
            self.desk.asking = Some(Serial(0));
        }
        let Some(from) = self.desk.asking.filter(|_| self.desk.is_subscribed) else { return };
        let mut instances = self.memory.instances.range(from..);
        let tasks: Vec<(TaskId, _)> = instances
            .by_ref()
            .take(TURN_QUESTIONS_MAX)
            .map(|(_, one)| (one.task.clone(), Some(one.place.agent.clone())))
            .collect();
        self.desk.asking = instances.next().map(|(serial, _)| *serial);
        if !tasks.is_empty() {
            turn.call(Call::Reconcile { tasks });
        }
        if self.desk.asking.is_none() {
            turn.call(Call::Reconcile { tasks: Vec::new() });
            self.desk.reconcile_at = Some(turn.now + RECONCILE_INTERVAL);
        }
    }
}
