//! The rules of the system. [`check`] is asked whenever all that was decided is durable; [`unsettled`] says what is
//! missing until the cluster, left in peace, is as its operator wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::id::{AgentId, TaskId};
use model::resources::Resources;
use model::task::{ExecutorInfo, TaskState};
use model::time::Duration;
use node::Held;
use services::spec::AppId;
use services::state::{Action, App, Deployment, Goal, Instance};
use services::view::View;

use crate::check_shares;
use crate::host::{Alive, Machine};
use crate::pod;
use crate::process::recovered;
use crate::reasons;
use crate::upkeep;
use crate::witness;
use crate::world::World;

/// A deployment whose time is up is rolled back by then.
const ROLLED_BACK_WITHIN: Duration = Duration::from_secs(1);

/// Panics with the rule that is broken.
pub fn check(world: &mut World) {
    let Some(cluster) = world.master.machine() else { return };
    cluster.kernel().audit();
    let view = cluster.view();
    let stray = view.services.tasks.values().filter(|one| one.unreachable_since.is_some());
    world.history.strayed.extend(stray.map(|one| one.task.clone()));
    view.services.deployments.values().for_each(|one| world.history.goes_on(one));
    check_shares::check(world, &view.kernel);
    upkeep::check(world, &view.kernel);
    no_agent_is_overcommitted(&view.kernel);
    the_books_balance(&view.kernel);
    what_runs_fits_its_machine(world);
    no_task_runs_twice(world);
    nothing_runs_unknown(world);
    launches_end_whole(world);
    pod::groups_are_whole(&view.services, &view.kernel, &world.services_framework());
    ends_are_final(world, &view.services);
    answers_are_kept(world, &view.services);
    instances_are_indexed(&view.services);
    no_app_has_too_many(world, &view.services);
}

fn no_agent_is_overcommitted(kernel: &kernel::view::View) {
    let offered = kernel.offered();
    for (id, agent) in &kernel.agents {
        let mut held = offered.get(id).cloned().unwrap_or_default();
        agent.in_use.values().for_each(|resources| held.add(&resources.only(|one| !one.shared)));
        let total = agent.total();
        // A task that was to have a volume that could not be made is dropped, which is told after the volume's failure.
        let held =
            held.only(|one| !one.is_persistent_volume() || total.iter().any(|had| had == one));
        assert!(total.contains(&held), "agent {id} has {total} and is charged with {held}");
        // What is reserved, what is not and what is a volume: together it is what the machine has.
        let (sum, has) = (total.unlabelled(), agent.agent.info.resources.unlabelled());
        assert_eq!(sum, has, "agent {id}: {total} is not what its machine has");
    }
}

/// What an agent that has registered is charged with is what its tasks hold.
fn the_books_balance(kernel: &kernel::view::View) {
    let mut held: BTreeMap<&AgentId, Resources> = BTreeMap::new();
    let mut executors = BTreeSet::new();
    let doubles = kernel.doubles.values().flat_map(|of| of.values());
    for (id, agent) in &kernel.agents {
        let programs = agent.executors.iter().map(|executor| &executor.info.resources);
        programs.for_each(|resources| held.entry(id).or_default().add(resources));
    }
    for task in kernel.tasks.values().flat_map(|tasks| tasks.values()).chain(doubles) {
        if !task.state.is_terminal() {
            let held = held.entry(&task.agent).or_default();
            held.add(&task.resources);
            // Once for all of its tasks on an agent.
            let executor = task.executor.as_deref().filter(|one| one.program.is_none());
            let is_new = |one: &&ExecutorInfo| {
                executors.insert((task.agent.clone(), task.framework.clone(), one.id.clone()))
            };
            executor.filter(is_new).into_iter().for_each(|one| held.add(&one.resources));
        }
    }
    for (id, agent) in kernel.agents.iter().filter(|(_, agent)| agent.connected) {
        let mut charged = Resources::default();
        agent.in_use.values().for_each(|resources| charged.add(resources));
        let sum = held.get(id).cloned().unwrap_or_default();
        assert_eq!(sum, charged, "agent {id}: its tasks hold one sum and are charged another");
    }
}

fn what_runs_fits_its_machine(world: &World) {
    for host in &world.hosts {
        let mut held = Resources::default();
        let alive = || host.containers.values().filter(|one| one.is_alive());
        let of_tasks = alive().map(|one| &one.task.resources);
        let executors = pod::executors(alive().filter_map(|one| one.executor.as_deref()));
        let programs = host.programs.values().filter(|one| one.is_alive());
        let programs: Vec<Resources> = programs.map(|one| one.resources()).collect();
        let of_executors = executors.into_iter().map(|one| &one.resources);
        for resources in of_tasks.chain(of_executors).chain(&programs) {
            assert!(
                !held.ports().intersects(&resources.ports()),
                "{} runs two tasks on one port",
                host.info.hostname
            );
            held.add(&resources.unlabelled());
        }
        assert!(
            host.info.resources.unlabelled().contains(&held.unlabelled()),
            "{} runs {held}, which it does not have",
            host.info.hostname
        );
    }
}

/// Of all the containers there are, at most one runs a task, wherever it is. Only a framework that keeps its ids apart
/// is promised that: a new leader cannot know of a task before its agent is back.
fn no_task_runs_twice(world: &World) {
    let mut seen = BTreeSet::new();
    let ours = world.services_framework();
    let all = world.hosts.iter().flat_map(|host| host.containers.values());
    for one in all.filter(|one| one.is_alive() && one.framework == ours) {
        assert!(seen.insert((&one.framework, &one.task.id)), "task {} runs twice", one.task.id);
    }
}

/// Whatever runs, its agent's brain knows.
fn nothing_runs_unknown(world: &World) {
    for host in &world.hosts {
        let Some(machine) = host.process.machine() else { continue };
        let (view, name) = (machine.view(), &host.info.hostname);
        let mut tasks = host.containers.iter().filter(|(_, one)| one.is_alive());
        let unknown = tasks.find(|(id, _)| !view.held.contains_key(*id));
        assert!(unknown.is_none(), "{name} runs what it does not know: {unknown:?}");
        let mut programs = host.programs.iter().filter(|(_, one)| one.is_alive());
        let unknown = programs.find(|(id, _)| !view.executors.contains_key(*id));
        assert!(unknown.is_none(), "{name} runs what it does not know: {unknown:?}");
    }
}

/// Of what an agent was told to launch together, nothing goes on once one has failed or was killed. What becomes of
/// groups in an executor of a framework's own is that executor's business.
fn launches_end_whole(world: &World) {
    for view in world.hosts.iter().filter_map(|host| Some(host.process.machine()?.view())) {
        let mut launches: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for held in view.held.values() {
            let ours = held.group.as_ref().filter(|group| group.executor.program.is_none());
            let launch = ours.map(|group| group.launch);
            launches.entry(launch).or_default().push(held);
        }
        launches.remove(&None);
        for tasks in launches.values() {
            let finished = |held: &Held| held.state() == TaskState::Finished;
            let dooms = |held: &Held| !finished(held) && held.is_ended();
            let doomed = tasks.iter().any(|held| dooms(held));
            let goes_on = |held: &&Arc<Held>| held.killed.is_none() && !held.is_ended();
            let left = tasks.iter().copied().find(goes_on);
            assert!(!doomed || left.is_none(), "{left:?} goes on without its group");
        }
    }
}

fn ends_are_final(world: &World, services: &services::view::View) {
    let instances = services.instances.values().flat_map(|all| all.values());
    for task in instances.flat_map(|instance| pod::live_tasks(instance)) {
        assert!(!world.history.ended.contains(task), "task {task} has ended and is listed again");
    }
}

/// What was answered with success is there, whatever has crashed since.
fn answers_are_kept(world: &World, services: &services::view::View) {
    for (app, promise) in &world.history.promises {
        let found = services.apps.get(app).map(|app| app.version);
        match (found, promise.version) {
            (None, Some(_)) => {
                assert!(promise.may_be_gone, "app {app} was acknowledged and is gone")
            }
            (Some(found), Some(promised)) => {
                assert!(
                    promised <= found,
                    "app {app} was acknowledged in {promised:?} and is back in {found:?}"
                );
            }
            (Some(_), None) => assert!(promise.may_be_there, "app {app} was deleted and is back"),
            (None, None) => (),
        }
    }
}

fn instances_are_indexed(services: &services::view::View) {
    let instances = services.instances.values().flat_map(|all| all.values());
    let by_app = instances.flat_map(|instance| instance.tasks()).count();
    assert_eq!(by_app, services.tasks.len(), "instances and tasks differ in number");
    for (app, instances) in &services.instances {
        let (mut staged, mut running) = (0, 0);
        for instance in instances.values() {
            match instance.state {
                TaskState::Staging | TaskState::Starting => staged += 1,
                TaskState::Running => running += 1,
                TaskState::Killing
                | TaskState::Finished
                | TaskState::Failed
                | TaskState::Killed
                | TaskState::Error
                | TaskState::Lost
                | TaskState::Dropped
                | TaskState::Unreachable
                | TaskState::Gone
                | TaskState::GoneByOperator
                | TaskState::Unknown => (),
            }
        }
        let counts = services.counts.get(app).copied().unwrap_or_default();
        assert_eq!(
            (counts.staged, counts.running),
            (staged, running),
            "app {app} is counted wrongly"
        );
    }
}

/// Of an app's newest configuration there are at no time more than wanted, unless it waits for its step of a deployment
/// and is kept as it was until then. Who was unreachable does not count: it may
/// return after its replacement was launched, and is told from the rest one turn later.
fn no_app_has_too_many(world: &World, services: &services::view::View) {
    for (id, app) in &services.apps {
        let Some(instances) = services.instances.get(id) else { continue };
        if witness::crew::waits_for_its_step(services, id) {
            continue;
        }
        let counts = |instance: &&Arc<Instance>| {
            !instance.state.is_terminal()
                && instance.goal == Goal::Running
                && app.last_config_change_at <= instance.version
                && !world.history.strayed.contains(&instance.task)
        };
        let live = instances.values().filter(counts).count();
        let wanted = usize::try_from(app.spec.instances).expect("small");
        assert!(live <= wanted, "app {id} wants {wanted} and has {live}: {instances:?}");
    }
}

/// A machine that recovers now is the machine that runs: the replay law, on the bytes of the disk.
pub fn replay(world: &World) {
    let (Some(running), true) = (world.master.machine(), world.master.is_settled()) else { return };
    let again = recovered(world.fresh_cluster(), &world.master.disk);
    let (mine, other) = (running.view(), again.view());
    assert_eq!(other.services.apps, mine.services.apps, "apps differ after recovery");
    assert_eq!(other.services.versions, mine.services.versions, "versions differ after recovery");
    assert_eq!(
        other.services.instances, mine.services.instances,
        "instances differ after recovery"
    );
    assert_eq!(
        other.services.tasks, mine.services.tasks,
        "the index by task differs after recovery"
    );
    assert_eq!(
        other.services.deployments, mine.services.deployments,
        "deployments differ after recovery"
    );
    assert_eq!(other.services.locked, mine.services.locked, "locks differ after recovery");
    assert_eq!(other.services.counts, mine.services.counts, "counts differ after recovery");
    assert_eq!(other.services.pods, mine.services.pods, "pods differ after recovery");
    assert_eq!(
        other.services.histories, mine.services.histories,
        "ends of pods differ after recovery"
    );
    assert_eq!(other.kernel.weights, mine.kernel.weights, "weights differ after recovery");
    for (id, agent) in &mine.kernel.agents {
        let found =
            other.kernel.agents.get(id).unwrap_or_else(|| panic!("agent {id} is not recovered"));
        assert_eq!(found.agent, agent.agent, "agent {id} differs after recovery");
        assert_eq!(
            found.in_use, agent.in_use,
            "what agent {id} is charged with differs after recovery"
        );
    }
    for (id, framework) in &mine.kernel.frameworks {
        let found = other
            .kernel
            .frameworks
            .get(id)
            .unwrap_or_else(|| panic!("framework {id} is not recovered"));
        assert_eq!(found.framework, framework.framework, "framework {id} differs after recovery");
    }
    for host in world.hosts.iter().filter(|host| host.process.is_settled()) {
        let Some(running) = host.process.machine() else { continue };
        let again = recovered(node::Node::new(node::Config::default()), &host.process.disk);
        let (again, running) = (again.view().durable(), running.view().durable());
        assert_eq!(again, running, "{} differs after recovery", host.info.hostname);
    }
}

/// What is not yet as it should be; `None` once everything is.
pub fn unsettled(world: &World) -> Option<String> {
    let cluster = world.master.machine()?;
    let view = cluster.view();
    let services = &view.services;
    if let Some(why) = upkeep::unsettled(&view.kernel) {
        return Some(why);
    }
    if let Some(why) =
        services.deployments.values().find_map(|one| unfinished(world, services, one))
    {
        return Some(why);
    }
    let free = services.apps.iter().filter(|(id, _)| !services.locked.contains_key(*id));
    if let Some(why) = free.into_iter().find_map(|(id, app)| unlike(world, services, id, app)) {
        return Some(why);
    }
    for (id, agent) in view.kernel.agents.iter().filter(|(_, agent)| !agent.connected) {
        if world.host_of(id).is_some() {
            return Some(format!("agent {id} is not connected: {agent:?}"));
        }
    }
    for (id, agent) in &view.kernel.agents {
        let brain = world.host_of(id).and_then(|host| Some(host.process.machine()?.view()));
        let Some(brain) = brain else { continue };
        if *brain.claims != agent.claims || !brain.operations.is_empty() {
            let (theirs, open) = (&brain.claims, &brain.operations);
            return Some(format!("{id} has {theirs} and {open:?}, known is {}", agent.claims));
        }
        if let Some(why) = check_shares::books_differ(&brain, agent) {
            return Some(why);
        }
    }
    let wanted: BTreeSet<&TaskId> = view.services.tasks.keys().collect();
    world.hosts.iter().find_map(|host| leftovers(host, &wanted))
}

/// A deployment that goes on has an action under way that waits, and says truly why.
fn unfinished(world: &World, services: &View, deployment: &Deployment) -> Option<String> {
    let is_late = deployment.deadline.is_some_and(|at| at + ROLLED_BACK_WITHIN < world.now);
    let mut actions = deployment.current_actions().iter();
    let reasons: Vec<_> =
        actions.clone().map(|action| reasons::reason(world, &action.app)).collect();
    let is_cut_off = |action: &Action| in_reach(world, services, &action.app).1;
    let waits = reasons.iter().any(Result::is_ok) || actions.any(is_cut_off);
    (is_late || !waits).then(|| format!("deployment {deployment:?} goes on: {reasons:?}"))
}

/// Those in reach, and whether there are others: on agents that no host is, because it was given the id and has not heard
/// it. They never come back, and whoever waits for them may do so for ever.
fn in_reach(world: &World, services: &View, app: &AppId) -> (Vec<Arc<Instance>>, bool) {
    let all: Vec<Arc<Instance>> =
        services.instances.get(app).into_iter().flat_map(|all| all.values()).cloned().collect();
    let is_there = |one: &Arc<Instance>| world.host_of(&one.place.agent).is_some();
    let there: Vec<_> = all.iter().filter(|one| is_there(one)).cloned().collect();
    let has_others = there.len() < all.len();
    (there, has_others)
}

/// An app that is in no deployment is as it is to be, or waits, and says truly why.
fn unlike(world: &World, services: &View, id: &AppId, app: &App) -> Option<String> {
    let (instances, has_others) = in_reach(world, services, id);
    let is_right = |one: &Instance| {
        let is_new = app.last_config_change_at <= one.version || world.history.mixed.contains(id);
        one.state == TaskState::Running && is_new && one.healthy != Some(false)
    };
    let right = instances.iter().filter(|one| is_right(one)).count();
    let wanted = usize::try_from(app.spec.instances).expect("small");
    if right == instances.len() && (right == wanted || has_others && right < wanted) {
        return None;
    }
    let why = match right == instances.len() && right < wanted {
        true => reasons::reason(world, id),
        false => Err("those that are there are not as they are to be".to_owned()),
    };
    why.err().map(|why| format!("app {id} wants {wanted} and has {instances:?}, and {why}"))
}

/// A task that nobody wants, one that is missing, or an update that nobody has acknowledged.
fn leftovers(host: &Machine, wanted: &BTreeSet<&TaskId>) -> Option<String> {
    let name = &host.info.hostname;
    if let Some(one) =
        host.containers.values().find(|one| one.is_alive() && !wanted.contains(&one.task.id))
    {
        return Some(format!("{name} runs {}, which nobody wants", one.task.id));
    }
    if let Some(one) = host.programs.values().find(|one| one.is_alive()) {
        return Some(format!("{name} runs {:?}, which nobody wants", one.executor));
    }
    let held = host.process.machine()?.view().held;
    for (container, one) in &held {
        if !one.pending.is_empty() {
            return Some(format!("{name} has told {:?} and nobody acknowledges it", one.pending));
        }
        let runs = host.containers.get(container).is_some_and(|one| one.life == Alive::Running);
        if !runs {
            return Some(format!("{name} holds {}, which does not run", one.info.id));
        }
    }
    None
}

/// When the machines next want to be woken, for the report of a cluster that does not settle.
pub fn alarms(world: &World) -> String {
    let master = world.master.machine().and_then(model::machine::Machine::wake_at);
    let hosts: Vec<_> = world.hosts.iter().map(|host| host.process.wake_at()).collect();
    format!("now {:?}, master {master:?}, hosts {hosts:?}", world.now)
}
