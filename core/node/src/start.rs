//! What a restarted agent does about what it finds: tasks it accepted, containers that outlived it.

use std::collections::BTreeSet;

use model::agent::AgentInfo;
use model::id::{ContainerId, Term};
use model::task::{Reason, Source, TaskState};

use crate::state::{Held, Own, Record};
use crate::tasks::{launch, stop};
use crate::updates::News;
use crate::{Effect, Node, Turn};

impl Node {
    pub(crate) fn start(&mut self, info: AgentInfo, known: Vec<ContainerId>, turn: &mut Turn<'_>) {
        self.become_now(info, turn);
        let known: BTreeSet<_> = known.into_iter().collect();
        let held = self.state.all();
        for (container, _) in &self.state.executors() {
            match known.contains(container) {
                true => self.resume_program(container, turn),
                false => self.miss_program(container, turn),
            }
        }
        for container in held.keys() {
            // As it is by now: the end of another of its group may have changed it.
            let held = self
                .state
                .held(container)
                .filter(|held| !held.is_ended() && held.program().is_none());
            let held = held.cloned();
            match (held, known.contains(container)) {
                (Some(held), true) => self.resume(container, &held, turn),
                (Some(held), false) => self.miss(container, &held, turn),
                (None, _) => (),
            }
        }
        self.carry_on_all(turn);
        let wanted = |container| {
            self.state.executor(container).is_some()
                || held.get(container).is_some_and(|held| !held.is_ended())
        };
        for container in known.iter().filter(|container| !wanted(*container)) {
            turn.out
                .effects
                .push(Effect::Stop { container: container.clone(), grace: self.config.kill_grace });
        }
    }

    fn become_now(&mut self, info: AgentInfo, turn: &mut Turn<'_>) {
        let own = match self.state.own() {
            Some(own) if own.info == info => return,
            Some(own) => Own { info, ..own.clone() },
            None => Own { agent: None, info, term: Term::default() },
        };
        self.commit(Record::Own(own), turn);
    }

    /// Its container lives, or has ended and that will be said.
    fn resume(&mut self, container: &ContainerId, held: &Held, turn: &mut Turn<'_>) {
        match held.killed {
            Some(killed) => stop(container, killed, turn),
            None if held.is_running() => self.begin_checks(container, turn),
            None => (),
        }
    }

    /// There is no sign of its container. What was never seen running is launched again; the rest ended with the
    /// machine, or whatever else took the runtime's own notes.
    fn miss(&mut self, container: &ContainerId, held: &Held, turn: &mut Turn<'_>) {
        let ran = held.is_running();
        let (state, reason) = match (held.killed, ran) {
            (None, false) => {
                if !self.awaits(held) {
                    launch(container.clone(), held, turn);
                }
                return;
            }
            (None, true) => (TaskState::Failed, Reason::ExecutorTerminated),
            (Some(_), false) => (TaskState::Killed, Reason::TaskKilledDuringLaunch),
            (Some(_), true) => (TaskState::Killed, Reason::ExecutorTerminated),
        };
        let news = News {
            source: Source::Agent,
            reason: Some(reason),
            message: Some("Its container was gone when the agent started again".to_owned()),
            ..News::of(state)
        };
        self.report(container, held, news, turn);
    }
}
