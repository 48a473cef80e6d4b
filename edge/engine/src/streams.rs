//! The agents' open streams: what they are to be told, a letter a batch.

use std::collections::HashMap;

use model::agent::{Letter, ToAgent};
use model::id::{Connection, Term};
use tokio::sync::mpsc;
use wire::agent::LETTER_MESSAGES_MAX;

#[derive(Debug)]
pub(crate) struct Streams {
    term: Term,
    queues: HashMap<Connection, mpsc::Sender<Letter<ToAgent>>>,
    /// What the batch under way says to each, in the order in which they are first spoken to.
    letters: HashMap<Connection, Vec<ToAgent>>,
    addressed: Vec<Connection>,
}

impl Streams {
    pub(crate) fn new(term: Term) -> Self {
        Self { term, queues: HashMap::new(), letters: HashMap::new(), addressed: Vec::new() }
    }

    /// A new stream. The master speaks first: an empty letter tells the term.
    pub(crate) fn open(&mut self, connection: Connection, queue: mpsc::Sender<Letter<ToAgent>>) {
        let hello = Letter { term: self.term, messages: Vec::new() };
        // The stream may be over already; its end is on the way.
        if queue.try_send(hello).is_ok() {
            self.queues.insert(connection, queue);
        }
    }

    /// Whether a letter of this stream may be read: it is open, and speaks to this leader.
    pub(crate) fn takes(&self, connection: Connection, term: Term) -> bool {
        term == self.term && self.queues.contains_key(&connection)
    }

    /// Adds to the letter of this batch.
    pub(crate) fn tell(&mut self, connection: Connection, message: ToAgent) {
        let letter = self.letters.entry(connection).or_default();
        if letter.is_empty() {
            self.addressed.push(connection);
        }
        letter.push(message);
    }

    /// Sends the batch's letters. Gives the streams that were closed because their agent does not keep up.
    pub(crate) fn send(&mut self) -> Vec<Connection> {
        let mut slow = Vec::new();
        for connection in std::mem::take(&mut self.addressed) {
            let messages = self.letters.remove(&connection).unwrap_or_default();
            if !self.send_to(connection, messages) {
                self.queues.remove(&connection);
                slow.push(connection);
            }
        }
        slow
    }

    /// Sends what is left to say, and closes.
    pub(crate) fn close(&mut self, connection: Connection) {
        let messages = self.letters.remove(&connection).unwrap_or_default();
        self.addressed.retain(|other| *other != connection);
        self.send_to(connection, messages);
        self.queues.remove(&connection);
    }

    /// Whether the agent keeps up. A stream that is over already loses its letters; the master says it all again.
    fn send_to(&self, connection: Connection, messages: Vec<ToAgent>) -> bool {
        let Some(queue) = self.queues.get(&connection) else { return true };
        let mut rest = messages.into_iter().peekable();
        while rest.peek().is_some() {
            let messages = rest.by_ref().take(LETTER_MESSAGES_MAX).collect();
            let sent = queue.try_send(Letter { term: self.term, messages });
            if matches!(sent, Err(mpsc::error::TrySendError::Full(_))) {
                return false;
            }
        }
        true
    }
}
