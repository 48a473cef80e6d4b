//! What readers and subscribers get: the last snapshot, and a ring of numbered notices that continues it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use cluster::View;
use services::Notice;
use tokio::sync::watch;

/// Notices kept for subscribers that are behind. Whoever is further behind is disconnected.
pub const EVENTS_KEPT_MAX: usize = 65_536;

/// A subscriber is too far behind, or the leader has changed: what comes next would not continue what it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event stream cannot be continued without a gap; subscribe again")]
pub struct Lagged;

/// The snapshot and the ring, always of the same commit.
#[derive(Debug)]
pub(crate) struct Published {
    snapshot: ArcSwap<Snapshot>,
    ring: Mutex<Ring>,
    tail: watch::Sender<u64>,
    /// How often something was published.
    turns: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Snapshot {
    view: Arc<View>,
    /// The position of the first notice that the view does not contain.
    position: u64,
}

/// Consecutive notices; `first` is the position of the oldest.
#[derive(Debug, Default)]
struct Ring {
    first: u64,
    notices: VecDeque<Arc<Notice>>,
}

impl Ring {
    fn tail(&self) -> u64 {
        self.first + self.notices.len() as u64
    }

    fn push(&mut self, notice: Arc<Notice>) {
        if self.notices.len() == EVENTS_KEPT_MAX {
            self.notices.pop_front();
            self.first += 1;
        }
        self.notices.push_back(notice);
    }

    /// Up to `max` notices from `position` on; none if that one has yet to come.
    fn from(&self, position: u64, max: usize) -> Result<Vec<Arc<Notice>>, Lagged> {
        let nth = position.checked_sub(self.first).ok_or(Lagged)?;
        let nth = usize::try_from(nth).map_err(|_| Lagged)?.min(self.notices.len());
        Ok(self.notices.range(nth..).take(max).cloned().collect())
    }
}

impl Default for Published {
    fn default() -> Self {
        Self {
            snapshot: ArcSwap::default(),
            ring: Mutex::default(),
            tail: watch::Sender::new(0),
            turns: watch::Sender::new(0),
        }
    }
}

impl Published {
    pub(crate) fn view(&self) -> Arc<View> {
        self.snapshot.load().view.clone()
    }

    /// One commit's worth: readers see the view before or together with its notices.
    pub(crate) fn publish(&self, view: View, notices: Vec<Arc<Notice>>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for notice in notices {
            ring.push(notice);
        }
        let position = ring.tail();
        self.snapshot.store(Arc::new(Snapshot { view: Arc::new(view), position }));
        drop(ring);
        self.tail.send_if_modified(|tail| std::mem::replace(tail, position) != position);
        self.turns.send_modify(|turns| *turns += 1);
    }

    /// The leader has changed: everyone who follows has to start again.
    pub(crate) fn cut(&self) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.first = ring.tail() + 1;
        ring.notices.clear();
        let (view, position) = (self.view(), ring.first);
        self.snapshot.store(Arc::new(Snapshot { view, position }));
        drop(ring);
        self.tail.send_replace(position);
    }

    pub(crate) fn views(self: &Arc<Self>) -> Views {
        let mut turns = self.turns.subscribe();
        turns.mark_changed();
        Views { published: self.clone(), turns }
    }

    pub(crate) fn subscribe(self: &Arc<Self>) -> Notices {
        let tail = self.tail.subscribe();
        let snapshot = self.snapshot.load_full();
        Notices {
            view: snapshot.view.clone(),
            position: snapshot.position,
            published: self.clone(),
            tail,
        }
    }
}

/// The cluster commit after commit, for who looks himself at what is different.
#[derive(Debug)]
pub struct Views {
    published: Arc<Published>,
    turns: watch::Receiver<u64>,
}

impl Views {
    /// As it is once something has been committed since the last time; at once if that is so already. Safe to cancel.
    pub async fn next(&mut self) -> Arc<View> {
        // The sender lives as long as what it belongs to.
        let _ = self.turns.changed().await;
        self.published.view()
    }
}

/// A subscription: [`view`](Self::view) as it was at its beginning, then every notice after it.
#[derive(Debug)]
pub struct Notices {
    view: Arc<View>,
    position: u64,
    published: Arc<Published>,
    tail: watch::Receiver<u64>,
}

impl Notices {
    /// The snapshot that the notices continue.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The position of the next notice.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Lets go of the snapshot: whoever only follows need not keep it alive.
    #[must_use]
    pub fn without_view(self) -> Self {
        Self { view: Arc::default(), ..self }
    }

    /// Waits for notices and takes no more than `max` of them, with the position of the first. Safe to cancel.
    pub async fn some(&mut self, max: usize) -> Result<(u64, Vec<Arc<Notice>>), Lagged> {
        loop {
            self.tail.borrow_and_update();
            let found = {
                let ring = self.published.ring.lock().unwrap_or_else(PoisonError::into_inner);
                ring.from(self.position, max)?
            };
            if !found.is_empty() {
                let first = self.position;
                self.position += found.len() as u64;
                return Ok((first, found));
            }
            self.tail.changed().await.map_err(|_| Lagged)?;
        }
    }

    /// Waits for the next notice. Safe to cancel.
    pub async fn next(&mut self) -> Result<(u64, Arc<Notice>), Lagged> {
        let (position, notices) = self.some(1).await?;
        Ok((position, notices.into_iter().next().expect("`some` waits until there is one")))
    }
}
