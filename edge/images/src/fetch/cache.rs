//! Files that several tasks fetch: downloaded once, forgotten when the space is needed and nobody uses them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::FetchError;
use crate::flight::Flights;

#[derive(Debug)]
pub(super) struct Cache {
    bytes_max: u64,
    held: Mutex<Held>,
    downloads: Flights<Result<Arc<Downloaded>, FetchError>>,
}

#[derive(Debug, Default)]
struct Held {
    files: BTreeMap<String, Entry>,
    bytes: u64,
    /// Counts the uses, to know the order in which the files were last used.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    file: Arc<Downloaded>,
    last_use: u64,
}

/// A downloaded file; removed when nobody needs it any more.
#[derive(Debug)]
pub(super) struct Downloaded {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) mode: u32,
}

impl Drop for Downloaded {
    fn drop(&mut self) {
        // It may have been moved into a sandbox.
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "a fetched file stays until the next start");
            }
            Ok(()) | Err(_) => (),
        }
    }
}

impl Cache {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, held: Mutex::default(), downloads: Flights::default() }
    }

    /// What it may take, and what it takes.
    pub(super) fn bytes(&self) -> [u64; 2] {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        [self.bytes_max, held.bytes]
    }

    /// The file of this key; `download` brings it if it is not here.
    pub(super) async fn get(
        &self,
        key: &str,
        download: impl Future<Output = Result<Downloaded, FetchError>>,
    ) -> Result<Arc<Downloaded>, FetchError> {
        let bring = async {
            if let Some(file) = self.hit(key) {
                return Ok(file);
            }
            let file = Arc::new(download.await?);
            self.keep(key, &file);
            Ok(file)
        };
        match self.hit(key) {
            Some(file) => Ok(file),
            None => self.downloads.join(key, Box::pin(bring)).await,
        }
    }

    fn hit(&self, key: &str) -> Option<Arc<Downloaded>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.uses += 1;
        let last_use = held.uses;
        let entry = held.files.get_mut(key)?;
        entry.last_use = last_use;
        Some(Arc::clone(&entry.file))
    }

    /// Makes room by what was not used for longest and is not in use. A file for which there is no room is not kept.
    fn keep(&self, key: &str, file: &Arc<Downloaded>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let in_use = |entry: &Entry| Arc::strong_count(&entry.file) > 1;
        let bound = held.files.values().filter(|entry| in_use(entry));
        let bound: u64 = bound.map(|entry| entry.file.bytes).sum();
        if bound.saturating_add(file.bytes) > self.bytes_max {
            return;
        }
        while held.bytes + file.bytes > self.bytes_max {
            let free = held.files.iter().filter(|(_, entry)| !in_use(entry));
            let oldest = free.min_by_key(|(_, entry)| entry.last_use).map(|(key, _)| key.clone());
            // One of them may have come into use meanwhile.
            let Some(entry) = oldest.and_then(|oldest| held.files.remove(&oldest)) else { return };
            held.bytes -= entry.file.bytes;
        }
        held.uses += 1;
        let last_use = held.uses;
        held.bytes += file.bytes;
        held.files.insert(key.to_owned(), Entry { file: Arc::clone(file), last_use });
    }
}
