//! Executors that are programs of their frameworks: judged, paid for until they end, and talked to.

use std::sync::Arc;

use model::agent::{Books, FromAgent, PROTOCOL};
use model::container::CommandInfo;
use model::executor::{Given, HeldExecutor, Program};
use model::id::{AgentId, ExecutorId, FrameworkId, Role};
use model::scheduler::{Call, Filters, Offer, Operation};
use model::task::TaskState::{Failed, Finished, Running};
use model::task::{ExecutorInfo, TaskInfo};

use crate::stage::{BIG, Stage, executor, framework, info, offers, task, told};

pub(crate) fn program() -> ExecutorInfo {
    let command = CommandInfo::shell("./executor");
    let given = Given(Arc::from(*b"described"));
    let program = Program { command, container: None, shutdown_grace: None, given };
    ExecutorInfo { program: Some(Arc::new(program)), ..executor("e", "cpus:0.5;mem:32") }
}

fn launch(stage: &mut Stage, offer: &Offer, executor: ExecutorInfo, ids: &[&str]) -> Vec<String> {
    let tasks: Vec<TaskInfo> = ids.iter().map(|id| task(id, offer, "cpus:1;mem:64")).collect();
    let operations = vec![Operation::LaunchIn { executor, tasks }];
    let (offers, filters) = (vec![offer.id.clone()], Filters { refuse: std::time::Duration::ZERO });
    told(&stage.call(&offer.framework, Call::Accept { offers, operations, filters }))
}

fn stage() -> (Stage, AgentId, FrameworkId, Offer) {
    let mut stage = Stage::new();
    let agent = stage.agent(1, BIG);
    let framework = stage.subscribe(framework("*", &[]));
    let offer = offers(&stage.settle()).remove(0);
    (stage, agent, framework, offer)
}

fn in_use(stage: &Stage) -> String {
    let view = stage.kernel.view();
    let agent = view.agents.values().next().expect("one agent");
    agent.in_use.get(&Role::star()).map_or(String::new(), ToString::to_string)
}

fn ended(stage: &mut Stage, framework: &FrameworkId) -> Vec<String> {
    let (framework, executor) = (framework.clone(), ExecutorId::new("e"));
    told(&stage.hear(1, FromAgent::ExecutorEnded { framework, executor, wait_status: Some(9) }))
}

#[test]
fn tasks_are_judged_one_by_one_and_their_executor_is_paid_for_once() {
    let (mut stage, _, _, offer) = stage();
    let heard = launch(&mut stage, &offer, program(), &["a", "a", "b", "c", "d"]);
    let expected = [
        "RunIn e a No to 1",
        "Error a TaskInvalid",
        "RunIn e b No to 1",
        "RunIn e c No to 1",
        "Error d TaskInvalid",
    ];
    assert_eq!(heard, expected);
    assert_eq!(in_use(&stage), "cpus:3.5;mem:224");
}

#[test]
fn an_executor_must_be_one_that_its_agent_can_run() {
    let (mut stage, agent, _, offer) = stage();
    launch(&mut stage, &offer, program(), &["a"]);
    let offer = offers(&stage.settle()).remove(0);
    let other = executor("e", "cpus:0.1");
    let other = ExecutorInfo { program: program().program, ..other };
    assert_eq!(launch(&mut stage, &offer, other, &["b"]), ["Error b TaskInvalid"], "another now");

    let mut old = Stage::new();
    let (tasks, books) = (vec![], Books::default());
    let (protocol, info) = (PROTOCOL - 1, info(BIG));
    old.hear(1, FromAgent::Register { protocol, agent: None, info, tasks, books });
    old.subscribe(framework("*", &[]));
    let offer = offers(&old.settle()).remove(0);
    assert_eq!(offer.agent_id, agent, "the first of its cluster");
    assert_eq!(launch(&mut old, &offer, program(), &["a"]), ["Error a TaskInvalid"]);
}

#[test]
fn an_executor_is_paid_for_until_it_ends_with_tasks_or_without() {
    let (mut stage, agent, framework, offer) = stage();
    launch(&mut stage, &offer, program(), &["a"]);
    stage.report(1, &framework, "a", Running, Running);
    stage.report(1, &framework, "a", Finished, Finished);
    assert_eq!(in_use(&stage), "cpus:0.5;mem:32", "it waits for more");
    assert_eq!(ended(&mut stage, &framework), ["Failure e Some(9)"]);
    assert_eq!(in_use(&stage), "");
    assert_eq!(ended(&mut stage, &framework), [""; 0], "that is known");
    let _ = agent;
}

#[test]
fn an_executor_whose_tasks_are_not_known_to_have_ended_is_free_with_the_last_of_them() {
    let (mut stage, _, framework, offer) = stage();
    launch(&mut stage, &offer, program(), &["a", "b"]);
    for id in ["a", "b"] {
        stage.report(1, &framework, id, Running, Running);
    }
    ended(&mut stage, &framework);
    assert_eq!(in_use(&stage), "cpus:2.5;mem:160");
    stage.report(1, &framework, "a", Failed, Failed);
    assert_eq!(in_use(&stage), "cpus:1.5;mem:96");
    stage.report(1, &framework, "b", Failed, Failed);
    assert_eq!(in_use(&stage), "");
}

#[test]
fn a_task_on_its_way_has_an_ended_executor_started_anew() {
    let (mut stage, _, framework, offer) = stage();
    launch(&mut stage, &offer, program(), &["a"]);
    assert_eq!(ended(&mut stage, &framework), ["Failure e Some(9)"]);
    assert_eq!(in_use(&stage), "cpus:1.5;mem:96");
    stage.report(1, &framework, "a", Finished, Finished);
    assert_eq!(in_use(&stage), "cpus:0.5;mem:32");
}

#[test]
fn an_agent_that_registers_again_says_which_executors_live() {
    let check = |lives: bool, used: &str, heard: &str| {
        let (mut stage, agent, framework, offer) = stage();
        launch(&mut stage, &offer, program(), &["a"]);
        stage.report(1, &framework, "a", Finished, Finished);
        let held = HeldExecutor { framework, info: program(), role: Role::star() };
        let executors = if lives { vec![held] } else { vec![] };
        let books = Books { executors, ..Books::default() };
        let (agent, tasks) = (Some(agent), vec![]);
        let register =
            FromAgent::Register { protocol: PROTOCOL, agent, info: info(BIG), tasks, books };
        let effects = told(&stage.hear(2, register));
        assert_eq!(in_use(&stage), used);
        assert_eq!(effects.iter().any(|line| line == heard), !lives, "{effects:?}");
    };
    check(true, "cpus:0.5;mem:32", "Failure e None");
    check(false, "", "Failure e None");
}

#[test]
fn a_framework_and_its_executor_send_each_other_messages_and_it_can_end_it() {
    let (mut stage, agent, framework, offer) = stage();
    launch(&mut stage, &offer, program(), &["a"]);
    let (executor, data) = (ExecutorId::new("e"), Given(Arc::from(*b"hello")));
    let down =
        Call::Message { agent: agent.clone(), executor: executor.clone(), data: data.clone() };
    assert_eq!(told(&stage.call(&framework, down)), ["Message for e: 5 bytes to 1"]);
    let shutdown = Call::Shutdown { agent, executor: executor.clone() };
    assert_eq!(told(&stage.call(&framework, shutdown)), ["Shutdown e to 1"]);
    let up = FromAgent::Message { framework, executor, data };
    assert_eq!(told(&stage.hear(1, up)), ["Message from e: 5 bytes"]);
}
