//! Which containers there are, and which are only about to be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use containers::Exited;
use images::Keep;
use model::id::ContainerId;
use model::task::Reason;
use tokio_util::sync::CancellationToken;

/// Shared by the deeds of one agent. Nothing waits while it is locked.
#[derive(Debug, Default)]
pub(super) struct Books(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    /// About to start, alive, or ended and not forgotten.
    known: BTreeSet<ContainerId>,
    launching: BTreeMap<ContainerId, Launching>,
    /// What spares the images of those that run.
    images: BTreeMap<ContainerId, Vec<Keep>>,
    /// Why we have ended some.
    limited: BTreeMap<ContainerId, (Reason, String)>,
}

#[derive(Debug)]
struct Launching {
    stopped: CancellationToken,
    /// It has ended before its start could be told: first things first.
    exited: Option<Exited>,
}

impl Books {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn know(&self, container: &ContainerId) {
        self.pages().known.insert(container.clone());
    }

    pub(super) fn known(&self) -> Vec<ContainerId> {
        self.pages().known.iter().cloned().collect()
    }

    /// A launch begins. What comes back says when it is to be broken off.
    pub(super) fn begin(&self, container: &ContainerId) -> CancellationToken {
        let stopped = CancellationToken::new();
        let mut pages = self.pages();
        pages.known.insert(container.clone());
        pages
            .launching
            .insert(container.clone(), Launching { stopped: stopped.clone(), exited: None });
        stopped
    }

    /// The launch is over, which `tell` tells; gives what happened to the container meanwhile. Whoever hears of it and
    /// stops the container finds no launch under way any more.
    pub(super) fn launched(
        &self,
        container: &ContainerId,
        images: Vec<Keep>,
        tell: impl FnOnce(),
    ) -> Option<Exited> {
        let mut pages = self.pages();
        tell();
        if !images.is_empty() {
            pages.images.insert(container.clone(), images);
        }
        pages.launching.remove(container).and_then(|launching| launching.exited)
    }

    /// Gives the end of a container back if it may be told at once.
    pub(super) fn hold_back(&self, container: &ContainerId, exited: Exited) -> Option<Exited> {
        match self.pages().launching.get_mut(container) {
            Some(launching) => {
                launching.exited = Some(exited);
                None
            }
            None => Some(exited),
        }
    }

    /// Whether it has, although its launch is under way.
    pub(super) fn has_ended(&self, container: &ContainerId) -> bool {
        self.pages().launching.get(container).is_none_or(|launching| launching.exited.is_some())
    }

    /// Breaks off a launch. False if there is none under way.
    pub(super) fn stop(&self, container: &ContainerId) -> bool {
        let pages = self.pages();
        let launching = pages.launching.get(container);
        launching.inspect(|launching| launching.stopped.cancel()).is_some()
    }

    pub(super) fn stop_all(&self) {
        self.pages().launching.values().for_each(|launching| launching.stopped.cancel());
    }

    /// It is about to be ended for this.
    pub(super) fn limit(&self, container: &ContainerId, why: (Reason, String)) {
        self.pages().limited.insert(container.clone(), why);
    }

    pub(super) fn limited(&self, container: &ContainerId) -> Option<(Reason, String)> {
        self.pages().limited.remove(container)
    }

    pub(super) fn forget(&self, container: &ContainerId) {
        let mut pages = self.pages();
        pages.known.remove(container);
        pages.launching.remove(container);
        pages.images.remove(container);
        pages.limited.remove(container);
    }
}
