//! Agents are taken out of use, emptied, used again, and given up.

use std::time::Duration;

use kernel::operator::Order;
use kernel::state::{Duty, Standing};
use kernel::{Input, Refusal};
use model::agent::{Books, FromAgent, PROTOCOL};
use model::framework::Capability;
use model::id::{AgentId, ExecutorId, FrameworkId, OperationId, TaskId, Uuid};
use model::operation::Conversion;
use model::resources::ResourceName;
use model::scheduler::{Call, Filters, Operation};
use model::task::TaskState::{Finished, Killed, Killing, Running};

use crate::made::reserved;
use crate::programs::program;
use crate::stage::{BIG, Stage, held, info, offers, register, task, told};

const AWARE: &[Capability] = &[Capability::PartitionAware];

fn drain(agent: &AgentId) -> Order {
    Order::Drain { agent: agent.clone(), grace_max: Some(Duration::from_secs(5)), mark_gone: false }
}

fn drain_for_good(agent: &AgentId) -> Order {
    Order::Drain { agent: agent.clone(), grace_max: None, mark_gone: true }
}

fn order(stage: &mut Stage, order: Order) -> Vec<String> {
    told(&stage.step(Input::Operator { order }))
}

fn duty(stage: &Stage, agent: &AgentId) -> &'static str {
    match stage.kernel.state().agents[agent].duty {
        Duty::Active => "active",
        Duty::Deactivated => "deactivated",
        Duty::Draining(_) => "draining",
        Duty::Drained(_) => "drained",
    }
}

fn acknowledge(
    stage: &mut Stage,
    agent: &AgentId,
    from: &FrameworkId,
    task: &str,
    uuid: Uuid,
) -> Vec<String> {
    let call = Call::Acknowledge { agent: agent.clone(), task: TaskId::new(task), uuid };
    told(&stage.call(from, call))
}

#[test]
fn whoever_has_not_heard_that_it_is_to_end_is_told_again() {
    let mut stage = Stage::new();
    let (agent, _) = stage.running(AWARE);
    let kill = "Kill t within 5s to 1".to_owned();
    assert!(order(&mut stage, drain(&agent)).contains(&kill));
    let again = told(&stage.pass(Duration::from_secs(15)));
    assert!(again.contains(&kill), "{again:?}");
}

#[test]
fn a_deactivated_agent_is_not_offered_and_its_tasks_go_on() {
    let mut stage = Stage::new();
    let (agent, framework) = stage.running(AWARE);
    assert_eq!(offers(&stage.settle()).len(), 1, "what the task has left");
    assert_eq!(order(&mut stage, Order::Deactivate { agent: agent.clone() }), ["Rescind"]);
    assert_eq!(order(&mut stage, Order::Deactivate { agent: agent.clone() }), [""; 0], "already");
    stage.restart();
    stage.subscribe(model::framework::FrameworkInfo {
        id: Some(framework.clone()),
        ..crate::stage::framework("*", AWARE)
    });
    stage.hear(
        2,
        register(Some(&agent), BIG, vec![held(&framework, &agent, "t", "cpus:1", Running)]),
    );
    assert!(offers(&stage.settle()).is_empty(), "the next leader knows of it");
    assert_eq!(stage.state_of(&framework, "t"), Some(Running));
    order(&mut stage, Order::Reactivate { agent });
    assert_eq!(offers(&stage.settle()).len(), 1);
}

#[test]
fn an_agent_is_drained_once_all_has_ended_and_was_heard() {
    let mut stage = Stage::new();
    let (agent, framework) = stage.running(AWARE);
    stage.settle();
    assert_eq!(order(&mut stage, drain(&agent)), ["Rescind", "Kill t within 5s to 1"]);
    let (_, effects) = stage.report(1, &framework, "t", Killing, Killing);
    assert_eq!(told(&effects), ["Killing t AgentDraining"]);
    let (uuid, effects) = stage.report(1, &framework, "t", Killed, Killed);
    assert_eq!(told(&effects), ["Killed t AgentDraining"]);
    assert_eq!(duty(&stage, &agent), "draining", "nobody has acknowledged it");
    let refused =
        stage.try_step(Input::Operator { order: Order::Reactivate { agent: agent.clone() } });
    assert_eq!(refused.0, Err(Refusal::StillDraining(agent.clone())));
    acknowledge(&mut stage, &agent, &framework, "t", uuid);
    assert_eq!(duty(&stage, &agent), "drained");
    assert!(offers(&stage.settle()).is_empty());
    order(&mut stage, Order::Reactivate { agent: agent.clone() });
    assert_eq!(duty(&stage, &agent), "active");
    assert_eq!(offers(&stage.settle()).len(), 1);
    let refused =
        stage.try_step(Input::Operator { order: Order::Reactivate { agent: agent.clone() } });
    assert_eq!(refused.0, Err(Refusal::NotDeactivated(agent)));
}

#[test]
fn an_agent_with_nothing_on_it_is_drained_at_once() {
    let mut stage = Stage::new();
    let agent = stage.agent(1, BIG);
    order(&mut stage, drain(&agent));
    assert_eq!(duty(&stage, &agent), "drained");
}

#[test]
fn what_ended_by_itself_says_so() {
    let mut stage = Stage::new();
    let (agent, framework) = stage.running(AWARE);
    order(&mut stage, drain_for_good(&agent));
    let (_, effects) = stage.report(1, &framework, "t", Finished, Finished);
    assert_eq!(told(&effects), ["Finished t"]);
}

#[test]
fn a_drain_goes_on_when_the_agent_returns() {
    let check = |name: &str, lose: fn(&mut Stage)| {
        let mut stage = Stage::new();
        let (agent, framework) = stage.running(AWARE);
        lose(&mut stage);
        order(&mut stage, drain(&agent));
        stage.lose(1);
        stage.restart();
        assert_eq!(duty(&stage, &agent), "draining", "{name}: of what runs there nothing is known");
        let tasks = vec![held(&framework, &agent, "t", "cpus:1;mem:128", Running)];
        let letters = told(&stage.hear(2, register(Some(&agent), BIG, tasks)));
        assert!(letters.contains(&"Kill t within 5s to 2".to_owned()), "{name}: {letters:?}");
        stage.lose(2);
        stage.hear(3, register(Some(&agent), BIG, vec![]));
        assert_eq!(duty(&stage, &agent), "drained", "{name}");
    };
    check("it was there", |_| ());
    check("it was away", |stage| drop(stage.lose(1)));
    check("it was unreachable", |stage| drop(stage.pass(Duration::from_secs(15 * 22))));
}

#[test]
fn executors_end_after_their_tasks() {
    let mut stage = Stage::new();
    let agent = stage.agent(1, BIG);
    let from = stage.framework("*");
    let offer = offers(&stage.settle()).remove(0);
    let operations = vec![Operation::LaunchIn {
        executor: program(),
        tasks: vec![task("t", &offer, "cpus:1;mem:64")],
    }];
    let (offers, filters) = (vec![offer.id], Filters::default());
    stage.call(&from, Call::Accept { offers, operations, filters });
    stage.report(1, &from, "t", Running, Running);
    assert_eq!(order(&mut stage, drain(&agent)), ["Kill t within 5s to 1"]);
    let (uuid, _) = stage.report(1, &from, "t", Killed, Killed);
    let told_then = acknowledge(&mut stage, &agent, &from, "t", uuid);
    assert_eq!(told_then, ["Acknowledge t to 1", "Shutdown e to 1"]);
    assert_eq!(duty(&stage, &agent), "draining");
    let executor = ExecutorId::new("e");
    stage.hear(1, FromAgent::ExecutorEnded { framework: from, executor, wait_status: Some(0) });
    assert_eq!(duty(&stage, &agent), "drained");
}

#[test]
fn an_operation_under_way_keeps_an_agent_from_being_drained() {
    let mut stage = Stage::new();
    let agent = stage.agent(1, BIG);
    let from = stage.framework("r");
    let offer = offers(&stage.settle()).remove(0);
    let conversion: Conversion = Conversion::Reserve {
        source: vec![],
        resources: vec![reserved(ResourceName::Cpus, 1, "r")],
    };
    let id = Some(OperationId::new("o"));
    let operations = vec![Operation::Convert { id, conversion }];
    let (offers, filters) = (vec![offer.id], Filters::default());
    stage.call(&from, Call::Accept { offers, operations, filters });
    order(&mut stage, drain(&agent));
    assert_eq!(duty(&stage, &agent), "draining");
    stage.lose(1);
    let books = Books::default();
    let message = FromAgent::Register {
        protocol: PROTOCOL,
        agent: Some(agent.clone()),
        info: info(BIG),
        tasks: vec![],
        books,
    };
    stage.hear(2, message);
    assert_eq!(duty(&stage, &agent), "drained", "the agent does not know it");
}

#[test]
fn an_agent_that_is_marked_gone_takes_all_with_it() {
    let check = |name: &str, aware: &[Capability], lose: fn(&mut Stage), expected: &[&str]| {
        let mut stage = Stage::new();
        let (agent, framework) = stage.running(aware);
        lose(&mut stage);
        let heard = order(&mut stage, Order::MarkGone { agent: agent.clone() });
        assert_eq!(heard, expected, "{name}");
        let standing = stage.kernel.state().agents[&agent].standing;
        assert!(matches!(standing, Standing::Gone { .. }), "{name}: {standing:?}");
        let view = stage.kernel.view();
        assert!(view.tasks.is_empty() && view.agents[&agent].in_use.is_empty(), "{name}");
        assert_eq!(order(&mut stage, Order::MarkGone { agent: agent.clone() }), [""; 0], "{name}");
        let tasks = vec![held(&framework, &agent, "t", "cpus:1;mem:128", Running)];
        let heard = told(&stage.hear(7, register(Some(&agent), BIG, tasks)));
        assert_eq!(heard, ["Shutdown c-0000 to 7", "Refused to 7", "Disconnect 7"], "{name}");
        stage.pass(Duration::from_secs(3_600));
    };
    let there =
        |last| ["Shutdown c-0000 to 1", "Refused to 1", last, "Failure c-S0", "Disconnect 1"];
    check("there", AWARE, |_| (), &there("GoneByOperator t AgentRemovedByOperator"));
    check("for one who knows only lost", &[], |_| (), &there("Lost t AgentRemovedByOperator"));
    let away = ["GoneByOperator t AgentRemovedByOperator", "Failure c-S0"];
    check("away", AWARE, |stage| drop(stage.lose(1)), &away);
    let lost = |stage: &mut Stage| drop(stage.pass(Duration::from_secs(15 * 22)));
    check("unreachable", AWARE, lost, &away);
}

#[test]
fn an_agent_may_be_drained_for_good() {
    let check = |name: &str, aware: &[Capability], told_as: &str| {
        let mut stage = Stage::new();
        let (agent, framework) = stage.running(aware);
        assert_eq!(order(&mut stage, drain_for_good(&agent)), ["Kill t to 1"], "{name}");
        let (uuid, effects) = stage.report(1, &framework, "t", Killed, Killed);
        assert_eq!(told(&effects), [told_as], "{name}");
        let heard = acknowledge(&mut stage, &agent, &framework, "t", uuid);
        let expected = ["Acknowledge t to 1", "Refused to 1", "Failure c-S0", "Disconnect 1"];
        assert_eq!(heard, expected, "{name}");
    };
    check("partition-aware", AWARE, "GoneByOperator t AgentDraining");
    check("not", &[], "Killed t AgentDraining");
}

#[test]
fn who_is_not_there_is_not_drained() {
    let mut stage = Stage::new();
    let gone = stage.agent(1, BIG);
    order(&mut stage, Order::MarkGone { agent: gone.clone() });
    for agent in [gone, AgentId::new("stranger")] {
        for order in [
            drain(&agent),
            Order::Deactivate { agent: agent.clone() },
            Order::Reactivate { agent: agent.clone() },
        ] {
            let (refused, _) = stage.try_step(Input::Operator { order });
            assert_eq!(refused, Err(Refusal::NoAgent(agent.clone())));
        }
    }
    let agent = AgentId::new("stranger");
    let (refused, _) =
        stage.try_step(Input::Operator { order: Order::MarkGone { agent: agent.clone() } });
    assert_eq!(refused, Err(Refusal::NothingGone(agent)));
}
