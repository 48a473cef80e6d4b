//! The door for agents, tried with a client of its own over a real socket.

use std::net::SocketAddr;

use model::agent::{AgentInfo, Books, FromAgent, Letter, PROTOCOL, ToAgent};
use model::id::{AgentId, Term};
use model::resources::Resources;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Server};
use wire::agent::Orders;

use super::standin::{Fated, count, start};
use super::{PATIENCE, until};
use crate::Engine;

/// An engine that listens for agents. Its server goes with it.
struct Listening {
    engine: Engine,
    address: SocketAddr,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn listen(store: &Fated) -> Listening {
    let engine = start(store);
    let listener = TcpListener::bind("127.70.0.1:0").await.expect("an address on loopback");
    let address = listener.local_addr().expect("bound");
    let service = crate::agents::service(engine.handle());
    let serving = Server::builder().add_service(service);
    let server = tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    Listening { engine, address, server }
}

/// One agent's stream, written out by hand.
struct Agent {
    says: mpsc::Sender<Letter<FromAgent>>,
    hears: Orders,
}

impl Agent {
    async fn connect(channel: Channel) -> Self {
        let (says, letters) = mpsc::channel(16);
        let hears =
            wire::agent::open(channel, ReceiverStream::new(letters)).await.expect("a stream");
        Self { says, hears }
    }

    async fn say(&self, term: Term, message: FromAgent) {
        self.says.send(Letter { term, messages: vec![message] }).await.expect("an open stream");
    }

    /// The next letter, `None` at the end of the stream.
    async fn hear(&mut self) -> Option<Letter<ToAgent>> {
        let letter = tokio::time::timeout(PATIENCE, self.hears.message())
            .await
            .expect("a letter or the end");
        letter.ok().flatten()
    }
}

async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("a valid address");
    endpoint.connect().await.expect("a connection")
}

fn register() -> FromAgent {
    let info = AgentInfo {
        hostname: "a".into(),
        ip: "127.70.0.2".into(),
        port: 5051,
        resources: Resources::default(),
        attributes: Vec::new(),
        domain: None,
        version: "0".into(),
        work_dir: "/x".into(),
    };
    FromAgent::Register {
        protocol: PROTOCOL,
        agent: None,
        info,
        tasks: Vec::new(),
        books: Books::default(),
    }
}

#[tokio::test]
async fn the_master_tells_its_term_first_and_then_answers() {
    let listening = listen(&Fated::default()).await;
    let mut agent = Agent::connect(channel(listening.address).await).await;
    assert_eq!(agent.hear().await, Some(Letter { term: Term(1), messages: Vec::new() }));
    agent.say(Term(1), register()).await;
    let registered = ToAgent::Registered { agent: AgentId::new("S1") };
    assert_eq!(agent.hear().await, Some(Letter { term: Term(1), messages: vec![registered] }));
}

#[tokio::test]
async fn an_agent_that_speaks_to_another_leader_is_hung_up_on() {
    let listening = listen(&Fated::default()).await;
    let mut agent = Agent::connect(channel(listening.address).await).await;
    agent.hear().await.expect("the term");
    agent.say(Term(9), register()).await;
    assert_eq!(agent.hear().await, None);
    assert_eq!(count(&listening.engine, "registered"), 0);
}

#[tokio::test]
async fn the_machine_hears_of_an_agent_that_hangs_up() {
    let listening = listen(&Fated::default()).await;
    let mut agent = Agent::connect(channel(listening.address).await).await;
    agent.hear().await.expect("the term");
    drop(agent);
    until("the loss", || count(&listening.engine, "lost") == 1).await;
}

#[tokio::test]
async fn an_agent_that_does_not_keep_up_is_disconnected_and_the_others_are_served() {
    let listening = listen(&Fated::default()).await;
    let mut slow = Agent::connect(channel(listening.address).await).await;
    slow.hear().await.expect("the term");
    let lost = || count(&listening.engine, "lost") >= 1;
    let mut floods = 0;
    // Whatever the connection holds back for it, at some time it is full.
    while !lost() {
        slow.say(Term(1), FromAgent::Pong).await;
        floods += 1;
        until("the loss", || lost() || count(&listening.engine, "flood") >= floods).await;
    }
    let mut other = Agent::connect(channel(listening.address).await).await;
    other.hear().await.expect("the term");
    other.say(Term(1), register()).await;
    assert!(other.hear().await.is_some());
    while slow.hear().await.is_some() {}
}

#[tokio::test]
async fn many_agents_share_one_connection() {
    let listening = listen(&Fated::default()).await;
    let channel = channel(listening.address).await;
    let mut agents = Vec::new();
    for _ in 0..100 {
        agents.push(Agent::connect(channel.clone()).await);
    }
    for agent in &mut agents {
        agent.hear().await.expect("the term");
        agent.say(Term(1), register()).await;
    }
    for agent in &mut agents {
        assert!(agent.hear().await.is_some());
    }
    assert_eq!(count(&listening.engine, "registered"), 100);
}

#[tokio::test]
async fn after_a_fault_agents_are_told_the_new_term() {
    let listening = listen(&Fated::default()).await;
    let channel = channel(listening.address).await;
    let mut agent = Agent::connect(channel.clone()).await;
    agent.hear().await.expect("the term");
    let stumbled = listening.engine.handle().call(super::order("/stumble")).await;
    assert_eq!(stumbled, Err(crate::CallError::NotLeading));
    assert_eq!(agent.hear().await, None);
    let mut again = Agent::connect(channel).await;
    assert_eq!(again.hear().await, Some(Letter { term: Term(2), messages: Vec::new() }));
}
