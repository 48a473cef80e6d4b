//! Starting a program inside a container, from its init: the main process and those of later sessions.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;

use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::{Gid, Pid, Uid};
use rustix::pty::OpenptFlags;

use super::init::EXIT_NOT_STARTED;
use super::process::{PATH_DEFAULT, Process};
use super::rights::Rights;
use super::users::Identity;
use crate::spec::WindowSize;

pub(super) struct Child {
    pub(super) pid: Pid,
    pub(super) terminal: Option<OwnedFd>,
}

/// For a process that has not executed its program yet. It looks for it, and describes what went wrong.
const STACK_BYTES: usize = 128 * 1024;

/// Returns when the program has been executed.
///
/// Until then the new process works in our memory, while we wait: a copy of it would cost more than all else here.
pub(super) fn spawn(
    process: &Process,
    rights: &Rights,
    stdio: Vec<OwnedFd>,
) -> Result<Child, String> {
    let terminal = process.terminal.map(open_terminal).transpose()?;
    let (terminal, inner) = terminal.unzip();
    let mut failure = None;
    let become_it = Box::new(|| {
        let Err(cause) = become_process(process, rights, &stdio, inner.as_ref());
        failure = Some(cause);
        EXIT_NOT_STARTED as isize
    });
    let mut stack = vec![0; STACK_BYTES];
    let (flags, exit_signal) = (CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK, libc::SIGCHLD);
    // SAFETY: this process has one thread, which waits until the child has a memory of its own or has ended. Till then
    // the child has a stack of its own, and owns nothing that it shares with us: it closes, and frees, what it opens and
    // allocates itself. Descriptors, directory, user and signals are its own from the beginning.
    let child = unsafe { nix::sched::clone(become_it, &mut stack, flags, Some(exit_signal)) };
    let pid = child.map_err(|e| format!("a new process: {e}"))?;
    match failure {
        Some(cause) => {
            let _ = nix::sys::wait::waitpid(pid, None);
            Err(cause)
        }
        None => Ok(Child { pid, terminal }),
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
    rights: &Rights,
    stdio: &[OwnedFd],
    terminal: Option<&OwnedFd>,
) -> Result<std::convert::Infallible, String> {
    set_up(process, rights, stdio, terminal).map_err(|e| format!("preparing the process: {e}"))?;
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
    rights: &Rights,
    stdio: &[OwnedFd],
    terminal: Option<&OwnedFd>,
) -> std::io::Result<()> {
    nix::unistd::setsid()?;
    if let Some(inner) = terminal {
        rustix::process::ioctl_tiocsctty(inner)?;
        nix::unistd::dup2_stdin(inner)?;
        nix::unistd::dup2_stdout(inner)?;
        nix::unistd::dup2_stderr(inner)?;
    } else if let [input, output, errors] = stdio {
        nix::unistd::dup2_stdin(input)?;
        nix::unistd::dup2_stdout(output)?;
        nix::unistd::dup2_stderr(errors)?;
    }
    match &process.identity {
        Some(identity) => rights.become_other(identity)?,
        None => rights.leave_reserve()?,
    }
    reset_signals()
}

/// Then nothing has to be allowed: init has become the task's user, and may not be allowed to become another.
pub(super) fn is_already(identity: &Identity) -> bool {
    let is = |uid: Uid, gid: Gid| (uid.as_raw(), gid.as_raw()) == (identity.uid, identity.gid);
    let groups = nix::unistd::getgroups().unwrap_or_default();
    let groups: BTreeSet<u32> = groups.into_iter().map(Gid::as_raw).collect();
    is(nix::unistd::getuid(), nix::unistd::getgid())
        && is(nix::unistd::geteuid(), nix::unistd::getegid())
        && groups == identity.groups.iter().copied().collect()
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
