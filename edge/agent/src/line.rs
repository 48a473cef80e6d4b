//! The stream to the master: opened, lost, opened again.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::future::BoxFuture;
use model::agent::{FromAgent, Letter, ToAgent};
use model::id::Term;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use wire::agent::{LETTER_MESSAGES_MAX, Orders};

use crate::seeds::Seeds;

/// From a lost stream to the next try, at first and at most.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A master that has not said its term by then is given up.
const GREETING_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A silent connection is asked whether it still lives, and given up without an answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(20);
/// Letters that wait for a slow master. One more, and the stream is given up: what was on it is repeated on the next.
const LETTERS_MAX: usize = 1_024;

/// The way to a master, for one agent or many. Connects when it is used.
pub fn channel(master: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{master}"))
        .with_context(|| format!("the master's address {master:?} is not of the form host:port"))?;
    Ok(endpoint
        .connect_timeout(CONNECT_MAX)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_MAX)
        .connect_lazy())
}

pub(crate) enum Heard {
    Opened(Term),
    Letter(Letter<ToAgent>),
    /// Another try follows by itself.
    Lost,
}

pub(crate) struct Line {
    channel: Channel,
    seeds: Arc<Seeds>,
    wait: Duration,
    state: State,
}

enum State {
    Waiting(Pin<Box<Sleep>>),
    Opening(BoxFuture<'static, anyhow::Result<Box<Open>>>),
    Open(Box<Open>),
    Closed,
}

struct Open {
    term: Term,
    orders: Orders,
    letters: mpsc::Sender<Letter<FromAgent>>,
}

impl Line {
    pub(crate) fn new(channel: Channel, seeds: Arc<Seeds>) -> Self {
        let state = State::Waiting(Box::pin(sleep(Duration::ZERO)));
        Self { channel, seeds, wait: RETRY_MIN, state }
    }

    /// The next thing heard. May be dropped half way without loss.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            match &mut self.state {
                State::Waiting(sleep) => {
                    sleep.await;
                    self.state = State::Opening(Box::pin(open(self.channel.clone())));
                }
                State::Opening(opening) => match opening.await {
                    Ok(open) => {
                        let term = open.term;
                        self.state = State::Open(open);
                        return Heard::Opened(term);
                    }
                    Err(cause) => {
                        tracing::debug!(cause = format!("{cause:#}"), "no master yet");
                        self.lose();
                    }
                },
                State::Open(open) => {
                    let message = open.orders.message().await;
                    return self.listen_to(message);
                }
                State::Closed => pending().await,
            }
        }
    }

    fn listen_to(&mut self, message: Result<Option<Letter<ToAgent>>, tonic::Status>) -> Heard {
        match message {
            Ok(Some(letter)) => {
                self.wait = RETRY_MIN;
                Heard::Letter(letter)
            }
            Ok(None) => {
                tracing::info!("the master has closed the stream");
                self.hang_up();
                Heard::Lost
            }
            Err(cause) => {
                tracing::info!(%cause, "the stream to the master is lost");
                self.hang_up();
                Heard::Lost
            }
        }
    }

    /// Sends as few letters as will hold it. False if that was too much for the stream, which is lost then.
    pub(crate) fn send(&mut self, messages: Vec<FromAgent>) -> bool {
        let State::Open(open) = &self.state else { return true };
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            let messages: Vec<_> = messages.by_ref().take(LETTER_MESSAGES_MAX).collect();
            if open.letters.try_send(Letter { term: open.term, messages }).is_err() {
                tracing::warn!("the master does not read what it is told: the stream is given up");
                self.hang_up();
                return false;
            }
        }
        true
    }

    /// Drops the stream, and tries again after a while.
    pub(crate) fn hang_up(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.lose();
        }
    }

    /// Drops the stream for good.
    pub(crate) fn close(&mut self) {
        self.state = State::Closed;
    }

    /// The next try comes later than the last one, and not at the same time as everybody else's.
    fn lose(&mut self) {
        let share = 0.5
            + f64::from(u16::try_from(self.seeds.next() >> 48).unwrap_or(0)) / f64::from(u16::MAX);
        self.state = State::Waiting(Box::pin(sleep(self.wait.mul_f64(share))));
        self.wait = (self.wait * 2).min(RETRY_MAX);
    }
}

async fn open(channel: Channel) -> anyhow::Result<Box<Open>> {
    let (letters, outgoing) = mpsc::channel(LETTERS_MAX);
    let greeted = async {
        let mut orders = wire::agent::open(channel, ReceiverStream::new(outgoing)).await?;
        let greeting = orders.message().await?.context("the master has hung up at once")?;
        anyhow::Ok((orders, greeting.term))
    };
    let (orders, term) =
        timeout(GREETING_MAX, greeted).await.context("the master does not answer")??;
    Ok(Box::new(Open { term, orders, letters }))
}
