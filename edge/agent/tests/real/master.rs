//! A master that admits every agent, and otherwise says what a test wants.

use std::sync::{Arc, Mutex};

use model::agent::{FromAgent, Letter, ToAgent};
use model::id::{AgentId, Term};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::Status;
use tonic::transport::Server;

/// Far more than a test says.
const LETTERS_MAX: usize = 100;
const TERM: Term = Term(1);

type Down = mpsc::Sender<Result<Letter<ToAgent>, Status>>;

#[derive(Clone)]
pub(crate) struct Master {
    heard: mpsc::UnboundedSender<FromAgent>,
    /// The newest stream.
    down: Arc<Mutex<Option<Down>>>,
}

impl Master {
    /// Listens on any port of `ip`; gives its address and what agents say.
    pub(crate) async fn start(ip: &str) -> (Self, String, mpsc::UnboundedReceiver<FromAgent>) {
        let listener = TcpListener::bind((ip, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (heard, hearing) = mpsc::unbounded_channel();
        let master = Self { heard, down: Arc::default() };
        let served = Server::builder()
            .add_service(wire::agent::Server(master.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(served);
        (master, address, hearing)
    }

    pub(crate) async fn say(&self, message: ToAgent) {
        let down = self.down.lock().expect("no test panics in it").clone();
        say(&down.expect("an agent is there"), vec![message]).await;
    }
}

async fn say(down: &Down, messages: Vec<ToAgent>) {
    down.send(Ok(Letter { term: TERM, messages })).await.expect("the agent listens");
}

impl wire::agent::Master for Master {
    type Letters = ReceiverStream<Result<Letter<ToAgent>, Status>>;

    fn open(&self, mut incoming: wire::agent::Incoming) -> Result<Self::Letters, Status> {
        let (down, letters) = mpsc::channel(LETTERS_MAX);
        *self.down.lock().expect("no test panics in it") = Some(down.clone());
        let heard = self.heard.clone();
        tokio::spawn(async move {
            say(&down, vec![]).await;
            while let Ok(Some(letter)) = incoming.message().await {
                for message in letter.messages {
                    if let FromAgent::Register { .. } = message {
                        let agent = AgentId::new("S0");
                        say(&down, vec![ToAgent::Registered { agent }]).await;
                    }
                    if heard.send(message).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(ReceiverStream::new(letters))
    }
}
