//! A container's parent. One thread, one loop over everything that can happen: output to be kept, requests, signals,
//! what the container's init reports, the grace period. Small, because there are as many as there are containers.

mod bounds;
mod confine;
mod connections;
mod ending;
mod extras;
mod hooks;
mod init;
mod join;
mod journal;
mod logs;
mod machine;
mod mounts;
mod network;
mod own_users;
mod process;
mod rights;
mod root;
mod spawn;
mod start;
mod users;
mod volumes;

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::task::Reason;
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use self::connections::Connections;
use self::logs::Log;
pub(crate) use self::machine::Machine;
pub(crate) use self::mounts::sealed;
pub(crate) use self::start::Ready;
use crate::cgroup::Hierarchies;
use crate::packet;
use crate::protocol::{Answer, FromInit, Launch, MAIN, ToInit};
use crate::spec::{Exec, Limits};

/// Setting up takes milliseconds; what takes this long hangs.
const SET_UP_MS_MAX: u64 = 60_000;

/// A year: who waits longer does not want to kill.
const GRACE_MS_MAX: u64 = 365 * 24 * 3600 * 1000;

const OUTPUT_BYTES_AT_ONCE: usize = 64 * 1024;

/// What `wait` returns for a killed process.
const KILLED: i32 = 9;

/// What a shim is for.
pub(crate) struct Order {
    pub(crate) launch: Launch,
    /// Holds the launch, too.
    pub(crate) file: File,
    /// To the daemon.
    pub(crate) channel: OwnedFd,
}

/// A shim's whole life: what it returns to the system.
pub(crate) fn main(order: Order, ready: Option<Ready>, machine: &Machine) -> i32 {
    match start::start(order, ready, machine) {
        Ok(shim) => shim.serve(),
        Err(code) => code,
    }
}

struct Shim<'a> {
    place: Place,
    hierarchies: &'a Hierarchies,
    limits: Limits,
    /// Another container.
    shares_cpu: bool,
    signals: SignalFd,
    connections: Connections,
    /// Our end of the socket to the container's init, until that has closed.
    init: Option<OwnedFd>,
    phase: Phase,
    /// Set by the first request to stop.
    kill_at: Option<Instant>,
    /// Init would reach all of the machine: its group says who is meant.
    shares_pids: bool,
    outputs: Vec<Output>,
    /// For the terminal, which arrives with init's first report.
    terminal_log: Option<Log>,
    buffer: Vec<u8>,
}

/// What must go when the container goes.
#[derive(Debug)]
struct Place {
    run_dir: PathBuf,
    layer_dir: PathBuf,
    cgroup: String,
    /// That of its pool.
    pool: Option<String>,
}

struct Output {
    stream: Stream,
    from: OwnedFd,
    log: Log,
    /// Who looks on, by connection.
    watchers: Vec<(u64, OwnedFd)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Output,
    Errors,
    Terminal,
}

impl Output {
    fn new(stream: Stream, from: OwnedFd, log: Log) -> Output {
        Output { stream, from, log, watchers: Vec::new() }
    }

    /// Nobody who looks on holds up the container: what does not fit into its pipe it misses.
    fn keep(&mut self, bytes: &[u8]) {
        self.log.write(bytes);
        let takes = |to: &OwnedFd| match rustix::io::write(to, bytes) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => true,
            Err(_) => false,
        };
        self.watchers.retain(|(_, to)| takes(to));
    }
}

enum Phase {
    /// Init is there and has not yet executed the program.
    Starting {
        init: Pid,
        give_up_at: Instant,
    },
    /// `ended` is what init has seen the main process end with.
    Running {
        init: Pid,
        ended: Option<i32>,
    },
    Failed {
        reason: Reason,
        cause: String,
    },
    /// With what `wait` returned for the main process.
    Ended(i32),
}

/// Where something has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Init,
    Signals,
    Output(usize),
    Listener,
    Connection(u64),
}

impl Shim<'_> {
    fn serve(mut self) -> i32 {
        loop {
            match self.phase {
                Phase::Starting { .. } | Phase::Running { .. } => {
                    for source in self.wait() {
                        self.heed(source);
                    }
                    self.keep_deadlines();
                }
                Phase::Failed { reason, cause } => {
                    let failed = Answer::Failed { reason, cause };
                    return ending::give_up(
                        &self.place,
                        self.hierarchies,
                        &self.connections,
                        &failed,
                    );
                }
                Phase::Ended(wait_status) => return self.finish(wait_status),
            }
        }
    }

    /// Sources in the order in which they are to be heeded: who reports before who has ended.
    fn wait(&self) -> Vec<Source> {
        let mut sources = Vec::new();
        sources.extend(self.init.iter().map(|init| (Source::Init, init.as_fd())));
        sources.push((Source::Signals, self.signals.as_fd()));
        sources.push((Source::Listener, self.connections.listener()));
        let outputs = self.outputs.iter().enumerate().rev();
        sources.extend(outputs.map(|(n, output)| (Source::Output(n), output.from.as_fd())));
        sources.extend(self.connections.sockets().map(|(key, fd)| (Source::Connection(key), fd)));
        let mut polled: Vec<PollFd<'_>> =
            sources.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        if rustix::event::poll(&mut polled, self.time_left().as_ref()).is_err() {
            return Vec::new();
        }
        let ready = polled.iter().zip(&sources).filter(|(fd, _)| !fd.revents().is_empty());
        ready.map(|(_, (source, _))| *source).collect()
    }

    fn time_left(&self) -> Option<Timespec> {
        let give_up_at = match self.phase {
            Phase::Starting { give_up_at, .. } => Some(give_up_at),
            Phase::Running { .. } | Phase::Failed { .. } | Phase::Ended(_) => None,
        };
        let at = [give_up_at, self.kill_at].into_iter().flatten().min()?;
        let left = at.saturating_duration_since(Instant::now());
        Some(Timespec::try_from(left).expect("deadlines are near"))
    }

    fn heed(&mut self, source: Source) {
        match source {
            Source::Init => {
                self.hear_init();
            }
            Source::Signals => self.reap(),
            Source::Output(n) => {
                if !self.keep_output(n) {
                    self.outputs.remove(n).log.close();
                }
            }
            Source::Listener => self.connections.accept(),
            Source::Connection(key) => self.serve_connection(key),
        }
    }

    /// False if there is nothing more to hear at present.
    fn hear_init(&mut self) -> bool {
        let Some(packet) = self.last_words() else { return false };
        match packet.message {
            FromInit::Executed { process: MAIN } => {
                if let (Some(log), Some(from)) =
                    (self.terminal_log.take(), packet.fds.into_iter().next())
                {
                    // If it could not be set, reads still wait for poll to say so.
                    let _ = start::set_nonblocking(&from);
                    self.outputs.push(Output::new(Stream::Terminal, from, log));
                }
                self.main_executed();
            }
            FromInit::Executed { process } => self.connections.executed(process, packet.fds),
            FromInit::Failed { process: MAIN, cause } => self.fail(cause),
            FromInit::Failed { process, cause } => {
                self.connections.end(process, &Answer::Refused(cause))
            }
            FromInit::Exited { process: MAIN, wait_status } => {
                if let Phase::Running { ended, .. } = &mut self.phase {
                    *ended = Some(wait_status);
                }
            }
            FromInit::Exited { process, wait_status } => {
                self.connections.exited(process, wait_status)
            }
        }
        true
    }

    /// What init has said and nobody has heard yet.
    fn last_words(&mut self) -> Option<packet::Packet<FromInit>> {
        match packet::receive(self.init.as_ref()?) {
            Ok(Some(packet)) => Some(packet),
            // It ended without reading all we said. What it had said is still there, and the error is told once.
            Err(e) if e.kind() == ErrorKind::ConnectionReset => self.last_words(),
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            // It has ended, or talks nonsense and shall end. The signal of its end follows.
            Ok(None) | Err(_) => {
                self.init = None;
                if let Some(init) = self.init_process() {
                    let _ = rustix::process::kill_process(init, Signal::KILL);
                }
                None
            }
        }
    }

    fn init_process(&self) -> Option<Pid> {
        match self.phase {
            Phase::Starting { init, .. } | Phase::Running { init, .. } => Some(init),
            Phase::Failed { .. } | Phase::Ended(_) => None,
        }
    }

    fn main_executed(&mut self) {
        let Phase::Starting { init, .. } = self.phase else { return };
        if let Err(cause) = self.limit_cpu() {
            return self.fail(format!("{cause:#}"));
        }
        self.phase = Phase::Running { init, ended: None };
        self.connections.started(init.as_raw_nonzero().get().unsigned_abs());
        if self.kill_at.is_some() {
            self.terminate();
        }
    }

    fn terminate(&self) {
        match (self.shares_pids, self.init_process()) {
            (true, Some(init)) => self.hierarchies.signal(&self.place.cgroup, Signal::TERM, init),
            (true, None) => {}
            (false, _) => {
                self.tell_init(&ToInit::Terminate);
            }
        }
    }

    /// A container in another uses what that may use, unless it was given limits of its own.
    fn limit_cpu(&self) -> anyhow::Result<()> {
        match self.shares_cpu {
            true => Ok(()),
            false => self.hierarchies.limit_cpu(&self.place.cgroup, &self.limits),
        }
    }

    fn fail(&mut self, cause: String) {
        let reason = match self.kill_at {
            Some(_) => Reason::TaskKilledDuringLaunch,
            None => Reason::ContainerLaunchFailed,
        };
        self.phase = Phase::Failed { reason, cause };
    }

    fn reap(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        let Some(init) = self.init_process() else { return };
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == init {
                self.ended(status.as_raw());
            }
        }
    }

    fn ended(&mut self, init_status: i32) {
        // Its last words may still be on their way.
        while self.hear_init() {}
        match self.phase {
            Phase::Starting { .. } => {
                let cause = "the container's init has been killed; is its memory limit too low?";
                self.fail(cause.into());
            }
            Phase::Running { ended, .. } => self.phase = Phase::Ended(ended.unwrap_or(init_status)),
            Phase::Failed { .. } | Phase::Ended(_) => {}
        }
    }

    /// False when nobody will write any more.
    fn keep_output(&mut self, index: usize) -> bool {
        let output = &mut self.outputs[index];
        match rustix::io::read(&output.from, &mut self.buffer[..]) {
            Ok(0) => false,
            Ok(length) => {
                output.keep(&self.buffer[..length]);
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            // A terminal that nobody has open any more.
            Err(_) => false,
        }
    }

    fn keep_deadlines(&mut self) {
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            match &self.phase {
                Phase::Starting { init, .. } | Phase::Running { init, .. } => {
                    let _ = rustix::process::kill_process(*init, Signal::KILL);
                    self.hierarchies.thaw(&self.place.cgroup);
                }
                Phase::Failed { .. } | Phase::Ended(_) => {}
            }
            // Once is enough.
            self.kill_at = Some(now + Duration::from_millis(SET_UP_MS_MAX));
        }
        if let Phase::Starting { give_up_at, .. } = self.phase
            && give_up_at <= now
        {
            self.fail(format!("it was not set up within {SET_UP_MS_MAX} ms"));
        }
    }

    fn stop(&mut self, grace: Duration) {
        let at = Instant::now() + grace.min(Duration::from_millis(GRACE_MS_MAX));
        if self.kill_at.is_none() {
            self.hierarchies.thaw(&self.place.cgroup);
            self.terminate();
        }
        self.kill_at = Some(self.kill_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// False if it could not be told: it ends, or is too busy.
    fn tell_init(&self, message: &ToInit) -> bool {
        self.init.as_ref().is_some_and(|init| packet::send(init, message, &[]).is_ok())
    }

    /// Lets a connection look on. Gives the terminal back, if there is one.
    fn attach(&mut self, key: u64, fds: Vec<OwnedFd>) -> Result<Option<OwnedFd>, String> {
        let Phase::Running { ended: None, .. } = &self.phase else {
            return Err("the container is not running".into());
        };
        let Ok([output, errors]) = <[OwnedFd; 2]>::try_from(fds) else {
            return Err("two pipes are needed to look on".into());
        };
        let (mut output, mut errors, mut terminal) = (Some(output), Some(errors), None);
        for one in &mut self.outputs {
            let to = match one.stream {
                Stream::Output => output.take(),
                Stream::Errors => errors.take(),
                Stream::Terminal => {
                    let typed = one.from.try_clone().map_err(|e| format!("the terminal: {e}"))?;
                    terminal = Some(typed);
                    output.take()
                }
            };
            if let Some(to) = to {
                start::set_nonblocking(&to).map_err(|e| format!("a pipe: {e:#}"))?;
                one.watchers.push((key, to));
            }
        }
        Ok(terminal)
    }

    fn forget_watcher(&mut self, key: u64) {
        for output in &mut self.outputs {
            output.watchers.retain(|(watcher, _)| *watcher != key);
        }
    }

    fn exec(&self, process: u64, exec: Exec, fds: &[OwnedFd]) -> Result<(), String> {
        let (Some(init), Phase::Running { ended: None, .. }) = (&self.init, &self.phase) else {
            return Err("the container is not running".into());
        };
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        packet::send(init, &ToInit::Exec { process, exec }, &fds)
            .map_err(|e| format!("asking the container's init: {e}"))
    }
}
