//! What a cluster is set up with: the command line goes before the file, the file before the defaults.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent::{HostPaths, Reconfiguration};
use anyhow::{Context, Result, bail};
use clap::{ArgAction, Args, ValueEnum};
use model::attributes::{Attribute, FaultDomain};
use model::resources::Resources;
use rustix::process::{Resource, getrlimit};
use serde::Deserialize;

use crate::access::MesosAuthentication;
use crate::allocator::Allocator;
use crate::executors::Executors;
use crate::fault_domain::{self, Where};
use crate::fetching::Fetching;
use crate::gone_agents::GoneAgents;
use crate::image_gc::ImageGc;
use crate::isolation::Isolation;
use crate::layer_sharing::LayerSharing;
use crate::placement::Placement;
use crate::resources;
use crate::task_logs::TaskLogs;

/// More agents than this on one machine try out nothing that fewer would not.
const AGENTS_MAX: u16 = 100;
const PING_SECS_DEFAULT: u64 = 15;
const PINGS_MISSED_DEFAULT: u32 = 20;
const REMOVALS_PER_MINUTE_DEFAULT: u32 = 100;

#[derive(Debug, Default, Args)]
pub(crate) struct Flags {
    /// Settings as YAML; docs/configuration.md lists them.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where state, images and sandboxes are kept [default: /var/lib/dcos].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of every listener [default: 127.0.0.1].
    #[arg(long, value_name = "ADDR")]
    bind: Option<IpAddr>,
    /// So many agents share the machine's resources, for trying out placement [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(AGENTS_MAX)))]
    agents: Option<u16>,
    /// What an agent offers, such as 'cpus:4;mem:8192;disk:20480;ports:[31000-32000]', as JSON with its disks, or in a
    /// file ('file:///etc/dcos/resources.json') [default: what the machine has].
    #[arg(long, value_name = "RESOURCES")]
    resources: Option<String>,
    /// What an agent says of itself, such as 'rack:a;ssd:true'.
    #[arg(long, value_name = "ATTRIBUTES")]
    attributes: Option<String>,
    /// Where the agents are, for constraints on '@region'; --zone belongs to it.
    #[arg(long, value_name = "NAME", env = "DCOS_REGION")]
    region: Option<String>,
    /// In which zone of it; of several, such as 'a,b,c', the agents take turns.
    #[arg(long, value_name = "NAMES", env = "DCOS_ZONE")]
    zone: Option<String>,
    /// Serve on an address that others can reach, although nobody has to log in.
    #[arg(long)]
    insecure_no_auth: bool,
    /// Stop all tasks when the cluster is stopped.
    #[arg(long)]
    stop_tasks: bool,
    /// Whether agents take up what they had before: with `false` their checkpoints are put aside, the tasks of before
    /// end, and the agents register as new ones [default: true].
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    recover: Option<bool>,
    /// Lend processors that tasks leave idle to frameworks that take revocable resources.
    #[arg(long)]
    oversubscribe: bool,
    /// Only this half of the cluster; the other is in a process with a data directory of its own. For tests, which end
    /// one and not the other.
    #[arg(long, value_enum, hide = true)]
    only: Option<Half>,
}

/// What a process is, if not a whole cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Half {
    Master,
    Agents,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    cluster_name: Option<String>,
    data_dir: Option<PathBuf>,
    bind: Option<IpAddr>,
    ports: Ports,
    agents: Option<u16>,
    resources: Option<String>,
    attributes: Option<String>,
    fault_domain: Where,
    ping: Ping,
    gone_agents: GoneAgents,
    allocator: Allocator,
    mesos_authentication: MesosAuthentication,
    placement: Placement,
    executors: Executors,
    fetcher: Fetching,
    task_logs: TaskLogs,
    host_volumes: Option<Vec<String>>,
    registries: Registries,
    image_gc: ImageGc,
    layer_sharing: LayerSharing,
    allow_privileged: bool,
    isolation: Isolation,
    insecure_no_auth: bool,
    stop_tasks: bool,
    reconfiguration_policy: Policy,
    oversubscribe: bool,
    docker_engine: bool,
    docker_socket: Option<PathBuf>,
}

/// What may have changed when an agent starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Policy {
    Any,
    #[default]
    Additive,
    Equal,
}

/// The classic ports, so that unmodified clients find everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ports {
    pub(crate) front_door: u16,
    pub(crate) mesos_master: u16,
    pub(crate) marathon: u16,
    /// Of the first agent; the others follow.
    pub(crate) agent: u16,
    /// Where agents talk to the master.
    pub(crate) agent_stream: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { front_door: 80, mesos_master: 5050, marathon: 8080, agent: 5051, agent_stream: 5049 }
    }
}

/// How an agent that does not answer is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ping {
    pub(crate) interval_seconds: u64,
    /// So many in a row, and it counts as unreachable.
    pub(crate) missed_max: u32,
    /// Agents that become unreachable in a minute; 0 for as many as there are.
    pub(crate) removals_per_minute_max: u32,
}

impl Ping {
    pub(crate) fn removal_interval(self) -> Duration {
        let minute = Duration::from_secs(60);
        minute.checked_div(self.removals_per_minute_max).unwrap_or_default()
    }
}

impl Default for Ping {
    fn default() -> Self {
        Self {
            interval_seconds: PING_SECS_DEFAULT,
            missed_max: PINGS_MISSED_DEFAULT,
            removals_per_minute_max: REMOVALS_PER_MINUTE_DEFAULT,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Registries {
    /// Plain HTTP is allowed to these (`host` or `host:port`), as it is to loopback addresses.
    pub(crate) insecure: Vec<String>,
    /// Of images that name no registry.
    pub(crate) default: Option<String>,
    /// A `config.json` as `docker login` writes it.
    pub(crate) credentials: Option<PathBuf>,
    /// Asked before the registry itself.
    pub(crate) mirrors: BTreeMap<String, Vec<String>>,
}

/// Complete and checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) cluster_name: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) bind: IpAddr,
    pub(crate) ports: Ports,
    pub(crate) agents: u16,
    /// `None`: what the machine has.
    pub(crate) resources: Option<Resources>,
    pub(crate) attributes: Vec<Attribute>,
    /// The agents take turns; empty if nothing is known of where they are.
    pub(crate) fault_domains: Vec<FaultDomain>,
    /// Where the master is.
    pub(crate) master_region: Option<String>,
    pub(crate) master_domain: Option<FaultDomain>,
    pub(crate) ping: Ping,
    pub(crate) gone_agents: GoneAgents,
    pub(crate) allocator: Allocator,
    pub(crate) mesos_authentication: MesosAuthentication,
    pub(crate) placement: Placement,
    pub(crate) executors: Executors,
    pub(crate) fetcher: Fetching,
    pub(crate) task_logs: TaskLogs,
    /// Paths of the machine that tasks may have as volumes; `None`: all.
    pub(crate) host_volumes: Option<Vec<String>>,
    pub(crate) registries: Registries,
    pub(crate) image_gc: ImageGc,
    pub(crate) layer_sharing: LayerSharing,
    /// Containers that ask for it get the machine's devices and capabilities.
    pub(crate) allow_privileged: bool,
    pub(crate) isolation: Isolation,
    pub(crate) insecure_no_auth: bool,
    pub(crate) stop_tasks: bool,
    /// Agents take up what they had before.
    pub(crate) recover: bool,
    /// `None`: both.
    pub(crate) only: Option<Half>,
    pub(crate) reconfiguration_policy: Policy,
    /// Processors that tasks leave idle are lent.
    pub(crate) oversubscribe: bool,
    /// The soft limit that this process was started with, and that tasks inherit. `None`: there is no limit.
    pub(crate) task_open_files: Option<u64>,
    /// Where a Docker Engine listens that tasks of type DOCKER are for.
    pub(crate) docker: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn read(flags: Flags) -> Result<Self> {
        let file = match &flags.config {
            Some(path) => File::load(path)?,
            None => File::default(),
        };
        Self::of(flags, file)
    }

    fn of(flags: Flags, file: File) -> Result<Self> {
        let given = flags.resources.or(file.resources);
        let attributes = flags.attributes.or(file.attributes).unwrap_or_default();
        let said = file.fault_domain;
        let region = flags.region.or(said.region);
        let zone = flags.zone.or(said.zone);
        let fault_domains = Where { region, zone, ..Where::default() }.fault_domains()?;
        let first = fault_domains.first().map(|domain| domain.region.clone());
        let settings = Self {
            cluster_name: file.cluster_name.unwrap_or_else(|| "dcos".into()),
            data_dir: flags.data_dir.or(file.data_dir).unwrap_or_else(|| "/var/lib/dcos".into()),
            bind: flags.bind.or(file.bind).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            ports: file.ports,
            agents: flags.agents.or(file.agents).unwrap_or(1),
            resources: given.as_deref().map(resources::parse).transpose()?,
            attributes: model::attributes::parse(&attributes)
                .with_context(|| format!("in the attributes {attributes:?}"))?,
            master_domain: fault_domain::of_master(
                said.master_region.clone(),
                said.master_zone,
                fault_domains.first(),
            ),
            master_region: said.master_region.or(first),
            ping: file.ping,
            gone_agents: file.gone_agents,
            allocator: file.allocator,
            mesos_authentication: file.mesos_authentication,
            placement: file.placement,
            executors: file.executors,
            fetcher: file.fetcher,
            task_logs: file.task_logs,
            host_volumes: file.host_volumes,
            registries: file.registries,
            image_gc: file.image_gc,
            layer_sharing: file.layer_sharing,
            fault_domains,
            allow_privileged: file.allow_privileged,
            isolation: file.isolation,
            insecure_no_auth: flags.insecure_no_auth || file.insecure_no_auth,
            stop_tasks: flags.stop_tasks || file.stop_tasks,
            recover: flags.recover.unwrap_or(true),
            only: flags.only,
            reconfiguration_policy: file.reconfiguration_policy,
            oversubscribe: flags.oversubscribe || file.oversubscribe,
            task_open_files: getrlimit(Resource::Nofile).current,
            docker: file
                .docker_engine
                .then(|| file.docker_socket.unwrap_or_else(|| agent::DOCKER_SOCKET.into())),
        };
        settings.check()?;
        Ok(settings)
    }

    /// Where the master listens for agents.
    pub(crate) fn agents_door(&self) -> SocketAddr {
        SocketAddr::new(self.bind, self.ports.agent_stream)
    }

    /// All of 127.0.0.0/8 is this machine, so there each agent has an address of its own, and constraints on hostnames
    /// can be tried out. Elsewhere they differ by port only.
    pub(crate) fn agent_address(&self, number: u16) -> SocketAddr {
        let ip = match self.bind {
            IpAddr::V4(ip) if ip.is_loopback() => {
                Ipv4Addr::from(u32::from(ip).saturating_add(number.into())).into()
            }
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        SocketAddr::new(ip, self.ports.agent + number)
    }

    pub(crate) fn reconfiguration(&self) -> Reconfiguration {
        match self.reconfiguration_policy {
            Policy::Any => Reconfiguration::Any,
            Policy::Additive if self.resources.is_none() => Reconfiguration::AdditiveDetected,
            Policy::Additive => Reconfiguration::Additive,
            Policy::Equal => Reconfiguration::Equal,
        }
    }

    pub(crate) fn host_paths(&self) -> Result<HostPaths> {
        let paths = self.host_volumes.as_deref().map(HostPaths::only).transpose();
        Ok(paths.context("host_volumes")?.unwrap_or_default())
    }

    pub(crate) fn fault_domain(&self, number: u16) -> Option<&FaultDomain> {
        self.fault_domains.iter().cycle().nth(number.into())
    }

    fn check(&self) -> Result<()> {
        if !(1..=AGENTS_MAX).contains(&self.agents) {
            bail!("agents: {} is not between 1 and {AGENTS_MAX}", self.agents);
        }
        self.executors.check()?;
        self.image_gc.check()?;
        self.layer_sharing.check()?;
        self.fetcher.check()?;
        self.task_logs.policy()?;
        self.host_paths()?;
        if let Some(given) = self.resources.as_ref().filter(|_| self.agents > 1) {
            resources::judge_shared(given)?;
        }
        if self.ping.interval_seconds == 0 || self.ping.missed_max == 0 {
            bail!("ping: interval_seconds and missed_max are at least 1");
        }
        self.allocator.config(None)?;
        self.isolation.policy(Vec::new())?;
        self.mesos_authentication.access()?;
        if self.ports.agent.checked_add(self.agents - 1).is_none() {
            bail!("ports.agent: {} leaves no room for {} agents", self.ports.agent, self.agents);
        }
        if !self.bind.is_loopback() && !self.insecure_no_auth {
            bail!(
                "{} can be reached by others, and this release knows neither users nor passwords: whoever reaches it \
                 can run anything as root here. Leave out --bind, or add --insecure-no-auth if the network is safe.",
                self.bind
            );
        }
        if self.bind.is_unspecified() {
            bail!(
                "bind: {} is no address that anybody could be told. Give the one by which others reach this machine.",
                self.bind
            );
        }
        Ok(())
    }
}

impl File {
    fn load(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        Ok(serde_saphyr::from_str(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: Flags, file: &str) -> Result<Settings> {
        Settings::of(flags, File::parse(file)?)
    }

    fn refused(flags: Flags, file: &str, words: &[&str]) {
        let error = settings(flags, file).expect_err("it makes no sense");
        let text = format!("{error:#}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
    }

    #[test]
    fn nothing_has_to_be_said() {
        let settings = settings(Flags::default(), "").expect("defaults");
        assert_eq!(settings.bind.to_string(), "127.0.0.1");
        assert_eq!(settings.data_dir, Path::new("/var/lib/dcos"));
        assert_eq!((settings.ports.front_door, settings.ports.agent), (80, 5051));
        assert_eq!((settings.agents, settings.resources), (1, None));
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let file = "agents: 2\nbind: 127.0.0.2\nports: {marathon: 8081}\nstop_tasks: true";
        let flags = Flags { agents: Some(3), ..Flags::default() };
        let settings = settings(flags, file).expect("all of it makes sense");
        assert_eq!((settings.agents, settings.bind.to_string().as_str()), (3, "127.0.0.2"));
        assert_eq!((settings.ports.marathon, settings.ports.mesos_master), (8081, 5050));
        assert!(settings.stop_tasks);
    }

    #[test]
    fn what_is_misspelt_is_refused_with_what_is_known() {
        refused(Flags::default(), "prots: {}", &["prots", "ports", "data_dir"]);
        refused(Flags::default(), "ports: {marathn: 1}", &["marathn", "marathon", "front_door"]);
        refused(Flags::default(), "agents: many", &["agents"]);
        refused(Flags::default(), "resources: 'cpus'", &["resources", "cpus"]);
        refused(Flags::default(), "attributes: rack", &["attributes", "rack"]);
        refused(Flags::default(), "agents: 0", &["agents"]);
        refused(Flags::default(), "ping: {missed_max: 0}", &["missed_max"]);
        let silence = "executors: {registration_timeout_seconds: 0}";
        refused(Flags::default(), silence, &["registration_timeout_seconds"]);
        refused(Flags::default(), "host_volumes: [data]", &["host_volumes", "absolute"]);
        let silence = "fetcher: {stall_timeout_seconds: 0}";
        refused(Flags::default(), silence, &["stall_timeout_seconds"]);
        refused(Flags::default(), "fetcher: {size_max_mib: 0}", &["size_max_mib"]);
    }

    #[test]
    fn agents_on_loopback_have_addresses_of_their_own() {
        let check = |bind: &str, number, expected: &str| {
            let flags = Flags { insecure_no_auth: true, ..Flags::default() };
            let settings = settings(flags, &format!("bind: '{bind}'")).expect("it makes sense");
            assert_eq!(settings.agent_address(number).to_string(), expected);
        };
        check("127.0.0.1", 0, "127.0.0.1:5051");
        check("127.0.0.1", 2, "127.0.0.3:5053");
        check("10.0.0.1", 2, "10.0.0.1:5053");
        check("::1", 1, "[::1]:5052");
    }

    #[test]
    fn agents_take_turns_in_the_zones_of_their_region() {
        let flags = Flags { zone: Some("b,c".into()), ..Flags::default() };
        let file = "agents: 3\nfault_domain: {region: eu, zone: a}";
        let settings = settings(flags, file).expect("it makes sense");
        let zones = (0..3).filter_map(|number| settings.fault_domain(number));
        assert_eq!(zones.map(|one| one.zone.as_str()).collect::<Vec<_>>(), ["b", "c", "b"]);
        refused(Flags::default(), "fault_domain: {region: eu}", &["--zone"]);
    }

    #[test]
    fn others_are_kept_out_unless_that_is_said_to_be_safe() {
        refused(Flags::default(), "bind: 0.0.0.0", &["0.0.0.0", "--insecure-no-auth"]);
        let open = || Flags { insecure_no_auth: true, ..Flags::default() };
        assert!(settings(open(), "bind: 10.0.0.1").is_ok());
        refused(open(), "bind: 0.0.0.0", &["0.0.0.0", "by which others reach this machine"]);
        assert!(settings(Flags::default(), "bind: '::1'").is_ok());
    }
}
