//! The loop: drain, decide, commit, publish, answer, act. One thread, one owner of the machine.
//!
//! A commit runs on a thread of its own while the next batch is decided; its end comes back as one more thing to wait
//! for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use cluster::{Effect, Input, Reply, View};
use model::agent::{FromAgent, Letter};
use model::id::{Connection, FrameworkId};
use model::scheduler::Call;
use model::turn::{Answer, BATCHES_MAX, Released, TURN_INPUTS_MAX};
use store::{Store, StoreError};
use tokio::sync::oneshot;

use crate::committer::Committer;
use crate::frameworks::{Asked, FrameworkError, Frameworks, Subscription};
use crate::gauges::Tick;
use crate::lead::{Leader, Subject, Token, Turns};
use crate::run::Run;
use crate::streams::Streams;
use crate::{CallError, Message};

/// The longest the loop sleeps without looking at the clock, which may jump.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How a reign ended.
pub(crate) enum Fall {
    Stopped,
    /// These have asked for it.
    Abdicated(Vec<oneshot::Sender<()>>),
    /// Memory may be ahead of the store.
    Commit(StoreError),
    /// The machine asserted; this is what it had been told.
    Stumbled(Option<Box<Input>>),
}

/// One term of one machine.
pub(crate) struct Reign<S: Subject> {
    turns: Turns<S>,
    streams: Streams,
    frameworks: Frameworks,
    committer: Committer,
    /// Messages on their way from the inbox to the turn loop.
    drained: Vec<Message>,
    tick: Tick,
    /// Set once nothing more is to be taken from the inbox: how it falls when all that was taken is decided.
    leaving: Option<Fall>,
}

/// What the loop waited for.
enum Woken {
    Committed(Result<(), StoreError>),
    Drained,
    Due,
}

impl<S: Subject> Reign<S> {
    /// Publishes what the first turn has decided, which is durable.
    pub(crate) fn begin(
        run: &mut Run,
        store: Box<dyn Store>,
        leader: Leader<S>,
    ) -> anyhow::Result<Self> {
        let mut reign = Self {
            turns: leader.turns,
            streams: Streams::new(leader.term),
            frameworks: Frameworks::new(run.streams.clone()),
            committer: Committer::spawn(store, leader.term, run.gauges.clone())?,
            drained: Vec::new(),
            tick: Tick::default(),
            leaving: None,
        };
        reign.leave(run, leader.first);
        Ok(reign)
    }

    /// Until it falls. Gives the store back.
    pub(crate) async fn last(mut self, run: &mut Run) -> (Box<dyn Store>, Fall) {
        let mut fall = loop {
            if let Err(fall) = self.turn(run).await {
                break fall;
            }
        };
        // What was decided before a stumble is sound, so it is carried through.
        while self.turns.uncommitted() > 0 && !matches!(fall, Fall::Commit(_)) {
            if let Err(worse) = self.settle(run).await {
                fall = worse;
            }
        }
        let lost = match &fall {
            Fall::Commit(StoreError::NoSpace) => CallError::NoSpace,
            Fall::Commit(_) | Fall::Stumbled(_) | Fall::Abdicated(_) => CallError::NotLeading,
            Fall::Stopped => CallError::Stopped,
        };
        for token in self.turns.failed() {
            token.answer(Err(lost.clone()));
        }
        (self.committer.stop(), fall)
    }

    async fn turn(&mut self, run: &mut Run) -> Result<(), Fall> {
        match self.wait(run).await {
            Woken::Committed(Ok(())) => self.release(run),
            Woken::Committed(Err(cause)) => return Err(Fall::Commit(cause)),
            Woken::Drained => self.accept(run),
            Woken::Due => (),
        }
        if self.turns.waiting() == 0
            && let Some(fall) = self.leaving.take()
        {
            return Err(fall);
        }
        self.tick(run);
        if self.turns.is_ready() { self.decide(run) } else { Ok(()) }
    }

    async fn wait(&mut self, run: &mut Run) -> Woken {
        let may_decide = self.turns.uncommitted() < BATCHES_MAX;
        let rest = match self.turns.wake_at() {
            _ if self.turns.is_ready() => Duration::ZERO,
            Some(at) if may_decide => at.since(run.clock.now()).min(SLEEP_MAX),
            Some(_) | None => SLEEP_MAX,
        };
        let room = TURN_INPUTS_MAX.saturating_sub(self.turns.waiting());
        let sleep = async {
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
            }
        };
        tokio::select! {
            biased;
            ended = self.committer.ended(), if self.turns.uncommitted() > 0 => Woken::Committed(ended),
            _ = run.inbox.recv_many(&mut self.drained, room), if room > 0 && self.leaving.is_none() => Woken::Drained,
            () = sleep => Woken::Due,
        }
    }

    /// Messages become inputs.
    fn accept(&mut self, run: &mut Run) {
        if self.drained.is_empty() {
            // Nobody can speak to the loop any more.
            self.leaving = Some(Fall::Stopped);
        }
        for message in std::mem::take(&mut self.drained) {
            match message {
                Message::Call { order, reply } => {
                    let input = Input::Services { order, seed: run.seeds.next() };
                    self.push(run, Token::Caller(reply), input);
                }
                Message::Operator { order, reply } => {
                    let input = Input::Operator { order, seed: run.seeds.next() };
                    self.push(run, Token::Caller(reply), input);
                }
                Message::Post(input) => self.push(run, Token::Nobody, *input),
                Message::AgentConnected { connection, queue } => {
                    self.streams.open(connection, queue)
                }
                Message::Agent { connection, letter } => self.read(run, connection, letter),
                Message::AgentLost(connection) => self.lose(run, connection),
                Message::Abdicate { reply } => self.abdicate(reply),
                Message::Stop => self.leaving = Some(Fall::Stopped),
                Message::Subscribe { wanted, asked } => self.subscribe(run, wanted, asked),
                Message::Framework { from, call, reply } => {
                    let leaves = matches!(call, Call::Teardown).then(|| from.clone());
                    let input = Input::Framework { from, call, seed: run.seeds.next() };
                    self.push(run, Token::Framework { reply, leaves }, input);
                }
                Message::FrameworkLost(connection) => {
                    let lost = self.frameworks.lose(connection);
                    self.lose_frameworks(lost);
                }
            }
        }
    }

    /// Who asks while it is stepping down already has asked for the same.
    fn abdicate(&mut self, reply: oneshot::Sender<()>) {
        match &mut self.leaving {
            Some(Fall::Abdicated(replies)) => replies.push(reply),
            None => self.leaving = Some(Fall::Abdicated(vec![reply])),
            // It will not lead again; dropping the reply says so.
            Some(Fall::Stopped | Fall::Commit(_) | Fall::Stumbled(_)) => (),
        }
    }

    fn push(&mut self, run: &Run, token: Token, input: Input) {
        match run.quarantine.find(&input) {
            None => self.turns.push(token, input),
            Some(hash) => token.answer(Err(CallError::Quarantined { hash })),
        }
    }

    fn read(&mut self, run: &mut Run, connection: Connection, letter: Letter<FromAgent>) {
        if !self.streams.takes(connection, letter.term) {
            // It speaks to another leader, or its stream has just been closed.
            self.streams.close(connection);
            return;
        }
        for message in letter.messages {
            let seed = run.seeds.next();
            self.push(run, Token::Nobody, Input::Agent { connection, message, seed });
        }
    }

    fn lose(&mut self, run: &mut Run, connection: Connection) {
        self.streams.close(connection);
        let seed = run.seeds.next();
        self.turns.push(Token::Nobody, Input::AgentLost { connection, seed });
    }

    fn subscribe(&mut self, run: &mut Run, wanted: Subscription, asked: Asked) {
        self.frameworks.expect(&asked, &wanted);
        let Subscription { info, wishes } = wanted;
        let input = Input::Subscribe { info, wishes, seed: run.seeds.next() };
        match run.quarantine.find(&input) {
            None => self.turns.push(Token::Subscriber(asked), input),
            Some(hash) => {
                let lost = self.frameworks.refused(asked, CallError::Quarantined { hash }.into());
                self.lose_frameworks(lost);
            }
        }
    }

    fn lose_frameworks(&mut self, lost: impl IntoIterator<Item = FrameworkId>) {
        for framework in lost {
            self.turns.push(Token::Nobody, Input::FrameworkLost { framework });
        }
    }

    fn tick(&mut self, run: &mut Run) {
        let now = run.clock.now();
        let due = self.turns.wake_at().is_some_and(|at| at <= now);
        if due && !self.tick.is_waiting() {
            self.tick.wait();
            self.turns.push(Token::Nobody, Input::Tick { seed: run.seeds.next() });
        }
    }

    fn decide(&mut self, run: &mut Run) -> Result<(), Fall> {
        let now = run.clock.now();
        let mut told = None;
        let mut allocations = 0;
        let (turns, tick) = (&mut self.turns, &mut self.tick);
        let about = |input: &Input| {
            tick.next(matches!(input, Input::Tick { .. }));
            told = Some(input.clone());
        };
        let look = |machine: &S| {
            let view = machine.view();
            allocations = view.kernel.history.counts.allocations;
            view
        };
        let decided = catch_unwind(AssertUnwindSafe(|| turns.decide(now, about, look)));
        let writes = decided.map_err(|_| Fall::Stumbled(told.map(Box::new)))?;
        self.tick.decided(&run.gauges, allocations);
        run.gauges.uncommitted(self.turns.uncommitted());
        if writes.is_empty() && self.turns.uncommitted() == 1 {
            self.release(run);
        } else {
            self.committer.commit(writes);
        }
        Ok(())
    }

    /// Waits for the oldest batch and lets it leave.
    async fn settle(&mut self, run: &mut Run) -> Result<(), Fall> {
        self.committer.ended().await.map_err(Fall::Commit)?;
        self.release(run);
        Ok(())
    }

    /// The oldest batch is durable.
    fn release(&mut self, run: &mut Run) {
        run.stumbles = 0;
        let released = self.turns.committed();
        run.gauges.uncommitted(self.turns.uncommitted());
        self.leave(run, released);
    }

    /// Publish, answer, act.
    fn leave(&mut self, run: &mut Run, released: Released<S, Token, View>) {
        let mut notices = Vec::new();
        let mut closing = Vec::new();
        let (answers, subscribed) = self.admit(released.answers);
        for effect in released.effects {
            match effect {
                Effect::Notice(notice) => notices.push(notice),
                Effect::ToAgent(connection, message) => self.streams.tell(connection, message),
                Effect::Disconnect(connection) => closing.push(connection),
                Effect::Event(framework, event) => self.frameworks.tell(framework, event),
            }
        }
        run.published.publish(released.view, notices);
        let mut leaving = Vec::new();
        for (token, answer) in answers {
            if let (Token::Framework { leaves: Some(framework), .. }, Ok(_)) = (&token, &answer) {
                leaving.push(framework.clone());
            }
            token.hear(answer);
        }
        self.speak_to_agents(run, closing);
        let slow = self.frameworks.send();
        for framework in &slow {
            tracing::warn!(%framework, "a framework does not keep up; its stream is closed");
        }
        self.lose_frameworks(slow);
        leaving.iter().for_each(|framework| self.frameworks.close(framework));
        let gone = self.frameworks.lose_gone(&subscribed);
        self.lose_frameworks(gone);
    }

    /// Takes the subscriptions from among the answers: their streams are to be there when the effects are carried out.
    fn admit(
        &mut self,
        answers: Vec<Answer<S, Token>>,
    ) -> (Vec<Answer<S, Token>>, Vec<Connection>) {
        let (mut rest, mut subscribed) = (Vec::with_capacity(answers.len()), Vec::new());
        for (token, answer) in answers {
            match (token, answer) {
                (Token::Subscriber(asked), Ok(Reply::Subscribed(framework))) => {
                    subscribed.push(asked.connection());
                    self.frameworks.admit(framework, asked);
                }
                (Token::Subscriber(asked), Err(refusal)) => {
                    let error = FrameworkError::Refused(refusal);
                    let lost = self.frameworks.refused(asked, error);
                    self.lose_frameworks(lost);
                }
                (token, answer) => rest.push((token, answer)),
            }
        }
        (rest, subscribed)
    }

    fn speak_to_agents(&mut self, run: &mut Run, closing: Vec<Connection>) {
        for connection in closing {
            self.streams.close(connection);
        }
        for connection in self.streams.send() {
            tracing::warn!(
                connection = connection.0,
                "an agent does not keep up; its stream is closed"
            );
            self.lose(run, connection);
        }
    }
}
