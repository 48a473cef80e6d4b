//! From a fork of the zygote to a shim whose container is on its way.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use model::confinement::Sharing;
use model::task::Reason;
use nix::sys::signal::{SigHandler, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::fs::OFlags;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, WaitOptions};

use super::connections::Connections;
use super::init::{self, Stdio};
use super::join;
use super::logs::Log;
use super::mounts::Detached;
use super::own_users;
use super::{
    Machine, OUTPUT_BYTES_AT_ONCE, Order, Output, Phase, Place, SET_UP_MS_MAX, Shim, Stream, ending,
};
use crate::cgroup::{Devices, Own};
use crate::packet;
use crate::policy::{self, Reach};
use crate::projects;
use crate::protocol::{Answer, Launch, ToInit};
use crate::run_dir::{APART, COMPLAINTS, KEEPER, POOL, SOCKET};
use crate::spec::{Limits, Root, Spec};

const EXIT_FAILED: i32 = 1;

/// What the process is called while it has no container, and from then on.
const SPARE: &CStr = c"dcos-spare";
const SHIM: &CStr = c"dcos-shim";

/// What an init is born into that waits for its container.
const USUAL: libc::c_int = libc::CLONE_NEWPID | libc::CLONE_NEWIPC;

const CONNECTIONS_WAITING_MAX: i32 = 64;

/// A shim and its container's init, as far as they are the same for all containers.
pub(crate) struct Ready {
    signals: SignalFd,
    /// Our end of the socket to init, which waits to be told what to prepare.
    socket: OwnedFd,
    init: Pid,
}

impl Ready {
    /// Makes the calling process a shim.
    pub(crate) fn make(machine: &Machine) -> anyhow::Result<Ready> {
        become_parent()?;
        let mask = SigSet::from(Signal::SIGCHLD);
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let (socket, init) = make_init(machine, USUAL, None)?;
        Ok(Ready { signals, socket, init })
    }

    /// Somebody may have killed init while it waited, or it has a namespace that this container shares.
    fn fit(self, launch: &Launch, machine: &Machine) -> anyhow::Result<Ready> {
        let wanted = namespaces(&launch.spec);
        let waits =
            || matches!(rustix::process::waitpid(Some(self.init), WaitOptions::NOHANG), Ok(None));
        let keeper = launch.keeper.as_ref().filter(|keeper| keeper.is_for_birth());
        if wanted == USUAL && keeper.is_none() && waits() {
            return Ok(self);
        }
        let Ready { signals, socket, init } = self;
        drop(socket);
        // Init has seen it, if it is there at all.
        let _ = rustix::process::waitpid(Some(init), WaitOptions::empty());
        let shared_memory = keeper.map(join::join).transpose()?.flatten();
        let (socket, init) = make_init(machine, wanted, shared_memory)?;
        Ok(Ready { signals, socket, init })
    }

    /// Nobody needs it: what it returns to the system.
    pub(crate) fn end(self) -> i32 {
        drop(self.socket);
        // Init has seen it.
        let _ = rustix::process::waitpid(Some(self.init), WaitOptions::empty());
        0
    }
}

fn make_init(
    machine: &Machine,
    namespaces: libc::c_int,
    shared_memory: Option<Detached>,
) -> anyhow::Result<(OwnedFd, Pid)> {
    let (socket, inits_end) = packet::pair().context("a socket for the container's init")?;
    set_nonblocking(&socket)?;
    let Some(init) = fork_with(namespaces)? else {
        // Or it would never see the shim go.
        drop(socket);
        std::process::exit(init::main(machine, inits_end, shared_memory))
    };
    Ok((socket, init))
}

/// On failure the daemon has been told and nothing is left.
pub(super) fn start(
    order: Order,
    ready: Option<Ready>,
    machine: &Machine,
) -> Result<Shim<'_>, i32> {
    let Order { launch, file, channel } = order;
    let tell = |e: anyhow::Error| {
        let cause = format!("{e:#}");
        let failed = Answer::Failed { reason: Reason::ContainerLaunchFailed, cause };
        let _ = packet::send(&channel, &failed, &[]);
        EXIT_FAILED
    };
    let begin = || {
        set_nonblocking(&channel)?;
        claim(&launch)
    };
    begin().map_err(tell)?;
    let own = channel.try_clone().context("the daemon's socket");
    own.and_then(|channel| assemble(&launch, &file, channel, ready, machine)).map_err(|e| {
        ending::clear(&place(&launch), &machine.hierarchies);
        tell(e)
    })
}

fn place(launch: &Launch) -> Place {
    Place {
        run_dir: launch.run_dir.clone(),
        layer_dir: launch.layer_dir.clone(),
        cgroup: launch.cgroup.clone(),
        pool: launch.pool.as_ref().map(|pool| pool.cgroup.clone()),
    }
}

/// Out of reach of what is done to the daemon, and heir of all that the container leaves.
fn become_parent() -> anyhow::Result<()> {
    nix::unistd::setsid().context("a session of its own")?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .context("becoming a subreaper")?;
    rustix::thread::set_name(SPARE).context("naming the process")?;
    // SAFETY: the default action calls no code of ours. The zygote ignores the signal, and so would we.
    unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    // The zygote's socket to its daemon, which has to see that ends.
    nix::unistd::dup2_stdin(File::open("/dev/null").context("/dev/null")?)?;
    Ok(())
}

fn assemble<'a>(
    launch: &Launch,
    file: &File,
    channel: OwnedFd,
    ready: Option<Ready>,
    machine: &'a Machine,
) -> anyhow::Result<Shim<'a>> {
    let spec = &launch.spec;
    if matches!(spec.root, Root::Image { .. }) || spec.has_images() {
        make_private(&launch.layer_dir)?;
        if let Some(project) = spec.project {
            projects::assign(&launch.layer_dir, project)
                .with_context(|| format!("counting what is in {}", launch.layer_dir.display()))?;
        }
    }
    let ready = match ready {
        Some(ready) => ready,
        None => Ready::make(machine)?,
    };
    let ready = ready.fit(launch, machine)?;
    rustix::thread::set_name(SHIM).context("naming the process")?;
    let (mut streams, stdio) = Streams::open(spec)?;
    let users = launch.granted.users.map(own_users::make).transpose()?;
    let mut fds =
        vec![stdio.stdin.as_fd(), stdio.stdout.as_fd(), stdio.stderr.as_fd(), file.as_fd()];
    fds.extend(users.iter().map(AsFd::as_fd));
    // If it does not hear it, it has ended, which we are told.
    let _ = packet::send(&ready.socket, &ToInit::Prepare, &fds);
    drop(stdio);
    quieten(&launch.run_dir)?;
    ending::keep_room(&launch.run_dir)?;
    let listener = listen(&launch.run_dir)?;
    packet::send(&channel, &Answer::Preparing, &[]).context("greeting the daemon")?;
    admit(launch, machine, ready.init)?;
    let _ = packet::send(&ready.socket, &ToInit::Begin, &[]);
    let give_up_at = Instant::now() + Duration::from_millis(SET_UP_MS_MAX);
    Ok(Shim {
        place: place(launch),
        hierarchies: &machine.hierarchies,
        limits: spec.limits.clone(),
        shares_cpu: spec.is_nested() && spec.limits == Limits::default(),
        signals: ready.signals,
        connections: Connections::new(listener, channel),
        init: Some(ready.socket),
        phase: Phase::Starting { init: ready.init, give_up_at },
        kill_at: None,
        shares_pids: spec.shares_pids(),
        outputs: std::mem::take(&mut streams.outputs),
        terminal_log: streams.terminal_log,
        buffer: vec![0; OUTPUT_BYTES_AT_ONCE],
    })
}

/// A directory that is there already belongs to a container of the same name, which must not suffer.
fn claim(launch: &Launch) -> anyhow::Result<()> {
    make_private(&launch.run_dir)?;
    let spec = &launch.spec;
    let named =
        [(POOL, spec.pool.as_ref()), (KEEPER, spec.shares.as_ref().map(|shares| &shares.group))];
    for (link, name) in named {
        let Some(name) = name else { continue };
        symlink(name.as_str(), launch.run_dir.join(link)).context("writing down what it shares")?;
    }
    if launch.is_apart() {
        File::create(launch.run_dir.join(APART)).context("writing down that it has a network")?;
    }
    Ok(())
}

fn make_private(dir: &Path) -> anyhow::Result<()> {
    let mut private = DirBuilder::new();
    private.mode(0o700).create(dir).with_context(|| format!("creating {}", dir.display()))
}

/// What the shim or its builder writes goes to a file beside the socket, not to the daemon's terminal.
fn quieten(run_dir: &Path) -> anyhow::Result<()> {
    let nothing =
        OpenOptions::new().read(true).write(true).open("/dev/null").context("/dev/null")?;
    let complaints = File::create(run_dir.join(COMPLAINTS)).context("a file for complaints")?;
    nix::unistd::dup2_stdin(&nothing)?;
    nix::unistd::dup2_stdout(&nothing)?;
    nix::unistd::dup2_stderr(&complaints)?;
    Ok(())
}

/// Addresses of sockets are short; by way of the open directory its path may be long.
fn listen(run_dir: &Path) -> anyhow::Result<OwnedFd> {
    let dir = File::open(run_dir).with_context(|| format!("opening {}", run_dir.display()))?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&socket, &address).context("binding the shim's socket")?;
    rustix::net::listen(&socket, CONNECTIONS_WAITING_MAX)?;
    Ok(socket)
}

struct Streams {
    outputs: Vec<Output>,
    terminal_log: Option<Log>,
}

impl Streams {
    /// The container's ends come back beside ours.
    fn open(spec: &Spec) -> anyhow::Result<(Streams, Stdio)> {
        let nothing: OwnedFd = File::open("/dev/null").context("/dev/null")?.into();
        let log = |stream| Log::open(&spec.sandbox, stream, &spec.logs);
        let (stdout_log, stderr_log) = (log(Stream::Output)?, log(Stream::Errors)?);
        if spec.terminal.is_some() {
            let (stdout, stderr) = (nothing.try_clone()?, nothing.try_clone()?);
            let streams = Streams { outputs: Vec::new(), terminal_log: Some(stdout_log) };
            return Ok((streams, Stdio { stdin: nothing, stdout, stderr }));
        }
        let (stdout, stdout_end) = pipe()?;
        let (stderr, stderr_end) = pipe()?;
        let outputs = vec![
            Output::new(Stream::Output, stdout, stdout_log),
            Output::new(Stream::Errors, stderr, stderr_log),
        ];
        let streams = Streams { outputs, terminal_log: None };
        Ok((streams, Stdio { stdin: nothing, stdout: stdout_end, stderr: stderr_end }))
    }
}

fn pipe() -> anyhow::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = std::io::pipe().context("a pipe")?;
    set_nonblocking(&read)?;
    Ok((read.into(), write.into()))
}

pub(super) fn set_nonblocking(fd: impl AsFd) -> anyhow::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
    Ok(())
}

/// Whoever comes into being here is first process of its own namespaces, with a copy of all that we have. Mounts it sees
/// like everybody until it is told what to prepare: it shall not miss any that come until then. `None` in the child.
pub(super) fn fork_with(namespaces: libc::c_int) -> anyhow::Result<Option<Pid>> {
    let flags = u64::try_from(namespaces).expect("flags are positive");
    let exit_signal = u64::try_from(libc::SIGCHLD).expect("signals are positive");
    // SAFETY: all zero asks for what `fork` does.
    let mut asked: libc::clone_args = unsafe { std::mem::zeroed() };
    (asked.flags, asked.exit_signal) = (flags, exit_signal);
    // SAFETY: nothing is shared with the child but what `fork` shares, and this process has one thread, so the child
    // may do whatever its parent may.
    let forked =
        unsafe { libc::syscall(libc::SYS_clone3, &raw const asked, size_of::<libc::clone_args>()) };
    let pid = nix::Error::result(forked).context("a process in namespaces of its own")?;
    Ok(Pid::from_raw(i32::try_from(pid).context("the number of a process")?))
}

/// Those that are the container's own, of those that cost.
fn namespaces(spec: &Spec) -> libc::c_int {
    let mut all = USUAL;
    if spec.shares_pids() {
        all &= !libc::CLONE_NEWPID;
    }
    if spec.confinement.ipc == Some(Sharing::Parent) {
        all &= !libc::CLONE_NEWIPC;
    }
    all
}

/// Makes the container's groups, while its init prepares what it will see, and puts it there.
fn admit(launch: &Launch, machine: &Machine, init: Pid) -> anyhow::Result<()> {
    let granted = &launch.granted;
    let devices = match policy::reach(&launch.spec) {
        Reach::Open => Devices::AllBut(&granted.denied),
        Reach::Confined => Devices::Harmless(&granted.devices),
    };
    let hierarchies = &machine.hierarchies;
    let init = init.as_raw_nonzero().get().unsigned_abs();
    let own = Own { cgroup: &launch.cgroup, limits: &launch.spec.limits, devices };
    match launch.spec.is_nested() {
        true => hierarchies.make_within(own, init),
        false => hierarchies.make(own, launch.pool.as_ref(), init),
    }
}
