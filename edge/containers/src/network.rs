//! How the daemon works in the network of a container that is not in the machine's.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use anyhow::Context;
use model::id::ContainerId;
use nix::sched::{CloneFlags, setns};
use rustix::fs::{Mode, OFlags, fstat, openat};
use tokio::runtime;
use tokio::sync::oneshot;

use crate::Containers;
use crate::daemon::Daemon;
use crate::run_dir::APART;

/// Of a container. It stays while this does.
#[derive(Debug)]
pub struct Network(OwnedFd);

impl Containers {
    /// `None`: it is in the machine's, as we are.
    pub async fn network(&self, container: &ContainerId) -> anyhow::Result<Option<Network>> {
        let namespace = match self.delegate_of(container) {
            Some(process) => open(process, "ns/net")?,
            None if self.is_apart(container) => {
                let process = self.0.first_process(container).await?;
                namespace_of(process, &self.0.cgroup(container))?
            }
            None => return Ok(None),
        };
        let own = open(std::process::id(), "ns/net")?;
        let number = |namespace: &OwnedFd| anyhow::Ok(fstat(namespace)?.st_ino);
        let is_own = number(&own)? == number(&namespace)?;
        Ok((!is_own).then_some(Network(namespace)))
    }

    /// Whether it may be in another network than the machine.
    pub fn is_apart(&self, container: &ContainerId) -> bool {
        self.0.is_apart(container)
    }
}

impl Daemon {
    pub(crate) fn is_apart(&self, container: &ContainerId) -> bool {
        self.run_dir(container).join(APART).exists()
    }
}

impl Network {
    /// Does what opens its sockets in there. It goes on to its end even if nobody waits for it any more.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (done, told) = oneshot::channel();
        // Of its own, for whose thread it is would be in there afterwards.
        let thread = std::thread::Builder::new().name("dcos-network".to_owned());
        let worker = move || {
            // Whoever waited may have gone.
            let _ = done.send(self.work(work));
        };
        thread.spawn(worker).context("a thread in the container's network")?;
        told.await.context("what was done in the container's network has panicked")?
    }

    fn work<T>(self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        setns(&self.0, CloneFlags::CLONE_NEWNET).context("entering the container's network")?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(work))
    }
}

/// The network of a process that is in this group: its number may be somebody else's by now.
pub(crate) fn namespace_of(process: u32, cgroup: &str) -> anyhow::Result<OwnedFd> {
    let gone = "the container whose network it is has ended";
    let dir = open(process, ".").context(gone)?;
    let below = |name| openat(&dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let mut groups = String::new();
    File::from(below("cgroup").context(gone)?).read_to_string(&mut groups).context(gone)?;
    anyhow::ensure!(groups.lines().any(|line| line.ends_with(cgroup)), gone);
    below("ns/net").context(gone)
}

fn open(process: u32, name: &str) -> anyhow::Result<OwnedFd> {
    let path = format!("/proc/{process}/{name}");
    Ok(File::open(&path).with_context(|| path)?.into())
}
