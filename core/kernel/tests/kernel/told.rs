//! What is told and kept of tasks beside their states.

use std::time::Duration;

use kernel::Effect;
use model::agent::{FromAgent, HeldTask};
use model::container::{Family, HealthCheck, Probe};
use model::framework::Capability;
use model::id::{FrameworkId, TaskId, Uuid};
use model::scheduler::{Call, Event};
use model::task::TaskState::{self, Finished, Killing, Lost, Running, Starting, Unreachable};
use model::task::{Task, TaskInfo, TaskStatus};
use model::time::Time;
use model::told::StatusMore;

use crate::stage::{BIG, Stage, executor, framework, offers, register, status, task};

const AWARE: &[Capability] = &[Capability::PartitionAware];

fn updates(effects: &[Effect]) -> Vec<TaskStatus> {
    let update = |effect: &Effect| {
        let Effect::Event(_, Event::Update(status)) = effect else { return None };
        Some(status.clone())
    };
    effects.iter().filter_map(update).collect()
}

fn unreachable_at(status: &TaskStatus) -> Option<Time> {
    status.more.as_ref()?.unreachable_at
}

#[test]
fn who_hears_that_a_task_is_out_of_reach_hears_since_when() {
    let check = |capabilities: &[Capability], state: TaskState| {
        let mut stage = Stage::new();
        let (agent, framework) = stage.running(capabilities);
        stage.lose(1);
        let mut heard = Vec::new();
        while heard.is_empty() {
            heard = updates(&stage.pass(Duration::from_secs(5)));
        }
        assert_eq!(heard[0].state, state);
        let since = unreachable_at(&heard[0]).expect("it is known");
        assert!(since <= stage.now);
        stage.pass(Duration::from_secs(60));
        for id in ["t", "x"] {
            let tasks = vec![(TaskId::new(id), Some(agent.clone()))];
            let answers = updates(&stage.call(&framework, Call::Reconcile { tasks }));
            assert_eq!(answers[0].state, state, "{id}");
            assert_eq!(unreachable_at(&answers[0]), Some(since), "{id}");
        }
        let tasks = vec![(TaskId::new("x"), None)];
        let answers = updates(&stage.call(&framework, Call::Reconcile { tasks }));
        assert_eq!(unreachable_at(&answers[0]), None);
    };
    check(AWARE, Unreachable);
    check(&[], Lost);
}

fn states(task: &Task) -> Vec<TaskState> {
    task.statuses().map(|status| status.state).collect()
}

fn known(stage: &Stage, framework: &FrameworkId) -> Task {
    let view = stage.kernel.view();
    view.task(framework, &TaskId::new("t")).expect("it is known").as_ref().clone()
}

#[test]
fn of_each_state_that_a_task_has_left_the_last_status_is_kept_and_survives_the_leader() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    let framework = stage.subscribe(framework("*", AWARE));
    let offer = offers(&stage.settle()).remove(0);
    stage.launch(&offer, vec![task("t", &offer, "cpus:1;mem:64")]);
    let tell = |stage: &mut Stage, state, nth, healthy| {
        let status = TaskStatus {
            agent: Some(offer.agent_id.clone()),
            healthy,
            ..status("t", state, Some(Uuid::derive(5, nth)), Time(nth))
        };
        let framework = framework.clone();
        let update = FromAgent::Update { framework, status, latest: state, place: None };
        stage.hear(1, update);
    };
    tell(&mut stage, Starting, 1, None);
    tell(&mut stage, Running, 2, None);
    tell(&mut stage, Running, 3, Some(true));
    assert_eq!(states(&known(&stage, &framework)), [Starting, Running]);
    tell(&mut stage, Killing, 4, None);
    let task = known(&stage, &framework);
    assert_eq!(states(&task), [Starting, Running, Killing]);
    assert_eq!(task.earlier[1].healthy, Some(true), "the last of them");
    stage.restart();
    let held = HeldTask { task: task.clone(), place: None };
    stage.hear(9, register(Some(&offer.agent_id), BIG, vec![held]));
    assert_eq!(states(&known(&stage, &framework)), [Starting, Running, Killing]);
}

#[test]
fn a_task_that_goes_to_and_fro_loses_what_was_said_first() {
    let mut told = Vec::new();
    for nth in 0..20 {
        let state = if nth % 2 == 0 { Running } else { Unreachable };
        let before = status("t", state, None, Time(nth));
        model::told::Earlier::keep(&mut told, Some(&before), Finished);
    }
    let times: Vec<_> = told.iter().map(|one| one.at.0).collect();
    assert_eq!(times, (12..20).collect::<Vec<_>>());
}

#[test]
fn what_an_executor_says_in_passing_is_kept() {
    let mut stage = Stage::new();
    let (agent, framework) = stage.running(AWARE);
    let labels = vec![("zone".to_owned(), "a".to_owned())];
    let more = StatusMore { labels: labels.clone(), ..StatusMore::default() }.kept();
    let status = TaskStatus {
        agent: Some(agent),
        more,
        ..status("t", Running, Some(Uuid::derive(5, 1)), stage.now)
    };
    let of = framework.clone();
    stage.hear(1, FromAgent::Update { framework: of, status, latest: Running, place: None });
    let kept = known(&stage, &framework).status.expect("told");
    assert_eq!(kept.more.expect("labels").labels, labels);
}

#[test]
fn what_many_tasks_have_is_kept_once() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    stage.subscribe(framework("*", AWARE));
    let offer = offers(&stage.settle()).remove(0);
    let health = |port| HealthCheck {
        probe: Probe::Tcp { port, family: Family::Ipv4 },
        delay: Duration::ZERO,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        grace: Duration::ZERO,
        failures_max: 3,
    };
    let with = |id: &str, port: Option<u16>| TaskInfo {
        health_checks: port.map(health).into_iter().collect(),
        ..task(id, &offer, "cpus:1;mem:64")
    };
    stage.launch(&offer, vec![with("a", Some(1)), with("b", Some(1)), with("c", None)]);
    let view = stage.kernel.view();
    let more = |id: &str| view.tasks[&offer.framework][&TaskId::new(id)].more.clone();
    let (one, other) = (more("a").expect("a check"), more("b").expect("a check"));
    assert!(std::sync::Arc::ptr_eq(&one, &other));
    assert_eq!(one.health_check, Some(health(1)));
    assert!(more("c").is_none());
}

#[test]
fn an_offer_names_the_executors_of_its_framework_that_can_have_more() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    let id = stage.subscribe(framework("*", AWARE));
    let offer = offers(&stage.settle()).remove(0);
    assert_eq!(offer.executors, []);
    let pod = executor("pod", "cpus:0.1;mem:32");
    stage.launch_group(&offer, pod.clone(), vec![task("a", &offer, "cpus:1;mem:64")]);
    let next = offers(&stage.settle()).remove(0);
    assert_eq!(next.executors, [pod.id]);
    stage.report(1, &id, "a", Running, Running);
    stage.report(1, &id, "a", Finished, Finished);
    stage.decline(&next, 0);
    let last = offers(&stage.settle()).remove(0);
    assert_eq!(last.executors, []);
}
