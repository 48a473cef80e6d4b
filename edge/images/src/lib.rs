//! What containers are made of: images pulled from registries into a layer store, and files fetched into sandboxes.
//!
//! [`Store`] keeps unpacked layers, each once, however many images share them and however many tasks ask at a time.
//! Nothing in it is half done: a layer is unpacked beside the store, flushed to the disk, renamed into place and only
//! then written into the index, so that power may go at any moment. What the index does not know is removed at start,
//! but for downloads, which are gone on with.
//!
//! Archives come from strangers. Everything that unpacks goes through one writer (`tree`) that the kernel itself
//! keeps inside its directory (`openat2` with `RESOLVE_IN_ROOT`): a path that climbs out is refused by name.
//!
//! [`Fetcher`] does what a task's `fetch` says: URIs into the sandbox, unpacked, executable, through a cache.

mod archive;
mod bring;
mod bundle;
mod credentials;
mod download;
mod error;
mod fetch;
mod filed;
mod files;
mod flight;
mod flush;
mod garbage;
mod index;
mod install;
mod layer;
mod local;
mod login;
mod manifest;
mod name;
mod progress;
mod registry;
mod sharing;
mod store;
mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use error::{FetchError, PullError};
pub use fetch::{Clients, Fetcher, Recipient, Sources};
pub use garbage::GarbagePolicy;
pub use local::Locals;
pub use login::Login;
pub use progress::Progress;
pub use sharing::{Given, LEDGER_PATH, Ledger, NotGiven, Sharing};
pub use store::{Keep, Store};

/// How images are named, found and fetched.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where names without a registry are looked up. Only `docker.io` puts `library/` before single names.
    pub default_registry: String,
    /// Asked in this order before the registry itself; key and values are `host[:port]`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Hosts (`host[:port]`) spoken to without TLS, besides those on loopback, which always are.
    pub plain_http: Vec<String>,
    /// A `config.json` as Docker writes it; read anew by each pull, so that it can change.
    pub credentials: Option<PathBuf>,
    /// A registry that is silent for so long is given up.
    pub stall_timeout: Duration,
    /// Attempts for each request that fails for lack of a connection or by the registry's own fault.
    pub tries_max: u32,
    /// Of one layer, unpacked.
    pub layer_bytes_max: u64,
    pub garbage: GarbagePolicy,
    /// Which files of this machine may be images, besides those of a default registry that is a directory.
    pub locals: Locals,
    /// Layers are given to other agents of the cluster and taken from them.
    pub sharing: Option<Sharing>,
}

const STALL_TIMEOUT_SECS: u64 = 30;
const TRIES_MAX: u32 = 4;
const LAYER_BYTES_MAX: u64 = 64 << 30;

impl Default for Config {
    fn default() -> Self {
        Self {
            default_registry: "docker.io".into(),
            mirrors: BTreeMap::new(),
            plain_http: Vec::new(),
            credentials: None,
            stall_timeout: Duration::from_secs(STALL_TIMEOUT_SECS),
            tries_max: TRIES_MAX,
            layer_bytes_max: LAYER_BYTES_MAX,
            garbage: GarbagePolicy::default(),
            locals: Locals::default(),
            sharing: None,
        }
    }
}

/// Which image, and whether its tag is looked up again.
#[derive(Debug, Clone, Copy)]
pub struct PullRequest<'a> {
    /// As Docker understands it: `nginx`, `team/app:1.2`, `registry:5000/app@sha256:...`; or `file:///path`, with
    /// `#name` for one of several.
    pub name: &'a str,
    /// Asks the registry even if an image of that name is here.
    pub force: bool,
    /// A docker `config.json` of whoever asks, which goes before the store's own.
    pub credentials: Option<&'a str>,
}

/// An image that is ready to run.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Of the image's manifest: what [`Store::prune`] takes.
    pub digest: String,
    /// Unpacked layers as overlayfs takes them, the lowest first; never empty, no directory twice.
    pub layers: Vec<PathBuf>,
    pub config: ImageConfig,
    /// While a copy of it lives, [`Store::prune`] spares the image.
    pub keep: Keep,
}

/// The parts of an image's config that say how to run it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageConfig {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub env: Vec<(String, String)>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    /// By name or number, as the image says it.
    pub stop_signal: Option<String>,
}

/// What the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub images: usize,
    pub layers: usize,
    /// Of the files' contents.
    pub bytes: u64,
}

/// What the fetcher may use.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    pub cache_bytes_max: u64,
    /// A server that is silent for so long is given up.
    pub stall_timeout: Duration,
    /// Of one file, as it comes.
    pub file_bytes_max: u64,
    /// Of one archive, unpacked.
    pub unpacked_bytes_max: u64,
}

const CACHE_BYTES_MAX: u64 = 2 << 30;
const FETCH_STALL_TIMEOUT_SECS: u64 = 60;
const FILE_BYTES_MAX: u64 = 64 << 30;
const UNPACKED_BYTES_MAX: u64 = 64 << 30;

impl Default for FetchLimits {
    /// As Mesos ships it, where Mesos has a limit.
    fn default() -> Self {
        Self {
            cache_bytes_max: CACHE_BYTES_MAX,
            stall_timeout: Duration::from_secs(FETCH_STALL_TIMEOUT_SECS),
            file_bytes_max: FILE_BYTES_MAX,
            unpacked_bytes_max: UNPACKED_BYTES_MAX,
        }
    }
}
