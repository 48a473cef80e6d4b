//! What a task runs in and how: command, image, volumes, health checks. The words of Mesos' `CommandInfo`,
//! `ContainerInfo` and `HealthCheck`.

use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::confinement::Confinement;
use crate::secret::Secret;

/// How a process is started.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CommandInfo {
    #[n(0)]
    pub run: Run,
    /// In the order given; a later value of the same name wins.
    #[n(1)]
    pub environment: Vec<(String, String)>,
    /// Fetched into the sandbox before the start.
    #[n(2)]
    pub uris: Vec<Uri>,
    /// The Linux user; the agent's own if unset.
    #[n(3)]
    pub user: Option<String>,
    /// More of its environment; these win.
    #[cbor(n(4), default)]
    pub secrets: Vec<(String, Secret)>,
}

impl CommandInfo {
    /// As the agent's own user, with nothing in its environment and nothing fetched.
    pub fn plain(run: Run) -> Self {
        Self { run, environment: Vec::new(), uris: Vec::new(), user: None, secrets: Vec::new() }
    }

    /// All that its framework sets in its environment, each value in the clear.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let text = |secret: &Secret| String::from_utf8_lossy(secret.bytes()).into_owned();
        let secrets = self.secrets.iter().map(move |(name, secret)| (name.clone(), text(secret)));
        self.environment.iter().cloned().chain(secrets)
    }

    /// The same for a line of the shell.
    pub fn shell(line: impl Into<String>) -> Self {
        Self::plain(Run::Shell(line.into()))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Run {
    /// `/bin/sh -c <text>`.
    #[n(0)]
    Shell(#[n(0)] String),
    /// A program and its arguments, `argv[0]` included.
    #[n(1)]
    Exec(#[n(0)] Vec<String>),
    /// The image's entrypoint; the arguments, if any, replace the image's own `Cmd`.
    #[n(2)]
    Image(#[n(0)] Vec<String>),
}

/// Something to fetch into the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Uri {
    #[n(0)]
    pub value: String,
    #[n(1)]
    pub extract: bool,
    #[n(2)]
    pub executable: bool,
    #[n(3)]
    pub cache: bool,
    /// Where in the sandbox; the last part of the URI's path if unset.
    #[n(4)]
    pub output_file: Option<String>,
}

/// What surrounds the process.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ContainerInfo {
    #[n(0)]
    pub kind: ContainerKind,
    #[n(1)]
    pub image: Option<Image>,
    #[n(2)]
    pub volumes: Vec<Volume>,
    #[n(3)]
    pub privileged: bool,
    /// Allocates a terminal for the process.
    #[n(4)]
    pub tty: bool,
    /// Words for `docker run`, kept as given.
    #[n(5)]
    pub parameters: Vec<(String, String)>,
    #[n(6)]
    #[cbor(default)]
    pub shared: Vec<SharedVolume>,
    /// Seldom said.
    #[n(7)]
    pub bounds: Option<Box<Bounds>>,
}

/// How else a container differs from its machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Bounds {
    #[n(0)]
    pub hostname: Option<String>,
    /// What `setrlimit` is told.
    #[n(1)]
    pub rlimits: Vec<Rlimit>,
    #[cbor(n(2), default)]
    pub confinement: Confinement,
    /// Put in their places after all others.
    #[cbor(n(3), default)]
    pub volumes: Vec<OtherVolume>,
    /// Of its terminal, until somebody looks at it who has another.
    #[n(4)]
    pub window: Option<Window>,
}

/// How much a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Window {
    #[n(0)]
    pub rows: u16,
    #[n(1)]
    pub columns: u16,
}

/// A volume that is more than a path of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OtherVolume {
    /// Absolute, or relative to the sandbox.
    #[n(0)]
    pub container_path: String,
    #[n(1)]
    pub mode: VolumeMode,
    #[n(2)]
    pub source: VolumeSource,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum VolumeSource {
    /// The files of an image. What is written to them goes with the container.
    #[n(0)]
    Image(#[n(0)] Image),
    /// A path of the agent, with a word on what is mounted below it later.
    #[n(1)]
    HostPath {
        #[n(0)]
        path: String,
        #[n(1)]
        propagation: Propagation,
    },
    /// A file that is in memory only.
    #[n(2)]
    Secret(#[n(0)] Secret),
}

/// Which mounts made later are seen on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Propagation {
    /// Those of the machine in the container, as it is where nothing is said.
    #[n(0)]
    HostToContainer,
    /// Those of the container on the machine as well.
    #[n(1)]
    Bidirectional,
}

/// A limit of a process, and of those that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Rlimit {
    #[n(0)]
    pub of: Rlimited,
    /// `None`: no limit.
    #[n(1)]
    pub values: Option<SoftHard>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SoftHard {
    #[n(0)]
    pub soft: u64,
    #[n(1)]
    pub hard: u64,
}

/// What can be limited so: the resources of `setrlimit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Rlimited {
    #[n(0)]
    AddressSpace,
    #[n(1)]
    CoreFile,
    #[n(2)]
    CpuTime,
    #[n(3)]
    Data,
    #[n(4)]
    FileSize,
    #[n(5)]
    Locks,
    #[n(6)]
    LockedMemory,
    #[n(7)]
    MessageQueues,
    #[n(8)]
    Nice,
    #[n(9)]
    OpenFiles,
    #[n(10)]
    Processes,
    #[n(11)]
    ResidentSet,
    #[n(12)]
    RealtimePriority,
    #[n(13)]
    RealtimeTime,
    #[n(14)]
    PendingSignals,
    #[n(15)]
    Stack,
}

/// Which containerizer a user asked for. Both run on our own runtime; reads give back what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ContainerKind {
    #[n(0)]
    Mesos,
    #[n(1)]
    Docker,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Image {
    /// `nginx:1.25`, `registry:5000/team/app@sha256:...`.
    #[n(0)]
    pub name: String,
    /// Asks the registry even if the image is in the store.
    #[n(1)]
    pub force_pull: bool,
    /// A docker `config.json` that is shown to its registry.
    #[n(2)]
    pub login: Option<Secret>,
}

impl Image {
    /// One that is not looked for if it is there, and for everybody.
    pub fn plain(name: impl Into<String>) -> Self {
        Self { name: name.into(), force_pull: false, login: None }
    }
}

impl ContainerInfo {
    /// As it is told to who does not run it: without the values of secrets.
    pub fn without_secrets(mut self) -> Self {
        let withhold = |image: &mut Image| {
            image.login = image.login.take().map(|_| Secret::withheld());
        };
        self.image.iter_mut().for_each(withhold);
        for volume in self.bounds.iter_mut().flat_map(|bounds| &mut bounds.volumes) {
            match &mut volume.source {
                VolumeSource::Image(image) => withhold(image),
                VolumeSource::Secret(secret) => *secret = Secret::withheld(),
                VolumeSource::HostPath { .. } => (),
            }
        }
        self
    }
}

/// A directory or file of the agent inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Volume {
    /// Absolute, or relative to the sandbox.
    #[n(0)]
    pub container_path: String,
    /// Absolute, or relative to the sandbox.
    #[n(1)]
    pub host_path: String,
    #[n(2)]
    pub mode: VolumeMode,
}

/// A directory in the sandbox of an executor, inside the container of one of its tasks. All that name it share it; it is
/// made empty for the first and goes with the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SharedVolume {
    #[n(0)]
    pub name: String,
    /// Absolute, or relative to the task's own sandbox.
    #[n(1)]
    pub container_path: String,
    #[n(2)]
    pub mode: VolumeMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum VolumeMode {
    #[n(0)]
    ReadOnly,
    #[n(1)]
    ReadWrite,
}

/// A probe of a running task and what its failures lead to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HealthCheck {
    #[n(0)]
    pub probe: Probe,
    /// Before the first probe.
    #[n(1)]
    pub delay: Duration,
    #[n(2)]
    pub interval: Duration,
    #[n(3)]
    pub timeout: Duration,
    /// Failures are ignored for this long after the start, or until the first success.
    #[n(4)]
    pub grace: Duration,
    /// The task is killed after so many failures in a row; 0 means never.
    #[n(5)]
    pub failures_max: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Probe {
    /// Healthy means a status from 200 to 399.
    #[n(0)]
    Http {
        #[n(0)]
        scheme: Scheme,
        #[n(1)]
        port: u16,
        #[n(2)]
        path: String,
        #[n(3)]
        family: Family,
        /// A 1xx answer counts neither as a success nor as a failure.
        #[n(4)]
        ignore_1xx: bool,
    },
    #[n(1)]
    Tcp {
        #[n(0)]
        port: u16,
        #[n(1)]
        family: Family,
    },
    /// Runs inside the container; healthy means exit status 0.
    #[n(2)]
    Command(#[n(0)] Run, #[cbor(n(1), default)] Apart),
}

/// In what a check's command differs from its task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Apart {
    /// Besides what the task has.
    #[n(0)]
    pub environment: Vec<(String, String)>,
    #[n(1)]
    pub user: Option<String>,
}

impl Probe {
    /// With all that the task has.
    pub fn command(run: Run) -> Self {
        Probe::Command(run, Apart::default())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Scheme {
    #[n(0)]
    Http,
    #[n(1)]
    Https,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Family {
    #[n(0)]
    Ipv4,
    #[n(1)]
    Ipv6,
}

/// Says to service discovery what a task offers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DiscoveryInfo {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub ports: Vec<DiscoveryPort>,
    /// Seldom said, and kept once for each task.
    #[n(2)]
    pub more: Option<Box<DiscoveryMore>>,
}

/// What else service discovery can be told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct DiscoveryMore {
    #[n(0)]
    pub visibility: Visibility,
    #[n(1)]
    pub environment: Option<String>,
    #[n(2)]
    pub location: Option<String>,
    #[n(3)]
    pub version: Option<String>,
    #[n(4)]
    pub labels: Vec<(String, String)>,
}

/// To whom something is to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Visibility {
    #[default]
    #[n(0)]
    Framework,
    #[n(1)]
    Cluster,
    #[n(2)]
    External,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DiscoveryPort {
    #[n(0)]
    pub number: u16,
    #[n(1)]
    pub name: Option<String>,
    /// `tcp` or `udp`.
    #[n(2)]
    pub protocol: String,
    #[n(3)]
    pub labels: Vec<(String, String)>,
    /// Where it differs from the task's.
    #[n(4)]
    pub visibility: Option<Visibility>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_checks_are_read_as_they_were_written_before_they_had_more() {
        #[derive(Encode)]
        enum Before {
            #[n(2)]
            Command(#[n(0)] Run),
        }
        let run = Run::Shell("true".to_owned());
        let written = minicbor::to_vec(Before::Command(run.clone())).expect("memory takes all");
        assert_eq!(minicbor::decode::<Probe>(&written).expect("readable"), Probe::command(run));
    }
}
