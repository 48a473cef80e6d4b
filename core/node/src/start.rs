//! What a restarted agent does about what it finds: tasks it accepted, containers that outlived it.

use std::collections::BTreeSet;

use model::agent::AgentInfo;
use model::id::{ContainerId, Term};
use model::task::{Reason, Source, TaskState};

use crate::state::{Held, Own, Record};
use crate::tasks::stop;
use crate::updates::News;
use crate::{Effect, Node, Turn};

/// What an agent is from one start to the next.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) info: AgentInfo,
    pub(crate) boot: String,
}

/// Why there is no sign of a container any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The machine was started again.
    Rebooted,
    /// Whatever else took the runtime's own notes.
    Gone,
}

impl Missing {
    pub(crate) fn cause(self) -> String {
        let cause = match self {
            Missing::Rebooted => "The agent's machine was rebooted",
            Missing::Gone => "Its container was gone when the agent started again",
        };
        cause.to_owned()
    }
}

impl Node {
    pub(crate) fn start(&mut self, life: Life, known: Vec<ContainerId>, turn: &mut Turn<'_>) {
        let missing = self.become_now(life, turn);
        let known: BTreeSet<_> = known.into_iter().collect();
        let held = self.state.all();
        for (container, _) in &self.state.executors() {
            match known.contains(container) {
                true => self.resume_program(container, turn),
                false => self.miss_program(container, missing, turn),
            }
        }
        self.pool_all(turn);
        for (container, before) in &held {
            // As it is by now: the end of another of its group may have changed it.
            let held = self
                .state
                .held(container)
                .filter(|held| !held.is_ended() && held.program().is_none());
            let held = held.cloned();
            match (held, known.contains(container)) {
                (Some(held), true) => self.resume(container, &held, turn),
                (Some(held), false) => {
                    // That others of its group are gone, too, is not why it is.
                    let held = Held { killed: before.killed, ..Held::clone(&held) };
                    self.miss(container, &held, missing, turn);
                }
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

    fn become_now(&mut self, Life { info, boot }: Life, turn: &mut Turn<'_>) -> Missing {
        let own = match self.state.own() {
            Some(own) if own.info == info && own.boot.as_ref() == Some(&boot) => {
                return Missing::Gone;
            }
            Some(own) => own.clone(),
            None => Own { agent: None, info: info.clone(), term: Term::default(), boot: None },
        };
        let rebooted = own.boot.as_ref().is_some_and(|before| *before != boot);
        self.commit(Record::Own(Box::new(Own { info, boot: Some(boot), ..own })), turn);
        if rebooted { Missing::Rebooted } else { Missing::Gone }
    }

    /// Its container lives, or has ended and that will be said.
    fn resume(&mut self, container: &ContainerId, held: &Held, turn: &mut Turn<'_>) {
        match held.killed {
            Some(killed) => stop(container, killed, turn),
            None if held.is_running() => self.begin_checks(container, turn),
            None => (),
        }
    }

    /// There is no sign of its container. What was never seen running is launched again.
    fn miss(
        &mut self,
        container: &ContainerId,
        held: &Held,
        missing: Missing,
        turn: &mut Turn<'_>,
    ) {
        let ran = held.is_running();
        let (state, reason) = match (held.killed, ran) {
            (None, false) => {
                if !self.awaits(held) {
                    self.begin(container, held, turn);
                }
                return;
            }
            (None, true) => match missing {
                Missing::Rebooted => (TaskState::Gone, Reason::AgentRestarted),
                Missing::Gone => (TaskState::Failed, Reason::ExecutorTerminated),
            },
            (Some(_), false) => (TaskState::Killed, Reason::TaskKilledDuringLaunch),
            (Some(_), true) => (TaskState::Killed, Reason::ExecutorTerminated),
        };
        let news = News {
            source: Source::Agent,
            reason: Some(reason),
            message: Some(missing.cause()),
            ..News::of(state)
        };
        self.report(container, held, news, turn);
    }
}
