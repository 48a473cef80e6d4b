//! Where checkpoints go.

use model::id::Term;
use model::turn::{Write, remember};
use node::{Config, Node};
use store::{Store, StoreError};

/// The store, and whether its commits take long enough to get out of the way of everything else.
pub(crate) struct Disk {
    /// Away while a commit is under way.
    store: Option<Box<dyn Store>>,
    term: Term,
    blocks: bool,
}

impl Disk {
    /// Nobody else may write from now on.
    pub(crate) fn open(mut store: Box<dyn Store>) -> Result<Self, StoreError> {
        let term = store.lead()?;
        Ok(Self { store: Some(store), term, blocks: true })
    }

    /// Forgets with the process.
    pub(crate) fn in_memory() -> Result<Self, StoreError> {
        Ok(Self { blocks: false, ..Self::open(Box::new(store::Memory::default()))? })
    }

    /// The brain as its checkpoints tell it.
    pub(crate) fn load(&mut self, config: Config) -> Result<Node, StoreError> {
        let mut node = Node::new(config);
        self.store().load(&mut |key, value| remember(&mut node, key, value))?;
        Ok(node)
    }

    pub(crate) async fn commit(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let term = self.term;
        if !self.blocks {
            return self.store().commit(term, &writes);
        }
        let mut store = self.store.take().expect("one commit at a time");
        let commit = move || {
            let done = store.commit(term, &writes);
            (store, done)
        };
        let (store, done) = tokio::task::spawn_blocking(commit)
            .await
            .map_err(|cause| StoreError::Mishap(cause.into()))?;
        self.store = Some(store);
        done
    }

    /// Whether there is room again.
    pub(crate) fn probe(&mut self) -> Result<(), StoreError> {
        self.store().probe()
    }

    fn store(&mut self) -> &mut dyn Store {
        self.store.as_deref_mut().expect("no commit is under way")
    }
}
