//! How a container is set apart from its machine, and from others: capabilities, system calls, namespaces, devices.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

/// What differs from what every container has. Empty: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Confinement {
    #[n(0)]
    pub rights: Rights,
    #[n(1)]
    pub seccomp: Option<Seccomp>,
    /// Whether programs may gain rights by being executed. As the runtime has it if unset.
    #[n(2)]
    pub no_new_privileges: Option<bool>,
    /// Shared memory, semaphores and message queues: as the runtime has it if unset.
    #[n(3)]
    pub ipc: Option<Sharing>,
    /// Process numbers: likewise.
    #[n(4)]
    pub pid: Option<Sharing>,
    /// Of `/dev/shm`.
    #[n(5)]
    pub shm_bytes: Option<u64>,
    #[n(6)]
    pub read_only_root: bool,
    /// Leaves what tells about the host, or changes it, in view.
    #[n(7)]
    pub unmasked: bool,
    #[cbor(n(8), default)]
    pub tmpfs: Vec<Tmpfs>,
    #[cbor(n(9), default)]
    pub devices: Vec<Device>,
    /// Further groups of its user, by name or number.
    #[cbor(n(10), default)]
    pub groups: Vec<String>,
    /// Addresses by name, besides those that the machine knows.
    #[cbor(n(11), default)]
    pub hosts: Vec<(String, String)>,
    /// Lines for `/etc/resolv.conf`, in place of the machine's own.
    #[cbor(n(12), default)]
    pub resolver: Vec<String>,
    /// Settings of the kernel that belong to its namespaces.
    #[cbor(n(13), default)]
    pub sysctls: Vec<(String, String)>,
    /// In place of the image's own.
    #[n(14)]
    pub entrypoint: Option<Vec<String>>,
    #[n(15)]
    pub working_dir: Option<String>,
    /// What asks its processes to end; SIGTERM if neither this nor the image says so.
    #[n(16)]
    pub stop_signal: Option<i32>,
    #[n(17)]
    pub domain_name: Option<String>,
    /// How readily the kernel kills it when the machine's memory runs out: 0 to 1000.
    #[n(18)]
    pub oom_score: Option<u16>,
    /// Whose users its users are: numbers of its own stand for others of the machine if private. As the operator has it if
    /// unset.
    #[n(19)]
    pub users: Option<Sharing>,
    /// Its network: one of its own, with nothing in it but the loopback, if private.
    #[n(20)]
    pub net: Option<Sharing>,
}

/// What root may do in the container, and what any program of it can ever gain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub enum Rights {
    /// What the operator and the runtime say.
    #[default]
    #[n(0)]
    Usual,
    /// The usual ones and some more, or fewer.
    #[n(1)]
    Changed {
        #[n(0)]
        add: Capabilities,
        #[n(1)]
        drop: Capabilities,
    },
    /// Exactly these, whoever its user is.
    #[n(2)]
    Exactly {
        #[n(0)]
        effective: Option<Capabilities>,
        #[n(1)]
        bounding: Option<Capabilities>,
    },
}

/// Which system calls are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Seccomp {
    #[n(0)]
    Unconfined,
    /// One of the profiles of the agent.
    #[n(1)]
    Profile(#[n(0)] String),
}

/// With whom a container shares a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Sharing {
    #[n(0)]
    Private,
    /// The container that it lies in, or its group; of others the machine.
    #[n(1)]
    Parent,
}

/// What those share who are in a group and have it of their parent: if that has it of the machine, the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Namespaces {
    #[n(0)]
    pub pid: Option<Sharing>,
    #[n(1)]
    pub ipc: Option<Sharing>,
    /// Of their `/dev/shm`.
    #[n(2)]
    pub shm_bytes: Option<u64>,
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Tmpfs {
    #[n(0)]
    pub path: String,
    #[n(1)]
    pub bytes_max: Option<u64>,
    /// Of its root; 1777 if unset.
    #[n(2)]
    pub mode: Option<u32>,
    #[n(3)]
    pub flags: TmpfsFlags,
}

/// What programs may do in it beyond what is usual there, which is next to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct TmpfsFlags {
    #[n(0)]
    pub executable: bool,
    #[n(1)]
    pub read_only: bool,
}

/// A device of the machine, seen in the container.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Device {
    #[n(0)]
    pub host_path: String,
    #[n(1)]
    pub container_path: String,
    /// Of `r`, `w` and `m`.
    #[n(2)]
    pub access: String,
}

/// A set of them; bit n stands for number n of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Capabilities(#[n(0)] pub u64);

/// In the order of their numbers.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no capability; they are named as in capabilities(7), such as NET_ADMIN")]
pub struct NoCapability(pub String);

impl Capabilities {
    pub const NONE: Capabilities = Capabilities(0);
    pub const ALL: Capabilities = Capabilities((1 << NAMES.len()) - 1);

    pub fn number(number: u32) -> Option<Self> {
        Some(Self(1_u64.checked_shl(number)?)).filter(|one| Self::ALL.contains(*one))
    }

    pub fn contains(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |number| self.0 >> number & 1 == 1)
    }
}

/// One by its name, in capitals or not, with or without `CAP_`; `ALL` for all.
impl FromStr for Capabilities {
    type Err = NoCapability;

    fn from_str(text: &str) -> Result<Self, NoCapability> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name == "ALL" {
            return Ok(Self::ALL);
        }
        let number = NAMES.iter().position(|known| *known == name);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.and_then(Self::number).ok_or_else(|| NoCapability(text.to_owned()))
    }
}

/// `CHOWN, KILL`; numbers where this release knows no name.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |number: u32| {
            let known = usize::try_from(number).ok().and_then(|nth| NAMES.get(nth));
            known.map_or_else(|| number.to_string(), ToString::to_string)
        };
        let names: Vec<String> = self.numbers().map(name).collect();
        if names.is_empty() { f.write_str("none") } else { f.write_str(&names.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_the_names_that_the_kernel_documents() {
        let check = |text: &str, bits: Option<u64>| {
            assert_eq!(text.parse().ok(), bits.map(Capabilities), "{text}");
        };
        check("CHOWN", Some(1));
        check("cap_net_admin", Some(1 << 12));
        check("CHECKPOINT_RESTORE", Some(1 << 40));
        check("all", Some(0x1ff_ffff_ffff));
        check("NET", None);
        check("", None);
    }

    #[test]
    fn sets_are_told_by_name() {
        let check = |bits: u64, text: &str| assert_eq!(Capabilities(bits).to_string(), text);
        check(0, "none");
        check(1 << 5 | 1, "CHOWN, KILL");
        check(1 << 50, "50");
    }
}
