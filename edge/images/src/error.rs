//! Why an image could not be pulled or a URI not be fetched: each text names the thing, the cause and what to do.

use std::path::PathBuf;

/// Why an image is not here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PullError {
    #[error(
        "image name {image:?} cannot be understood: {cause}; write it as [registry[:port]/]repository[:tag][@digest]"
    )]
    BadName { image: String, cause: String },
    #[error(
        "image {image} is not in registry {registry}: check the name and the tag, and that it has been pushed there; if the repository is private, check the credentials"
    )]
    NotFound { image: String, registry: String },
    #[error(
        "registry {registry} does not let us pull image {image}: {cause}; check the entry for {registry} in the docker config.json that the agent uses"
    )]
    Unauthorized { image: String, registry: String, cause: String },
    #[error(
        "registry {registry} sent wrong bytes for {part} of image {image}: they have digest {actual}; push the image again, or pull it from another registry"
    )]
    Digest { image: String, registry: String, part: String, actual: String },
    #[error(
        "registry {registry} was silent for {secs} s while we waited for {awaited} of image {image}: check that it is healthy and that a proxy does not hold its answers back"
    )]
    Stalled { image: String, registry: String, awaited: String, secs: u64 },
    #[error(
        "layer {layer} of image {image} is refused: entry {entry:?} {cause}; build the image anew with ordinary tools"
    )]
    Unsafe { image: String, layer: String, entry: String, cause: String },
    #[error("{part} of image {image} cannot be used: {cause}; build and push the image again")]
    Broken { image: String, part: String, cause: String },
    #[error(
        "image {image} has nothing for {wanted}, only for {offered}: build it for this platform too"
    )]
    Platform { image: String, wanted: String, offered: String },
    #[error("no space left in {} for image {image}: free some space or prune unused images", dir.display())]
    NoSpace { image: String, dir: PathBuf },
    #[error(
        "registry {registry} did not give {awaited} of image {image}: {cause}; check its address, the network and its log"
    )]
    Registry { image: String, registry: String, awaited: String, cause: String },
    #[error(
        "image {image} cannot be read from {}: {cause}; save or copy it there again, on each agent", path.display()
    )]
    File { image: String, path: PathBuf, cause: String },
    #[error("the layer store in {} failed for image {image}: {cause}; check the disk and that the agent runs as root", dir.display())]
    Store { image: String, dir: PathBuf, cause: String },
}

impl PullError {
    /// Whether a login may change the answer: registries do not say that what is not for everybody is there.
    pub fn may_want_login(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::Unauthorized { .. } => true,
            Self::BadName { .. }
            | Self::Digest { .. }
            | Self::Stalled { .. }
            | Self::Unsafe { .. }
            | Self::Broken { .. }
            | Self::Platform { .. }
            | Self::NoSpace { .. }
            | Self::Registry { .. }
            | Self::File { .. }
            | Self::Store { .. } => false,
        }
    }

    /// The same failure, told of the image of another who waited for the same layer.
    pub(crate) fn told_of(mut self, name: &str) -> Self {
        match &mut self {
            Self::BadName { image, .. }
            | Self::NotFound { image, .. }
            | Self::Unauthorized { image, .. }
            | Self::Digest { image, .. }
            | Self::Stalled { image, .. }
            | Self::Unsafe { image, .. }
            | Self::Broken { image, .. }
            | Self::Platform { image, .. }
            | Self::NoSpace { image, .. }
            | Self::Registry { image, .. }
            | Self::File { image, .. }
            | Self::Store { image, .. } => name.clone_into(image),
        }
        self
    }
}

/// Why a URI is not in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("{uri} cannot be fetched: {cause}")]
    Refused { uri: String, cause: String },
    #[error(
        "{uri}: the server answered {status}; check that the file is there and may be read without a login"
    )]
    Status { uri: String, status: u16 },
    #[error("{uri}: {cause}; check the address and the network of this machine")]
    Unreachable { uri: String, cause: String },
    #[error("{uri}: the server was silent for {secs} s; check that it is healthy")]
    Stalled { uri: String, secs: u64 },
    #[error(
        "{uri}: the archive is refused: entry {entry:?} {cause}; pack it anew with paths that stay inside"
    )]
    Unsafe { uri: String, entry: String, cause: String },
    #[error("{uri}: {cause}; if it is not meant to be unpacked, set extract to false")]
    Broken { uri: String, cause: String },
    #[error(
        "{uri} is larger than {} MiB, as it comes or unpacked, and more is not fetched: fetcher.size_max_mib of the agent says how much is", bytes_max >> 20
    )]
    TooLarge { uri: String, bytes_max: u64 },
    #[error("{uri} has no room in what the task may keep on the disk: give the task more disk")]
    NoRoom { uri: String },
    #[error(
        "{uri}: what is there has {actual}, and not {wanted}: it is damaged or another version; nothing of it is used"
    )]
    Sum { uri: String, wanted: String, actual: String },
    #[error("{uri}: no space left in {}; free some space", dir.display())]
    NoSpace { uri: String, dir: PathBuf },
    #[error("{uri} could not be written to {}: {cause}", path.display())]
    Write { uri: String, path: PathBuf, cause: String },
}

impl FetchError {
    /// The same failure, told of the URI of another who waited for the same download.
    pub(crate) fn told_of(mut self, name: &str) -> Self {
        match &mut self {
            Self::Refused { uri, .. }
            | Self::Status { uri, .. }
            | Self::Unreachable { uri, .. }
            | Self::Stalled { uri, .. }
            | Self::Unsafe { uri, .. }
            | Self::Broken { uri, .. }
            | Self::TooLarge { uri, .. }
            | Self::NoRoom { uri }
            | Self::Sum { uri, .. }
            | Self::NoSpace { uri, .. }
            | Self::Write { uri, .. } => name.clone_into(uri),
        }
        self
    }
}
