//! Task groups: all or none, and one executor that is paid for while any of its tasks lives.

use model::agent::HeldTask;
use model::framework::Capability;
use model::id::{FrameworkId, Role, TaskId};
use model::scheduler::{Call, Offer};
use model::task::TaskState::{self, Failed, Finished, Killing, Running};
use model::task::{Cgroups, ExecutorInfo, Task, TaskInfo};

use crate::stage::{BIG, Stage, bag, executor, framework, offers, register, task, told};

const AWARE: &[Capability] = &[Capability::PartitionAware];

fn stage() -> (Stage, FrameworkId, Offer) {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    let framework = stage.subscribe(framework("*", AWARE));
    let offer = offers(&stage.settle()).remove(0);
    (stage, framework, offer)
}

fn pod() -> ExecutorInfo {
    executor("pod", "cpus:0.1;mem:32")
}

fn two(offer: &Offer) -> Vec<TaskInfo> {
    ["a", "b"].map(|id| task(id, offer, "cpus:1;mem:64")).to_vec()
}

fn in_use(stage: &Stage) -> String {
    let view = stage.kernel.view();
    let agent = view.agents.values().next().expect("one agent");
    agent.in_use.get(&Role::star()).map_or(String::new(), ToString::to_string)
}

/// An agent with a group that runs.
fn running() -> (Stage, FrameworkId) {
    let (mut stage, framework, offer) = stage();
    let effects = stage.launch_group(&offer, pod(), two(&offer));
    assert_eq!(told(&effects), ["RunGroup pod a b to 1"]);
    for id in ["a", "b"] {
        stage.report(1, &framework, id, Running, Running);
    }
    (stage, framework)
}

#[test]
fn a_group_is_launched_whole_or_not_at_all() {
    let check = |name: &str, spoil: &dyn Fn(&mut ExecutorInfo, &mut Vec<TaskInfo>)| {
        let (mut stage, framework, offer) = stage();
        let (mut executor, mut tasks) = (pod(), two(&offer));
        spoil(&mut executor, &mut tasks);
        let effects = stage.launch_group(&offer, executor, tasks.clone());
        let all = tasks.iter().map(|task| format!("Error {} TaskGroupInvalid", task.id));
        assert_eq!(told(&effects), all.collect::<Vec<_>>(), "{name}");
        assert!(!stage.kernel.view().tasks.contains_key(&framework), "{name}");
        assert_eq!(in_use(&stage), "", "{name}");
    };
    check("nothing", &|_, tasks| tasks.clear());
    check("another agent", &|_, tasks| tasks[1].agent = model::id::AgentId::new("c-S9"));
    check("another role", &|_, tasks| tasks[1].role = Role::new("other"));
    check("an id twice", &|_, tasks| tasks[1].id = TaskId::new("a"));
    check("no resources", &|_, tasks| tasks[1].resources = bag(""));
    check("together too much", &|_, tasks| {
        tasks.iter_mut().for_each(|task| task.resources = bag("cpus:2.5"));
    });
    check("with the executor too much", &|executor, tasks| {
        tasks.iter_mut().for_each(|task| task.resources = bag("cpus:2"));
        executor.resources = bag("cpus:0.1");
    });
    check("the same port", &|_, tasks| {
        tasks.iter_mut().for_each(|task| task.resources = bag("ports:[1000-1000]"));
    });
    check("an executor without a name", &|executor, _| *executor = self::executor("", ""));
    check("an executor of another directory", &|executor, _| *executor = self::executor("a/b", ""));
}

#[test]
fn a_group_that_exactly_fits_is_launched() {
    let (mut stage, _, offer) = stage();
    let mut tasks = two(&offer);
    tasks.iter_mut().for_each(|task| task.resources = bag("cpus:1.9;mem:2032"));
    let effects = stage.launch_group(&offer, executor("pod", "cpus:0.2;mem:32"), tasks);
    assert_eq!(told(&effects), ["RunGroup pod a b to 1"]);
    assert_eq!(stage.log.len(), 3, "an agent, a framework and one total, however many tasks");
}

#[test]
fn the_executor_is_paid_for_once_while_one_of_its_tasks_lives() {
    let (mut stage, framework) = running();
    assert_eq!(in_use(&stage), "cpus:2.1;mem:160");
    stage.report(1, &framework, "a", Finished, Finished);
    assert_eq!(in_use(&stage), "cpus:1.1;mem:96");
    stage.report(1, &framework, "b", Running, Failed);
    assert_eq!(in_use(&stage), "");
}

#[test]
fn a_later_group_joins_an_executor_that_is_the_same() {
    let check = |again: ExecutorInfo, expected: &str, used: &str| {
        let (mut stage, _) = running();
        let offer = offers(&stage.settle()).remove(0);
        let effects = stage.launch_group(&offer, again, vec![task("c", &offer, "cpus:1;mem:64")]);
        assert_eq!(told(&effects), [expected]);
        assert_eq!(in_use(&stage), used);
    };
    check(pod(), "RunGroup pod c to 1", "cpus:3.1;mem:224");
    check(executor("pod", "cpus:0.2"), "Error c TaskGroupInvalid", "cpus:2.1;mem:160");
    let shared = ExecutorInfo { cgroups: Cgroups::Shared, ..pod() };
    check(shared, "Error c TaskGroupInvalid", "cpus:2.1;mem:160");
    check(executor("other", "cpus:0.2"), "RunGroup other c to 1", "cpus:3.3;mem:224");
}

#[test]
fn a_task_of_its_own_and_an_executor_do_not_share_a_name() {
    let (mut stage, framework) = running();
    let offer = offers(&stage.settle()).remove(0);
    let effects = stage.launch(&offer, vec![task("pod", &offer, "cpus:1;mem:64")]);
    assert_eq!(told(&effects), ["Error pod TaskInvalid"]);
    stage.call(&framework, Call::Revive { roles: vec![] });
    let offer = offers(&stage.settle()).remove(0);
    stage.launch(&offer, vec![task("alone", &offer, "cpus:1;mem:64")]);
    let offer = offers(&stage.settle()).remove(0);
    let group = vec![task("c", &offer, "cpus:0.1;mem:64")];
    let effects = stage.launch_group(&offer, executor("alone", "cpus:0.1"), group);
    assert_eq!(told(&effects), ["Error c TaskGroupInvalid"]);
}

#[test]
fn the_executor_is_paid_for_after_its_agent_came_back_and_after_a_change_of_leader() {
    let check = |restart: bool| {
        let (mut stage, framework) = running();
        let agent = stage.kernel.view().agents.keys().next().expect("one agent").clone();
        let held = |id: &str, state: TaskState| {
            let known = stage.kernel.view().task(&framework, &TaskId::new(id)).cloned();
            let task = known.expect("it was launched").as_ref().clone();
            HeldTask { task: Task { state, ..task }, place: None }
        };
        let both = vec![held("a", Running), held("b", Running)];
        let one = vec![held("a", Finished), held("b", Running)];
        if restart {
            stage.restart();
            assert_eq!(in_use(&stage), "cpus:2.1;mem:160");
        } else {
            stage.lose(1);
        }
        stage.hear(2, register(Some(&agent), BIG, both));
        assert_eq!(in_use(&stage), "cpus:2.1;mem:160");
        stage.hear(3, register(Some(&agent), BIG, one));
        assert_eq!(in_use(&stage), "cpus:1.1;mem:96");
        stage.hear(4, register(Some(&agent), BIG, vec![]));
        assert_eq!(in_use(&stage), "");
    };
    check(false);
    check(true);
}

#[test]
fn a_task_that_is_being_killed_holds_what_it_has() {
    let (mut stage, framework) = running();
    let kill = Call::Kill { task: TaskId::new("a"), agent: None, grace: None };
    assert_eq!(told(&stage.call(&framework, kill)), ["Kill a to 1"]);
    let (_, effects) = stage.report(1, &framework, "a", Killing, Killing);
    assert_eq!(told(&effects), ["Killing a"]);
    assert_eq!(in_use(&stage), "cpus:2.1;mem:160");
}
