//! Mesos' v1 calls about the input and output of containers, of the agent that has them.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use mesos_v1::agent::call::attach_container_input::Type as InputType;
use mesos_v1::agent::call::{
    AttachContainerInput, AttachContainerOutput, LaunchNestedContainerSession, Type, WaitContainer,
};
use mesos_v1::agent::process_io::control::{Heartbeat, Type as ControlType};
use mesos_v1::agent::process_io::data::Type as DataType;
use mesos_v1::agent::process_io::{Control, Data, Type as IoType};
use mesos_v1::agent::{Call, ProcessIo, Response as Answer};
use mesos_v1::codec::{Encoding, PROTOBUF, RECORDIO};
use mesos_v1::recordio::{Reader, record};
use mesos_v1::tty_info::WindowSize;
use mesos_v1::{ContainerId, DurationInfo, TtyInfo};
use reqwest::{Body, RequestBuilder, Response};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::{Client, root_cause, segment};
use crate::failure::Failure;

/// So that nobody in between takes a quiet stream for a dead one.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(30);
/// Records that wait for a slow network; then the keyboard waits too.
const RECORDS_MAX: usize = 16;

/// The agent of a task, as its containers are reached.
#[derive(Debug)]
pub(super) struct Agent<'a> {
    client: &'a Client,
    path: String,
}

/// What is written in a container.
#[derive(Debug)]
pub(super) struct Output {
    response: Response,
    reader: Reader,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    Output(Vec<u8>),
    Errors(Vec<u8>),
}

/// Leads into a container. Dropping it ends the stream, which is not the end of what is typed.
#[derive(Debug)]
pub(super) struct Input(mpsc::Sender<Result<Bytes, Infallible>>);

fn call(kind: Type) -> Call {
    Call { r#type: Some(kind as i32), ..Call::default() }
}

impl<'a> Agent<'a> {
    pub(super) fn new(client: &'a Client, agent: &str) -> Self {
        Self { client, path: format!("/agent/{}/api/v1", segment(agent)) }
    }

    fn post(&self, call: &Call) -> RequestBuilder {
        let request = self.client.request(http::Method::POST, &self.path);
        request.header(CONTENT_TYPE, PROTOBUF).body(Encoding::Protobuf.encode(call))
    }

    async fn output(&self, call: &Call) -> Result<Output> {
        let request = self.post(call);
        let request = request.header(ACCEPT, RECORDIO).header("message-accept", PROTOBUF);
        let response = self.client.open(request).await?;
        Ok(Output { response, reader: Reader::default() })
    }

    /// Starts a process in a container. It ends with the stream of what it writes.
    pub(super) async fn begin(&self, session: LaunchNestedContainerSession) -> Result<Output> {
        let launch_nested_container_session = Some(session);
        let kind = call(Type::LaunchNestedContainerSession);
        self.output(&Call { launch_nested_container_session, ..kind }).await
    }

    pub(super) async fn look_on(&self, container: &ContainerId) -> Result<Output> {
        let attach_container_output =
            Some(AttachContainerOutput { container_id: container.clone() });
        let kind = call(Type::AttachContainerOutput);
        self.output(&Call { attach_container_output, ..kind }).await
    }

    /// The second of the two has to be waited for: it ends when all is typed, or nobody reads it any more.
    pub(super) fn type_into(
        &self,
        container: &ContainerId,
    ) -> (Input, impl Future<Output = Result<()>> + use<'a>) {
        let (to, records) = mpsc::channel(RECORDS_MAX);
        let first = AttachContainerInput {
            r#type: Some(InputType::ContainerId as i32),
            container_id: Some(container.clone()),
            process_io: None,
        };
        let first = tokio_stream::once(Ok(input_record(first)));
        let request = self.client.request(http::Method::POST, &self.path);
        let request = request
            .header(CONTENT_TYPE, RECORDIO)
            .header("message-content-type", PROTOBUF)
            .body(Body::wrap_stream(first.chain(ReceiverStream::new(records))));
        let client = self.client;
        (Input(to), async move { client.open(request).await.map(drop) })
    }

    /// What `wait` returned for it; `None` if nobody knows any more.
    pub(super) async fn wait(&self, container: &ContainerId) -> Result<Option<i32>> {
        let wait_container = Some(WaitContainer { container_id: container.clone() });
        let kind = call(Type::WaitContainer);
        let request = self.post(&Call { wait_container, ..kind }).header(ACCEPT, PROTOBUF);
        let response = match self.client.open(request).await {
            Err(cause) if is_unknown(&cause) => return Ok(None),
            answered => answered?,
        };
        let url = response.url().to_string();
        let body = response.bytes().await.map_err(|error| self.client.unreachable(&error))?;
        let answer = Encoding::Protobuf.decode::<Answer>(&body);
        let answer = answer.map_err(|error| Failure::Garbled { url, cause: error.to_string() })?;
        Ok(answer.wait_container.and_then(|ended| ended.exit_status))
    }
}

fn is_unknown(cause: &anyhow::Error) -> bool {
    matches!(cause.downcast_ref(), Some(Failure::Refused { status: 404, .. }))
}

/// Whether nobody takes input because the process has ended.
pub(super) fn is_over(cause: &anyhow::Error) -> bool {
    is_unknown(cause) || matches!(cause.downcast_ref(), Some(Failure::Refused { status: 409, .. }))
}

/// Whether there is nobody to take input.
pub(super) fn is_lost(cause: &anyhow::Error) -> bool {
    matches!(cause.downcast_ref(), Some(Failure::Lost(_) | Failure::Unreachable { .. }))
}

impl Output {
    /// `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Written>> {
        loop {
            if let Some(record) = self.reader.take()? {
                let io = Encoding::Protobuf.decode::<ProcessIo>(&record)?;
                let Some(data) = io.data else { continue };
                let bytes = data.data.clone().unwrap_or_default();
                match data.r#type() {
                    DataType::Stdout => return Ok(Some(Written::Output(bytes))),
                    DataType::Stderr => return Ok(Some(Written::Errors(bytes))),
                    DataType::Stdin | DataType::Unknown => continue,
                }
            }
            match self.response.chunk().await {
                Ok(Some(piece)) => self.reader.push(&piece),
                Ok(None) => return Ok(None),
                Err(cause) => return Err(Failure::Lost(root_cause(&cause)).into()),
            }
        }
    }
}

impl Input {
    /// Nothing is the end.
    pub(super) async fn bytes(&self, bytes: &[u8]) {
        let kind = Some(DataType::Stdin as i32);
        let data = Some(Data { r#type: kind, data: Some(bytes.to_vec()) });
        self.say(ProcessIo { r#type: Some(IoType::Data as i32), data, control: None }).await;
    }

    pub(super) async fn resize(&self, rows: u16, columns: u16) {
        let window_size = Some(WindowSize { rows: rows.into(), columns: columns.into() });
        self.control(Control {
            r#type: Some(ControlType::TtyInfo as i32),
            tty_info: Some(TtyInfo { window_size }),
            heartbeat: None,
        })
        .await;
    }

    pub(super) async fn beat(&self) {
        let nanoseconds = i64::try_from(HEARTBEAT.as_nanos()).expect("it is short");
        let interval = Some(DurationInfo { nanoseconds });
        self.control(Control {
            r#type: Some(ControlType::Heartbeat as i32),
            tty_info: None,
            heartbeat: Some(Heartbeat { interval }),
        })
        .await;
    }

    async fn control(&self, control: Control) {
        let kind = Some(IoType::Control as i32);
        self.say(ProcessIo { r#type: kind, data: None, control: Some(control) }).await;
    }

    async fn say(&self, io: ProcessIo) {
        let input = AttachContainerInput {
            r#type: Some(InputType::ProcessIo as i32),
            container_id: None,
            process_io: Some(io),
        };
        // Whoever waits for the stream hears why nobody takes it.
        let _ = self.0.send(Ok(input_record(input))).await;
    }
}

fn input_record(input: AttachContainerInput) -> Bytes {
    let kind = call(Type::AttachContainerInput);
    record(&Encoding::Protobuf.encode(&Call { attach_container_input: Some(input), ..kind }))
}
