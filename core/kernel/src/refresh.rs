//! The view's copies of agents and frameworks: brought up to date with what a step has touched, and what that is news of.

use std::sync::Arc;

use model::id::{AgentId, FrameworkId};

use crate::Kernel;
use crate::agents::LiveAgent;
use crate::history::Told;
use crate::state::Standing;
use crate::view::{AgentView, FrameworkView};

impl Kernel {
    /// Brings the view's copies up to date with what this step has touched.
    pub(crate) fn refresh_view(&mut self) {
        while let Some(id) = self.touched_agents.pop_first() {
            self.refresh_agent(&id);
        }
        while let Some(id) = self.touched_frameworks.pop_first() {
            self.refresh_framework(&id);
        }
    }

    fn refresh_agent(&mut self, id: &AgentId) {
        let Some(agent) = self.state.agents.get(id) else {
            if self.view.agents.remove(id).is_some_and(|seen| is_registered(&seen)) {
                self.view.history.push(Told::AgentRemoved(id.clone()));
            }
            return;
        };
        let live = self.agents.get(id);
        let seen = AgentView {
            agent: agent.clone(),
            connected: live.is_some_and(|live| live.connection.is_some()),
            recovered: live.is_some_and(|live| live.return_by.is_some()),
            in_use: self.state.in_use.get(id).cloned().unwrap_or_default(),
            claims: self.state.claims.get(id).cloned().unwrap_or_default(),
            provided: self.state.provided(id).to_vec(),
            reregistered_at: live.and_then(|live| live.returned_at),
            executors: live.into_iter().flat_map(LiveAgent::executors).collect(),
            answers: self.inverse.answers(id),
            revocable: live.map(|live| live.revocable.clone()).unwrap_or_default(),
        };
        let seen = Arc::new(seen);
        let before = self.view.agents.insert(id.clone(), Arc::clone(&seen));
        match (before.is_some_and(|before| is_registered(&before)), is_registered(&seen)) {
            (false, true) => self.view.history.push(Told::AgentAdded(id.clone(), seen)),
            (true, false) => self.view.history.push(Told::AgentRemoved(id.clone())),
            (true, true) | (false, false) => (),
        }
    }

    fn refresh_framework(&mut self, id: &FrameworkId) {
        let before = self.view.frameworks.remove(id);
        self.view.completed_frameworks.remove(id);
        let Some(framework) = self.state.frameworks.get(id) else {
            self.view.history.counts.frameworks.remove(id);
            self.tell_of_framework(id, before, None);
            return;
        };
        let live = self.frameworks.get(id);
        let seen = Arc::new(FrameworkView {
            framework: framework.clone(),
            connected: live.is_some_and(|live| live.connected),
            recovered: live.is_some_and(|live| live.recovered),
            constraints: live.map(|live| live.constraints.said.clone()).unwrap_or_default(),
            suppressed: self.is_suppressed(id),
            suppressed_roles: self.suppressed_roles(id),
        });
        let after = framework.completed_at.is_none().then(|| Arc::clone(&seen));
        match framework.completed_at {
            None => self.view.frameworks.insert(id.clone(), seen),
            Some(_) => self.view.completed_frameworks.insert(id.clone(), seen),
        };
        self.tell_of_framework(id, before, after);
    }

    /// That it wants no offers for a while is nobody else's business.
    fn tell_of_framework(
        &mut self,
        id: &FrameworkId,
        before: Option<Arc<FrameworkView>>,
        after: Option<Arc<FrameworkView>>,
    ) {
        let told = match (before, after) {
            (None, Some(after)) => Told::FrameworkAdded(id.clone(), after),
            (Some(before), None) => Told::FrameworkRemoved(id.clone(), before),
            (Some(before), Some(after)) => {
                let same = before.framework == after.framework
                    && before.connected == after.connected
                    && before.recovered == after.recovered
                    && before.constraints == after.constraints;
                if same {
                    return;
                }
                Told::FrameworkUpdated(id.clone(), after)
            }
            (None, None) => return,
        };
        self.view.history.push(told);
    }
}

/// With this leader.
fn is_registered(agent: &AgentView) -> bool {
    agent.agent.standing == Standing::Admitted && !agent.recovered
}
