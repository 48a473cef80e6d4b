//! One layer: a tar archive, compressed or not, that becomes a directory for overlayfs.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256, Sha512};

use crate::archive;
use crate::tree::{Purpose, Tree, UnpackError};

const READ_BYTES: usize = 256 * 1024;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Why a layer is not unpacked.
#[derive(Debug)]
pub(crate) enum LayerError {
    /// It is not the layer that its digest names, but this one.
    Digest(String),
    Unpack(UnpackError),
}

/// Whether somebody has looked already whether these are the bytes that the digest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Wanted,
    /// The same bytes, when they arrived: hashing them again would be a good part of the work.
    Given,
}

/// Unpacks a layer into an empty directory and tells how many bytes its files have.
///
/// What is inside is not hashed to be compared with the config's `diff_ids`, as containerd does, which names its
/// snapshots by them: ours are named by the archive's digest, and that has proven every byte. It would add
/// a sixth to the work.
///
/// What was unpacked counts for nothing if the digest turns out to be another at the end: each byte is read once, for
/// both.
pub(crate) fn unpack(
    archive: impl Read,
    digest: &str,
    proof: Proof,
    into: &Path,
    bytes_max: u64,
) -> Result<u64, LayerError> {
    let mut archive = archive;
    if proof == Proof::Given {
        return untar(&mut archive, into, bytes_max).map_err(LayerError::Unpack);
    }
    let mut archive = Hashing { hash: Hash::like(digest), inner: archive };
    let unpacked = untar(&mut archive, into, bytes_max);
    let rest = io::copy(&mut archive, &mut io::sink());
    let actual = archive.hash.digest();
    rest.map_err(|error| {
        LayerError::Unpack(UnpackError::Disk { what: "the download".into(), error })
    })?;
    if actual == digest {
        unpacked.map_err(LayerError::Unpack)
    } else {
        Err(LayerError::Digest(actual))
    }
}

fn untar(archive: &mut dyn Read, into: &Path, bytes_max: u64) -> Result<u64, UnpackError> {
    let disk = |error| UnpackError::Disk { what: into.display().to_string(), error };
    let mut reader = decompressed(archive).map_err(disk)?;
    let mut tree = Tree::open(into, Purpose::Layer).map_err(disk)?;
    archive::untar(&mut reader, &mut tree, Purpose::Layer, bytes_max)?;
    tree.finish()
}

/// Goes by the first bytes: media types are not always true.
pub(crate) fn decompressed<'a>(from: &'a mut dyn Read) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut from = BufReader::with_capacity(READ_BYTES, from);
    let start = from.fill_buf()?;
    Ok(if start.starts_with(GZIP) {
        Box::new(BufReader::with_capacity(READ_BYTES, flate2::bufread::MultiGzDecoder::new(from)))
    } else if start.starts_with(ZSTD) {
        Box::new(BufReader::with_capacity(READ_BYTES, zstd::Decoder::with_buffer(from)?))
    } else {
        Box::new(from)
    })
}

/// Leaves the place in the file as it is.
pub(crate) fn is_compressed(file: &File) -> io::Result<bool> {
    let mut start = [0; ZSTD.len()];
    let read = file.read_at(&mut start, 0)?;
    Ok(start[..read].starts_with(GZIP) || start[..read].starts_with(ZSTD))
}

/// The digest of contents, by the algorithm of the one that is expected.
pub(crate) fn digest_of(contents: &[u8], expected: &str) -> String {
    let mut hash = Hash::like(expected);
    hash.update(contents);
    hash.digest()
}

struct Hashing<R> {
    hash: Hash,
    inner: R,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

#[derive(Debug)]
pub(crate) enum Hash {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hash {
    pub(crate) fn like(digest: &str) -> Self {
        if digest.starts_with("sha512:") {
            Self::Sha512(Sha512::new())
        } else {
            Self::Sha256(Sha256::new())
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn digest(self) -> String {
        match self {
            Self::Sha256(hash) => format!("sha256:{}", hex::encode(hash.finalize())),
            Self::Sha512(hash) => format!("sha512:{}", hex::encode(hash.finalize())),
        }
    }
}
