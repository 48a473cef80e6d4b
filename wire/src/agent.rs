//! The agent's protocol on the wire: letters in CBOR, on one gRPC stream per agent.
//!
//! The method is `/dcos.agent.v1.Agent/Stream`, a stream in both directions. The master speaks first: an empty letter
//! that tells its term. The agent answers with `Register` and puts that term on all it says.
//! Neither side opens sockets here: the client takes any channel, the server is a service for any listener.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use minicbor::{Decode, Encode};
use model::agent::{FromAgent, Letter, ToAgent};
use tonic::client::GrpcService;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::codegen::tokio_stream::Stream;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{NamedService, StreamingService};
use tonic::{Request, Response, Status};

pub const SERVICE: &str = "dcos.agent.v1.Agent";
pub const METHOD: &str = "/dcos.agent.v1.Agent/Stream";

/// The largest letter either side takes. An agent that registers with 10,000 tasks writes about a tenth of it.
pub const LETTER_BYTES_MAX: usize = 64 << 20;
/// Messages that a writer puts into one letter before it starts the next, so that letters stay far below the limit.
pub const LETTER_MESSAGES_MAX: usize = 256;

/// What a stream buffers at first, in each direction. There may be thousands of streams, and most letters are short.
const BUFFER_BYTES: usize = 1 << 10;
/// Letters that are ready together are sent together up to this size.
const YIELD_BYTES: usize = 32 << 10;

/// What the master reads.
pub type Incoming = Streaming<Letter<FromAgent>>;
/// What an agent reads.
pub type Orders = Streaming<Letter<ToAgent>>;

/// Opens a stream to a master: `letters` go up, the answer's letters come down.
pub async fn open<T, S>(channel: T, letters: S) -> Result<Orders, Status>
where
    T: GrpcService<tonic::body::Body>,
    T::ResponseBody: Body + Send + 'static,
    <T::ResponseBody as Body>::Error: Into<StdError>,
    S: Stream<Item = Letter<FromAgent>> + Send + 'static,
{
    let mut client = tonic::client::Grpc::new(channel)
        .max_decoding_message_size(LETTER_BYTES_MAX)
        .max_encoding_message_size(LETTER_BYTES_MAX);
    client.ready().await.map_err(|cause| Status::unavailable(cause.into().to_string()))?;
    let codec = Cbor::<Letter<FromAgent>, Letter<ToAgent>>::default();
    let path = http::uri::PathAndQuery::from_static(METHOD);
    Ok(client.streaming(Request::new(letters), path, codec).await?.into_inner())
}

/// Whoever answers agents.
pub trait Master: Clone + Send + Sync + 'static {
    type Letters: Stream<Item = Result<Letter<ToAgent>, Status>> + Send + 'static;

    /// A new stream: `incoming` is what the agent says, the answer is what it is told.
    fn open(&self, incoming: Incoming) -> Result<Self::Letters, Status>;
}

/// The service that a listener mounts at [`METHOD`].
#[derive(Debug, Clone)]
pub struct Server<M>(pub M);

impl<M> NamedService for Server<M> {
    const NAME: &'static str = SERVICE;
}

impl<M, B> Service<http::Request<B>> for Server<M>
where
    M: Master,
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if request.uri().path() != METHOD {
            return Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) });
        }
        let opening = Opening(self.0.clone());
        Box::pin(async move {
            let mut server =
                tonic::server::Grpc::new(Cbor::<Letter<ToAgent>, Letter<FromAgent>>::default())
                    .max_decoding_message_size(LETTER_BYTES_MAX)
                    .max_encoding_message_size(LETTER_BYTES_MAX);
            Ok(server.streaming(opening, request).await)
        })
    }
}

/// One call of the method.
struct Opening<M>(M);

impl<M: Master> StreamingService<Letter<FromAgent>> for Opening<M> {
    type Response = Letter<ToAgent>;
    type ResponseStream = M::Letters;
    type Future = std::future::Ready<Result<Response<M::Letters>, Status>>;

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        std::future::ready(self.0.open(request.into_inner()).map(Response::new))
    }
}

/// Writes `E` and reads `D`.
struct Cbor<E, D>(PhantomData<fn(E) -> D>);

impl<E, D> Default for Cbor<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> Codec for Cbor<E, D>
where
    E: Encode<()> + Send + 'static,
    D: for<'b> Decode<'b, ()> + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = Writer<E>;
    type Decoder = Reader<D>;

    fn encoder(&mut self) -> Writer<E> {
        Writer(PhantomData)
    }

    fn decoder(&mut self) -> Reader<D> {
        Reader(PhantomData)
    }
}

struct Writer<E>(PhantomData<fn(E)>);

impl<E: Encode<()>> Encoder for Writer<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let mut bytes = Vec::new();
        minicbor::encode(&item, &mut bytes).expect("a Vec takes any bytes");
        to.put_slice(&bytes);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

struct Reader<D>(PhantomData<fn() -> D>);

impl<D: for<'b> Decode<'b, ()>> Decoder for Reader<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        minicbor::decode(&bytes)
            .map(Some)
            .map_err(|cause| Status::invalid_argument(format!("not a letter: {cause}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}
