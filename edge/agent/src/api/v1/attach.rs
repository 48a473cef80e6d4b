//! What processes in containers are given to read, and what they write.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use containers::spec::{Exec, WindowSize};
use futures::{Stream, StreamExt};
use mesos_v1::agent::call::attach_container_input::Type as InputType;
use mesos_v1::agent::call::{LaunchNestedContainerSession, Type};
use mesos_v1::agent::process_io::control::{Heartbeat, Type as ControlType};
use mesos_v1::agent::process_io::data::Type as DataType;
use mesos_v1::agent::process_io::{Control, Data, Type as IoType};
use mesos_v1::agent::{Call, ProcessIo};
use mesos_v1::codec::{Encoding, RECORDIO};
use mesos_v1::negotiate::{self, MESSAGE_CONTENT_TYPE};
use mesos_v1::recordio::{Reader, record};
use mesos_v1::{ContainerId, ContainerInfo, DurationInfo, TtyInfo};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use wire::mesos::v1::command::{self, Around};
use wire::mesos::v1::container;

use super::{Asker, absent, done, judge, not_acceptable, refused};
use crate::api::Api;
use crate::api::access::Caller;
use crate::guests::{Found, Input, Lineage, Piece, Pieces, Refusal};

/// What a terminal measures until the client says.
pub(super) const SIZE: WindowSize = WindowSize { rows: 24, columns: 80 };
/// So that proxies see that a quiet stream is not a dead one. As Mesos beats.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// One more process in a container, and the stream of what it writes. It ends with the connection.
pub(super) async fn session(
    api: &Api,
    wanted: LaunchNestedContainerSession,
    asker: &Asker,
) -> Result<Response, Refusal> {
    let Some(spelling) = asker.stream() else { return Ok(not_acceptable()) };
    let lineage = Lineage::read(&wanted.container_id).map_err(Refusal::Bad)?;
    Ok(told(api.0.guests.begin_session(lineage, exec(&wanted)?).await?, spelling))
}

fn exec(wanted: &LaunchNestedContainerSession) -> Result<Exec, Refusal> {
    let bad = |cause: &str| Refusal::Bad(cause.to_owned());
    let fault = |fault: wire::mesos::v1::Fault| Refusal::Bad(fault.0);
    let spelled = wanted.command.as_ref();
    let spelled = spelled.ok_or_else(|| bad("Expecting 'command' to be present"))?;
    let command = command::read(spelled, Around::Host).map_err(fault)?;
    if !command.uris.is_empty() {
        return Err(bad("'command.uris' is not supported for a session: it shares a sandbox"));
    }
    let terminal = wanted.container.as_ref().map(surroundings).transpose()?.flatten();
    Ok(Exec {
        environment: command.variables().collect(),
        run: command.run,
        user: command.user,
        working_dir: None,
        terminal,
    })
}

/// A session shares all that surrounds its host but the terminal.
fn surroundings(spelled: &ContainerInfo) -> Result<Option<WindowSize>, Refusal> {
    let mut spelled = spelled.clone();
    let terminal = spelled.tty_info.take().map(|tty| size(&tty).unwrap_or(SIZE));
    let read = container::read(&spelled).map_err(|fault| Refusal::Bad(fault.0))?;
    let shared = [
        ("container.mesos.image", read.image.is_some()),
        ("container.volumes", !read.volumes.is_empty() || !read.shared.is_empty()),
        ("container.docker.privileged", read.privileged),
        ("container.docker.parameters", !read.parameters.is_empty()),
        (
            "container.linux_info', 'rlimit_info', 'hostname' or 'docker.network",
            read.bounds.is_some(),
        ),
    ];
    match shared.into_iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => Err(Refusal::Bad(format!(
            "'{field}' is not supported for a session: it shares what its parent has; use LAUNCH_NESTED_CONTAINER"
        ))),
        None => Ok(terminal),
    }
}

pub(super) fn size(tty: &TtyInfo) -> Option<WindowSize> {
    let size = tty.window_size.as_ref()?;
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    Some(WindowSize { rows: side(size.rows), columns: side(size.columns) })
}

/// What a container writes from now on.
pub(super) async fn output(
    api: &Api,
    id: &ContainerId,
    asker: &Asker,
) -> Result<Response, Refusal> {
    let Some(spelling) = asker.stream() else { return Ok(not_acceptable()) };
    let (lineage, found) = found(api, id)?;
    if let Found::Guest(guest) = &found
        && guest.is_session()
    {
        let cause = format!("The output of session {lineage} goes to whoever began it");
        return Err(Refusal::Conflict(cause));
    }
    let container = found.container().ok_or_else(|| no_process(&lineage))?;
    let (pieces, _) = api.0.guests.look_on(container).await?;
    Ok(told(pieces, spelling))
}

pub(super) fn found(api: &Api, id: &ContainerId) -> Result<(Lineage, Found), Refusal> {
    let lineage = Lineage::read(id).map_err(Refusal::Bad)?;
    let found = api.0.guests.find(&lineage);
    let found = found.ok_or_else(|| Refusal::Unknown(lineage.clone()))?;
    Ok((lineage, found))
}

pub(super) fn no_process(lineage: &Lineage) -> Refusal {
    Refusal::Bad(format!(
        "Container {lineage} has no process of its own; name the container of one of its tasks"
    ))
}

/// The stream of what was written, with heartbeats.
fn told(pieces: Pieces, spelling: negotiate::Stream) -> Response {
    let encoding = spelling.message;
    let mut response = Body::from_stream(records(pieces, encoding)).into_response();
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static(encoding.media_type());
    if spelling.is_named {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(RECORDIO));
        headers.insert(MESSAGE_CONTENT_TYPE, media_type);
    } else {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    response
}

fn records(pieces: Pieces, encoding: Encoding) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let mut beats = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    futures::stream::unfold((pieces, beats), move |(mut pieces, mut beats)| async move {
        let said = next(&mut pieces, &mut beats).await?;
        Some((Ok(record(&encoding.encode(&said))), (pieces, beats)))
    })
}

async fn next(pieces: &mut Pieces, beats: &mut Interval) -> Option<ProcessIo> {
    let (kind, bytes) = tokio::select! {
        piece = pieces.recv() => match piece? {
            Piece::Output(bytes) => (DataType::Stdout, bytes),
            Piece::Errors(bytes) => (DataType::Stderr, bytes),
        },
        _ = beats.tick() => return Some(heartbeat()),
    };
    Some(ProcessIo {
        r#type: Some(IoType::Data as i32),
        data: Some(Data { r#type: Some(kind as i32), data: Some(bytes.to_vec()) }),
        control: None,
    })
}

fn heartbeat() -> ProcessIo {
    let nanoseconds = i64::try_from(HEARTBEAT.as_nanos()).expect("it is short");
    let interval = Some(DurationInfo { nanoseconds });
    ProcessIo {
        r#type: Some(IoType::Control as i32),
        data: None,
        control: Some(Control {
            r#type: Some(ControlType::Heartbeat as i32),
            tty_info: None,
            heartbeat: Some(Heartbeat { interval }),
        }),
    }
}

/// What is typed, until the client has done or the process has ended.
pub(super) async fn input(api: &Api, caller: &Caller, encoding: Encoding, body: Body) -> Response {
    let mut calls = Calls { body: body.into_data_stream(), reader: Reader::default(), encoding };
    match carry(api, caller, &mut calls).await {
        Ok(()) => done(),
        Err(refusal) => refused(&refusal),
    }
}

/// The calls of a stream, each a record.
struct Calls {
    body: BodyDataStream,
    reader: Reader,
    encoding: Encoding,
}

/// What one call of the stream says.
enum Said {
    /// The first.
    Into(ContainerId),
    Io(ProcessIo),
}

impl Calls {
    /// `None` at the end, be it the client's or the connection's.
    async fn next(&mut self) -> Result<Option<Said>, Refusal> {
        loop {
            let taken = self.reader.take().map_err(|cause| Refusal::Bad(cause.to_string()))?;
            if let Some(record) = taken {
                let call = self.encoding.decode::<Call>(&record).map_err(|cause| {
                    Refusal::Bad(format!("Failed to validate agent::Call: {cause}"))
                })?;
                judge::call(&call)?;
                return said(call).map(Some);
            }
            match self.body.next().await {
                Some(Ok(piece)) => self.reader.push(&piece),
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

fn said(call: Call) -> Result<Said, Refusal> {
    if call.r#type() != Type::AttachContainerInput {
        let name = call.r#type().as_str_name();
        return Err(Refusal::Bad(format!("A stream of calls cannot hold {name}")));
    }
    let input = present(call.attach_container_input, "attach_container_input")?;
    match input.r#type() {
        InputType::ContainerId => {
            present(input.container_id, "attach_container_input.container_id").map(Said::Into)
        }
        InputType::ProcessIo => {
            present(input.process_io, "attach_container_input.process_io").map(Said::Io)
        }
        InputType::Unknown => Err(Refusal::Bad(absent("attach_container_input.type"))),
    }
}

fn present<T>(field: Option<T>, name: &str) -> Result<T, Refusal> {
    field.ok_or_else(|| Refusal::Bad(absent(name)))
}

async fn carry(api: &Api, caller: &Caller, calls: &mut Calls) -> Result<(), Refusal> {
    let Some(Said::Into(id)) = calls.next().await? else {
        return Err(Refusal::Bad(absent("attach_container_input.container_id")));
    };
    caller.may_use(&Lineage::read(&id).map_err(Refusal::Bad)?)?;
    let (lineage, found) = found(api, &id)?;
    match &found {
        Found::Guest(guest) if guest.is_session() => {
            let Some(input) = guest.take_input() else {
                let cause = format!("Somebody types into {lineage} already, or has ended to");
                return Err(Refusal::Conflict(cause));
            };
            let mut input = Some(input);
            let ended = api.0.guests.exits().of(&guest.container);
            let done = tokio::select! {
                typed = type_in(calls, &mut input) => typed,
                _ = ended => Ok(()),
            };
            input.into_iter().for_each(|input| guest.give_back(input));
            done
        }
        Found::Task(..) | Found::Program(..) | Found::Guest(_) | Found::Shared => {
            let container = found.container().ok_or_else(|| no_process(&lineage))?;
            let (mut pieces, typed) = api.0.guests.look_on(container).await?;
            let Some(typed) = typed else {
                let cause = format!("Container {lineage} has no terminal: nothing reads input");
                return Err(Refusal::Bad(cause));
            };
            let ended = async { while pieces.recv().await.is_some() {} };
            let mut typed = Some(typed);
            tokio::select! {
                typed = type_in(calls, &mut typed) => typed,
                () = ended => Ok(()),
            }
        }
    }
}

/// Takes the input away at its end.
async fn type_in(calls: &mut Calls, input: &mut Option<Input>) -> Result<(), Refusal> {
    while let Some(said) = calls.next().await? {
        let Said::Io(io) = said else {
            return Err(Refusal::Bad("'container_id' can be said only once".to_owned()));
        };
        match io.r#type() {
            IoType::Data => feed(io.data.unwrap_or_default(), input).await,
            IoType::Control => control(&io.control.unwrap_or_default(), input.as_ref())?,
            IoType::Unknown => {
                return Err(Refusal::Bad(absent("attach_container_input.process_io.type")));
            }
        }
    }
    Ok(())
}

/// Nothing is how the end is told. A terminal has none.
async fn feed(data: Data, input: &mut Option<Input>) {
    let bytes = data.data.unwrap_or_default();
    let Some(open) = input else { return };
    match open {
        Input::Pipe(_) if bytes.is_empty() => *input = None,
        Input::Pipe(_) | Input::Terminal(_) => {
            if let Err(cause) = open.write(&bytes).await {
                tracing::debug!(%cause, "nobody reads what is typed any more");
                *input = None;
            }
        }
    }
}

fn control(control: &Control, input: Option<&Input>) -> Result<(), Refusal> {
    match control.r#type() {
        ControlType::TtyInfo => {
            let size = control.tty_info.as_ref().and_then(size);
            let size = present(size, "process_io.control.tty_info.window_size")?;
            if input.is_some_and(|input| !input.resize(size)) {
                return Err(Refusal::Bad("What has no terminal has no window size".to_owned()));
            }
            Ok(())
        }
        ControlType::Heartbeat => Ok(()),
        ControlType::Unknown => Err(Refusal::Bad(absent("process_io.control.type"))),
    }
}
