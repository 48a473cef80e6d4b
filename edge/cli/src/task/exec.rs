//! `dcos task exec` and `dcos task attach`: a process in a container, with this terminal as its own.

use std::future::pending;
use std::pin::Pin;

use anyhow::{Context, Result};
use mesos_v1::agent::call::LaunchNestedContainerSession;
use mesos_v1::container_info::Type as ContainerType;
use mesos_v1::environment::Variable;
use mesos_v1::environment::variable::Type as VariableType;
use mesos_v1::tty_info::WindowSize;
use mesos_v1::{CommandInfo, ContainerId, ContainerInfo, Environment, TtyInfo};
use tokio::io::{AsyncReadExt, Stdin, stdin};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval_at};

use crate::client::Client;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::task::find::Task;
use crate::task::keys::Keys;
use crate::task::stream::{Agent, HEARTBEAT, Input, Output, Written, is_lost, is_over};
use crate::task::terminal::{RawMode, size};

/// As much as is read of standard input at once.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Shells report a process that a signal ended as this plus the signal's number.
const SIGNALLED: i32 = 128;

/// What a terminal is called, if it does not say.
const TERMINAL_DEFAULT: &str = "xterm";

#[derive(Debug)]
pub(super) struct Run {
    pub(super) command: Vec<String>,
    pub(super) interactive: bool,
    pub(super) tty: bool,
    pub(super) user: Option<String>,
}

/// Whether this terminal is to be the process's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Terminal {
    Passed,
    /// As it is drawn already, it has to be drawn again.
    Redrawn,
    Kept,
}

/// How it was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// All that was written has been shown.
    AtItsEnd,
    ByKeys,
    BySignal(i32),
}

/// Returns the exit status of the command.
pub(super) async fn run(
    screen: &mut Screen<'_>,
    client: &Client,
    task: &Task,
    run: Run,
) -> Result<u8> {
    let client = client.patient()?;
    let agent = Agent::new(&client, &task.slave_id);
    let session = session(container(task)?, &run);
    let own = session.container_id.clone();
    let mut output = agent.begin(session).await?;
    let (input, sent) = agent.type_into(&own);
    if !run.interactive {
        input.bytes(&[]).await;
    }
    let terminal = if run.tty { Terminal::Passed } else { Terminal::Kept };
    let keyboard = Keyboard::new(run.interactive, terminal)?;
    let done = async {
        let left = talk(screen, &mut output, keyboard, (input, sent), Refused::Fails).await?;
        ended(&agent, &own, left).await
    };
    let gone = "the command in the container has ended with it, and nobody knows its exit status. `dcos node list` tells \
                whether the agent is back";
    match done.await.map_err(|cause| lost(cause, gone))? {
        Some(status) => Ok(status),
        None => {
            let cause = format!("its agent knows of no such command any more; {gone}");
            Err(Failure::Lost(cause).into())
        }
    }
}

/// Returns how the task ended, if it does meanwhile.
pub(super) async fn attach(
    screen: &mut Screen<'_>,
    client: &Client,
    task: &Task,
    types: bool,
) -> Result<u8> {
    let client = client.patient()?;
    let agent = Agent::new(&client, &task.slave_id);
    let container = container(task)?;
    let mut output = agent.look_on(&container).await?;
    let done = async {
        if !types {
            while let Some(written) = output.next().await? {
                show(screen, written)?;
            }
            return ended(&agent, &container, Left::AtItsEnd).await;
        }
        let line = agent.type_into(&container);
        let keyboard = Keyboard::new(true, Terminal::Redrawn)?;
        let left = talk(screen, &mut output, keyboard, line, Refused::LooksOn).await?;
        ended(&agent, &container, left).await
    };
    let goes_on = format!(
        "the task does not end by that. Attach again once `dcos node list` shows its agent: dcos task attach {}",
        task.id
    );
    // How some tasks ended nobody knows any more.
    Ok(done.await.map_err(|cause| lost(cause, &goes_on))?.unwrap_or(0))
}

/// Says what has become of what was on the other end.
fn lost(cause: anyhow::Error, then: &str) -> anyhow::Error {
    match cause.downcast_ref::<Failure>() {
        Some(Failure::Lost(cause) | Failure::Unreachable { cause, .. }) => {
            Failure::Lost(format!("{cause}; {then}")).into()
        }
        Some(_) | None => cause,
    }
}

fn container(task: &Task) -> Result<ContainerId> {
    let nothing = || {
        Failure::Other(format!("{} has no container (yet); its state is {}", task.id, task.state))
    };
    Ok(task.container().ok_or_else(nothing)?)
}

fn session(host: ContainerId, run: &Run) -> LaunchNestedContainerSession {
    let value = uuid::Uuid::new_v4().to_string();
    let (tty_info, environment) = match run.tty {
        true => (Some(TtyInfo { window_size: window() }), Some(environment())),
        false => (None, None),
    };
    LaunchNestedContainerSession {
        container_id: ContainerId { value, parent: Some(Box::new(host)) },
        command: Some(CommandInfo {
            shell: Some(false),
            value: run.command.first().cloned(),
            arguments: run.command.clone(),
            user: run.user.clone(),
            environment,
            ..CommandInfo::default()
        }),
        container: Some(ContainerInfo {
            r#type: ContainerType::Mesos as i32,
            tty_info,
            ..ContainerInfo::default()
        }),
    }
}

fn window() -> Option<WindowSize> {
    let (rows, columns) = size()?;
    Some(WindowSize { rows: rows.into(), columns: columns.into() })
}

fn environment() -> Environment {
    let name = std::env::var("TERM").unwrap_or_else(|_| TERMINAL_DEFAULT.to_owned());
    let variable = Variable {
        name: "TERM".to_owned(),
        r#type: Some(VariableType::Value as i32),
        value: Some(name),
        secret: None,
    };
    Environment { variables: vec![variable] }
}

/// What is typed here, until it is closed.
struct Keyboard {
    input: Option<Stdin>,
    terminal: Terminal,
    keys: Keys,
    /// Undone when this is dropped.
    raw: Option<RawMode>,
    resized: Signal,
}

/// What it means if nobody takes what is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Fails,
    LooksOn,
}

enum Typed {
    Bytes(Vec<u8>),
    Closed,
    Leaves,
    Resized,
}

impl Keyboard {
    fn new(interactive: bool, terminal: Terminal) -> Result<Self> {
        let takes_keys = interactive && terminal != Terminal::Kept;
        let raw = if takes_keys { RawMode::enter()? } else { None };
        let resized = signal(SignalKind::window_change()).context("watching the window's size")?;
        let input = interactive.then(stdin);
        Ok(Self { input, terminal, keys: Keys::default(), raw, resized })
    }

    async fn next(&mut self) -> Result<Typed> {
        let mut bytes = vec![0; INPUT_BYTES_MAX];
        tokio::select! {
            length = read(&mut self.input, &mut bytes) => {
                match length.context("reading standard input")? {
                    0 => {
                        self.input = None;
                        Ok(Typed::Closed)
                    }
                    length if self.raw.is_some() => {
                        let typed = self.keys.typed(&bytes[..length]);
                        Ok(if typed.leaves { Typed::Leaves } else { Typed::Bytes(typed.bytes) })
                    }
                    length => Ok(Typed::Bytes(bytes[..length].to_vec())),
                }
            }
            () = window_changed(&mut self.resized, self.terminal) => Ok(Typed::Resized),
        }
    }
}

/// Never returns once the input is closed.
async fn read(input: &mut Option<Stdin>, typed: &mut [u8]) -> std::io::Result<usize> {
    match input {
        Some(input) => input.read(typed).await,
        None => pending().await,
    }
}

async fn window_changed(resized: &mut Signal, terminal: Terminal) {
    if terminal == Terminal::Kept || resized.recv().await.is_none() {
        pending().await
    }
}

/// Carries input and output until the output has ended. Neither waits for the other: a process that does not read before
/// what it wrote is taken would wait for ever.
async fn talk(
    screen: &mut Screen<'_>,
    output: &mut Output,
    keyboard: Keyboard,
    (input, sent): (Input, impl Future<Output = Result<()>>),
    refused: Refused,
) -> Result<Left> {
    // Without them the terminal would stay as it is now.
    let mut signals = Signals::new()?;
    let mut typing = Some(Box::pin(pass_on(keyboard, input)));
    let mut sent = std::pin::pin!(sent);
    loop {
        tokio::select! {
            written = output.next() => match written? {
                Some(written) => show(screen, written)?,
                None => return Ok(Left::AtItsEnd),
            },
            left = left(&mut typing) => return left.map(|()| Left::ByKeys),
            answered = &mut sent, if typing.is_some() => {
                // It takes nothing more once it has answered, and the terminal is as it was.
                typing = None;
                match answered {
                    // What was written last is still on its way.
                    Err(cause) if is_over(&cause) => (),
                    // The output is at its end as well, and says it.
                    Err(cause) if is_lost(&cause) => (),
                    Err(cause) if refused == Refused::LooksOn => screen.remark(cause)?,
                    answered => answered?,
                }
            }
            number = signals.next() => return Ok(Left::BySignal(number)),
        }
    }
}

/// Never returns once nothing is typed any more.
async fn left(typing: &mut Option<Pin<Box<impl Future<Output = Result<()>>>>>) -> Result<()> {
    match typing {
        Some(typing) => typing.await,
        None => pending().await,
    }
}

/// Passes on what is typed until the keys are that leave.
async fn pass_on(mut keyboard: Keyboard, input: Input) -> Result<()> {
    let mut beats = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    if keyboard.terminal == Terminal::Redrawn {
        input.resize(0, 0).await;
    }
    if keyboard.terminal != Terminal::Kept {
        resize(&input).await;
    }
    loop {
        tokio::select! {
            typed = keyboard.next() => match typed? {
                Typed::Bytes(bytes) if bytes.is_empty() => (),
                Typed::Bytes(bytes) => input.bytes(&bytes).await,
                Typed::Closed => input.bytes(&[]).await,
                Typed::Leaves => return Ok(()),
                Typed::Resized => resize(&input).await,
            },
            _ = beats.tick() => input.beat().await,
        }
    }
}

async fn resize(input: &Input) {
    if let Some((rows, columns)) = size() {
        input.resize(rows, columns).await;
    }
}

fn show(screen: &mut Screen<'_>, written: Written) -> Result<()> {
    match written {
        Written::Output(bytes) => screen.bytes(&bytes),
        Written::Errors(bytes) => screen.remark_bytes(&bytes),
    }
}

/// What would end this process at once.
struct Signals([(i32, Signal); 3]);

impl Signals {
    fn new() -> Result<Self> {
        let watch = |kind: SignalKind| {
            let watched = signal(kind).context("watching for signals")?;
            anyhow::Ok((kind.as_raw_value(), watched))
        };
        let all = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()];
        let [hangup, interrupt, terminate] = all.map(watch);
        Ok(Self([hangup?, interrupt?, terminate?]))
    }

    async fn next(&mut self) -> i32 {
        let [(hangup, one), (interrupt, two), (terminate, three)] = &mut self.0;
        tokio::select! {
            _ = one.recv() => *hangup,
            _ = two.recv() => *interrupt,
            _ = three.recv() => *terminate,
        }
    }
}

/// As a shell would report it; nothing if nobody knows it any more.
async fn ended(agent: &Agent<'_>, container: &ContainerId, left: Left) -> Result<Option<u8>> {
    Ok(match left {
        Left::AtItsEnd => agent.wait(container).await?.map(status),
        Left::ByKeys => Some(0),
        Left::BySignal(number) => Some(u8::try_from(SIGNALLED + number).unwrap_or(u8::MAX)),
    })
}

fn status(wait_status: i32) -> u8 {
    let (code, signal) = ((wait_status >> 8) & 0xff, wait_status & 0x7f);
    let shown = if signal == 0 { code } else { SIGNALLED + signal };
    u8::try_from(shown).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_is_what_a_shell_would_say() {
        let check = |wait_status, expected| assert_eq!(status(wait_status), expected);
        check(0, 0);
        check(3 << 8, 3);
        check(255 << 8, 255);
        check(9, 137);
    }
}
