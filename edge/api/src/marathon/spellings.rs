//! Events as bytes: each is spelled once, by the first subscriber that wants it, and shared by all others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::Bytes;
use services::Notice;
use wire::marathon::deployment::PlanFormat;
use wire::marathon::event::{self, Event};

/// Notices whose events are kept. Whoever is further behind spells again, on its own account.
const SPELLED_MAX: usize = 8_192;

/// The events of one notice in each format of plans.
#[derive(Debug)]
pub(super) struct Spelling {
    notice: Arc<Notice>,
    light: OnceLock<Vec<Line>>,
    heavy: OnceLock<Vec<Line>>,
}

/// An event as the stream carries it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) kind: &'static str,
    pub(super) bytes: Bytes,
}

impl Spelling {
    fn new(notice: Arc<Notice>) -> Arc<Self> {
        Arc::new(Self { notice, light: OnceLock::new(), heavy: OnceLock::new() })
    }

    /// What [`lines`](Self::lines) would be, without spelling them.
    pub(super) fn kinds(&self) -> &'static [&'static str] {
        event::kinds(&self.notice.what)
    }

    pub(super) fn lines(&self, format: PlanFormat) -> &[Line] {
        let once = match format {
            PlanFormat::Light => &self.light,
            PlanFormat::Heavy => &self.heavy,
        };
        once.get_or_init(|| event::events(&self.notice, format).iter().map(line).collect())
    }
}

pub(super) fn line(event: &Event) -> Line {
    let bytes = format!("event: {}\ndata: {}\n\n", event.kind, event.data).into();
    Line { kind: event.kind, bytes }
}

/// The last notices in their order, shared by all subscribers.
#[derive(Debug, Default)]
pub(super) struct Spellings(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    /// The position of the oldest.
    first: u64,
    kept: VecDeque<Arc<Spelling>>,
}

impl Spellings {
    /// Of consecutive notices, the first of which stands at `position`.
    pub(super) fn of(&self, position: u64, notices: Vec<Arc<Notice>>) -> Vec<Arc<Spelling>> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = (position..).zip(notices);
        numbered.map(|(position, notice)| window.take(position, notice)).collect()
    }
}

impl Window {
    fn take(&mut self, position: u64, notice: Arc<Notice>) -> Arc<Spelling> {
        let Some(nth) = position.checked_sub(self.first) else { return Spelling::new(notice) };
        let nth = usize::try_from(nth).unwrap_or(usize::MAX);
        if let Some(kept) = self.kept.get(nth).filter(|kept| Arc::ptr_eq(&kept.notice, &notice)) {
            return kept.clone();
        }
        let spelling = Spelling::new(notice);
        // After a gap, or under another leader, the window begins anew.
        if nth != self.kept.len() {
            *self = Self { first: position, kept: VecDeque::new() };
        }
        self.kept.push_back(spelling.clone());
        if self.kept.len() > SPELLED_MAX {
            self.kept.pop_front();
            self.first += 1;
        }
        spelling
    }
}
