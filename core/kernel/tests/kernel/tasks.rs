//! Tasks: updates, acknowledgements, kills and the end.

use model::agent::{CheckTally, FromAgent};
use model::framework::Capability;
use model::id::{Connection, TaskId, Uuid};
use model::scheduler::Call;
use model::task::TaskState::{self, Failed, Finished, Killed, Running, Starting};

use crate::stage::{BIG, Stage, framework, offers, task, told};

const AWARE: &[Capability] = &[Capability::PartitionAware];

fn acknowledge(stage: &Stage, task: &str, uuid: Uuid) -> Call {
    let agent = stage.kernel.view().agents.keys().next().expect("one agent").clone();
    Call::Acknowledge { agent, task: TaskId::new(task), uuid }
}

#[test]
fn updates_flow_until_the_last_is_acknowledged() {
    let mut stage = Stage::new();
    let agent = stage.agent(1, BIG);
    let framework = stage.framework("*");
    let offer = offers(&stage.settle()).remove(0);
    stage.launch(&offer, vec![task("t", &offer, "cpus:1;mem:128")]);
    for state in [Starting, Running, Finished] {
        let (uuid, effects) = stage.report(1, &framework, "t", state, state);
        assert_eq!(told(&effects), [format!("{state:?} t")]);
        assert_eq!(stage.state_of(&framework, "t"), Some(state));
        let used = stage.kernel.view().agents[&agent].in_use.len();
        assert_eq!(used, usize::from(state != Finished), "resources are free when it has ended");
        let call = acknowledge(&stage, "t", uuid);
        assert_eq!(told(&stage.call(&framework, call.clone())), ["Acknowledge t to 1"]);
        // The agent has not heard it and repeats: so does everyone.
        assert_eq!(told(&stage.call(&framework, call)), ["Acknowledge t to 1"]);
    }
    let view = stage.kernel.view();
    assert!(view.tasks.is_empty());
    assert_eq!(view.completed[&framework].len(), 1);
}

#[test]
fn a_task_is_over_only_when_its_last_update_is_acknowledged() {
    let check = |state: TaskState, right: bool, over: bool| {
        let mut stage = Stage::new();
        let (_, framework) = stage.running(AWARE);
        let (uuid, _) = stage.report(1, &framework, "t", state, state);
        let uuid = if right { uuid } else { Uuid::derive(1, 1) };
        let call = acknowledge(&stage, "t", uuid);
        stage.call(&framework, call);
        assert_eq!(stage.state_of(&framework, "t").is_none(), over, "{state:?}");
    };
    check(Failed, true, true);
    check(Failed, false, false);
    check(Running, true, false);
}

#[test]
fn resources_are_free_at_the_end_even_if_the_news_lags_behind() {
    let mut stage = Stage::new();
    let (agent, framework) = stage.running(AWARE);
    stage.report(1, &framework, "t", Running, Finished);
    assert!(stage.kernel.view().agents[&agent].in_use.is_empty());
    let (_, effects) = stage.report(1, &framework, "t", Running, Running);
    assert_eq!(told(&effects), ["Running t"], "an old update repeated");
    assert_eq!(stage.state_of(&framework, "t"), Some(Finished), "what has ended stays so");
}

#[test]
fn a_framework_that_is_away_is_not_told_and_loses_nothing() {
    let mut stage = Stage::new();
    let (_, framework) = stage.running(AWARE);
    stage.step(kernel::Input::FrameworkLost { framework: framework.clone() });
    let (_, effects) = stage.report(1, &framework, "t", Finished, Finished);
    assert!(told(&effects).is_empty());
    assert_eq!(stage.state_of(&framework, "t"), Some(Finished));
}

#[test]
fn a_kill_goes_to_the_agent_or_is_answered() {
    let check =
        |name: &str, capabilities: &[Capability], id: &str, agent: bool, expected: &[&str]| {
            let mut stage = Stage::new();
            let (known, framework) = stage.running(capabilities);
            let kill =
                Call::Kill { task: TaskId::new(id), agent: agent.then_some(known), grace: None };
            assert_eq!(told(&stage.call(&framework, kill)), expected, "{name}");
        };
    check("known", AWARE, "t", false, &["Kill t to 1"]);
    check("unknown", AWARE, "x", false, &["Unknown x Reconciliation"]);
    check("unknown on an agent", AWARE, "x", true, &["Gone x Reconciliation"]);
    check("unknown, lost", &[], "x", true, &["Lost x Reconciliation"]);
}

#[test]
fn a_task_that_has_ended_is_not_killed_again() {
    let mut stage = Stage::new();
    let (_, framework) = stage.running(AWARE);
    stage.report(1, &framework, "t", Killed, Killed);
    let kill = Call::Kill { task: TaskId::new("t"), agent: None, grace: None };
    assert_eq!(told(&stage.call(&framework, kill)), ["Killed t Reconciliation"]);
}

#[test]
fn the_last_hundred_completed_tasks_are_kept() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    let framework = stage.subscribe(framework("*", AWARE));
    for n in 0..103 {
        let offer = offers(&stage.settle()).remove(0);
        let id = format!("t{n}");
        stage
            .launch(&offer, vec![task(&id, &offer, "cpus:4;mem:4096;disk:1000;ports:[1000-1999]")]);
        let (uuid, _) = stage.report(1, &framework, &id, Finished, Finished);
        let call = acknowledge(&stage, &id, uuid);
        stage.call(&framework, call);
    }
    let completed = stage.kernel.view().completed[&framework].clone();
    assert_eq!(completed.len(), 100);
    assert_eq!(completed[0].id, TaskId::new("t3"));
}

#[test]
fn what_checks_find_is_passed_on_unless_the_task_is_anothers() {
    let mut stage = Stage::new();
    let (_, framework) = stage.running(AWARE);
    stage.agent(2, BIG);
    let mut say = |connection: u64, task: &str, expected: &[&str]| {
        let checks = vec![CheckTally::default(); 2];
        let (framework, task) = (framework.clone(), TaskId::new(task));
        let message = FromAgent::Checked { framework, task, checks, readiness: None };
        let connection = Connection(connection);
        let effects = stage.step(kernel::Input::Agent { connection, message });
        assert_eq!(told(&effects), expected, "of {connection:?}");
    };
    say(1, "t", &["Checked t 2"]);
    say(1, "x", &[]);
    say(2, "t", &[]);
}
