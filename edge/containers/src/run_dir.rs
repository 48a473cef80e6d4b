//! What lies in a container's run directory, and how it is read by those who come later.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::Context;
use model::id::ContainerId;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::protocol::Status;

/// Where the shim listens.
pub(crate) const SOCKET: &str = "shim.sock";

/// How the container ended, and what the file is called until it is whole.
pub(crate) const STATUS: &str = "status";
pub(crate) const STATUS_PARTIAL: &str = "status.partial";
/// A page: no status is longer, and no file system gives less.
pub(crate) const STATUS_BYTES_KEPT: usize = 4096;

/// A link that names the pool of a container that has one.
pub(crate) const POOL: &str = "pool";

/// A link that names the group whose namespaces a container has.
pub(crate) const KEEPER: &str = "keeper";

/// There if the container may be in another network than the machine.
pub(crate) const APART: &str = "apart";

/// What the shim writes to its standard error.
pub(crate) const COMPLAINTS: &str = "log";

/// What a connection to a shim has come to.
pub(crate) enum Reached {
    Shim(OwnedFd),
    /// There is no shim, or no directory.
    Nobody,
    /// More than it can take wait already.
    Busy,
}

/// Connects to the shim, without waiting.
pub(crate) fn connect(run_dir: &Path) -> anyhow::Result<Reached> {
    let dir = match std::fs::File::open(run_dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Reached::Nobody),
        dir => dir.with_context(|| format!("opening {}", run_dir.display()))?,
    };
    // Addresses of sockets are short; by way of the open directory its path may be long.
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok(Reached::Shim(socket)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => Ok(Reached::Nobody),
        Err(rustix::io::Errno::AGAIN) => Ok(Reached::Busy),
        Err(e) => Err(e).with_context(|| format!("connecting to {}/{SOCKET}", run_dir.display())),
    }
}

/// `None`: the shim has not written any.
pub(crate) fn read_status(run_dir: &Path) -> anyhow::Result<Option<Status>> {
    let path = run_dir.join(STATUS);
    let bytes = match std::fs::read(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.with_context(|| format!("reading {}", path.display()))?,
    };
    let status = minicbor::decode(&bytes);
    Ok(Some(status.with_context(|| format!("{} is not a status", path.display()))?))
}

/// The pool that the container was launched in.
pub(crate) fn pool(run_dir: &Path) -> Option<ContainerId> {
    named(run_dir, POOL)
}

/// The group whose namespaces it has.
pub(crate) fn keeper(run_dir: &Path) -> Option<ContainerId> {
    named(run_dir, KEEPER)
}

fn named(run_dir: &Path, link: &str) -> Option<ContainerId> {
    let named = std::fs::read_link(run_dir.join(link)).ok()?;
    Some(ContainerId::new(named.to_str()?))
}

/// The last words of a shim that is gone.
pub(crate) fn read_complaints(run_dir: &Path) -> String {
    std::fs::read_to_string(run_dir.join(COMPLAINTS)).unwrap_or_default().trim().to_string()
}
