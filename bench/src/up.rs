//! A real `dcos up` with real containers, in a process of its own.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::Place;
use crate::client::Client;

const MARATHON: u16 = 8080;
const ASK_MS: u64 = 10;
const START_MAX: Duration = Duration::from_secs(30);
/// It ends all tasks first.
const STOP_MAX: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Args)]
pub(crate) struct Binary {
    /// The program that is measured [default: beside this one].
    #[arg(long, value_name = "FILE")]
    dcos: Option<PathBuf>,
}

impl Binary {
    fn path(&self) -> Result<PathBuf> {
        if let Some(path) = &self.dcos {
            return Ok(path.clone());
        }
        Ok(std::env::current_exe().context("finding this program")?.with_file_name("dcos"))
    }
}

#[derive(Debug)]
pub(crate) struct Up {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) client: Client,
}

impl Up {
    /// Ready for apps when this returns.
    pub(crate) async fn start(binary: &Binary, dir: &Path, place: &Place) -> Result<Self> {
        let program = binary.path()?;
        let log = File::create(dir.join("log")).context("creating the log of `dcos up`")?;
        let child = Command::new(&program)
            .args(["up", "--stop-tasks", "--bind", &place.ip.to_string(), "--data-dir"])
            .arg(dir.join("data"))
            .args(["--resources", "cpus:200;mem:65536;disk:65536;ports:[31000-34000]"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let pid = child.id().context("`dcos up` has ended at once")?;
        let mut up = Self { child, pid, client: Client::new(marathon(place.ip)) };
        up.until_answered(dir).await?;
        Ok(up)
    }

    async fn until_answered(&mut self, dir: &Path) -> Result<()> {
        let begun = Instant::now();
        while self.client.get("/v2/info").await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
                bail!("`dcos up` has ended with {status}:\n{log}");
            }
            ensure!(begun.elapsed() < START_MAX, "`dcos up` does not answer");
            sleep(Duration::from_millis(ASK_MS)).await;
        }
        Ok(())
    }

    /// As Ctrl-C does.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("a process has a number")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let ended = timeout(STOP_MAX, self.child.wait()).await;
        ended.context("`dcos up` does not stop")?.context("waiting for `dcos up`")?;
        Ok(())
    }
}

fn marathon(ip: Ipv4Addr) -> SocketAddr {
    (ip, MARATHON).into()
}
