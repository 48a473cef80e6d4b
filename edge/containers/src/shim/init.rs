//! A container's first process. It prepares what the container will see, gives up what it may not have, starts the main
//! process and those of later sessions, passes signals on, reaps orphans and reports to the shim.
//!
//! It stands in for the program as process 1, because the kernel shields process 1 from the signals that it does not
//! handle: `sleep` would not heed SIGTERM. And since it is confined itself, whatever it starts later is in the same
//! namespaces, cgroups, capabilities and seccomp filter, without a process of the host ever entering the container. It
//! is a copy of the shim, not dumpable, and holds no descriptor of the host but its socket. When that closes, the shim
//! is gone, and the container ends with its init.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use model::container::Run;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags};

use super::confine::Confined;
use super::mounts::Detached;
use super::own_users::OwnUsers;
use super::process::Process;
use super::rights::Rights;
use super::spawn::{Child, is_already, spawn};
use super::{Machine, confine, users};
use crate::packet;
use crate::protocol::{FromInit, Launch, MAIN, ProcessNumber, ToInit};
use crate::spec::{Exec, Root};

/// What a shell gives back for a program that could not be started.
pub(super) const EXIT_NOT_STARTED: i32 = 127;

/// The container's ends of its standard streams.
pub(super) struct Stdio {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Init's whole life, from the moment at which it is alone in its namespaces: what it returns to the system.
pub(super) fn main(machine: &Machine, shim: OwnedFd, memory: Option<Detached>) -> i32 {
    let begun = confine::become_init().map_err(|e| format!("a container's first process: {e}"));
    let confined = match begun.and_then(|()| await_order(&shim)) {
        Ok(Some((launch, stdio, users))) => {
            let stop = stop_signal(&launch);
            confine::confine((&launch, users, memory), machine, &shim, stdio)
                .map(|confined| (confined, stop, launch.keeps))
        }
        Ok(None) => return EXIT_NOT_STARTED,
        Err(cause) => Err(cause),
    };
    match confined {
        Ok((confined, stop, keeps)) => {
            let Confined { main, rights, signals } = confined;
            let processes = BTreeMap::new();
            let mut running = Running { main, rights, shim, signals, stop, keeps, processes };
            running.start();
            running.serve()
        }
        Err(cause) => {
            // If the shim does not hear it, it is gone.
            let _ = packet::send(&shim, &FromInit::Failed { process: MAIN, cause }, &[]);
            EXIT_NOT_STARTED
        }
    }
}

fn stop_signal(launch: &Launch) -> Signal {
    let of_image = match &launch.spec.root {
        Root::Image { config, .. } => config.stop_signal,
        Root::Host => None,
    };
    let asked = launch.spec.confinement.stop_signal.or(of_image);
    asked.and_then(|signal| Signal::try_from(signal).ok()).unwrap_or(Signal::SIGTERM)
}

/// `None`: nobody needs us.
fn await_order(shim: &OwnedFd) -> Result<Option<(Launch, Stdio, Option<OwnUsers>)>, String> {
    let told = |e: std::io::Error| format!("waiting for the shim: {e}");
    let Some(packet) = packet::receive::<ToInit>(shim).map_err(told)? else { return Ok(None) };
    let mut fds = packet.fds.into_iter();
    let mut next = || fds.next();
    let (ToInit::Prepare, Some(stdin), Some(stdout), Some(stderr), Some(file)) =
        (packet.message, next(), next(), next(), next())
    else {
        return Err("it was not told what to prepare".into());
    };
    let launch = Launch::read(&File::from(file)).map_err(told)?;
    let users = launch.granted.users.zip(next()).map(|(map, fd)| OwnUsers::new(map, fd));
    if launch.granted.users.is_some() != users.is_some() {
        return Err("it was not told which users it has".into());
    }
    Ok(Some((launch, Stdio { stdin, stdout, stderr }, users)))
}

struct Running {
    main: Process,
    rights: Rights,
    shim: OwnedFd,
    signals: SignalFd,
    /// What asks processes to end.
    stop: Signal,
    /// It has no program, and stays until it is killed or its shim is gone.
    keeps: bool,
    processes: BTreeMap<i32, ProcessNumber>,
}

impl Running {
    fn start(&mut self) {
        if self.keeps {
            return self.report(&FromInit::Executed { process: MAIN }, None);
        }
        let started = spawn(&self.main, &self.rights, Vec::new());
        self.report_start(MAIN, started);
    }

    /// Until the main process has ended or the shim is gone.
    fn serve(&mut self) -> i32 {
        while self.keeps || self.processes.values().any(|process| *process == MAIN) {
            let mut polled =
                [PollFd::new(&self.shim, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            if rustix::event::poll(&mut polled, None).is_err() {
                continue;
            }
            let (asked, signalled) =
                (!polled[0].revents().is_empty(), !polled[1].revents().is_empty());
            if signalled {
                self.heed_signals();
            }
            if asked && !self.heed_shim() {
                return EXIT_NOT_STARTED;
            }
        }
        0
    }

    fn heed_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).expect("signals are small numbers");
            if signal == Signal::SIGCHLD as i32 {
                self.reap();
            } else {
                self.signal(MAIN, signal);
            }
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, status))) =
            rustix::process::wait(rustix::process::WaitOptions::NOHANG)
        {
            // Orphans of the container are ours to reap and nobody's to know.
            let pid = pid.as_raw_nonzero().get();
            if let Some(process) = self.processes.remove(&pid) {
                // What a session has left running ends with it; with the main process everything does.
                if process != MAIN {
                    kill_session(pid);
                }
                let ended = FromInit::Exited { process, wait_status: status.as_raw() };
                self.report(&ended, None);
            }
        }
    }

    /// False when the shim is gone.
    fn heed_shim(&mut self) -> bool {
        let Ok(Some(packet)) = packet::receive::<ToInit>(&self.shim) else { return false };
        match packet.message {
            ToInit::Exec { process, exec } => {
                let started = self.process_of(exec);
                let started = started.and_then(|exec| spawn(&exec, &self.rights, packet.fds));
                // One that became another user may have undone it.
                let _ = confine::hide_memory();
                self.report_start(process, started);
            }
            ToInit::Signal { process, signal } => self.signal(process, signal),
            // Heard before the main process was started.
            ToInit::Prepare | ToInit::Begin => {}
            // It would reach those whom the namespaces are kept for.
            ToInit::Terminate if self.keeps => {}
            // Who is not the first process would reach all of the machine; then the shim does it.
            ToInit::Terminate if nix::unistd::getpid() != Pid::from_raw(1) => {}
            ToInit::Terminate => {
                // Without effect on processes of other users, if we are not root. They follow by SIGKILL.
                let _ = nix::sys::signal::kill(Pid::from_raw(-1), self.stop);
            }
        }
        true
    }

    /// To the whole session of the process, as a terminal would do it.
    fn signal(&self, process: ProcessNumber, signal: i32) {
        let known = self.processes.iter().find(|(_, number)| **number == process);
        if let (Some((pid, _)), Ok(signal)) = (known, Signal::try_from(signal)) {
            if signal == Signal::SIGKILL && process != MAIN {
                kill_session(*pid);
            }
            // It may have ended just now.
            let _ = nix::sys::signal::killpg(Pid::from_raw(*pid), signal);
        }
    }

    fn process_of(&self, exec: Exec) -> Result<Process, String> {
        let identity = match &exec.user {
            Some(user) => Some(users::in_own_root(user)?).filter(|one| !is_already(one)),
            None => None,
        };
        if identity.is_some() && !self.rights.can_become() {
            return Err("a session of another user needs SETUID and SETGID, which the container may not have".into());
        }
        let mut environment = self.main.environment.clone();
        if let Some(identity) = &identity {
            users::set_variable(&mut environment, "HOME", &identity.home);
        }
        for (name, value) in &exec.environment {
            users::set_variable(&mut environment, name, value);
        }
        let argv = match exec.run {
            Run::Shell(text) => vec!["/bin/sh".into(), "-c".into(), text],
            Run::Exec(argv) | Run::Image(argv) => argv,
        };
        let working_dir = exec.working_dir.unwrap_or_else(|| self.main.working_dir.clone());
        Ok(Process { argv, environment, working_dir, terminal: exec.terminal, identity })
    }

    fn report_start(&mut self, process: ProcessNumber, started: Result<Child, String>) {
        match started {
            Ok(child) => {
                self.processes.insert(child.pid.as_raw(), process);
                self.report(&FromInit::Executed { process }, child.terminal.as_ref());
            }
            Err(cause) => self.report(&FromInit::Failed { process, cause }, None),
        }
    }

    fn report(&self, message: &FromInit, fd: Option<&OwnedFd>) {
        let fds: Vec<_> = fd.into_iter().map(AsFd::as_fd).collect();
        // If the shim does not hear it, it is gone, and so shall we be in a moment.
        let _ = packet::send(&self.shim, message, &fds);
    }
}

/// Whoever is in the session that this process leads, or led: a shell puts its jobs in groups of their own.
fn kill_session(leader: i32) {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids.map(Pid::from_raw) {
        if nix::unistd::getsid(Some(pid)) == Ok(Pid::from_raw(leader)) {
            // It may have ended just now.
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        }
    }
}
