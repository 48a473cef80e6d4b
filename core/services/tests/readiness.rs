//! Deployments wait for what has yet to say that it is ready, and checks that are only shown change nothing.

mod stage;

use std::time::Duration;

use model::agent::CheckTally;
use model::check::{CheckStatus, PageAnswer, Readiness};
use model::container::{Family, Probe, Run, Scheme};
use model::id::TaskId;
use model::limits::{Limit, Limits};
use model::resources::Scalar;
use model::scheduler::Event;
use model::task::TaskState;
use services::Config;
use services::spec::check::{Check, Kind};
use services::spec::pod::Command;
use services::spec::{AppSpec, CheckPort, Process, ReadinessCheck};
use stage::{ROOMY, Stage, app, health_check, port, upgrade};

fn readiness() -> ReadinessCheck {
    ReadinessCheck {
        name: "plan".to_owned(),
        scheme: Scheme::Https,
        path: "/v1/plan".to_owned(),
        port_name: "api".to_owned(),
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        statuses: vec![200, 204],
        preserve_last_response: true,
    }
}

fn checked(instances: u32) -> AppSpec {
    let ports = vec![port(0, "http"), port(0, "api")];
    AppSpec { readiness: Some(readiness()), ports, ..app("/a", instances) }
}

/// All of it runs, and nothing of it is ready.
fn running(spec: AppSpec) -> Stage {
    let mut stage = Stage::new();
    stage.agents(3, ROOMY);
    stage.create(spec);
    stage.calm();
    stage
}

fn ready(stage: &mut Stage, task: &TaskId) {
    stage.report_with(task, TaskState::Running, |status| status.ready = Some(true));
    stage.settle();
}

fn is_over(stage: &Stage) -> bool {
    stage.view().deployments.is_empty()
}

#[test]
fn the_agent_is_told_to_ask_the_port_of_that_name() {
    let stage = running(checked(1));
    let (info, _) = stage.tasks.values().next().expect("it runs");
    let instance = stage.view().tasks[&info.id].clone();
    let check = info.readiness.as_ref().expect("it has one");
    let Probe::Http { scheme, port, path, .. } = &check.probe else { panic!("a page is asked") };
    assert_eq!((*scheme, *port, path.as_str()), (Scheme::Https, instance.ports[1], "/v1/plan"));
    assert_eq!((check.interval.as_secs(), check.timeout.as_secs()), (30, 10));
    assert_eq!((check.statuses.as_slice(), check.keeps_answer), ([200, 204].as_slice(), true));
}

#[test]
fn a_deployment_ends_once_all_are_ready() {
    let mut stage = running(checked(2));
    let tasks = stage.in_state(TaskState::Running);
    assert_eq!(tasks.len(), 2);
    assert!(!is_over(&stage), "they only run");
    ready(&mut stage, &tasks[0]);
    assert!(!is_over(&stage), "one of two");
    ready(&mut stage, &tasks[1]);
    assert!(is_over(&stage));
}

#[test]
fn a_new_leader_waits_for_the_rest() {
    let mut stage = running(checked(2));
    let tasks = stage.in_state(TaskState::Running);
    ready(&mut stage, &tasks[0]);
    stage.restart(Config::default());
    stage.calm();
    assert!(!is_over(&stage), "one of two");
    ready(&mut stage, &tasks[1]);
    assert!(is_over(&stage), "the first was ready before");
}

#[test]
fn what_is_ready_stays_so_whatever_else_is_said_of_it() {
    let mut stage = running(checked(1));
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    ready(&mut stage, &task);
    for said in [None, Some(false)] {
        stage.report_with(&task, TaskState::Running, |status| status.ready = said);
        assert!(stage.view().tasks[&task].ready, "{said:?}");
    }
}

#[test]
fn healthy_is_not_ready_and_ready_is_not_healthy() {
    let mut stage = running(AppSpec { health_checks: vec![health_check()], ..checked(1) });
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    stage.report(&task, TaskState::Running, Some(true));
    assert!(!is_over(&stage), "healthy only");
    stage.report(&task, TaskState::Running, Some(false));
    ready(&mut stage, &task);
    assert!(!is_over(&stage), "ready only");
    stage.report(&task, TaskState::Running, Some(true));
    assert!(is_over(&stage));
}

#[test]
fn an_old_instance_serves_until_a_new_one_is_ready() {
    let spec = AppSpec { upgrade: upgrade(1_000, 1_000), ..checked(1) };
    let mut stage = running(spec.clone());
    let old = stage.in_state(TaskState::Running).pop().expect("it runs");
    ready(&mut stage, &old);
    let process = Process::Cmd("sleep 2000".to_owned());
    stage.put(AppSpec { process, ..spec }, false).expect("changed");
    stage.calm();
    let mut all = stage.in_state(TaskState::Running);
    assert_eq!(all.len(), 2, "the new one runs and is not ready");
    all.retain(|task| *task != old);
    ready(&mut stage, &all[0]);
    assert_eq!(stage.condemned(), [old]);
    stage.calm();
    assert!(is_over(&stage));
}

#[test]
fn nobody_waits_for_the_check_of_a_port_that_is_not_there() {
    let readiness = ReadinessCheck { port_name: "nowhere".to_owned(), ..readiness() };
    let stage = running(AppSpec { readiness: Some(readiness), ..checked(1) });
    assert!(is_over(&stage));
}

#[test]
fn what_was_answered_is_shown_while_the_task_lives() {
    let mut stage = running(checked(1));
    let task = stage.in_state(TaskState::Running).pop().expect("it runs");
    let answer = PageAnswer { status: 503, content_type: String::new(), body: "no".to_owned() };
    let found = Readiness { ready: false, answer: Some(answer) };
    let say = |checks: Vec<CheckTally>, readiness: Option<Readiness>| Event::Checked {
        task: task.clone(),
        checks,
        readiness,
    };
    stage.hear(say(vec![], Some(found.clone())));
    assert_eq!(stage.view().readiness.get(&task).map(AsRef::as_ref), Some(&found));
    assert!(!stage.view().health.contains_key(&task), "nothing was said of its health");
    stage.report(&task, TaskState::Failed, None);
    assert!(stage.view().readiness.is_empty());
}

#[test]
fn a_check_is_made_by_the_agent_and_its_result_is_kept() {
    let second = Duration::from_secs(1);
    let check = |kind: Kind, expected: fn(&[u16]) -> Probe| {
        let check = Check { kind, interval: 2 * second, timeout: second, delay: 3 * second };
        let mut stage = running(AppSpec { check: Some(check), ..app("/a", 1) });
        assert!(is_over(&stage), "nobody waits for it");
        let (info, _) = stage.tasks.values().next().expect("it runs");
        let (task, made) = (info.id.clone(), info.check.clone().expect("it is checked"));
        assert_eq!(made.probe, expected(&stage.view().tasks[&task].ports));
        assert_eq!((made.delay, made.interval, made.timeout), (3 * second, 2 * second, second));
        let found = CheckStatus::Http(Some(500));
        stage.report_with(&task, TaskState::Running, |status| status.check = Some(found));
        stage.report(&task, TaskState::Running, None);
        stage.restart(Config::default());
        assert_eq!(stage.view().tasks[&task].check, Some(found));
    };
    let tcp = |port| Kind::Tcp { port };
    check(tcp(None), |ports| Probe::Tcp { port: ports[0], family: Family::Ipv4 });
    check(tcp(Some(CheckPort::Number(80))), |_| Probe::Tcp { port: 80, family: Family::Ipv4 });
    let argv = vec!["/bin/true".to_owned()];
    check(Kind::Command(Command::Argv(argv)), |_| {
        Probe::command(Run::Exec(vec!["/bin/true".to_owned()]))
    });
}

#[test]
fn limits_go_to_the_agent_and_are_not_asked_for() {
    let limits =
        Limits { cpus: Some(Limit::Unlimited), mem: Some(Limit::Amount(Scalar::whole(64))) };
    let stage = running(AppSpec { limits: Some(limits), ..app("/a", 1) });
    let (info, _) = stage.tasks.values().next().expect("it runs");
    assert_eq!(info.limits, limits);
    assert_eq!(info.resources.mem(), Scalar::whole(32));
}
