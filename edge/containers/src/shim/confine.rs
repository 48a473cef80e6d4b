//! From a fork of the shim, alone in new namespaces, to a process that may no more than the container may.
#![allow(unsafe_code)]

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::DumpableBehavior;

use super::Machine;
use super::bounds;
use super::init::Stdio;
use super::mounts::Detached;
use super::network;
use super::own_users::OwnUsers;
use super::process::Process;
use super::rights::{self, Rights};
use super::root::Growing;
use crate::packet;
use crate::policy::{self, FilterOf};
use crate::protocol::{Launch, ToInit};
use crate::seccomp::Filter;
use crate::spec::{Root, Spec};

/// New files are not for others to write to, as everywhere.
const UMASK: u32 = 0o022;

/// Passed on to the main process if somebody on the host sends them to init.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// What is to be run, and by whom.
pub(super) struct Confined {
    pub(super) main: Process,
    pub(super) rights: Rights,
    /// Those that init heeds.
    pub(super) signals: SignalFd,
}

/// Returns the main process, ready to be started. Says what went wrong, for the user.
pub(super) fn confine(
    (launch, users, memory): (&Launch, Option<OwnUsers>, Option<Detached>),
    machine: &Machine,
    shim: &OwnedFd,
    stdio: Stdio,
) -> Result<Confined, String> {
    let told = |what: &'static str| move |e: std::io::Error| format!("{what}: {e}");
    let spec = &launch.spec;
    take(stdio).map_err(told("standard streams"))?;
    be_alone(spec).map_err(told("namespaces"))?;
    network::enter(launch).map_err(|e| format!("{e:#}"))?;
    let reach = policy::reach(spec);
    let mut root = Growing::begin(launch, (users.as_ref(), memory), reach)?;
    let (process, identity) = Process::main(spec, root.path())?;
    name_machine(spec)?;
    if let Some(score) = spec.confinement.oom_score {
        fs::write("/proc/self/oom_score_adj", score.to_string())
            .map_err(|e| format!("oom-score-adj {score}: {e}"))?;
    }
    bounds::set(&spec.rlimits)?;
    wait_for_groups(shim)?;
    root.complete(&machine.hierarchies)?;
    root.make_working_dir(&process.working_dir);
    hide_groups(spec).map_err(told("a namespace of control groups"))?;
    root.enter(reach)?;
    let (granted, of_machine) = (&launch.granted, machine.capabilities);
    let asked = spec.confinement.no_new_privileges;
    let no_new_privileges = rights::no_new_privileges(&identity, asked, reach);
    if let Some(users) = users {
        users.enter(&identity, of_machine)?;
    }
    let rights = rights::rights(&identity, granted, no_new_privileges, of_machine);
    rights.take(&identity, of_machine).map_err(told("giving up rights"))?;
    let own;
    let filter = match &granted.filter {
        FilterOf::None => None,
        FilterOf::Usual => Some(&machine.filter),
        FilterOf::Own(program) => {
            own = Filter::new(program);
            Some(&own)
        }
    };
    let signals = finish(filter, &rights, shim).map_err(told("confining the container"))?;
    Ok(Confined { main: process, rights, signals })
}

fn name_machine(spec: &Spec) -> Result<(), String> {
    if let Some(hostname) = &spec.hostname {
        rustix::system::sethostname(hostname.as_bytes())
            .map_err(|e| format!("hostname {hostname}: {e}"))?;
    }
    if let Some(domain) = &spec.confinement.domain_name {
        rustix::system::setdomainname(domain.as_bytes())
            .map_err(|e| format!("domainname {domain}: {e}"))?;
    }
    Ok(())
}

fn take(stdio: Stdio) -> std::io::Result<()> {
    nix::unistd::dup2_stdin(&stdio.stdin)?;
    nix::unistd::dup2_stdout(&stdio.stdout)?;
    nix::unistd::dup2_stderr(&stdio.stderr)?;
    Ok(())
}

/// In the namespaces that are cheap, or whose contents must be those of this moment. Who has a root of its own cannot rename
/// the machine, whatever it may do.
fn be_alone(spec: &Spec) -> std::io::Result<()> {
    let mut namespaces = CloneFlags::CLONE_NEWNS;
    let is_named = spec.hostname.is_some() || spec.confinement.domain_name.is_some();
    namespaces.set(CloneFlags::CLONE_NEWUTS, is_named || spec.root != Root::Host);
    Ok(nix::sched::unshare(namespaces)?)
}

/// Who sees only the container's groups below `/sys/fs/cgroup` is told that it is in the topmost of them, by which programs
/// find their limits.
fn hide_groups(spec: &Spec) -> std::io::Result<()> {
    match spec.root {
        Root::Host => Ok(()),
        Root::Image { .. } => Ok(nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP)?),
    }
}

/// What it is before it knows its container.
pub(super) fn become_init() -> std::io::Result<()> {
    nix::unistd::setsid()?;
    // The zygote's own is not for tasks.
    fs::write("/proc/self/oom_score_adj", "0")?;
    hide_memory()?;
    // What is made for the container has the modes it is given.
    rustix::process::umask(rustix::fs::Mode::empty());
    Ok(())
}

/// What this process has in common with its shim is not for the container to see.
pub(super) fn hide_memory() -> std::io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// The shim makes them meanwhile.
fn wait_for_groups(shim: &OwnedFd) -> Result<(), String> {
    let packet =
        packet::receive::<ToInit>(shim).map_err(|e| format!("waiting for the shim: {e}"))?;
    match packet.map(|packet| packet.message) {
        Some(ToInit::Begin) => Ok(()),
        Some(ToInit::Terminate) => Err("it was stopped before it began".into()),
        Some(ToInit::Exec { .. } | ToInit::Signal { .. } | ToInit::Prepare) => {
            Err("it was asked for something before it began".into())
        }
        None => Err("its shim is gone".into()),
    }
}

/// Nothing of the host is left open, and nothing can be done any more that the container must not do.
fn finish(filter: Option<&Filter>, rights: &Rights, shim: &OwnedFd) -> std::io::Result<SignalFd> {
    // Becoming another user may have undone it.
    hide_memory()?;
    rustix::process::umask(rustix::fs::Mode::from(UMASK));
    close_all_but(shim.as_raw_fd())?;
    let mut heeded: SigSet = PASSED_ON.into_iter().collect();
    heeded.add(Signal::SIGCHLD);
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&heeded), None)?;
    let signals = SignalFd::with_flags(&heeded, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    if let Some(filter) = filter {
        filter.install()?;
    }
    rights.settle()?;
    Ok(signals)
}

/// Standard streams stay. Nothing of the host may be left open: a descriptor of a directory outside would be a way out.
fn close_all_but(kept: RawFd) -> std::io::Result<()> {
    const FIRST: RawFd = 3;
    // SAFETY: no value of this process owns any of them, but for those that end with it.
    unsafe {
        if kept > FIRST {
            nix::errno::Errno::result(libc::close_range(FIRST as u32, kept as u32 - 1, 0))?;
        }
        nix::errno::Errno::result(libc::close_range(kept as u32 + 1, u32::MAX, 0))?;
    }
    Ok(())
}
