//! A store that forgets with the process: for simulated agents and tests.
//!
//! Clones share their content, so that a test can be a second writer or open the store again after a crash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::id::Term;
use model::turn::Write;

use crate::{Each, Store, StoreError};

#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    meta: BTreeMap<String, Vec<u8>>,
    term: Term,
}

impl Memory {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn load(&mut self, each: &mut Each<'_>) -> Result<(), StoreError> {
        for (key, value) in &self.content().state {
            each(key, value)?;
        }
        Ok(())
    }

    fn lead(&mut self) -> Result<Term, StoreError> {
        let mut content = self.content();
        content.term = Term(content.term.0 + 1);
        Ok(content.term)
    }

    fn commit(&mut self, term: Term, writes: &[Write]) -> Result<(), StoreError> {
        let mut content = self.content();
        if term < content.term {
            return Err(StoreError::Fenced { term, by: content.term });
        }
        for (key, value) in writes {
            match value {
                Some(value) => content.state.insert(key.clone(), value.clone()),
                None => content.state.remove(key),
            };
        }
        Ok(())
    }

    fn meta(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.content().meta.get(name).cloned())
    }

    fn set_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.content().meta.insert(name.into(), value.into());
        Ok(())
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
