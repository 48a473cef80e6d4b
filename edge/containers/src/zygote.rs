//! The process that shims are forked from: our own binary, started anew, with one thread and next to no memory, so
//! that a shim costs neither the exec of a large binary nor the pages that starting it would dirty.
//!
//! Its standard input is the socket to its daemon. It ends when that closes, and its shims stay.
#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use nix::sys::signal::{SigHandler, Signal};
use nix::unistd::ForkResult;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, getrlimit, pidfd_open, setrlimit};

use crate::Config;
use crate::packet;
use crate::protocol::{Launch, ToZygote};
use crate::shim::{self, Machine};

/// What the process is called.
const NAME: &CStr = c"dcos-zygote";

/// The hidden subcommand.
pub(crate) const COMMAND: &str = "zygote";

/// Shims that wait for a container. A launch that finds one saves two forks and the namespaces.
const SPARES_MAX: usize = 4;

/// The daemon has asked for nothing for so long: a good time to make another.
const REFILL_AFTER: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// What the zygote returns to the system if it cannot do its work.
const EXIT_FAILED: i32 = 1;

/// The daemon's side of a zygote.
#[derive(Debug)]
pub(crate) struct Zygote {
    process: Child,
    /// Closed to end the zygote.
    socket: Option<OwnedFd>,
}

impl Zygote {
    /// `home` is the group in which the zygote and all shims live, apart from the daemon's.
    pub(crate) fn start(config: &Config, home: &str) -> anyhow::Result<Zygote> {
        let program = &config.zygote_program;
        let (ours, theirs) = packet::pair().context("a socket for the zygote")?;
        // A container's root reaches it as `/proc/self/exe`, if it has its own first program be that (CVE-2019-5736), and
        // must not change the machine's.
        let sealed = shim::sealed(program)
            .with_context(|| format!("protecting the zygote {}", program.display()))?;
        let process = Command::new(format!("/proc/self/fd/{}", sealed.as_raw_fd()))
            .arg0("dcos")
            .args([COMMAND, home])
            .args(config.open_files.map(|most| most.to_string()))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting the zygote {}", program.display()))?;
        Ok(Zygote { process, socket: Some(ours) })
    }

    /// A new shim that sets up what `launch` describes and talks through `channel`. Fails if the zygote is gone.
    pub(crate) fn fork(&self, launch: &Launch, channel: &OwnedFd) -> io::Result<()> {
        let file = launch.write()?;
        let socket = self.socket.as_ref().expect("nobody asks after the end");
        packet::send(socket, &ToZygote::Fork, &[channel.as_fd(), file.as_fd()])
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Zygote {
    /// Shims stay.
    pub(crate) fn end(&mut self) {
        self.socket = None;
        // It ends by itself now, or has ended already; in both cases this only collects it.
        let _ = self.process.wait();
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.end();
    }
}

/// The zygote's whole life.
pub(crate) fn main(home: &OsStr, open_files: Option<&OsStr>) -> i32 {
    match open_files.map_or(Ok(()), limit_open_files).and_then(|()| serve(home)) {
        Ok(()) => 0,
        Err(e) => {
            let _ = writeln!(io::stderr(), "dcos zygote: {e:#}");
            EXIT_FAILED
        }
    }
}

/// Of this process, and so of all containers. The hard limit stays the daemon's.
fn limit_open_files(most: &OsStr) -> anyhow::Result<()> {
    let most = most.to_str().and_then(|most| most.parse().ok()).context("a number of files")?;
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: Some(most), maximum };
    setrlimit(Resource::Nofile, limit).context("limiting the number of open files")
}

fn serve(home: &OsStr) -> anyhow::Result<()> {
    let home = home.to_str().context("the name of a control group is text")?;
    let machine = Machine::look()?;
    rustix::thread::set_name(NAME).context("naming the process")?;
    // Ctrl-C and the stop of the daemon's unit must reach neither us nor the shims.
    nix::unistd::setsid().context("a session of its own")?;
    close_inherited();
    machine.hierarchies.join(home)?;
    // SAFETY: ignoring calls no code of ours. Ended shims need nobody to wait for them.
    unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    // Not granted everywhere; then shims are as likely victims as others when memory runs out.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-999");
    let mut spares = Spares::default();
    loop {
        let packet = match spares.are_complete() || is_asked(REFILL_AFTER)? {
            true => packet::receive::<ToZygote>(io::stdin()).context("the daemon's request")?,
            false => {
                spares.add(&machine)?;
                continue;
            }
        };
        let Some(packet) = packet else { break };
        let ToZygote::Fork = packet.message;
        // A child has no spares: they must see the zygote go, even if their brothers live on.
        if !spares.take(&packet.fds) && fork()?.is_none() {
            drop(spares);
            std::process::exit(become_shim(packet.fds, None, &machine))
        }
    }
    spares.end();
    Ok(())
}

/// Whether the daemon wants something, or has gone, before this time is over.
fn is_asked(within: Timespec) -> anyhow::Result<bool> {
    let stdin = io::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    match rustix::event::poll(&mut polled, Some(&within)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(e) => Err(e).context("waiting for the daemon"),
    }
}

/// Shims that were made when nothing else was to be done and wait for a container.
#[derive(Debug, Default)]
struct Spares(Vec<Spare>);

#[derive(Debug)]
struct Spare {
    /// It ends when this closes.
    socket: OwnedFd,
    process: OwnedFd,
}

impl Spares {
    fn are_complete(&self) -> bool {
        self.0.len() >= SPARES_MAX
    }

    fn add(&mut self, machine: &Machine) -> anyhow::Result<()> {
        let (ours, theirs) = packet::pair().context("a socket for a shim")?;
        let Some(pid) = fork()? else {
            drop(ours);
            self.0.clear();
            std::process::exit(be_spare(&theirs, machine))
        };
        let process = pidfd_open(pid, PidfdFlags::empty()).context("following a shim")?;
        self.0.push(Spare { socket: ours, process });
        Ok(())
    }

    /// False if there is none.
    fn take(&mut self, fds: &[OwnedFd]) -> bool {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        // One that somebody has killed takes nothing.
        while let Some(spare) = self.0.pop() {
            if packet::send(&spare.socket, &ToZygote::Fork, &fds).is_ok() {
                return true;
            }
        }
        false
    }

    /// Waits until they are gone, so that nothing is left of us in our control group.
    fn end(self) {
        let (sockets, processes): (Vec<_>, Vec<_>) =
            self.0.into_iter().map(|spare| (spare.socket, spare.process)).unzip();
        drop(sockets);
        for process in processes {
            let mut polled = [PollFd::new(&process, PollFlags::IN)];
            while rustix::event::poll(&mut polled, None) == Err(Errno::INTR) {}
        }
    }
}

/// `None` in the child.
fn fork() -> anyhow::Result<Option<Pid>> {
    // SAFETY: this process has one thread, so the child may do whatever its parent may.
    match unsafe { nix::unistd::fork() }.context("forking a shim")? {
        ForkResult::Parent { child } => Ok(Pid::from_raw(child.as_raw())),
        ForkResult::Child => Ok(None),
    }
}

/// What the daemon's parents have left open concerns nobody here.
fn close_inherited() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nothing has been opened by this process yet.
    unsafe { libc::close_range(FIRST, libc::c_uint::MAX, 0) };
}

fn be_spare(socket: &OwnedFd, machine: &Machine) -> i32 {
    let Ok(ready) = shim::Ready::make(machine) else { return EXIT_FAILED };
    match packet::receive::<ToZygote>(socket) {
        Ok(Some(packet)) => become_shim(packet.fds, Some(ready), machine),
        Ok(None) => ready.end(),
        Err(_) => EXIT_FAILED,
    }
}

fn become_shim(fds: Vec<OwnedFd>, ready: Option<shim::Ready>, machine: &Machine) -> i32 {
    let Ok([channel, file]) = <[OwnedFd; 2]>::try_from(fds) else { return EXIT_FAILED };
    let file = File::from(file);
    match Launch::read(&file) {
        Ok(launch) => shim::main(shim::Order { launch, file, channel }, ready, machine),
        // The daemon sees the channel close.
        Err(_) => EXIT_FAILED,
    }
}
