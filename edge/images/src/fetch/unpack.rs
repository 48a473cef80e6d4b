//! Archives by the ends of their names, as Mesos' fetcher knows them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::archive;
use crate::tree::{Attributes, Purpose, Segment, Tree, UnpackError, refused};

const READ_BYTES: usize = 256 * 1024;
/// What `xz -9` needs is a quarter of it.
const XZ_MEMORY_BYTES_MAX: u64 = 256 << 20;
const ZIP_ENTRIES_MAX: usize = 1_000_000;
const LINK_BYTES_MAX: u64 = 4096;
const FILE_KIND: u32 = 0o170_000;
const LINK_KIND: u32 = 0o120_000;
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tar(Compression),
    Zip,
    /// One compressed file.
    Gzip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

/// Mesos knows them but for zstd.
const ENDS: [(&str, Kind); 11] = [
    (".tar", Kind::Tar(Compression::None)),
    (".tar.gz", Kind::Tar(Compression::Gzip)),
    (".tgz", Kind::Tar(Compression::Gzip)),
    (".tar.bz2", Kind::Tar(Compression::Bzip2)),
    (".tbz2", Kind::Tar(Compression::Bzip2)),
    (".tar.xz", Kind::Tar(Compression::Xz)),
    (".txz", Kind::Tar(Compression::Xz)),
    (".tar.zst", Kind::Tar(Compression::Zstd)),
    (".tzst", Kind::Tar(Compression::Zstd)),
    (".zip", Kind::Zip),
    (".gz", Kind::Gzip),
];

/// What kind of archive a file is, if it is one.
pub(super) fn kind(name: &str) -> Option<Kind> {
    ENDS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, kind)| *kind)
}

/// Unpacks `archive`, which is called `name`, into the sandbox, and tells how much was written.
pub(super) fn unpack(
    (archive, name): (&Path, &str),
    kind: Kind,
    into: &Path,
    purpose: Purpose,
    bytes_max: u64,
) -> Result<u64, UnpackError> {
    let disk = |path: &Path| {
        let what = path.display().to_string();
        move |error| UnpackError::Disk { what, error }
    };
    let file = File::open(archive).map_err(disk(archive))?;
    let mut tree = Tree::open(into, purpose).map_err(disk(into))?;
    match kind {
        Kind::Tar(compression) => {
            let mut reader = decompressed(file, compression)?;
            archive::untar(&mut reader, &mut tree, purpose, bytes_max)?;
        }
        Kind::Zip => unzip(file, &mut tree, bytes_max)?,
        Kind::Gzip => {
            let name = name.rsplit('/').next().unwrap_or(name).trim_end_matches(".gz");
            let mut reader = decompressed(file, Compression::Gzip)?;
            tree.stream(name.as_bytes(), &plain(FILE_MODE), &mut reader, bytes_max)?;
        }
    }
    tree.finish()
}

fn decompressed(file: File, compression: Compression) -> Result<Box<dyn BufRead>, UnpackError> {
    let file = BufReader::with_capacity(READ_BYTES, file);
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => buffered(flate2::bufread::MultiGzDecoder::new(file)),
        Compression::Bzip2 => buffered(bzip2::bufread::MultiBzDecoder::new(file)),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(
                XZ_MEMORY_BYTES_MAX,
                liblzma::stream::CONCATENATED,
            );
            let stream = stream.map_err(|error| UnpackError::Broken(error.to_string()))?;
            buffered(liblzma::bufread::XzDecoder::new_stream(file, stream))
        }
        Compression::Zstd => {
            let zstd = zstd::stream::read::Decoder::with_buffer(file);
            buffered(zstd.map_err(|error| UnpackError::Broken(error.to_string()))?)
        }
    })
}

fn buffered(reader: impl Read + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(READ_BYTES, reader))
}

fn unzip(file: File, tree: &mut Tree, bytes_max: u64) -> Result<(), UnpackError> {
    let broken = |error: zip::result::ZipError| {
        UnpackError::Broken(format!("it is not a good zip archive: {error}"))
    };
    let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    if zip.len() > ZIP_ENTRIES_MAX {
        return Err(UnpackError::Broken(format!("it has more than {ZIP_ENTRIES_MAX} entries")));
    }
    let mut bytes = 0_u64;
    for entry in 0..zip.len() {
        let mut entry = zip.by_index(entry).map_err(broken)?;
        bytes = bytes.saturating_add(archive::room(entry.size()));
        if bytes > bytes_max {
            return Err(UnpackError::TooLarge(bytes_max));
        }
        let (path, mode) = (entry.name_raw().to_vec(), entry.unix_mode());
        match mode {
            _ if entry.is_dir() => tree.directory(&path, &plain(mode.unwrap_or(DIRECTORY_MODE)))?,
            Some(mode) if mode & FILE_KIND == LINK_KIND => {
                let mut target = Vec::new();
                Read::take(&mut entry, LINK_BYTES_MAX)
                    .read_to_end(&mut target)
                    .map_err(|error| read(&error))?;
                tree.symlink(&path, &plain(mode), &target)?;
            }
            mode => {
                let size = entry.size();
                let whole = [Segment { offset: 0, bytes: size }];
                let mut contents = BufReader::with_capacity(READ_BYTES, entry);
                tree.file(&path, &plain(mode.unwrap_or(FILE_MODE)), size, &whole, &mut contents)?;
                // The checksum is looked at when the end is read.
                if io::copy(&mut contents, &mut io::sink()).map_err(|error| read(&error))? > 0 {
                    return Err(refused(
                        &path,
                        "is longer than the archive's directory says".into(),
                    ));
                }
            }
        }
    }
    Ok(())
}

fn read(error: &io::Error) -> UnpackError {
    UnpackError::Broken(error.to_string())
}

/// Zip's times have no zone, so files get the time of their arrival.
fn plain(mode: u32) -> Attributes {
    Attributes { mode, ..Attributes::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_known_by_the_end_of_its_name() {
        let check = |name: &str, expected: Option<Kind>| assert_eq!(kind(name), expected, "{name}");
        check("a.tar", Some(Kind::Tar(Compression::None)));
        check("a.tar.gz", Some(Kind::Tar(Compression::Gzip)));
        check("a.txz", Some(Kind::Tar(Compression::Xz)));
        check("a.tar.zst", Some(Kind::Tar(Compression::Zstd)));
        check("a.gz", Some(Kind::Gzip));
        check("a.zip", Some(Kind::Zip));
        check("a.jar", None);
        check("tar", None);
    }
}
