//! Every state of an operation: what its framework is told of itself, and what it hears when it asks.

use std::time::Duration;

use kernel::Input;
use kernel::operator::Order;
use model::agent::Books;
use model::id::{AgentId, OperationId};
use model::operation::OperationState;
use model::resources::ResourceName;
use model::scheduler::{Call, Event};

use crate::made::reserved;
use crate::operations::{Scene, named, reserve, space};

/// What has happened to the operation `r`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    OnItsWay,
    Answered(OperationState),
    Acknowledged(OperationState),
    /// It asks for more than is offered.
    Impossible,
    /// Its agent is back, and has never heard of it.
    LostOnTheWay,
    OutOfReach,
    MarkedGone,
    /// Another master leads, to which its agent has not come yet.
    AnotherLeader,
    /// That has waited for its agent in vain.
    LeaderGaveUp,
    NeverAskedFor,
}

impl Fate {
    fn come_true(self, scene: &mut Scene) -> Vec<kernel::Effect> {
        let cpus = if self == Fate::Impossible { 400 } else { 1 };
        if self == Fate::NeverAskedFor {
            return vec![];
        }
        let wanted = vec![reserved(ResourceName::Cpus, cpus, "db"), space(1)];
        let sent = scene.accept(vec![named("r", reserve(wanted))]);
        match self {
            Fate::OnItsWay | Fate::Impossible | Fate::NeverAskedFor => sent,
            Fate::Answered(state) => scene.answer(&sent, state),
            Fate::Acknowledged(state) => {
                let said = scene.answer(&sent, state);
                scene.acknowledge("r");
                said
            }
            Fate::LostOnTheWay => scene.come_back(Books::default()),
            Fate::OutOfReach => {
                scene.stage.lose(1);
                scene.stage.pass(Duration::from_secs(3_600))
            }
            Fate::MarkedGone => {
                let order = Order::MarkGone { agent: scene.agent.clone() };
                scene.stage.step(Input::Operator { order })
            }
            Fate::AnotherLeader | Fate::LeaderGaveUp => {
                scene.stage.restart();
                let framework = scene.framework.clone();
                let info = scene.stage.kernel.state().frameworks[&framework].info.as_ref().clone();
                scene.stage.subscribe(info);
                match self == Fate::LeaderGaveUp {
                    true => scene.stage.pass(Duration::from_secs(3_600)),
                    false => vec![],
                }
            }
        }
    }
}

/// The last that is told of `r`, and whether it is to be acknowledged.
fn last(effects: &[kernel::Effect]) -> Option<(OperationState, bool)> {
    let mut told = effects.iter().filter_map(|effect| match effect {
        kernel::Effect::Event(_, Event::UpdateOperation(status)) => {
            let is_it = status.operation.as_ref().is_some_and(|id| id.as_str() == "r");
            is_it.then_some((status.state, status.uuid.is_some()))
        }
        kernel::Effect::Event(..) | kernel::Effect::ToAgent(..) | kernel::Effect::Disconnect(_) => {
            None
        }
    });
    told.next_back()
}

fn asked(scene: &mut Scene, agent: Option<AgentId>) -> Option<OperationState> {
    let operations = vec![(OperationId::new("r"), agent)];
    let effects =
        scene.stage.call(&scene.framework.clone(), Call::ReconcileOperations { operations });
    let (state, is_to_be_acknowledged) = last(&effects)?;
    assert!(!is_to_be_acknowledged, "an answer is not acknowledged");
    Some(state)
}

#[test]
fn operations_are_told_and_asked_for_in_every_state() {
    use OperationState as State;
    let check = |fate: Fate, told: Option<(State, bool)>, with: State, without: State| {
        let mut scene = Scene::new();
        let effects = fate.come_true(&mut scene);
        assert_eq!(last(&effects), told, "told when {fate:?}");
        let agent = Some(scene.agent.clone());
        assert_eq!(asked(&mut scene, agent), Some(with), "{fate:?}, and its agent is named");
        assert_eq!(asked(&mut scene, None), Some(without), "{fate:?}, and its agent is not named");
    };
    check(Fate::OnItsWay, None, State::Pending, State::Pending);
    // The agent repeats its word until it is acknowledged; then nobody knows of it any more.
    for state in [State::Finished, State::Failed] {
        check(Fate::Answered(state), Some((state, true)), state, state);
        let told = Some((state, true));
        check(Fate::Acknowledged(state), told, State::Unknown, State::Unknown);
    }
    check(Fate::Impossible, Some((State::Error, false)), State::Unknown, State::Unknown);
    check(Fate::LostOnTheWay, Some((State::Dropped, false)), State::Unknown, State::Unknown);
    let unreachable = Some((State::Unreachable, false));
    check(Fate::OutOfReach, unreachable, State::Unreachable, State::Unreachable);
    let gone = Some((State::GoneByOperator, false));
    check(Fate::MarkedGone, gone, State::GoneByOperator, State::Unknown);
    check(Fate::AnotherLeader, None, State::Recovering, State::Recovering);
    // Nobody told the new leader of it: only who asks hears of it.
    check(Fate::LeaderGaveUp, None, State::Unreachable, State::Unknown);
    check(Fate::NeverAskedFor, None, State::Unknown, State::Unknown);
}

#[test]
fn an_operation_of_no_agent_that_is_known_is_unknown() {
    let mut scene = Scene::new();
    let stranger = Some(AgentId::new("nowhere"));
    assert_eq!(asked(&mut scene, stranger), Some(OperationState::Unknown));
}
