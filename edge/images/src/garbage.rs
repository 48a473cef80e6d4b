//! Images that nobody uses go: when they have not been used for long, and before the disk is full.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::store::{Inner, Store, layer_name};
use crate::{Usage, files, name};

const HEADROOM: f64 = 0.1;
const WATCH_INTERVAL_SECS: u64 = 300;
/// A download that nobody has gone on with for so long is not waited for any more.
const PARTIAL_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// When images go by themselves. Those that a container uses never do.
#[derive(Debug, Clone, PartialEq)]
pub struct GarbagePolicy {
    /// The share of the disk that is kept free: while less is free, the images go that were not used for longest.
    pub headroom: f64,
    pub watch_interval: Duration,
    /// Names of images that stay.
    pub excluded: Vec<String>,
    /// An image goes that was not used for so long, however much is free.
    pub unused_max: Option<Duration>,
}

impl Default for GarbagePolicy {
    /// As DC/OS had it.
    fn default() -> Self {
        Self {
            headroom: HEADROOM,
            watch_interval: Duration::from_secs(WATCH_INTERVAL_SECS),
            excluded: Vec::new(),
            unused_max: None,
        }
    }
}

/// How much is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// What the policy says.
    Policy,
    /// All that nobody uses: the disk is full.
    Space,
}

impl Store {
    /// Removes what the policy says, again and again, until `stop`.
    pub async fn collect_garbage(&self, stop: CancellationToken) {
        let mut watch = interval(self.inner().config.garbage.watch_interval);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = watch.tick() => (),
            }
            if let Some(shared) = &self.inner().shared {
                shared.greet().await;
            }
            if let Err(cause) = self.sweep(Need::Policy).await {
                tracing::warn!(cause = format!("{cause:#}"), "unused images cannot be removed");
            }
        }
    }

    /// One look at what may go.
    pub(crate) async fn sweep(&self, need: Need) -> Result<()> {
        let inner = Arc::clone(self.inner());
        spawn_blocking(move || inner.sweep(need)).await.context("looking for unused images")?
    }

    /// Removes the images that are neither named here by digest nor kept, and tells what is left. Layers that are mounted
    /// anywhere stay.
    pub async fn prune(&self, keep: &[String]) -> Result<Usage> {
        let (inner, keep) = (Arc::clone(self.inner()), keep.to_vec());
        spawn_blocking(move || inner.prune(&keep)).await.context("pruning images")?
    }

    /// The same, with those to be spared told by name. A name that is not here is passed over; one of `excluded` that is
    /// none fails, one of `in_use` has no image.
    pub async fn prune_but(&self, excluded: &[String], in_use: &[String]) -> Result<Usage> {
        let mut keep = self.inner().digests_of(excluded)?;
        let of = |name| self.inner().digests_of(std::slice::from_ref(name)).ok();
        keep.extend(in_use.iter().filter_map(of).flatten());
        self.prune(&keep).await
    }
}

impl Inner {
    pub(crate) fn digests_of(&self, names: &[String]) -> Result<Vec<String>> {
        let contents = self.index.contents();
        let mut digests = Vec::new();
        for name in names {
            let whole = name::full(name, &self.config)?;
            digests.extend(contents.names.get(&whole).cloned());
        }
        Ok(digests)
    }

    fn prune(&self, keep: &[String]) -> Result<Usage> {
        let in_use = self.mounted_layers();
        self.remove_partial(Duration::ZERO);
        self.remove_but(|digest| keep.iter().any(|kept| kept == digest) || in_use.contains(digest))
    }

    fn sweep(&self, need: Need) -> Result<()> {
        let policy = &self.config.garbage;
        let excluded: BTreeSet<_> = self.digests_of(&policy.excluded)?.into_iter().collect();
        let in_use = self.mounted_layers();
        let used = self.index.note_uses(&in_use, secs_since_1970())?;
        self.remove_partial(match need {
            Need::Policy => PARTIAL_AGE_MAX,
            Need::Space => Duration::ZERO,
        });
        let is_tight = need == Need::Space || is_full(&self.dir, policy.headroom);
        if let Some(shared) = self.shared.as_ref().filter(|_| is_tight) {
            // What others may want goes before what we may want ourselves.
            shared.keeper.keep_only(|_| false).context("removing archives of layers")?;
        }
        let spared = |digest: &str| excluded.contains(digest) || in_use.contains(digest);
        // Those that were not used for longest first.
        let mut candidates: Vec<_> = used.iter().filter(|(digest, _)| !spared(digest)).collect();
        candidates.sort_by_key(|(_, used_at)| **used_at);
        let contents = self.index.contents();
        let mut gone = BTreeSet::new();
        for (digest, used_at) in candidates {
            let unused = Duration::from_secs(secs_since_1970().saturating_sub(*used_at));
            let is_old = policy.unused_max.is_some_and(|most| unused > most);
            if !is_old && need == Need::Policy && !is_full(&self.dir, policy.headroom) {
                continue;
            }
            gone.insert(digest.as_str());
            let is_layer = |digest: &str| contents.layers.contains_key(digest);
            self.remove_but(|digest| {
                spared(digest) || !(gone.contains(digest) || is_layer(digest))
            })?;
        }
        Ok(())
    }

    fn remove_but(&self, is_kept: impl Fn(&str) -> bool) -> Result<Usage> {
        let doomed = self.temporary();
        fs::create_dir(doomed.path())
            .with_context(|| format!("making {}", doomed.path().display()))?;
        let before = self.index.contents().usage();
        let put_away = |layers: &[String]| {
            for layer in layers.iter().map(|layer| self.layer_path(layer)) {
                let name = layer.file_name().expect("a layer has a name");
                fs::rename(&layer, doomed.path().join(name))?;
            }
            files::sync_directory(&self.dir.join("layers"))
        };
        self.index
            .prune(is_kept, put_away)
            .with_context(|| format!("pruning {}", self.dir.display()))?;
        if let Some(shared) = &self.shared {
            let kept = shared.keeper.keep_only(|digest| self.index.has_layer(digest));
            kept.context("removing archives of unused layers")?;
        }
        let after = self.index.contents().usage();
        if before != after {
            tracing::info!(
                images = before.images - after.images,
                bytes = before.bytes - after.bytes,
                "removed unused images"
            );
        }
        Ok(after)
    }

    /// Downloads that were broken off and that nobody goes on with.
    fn remove_partial(&self, age_max: Duration) {
        for entry in fs::read_dir(self.dir.join("partial")).into_iter().flatten().flatten() {
            let written = entry.metadata().and_then(|about| about.modified());
            let age = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            let digest = entry.file_name().to_string_lossy().replace('-', ":");
            if age.is_some_and(|age| age >= age_max) && !self.index.is_pinned(&digest) {
                // Another sweep comes.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Of containers: those that an earlier life of the agent started are held by nothing else.
    fn mounted_layers(&self) -> BTreeSet<String> {
        let mounted = mounts(&self.dir);
        let contents = self.index.contents();
        let mounted: BTreeSet<_> =
            contents.layers.keys().filter(|layer| mounted.contains(layer_name(layer))).collect();
        let images = contents.images.iter();
        let images = images.filter(|(_, image)| {
            // Then all below it are mounted too, or hidden by it.
            image.layers.last().is_some_and(|layer| mounted.contains(layer))
        });
        let images: Vec<_> = images.map(|(digest, _)| digest.clone()).collect();
        mounted.into_iter().cloned().chain(images).collect()
    }
}

/// Whether less than this share of the file system of `dir` is free; not if it does not say.
fn is_full(dir: &Path, headroom: f64) -> bool {
    let Ok(disk) = rustix::fs::statvfs(dir) else { return false };
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
    let free = disk.f_bavail as f64 / disk.f_blocks.max(1) as f64;
    free < headroom
}

pub(crate) fn secs_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// All mounts that any process of this machine sees and that may be of layers, whatever mounted them.
fn mounts(dir: &Path) -> String {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let (mut namespaces, mut mounts) = (BTreeSet::new(), BTreeSet::new());
    for process in processes {
        let process = process.path();
        let Ok(namespace) = fs::read_link(process.join("ns/mnt")) else { continue };
        if namespaces.contains(namespace.as_os_str().as_bytes()) {
            continue;
        }
        let Ok(table) = fs::read_to_string(process.join("mountinfo")) else { continue };
        namespaces.insert(namespace.as_os_str().as_bytes().to_vec());
        // A bind mount tells the path on its own file system, which may be a part of ours.
        let last = dir.file_name().map(|name| name.to_string_lossy().into_owned());
        let last = last.unwrap_or_default();
        let ours = |line: &&str| line.contains(" - overlay ") || line.contains(&last);
        mounts.extend(table.lines().filter(ours).map(str::to_owned));
    }
    mounts.into_iter().collect()
}
