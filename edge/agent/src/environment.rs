//! What a task finds in its environment. Nothing of the agent's own leaks into it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use containers::spec::Root;
use model::confinement::Sharing;
use model::container::{CommandInfo, ContainerInfo};
use model::id::{ContainerId, FrameworkId};
use model::task::TaskInfo;
use node::Executor;

use crate::asked::Asked;
use crate::door::{Claims, DIR_IN_IMAGE, Door};

/// Where programs are, for tasks without an image; an image says so itself.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a task can be reached: the programs of DC/OS packages ask for the first, those of Mesos' library for the second.
const ADDRESS: [&str; 2] = ["MESOS_CONTAINER_IP", "LIBPROCESS_IP"];

/// The agent as its tasks see it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    pub(crate) hostname: String,
    /// From the word that an executor is to end to SIGKILL, where it does not say itself.
    pub(crate) shutdown_grace: Duration,
    /// How long executors wait for an agent that is away.
    pub(crate) recovery_timeout: Duration,
    pub(crate) door: Door,
}

/// Whose environment it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inhabitant<'a> {
    pub(crate) framework: &'a FrameworkId,
    pub(crate) container: &'a ContainerId,
    pub(crate) task: &'a TaskInfo,
    pub(crate) executor: &'a str,
    pub(crate) sandbox: &'a Path,
}

/// The variables that Mesos gives to executors and tasks; those of the task itself win.
///
/// `MESOS_SANDBOX` is missing: it depends on what the container sees as its root.
pub(crate) fn environment(place: &Place, tenant: &Inhabitant<'_>) -> Vec<(String, String)> {
    let Inhabitant { framework, container, task, executor, sandbox } = tenant;
    let endpoint = format!("{}:{}", place.ip, place.port);
    let mut all: BTreeMap<String, String> = [
        ("HOST", place.hostname.clone()),
        ("MESOS_ALLOCATION_ROLE", task.role.to_string()),
        ("LIBPROCESS_NUM_WORKER_THREADS", "8".to_owned()),
        ("MESOS_AGENT_ENDPOINT", endpoint.clone()),
        ("MESOS_CHECKPOINT", "1".to_owned()),
        ("MESOS_CONTAINER_ID", container.to_string()),
        ("MESOS_DIRECTORY", sandbox.display().to_string()),
        ("MESOS_EXECUTOR_ID", executor.to_string()),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", seconds(place.shutdown_grace)),
        ("MESOS_FRAMEWORK_ID", framework.to_string()),
        ("MESOS_RECOVERY_TIMEOUT", seconds(place.recovery_timeout)),
        ("MESOS_SLAVE_ID", task.agent.to_string()),
        ("MESOS_SLAVE_PID", format!("slave(1)@{endpoint}")),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs".to_owned()),
        ("MESOS_TASK_ID", task.id.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if task.container.as_ref().is_none_or(|container| container.image.is_none()) {
        all.insert("PATH".to_owned(), PATH.to_owned());
        all.insert("SHELL".to_owned(), "/bin/sh".to_owned());
    }
    if !task.container.as_ref().is_some_and(has_own_network) {
        let ip = place.ip.to_string();
        let named = |name: &str| (name.to_owned(), ip.clone());
        all.extend(ADDRESS.map(named));
    }
    all.extend(task.command.variables());
    all.into_iter().collect()
}

/// In which it has no address.
fn has_own_network(around: &ContainerInfo) -> bool {
    Asked::read(Some(around)).is_ok_and(|asked| asked.confinement.net == Some(Sharing::Private))
}

/// Of a container that no task is.
pub(crate) fn of_guest(
    name: &str,
    root: &Root,
    command: Option<&CommandInfo>,
) -> Vec<(String, String)> {
    let mut all = BTreeMap::from([("MESOS_CONTAINER_ID".to_owned(), name.to_owned())]);
    if *root == Root::Host {
        all.insert("PATH".to_owned(), PATH.to_owned());
        all.insert("SHELL".to_owned(), "/bin/sh".to_owned());
    }
    all.extend(command.into_iter().flat_map(CommandInfo::variables));
    all.into_iter().collect()
}

/// The same for an executor that is a program, with what it needs to subscribe.
pub(crate) fn of_executor(
    place: &Place,
    tenant: &Inhabitant<'_>,
    executor: &Executor,
) -> Vec<(String, String)> {
    let program = executor.info.program.as_ref().expect("executors that are held are programs");
    let grace = program.shutdown_grace.unwrap_or(place.shutdown_grace);
    let checkpoint = if executor.framework.checkpoint { "1" } else { "0" };
    let own = [
        ("MESOS_CHECKPOINT", checkpoint.to_owned()),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", seconds(grace)),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0".to_owned()),
    ];
    let mut all: BTreeMap<String, String> = environment(place, tenant).into_iter().collect();
    all.remove("MESOS_TASK_ID");
    all.extend(own.map(|(name, value)| (name.to_owned(), value)));
    all.extend(tenant.task.command.variables());
    // Nobody could subscribe with another.
    all.extend(to_agent(place, tenant, executor));
    all.into_iter().collect()
}

/// What opens the agent's door.
fn to_agent(
    place: &Place,
    tenant: &Inhabitant<'_>,
    executor: &Executor,
) -> impl Iterator<Item = (String, String)> {
    let Door { socket, key } = &place.door;
    let socket = socket.as_ref().map(|path| match (executor.has_image(), path.file_name()) {
        (true, Some(name)) => Path::new(DIR_IN_IMAGE).join(name),
        (true, None) | (false, _) => path.clone(),
    });
    let socket = socket.map(|path| ("MESOS_DOMAIN_SOCKET", path.display().to_string()));
    let claims = || Claims::of(tenant.framework, &executor.info.id, tenant.container);
    let token = key.as_ref().map(|key| key.token(&claims()));
    let token = token.map(|token| ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", token));
    socket.into_iter().chain(token).map(|(name, value)| (name.to_owned(), value))
}

/// As Mesos spells durations.
fn seconds(duration: Duration) -> String {
    format!("{}secs", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use model::container::{ContainerInfo, ContainerKind, Image};
    use model::id::{AgentId, Role, TaskId};
    use model::secret::Secret;

    use super::*;

    fn task(container: Option<ContainerInfo>) -> TaskInfo {
        TaskInfo {
            container,
            ..TaskInfo::plain(
                TaskId::new("t"),
                AgentId::new("S0"),
                Role::star(),
                "cpus:1".parse().expect("well formed"),
                CommandInfo {
                    environment: vec![("HOST".to_owned(), "mine".to_owned())],
                    secrets: vec![("PW".to_owned(), Secret::new(b"hidden".to_vec()))],
                    ..CommandInfo::shell("env")
                },
            )
        }
    }

    fn of(task: &TaskInfo) -> BTreeMap<String, String> {
        let (ip, hostname) = ("127.0.0.9".parse().expect("an ip"), "h".to_owned());
        let place = Place {
            ip,
            port: 5051,
            hostname,
            shutdown_grace: Duration::from_secs(7),
            recovery_timeout: Duration::from_secs(86_400),
            door: Door::default(),
        };
        let (framework, container) = (FrameworkId::new("f"), ContainerId::new("c"));
        let (framework, container) = (&framework, &container);
        let (executor, sandbox) = ("e", Path::new("/d/s"));
        let inhabitant = Inhabitant { framework, container, task, executor, sandbox };
        environment(&place, &inhabitant).into_iter().collect()
    }

    #[test]
    fn a_task_knows_where_it_is() {
        let all = of(&task(None));
        let check = |name: &str, value: &str| {
            assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}");
        };
        check("MESOS_TASK_ID", "t");
        check("MESOS_EXECUTOR_ID", "e");
        check("MESOS_SLAVE_ID", "S0");
        check("MESOS_ALLOCATION_ROLE", "*");
        check("MESOS_AGENT_ENDPOINT", "127.0.0.9:5051");
        check("MESOS_DIRECTORY", "/d/s");
        check("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "7secs");
        check("HOST", "mine");
        check("PW", "hidden");
        check("MESOS_CONTAINER_IP", "127.0.0.9");
        check("LIBPROCESS_IP", "127.0.0.9");
        check("PATH", PATH);
    }

    #[test]
    fn a_task_without_a_network_is_told_no_address() {
        let container = ContainerInfo {
            kind: ContainerKind::Docker,
            image: None,
            volumes: vec![],
            privileged: false,
            shared: vec![],
            bounds: None,
            tty: false,
            parameters: vec![("network".to_owned(), "none".to_owned())],
        };
        let all = of(&task(Some(container)));
        assert!(ADDRESS.iter().all(|name| !all.contains_key(*name)), "{all:?}");
    }

    #[test]
    fn an_image_says_itself_where_its_programs_are() {
        let image = Some(Image::plain("redis".to_owned()));
        let container = ContainerInfo {
            kind: ContainerKind::Docker,
            image,
            volumes: vec![],
            privileged: false,
            shared: vec![],
            bounds: None,
            tty: false,
            parameters: vec![],
        };
        assert!(!of(&task(Some(container))).contains_key("PATH"));
    }

    #[test]
    fn nothing_of_the_agents_own_environment_leaks() {
        assert!(std::env::vars().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
        assert!(!of(&task(None)).contains_key("CARGO_MANIFEST_DIR"));
    }
}
