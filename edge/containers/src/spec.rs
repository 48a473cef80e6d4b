//! What to run and how, as the agent describes it. Travels to the shim as CBOR, so that it can be read by a shim of the next release.

use std::path::PathBuf;
use std::time::Duration;

use minicbor::{Decode, Encode};
use model::confinement::{Confinement, Device, Sharing};
use model::container::{Rlimit, Run, Volume, VolumeMode};
use model::id::ContainerId;
use model::secret::Secret;

/// Between the names of a container and of the one that it lies in: `outer.inner`.
pub const WITHIN: char = '.';

/// One container. One whose name says that it lies in another uses what that may use, and ends with it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Spec {
    #[n(0)]
    pub container: ContainerId,
    /// The task's directory on this machine; it exists and belongs to the user. Log files are written here.
    #[n(1)]
    pub sandbox: PathBuf,
    #[n(2)]
    pub run: Run,
    /// Complete but for `MESOS_SANDBOX`, which depends on the root, and what the image itself sets.
    #[n(3)]
    pub environment: Vec<(String, String)>,
    /// A name or a number, with `:group` if wanted. Unset: the image's user, or root.
    #[n(4)]
    pub user: Option<String>,
    #[n(5)]
    pub root: Root,
    /// Relative host paths lie in the sandbox and are created; relative container paths are links or mounts in it.
    #[n(6)]
    pub volumes: Vec<Volume>,
    #[n(7)]
    pub limits: Limits,
    /// The process gets a terminal of this size; its output goes to the `stdout` file.
    #[n(8)]
    pub terminal: Option<WindowSize>,
    /// All capabilities, all devices, no seccomp. Refused unless `Config::allow_privileged`.
    #[n(9)]
    pub privileged: bool,
    #[n(10)]
    pub logs: Logs,
    /// The host's name if unset.
    #[n(11)]
    pub hostname: Option<String>,
    /// Of each of its processes, as `setrlimit` takes them.
    #[cbor(n(12), default)]
    pub rlimits: Vec<Rlimit>,
    #[cbor(n(13), default)]
    pub confinement: Confinement,
    /// After the volumes, in order.
    #[cbor(n(14), default)]
    pub mounts: Vec<Mount>,
    /// What the agent has set aside for it, whatever containers may ask for themselves.
    #[cbor(n(15), default)]
    pub devices: Vec<Device>,
    /// What is run, as root on the machine, while its root is there and nobody is in it.
    #[cbor(n(16), default)]
    pub hooks: Vec<Hook>,
    /// Whose control groups its own lie in, which limit all that name the same: then its own limits are what it is weighed
    /// by among those.
    #[n(17)]
    pub pool: Option<ContainerId>,
    /// What it has in common with others, of what its confinement says that it has of its parent. The rest of that is the
    /// machine's.
    #[n(18)]
    pub shares: Option<Shares>,
    /// To which what is written over its images is counted; its sandbox and that lie on the same file system.
    #[n(19)]
    pub project: Option<u32>,
    /// The file of a network namespace that somebody has made and fitted out, which it is put into. Who has made it keeps
    /// it, and removes it after the container's end.
    #[n(20)]
    pub network: Option<PathBuf>,
}

/// Namespaces that those have in common who name the same group.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Shares {
    #[n(0)]
    pub group: ContainerId,
    /// Process numbers.
    #[n(1)]
    pub pid: bool,
    /// Shared memory, semaphores and message queues.
    #[n(2)]
    pub ipc: bool,
    /// Of their `/dev/shm`; the first to be launched says it for all.
    #[n(3)]
    pub shm_bytes: Option<u64>,
    /// A network with nothing in it but the loopback.
    #[cbor(n(4), default)]
    pub net: bool,
}

/// A program of the machine that finishes a container's root, as the OCI's `createContainer` has it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hook {
    #[n(0)]
    pub program: PathBuf,
    /// With its own name first.
    #[n(1)]
    pub arguments: Vec<String>,
    /// All of its environment, as `NAME=VALUE`.
    #[n(2)]
    pub environment: Vec<String>,
}

impl Spec {
    pub(crate) fn is_nested(&self) -> bool {
        self.container.as_str().contains(WITHIN)
    }

    /// Of a container that shares process numbers with the machine, nobody ends by the end of its init.
    pub(crate) fn shares_pids(&self) -> bool {
        self.confinement.pid == Some(Sharing::Parent)
    }

    /// Whether some of its mounts are images, which need layers of the container's own.
    pub(crate) fn has_images(&self) -> bool {
        self.mounts.iter().any(|mount| matches!(mount.source, Source::Layers(_)))
    }
}

/// What is put into a container that is more than a directory of the agent's own.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Mount {
    /// As a volume's.
    #[n(0)]
    pub container_path: String,
    #[n(1)]
    pub mode: VolumeMode,
    #[n(2)]
    pub source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Source {
    /// What is at `path` below `root` on the machine, without following links.
    #[n(0)]
    Host {
        #[n(0)]
        root: PathBuf,
        #[n(1)]
        path: PathBuf,
        /// What the container mounts in it is mounted on the machine as well. The other way round it is so in any case.
        #[n(2)]
        both_ways: bool,
    },
    /// Of an image, unpacked, the lowest first. What is written to it goes with the container.
    #[n(1)]
    Layers(#[n(0)] Vec<PathBuf>),
    /// In a file that is in memory only.
    #[n(2)]
    Secret(#[n(0)] Secret),
}

/// What the container sees as `/`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Root {
    /// The host's own file system, as Mesos' command tasks see it.
    #[n(0)]
    Host,
    /// Layers under a writable one that goes with the container.
    #[n(1)]
    Image {
        /// Unpacked, the lowest first.
        #[n(0)]
        layers: Vec<PathBuf>,
        #[n(1)]
        config: ImageConfig,
    },
}

/// The parts of an OCI image's config that say how to run it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct ImageConfig {
    #[n(0)]
    pub entrypoint: Vec<String>,
    #[n(1)]
    pub command: Vec<String>,
    #[n(2)]
    pub environment: Vec<(String, String)>,
    #[n(3)]
    pub working_dir: Option<String>,
    #[n(4)]
    pub user: Option<String>,
    /// What asks its processes to end; SIGTERM if neither this nor the task says so.
    #[n(5)]
    pub stop_signal: Option<i32>,
}

/// What the kernel enforces. `None` means no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// Thousandths of a CPU: the weight among containers.
    #[n(0)]
    pub cpu_millis: u64,
    /// Thousandths of a CPU that cannot be exceeded.
    #[n(1)]
    pub cpu_millis_max: Option<u64>,
    /// Memory and swap together.
    #[n(2)]
    pub memory_bytes_max: Option<u64>,
    #[n(3)]
    pub processes_max: Option<u64>,
    /// Left to it when the machine runs short.
    #[n(4)]
    pub memory_bytes_kept: Option<u64>,
    /// On top of memory; none if unset, as much as there is if all ones.
    #[n(5)]
    pub swap_bytes_max: Option<u64>,
    /// In place of those that its share of the processors gives.
    #[n(6)]
    pub cpu_shares: Option<u64>,
}

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Logs {
    /// To files of the sandbox, or not.
    #[n(2)]
    pub stdout: Option<LogFiles>,
    #[n(3)]
    pub stderr: Option<LogFiles>,
    #[n(4)]
    pub journal: Option<Journal>,
}

impl Default for Logs {
    fn default() -> Self {
        Self::in_files(LogFiles::default())
    }
}

impl Logs {
    /// Both streams alike.
    pub fn in_files(files: LogFiles) -> Self {
        Self { stdout: Some(files.clone()), stderr: Some(files), journal: None }
    }
}

/// How much of a stream is kept: `stdout`, `stdout.1` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LogFiles {
    #[n(0)]
    pub file_bytes_max: u64,
    /// Older files beside the current one.
    #[n(1)]
    pub old_files_max: u32,
}

impl Default for LogFiles {
    /// As DC/OS ships it.
    fn default() -> Self {
        Self { file_bytes_max: 2 * 1024 * 1024, old_files_max: 9 }
    }
}

/// The machine's journal, and what is said of each line besides its text and stream.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Journal {
    /// Where it listens.
    #[n(0)]
    pub socket: PathBuf,
    #[n(1)]
    pub fields: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct WindowSize {
    #[n(0)]
    pub rows: u16,
    #[n(1)]
    pub columns: u16,
}

/// One more process in a running container.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Exec {
    #[n(0)]
    pub run: Run,
    /// On top of the container's own.
    #[n(1)]
    pub environment: Vec<(String, String)>,
    /// The container's own user if unset.
    #[n(2)]
    pub user: Option<String>,
    /// The container's own working directory if unset.
    #[n(3)]
    pub working_dir: Option<String>,
    #[n(4)]
    pub terminal: Option<WindowSize>,
}

/// What a container has used so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu_user: Duration,
    pub cpu_system: Duration,
    /// Thousandths of a CPU that cannot be exceeded.
    pub cpu_millis_max: Option<u64>,
    pub cpu_periods: u64,
    pub cpu_periods_throttled: u64,
    pub cpu_throttled: Duration,
    /// Anonymous memory.
    pub memory_rss_bytes: u64,
    /// Everything charged, page cache included.
    pub memory_bytes: u64,
    pub memory_bytes_max: Option<u64>,
    pub memory_cache_bytes: u64,
    pub memory_mapped_bytes: u64,
    pub memory_unevictable_bytes: u64,
    /// Where swap is accounted.
    pub memory_swap_bytes: Option<u64>,
    pub processes: u64,
    /// By device; those without traffic are left out.
    pub blocks: Vec<BlockTraffic>,
}

/// What went to and from a block device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockTraffic {
    pub major: u32,
    pub minor: u32,
    pub reads: u64,
    pub writes: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
}
