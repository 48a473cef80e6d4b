//! What services and the kernel know of tasks is compared: at first, and every ten minutes.

use std::time::Duration;

use model::id::{FrameworkId, Role, Serial, TaskId};
use model::scheduler::Call;

use crate::What;
use crate::machine::{Offers, Services, Standing, Turn};

/// From the end of one comparison to the next, as Marathon has it.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(600);
/// From the end of a subscription, or a refusal of one, to the next attempt.
const RESUBSCRIBE_INTERVAL: Duration = Duration::from_secs(10);
/// Tasks asked about in one step.
const TURN_QUESTIONS_MAX: usize = 5_000;

impl Services {
    /// A subscription starts with offers to all roles, and without filters.
    pub(crate) fn subscribed(&mut self, framework: FrameworkId, turn: &mut Turn<'_>) {
        let before = std::mem::replace(&mut self.desk.standing, Standing::Subscribed);
        self.desk.subscribe_at = None;
        self.desk.queue.open_taps(self.desk.roles.iter().cloned());
        match before {
            Standing::Unknown => {
                turn.notice(What::SchedulerRegistered { framework });
                self.desk.asking = Some(Serial(0));
                self.reconcile(turn);
            }
            Standing::Subscribed => (),
        }
    }

    /// The kernel does not know us any more. A kernel that has forgotten us will take us again.
    pub(crate) fn unsubscribed(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.desk.standing) != Standing::Unknown {
            turn.notice(What::SchedulerDisconnected);
        }
        self.desk.offers = Offers::default();
        self.desk.subscribe_at = Some(turn.now + RESUBSCRIBE_INTERVAL);
    }

    pub(crate) fn resubscribe(&mut self, turn: &mut Turn<'_>) {
        if self.desk.subscribe_at.is_some_and(|at| at <= turn.now) {
            // Should the answer get lost, it is asked again.
            self.desk.subscribe_at = Some(turn.now + RESUBSCRIBE_INTERVAL);
            self.desk.has_new_role = false;
            self.desk.roles = self.roles();
            turn.call(Call::Subscribe { info: self.framework_info() });
        }
    }

    /// Tells the kernel of roles that apps have and it does not know. It makes offers to them from then on.
    pub(crate) fn announce_roles(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.desk.has_new_role) {
            let now = self.roles();
            let before = std::mem::replace(&mut self.desk.roles, now);
            let gone: Vec<Role> = before.difference(&self.desk.roles).cloned().collect();
            gone.iter().for_each(|role| self.desk.queue.close_tap(role));
            let info = self.framework_info();
            turn.call(Call::UpdateFramework { info, wishes: None });
        }
    }

    /// First about each task by name, for the kernel may know nothing of it; then about all that the kernel knows.
    pub(crate) fn reconcile(&mut self, turn: &mut Turn<'_>) {
        if self.desk.reconcile_at.is_some_and(|at| at <= turn.now) {
            self.desk.reconcile_at = None;
            self.desk.asking = Some(Serial(0));
        }
        let Some(from) = self.desk.asking.filter(|_| self.desk.standing != Standing::Unknown)
        else {
            return;
        };
        let mut instances = self.memory.instances.range(from..);
        let tasks: Vec<(TaskId, _)> = instances
            .by_ref()
            .take(TURN_QUESTIONS_MAX)
            .flat_map(|(_, one)| one.live_tasks().map(move |task| (one, task)))
            .map(|(one, task)| (task.clone(), Some(one.place.agent.clone())))
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
