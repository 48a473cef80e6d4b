//! Reconciliation: what is said of tasks that are known, and of those that are not.

use std::time::Duration;

use kernel::Record;
use kernel::state::{Duty, Standing};
use model::framework::Capability;
use model::id::{AgentId, FrameworkId, TaskId};
use model::machine::Machine;
use model::scheduler::Call;
use model::task::TaskState;

use crate::stage::{BIG, Stage, held, info, register, told};

const AWARE: &[Capability] = &[Capability::PartitionAware];

/// Agents c-S0 (runs `t`), c-S1 (unreachable), c-S2 (gone), c-S3 (has not returned to this leader).
fn stage(capabilities: &[Capability]) -> (Stage, FrameworkId) {
    let mut stage = Stage::new();
    let (agent, framework) = stage.running(capabilities);
    for (n, standing) in [
        (1, Standing::Unreachable { since: stage.now }),
        (2, Standing::Gone { since: stage.now }),
        (3, Standing::Admitted),
    ] {
        let id = AgentId::new(format!("c-S{n}"));
        let lost = kernel::state::Agent {
            info: info(BIG).into(),
            standing,
            registered_at: stage.now,
            duty: Duty::Active,
        };
        let record = Record::Agent(id, Some(lost));
        stage.kernel.apply(&record);
        stage.stored.insert(key(&record), value(&record));
    }
    stage.restart();
    let mut info = stage.kernel.state().frameworks[&framework].info.as_ref().clone();
    info.id = Some(framework.clone());
    stage.subscribe(info);
    let tasks = vec![held(&framework, &agent, "t", "cpus:1;mem:128", TaskState::Running)];
    stage.hear(9, register(Some(&agent), BIG, tasks));
    (stage, framework)
}

fn key(record: &Record) -> Vec<u8> {
    model::machine::Record::key(record)
}

fn value(record: &Record) -> Vec<u8> {
    model::machine::Record::value(record).expect("a value")
}

#[test]
fn the_answer_to_a_question_goes_by_task_and_agent() {
    let check =
        |capabilities: &[Capability], task: &str, agent: Option<&str>, expected: &[&str]| {
            let (mut stage, framework) = stage(capabilities);
            let tasks = vec![(TaskId::new(task), agent.map(AgentId::new))];
            let effects = stage.call(&framework, Call::Reconcile { tasks });
            assert_eq!(told(&effects), expected, "{task} on {agent:?}");
        };
    check(AWARE, "t", None, &["Running t Reconciliation"]);
    check(AWARE, "t", Some("c-S0"), &["Running t Reconciliation"]);
    check(AWARE, "x", Some("c-S0"), &["Gone x Reconciliation"]);
    check(AWARE, "x", Some("c-S1"), &["Unreachable x Reconciliation"]);
    check(AWARE, "x", Some("c-S2"), &["GoneByOperator x Reconciliation"]);
    check(AWARE, "x", Some("c-S3"), &[]);
    check(AWARE, "x", Some("c-S9"), &["Unknown x Reconciliation"]);
    check(AWARE, "x", None, &[]);
    for agent in ["c-S0", "c-S1", "c-S2", "c-S9"] {
        check(&[], "x", Some(agent), &["Lost x Reconciliation"]);
    }
    check(&[], "x", Some("c-S3"), &[]);
}

#[test]
fn once_every_agent_has_returned_or_is_lost_all_questions_are_answered() {
    let (mut stage, framework) = stage(AWARE);
    stage.live(Duration::from_secs(600));
    let tasks = vec![(TaskId::new("x"), None), (TaskId::new("y"), Some(AgentId::new("c-S3")))];
    let effects = stage.call(&framework, Call::Reconcile { tasks });
    assert_eq!(told(&effects), ["Unknown x Reconciliation", "Unreachable y Reconciliation"]);
}

#[test]
fn without_names_all_known_tasks_are_told() {
    let (mut stage, framework) = stage(AWARE);
    let effects = stage.call(&framework, Call::Reconcile { tasks: vec![] });
    assert_eq!(told(&effects), ["Running t Reconciliation"]);
}

#[test]
fn many_tasks_are_told_of_in_several_turns_and_each_once() {
    let check = |named: bool| {
        let mut stage = Stage::unchecked();
        let framework = stage.subscribe(crate::stage::framework("*", AWARE));
        let agent = AgentId::new("many");
        let ids: Vec<String> = (0..3_000).map(|n| format!("t{n}")).collect();
        let tasks =
            ids.iter().map(|id| held(&framework, &agent, id, "cpus:0.001", TaskState::Running));
        stage.hear(1, register(Some(&agent), BIG, tasks.collect()));
        stage.settle();
        let id = |id: &String| (TaskId::new(id.as_str()), Some(agent.clone()));
        let tasks = if named { ids.iter().map(id).collect() } else { vec![] };
        let mut heard = told(&stage.call(&framework, Call::Reconcile { tasks }));
        assert!(heard.len() < 2_000, "{} in one turn", heard.len());
        heard.extend(told(&stage.settle()));
        let mut expected: Vec<String> =
            ids.iter().map(|id| format!("Running {id} Reconciliation")).collect();
        heard.sort();
        expected.sort();
        assert!(heard == expected, "{} of {}", heard.len(), expected.len());
    };
    check(true);
    check(false);
}

#[test]
fn who_asks_for_all_again_hears_of_all_again_and_who_is_gone_of_none() {
    let mut stage = Stage::unchecked();
    let framework = stage.subscribe(crate::stage::framework("*", AWARE));
    let agent = AgentId::new("many");
    let tasks = (0..3_000)
        .map(|n| held(&framework, &agent, &format!("t{n}"), "cpus:0.001", TaskState::Running));
    stage.hear(1, register(Some(&agent), BIG, tasks.collect()));
    stage.settle();
    let ask = |stage: &mut Stage| told(&stage.call(&framework, Call::Reconcile { tasks: vec![] }));
    let first = ask(&mut stage).len();
    let second = ask(&mut stage).len() + told(&stage.settle()).len();
    assert!(first < 3_000 && second == 3_000, "{first} and {second}");
    ask(&mut stage);
    stage.step(kernel::Input::FrameworkLost { framework: framework.clone() });
    assert!(told(&stage.settle()).is_empty());
}
