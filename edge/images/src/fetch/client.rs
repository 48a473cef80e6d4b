//! URIs that a program of this machine reads, as Mesos leaves them to Hadoop's client: HDFS and what else that knows, S3, FTP.
//!
//! The program writes what it reads to its standard output, so it needs no place that it may write to, and it runs with
//! the rights of the task.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, Uid, User, access};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use super::room::{Count, Excess};
use super::source::{By, URI, without_password};

const READ_BYTES: usize = 256 * 1024;
/// The end of what a program complains of.
const COMPLAINT_BYTES_MAX: usize = 2048;
/// A program that has ended leaves nobody behind who could still complain.
const COMPLAINTS_PATIENCE: Duration = Duration::from_secs(5);
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables of the agent that its clients need to find their settings, besides `PATH`.
const PASSED: [&str; 8] = [
    "LANG",
    "JAVA_HOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];
const PASSED_BEGIN: [&str; 4] = ["AWS_", "HADOOP_", "HDFS_", "KRB5"];

/// Where programs are looked for, and what they are told.
#[derive(Debug, Clone, Default)]
pub struct Clients {
    /// The first that has the program.
    pub dirs: Vec<PathBuf>,
    pub environment: Vec<(OsString, OsString)>,
}

impl Clients {
    /// What this process finds on its path, after what is in the directory of Hadoop, if one is named here or by
    /// `HADOOP_HOME`.
    pub fn of_this_process(hadoop_home: Option<&Path>) -> Self {
        let named = std::env::var_os("HADOOP_HOME").map(PathBuf::from);
        let home = hadoop_home.map(Path::to_owned).or(named);
        let path = std::env::var_os("PATH").unwrap_or_else(|| PATH_DEFAULT.into());
        let of_hadoop = home.iter().map(|home| home.join("bin"));
        let dirs = of_hadoop.chain(std::env::split_paths(&path)).collect();
        let passed = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            PASSED.contains(&name.as_ref())
                || PASSED_BEGIN.iter().any(|begin| name.starts_with(begin))
        });
        let own = [("PATH", Some(path)), ("HADOOP_HOME", home.map(PathBuf::into_os_string))];
        let own = own.into_iter().filter_map(|(name, value)| Some((name.into(), value?)));
        Self { dirs, environment: passed.chain(own).collect() }
    }

    /// The first of the programs that is here, by what it is told.
    fn find(&self, by: By) -> Option<(PathBuf, &'static [&'static str])> {
        let here = |program: &str| {
            let mut all = self.dirs.iter().map(|dir| dir.join(program));
            all.find(|path| path.is_file() && access(path, AccessFlags::X_OK).is_ok())
        };
        by.programs().iter().find_map(|(program, words)| Some((here(program)?, *words)))
    }
}

/// Why nothing came.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(String),
    /// What a web server answered.
    Status(u16),
    Unreachable(String),
    Stalled,
    TooLarge(Excess),
    /// It is something else than its URI says.
    Sum {
        wanted: String,
        actual: String,
    },
    Disk(io::Error),
}

/// One URI for one user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errand<'a> {
    pub(super) by: By,
    pub(super) uri: &'a str,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) stall_timeout: Duration,
}

impl Clients {
    /// Writes what is at the URI to a file.
    pub(super) async fn fetch(
        &self,
        errand: Errand<'_>,
        to: &Path,
        count: &mut Count<'_>,
    ) -> Result<(), Failure> {
        let Some((program, words)) = self.find(errand.by) else {
            return Err(Failure::Refused(errand.by.missing()));
        };
        let mut file = File::create(to).await.map_err(Failure::Disk)?;
        let name = program.display().to_string();
        let failed = |e: io::Error| Failure::Refused(format!("{name} cannot be run: {e}"));
        let mut running = Running::start(self.command(&program, words, &errand)).map_err(failed)?;
        let mut output = running.child.stdout.take().expect("it is a pipe");
        let mut errors = running.child.stderr.take().expect("it is a pipe");
        let complaints = tokio::spawn(async move { last_words(&mut errors).await });
        copy(&mut output, &mut file, errand.stall_timeout, count).await?;
        let ended = timeout(errand.stall_timeout, running.child.wait()).await;
        let status = ended.map_err(|_| Failure::Stalled)?.map_err(failed)?;
        running.group = None;
        if status.success() {
            return Ok(());
        }
        let said = timeout(COMPLAINTS_PATIENCE, complaints).await;
        let said = said.ok().and_then(Result::ok).unwrap_or_default();
        // It may repeat what it was told, and that is not for everybody who reads messages.
        let said = said.replace(errand.uri, &without_password(errand.uri));
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        Err(Failure::Refused(format!("{name} ended with {status}{said}")))
    }

    fn command(&self, program: &Path, words: &[&str], errand: &Errand<'_>) -> Command {
        let mut command = Command::new(program);
        let words = words.iter().map(|word| if *word == URI { errand.uri } else { *word });
        command.args(words).current_dir("/").env_clear().envs(self.environment.iter().cloned());
        let uid = errand.owner.map_or_else(Uid::effective, |(uid, _)| Uid::from_raw(uid));
        if let Ok(Some(user)) = User::from_uid(uid) {
            command.env("USER", &user.name).env("HOME", user.dir);
        }
        if let Some((uid, gid)) = errand.owner {
            command.gid(gid).uid(uid);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command
    }
}

/// A program in a group of its own. Dropped before it has ended, all of the group is killed.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    fn start(mut command: Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self { child, group })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // They may have ended meanwhile; the first of them is not reaped yet, so nobody else has its number.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Until the program closes its output; a silent one is given up.
async fn copy(
    from: &mut ChildStdout,
    to: &mut File,
    patience: Duration,
    count: &mut Count<'_>,
) -> Result<(), Failure> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = timeout(patience, from.read(&mut buffer)).await;
        let read = read.map_err(|_| Failure::Stalled)?;
        let read = read.map_err(|error| Failure::Refused(error.to_string()))?;
        if read == 0 {
            return to.flush().await.map_err(Failure::Disk);
        }
        count.add(read as u64)?;
        to.write_all(&buffer[..read]).await.map_err(Failure::Disk)?;
    }
}

/// The end of what it complains of, in one line.
async fn last_words(from: &mut ChildStderr) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; COMPLAINT_BYTES_MAX];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        said.extend_from_slice(&buffer[..read]);
        let surplus = said.len().saturating_sub(COMPLAINT_BYTES_MAX);
        said.drain(..surplus);
    }
    let said = String::from_utf8_lossy(&said);
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}
