//! How amounts, volumes, limits and the like are written in these words.

use std::net::IpAddr;
use std::time::Duration;

use super::Most;
use super::words::STOP_TIMEOUT_MAX;
use crate::confinement::{Tmpfs, TmpfsFlags};
use crate::container::{Rlimit, Rlimited, SoftHard, Volume, VolumeMode};

const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

const RLIMITS: [(&str, Rlimited); 16] = [
    ("as", Rlimited::AddressSpace),
    ("core", Rlimited::CoreFile),
    ("cpu", Rlimited::CpuTime),
    ("data", Rlimited::Data),
    ("fsize", Rlimited::FileSize),
    ("locks", Rlimited::Locks),
    ("memlock", Rlimited::LockedMemory),
    ("msgqueue", Rlimited::MessageQueues),
    ("nice", Rlimited::Nice),
    ("nofile", Rlimited::OpenFiles),
    ("nproc", Rlimited::Processes),
    ("rss", Rlimited::ResidentSet),
    ("rtprio", Rlimited::RealtimePriority),
    ("rttime", Rlimited::RealtimeTime),
    ("sigpending", Rlimited::PendingSignals),
    ("stack", Rlimited::Stack),
];

/// Those of the kernel's settings that a container has for itself.
const SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
const MESSAGE_QUEUES: &str = "fs.mqueue.";

/// A switch that is told nothing is on.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

pub(super) fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number".to_owned())
}

/// `-1` stands for no limit.
pub(super) fn amount(
    text: &str,
    read: impl Fn(&str) -> Result<u64, String>,
) -> Result<Most, String> {
    if text == "-1" { Ok(Most::Unlimited) } else { read(text).map(Most::Amount) }
}

/// `64m`, `1.5GB`, `4096`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let bad = || "expected an amount such as 64m or 1g".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    let amount: f64 = amount.parse().map_err(|_| bad())?;
    let power = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(bad()),
    };
    whole(amount * (1_u64 << power) as f64).ok_or_else(bad)
}

/// Of processors.
pub(super) fn millis(text: &str) -> Result<u64, String> {
    let count: f64 = text.parse().map_err(|_| "expected a number of processors".to_owned())?;
    let millis = whole(count * 1000.0).filter(|millis| *millis > 0);
    millis.ok_or_else(|| "expected a number of processors above 0".to_owned())
}

/// What a machine can have; beyond it a double is not exact.
fn whole(value: f64) -> Option<u64> {
    const MOST: f64 = (1_u64 << 53) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
    let whole = (0.0..=MOST).contains(&value).then_some(value as u64);
    whole
}

pub(super) fn whole_seconds(text: &str) -> Result<Duration, String> {
    let time = Duration::from_secs(number(text)?);
    if time <= STOP_TIMEOUT_MAX { Ok(time) } else { Err("expected a year at most".into()) }
}

/// `SIGUSR1`, `USR1`, `10`, as Linux numbers them.
pub fn signal(text: &str) -> Option<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = SIGNALS.iter().position(|known| *known == name);
    let named = named.and_then(|nth| i32::try_from(nth + 1).ok());
    let known = 1..=i32::try_from(SIGNALS.len()).ok()?;
    named.or_else(|| text.parse().ok().filter(|number| known.contains(number)))
}

/// `nofile=1024:4096`, `core=-1`.
pub(super) fn rlimit(text: &str) -> Result<Rlimit, String> {
    let bad = || "expected NAME=SOFT[:HARD], such as nofile=1024:4096".to_owned();
    let (name, values) = text.split_once('=').ok_or_else(bad)?;
    let of = RLIMITS.iter().find(|(known, _)| *known == name).map(|(_, of)| *of);
    let of = of.ok_or_else(|| {
        let names: Vec<&str> = RLIMITS.iter().map(|(name, _)| *name).collect();
        format!("there is no limit {name:?}, but {}", names.join(", "))
    })?;
    // All ones are no limit to the kernel.
    let one = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        text => text.parse().map_err(|_| bad()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (one(soft)?, one(hard)?);
    match (soft, hard) {
        (u64::MAX, u64::MAX) => Ok(Rlimit { of, values: None }),
        _ if soft > hard => Err("the soft limit is above the hard one".into()),
        _ => Ok(Rlimit { of, values: Some(SoftHard { soft, hard }) }),
    }
}

/// `name:1.2.3.4`, `name=::1`.
pub(super) fn host(text: &str) -> Result<(String, String), String> {
    let bad = || "expected NAME:ADDRESS".to_owned();
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, address) = parts.ok_or_else(bad)?;
    let address = address.trim_matches(['[', ']']);
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if is_name { Ok((name.to_owned(), address.to_string())) } else { Err(bad()) }
}

/// `kernel.shmmax=1000`.
pub(super) fn sysctl(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b));
    if SYSCTLS.contains(&name) || name.starts_with(MESSAGE_QUEUES) && is_plain {
        return Ok((name.to_owned(), value.to_owned()));
    }
    Err(format!(
        "{name} is the whole machine's: a container has only kernel.msg*, kernel.sem, kernel.shm* and \
         fs.mqueue.* for itself"
    ))
}

/// `/run`, `/run:size=64m,mode=755,exec`.
pub(super) fn tmpfs(text: &str) -> Result<Tmpfs, String> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    let mut tmpfs = new_tmpfs(path)?;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", size) => tmpfs.bytes_max = Some(bytes(size)?),
            ("mode", mode) => tmpfs.mode = Some(octal(mode)?),
            ("exec", "") => tmpfs.flags.executable = true,
            ("ro", "") => tmpfs.flags.read_only = true,
            // As it is anyway.
            ("rw" | "nosuid" | "nodev" | "noexec", "") => {}
            (name, _) => return Err(format!("{name:?} is none of size, mode, exec, ro and rw")),
        }
    }
    Ok(tmpfs)
}

fn new_tmpfs(path: &str) -> Result<Tmpfs, String> {
    let flags = TmpfsFlags::default();
    Ok(Tmpfs { path: inside(path)?, bytes_max: None, mode: None, flags })
}

fn octal(text: &str) -> Result<u32, String> {
    const MODE_MAX: u32 = 0o7777;
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= MODE_MAX);
    mode.ok_or_else(|| "expected a mode such as 1777".to_owned())
}

/// Where in the container.
fn inside(path: &str) -> Result<String, String> {
    let is_good = path.starts_with('/') && !path.split('/').any(|part| part == "..");
    if is_good { Ok(path.to_owned()) } else { Err("expected an absolute path, without ..".into()) }
}

/// `/data:/data:ro`.
pub(super) fn volume(text: &str) -> Result<Volume, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, path, options) = match parts[..] {
        [host, path] => (host, path, ""),
        [host, path, options] => (host, path, options),
        _ => return Err("expected HOST:CONTAINER[:ro]".into()),
    };
    let mut mode = VolumeMode::ReadWrite;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => mode = VolumeMode::ReadOnly,
            // Labels of SELinux, and what is usual.
            "rw" | "z" | "Z" | "rprivate" | "private" => {}
            _ => return Err(format!("{option:?} is neither ro nor rw")),
        }
    }
    bound(host, path, mode)
}

fn bound(host: &str, path: &str, mode: VolumeMode) -> Result<Volume, String> {
    if !host.starts_with('/') {
        return Err(
            "named volumes are not kept: name a directory of the agent, or make the volume \
                    persistent"
                .into(),
        );
    }
    let host_path = inside(host)?;
    Ok(Volume { container_path: inside(path)?, host_path, mode })
}

/// `type=bind,source=/data,target=/data,readonly`, `type=tmpfs,target=/run,tmpfs-size=64m`.
pub(super) fn mount(
    text: &str,
    volumes: &mut Vec<Volume>,
    all: &mut Vec<Tmpfs>,
) -> Result<(), String> {
    let (mut kind, mut source, mut target, mut mode) = ("volume", "", "", VolumeMode::ReadWrite);
    let (mut size, mut permissions) = (None, None);
    for part in text.split(',') {
        match part.split_once('=').unwrap_or((part, "")) {
            ("type", value) => kind = value,
            ("source" | "src", value) => source = value,
            ("target" | "destination" | "dst", value) => target = value,
            ("readonly" | "ro", value) if switch(value)? => mode = VolumeMode::ReadOnly,
            ("readonly" | "ro", _) => {}
            ("tmpfs-size", value) => size = Some(bytes(value)?),
            ("tmpfs-mode", value) => permissions = Some(octal(value)?),
            ("bind-propagation", "rprivate" | "private") => {}
            (name, _) => return Err(format!("{name:?} is not obeyed in a mount")),
        }
    }
    match kind {
        "bind" => volumes.push(bound(source, target, mode)?),
        "tmpfs" => {
            let flags = TmpfsFlags { executable: false, read_only: mode == VolumeMode::ReadOnly };
            all.push(Tmpfs { bytes_max: size, mode: permissions, flags, ..new_tmpfs(target)? });
        }
        _ => return Err("type is bind or tmpfs here; make other volumes persistent".into()),
    }
    Ok(())
}
