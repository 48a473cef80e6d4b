//! Executors that are programs of their frameworks: what they are told, what they tell, and how they end.

use std::sync::Arc;
use std::time::Duration;

use model::agent::{RunIn, TellKilling, ToAgent};
use model::check::CheckStatus;
use model::container::CommandInfo;
use model::executor::{Given, Program, Together};
use model::framework::{Capability, FrameworkInfo};
use model::id::{ContainerId, ExecutorId, Role, TaskId, Uuid};
use model::limits::{Limit, Limits};
use model::resources::Scalar;
use model::task::{Address, ExecutorInfo, Reason, TaskInfo, TaskState};
use node::{FromExecutor, Happened, Input, ToExecutor, Told};

use crate::world::{World, framework, task};

const NOTHING: [&str; 0] = [];

pub(crate) fn said(said: &ToExecutor) -> String {
    match said {
        ToExecutor::Subscribed { stream, .. } => format!("subscribed {stream}"),
        ToExecutor::Launch(task) => format!("launch {}", task.id),
        ToExecutor::LaunchGroup(tasks) => {
            let ids: Vec<_> = tasks.iter().map(|task| task.id.as_str()).collect();
            format!("launch group {}", ids.join(" "))
        }
        ToExecutor::Kill { task, grace } => format!("kill {task} {grace:?}"),
        ToExecutor::Acknowledged { task, .. } => format!("acknowledged {task}"),
        ToExecutor::Message(data) => format!("message {data:?}"),
        ToExecutor::Shutdown => "shutdown".to_owned(),
    }
}

fn executor() -> ExecutorInfo {
    let command = CommandInfo::shell("./executor");
    let given = Given(Arc::from(*b"described"));
    let program = Program { command, container: None, shutdown_grace: None, given };
    ExecutorInfo {
        program: Some(Arc::new(program)),
        ..ExecutorInfo::plain(ExecutorId::new("e"), "cpus:0.1;mem:32".parse().expect("well formed"))
    }
}

fn run(world: &mut World, ids: &[&str], together: Together) -> Vec<String> {
    run_all(world, ids.iter().map(|id| task(id)).collect(), together)
}

/// The framework as a master introduces it.
pub(crate) fn described() -> FrameworkInfo {
    FrameworkInfo {
        id: Some(framework()),
        name: "f".to_owned(),
        user: "root".to_owned(),
        roles: vec![Role::star()],
        failover_timeout: Duration::ZERO,
        checkpoint: true,
        hostname: "h".to_owned(),
        principal: None,
        webui_url: None,
        capabilities: vec![Capability::PartitionAware],
        labels: vec![],
        offer_minima: Default::default(),
    }
}

pub(crate) fn run_all(world: &mut World, tasks: Vec<TaskInfo>, together: Together) -> Vec<String> {
    let framework = described();
    let (executor, killing) = (executor(), TellKilling::No);
    world.master(ToAgent::RunIn(Box::new(RunIn { framework, executor, tasks, together, killing })))
}

/// What the program says; its container is the one that was launched last.
fn speak(world: &mut World, said: FromExecutor) -> Vec<String> {
    let container = program(world);
    world.feed(Input::Executor { container, said, seed: 1 })
}

fn program(world: &World) -> ContainerId {
    world.node.view().executors.keys().next().expect("one is held").clone()
}

pub(crate) fn subscribe(world: &mut World, tasks: &[&str], updates: Vec<Told>) -> Vec<String> {
    let tasks = tasks.iter().map(|id| TaskId::new(*id)).collect();
    speak(world, FromExecutor::Subscribed { stream: 7, tasks, updates })
}

fn told(id: &str, state: TaskState, nth: u64) -> Told {
    Told {
        task: TaskId::new(id),
        state,
        uuid: Uuid::derive(99, nth),
        reason: None,
        message: None,
        healthy: None,
        check: None,
        labels: vec![],
        addresses: vec![],
        given: Given(Arc::from(*b"status")),
    }
}

fn update(world: &mut World, id: &str, state: TaskState, nth: u64) -> Vec<String> {
    speak(world, FromExecutor::Update(told(id, state, nth)))
}

/// With a task that runs; nothing is left to be acknowledged.
fn running() -> World {
    let mut world = World::registered();
    run(&mut world, &["a"], Together::No);
    world.started();
    subscribe(&mut world, &[], vec![]);
    update(&mut world, "a", TaskState::Running, 1);
    world.acknowledge();
    world
}

#[test]
fn a_program_is_started_once_and_handed_its_tasks_when_it_subscribes() {
    let mut world = World::registered();
    let launched = run(&mut world, &["a"], Together::No);
    assert_eq!(launched, ["launch executor e with cpus:1.1;mem:64"]);
    assert_eq!(run(&mut world, &["b", "c"], Together::Yes), NOTHING);
    assert_eq!(world.started(), ["resize cpus:3.1;mem:128"]);
    let heard = subscribe(&mut world, &[], vec![]);
    assert_eq!(heard[0], "say subscribed 7");
    assert_eq!(heard.len(), 3);
    for expected in ["say launch a", "say launch group b c"] {
        assert!(heard.iter().any(|line| line == expected), "{heard:?}");
    }
    let later = run(&mut world, &["d"], Together::No);
    assert_eq!(later, ["resize cpus:4.1;mem:160", "say launch d"]);
}

#[test]
fn what_it_tells_of_a_task_is_kept_acknowledged_and_told_once() {
    let mut world = running();
    let container = program(&world);
    let status = world.told.clone().expect("told");
    assert_eq!((status.uuid, status.executor), (Some(Uuid::derive(99, 1)), Some(executor().id)));
    let at = status.container.expect("it runs in the executor's");
    assert_eq!((at.id, at.parent), (container, None));
    assert_eq!(status.given, Some(Given(Arc::from(*b"status"))));
    assert_eq!(update(&mut world, "a", TaskState::Running, 1), ["say acknowledged a"]);
    assert_eq!(
        update(&mut world, "a", TaskState::Finished, 2),
        ["a Finished", "resize cpus:0.1;mem:32", "say acknowledged a"]
    );
    assert_eq!(update(&mut world, "a", TaskState::Failed, 3), ["say acknowledged a"], "it is over");
    assert_eq!(update(&mut world, "x", TaskState::Running, 4), ["say acknowledged x"], "unknown");
    assert_eq!(world.acknowledge(), ["collect a in 48h"], "its executor lives on");
    assert_eq!(world.exited(0), ["executor e ended Some(0)", "collect executor e in 48h"]);
    assert!(world.node.view().executors.is_empty());
}

#[test]
fn what_a_program_says_of_a_task_in_passing_is_told_to_everybody() {
    let mut world = running();
    let told = Told {
        reason: Some(Reason::TaskCheckStatusUpdated),
        healthy: Some(true),
        check: Some(CheckStatus::Http(Some(200))),
        labels: vec![("zone".to_owned(), "a".to_owned())],
        addresses: vec![Address("10.1.2.3".parse().expect("an address"))],
        ..told("a", TaskState::Running, 2)
    };
    speak(&mut world, FromExecutor::Update(told.clone()));
    let status = world.told.clone().expect("told");
    assert_eq!((status.reason, status.healthy), (told.reason, told.healthy));
    assert_eq!((status.check, status.more.expect("labels").labels), (told.check, told.labels));
    assert_eq!(status.container.expect("its executor's").addresses, told.addresses);
    let view = world.node.view();
    let (_, held) = view.held.iter().next().expect("one task");
    assert!(held.earlier.is_empty(), "it runs as it did: {:?}", held.earlier);
}

#[test]
fn a_program_that_ends_takes_its_tasks_with_it() {
    let check = |happened: Happened, line: &str| {
        let mut world = running();
        world.container = program(&world);
        let heard = world.happened(happened);
        assert_eq!(heard[0], line);
        assert!(heard[1].starts_with("executor e ended"), "{heard:?}");
        assert_eq!(
            world.acknowledge(),
            ["collect a in 48h", "collect executor e in 48h"],
            "with the last that is held of it"
        );
    };
    let killed = "Executor terminated: Command terminated with signal Killed";
    check(
        Happened::Exited { wait_status: 9, limitation: None },
        &format!("a Failed ExecutorTerminated {killed}"),
    );
    let limitation = Some((Reason::ContainerLimitationMemory, "too much".to_owned()));
    check(
        Happened::Exited { wait_status: 9, limitation },
        "a Failed ContainerLimitationMemory too much",
    );
}

#[test]
fn a_program_that_cannot_be_started_fails_its_tasks() {
    let mut world = World::registered();
    run(&mut world, &["a"], Together::No);
    let cause = "no such file".to_owned();
    let failed = Happened::Failed { reason: Reason::ContainerLaunchFailed, cause };
    assert_eq!(
        world.happened(failed),
        ["a Failed ContainerLaunchFailed no such file", "executor e ended None"]
    );
}

#[test]
fn a_program_that_does_not_subscribe_is_stopped_and_its_tasks_say_why() {
    let mut world = World::registered();
    run(&mut world, &["a"], Together::No);
    world.started();
    assert_eq!(world.pass(599), NOTHING);
    assert_eq!(world.pass(1), ["stop 0s"]);
    let failed = "a Failed ExecutorRegistrationTimeout Executor did not register within 600s";
    assert_eq!(world.exited(9), [failed, "executor e ended Some(9)"]);
}

#[test]
fn a_kill_is_handed_on_or_is_final_where_nobody_has_heard_of_the_task() {
    let mut world = running();
    assert_eq!(world.kill("a", Some(7)), ["say kill a Some(7s)"]);
    assert_eq!(
        update(&mut world, "a", TaskState::Killed, 2),
        ["a Killed", "resize cpus:0.1;mem:32", "say acknowledged a"]
    );
    let mut world = World::registered();
    run(&mut world, &["a", "b"], Together::Yes);
    run(&mut world, &["c"], Together::No);
    let killed = |id: &str| {
        format!("{id} Killed TaskKilledDuringLaunch Killed before it was handed to its executor")
    };
    let heard = world.kill("a", None);
    assert_eq!(heard.len(), 2, "with its group: {heard:?}");
    assert!(heard.contains(&killed("a")) && heard.contains(&killed("b")), "{heard:?}");
    assert_eq!(world.kill("c", None), [killed("c"), "stop 0s".to_owned()], "nothing is left to do");
}

#[test]
fn an_executor_is_asked_to_end_and_ended_if_it_does_not() {
    let ask = || ToAgent::ShutdownExecutor { framework: framework(), executor: executor().id };
    let mut world = running();
    assert_eq!(world.master(ask()), ["say shutdown"]);
    assert_eq!(world.master(ask()), NOTHING);
    let dropped = "b Dropped ExecutorTerminated Executor terminating";
    assert_eq!(run(&mut world, &["b"], Together::No), [dropped]);
    assert_eq!(world.pass(5)[0], "stop 0s");
    let mut world = running();
    let shutdown = ToAgent::Shutdown { framework: framework() };
    assert_eq!(world.master(shutdown), ["say shutdown"]);
    world.container = program(&world);
    let told = [
        "a Failed ExecutorTerminated Executor terminated: Command exited with status 0",
        "collect a in 48h",
        "executor e ended Some(0)",
        "collect executor e in 48h",
    ];
    assert_eq!(world.exited(0), told);
}

#[test]
fn messages_go_both_ways() {
    let mut world = running();
    let data = Given(Arc::from(*b"hello"));
    let (framework, executor) = (framework(), executor().id);
    let down = ToAgent::Message { framework, executor, data: data.clone() };
    assert_eq!(world.master(down), ["say message 5 bytes"]);
    assert_eq!(speak(&mut world, FromExecutor::Message(data)), ["message from e: 5 bytes"]);
}

#[test]
fn an_agent_that_comes_back_tells_its_executor_what_it_missed() {
    let mut world = running();
    run(&mut world, &["heard"], Together::No);
    run(&mut world, &["missed", "unwanted"], Together::No);
    let container = program(&world);
    world.crash();
    assert_eq!(world.start(std::slice::from_ref(&container)), NOTHING);
    world.connect(1);
    assert_eq!(world.kill("unwanted", None), ["say kill unwanted None"], "lost: nobody listens");
    let heard = subscribe(&mut world, &["heard"], vec![told("a", TaskState::Finished, 2)]);
    assert_eq!(heard[0], "say subscribed 7");
    let launched: Vec<_> = heard.iter().filter(|line| line.starts_with("say launch")).collect();
    assert_eq!(launched, ["say launch missed"]);
    let killed =
        "unwanted Killed TaskKilledDuringLaunch Killed before it was handed to its executor";
    assert!(heard.iter().any(|line| line == killed), "{heard:?}");
    assert!(heard.iter().any(|line| line == "a Finished"), "{heard:?}");
    assert_eq!(world.pass(60).iter().filter(|line| line.starts_with("stop")).count(), 0);
}

#[test]
fn an_executor_that_does_not_come_back_to_its_agent_is_given_up() {
    let mut world = running();
    let container = program(&world);
    world.crash();
    world.start(std::slice::from_ref(&container));
    world.connect(1);
    assert_eq!(world.pass(15), ["stop 0s"]);
    world.container = container;
    let gone = "a Gone ExecutorReregistrationTimeout Executor did not reregister within 15s";
    assert_eq!(world.exited(9), [gone, "executor e ended Some(9)"]);

    let mut world = running();
    world.crash();
    world.start(&[]);
    let gone = "a Failed ExecutorTerminated Its container was gone when the agent started again";
    assert_eq!(world.connect(1), ["register S0 [\"a Failed\"]", gone]);

    let mut world = running();
    world.crash();
    world.boot += 1;
    world.start(&[]);
    let gone = "a Gone AgentRestarted The agent's machine was rebooted";
    assert_eq!(world.connect(1), ["register S0 [\"a Gone\"]", gone]);

    let mut world = World::registered();
    run(&mut world, &["a"], Together::No);
    world.crash();
    let again = "launch executor e with cpus:1.1;mem:64";
    assert_eq!(world.start(&[]), [again], "it was never seen running");
    assert_eq!(world.connect(1), ["register S0 [\"a Staging\"] [\"e\"]"]);
}

#[test]
fn what_its_tasks_may_use_at_most_it_may_use() {
    let mut world = World::registered();
    let most = |whole| Some(Limit::Amount(Scalar::whole(whole)));
    let greedy = TaskInfo { limits: Limits { cpus: most(3), mem: None }, ..task("a") };
    run_all(&mut world, vec![greedy, task("b")], Together::No);
    // 3 of the one, 1 of the other, and 0.1 of its own.
    let cpus = Some(Limit::Amount(Scalar(4_100)));
    let expected = format!("resize cpus:2.1;mem:96 {:?}", Limits { cpus, mem: None });
    assert_eq!(world.started(), [expected]);
}
