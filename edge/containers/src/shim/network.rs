//! The network that a container is in: the machine's, another container's, one that was handed in, or one of its own.
//!
//! It is entered by the container's first process before anything is mounted, for `/sys` shows that of who mounts it.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use anyhow::Context;
use model::confinement::Sharing;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::network::namespace_of;
use crate::protocol::Launch;

const LOOPBACK: &[u8] = b"lo";

/// What nobody outside can notice, so that whoever the program runs as may do it: listen on any port, and ping.
const FREE: [(&str, &str); 2] = [
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
];

pub(super) fn enter(launch: &Launch) -> anyhow::Result<()> {
    let spec = &launch.spec;
    let keeper = launch.keeper.as_ref().filter(|keeper| keeper.net);
    match (&spec.network, keeper, spec.confinement.net) {
        (Some(path), _, _) => {
            let named = || format!("the network {}", path.display());
            let namespace = File::open(path).with_context(named)?;
            setns(namespace, CloneFlags::CLONE_NEWNET).with_context(named)
        }
        (None, Some(keeper), _) => {
            let namespace = namespace_of(keeper.process, &keeper.cgroup)?;
            setns(namespace, CloneFlags::CLONE_NEWNET).context("the network of another container")
        }
        (None, None, Some(Sharing::Private)) => make().context("a network of its own"),
        (None, None, Some(Sharing::Parent) | None) => Ok(()),
    }
}

fn make() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    raise_loopback().context("the loopback")?;
    for (setting, value) in FREE {
        // Older kernels know fewer of them.
        let _ = fs::write(setting, value);
    }
    Ok(())
}

fn raise_loopback() -> std::io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all zero is a request without a name.
    let mut asked: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in asked.ifr_name.iter_mut().zip(LOOPBACK) {
        *to = from.cast_signed();
    }
    asked.ifr_ifru.ifru_flags = libc::IFF_UP.try_into().expect("a small number");
    // SAFETY: the kernel reads a request of this shape, which is ours until it returns.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const asked) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
