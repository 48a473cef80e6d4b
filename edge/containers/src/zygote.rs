//! The process that shims are forked from: our own binary, started anew, with one thread and next to no memory, so
//! that a shim costs neither the exec of a large binary nor the pages that starting it would dirty.
//!
//! Its standard input is the socket to its daemon. It ends when that closes, and its shims stay.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use nix::sys::signal::{SigHandler, Signal};
use nix::unistd::ForkResult;
use rustix::fs::MemfdFlags;

use crate::packet;
use crate::protocol::{Launch, ToZygote};
use crate::shim::{self, Machine};

/// The hidden subcommand.
pub(crate) const COMMAND: &str = "zygote";

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
    pub(crate) fn start(program: &Path, home: &str) -> anyhow::Result<Zygote> {
        let (ours, theirs) = packet::pair().context("a socket for the zygote")?;
        let process = Command::new(program)
            .arg0("dcos")
            .args([COMMAND, home])
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
        let file = rustix::fs::memfd_create("launch", MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        file.write_all(&minicbor::to_vec(launch).map_err(io::Error::other)?)?;
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
pub(crate) fn main(home: &OsStr) -> i32 {
    match serve(home) {
        Ok(()) => 0,
        Err(e) => {
            let _ = writeln!(io::stderr(), "dcos zygote: {e:#}");
            EXIT_FAILED
        }
    }
}

fn serve(home: &OsStr) -> anyhow::Result<()> {
    let home = home.to_str().context("the name of a control group is text")?;
    let machine = Machine::look()?;
    // Ctrl-C and the stop of the daemon's unit must reach neither us nor the shims.
    nix::unistd::setsid().context("a session of its own")?;
    close_inherited();
    machine.hierarchies.join(home)?;
    // SAFETY: ignoring calls no code of ours. Ended shims need nobody to wait for them.
    unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    // Not granted everywhere; then shims are as likely victims as others when memory runs out.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-999");
    let stdin = io::stdin();
    while let Some(packet) = packet::receive::<ToZygote>(&stdin).context("the daemon's request")? {
        let ToZygote::Fork = packet.message;
        // SAFETY: this process has one thread, so the child may do whatever its parent may.
        if let ForkResult::Child = unsafe { nix::unistd::fork() }.context("forking a shim")? {
            let code = become_shim(packet.fds, &machine);
            std::process::exit(code)
        }
    }
    Ok(())
}

/// What the daemon's parents have left open concerns nobody here.
fn close_inherited() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nothing has been opened by this process yet.
    unsafe { libc::close_range(FIRST, libc::c_uint::MAX, 0) };
}

fn become_shim(fds: Vec<OwnedFd>, machine: &Machine) -> i32 {
    let Ok([channel, file]) = <[OwnedFd; 2]>::try_from(fds) else { return EXIT_FAILED };
    match read_launch(file) {
        Ok(launch) => shim::main(launch, channel, machine),
        // The daemon sees the channel close.
        Err(_) => EXIT_FAILED,
    }
}

fn read_launch(file: OwnedFd) -> anyhow::Result<Launch> {
    let mut file = std::fs::File::from(file);
    // The daemon has written it and shares our position.
    io::Seek::rewind(&mut file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(minicbor::decode(&bytes)?)
}
