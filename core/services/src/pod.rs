//! What the kernel is told to run of a pod: its spec, a place and an instance become one group of tasks.
//!
//! Names, environment and discovery are those of Marathon's `TaskGroupBuilder`.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::check::CheckInfo;
use model::container::{
    CommandInfo, ContainerInfo, ContainerKind, DiscoveryInfo, DiscoveryPort, Family, HealthCheck,
    Image, Probe, Run, SharedVolume, Volume, VolumeMode,
};
use model::id::ExecutorId;
use model::resources::{Amount, Resource, ResourceName, Resources, Scalar};
use model::task::{Cgroups, ExecutorInfo, TaskInfo, TaskState};

use crate::probe;
use crate::spec::AppSpec;
use crate::spec::environment::EnvValue;
use crate::spec::network::NetworkMode;
use crate::spec::pod::{
    Command, Endpoint, PodCheck, PodContainer, PodHealthCheck, PodProbe, PodSpec, VolumeMount,
    VolumeSource,
};
use crate::spec::resource::{Amounts, LinuxInfo};
use crate::state::{Instance, Member, Version};
use crate::task::{ENFORCED, decimal, hostname, label_variables, pairs, truth, variable};

const TCP: &str = "tcp";

/// All of a version's groups that does not vary from one to the next.
#[derive(Debug)]
pub(crate) struct TaskGroup {
    name: String,
    app: Arc<AppSpec>,
    version: Version,
    enforced: bool,
    /// What the labels say to each container, in their order.
    labels: Vec<Vec<(String, String)>>,
    ports: PortsOf,
}

/// Where a pod's containers listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortsOf {
    Agent,
    Container,
}

/// An instance that is being launched.
struct Setting<'a> {
    instance: &'a Instance,
    executor: ExecutorId,
    exposed: Vec<Exposed<'a>>,
    /// What they say to every container.
    variables: Vec<(String, String)>,
}

/// An endpoint of an instance.
struct Exposed<'a> {
    /// Which of the containers has it.
    container: usize,
    endpoint: &'a Endpoint,
    host_port: Option<u16>,
}

impl TaskGroup {
    /// `None` if the spec is not a pod's.
    pub(crate) fn new(spec: &Arc<AppSpec>, version: Version, enforced: bool) -> Option<Self> {
        let pod = spec.pod.as_ref()?;
        let labels = |container: &PodContainer| {
            let mut all: BTreeMap<String, String> = spec.labels.clone();
            all.extend(container.labels.clone());
            label_variables(&all)
        };
        let is_own = |mode: NetworkMode| mode != NetworkMode::Host;
        Some(Self {
            name: hostname(&spec.id),
            version,
            enforced,
            labels: pod.containers.iter().map(labels).collect(),
            ports: match spec.networks.iter().any(|network| is_own(network.mode)) {
                true => PortsOf::Container,
                false => PortsOf::Agent,
            },
            app: Arc::clone(spec),
        })
    }

    fn pod(&self) -> &PodSpec {
        self.app.pod.as_ref().expect("a group is made of a pod")
    }

    /// The group of an instance that takes just these resources.
    pub(crate) fn launch(
        &self,
        instance: &Instance,
        resources: Resources,
    ) -> (ExecutorInfo, Vec<TaskInfo>) {
        let exposed = exposed(self.pod(), instance);
        let setting = Setting {
            instance,
            executor: ExecutorId::new(instance.id()),
            variables: self.endpoint_variables(&exposed),
            exposed,
        };
        // Volumes belong to all containers, so they are the executor's.
        let volumes = resources.only(Resource::is_persistent_volume);
        let mut rest = resources.minus(&volumes);
        let each = 0..instance.members.len();
        let tasks = each.map(|nth| self.task(nth, &setting, &mut rest)).collect();
        rest.add(&volumes);
        // What is left is the executor's own, and the ports, which all containers share.
        let labels = pairs(&self.app.labels);
        let executor = ExecutorInfo {
            id: setting.executor,
            resources: rest,
            labels,
            program: None,
            given: None,
            cgroups: self.cgroups(),
            namespaces: self.pod().linux.as_ref().map(LinuxInfo::namespaces).unwrap_or_default(),
        };
        (executor, tasks)
    }

    /// As Marathon has it since its version 1.10: a container has its own, unless the pod is of before.
    fn cgroups(&self) -> Cgroups {
        match self.pod().legacy_shared_cgroups {
            Some(true) => Cgroups::Shared,
            Some(false) | None => Cgroups::Own,
        }
    }

    fn task(&self, nth: usize, setting: &Setting<'_>, rest: &mut Resources) -> TaskInfo {
        let (container, instance) = (&self.pod().containers[nth], setting.instance);
        let own = setting.exposed.iter().filter(|one| one.container == nth);
        let check = container.health_check.as_ref();
        TaskInfo {
            given: None,
            completes_within: None,
            measured: self.app.autoscale.as_ref().is_some_and(|one| one.metric.is_measured()),
            id: instance.members[nth].task.clone(),
            name: container.name.clone(),
            agent: instance.place.agent.clone(),
            resources: carve(rest, container.resources),
            role: instance.role.clone(),
            command: CommandInfo {
                run: run(container),
                environment: self.environment(nth, setting),
                uris: container.artifacts.clone(),
                user: container.user.clone().or_else(|| self.app.user.clone()),
                secrets: Vec::new(),
            },
            container: container_info(self.pod(), container),
            health_checks: check
                .and_then(|check| self.health_check(check, &setting.exposed))
                .into_iter()
                .collect(),
            check: container.check.as_ref().and_then(|one| self.check(one, &setting.exposed)),
            readiness: None,
            limits: container.limits.unwrap_or_default(),
            kill_grace: container.kill_grace,
            labels: pairs(&container.labels),
            discovery: Some(DiscoveryInfo {
                name: self.name.clone(),
                ports: own.flat_map(|one| self.discovery_ports(one)).collect(),
                more: None,
            }),
        }
    }

    /// Later ones win: as in Marathon what it says itself wins over the user, and a container over its pod.
    fn environment(&self, nth: usize, setting: &Setting<'_>) -> Vec<(String, String)> {
        let (container, instance) = (&self.pod().containers[nth], setting.instance);
        let of_user = self.pod().environment.iter().chain(&container.environment);
        let mut all: Vec<(String, String)> = of_user.filter_map(text).collect();
        let mut set = |name: &str, value: String| all.push((name.to_owned(), value));
        set("HOST", instance.place.host.clone());
        set("MESOS_TASK_ID", instance.members[nth].task.to_string());
        set("MESOS_EXECUTOR_ID", setting.executor.to_string());
        set("MARATHON_APP_ID", self.app.id.to_string());
        set("MARATHON_APP_VERSION", self.version.to_string());
        set(ENFORCED, truth(self.enforced));
        set("MARATHON_CONTAINER_ID", container.name.clone());
        let Amounts { cpus, mem, disk, gpus } = container.resources;
        set("MARATHON_CONTAINER_RESOURCE_CPUS", decimal(cpus));
        set("MARATHON_CONTAINER_RESOURCE_MEM", decimal(mem));
        set("MARATHON_CONTAINER_RESOURCE_DISK", decimal(disk));
        set("MARATHON_CONTAINER_RESOURCE_GPUS", gpus.to_string());
        all.extend(self.labels[nth].iter().cloned());
        all.extend(setting.variables.iter().cloned());
        all
    }

    /// Every container is told of the endpoints of all.
    fn endpoint_variables(&self, exposed: &[Exposed<'_>]) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for one in exposed {
            let name = variable(&one.endpoint.name);
            let mut set = |prefix: &str, port: Option<u16>| {
                all.extend(port.map(|port| (format!("{prefix}_{name}"), port.to_string())));
            };
            set("ENDPOINT", self.listens_at(one));
            set("EP_HOST", one.host_port);
            set("EP_CONTAINER", one.container_port());
        }
        all
    }

    /// Where its process is to listen.
    fn listens_at(&self, exposed: &Exposed<'_>) -> Option<u16> {
        match self.ports {
            PortsOf::Agent => exposed.host_port,
            PortsOf::Container => exposed.container_port(),
        }
    }

    /// `None` if it probes an endpoint that has no port.
    fn health_check(&self, check: &PodHealthCheck, exposed: &[Exposed<'_>]) -> Option<HealthCheck> {
        Some(HealthCheck {
            probe: self.probe(&check.probe, exposed)?,
            delay: check.delay,
            interval: check.interval,
            timeout: check.timeout,
            grace: check.grace,
            failures_max: check.failures_max,
        })
    }

    fn check(&self, check: &PodCheck, exposed: &[Exposed<'_>]) -> Option<CheckInfo> {
        let PodCheck { probe, interval, timeout, delay } = check;
        let probe = self.probe(probe, exposed)?;
        Some(CheckInfo { probe, delay: *delay, interval: *interval, timeout: *timeout })
    }

    /// `None` if it probes an endpoint that has no port.
    fn probe(&self, probe: &PodProbe, exposed: &[Exposed<'_>]) -> Option<Probe> {
        let port = |name: &str| {
            let found = exposed.iter().find(|one| one.endpoint.name == name);
            found.and_then(|one| self.listens_at(one))
        };
        Some(match probe {
            PodProbe::Http { endpoint, path, scheme } => Probe::Http {
                scheme: *scheme,
                port: port(endpoint)?,
                path: path.clone().unwrap_or_else(|| "/".to_owned()),
                family: Family::Ipv4,
                ignore_1xx: false,
            },
            PodProbe::Tcp { endpoint } => {
                Probe::Tcp { port: port(endpoint)?, family: Family::Ipv4 }
            }
            PodProbe::Exec(command) => Probe::command(probe::run(command)),
        })
    }

    /// One for each protocol, which is TCP where none is named.
    fn discovery_ports(&self, exposed: &Exposed<'_>) -> Vec<DiscoveryPort> {
        let Some(number) = self.listens_at(exposed) else { return Vec::new() };
        let endpoint = exposed.endpoint;
        let port = |protocol: &String| DiscoveryPort {
            number,
            name: Some(endpoint.name.clone()),
            protocol: protocol.clone(),
            labels: pairs(&endpoint.labels),
            visibility: None,
        };
        match endpoint.protocols.is_empty() {
            true => vec![port(&TCP.to_owned())],
            false => endpoint.protocols.iter().map(port).collect(),
        }
    }
}

impl Exposed<'_> {
    fn container_port(&self) -> Option<u16> {
        match self.endpoint.container_port {
            Some(0) => self.host_port,
            other => other,
        }
    }
}

/// The endpoints of all containers.
fn exposed<'a>(pod: &'a PodSpec, instance: &Instance) -> Vec<Exposed<'a>> {
    let mut all = Vec::new();
    for (nth, (one, member)) in pod.containers.iter().zip(&instance.members).enumerate() {
        let mut given = member.ports.iter().copied();
        for endpoint in &one.endpoints {
            let host_port = endpoint.host_port.and_then(|_| given.next());
            all.push(Exposed { container: nth, endpoint, host_port });
        }
    }
    all
}

/// The containers of an instance that is just being launched, which share out its host ports.
pub(crate) fn members(pod: &PodSpec, instance: &Instance) -> Vec<Member> {
    let Instance { app, uuid, incarnation, staged_at: now, .. } = instance;
    let mut ports = instance.ports.iter().copied();
    let member = |container: &PodContainer| Member {
        name: container.name.clone(),
        task: Instance::member_task_id(app, *uuid, &container.name, *incarnation),
        state: TaskState::Staging,
        since: *now,
        started_at: None,
        healthy: None,
        ports: ports.by_ref().take(container.exposed().count()).collect(),
        addresses: Vec::new(),
        message: None,
        changed_at: *now,
        termination: None,
    };
    pod.containers.iter().map(member).collect()
}

/// Takes these amounts out of what an instance was given; whoever made the one had the other added up.
fn carve(rest: &mut Resources, amounts: Amounts) -> Resources {
    let Amounts { cpus, mem, disk, gpus } = amounts;
    let wanted = [
        (ResourceName::Cpus, cpus),
        (ResourceName::Mem, mem),
        (ResourceName::Disk, disk),
        (ResourceName::Gpus, Scalar::whole(gpus.into())),
    ];
    let mut part = Vec::new();
    for (name, mut left) in wanted {
        for one in rest.iter().filter(|one| one.name == name) {
            let Amount::Scalar(free) = &one.amount else { continue };
            let taken = left.min(*free);
            left = Scalar(left.0 - taken.0);
            part.push(Resource { amount: Amount::Scalar(taken), ..one.clone() });
        }
        assert!(left.is_zero(), "an instance was given less {name} than its containers need");
    }
    let part = Resources::new(part);
    rest.subtract(&part);
    part
}

/// Secrets are not for services to know.
fn text((name, value): (&String, &EnvValue)) -> Option<(String, String)> {
    match value {
        EnvValue::Text(text) => Some((name.clone(), text.clone())),
        EnvValue::Secret(_) => None,
    }
}

fn run(container: &PodContainer) -> Run {
    let Some(exec) = &container.exec else { return Run::Image(Vec::new()) };
    let is_program = exec.override_entrypoint == Some(true) || container.image.is_none();
    match &exec.command {
        Command::Shell(text) => Run::Shell(text.clone()),
        Command::Argv(argv) if is_program => Run::Exec(argv.clone()),
        Command::Argv(argv) => Run::Image(argv.clone()),
    }
}

fn container_info(pod: &PodSpec, container: &PodContainer) -> Option<ContainerInfo> {
    let image = container.image.as_ref().map(|image| Image {
        name: image.name.clone(),
        force_pull: image.force_pull == Some(true),
        login: None,
    });
    let tty = container.tty == Some(true);
    let bounds = container.linux.as_ref().and_then(LinuxInfo::bounds);
    if image.is_none() && !tty && container.mounts.is_empty() && bounds.is_none() {
        return None;
    }
    let (mut volumes, mut shared) = (Vec::new(), Vec::new());
    for mount in &container.mounts {
        let source = pod.volumes.iter().find(|volume| volume.name == mount.name);
        match source.map(|volume| &volume.source) {
            Some(VolumeSource::Host(path)) if path.starts_with('/') => volumes.push(Volume {
                container_path: mount.path.clone(),
                host_path: path.clone(),
                mode: mode(mount),
            }),
            // A relative path is a directory of the executor, which all containers share; a persistent volume is one that
            // its agent finds among the executor's resources.
            Some(VolumeSource::Ephemeral | VolumeSource::Host(_) | VolumeSource::Persistent(_)) => {
                shared.push(SharedVolume {
                    name: mount.name.clone(),
                    container_path: mount.path.clone(),
                    mode: mode(mount),
                })
            }
            // Pods with these are not launched; what is mounted from nowhere was never accepted.
            Some(VolumeSource::Secret(_)) | None => (),
        }
    }
    let (kind, privileged, parameters) = (ContainerKind::Mesos, false, Vec::new());
    Some(ContainerInfo { kind, image, volumes, privileged, tty, parameters, shared, bounds })
}

fn mode(mount: &VolumeMount) -> VolumeMode {
    match mount.read_only {
        Some(true) => VolumeMode::ReadOnly,
        Some(false) | None => VolumeMode::ReadWrite,
    }
}
