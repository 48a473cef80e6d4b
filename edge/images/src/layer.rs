//! One layer: a tar archive, compressed or not, that becomes a directory for overlayfs.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use sha2::{Digest, Sha256, Sha512};

use crate::archive;
use crate::tree::{Purpose, Tree, UnpackError};

const READ_BYTES: usize = 256 * 1024;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Unpacks a layer into an empty directory and tells how many bytes its files have.
pub(crate) fn unpack(archive: &Path, into: &Path, bytes_max: u64) -> Result<u64, UnpackError> {
    let disk = |error| UnpackError::Disk { what: archive.display().to_string(), error };
    let mut reader = decompressed(File::open(archive).map_err(disk)?).map_err(disk)?;
    let mut tree = Tree::open(into, Purpose::Layer).map_err(disk)?;
    archive::untar(&mut reader, &mut tree, Purpose::Layer, bytes_max)?;
    tree.finish()
}

/// Goes by the first bytes: media types are not always true.
fn decompressed(mut file: File) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    Read::take(&mut file, ZSTD.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    let file = BufReader::with_capacity(READ_BYTES, file);
    Ok(if start.starts_with(GZIP) {
        Box::new(BufReader::with_capacity(READ_BYTES, flate2::bufread::MultiGzDecoder::new(file)))
    } else if start.starts_with(ZSTD) {
        Box::new(BufReader::with_capacity(READ_BYTES, zstd::Decoder::with_buffer(file)?))
    } else {
        Box::new(file)
    })
}

/// The digest of contents, by the algorithm of the one that is expected.
pub(crate) fn digest_of(contents: &mut dyn Read, expected: &str) -> io::Result<String> {
    if expected.starts_with("sha512:") {
        Ok(format!("sha512:{}", hash::<Sha512>(contents)?))
    } else {
        Ok(format!("sha256:{}", hash::<Sha256>(contents)?))
    }
}

fn hash<H: Digest>(contents: &mut dyn Read) -> io::Result<String> {
    let (mut hash, mut buffer) = (H::new(), vec![0; READ_BYTES]);
    loop {
        match contents.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}
