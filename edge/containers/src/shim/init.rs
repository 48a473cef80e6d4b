//! A container's first process. It starts the main process and those of later sessions, passes signals on, reaps
//! orphans and reports to the shim.
//!
//! It stands in for the program as process 1, because the kernel shields process 1 from the signals that it does not
//! handle: `sleep` would not heed SIGTERM. And since it has gone through libcontainer's whole confinement, whatever it
//! starts later is in the same namespaces, cgroups, capabilities and seccomp filter, without a process of the host
//! ever entering the container. It is a copy of the shim's builder, not dumpable, and holds no descriptor of the host
//! but its socket. When that closes, the shim is gone, and the container ends with its init.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use libcontainer::oci_spec::runtime;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use model::container::Run;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, Gid, Pid, Uid};
use rustix::event::{PollFd, PollFlags};
use rustix::pty::OpenptFlags;
use rustix::thread::CapabilitySet;

use super::seccomp::Filter;
use super::users::{self, Identity};
use crate::packet;
use crate::protocol::{FromInit, MAIN, ProcessNumber, ToInit};
use crate::spec::{Exec, WindowSize};

/// What a shell gives back for a program that could not be started.
const EXIT_NOT_STARTED: i32 = 127;

pub(crate) const PATH_DEFAULT: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Passed on to the main process if somebody on the host sends them to init.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// A process to start.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) argv: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) working_dir: String,
    pub(crate) terminal: Option<WindowSize>,
    /// `None`: as init itself.
    pub(crate) identity: Option<Identity>,
}

/// Handed to libcontainer, which calls it in place of the program.
#[derive(Debug, Clone)]
pub(crate) struct Init {
    pub(crate) main: Rc<Process>,
    /// Open in this process and in those it forks.
    pub(crate) shim: RawFd,
    /// `None` leaves all system calls open.
    pub(crate) filter: Option<Filter>,
}

impl Executor for Init {
    fn exec(&self, _: &runtime::Spec) -> Result<(), ExecutorError> {
        // SAFETY: the builder gave up its descriptor to this process, and nothing here has used it yet.
        let shim = unsafe { OwnedFd::from_raw_fd(self.shim) };
        let code = match Running::start(self, shim) {
            Ok(mut running) => running.serve(),
            Err(_) => EXIT_NOT_STARTED,
        };
        std::process::exit(code)
    }

    fn validate(&self, _: &runtime::Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

impl Init {
    /// The last step of what libcontainer has begun. Without it nothing is started.
    fn confine(&self) -> Result<(), String> {
        let Some(filter) = &self.filter else { return Ok(()) };
        let confine = || -> std::io::Result<()> {
            filter.install()?;
            // Left to root for the line above.
            let spare = CapabilitySet::SYS_ADMIN;
            let mut own = rustix::thread::capabilities(None)?;
            if own.permitted.contains(spare) {
                rustix::thread::remove_capability_from_bounding_set(spare)?;
                own.effective.remove(spare);
                own.permitted.remove(spare);
                rustix::thread::set_capabilities(None, own)?;
            }
            Ok(())
        };
        confine().map_err(|e| format!("confining the container: {e}"))
    }
}

struct Running {
    main: Rc<Process>,
    shim: OwnedFd,
    signals: SignalFd,
    processes: BTreeMap<i32, ProcessNumber>,
}

impl Running {
    fn start(init: &Init, shim: OwnedFd) -> std::io::Result<Running> {
        close_all_but(shim.as_raw_fd())?;
        let mut heeded: SigSet = PASSED_ON.into_iter().collect();
        heeded.add(Signal::SIGCHLD);
        nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&heeded), None)?;
        let signals =
            SignalFd::with_flags(&heeded, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mut running =
            Running { main: Rc::clone(&init.main), shim, signals, processes: BTreeMap::new() };
        let started = init.confine().and_then(|()| spawn(&init.main, Vec::new()));
        running.report_start(MAIN, started);
        Ok(running)
    }

    /// Until the main process has ended or the shim is gone.
    fn serve(&mut self) -> i32 {
        while self.processes.values().any(|process| *process == MAIN) {
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
            if let Some(process) = self.processes.remove(&pid.as_raw_nonzero().get()) {
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
                let started = self.process_of(exec).and_then(|exec| spawn(&exec, packet.fds));
                self.report_start(process, started);
            }
            ToInit::Signal { process, signal } => self.signal(process, signal),
            ToInit::Terminate => {
                // Without effect on processes of other users, if we are not root. They follow by SIGKILL.
                let _ = nix::sys::signal::kill(Pid::from_raw(-1), Signal::SIGTERM);
            }
        }
        true
    }

    /// To the whole session of the process, as a terminal would do it.
    fn signal(&self, process: ProcessNumber, signal: i32) {
        let known = self.processes.iter().find(|(_, number)| **number == process);
        if let (Some((pid, _)), Ok(signal)) = (known, Signal::try_from(signal)) {
            // It may have ended just now.
            let _ = nix::sys::signal::killpg(Pid::from_raw(*pid), signal);
        }
    }

    fn process_of(&self, exec: Exec) -> Result<Process, String> {
        let identity = match &exec.user {
            Some(user) => Some(users::in_own_root(user)?),
            None => None,
        };
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

struct Child {
    pid: Pid,
    terminal: Option<OwnedFd>,
}

/// Returns when the program has been executed.
fn spawn(process: &Process, stdio: Vec<OwnedFd>) -> Result<Child, String> {
    let terminal = process.terminal.map(open_terminal).transpose()?;
    let (mut failure, failing) = std::io::pipe().map_err(|e| format!("a pipe: {e}"))?;
    // SAFETY: this process has one thread, so the child may do whatever its parent may.
    match unsafe { nix::unistd::fork() }.map_err(|e| format!("a new process: {e}"))? {
        ForkResult::Child => {
            let inner = terminal.map(|(_, inner)| inner);
            let Err(cause) = become_process(process, stdio, inner);
            let _ = (&failing).write_all(cause.as_bytes());
            std::process::exit(EXIT_NOT_STARTED)
        }
        ForkResult::Parent { child } => {
            drop((failing, stdio));
            let mut cause = String::new();
            failure.read_to_string(&mut cause).map_err(|e| format!("waiting for exec: {e}"))?;
            if !cause.is_empty() {
                let _ = nix::sys::wait::waitpid(child, None);
                return Err(cause);
            }
            Ok(Child { pid: child, terminal: terminal.map(|(outer, _)| outer) })
        }
    }
}

/// A terminal of the container's own `/dev/pts`: outer end and inner end.
fn open_terminal(size: WindowSize) -> Result<(OwnedFd, OwnedFd), String> {
    let open = || -> rustix::io::Result<(OwnedFd, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let outer = rustix::pty::openpt(flags)?;
        rustix::pty::unlockpt(&outer)?;
        let inner = rustix::pty::ioctl_tiocgptpeer(&outer, flags)?;
        rustix::termios::tcsetwinsize(&outer, size.into())?;
        Ok((outer, inner))
    };
    open().map_err(|e| format!("a terminal: {e}"))
}

/// Runs in the child. Comes back only if it fails.
fn become_process(
    process: &Process,
    stdio: Vec<OwnedFd>,
    terminal: Option<OwnedFd>,
) -> Result<std::convert::Infallible, String> {
    set_up(process, stdio, terminal).map_err(|e| format!("preparing the process: {e}"))?;
    let dir = &process.working_dir;
    std::env::set_current_dir(dir).map_err(|e| format!("working directory {dir}: {e}"))?;
    let text = |text: &str| CString::new(text).map_err(|_| format!("a NUL byte in {text:?}"));
    let argv = process.argv.iter().map(|a| text(a)).collect::<Result<Vec<_>, _>>()?;
    let environment: Vec<CString> = process
        .environment
        .iter()
        .map(|(name, value)| text(&format!("{name}={value}")))
        .collect::<Result<_, _>>()?;
    let program = process.argv.first().ok_or("no program to run")?;
    let mut refused = nix::Error::ENOENT;
    for candidate in candidates(program, &process.environment) {
        match nix::unistd::execve(&text(&candidate)?, &argv, &environment) {
            Err(nix::Error::ENOENT | nix::Error::ENOTDIR) => {}
            Err(e) => refused = e,
        }
    }
    Err(format!("executing {program}: {}", refused.desc()))
}

fn set_up(
    process: &Process,
    stdio: Vec<OwnedFd>,
    terminal: Option<OwnedFd>,
) -> std::io::Result<()> {
    nix::unistd::setsid()?;
    if let Some(inner) = &terminal {
        rustix::process::ioctl_tiocsctty(inner)?;
        nix::unistd::dup2_stdin(inner)?;
        nix::unistd::dup2_stdout(inner)?;
        nix::unistd::dup2_stderr(inner)?;
    } else if let [input, output, errors] = &stdio[..] {
        nix::unistd::dup2_stdin(input)?;
        nix::unistd::dup2_stdout(output)?;
        nix::unistd::dup2_stderr(errors)?;
    }
    if let Some(identity) = &process.identity {
        let groups: Vec<Gid> = identity.groups.iter().map(|g| Gid::from_raw(*g)).collect();
        nix::unistd::setgroups(&groups)?;
        nix::unistd::setgid(Gid::from_raw(identity.gid))?;
        nix::unistd::setuid(Uid::from_raw(identity.uid))?;
    }
    reset_signals()
}

/// Programs expect to be born with none ignored or blocked; our own runtime ignores SIGPIPE.
fn reset_signals() -> std::io::Result<()> {
    /// All zero it asks for the default action.
    const SIGACTION_BYTES: usize = 32;
    const SIGNALS: std::ops::RangeInclusive<libc::c_int> = 1..=64;
    const SIGSET_BYTES: usize = 8;
    let default = [0_u64; SIGACTION_BYTES / size_of::<u64>()];
    for signal in SIGNALS {
        // SAFETY: the kernel reads as many bytes as its structure has, and the default action calls no code of ours.
        // Asked by its own name, because the C library keeps two signals to itself. SIGKILL and SIGSTOP refuse.
        unsafe {
            let old = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, SIGSET_BYTES);
        }
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Where a program of this name may lie.
fn candidates(program: &str, environment: &[(String, String)]) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_string()];
    }
    let path = environment.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or(PATH_DEFAULT, |(_, value)| value);
    path.split(':')
        .map(|dir| if dir.is_empty() { "." } else { dir })
        .map(|dir| format!("{dir}/{program}"))
        .collect()
}

/// Standard streams stay. Nothing of the host may be left open: a descriptor of a directory outside would be a way out.
fn close_all_but(kept: RawFd) -> std::io::Result<()> {
    const FIRST: RawFd = 3;
    // SAFETY: no value of this process owns any of them, apart from what libcontainer has leaked on purpose.
    unsafe {
        if kept > FIRST {
            nix::errno::Errno::result(libc::close_range(FIRST as u32, kept as u32 - 1, 0))?;
        }
        nix::errno::Errno::result(libc::close_range(kept as u32 + 1, u32::MAX, 0))?;
    }
    Ok(())
}

/// Gives up a descriptor to a process that will be forked.
pub(crate) fn leak(fd: OwnedFd) -> RawFd {
    let raw = fd.into_raw_fd();
    debug_assert!(File::open(format!("/proc/self/fd/{raw}")).is_ok() || raw > 2);
    raw
}

impl From<WindowSize> for rustix::termios::Winsize {
    fn from(size: WindowSize) -> Self {
        Self { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_in_the_path_unless_it_is_one() {
        let check = |program: &str, path: Option<&str>, expected: &[&str]| {
            let environment: Vec<_> =
                path.into_iter().map(|path| ("PATH".to_string(), path.to_string())).collect();
            assert_eq!(candidates(program, &environment), expected, "{program} in {path:?}");
        };
        check("/bin/ls", Some("/usr/bin"), &["/bin/ls"]);
        check("./run", Some("/usr/bin"), &["./run"]);
        check("ls", Some("/a:/b"), &["/a/ls", "/b/ls"]);
        check("ls", Some(""), &["./ls"]);
    }
}
