//! What the tiny kernel does with groups, and pods to launch.

use std::collections::BTreeMap;
use std::time::Duration;

use model::container::Scheme;
use model::id::{ExecutorId, TaskId};
use model::resources::{Resources, Scalar};
use model::scheduler::Operation;
use model::task::TaskState;
use services::spec::AppSpec;
use services::spec::pod::{
    Command, Endpoint, Exec, PodContainer, PodHealthCheck, PodProbe, PodSpec,
};
use services::spec::resource::Amounts;

use super::{Stage, app};

/// Executors whose tasks have not all ended.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(crate) of: BTreeMap<TaskId, ExecutorId>,
    held: BTreeMap<ExecutorId, Resources>,
}

impl Stage {
    /// An executor takes its resources before its tasks take theirs.
    pub(super) fn gather(&mut self, operation: &Operation) {
        let Operation::LaunchGroup { executor, tasks } = operation else { return };
        let agent = self.agents.get_mut(&tasks[0].agent).expect("a known agent");
        agent.free.subtract(&executor.resources);
        let before = self.groups.held.insert(executor.id.clone(), executor.resources.clone());
        assert!(before.is_none(), "every group has an executor of its own");
        for task in tasks {
            self.groups.of.insert(task.id.clone(), executor.id.clone());
        }
    }

    /// An executor goes with the last of its tasks.
    pub(super) fn disband(&mut self, task: &TaskId) {
        let Some(executor) = self.groups.of.get(task) else { return };
        let is_over = |task: &TaskId| self.tasks[task].1.is_terminal();
        if self.with_group(task).iter().all(is_over) {
            let agent = self.tasks[task].0.agent.clone();
            if let Some(resources) = self.groups.held.remove(executor) {
                self.agents.get_mut(&agent).expect("an agent").free.add(&resources);
            }
        }
    }

    /// The task and those it was launched with.
    pub(crate) fn with_group(&self, task: &TaskId) -> Vec<TaskId> {
        let Some(executor) = self.groups.of.get(task) else { return vec![task.clone()] };
        let same = self.groups.of.iter().filter(|(_, of)| *of == executor);
        same.map(|(task, _)| task.clone()).collect()
    }

    /// A task fails, and its agent kills those that it was launched with.
    pub(crate) fn fail(&mut self, task: &TaskId) {
        self.report(task, TaskState::Failed, None);
        for other in self.with_group(task) {
            if !self.tasks[&other].1.is_terminal() {
                self.report(&other, TaskState::Killed, None);
            }
        }
    }
}

/// Two containers: `web` listens, `log` does not.
pub(crate) fn pod(name: &str, instances: u32) -> AppSpec {
    let web = PodContainer { endpoints: vec![endpoint("http", 0)], ..container("web") };
    of_containers(name, instances, vec![web, container("log")])
}

pub(crate) fn of_containers(name: &str, instances: u32, containers: Vec<PodContainer>) -> AppSpec {
    let executor =
        Amounts { cpus: Scalar(100), mem: Scalar::whole(32), disk: Scalar::whole(10), gpus: 0 };
    with_pod(
        app(name, instances),
        PodSpec {
            containers,
            volumes: Vec::new(),
            environment: BTreeMap::new(),
            executor,
            linux: None,
            legacy_shared_cgroups: None,
        },
    )
}

/// The spec with this pod in it, and the sums that follow.
pub(crate) fn with_pod(spec: AppSpec, pod: PodSpec) -> AppSpec {
    let Amounts { cpus, mem, disk, gpus } = pod.total();
    let (ports, pod) = (pod.ports(), Some(pod));
    AppSpec { cpus, mem, disk, gpus, ports, pod, process: services::spec::Process::Image, ..spec }
}

pub(crate) fn changed(spec: &AppSpec, change: impl FnOnce(&mut PodSpec)) -> AppSpec {
    let mut pod = spec.pod.clone().expect("a pod");
    change(&mut pod);
    with_pod(spec.clone(), pod)
}

pub(crate) fn container(name: &str) -> PodContainer {
    PodContainer {
        name: name.to_owned(),
        exec: Some(Exec {
            command: Command::Shell("sleep 1000".to_owned()),
            override_entrypoint: None,
        }),
        resources: Amounts { cpus: Scalar(50), mem: Scalar::whole(16), ..Amounts::default() },
        limits: None,
        endpoints: Vec::new(),
        linux: None,
        image: None,
        environment: BTreeMap::new(),
        user: None,
        health_check: None,
        check: None,
        mounts: Vec::new(),
        artifacts: Vec::new(),
        labels: BTreeMap::new(),
        kill_grace: None,
        tty: None,
    }
}

pub(crate) fn endpoint(name: &str, host_port: u16) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        container_port: None,
        host_port: Some(host_port),
        protocols: vec!["tcp".to_owned()],
        labels: BTreeMap::new(),
        networks: Vec::new(),
    }
}

pub(crate) fn health_check(endpoint: &str) -> PodHealthCheck {
    PodHealthCheck {
        probe: PodProbe::Http { endpoint: endpoint.to_owned(), path: None, scheme: Scheme::Http },
        grace: Duration::from_secs(300),
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(20),
        delay: Duration::from_secs(15),
        failures_max: 3,
    }
}
