//! Pods at random, and what is true of all groups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::container::Scheme;
use model::id::{ExecutorId, FrameworkId, TaskId};
use model::resources::Scalar;
use services::Notice;
use services::What;
use services::spec::pod::{
    Command, Endpoint, Exec, PodContainer, PodHealthCheck, PodProbe, PodSpec,
};
use services::spec::resource::Amounts;
use services::spec::{AppId, AppSpec, Process};
use services::state::{Instance, Member};

use crate::dice::Dice;

/// One to three containers, of which the first listens.
pub fn spec(id: &AppId, dice: &mut Dice) -> AppSpec {
    let names = ["web", "log", "cache"];
    let count = usize::try_from(dice.between(1, 3)).expect("small");
    let containers = names[..count].iter().map(|name| container(name, dice)).collect();
    let executor = Amounts { cpus: Scalar(50), mem: Scalar::whole(32), ..Amounts::default() };
    let pod = PodSpec {
        containers,
        volumes: vec![],
        environment: BTreeMap::new(),
        executor,
        linux: None,
        legacy_shared_cgroups: None,
    };
    let Amounts { cpus, mem, disk, gpus } = pod.total();
    let (ports, pod) = (pod.ports(), Some(pod));
    AppSpec { cpus, mem, disk, gpus, ports, pod, ..AppSpec::new(id.clone(), Process::Image) }
}

fn container(name: &str, dice: &mut Dice) -> PodContainer {
    let listens = name == "web";
    let check = health_check(name, dice);
    let command = Command::Shell(format!("run {}", dice.roll()));
    PodContainer {
        name: name.to_owned(),
        exec: Some(Exec { command, override_entrypoint: None }),
        resources: Amounts {
            cpus: Scalar(dice.between(10, 40)),
            mem: Scalar::whole(dice.between(16, 32)),
            ..Amounts::default()
        },
        limits: None,
        endpoints: if listens { vec![endpoint(name)] } else { vec![] },
        linux: None,
        image: None,
        environment: BTreeMap::new(),
        user: None,
        health_check: (listens && dice.chance(500)).then_some(check),
        check: None,
        mounts: vec![],
        artifacts: vec![],
        labels: BTreeMap::new(),
        kill_grace: None,
        tty: None,
    }
}

fn endpoint(name: &str) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        container_port: None,
        host_port: Some(0),
        protocols: vec!["tcp".to_owned()],
        labels: BTreeMap::new(),
        networks: vec![],
    }
}

fn health_check(endpoint: &str, dice: &mut Dice) -> PodHealthCheck {
    let probe = PodProbe::Http { endpoint: endpoint.to_owned(), path: None, scheme: Scheme::Http };
    PodHealthCheck {
        probe,
        grace: Duration::from_secs(10),
        interval: Duration::from_secs(dice.between(2, 10)),
        timeout: Duration::from_secs(2),
        delay: Duration::from_secs(1),
        failures_max: u32::try_from(dice.between(0, 3)).expect("small"),
    }
}

/// Of those that services take for alive the kernel knows all or none.
pub fn groups_are_whole(
    services: &services::view::View,
    kernel: &kernel::view::View,
    ours: &FrameworkId,
) {
    let tasks = kernel.tasks.get(ours);
    let is_known = |task: &TaskId| tasks.is_some_and(|tasks| tasks.contains_key(task));
    let instances = services.instances.values().flat_map(|all| all.values());
    for instance in instances.filter(|instance| instance.members.len() > 1) {
        let alive = || instance.members.iter().filter(|member| !member.is_over());
        let known = alive().filter(|member| is_known(&member.task)).count();
        assert!(known == 0 || known == alive().count(), "half a group is there: {instance:?}");
    }
}

/// What is told of as ended has no member that has not.
pub fn ends_whole(notice: &Notice) {
    let (What::InstanceChanged { instance } | What::Status { instance, .. }) = &notice.what else {
        return;
    };
    if instance.state.is_terminal() {
        let all_are_over = instance.members.iter().all(Member::is_over);
        assert!(all_are_over, "an instance has ended with members that have not: {instance:?}");
    }
}

/// Executors of which something runs.
pub fn executors<'a>(
    all: impl Iterator<Item = &'a model::task::ExecutorInfo>,
) -> Vec<&'a model::task::ExecutorInfo> {
    let mut seen: BTreeSet<&ExecutorId> = BTreeSet::new();
    all.filter(|executor| seen.insert(&executor.id)).collect()
}

/// The members of an instance that are expected to run, or its only task.
pub fn live_tasks(instance: &Instance) -> impl Iterator<Item = &TaskId> {
    let alone = instance.members.is_empty().then_some(&instance.task);
    let live = instance.members.iter().filter(|member| !member.is_over());
    alone.into_iter().chain(live.map(|member| &member.task))
}
