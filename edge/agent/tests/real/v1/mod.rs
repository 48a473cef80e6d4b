//! The agent's v1 API, as its clients see it, in both encodings.

pub(crate) mod guests;
pub(crate) mod sessions;
pub(crate) mod told;

use bytes::Bytes;
use mesos_v1::ContainerId;
use mesos_v1::agent::call::Type;
use mesos_v1::agent::process_io::data::Type as DataType;
use mesos_v1::agent::{Call, ProcessIo, Response as Answer};
use mesos_v1::codec::{Encoding, RECORDIO};
use mesos_v1::recordio::{Reader, record};
use reqwest::{Body, RequestBuilder, Response};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::world::World;

pub(crate) const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];

pub(crate) fn call(kind: Type) -> Call {
    Call { r#type: Some(kind as i32), ..Call::default() }
}

pub(crate) fn id(value: &str, parent: Option<&ContainerId>) -> ContainerId {
    ContainerId { value: value.to_owned(), parent: parent.map(|parent| Box::new(parent.clone())) }
}

/// A client that speaks one of the encodings.
pub(crate) struct Caller {
    url: String,
    pub(crate) encoding: Encoding,
}

/// What a process writes.
pub(crate) struct Output {
    response: Response,
    reader: Reader,
    encoding: Encoding,
}

/// Leads to a process.
pub(crate) struct Line {
    to: mpsc::UnboundedSender<Result<Bytes, std::convert::Infallible>>,
    encoding: Encoding,
}

impl Caller {
    pub(crate) fn new(world: &World, encoding: Encoding) -> Self {
        Self { url: world.url("/api/v1"), encoding }
    }

    pub(crate) fn post(&self, call: &Call) -> RequestBuilder {
        let request = reqwest::Client::new().post(&self.url);
        let request = request.header("content-type", self.encoding.media_type());
        request.body(self.encoding.encode(call))
    }

    /// The status and what came with it.
    pub(crate) async fn ask(&self, call: &Call) -> (u16, Bytes) {
        let request = self.post(call).header("accept", self.encoding.media_type());
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.bytes().await.expect("its body"))
    }

    pub(crate) async fn answer(&self, call: &Call) -> Answer {
        let (status, body) = self.ask(call).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        self.encoding.decode(&body).expect("an answer")
    }

    pub(crate) async fn stream(&self, call: &Call) -> Result<Output, (u16, String)> {
        let request = self.post(call).header("accept", RECORDIO);
        let request = request.header("message-accept", self.encoding.media_type());
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        if status != 200 {
            return Err((status, response.text().await.expect("text")));
        }
        assert_eq!(response.headers()["content-type"], RECORDIO);
        assert_eq!(response.headers()["message-content-type"], self.encoding.media_type());
        Ok(Output { response, reader: Reader::default(), encoding: self.encoding })
    }

    /// A stream of calls, and the answer that comes at its end.
    pub(crate) fn line(&self) -> (Line, impl Future<Output = (u16, String)> + use<>) {
        let (to, records) = mpsc::unbounded_channel();
        let request = reqwest::Client::new()
            .post(&self.url)
            .header("content-type", RECORDIO)
            .header("message-content-type", self.encoding.media_type())
            .body(Body::wrap_stream(UnboundedReceiverStream::new(records)));
        let answered = async move {
            let response = request.send().await.expect("an answer");
            (response.status().as_u16(), response.text().await.expect("text"))
        };
        (Line { to, encoding: self.encoding }, answered)
    }
}

impl Line {
    pub(crate) fn say(&self, call: &Call) {
        let record = record(&self.encoding.encode(call));
        self.to.send(Ok(record)).expect("the request is under way");
    }
}

impl Output {
    async fn next(&mut self) -> Option<ProcessIo> {
        loop {
            if let Some(record) = self.reader.take().expect("records") {
                return Some(self.encoding.decode(&record).expect("a message"));
            }
            let piece = self.response.chunk().await.expect("a piece")?;
            self.reader.push(&piece);
        }
    }

    /// All of it: what went to standard output and to standard errors.
    pub(crate) async fn rest(mut self) -> (String, String) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        while let Some(io) = self.next().await {
            let Some(data) = io.data else { continue };
            let bytes = data.data.clone().unwrap_or_default();
            match data.r#type() {
                DataType::Stdout => output.extend(bytes),
                DataType::Stderr => errors.extend(bytes),
                DataType::Stdin | DataType::Unknown => panic!("no process writes that"),
            }
        }
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (text(output), text(errors))
    }

    /// Reads on until this has been written to standard output.
    pub(crate) async fn until(&mut self, wanted: &str) -> String {
        let mut output = String::new();
        while !output.contains(wanted) {
            let io = self.next().await.unwrap_or_else(|| panic!("only {output:?} was written"));
            let bytes = io.data.and_then(|data| data.data).unwrap_or_default();
            output.push_str(&String::from_utf8_lossy(&bytes));
        }
        output
    }
}
