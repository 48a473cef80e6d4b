//! What daemon, zygote, shim and a container's init say to each other.
//!
//! A shim lives as long as its container and may be older than the daemon: messages only ever grow at their ends, and
//! a daemon speaks to shims of its own version and the one before.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use minicbor::{Decode, Encode};
use model::confinement::Sharing;
use model::task::Reason;
use rustix::fs::MemfdFlags;

use crate::policy::Granted;
use crate::spec::{Exec, Limits, Spec};

pub(crate) const VERSION: u16 = 1;

/// The oldest version that this side still understands.
pub(crate) const VERSION_MIN: u16 = 1;

/// What the zygote is told, and what it tells a shim that it has made ahead. With it come the shim's end of a channel to
/// the daemon and a file that holds a [`Launch`].
#[derive(Debug, Encode, Decode)]
pub(crate) enum ToZygote {
    #[n(0)]
    Fork,
}

/// All that a shim needs to know.
#[derive(Debug, Encode, Decode)]
pub(crate) struct Launch {
    #[n(0)]
    pub(crate) spec: Spec,
    /// The container's own directory for sockets and status.
    #[n(1)]
    pub(crate) run_dir: PathBuf,
    /// Where the writable layer goes; on a disk.
    #[n(2)]
    pub(crate) layer_dir: PathBuf,
    /// The container's cgroup below the root of each hierarchy.
    #[n(3)]
    pub(crate) cgroup: String,
    #[n(4)]
    pub(crate) granted: Granted,
    /// Around the container's own.
    #[n(5)]
    pub(crate) pool: Option<Pool>,
    /// Whose namespaces it has.
    #[n(6)]
    pub(crate) keeper: Option<Keeper>,
    /// It runs no program, and keeps its namespaces for others until it is killed.
    #[cbor(n(7), default)]
    pub(crate) keeps: bool,
}

/// A container whose namespaces another one has, too.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Keeper {
    /// Its first process.
    #[n(0)]
    pub(crate) process: u32,
    /// What that is in, or the number is somebody else's by now.
    #[n(1)]
    pub(crate) cgroup: String,
    #[n(2)]
    pub(crate) pid: bool,
    /// With `/dev/shm`.
    #[n(3)]
    pub(crate) ipc: bool,
    #[cbor(n(4), default)]
    pub(crate) net: bool,
}

/// Control groups around those of several containers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Pool {
    /// As the container's.
    #[n(0)]
    pub(crate) cgroup: String,
    /// What all in it may use together.
    #[n(1)]
    pub(crate) limits: Limits,
}

impl Keeper {
    /// A first process has to be born in them; a network it can enter.
    pub(crate) fn is_for_birth(&self) -> bool {
        self.pid || self.ipc
    }
}

impl Launch {
    /// Whether it is in a network that need not be the machine's.
    pub(crate) fn is_apart(&self) -> bool {
        self.spec.network.is_some()
            || self.spec.confinement.net == Some(Sharing::Private)
            || self.keeper.as_ref().is_some_and(|keeper| keeper.net)
    }

    /// Into a file in memory: descriptions are longer than packets may be.
    pub(crate) fn write(&self) -> io::Result<File> {
        let mut file = File::from(rustix::fs::memfd_create("launch", MemfdFlags::CLOEXEC)?);
        file.write_all(&minicbor::to_vec(self).map_err(io::Error::other)?)?;
        Ok(file)
    }

    /// Several read the same file, at the same time.
    pub(crate) fn read(file: &File) -> io::Result<Launch> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        minicbor::decode(&bytes).map_err(io::Error::other)
    }
}

/// The first packet on a connection to a shim.
#[derive(Debug, Encode, Decode)]
pub(crate) struct Request {
    #[n(0)]
    pub(crate) version: u16,
    #[n(1)]
    pub(crate) ask: Ask,
}

#[derive(Debug, Clone, Encode, Decode)]
pub(crate) enum Ask {
    /// Answered by `Started` as soon as it runs, and by `Exited` at the end.
    #[n(0)]
    Subscribe,
    #[n(1)]
    Stop {
        #[n(0)]
        grace_ms: u64,
    },
    #[n(2)]
    Signal(#[n(0)] i32),
    /// With it come standard input, output and errors, unless a terminal is asked for. Answered by `Executed` with the
    /// terminal, then by `Exited`. Closing the connection kills the process.
    #[n(3)]
    Exec(#[n(0)] Exec),
    /// Sends a signal to the process that this connection has started.
    #[n(4)]
    SignalExec(#[n(0)] i32),
    /// With it come two pipes, which from now on get what is written to standard output (or the terminal) and to standard
    /// errors, besides the log files. Answered by `Executed`, with the terminal if there is one. Closing the connection
    /// ends it. A shim of the first release hangs up on it.
    #[n(5)]
    Attach,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Answer {
    /// The shim lives and sets the container up.
    #[n(0)]
    Preparing,
    #[n(1)]
    Started {
        #[n(0)]
        pid: u32,
    },
    /// It never ran, and nothing of it is left.
    #[n(2)]
    Failed {
        #[n(0)]
        reason: Reason,
        #[n(1)]
        cause: String,
    },
    #[n(3)]
    Exited(#[n(0)] Status),
    #[n(4)]
    Done,
    #[n(5)]
    Executed,
    #[n(6)]
    Refused(#[n(0)] String),
}

/// How a container ended; also what the status file holds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Status {
    #[n(0)]
    pub(crate) wait_status: i32,
    #[n(1)]
    pub(crate) limitation: Option<Limitation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Limitation {
    #[n(0)]
    pub(crate) reason: Reason,
    #[n(1)]
    pub(crate) cause: String,
}

/// Numbers a process that a container's init has started. The main process is [`MAIN`].
pub(crate) type ProcessNumber = u64;

pub(crate) const MAIN: ProcessNumber = 0;

/// What a shim tells its container's init.
#[derive(Debug, Encode, Decode)]
pub(crate) enum ToInit {
    /// With it come standard input, output and errors, unless a terminal is asked for.
    #[n(0)]
    Exec {
        #[n(0)]
        process: ProcessNumber,
        #[n(1)]
        exec: Exec,
    },
    /// To the process and those it shares a session with.
    #[n(1)]
    Signal {
        #[n(0)]
        process: ProcessNumber,
        #[n(1)]
        signal: i32,
    },
    /// SIGTERM to all.
    #[n(2)]
    Terminate,
    /// Its control groups are made and it is in them.
    #[n(3)]
    Begin,
    /// The first that it is ever told. With it come standard input, output and errors of the container and a file that
    /// holds a [`Launch`].
    #[n(4)]
    Prepare,
}

/// What a container's init tells its shim.
#[derive(Debug, Encode, Decode)]
pub(crate) enum FromInit {
    /// With it comes the terminal, if one was asked for.
    #[n(0)]
    Executed {
        #[n(0)]
        process: ProcessNumber,
    },
    #[n(1)]
    Failed {
        #[n(0)]
        process: ProcessNumber,
        #[n(1)]
        cause: String,
    },
    #[n(2)]
    Exited {
        #[n(0)]
        process: ProcessNumber,
        #[n(1)]
        wait_status: i32,
    },
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use model::container::Run;

    use super::*;
    use crate::spec::WindowSize;

    /// What daemon and shim of the first release said to each other. Bytes that once stood here must stay readable, and
    /// what an old side is told must be as it was: a container may be older than this program, and outlive it.
    #[test]
    fn a_shim_of_the_first_release_and_this_one_understand_each_other() {
        let ask = |ask| Request { version: 1, ask };
        let exec = Exec {
            run: Run::Exec(vec!["ls".to_owned()]),
            environment: vec![("A".to_owned(), "b".to_owned())],
            user: Some("web".to_owned()),
            working_dir: None,
            terminal: Some(WindowSize { rows: 24, columns: 80 }),
        };
        check("8201820080", &ask(Ask::Subscribe));
        check("8201820181190bb8", &ask(Ask::Stop { grace_ms: 3000 }));
        check("82018202810a", &ask(Ask::Signal(10)));
        check("82018203818582018181626c7381826141616263776562f68218181850", &ask(Ask::Exec(exec)));
        check("820182048102", &ask(Ask::SignalExec(2)));
        check("8201820580", &ask(Ask::Attach));
        let (reason, cause) = (Reason::ContainerLimitationMemory, "full".to_owned());
        let limitation = Some(Limitation { reason, cause: cause.clone() });
        check("820080", &Answer::Preparing);
        check("820181191267", &Answer::Started { pid: 4711 });
        check("820282046466756c6c", &Answer::Failed { reason, cause: cause.clone() });
        check(
            "820381820982046466756c6c",
            &Answer::Exited(Status { wait_status: 9, limitation: limitation.clone() }),
        );
        check("820480", &Answer::Done);
        check("820580", &Answer::Executed);
        check("8206816466756c6c", &Answer::Refused(cause));
        check("81190400", &Status { wait_status: 1024, limitation: None });
        check("820982046466756c6c", &Status { wait_status: 9, limitation });
    }

    fn check<T>(recorded: &str, message: &T)
    where
        T: Debug + Encode<()> + for<'b> Decode<'b, ()>,
    {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let written = minicbor::to_vec(message).expect("into memory");
        assert_eq!(hex(&written), recorded, "{message:?}");
        let read: T = minicbor::decode(&written).expect("it is what was written");
        assert_eq!(format!("{read:?}"), format!("{message:?}"));
    }
}
