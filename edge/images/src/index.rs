//! What the store has: a file that is replaced as a whole, and written last.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};

use crate::{ImageConfig, Usage, files};

const FORMAT: u32 = 1;

#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Contents {
    format: u32,
    /// By the digest of the manifest.
    pub(crate) images: BTreeMap<String, Image>,
    /// Names in full and the images that they meant when they were last pulled.
    pub(crate) names: BTreeMap<String, String>,
    /// By digest: the bytes of its files.
    pub(crate) layers: BTreeMap<String, u64>,
    /// By the digest of the manifest: when an image was used last, in seconds since 1970.
    #[serde(default)]
    pub(crate) used: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Image {
    /// The lowest first.
    pub(crate) layers: Vec<String>,
    pub(crate) config: ImageConfig,
}

#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    contents: Mutex<Arc<Contents>>,
    /// Held while the index and what it speaks of change together.
    writing: Mutex<()>,
    pins: Mutex<BTreeMap<String, usize>>,
}

/// While it lives, what it names is not removed.
#[derive(Debug)]
pub(crate) struct Pinned {
    index: Arc<Index>,
    digests: Vec<String>,
}

impl Index {
    pub(crate) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let contents = match std::fs::read(&path) {
            Ok(bytes) => parse(&path, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Contents { format: FORMAT, ..Contents::default() }
            }
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let contents = Mutex::new(Arc::new(contents));
        Ok(Self { path, contents, writing: Mutex::default(), pins: Mutex::default() })
    }

    pub(crate) fn contents(&self) -> Arc<Contents> {
        Arc::clone(&lock(&self.contents))
    }

    pub(crate) fn has_layer(&self, digest: &str) -> bool {
        lock(&self.contents).layers.contains_key(digest)
    }

    pub(crate) fn pin(self: &Arc<Self>, digests: Vec<String>) -> Arc<Pinned> {
        let mut pins = lock(&self.pins);
        for digest in &digests {
            *pins.entry(digest.clone()).or_default() += 1;
        }
        Arc::new(Pinned { index: Arc::clone(self), digests })
    }

    /// Changes the disk by `first`, then the index by `edit`. Blocks for as long as the disk takes.
    pub(crate) fn change<T>(
        &self,
        first: impl FnOnce() -> io::Result<T>,
        edit: impl FnOnce(&mut Contents, &T),
    ) -> io::Result<T> {
        let _turn = lock(&self.writing);
        let done = first()?;
        let mut next = Contents::clone(&self.contents());
        edit(&mut next, &done);
        self.write(&next)?;
        *lock(&self.contents) = Arc::new(next);
        Ok(done)
    }

    pub(crate) fn is_pinned(&self, digest: &str) -> bool {
        lock(&self.pins).contains_key(digest)
    }

    /// Images of which these are the digests, and those that are pinned, are in use now. Tells when each was.
    pub(crate) fn note_uses(
        &self,
        in_use: &BTreeSet<String>,
        now: u64,
    ) -> io::Result<BTreeMap<String, u64>> {
        let contents = self.contents();
        let is_used = |digest: &String| in_use.contains(digest) || self.is_pinned(digest);
        let images = contents.images.keys();
        let used: BTreeMap<_, _> = images
            .map(|digest| {
                let before = contents.used.get(digest).copied().filter(|_| !is_used(digest));
                (digest.clone(), before.unwrap_or(now))
            })
            .collect();
        if used != contents.used {
            self.change(|| Ok(()), |contents, ()| contents.used.clone_from(&used))?;
        }
        Ok(used)
    }

    /// Forgets all images but these and those that are pinned, then lets `remove` put the layers away that nobody
    /// needs any more, before the same layers can come back.
    pub(crate) fn prune(
        &self,
        is_kept: impl Fn(&str) -> bool,
        remove: impl FnOnce(&[String]) -> io::Result<()>,
    ) -> io::Result<()> {
        let _turn = lock(&self.writing);
        let before = self.contents();
        let after = {
            // A pull pins a layer before it looks whether the layer is here: it sees ours, or we see its pin.
            let pins = lock(&self.pins);
            let after =
                Arc::new(before.without(|digest| is_kept(digest) || pins.contains_key(digest)));
            *lock(&self.contents) = Arc::clone(&after);
            after
        };
        self.write(&after)?;
        let gone: Vec<_> = before
            .layers
            .keys()
            .filter(|layer| !after.layers.contains_key(*layer))
            .cloned()
            .collect();
        remove(&gone)
    }

    fn write(&self, contents: &Contents) -> io::Result<()> {
        files::write_durably(
            &self.path,
            &serde_json::to_vec(contents).expect("the index is plain data"),
        )
    }
}

impl Contents {
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            images: self.images.len(),
            layers: self.layers.len(),
            bytes: self.layers.values().sum(),
        }
    }

    fn without(&self, is_kept: impl Fn(&str) -> bool) -> Self {
        let mut after = self.clone();
        after.images.retain(|digest, _| is_kept(digest));
        after.used.retain(|digest, _| after.images.contains_key(digest));
        after.names.retain(|_, digest| after.images.contains_key(digest));
        let used: BTreeSet<_> = after.images.values().flat_map(|image| &image.layers).collect();
        after.layers.retain(|digest, _| used.contains(digest) || is_kept(digest));
        after
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut pins = lock(&self.index.pins);
        for digest in &self.digests {
            let count = pins.get_mut(digest).expect("it was pinned when this was made");
            *count -= 1;
            if *count == 0 {
                pins.remove(digest);
            }
        }
    }
}

fn parse(path: &Path, bytes: &[u8]) -> anyhow::Result<Contents> {
    let contents: Contents = serde_json::from_slice(bytes).with_context(|| {
        format!(
            "{} is damaged; stop the containers of this agent and remove the directory around it",
            path.display()
        )
    })?;
    ensure!(
        contents.format <= FORMAT,
        "{} has format {}, which a later release has written; this release knows {FORMAT}",
        path.display(),
        contents.format
    );
    Ok(contents)
}

/// What a lock guards here is replaced as a whole, so a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
