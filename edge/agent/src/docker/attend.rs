//! The process that stands for a container of the Docker Engine: attached to it from its start to its end.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::query_parameters::{
    AttachContainerOptions, KillContainerOptions, ResizeContainerTTYOptions, WaitContainerOptions,
};
use futures::{Stream, StreamExt};
use rustix::termios::{OptionalActions, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::{AsyncWrite, copy, stdin};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::{connect, said};

/// The hidden subcommand: the engine's socket, the container, and whether there is a terminal.
pub(super) const COMMAND: &str = "attend-docker";
pub(super) const TERMINAL: &str = "--terminal";

/// The engine's daemon may be started again while its containers run on.
const ENGINE_AWAY_MAX: Duration = Duration::from_secs(300);
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Of `docker run`, if the engine itself fails.
const STATUS_ENGINE: i32 = 125;

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// Runs the hidden subcommand and says how `main` must exit; `None` for everything else. Takes the arguments as
/// `std::env::args_os` gives them.
pub fn dispatch(arguments: impl IntoIterator<Item = OsString>) -> Option<i32> {
    let words: Vec<OsString> = arguments.into_iter().skip(1).collect();
    let [command, socket, container, rest @ ..] = words.as_slice() else { return None };
    if command != COMMAND {
        return None;
    }
    let has_terminal = rest.iter().any(|word| word == TERMINAL);
    let ended = attend(socket, container, has_terminal);
    Some(ended.unwrap_or_else(|cause| {
        // Its error output is the task's.
        let _ = writeln!(std::io::stderr(), "Docker Engine: {cause:#}");
        STATUS_ENGINE
    }))
}

fn attend(socket: &OsStr, container: &OsStr, has_terminal: bool) -> anyhow::Result<i32> {
    let text = |word: &OsStr| word.to_str().map(str::to_owned).context("an argument is no text");
    let (socket, name) = (text(socket)?, text(container)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let docker = connect(&socket).await.map_err(|cause| anyhow::anyhow!(said(&cause)))?;
        let terminated = signal(SignalKind::terminate())?;
        Attendant { docker, name, has_terminal, terminated }.attend().await
    });
    // Nobody waits for whoever still waits for a key.
    runtime.shutdown_background();
    status
}

struct Attendant {
    docker: Docker,
    name: String,
    has_terminal: bool,
    terminated: Signal,
}

impl Attendant {
    async fn attend(mut self) -> anyhow::Result<i32> {
        let mut output = Some(self.attach().await?);
        let started = self.docker.start_container(&self.name, None).await;
        started.map_err(|cause| anyhow::anyhow!(said(&cause)))?;
        let mut away_since = None;
        loop {
            if let Some(output) = output.take() {
                self.pass_on(output).await?;
            }
            match self.ended().await {
                Ok(status) => return Ok(status),
                Err(cause) => {
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > ENGINE_AWAY_MAX {
                        bail!("it is away, and with it how the container does: {}", said(&cause));
                    }
                    sleep(TRY_AGAIN).await;
                    output = self.attach().await.ok();
                    if output.is_some() {
                        away_since = None;
                    }
                }
            }
        }
    }

    async fn attach(&self) -> anyhow::Result<Output> {
        let options = AttachContainerOptions {
            stream: true,
            stdout: true,
            stderr: true,
            stdin: self.has_terminal,
            ..Default::default()
        };
        let attached = self.docker.attach_container(&self.name, Some(options)).await;
        let AttachContainerResults { output, input } =
            attached.map_err(|cause| anyhow::anyhow!(said(&cause)))?;
        if self.has_terminal {
            self.lend_terminal(input)?;
        }
        Ok(output)
    }

    /// What is typed goes in as it is; the container's terminal has the size of ours.
    fn lend_terminal(&self, mut input: Input) -> anyhow::Result<()> {
        let own = std::io::stdin();
        let mut modes = tcgetattr(&own).context("the terminal")?;
        modes.make_raw();
        tcsetattr(&own, OptionalActions::Now, &modes).context("the terminal")?;
        let mut resized = signal(SignalKind::window_change())?;
        let (docker, name) = (self.docker.clone(), self.name.clone());
        tokio::spawn(async move { copy(&mut stdin(), &mut input).await });
        tokio::spawn(async move {
            loop {
                if let Ok(size) = tcgetwinsize(std::io::stdin()) {
                    let (h, w) = (size.ws_row.into(), size.ws_col.into());
                    let options = ResizeContainerTTYOptions { h, w };
                    // Before it runs it has none that could have a size.
                    if docker.resize_container_tty(&name, options).await.is_err() {
                        sleep(TRY_AGAIN).await;
                        continue;
                    }
                }
                if resized.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(())
    }

    /// Until the container writes no more, or the engine is away.
    async fn pass_on(&mut self, mut output: Output) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                piece = output.next() => match piece {
                    Some(Ok(LogOutput::StdErr { message })) => {
                        std::io::stderr().write_all(&message)?;
                    }
                    Some(Ok(
                        LogOutput::StdOut { message }
                        | LogOutput::Console { message }
                        | LogOutput::StdIn { message },
                    )) => {
                        let mut out = std::io::stdout();
                        out.write_all(&message)?;
                        out.flush()?;
                    }
                    Some(Err(_)) | None => return Ok(()),
                },
                told = self.terminated.recv() => {
                    told.context("no more signals")?;
                    self.terminate().await;
                }
            }
        }
    }

    /// By the signal that the task or its image wants.
    async fn terminate(&self) {
        let found = self.docker.inspect_container(&self.name, None).await;
        let wanted = found.ok().and_then(|found| found.config?.stop_signal);
        let signal = wanted.unwrap_or_else(|| "SIGTERM".to_owned());
        let killed = self.docker.kill_container(&self.name, Some(KillContainerOptions { signal }));
        if let Err(cause) = killed.await {
            // It may have ended meanwhile; if not, SIGKILL comes to all after the grace.
            let _ = writeln!(std::io::stderr(), "Docker Engine: {}", said(&cause));
        }
    }

    async fn ended(&mut self) -> Result<i32, Error> {
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let mut waiting = Box::pin(self.docker.wait_container(&self.name, Some(options)));
        loop {
            tokio::select! {
                answer = waiting.next() => {
                    let status = match answer {
                        Some(Ok(answer)) => answer.status_code,
                        // Our client takes every status but 0 for a failure of its own.
                        Some(Err(Error::DockerContainerWaitError { code, .. })) => code,
                        Some(Err(cause)) => return Err(cause),
                        None => return Err(Error::IOError { err: std::io::ErrorKind::UnexpectedEof.into() }),
                    };
                    return Ok(i32::try_from(status).unwrap_or(STATUS_ENGINE));
                }
                _ = self.terminated.recv() => self.terminate().await,
            }
        }
    }
}
