//! Taking the lead: a new term, the state as the store tells it, and the machine's first turn.

use cluster::{Cluster, Effect, Input, Record, Refusal, Reply, View};
use model::id::{FrameworkId, Term};
use model::machine::Machine;
use model::time::Time;
use model::turn::{Released, TurnLoop, remember};
use store::{Store, StoreError};
use tokio::sync::oneshot;

use crate::frameworks::{Asked, FrameworkError};
use crate::{CallError, Config};

/// What the engine drives: the cluster, or in tests a machine that stands in for it.
pub(crate) trait Subject:
    Machine<Input = Input, Reply = Reply, Refusal = Refusal, Record = Record, Effect = Effect>
    + Send
    + 'static
{
    fn new(config: &Config) -> Self;
    fn view(&self) -> View;
}

impl Subject for Cluster {
    fn new(config: &Config) -> Self {
        Cluster::new(&config.cluster, config.kernel.clone(), config.services.clone())
    }

    fn view(&self) -> View {
        Cluster::view(self)
    }
}

/// Who is to hear the answer.
#[derive(Debug)]
pub(crate) enum Token {
    Nobody,
    Caller(oneshot::Sender<Result<services::Reply, CallError>>),
    Subscriber(Asked),
    /// It was said by, or of, a framework.
    Framework {
        reply: Option<oneshot::Sender<Result<(), FrameworkError>>>,
        /// Its stream ends if it is granted.
        leaves: Option<FrameworkId>,
    },
}

impl Token {
    /// A caller who has gone away does not mind.
    pub(crate) fn answer(self, answer: Result<services::Reply, CallError>) {
        match self {
            Token::Nobody | Token::Framework { reply: None, .. } => (),
            Token::Caller(reply) => drop(reply.send(answer)),
            Token::Subscriber(asked) => {
                let cause = answer.err().unwrap_or(CallError::NotLeading);
                asked.refuse(cause.into());
            }
            Token::Framework { reply: Some(reply), .. } => {
                drop(reply.send(answer.map(drop).map_err(FrameworkError::from)));
            }
        }
    }

    /// What the machine answered.
    pub(crate) fn hear(self, answer: Result<Reply, Refusal>) {
        if let Token::Framework { reply: Some(reply), .. } = self {
            drop(reply.send(answer.map(drop).map_err(FrameworkError::Refused)));
            return;
        }
        self.answer(match answer {
            Ok(Reply::Services(reply)) => Ok(reply),
            Ok(Reply::Done | Reply::Subscribed(_)) => Ok(services::Reply::Done),
            Err(Refusal::Services(refusal)) => Err(CallError::Refused(refusal)),
            Err(refusal @ Refusal::OwnFramework(_)) => {
                tracing::debug!(%refusal, "refused");
                Err(CallError::NotLeading)
            }
            Err(Refusal::Kernel(refusal)) => {
                // To an agent that speaks on a stream it has lost, say; it hears of it when it registers again.
                tracing::debug!(%refusal, "refused");
                Err(CallError::Unfit(refusal))
            }
        });
    }
}

pub(crate) type Turns<S> = TurnLoop<S, Token, View>;

/// A machine that leads, and its first effects. All it has decided is durable.
pub(crate) struct Leader<S: Subject> {
    pub(crate) term: Term,
    pub(crate) turns: Turns<S>,
    pub(crate) first: Released<S, Token, View>,
}

/// The new term comes first: whoever led before cannot write any more once the state is read.
pub(crate) fn lead<S: Subject>(
    store: &mut dyn Store,
    config: &Config,
    now: Time,
    seed: u64,
) -> Result<Leader<S>, StoreError> {
    let term = store.lead()?;
    let mut machine = S::new(config);
    store.load(&mut |key, value| remember(&mut machine, key, value))?;
    let mut turns = Turns::new(machine);
    turns.push(Token::Nobody, Input::Lead { term, cluster: config.cluster.clone(), seed });
    let writes = turns.decide(now, |_| (), S::view);
    if !writes.is_empty() {
        store.commit(term, &writes)?;
    }
    let first = turns.committed();
    Ok(Leader { term, turns, first })
}
