//! The thread that waits for the disk, so that the next batch can be decided meanwhile.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context;
use model::id::Term;
use model::turn::{BATCHES_MAX, Write};
use store::{Store, StoreError};
use tokio::sync::mpsc;

use crate::gauges::Gauges;

pub(crate) struct Committer {
    batches: SyncSender<Vec<Write>>,
    ends: mpsc::Receiver<Result<(), StoreError>>,
    thread: JoinHandle<Box<dyn Store>>,
}

impl Committer {
    pub(crate) fn spawn(store: Box<dyn Store>, term: Term, gauges: Gauges) -> anyhow::Result<Self> {
        let (batches, incoming) = sync_channel(BATCHES_MAX);
        let (outgoing, ends) = mpsc::channel(BATCHES_MAX);
        let thread = std::thread::Builder::new()
            .name("commit".into())
            .spawn(move || work((store, term), &incoming, &outgoing, &gauges))
            .context("starting the thread that commits")?;
        Ok(Self { batches, ends, thread })
    }

    /// Hands over a batch. There are never more than [`BATCHES_MAX`], so this does not wait.
    pub(crate) fn commit(&self, batch: Vec<Write>) {
        // A thread that has failed has said so, or is about to.
        let _ = self.batches.send(batch);
    }

    /// How the oldest batch ended. Safe to cancel.
    pub(crate) async fn ended(&mut self) -> Result<(), StoreError> {
        let ended = self.ends.recv().await;
        ended.unwrap_or_else(|| Err(anyhow::anyhow!("the thread that commits is gone").into()))
    }

    /// Ends the thread and takes the store back. Blocks until the batch under way has ended.
    pub(crate) fn stop(self) -> Box<dyn Store> {
        drop(self.batches);
        drop(self.ends);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn timed(
    store: &mut Box<dyn Store>,
    term: Term,
    batch: &[Write],
    gauges: &Gauges,
) -> Result<(), StoreError> {
    let begun = Instant::now();
    store.commit(term, batch)?;
    gauges.stored(begun.elapsed());
    Ok(())
}

/// Until the first failure: no batch may be durable without those before it.
fn work(
    (mut store, term): (Box<dyn Store>, Term),
    batches: &Receiver<Vec<Write>>,
    ends: &mpsc::Sender<Result<(), StoreError>>,
    gauges: &Gauges,
) -> Box<dyn Store> {
    while let Ok(batch) = batches.recv() {
        let ended = if batch.is_empty() { Ok(()) } else { timed(&mut store, term, &batch, gauges) };
        let failed = ended.is_err();
        if ends.blocking_send(ended).is_err() || failed {
            break;
        }
    }
    store
}
