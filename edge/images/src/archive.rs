//! Reads tar archives, as Docker, GNU tar and bsdtar write them, into a tree.
//!
//! The headers are the `tar` crate's; the walk over them is ours, for two reasons: extended attributes are binary
//! (a capability can contain a newline, at which the crate cuts them), and an archive from a stranger must not decide
//! how much memory its own headers take.

use std::ffi::OsString;
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::OsStringExt;

use tar::{EntryType, GnuExtSparseHeader, Header};

use crate::tree::{Attributes, Purpose, Segment, Special, Tree, UnpackError, refused};

const BLOCK_BYTES: u64 = 512;
/// Of file systems, as most have them.
const DISK_BLOCK_BYTES: u64 = 4096;
const EXTENDED_HEADER_BYTES_MAX: u64 = 1 << 20;
const SEGMENTS_MAX: usize = 1 << 16;
const ENTRIES_MAX: u64 = 4_000_000;
/// Letters of headers that are no entries.
const LONG_NAME: u8 = b'L';
const LONG_LINK: u8 = b'K';
const EXTENDED: u8 = b'x';
const DEFAULTS: u8 = b'g';
const LABEL: u8 = b'V';
/// Starts the name of a file that hides what the layers below have.
const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";
/// Notes of an old storage driver, without a meaning here.
const WHITEOUT_RESERVED: &[u8] = b".wh..wh.";
/// Attributes that mean the same everywhere; the others belong to the host or to overlayfs.
const XATTRS: [&[u8]; 3] = [b"security.capability", b"user.", b"system.posix_acl_"];
const XATTR_KEY: &[u8] = b"SCHILY.xattr.";

/// What an entry of a sandbox takes at the least: whole blocks of the disk, one for its name.
pub(crate) fn room(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(DISK_BLOCK_BYTES).unwrap_or(u64::MAX).max(DISK_BLOCK_BYTES)
}

/// Unpacks what `reader` yields. The sizes that the entries claim may not exceed `bytes_max`.
pub(crate) fn untar(
    reader: &mut dyn BufRead,
    tree: &mut Tree,
    purpose: Purpose,
    bytes_max: u64,
) -> Result<(), UnpackError> {
    let mut tar = Tar { reader, pending: 0, padding: 0 };
    let mut bytes = 0_u64;
    for _ in 0..ENTRIES_MAX {
        let Some(entry) = tar.next()? else { return Ok(()) };
        bytes = bytes.saturating_add(match purpose {
            Purpose::Layer => entry.size,
            Purpose::Sandbox { .. } => room(entry.size),
        });
        if bytes > bytes_max {
            return Err(UnpackError::TooLarge(bytes_max));
        }
        match purpose {
            Purpose::Layer => put_in_layer(&mut tar, tree, &entry)?,
            Purpose::Sandbox { .. } => put(&mut tar, tree, &entry)?,
        }
    }
    Err(UnpackError::Broken(format!("it has more than {ENTRIES_MAX} entries")))
}

/// One entry; the contents of a file follow in the stream.
struct Entry {
    path: Vec<u8>,
    link: Vec<u8>,
    kind: EntryType,
    attributes: Attributes,
    device: (u32, u32),
    /// Of the file, holes included.
    size: u64,
    segments: Vec<Segment>,
}

/// A key and a value of an extended header.
type Record = (Vec<u8>, Vec<u8>);

/// What extended headers say about the entry that follows them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    /// In their order; the last of a name counts.
    records: Vec<Record>,
}

struct Tar<'a> {
    reader: &'a mut dyn BufRead,
    /// Of the current entry's contents.
    pending: u64,
    /// Between them and the next header.
    padding: u64,
}

fn put_in_layer(tar: &mut Tar<'_>, tree: &mut Tree, entry: &Entry) -> Result<(), UnpackError> {
    let cut = entry.path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (above, name) = entry.path.split_at(cut);
    if name == WHITEOUT_OPAQUE {
        return tree.opaque(above);
    }
    if name.starts_with(WHITEOUT_RESERVED) {
        return Ok(());
    }
    match name.strip_prefix(WHITEOUT) {
        Some(b"" | b"." | b"..") => {
            Err(refused(&entry.path, "hides a name that no file can have".into()))
        }
        Some(hidden) => tree.whiteout(&[above, hidden].concat()),
        None => put(tar, tree, entry),
    }
}

fn put(tar: &mut Tar<'_>, tree: &mut Tree, entry: &Entry) -> Result<(), UnpackError> {
    let (path, attributes, (major, minor)) = (&entry.path, &entry.attributes, entry.device);
    match entry.kind {
        EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => {
            tree.directory(path, attributes)
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            tree.file(path, attributes, entry.size, &entry.segments, tar)
        }
        EntryType::Directory => tree.directory(path, attributes),
        EntryType::Symlink => tree.symlink(path, attributes, &entry.link),
        EntryType::Link => tree.hard_link(path, &entry.link),
        EntryType::Char => tree.special(path, attributes, Special::Character { major, minor }),
        EntryType::Block => tree.special(path, attributes, Special::Block { major, minor }),
        EntryType::Fifo => tree.special(path, attributes, Special::Fifo),
        other @ (EntryType::GNULongName
        | EntryType::GNULongLink
        | EntryType::XGlobalHeader
        | EntryType::XHeader
        | _) => Err(refused(
            path,
            format!("is of a kind that we do not know ({:?})", char::from(other.as_byte())),
        )),
    }
}

/// The rest of the current entry's contents.
impl Read for Tar<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.pending).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.reader.read(&mut buffer[..wanted])?;
        self.pending -= read as u64;
        Ok(read)
    }
}

impl BufRead for Tar<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.pending == 0 {
            return Ok(&[]);
        }
        let there = self.reader.fill_buf()?;
        let wanted = usize::try_from(self.pending).unwrap_or(usize::MAX).min(there.len());
        Ok(&there[..wanted])
    }

    fn consume(&mut self, used: usize) {
        self.reader.consume(used);
        self.pending -= used as u64;
    }
}

impl Tar<'_> {
    fn next(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut extended = Extended::default();
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            match header.entry_type().as_byte() {
                LONG_NAME => extended.path = Some(until_zero(self.extended_header(&header)?)),
                LONG_LINK => extended.link = Some(until_zero(self.extended_header(&header)?)),
                EXTENDED => extended.records = records(&self.extended_header(&header)?)?,
                // Nothing that images or archives of programs rely on.
                DEFAULTS | LABEL => drop(self.extended_header(&header)?),
                _ => return self.entry(&header, extended).map(Some),
            }
        }
    }

    fn header(&mut self) -> Result<Option<Header>, UnpackError> {
        io::copy(&mut Read::take(&mut *self, u64::MAX), &mut io::sink()).map_err(broken)?;
        if self.pending > 0 {
            return Err(UnpackError::Broken("it ends in the middle of a file".into()));
        }
        // Of the last entry it may be missing: some tools (umoci insert) do not write it.
        io::copy(&mut Read::take(&mut *self.reader, self.padding), &mut io::sink())
            .map_err(broken)?;
        let mut header = Header::new_old();
        if !self.fill(header.as_mut_bytes())? || header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let bytes = header.as_bytes();
        let sum: u32 =
            bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum::<u32>()
                + 8 * 32;
        if header.cksum().ok() != Some(sum) {
            return Err(UnpackError::Broken("it is not a tar archive, or it is damaged".into()));
        }
        // Only these have contents, whatever size the others claim.
        let size = if has_contents(header.entry_type()) {
            header.entry_size().map_err(broken)?
        } else {
            0
        };
        self.expect(size)?;
        Ok(Some(header))
    }

    /// Contents of this size follow.
    fn expect(&mut self, size: u64) -> Result<(), UnpackError> {
        let stored = size.checked_next_multiple_of(BLOCK_BYTES);
        let stored =
            stored.ok_or_else(|| UnpackError::Broken("it claims an absurd size".into()))?;
        (self.pending, self.padding) = (size, stored - size);
        Ok(())
    }

    /// Fills the block, or finds that the archive has ended before it.
    fn fill(&mut self, block: &mut [u8]) -> Result<bool, UnpackError> {
        let mut filled = 0;
        while filled < block.len() {
            match self.reader.read(&mut block[filled..]).map_err(broken)? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(UnpackError::Broken("it ends in the middle of a header".into())),
                read => filled += read,
            }
        }
        Ok(true)
    }

    fn extended_header(&mut self, header: &Header) -> Result<Vec<u8>, UnpackError> {
        let size = header.entry_size().map_err(broken)?;
        if size > EXTENDED_HEADER_BYTES_MAX {
            return Err(UnpackError::Broken(format!("it has a header of {size} bytes")));
        }
        let mut contents = Vec::new();
        Read::take(&mut *self, size).read_to_end(&mut contents).map_err(broken)?;
        Ok(contents)
    }

    fn entry(&mut self, header: &Header, extended: Extended) -> Result<Entry, UnpackError> {
        let size = match extended.number("size") {
            _ if !has_contents(header.entry_type()) => 0,
            Some(long) => long,
            None => header.entry_size().map_err(broken)?,
        };
        self.expect(size)?;
        let path = extended
            .path
            .clone()
            .or_else(|| extended.text("path"))
            .unwrap_or_else(|| header.path_bytes().into());
        let link = extended.link.clone().or_else(|| extended.text("linkpath"));
        let link = link.or_else(|| header.link_name_bytes().map(Into::into)).unwrap_or_default();
        let mut entry = Entry {
            attributes: attributes(header, &extended).map_err(|cause| refused(&path, cause))?,
            device: (
                header.device_major().ok().flatten().unwrap_or(0),
                header.device_minor().ok().flatten().unwrap_or(0),
            ),
            kind: header.entry_type(),
            segments: vec![Segment { offset: 0, bytes: size }],
            path,
            link,
            size,
        };
        if entry.kind == EntryType::GNUSparse {
            self.old_sparse(header, &mut entry)?;
        } else if extended.text("GNU.sparse.major").is_some_and(|major| major == b"1") {
            self.new_sparse(&extended, &mut entry)?;
        } else if extended.records.iter().any(|(key, _)| key.starts_with(b"GNU.sparse.")) {
            entry.set_map_of_records(&extended)?;
        }
        Ok(entry)
    }

    /// GNU's sparse files: the map is in the header and in blocks after it.
    fn old_sparse(&mut self, header: &Header, entry: &mut Entry) -> Result<(), UnpackError> {
        let gnu = header
            .as_gnu()
            .ok_or_else(|| refused(&entry.path, "is sparse without a map".into()))?;
        let mut map = Vec::new();
        let mut add = |block: &tar::GnuSparseHeader| -> io::Result<()> {
            if !block.is_empty() {
                map.push(Segment { offset: block.offset()?, bytes: block.length()? });
            }
            Ok(())
        };
        gnu.sparse.iter().try_for_each(&mut add).map_err(broken)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = GnuExtSparseHeader::new();
            // These blocks are not counted by the entry's size.
            if !self.fill(block.as_mut_bytes())? || map_is_long(&map) {
                return Err(refused(&entry.path, "has a broken map of its holes".into()));
            }
            for part in &block.sparse {
                if !part.is_empty() {
                    map.push(Segment {
                        offset: part.offset().map_err(broken)?,
                        bytes: part.length().map_err(broken)?,
                    });
                }
            }
            more = block.is_extended();
        }
        let size = gnu.real_size().map_err(broken)?;
        entry.set_map(map, size)
    }

    /// The sparse files of POSIX archives: the map is text at the start of the contents.
    fn new_sparse(&mut self, extended: &Extended, entry: &mut Entry) -> Result<(), UnpackError> {
        let bad = || refused(b"", "has a broken map of its holes".into());
        let mut read = 0;
        let count = self.map_number(&mut read)?;
        if count > SEGMENTS_MAX as u64 {
            return Err(bad());
        }
        let mut map = Vec::new();
        for _ in 0..count {
            let (offset, bytes) = (self.map_number(&mut read)?, self.map_number(&mut read)?);
            map.push(Segment { offset, bytes });
        }
        let padding = read.next_multiple_of(BLOCK_BYTES) - read;
        io::copy(&mut Read::take(&mut *self, padding), &mut io::sink()).map_err(broken)?;
        entry.path = extended.text("GNU.sparse.name").ok_or_else(bad)?;
        entry.set_map(map, extended.number("GNU.sparse.realsize").ok_or_else(bad)?)
    }

    fn map_number(&mut self, read: &mut u64) -> Result<u64, UnpackError> {
        let mut number = 0_u64;
        loop {
            let mut byte = [0];
            self.read_exact(&mut byte).map_err(broken)?;
            *read += 1;
            match byte[0] {
                b'\n' => return Ok(number),
                digit @ b'0'..=b'9' => {
                    number = number.saturating_mul(10).saturating_add((digit - b'0').into())
                }
                _ => {
                    return Err(UnpackError::Broken(
                        "a map of holes is not made of numbers".into(),
                    ));
                }
            }
        }
    }
}

impl Entry {
    /// The sparse files of the first POSIX archives: the map is in the extended header, as pairs of records or in one.
    fn set_map_of_records(&mut self, extended: &Extended) -> Result<(), UnpackError> {
        const PAIR: [&[u8]; 2] = [b"GNU.sparse.offset", b"GNU.sparse.numbytes"];
        let bad = || refused(&self.path, "has a broken map of its holes".into());
        let paired = extended.records.iter().filter(|(key, _)| PAIR.contains(&key.as_slice()));
        let whole = extended.text("GNU.sparse.map");
        let texts: Vec<&[u8]> = match &whole {
            Some(map) => map.split(|byte| *byte == b',').filter(|text| !text.is_empty()).collect(),
            None => paired.map(|(_, value)| value.as_slice()).collect(),
        };
        let number = |text: &&[u8]| str::from_utf8(text).ok()?.parse().ok();
        let numbers: Option<Vec<u64>> = texts.iter().map(number).collect();
        let numbers = numbers.filter(|all| all.len().is_multiple_of(2)).ok_or_else(bad)?;
        let map: Vec<_> = numbers
            .chunks_exact(2)
            .map(|pair| Segment { offset: pair[0], bytes: pair[1] })
            .collect();
        let size = extended.number("GNU.sparse.size").filter(|_| !map_is_long(&map));
        let size = size.ok_or_else(bad)?;
        self.path = extended.text("GNU.sparse.name").unwrap_or_else(|| self.path.clone());
        self.set_map(map, size)
    }

    /// A map must ascend and stay inside the file.
    fn set_map(&mut self, map: Vec<Segment>, size: u64) -> Result<(), UnpackError> {
        let mut end = 0;
        for segment in &map {
            let next = segment.offset.checked_add(segment.bytes).filter(|_| segment.offset >= end);
            end = next
                .filter(|next| *next <= size)
                .ok_or_else(|| refused(&self.path, "has a broken map of its holes".into()))?;
        }
        (self.segments, self.size) = (map, size);
        Ok(())
    }
}

impl Extended {
    fn text(&self, key: &str) -> Option<Vec<u8>> {
        self.records
            .iter()
            .rev()
            .find(|(name, _)| name == key.as_bytes())
            .map(|(_, value)| value.clone())
    }

    fn number(&self, key: &str) -> Option<u64> {
        str::from_utf8(&self.text(key)?).ok()?.parse().ok()
    }
}

fn has_contents(kind: EntryType) -> bool {
    !matches!(
        kind,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Directory
            | EntryType::Char
            | EntryType::Block
            | EntryType::Fifo
    )
}

fn map_is_long(map: &[Segment]) -> bool {
    map.len() > SEGMENTS_MAX
}

fn attributes(header: &Header, extended: &Extended) -> Result<Attributes, String> {
    let number = |value: io::Result<u64>, key: &str| {
        let value = extended.number(key).map_or(value, Ok).map_err(|error| error.to_string())?;
        u32::try_from(value).map_err(|_| format!("has a {key} of {value}"))
    };
    let mtime = extended.text("mtime").and_then(|text| time(&text));
    let whole_secs = || (i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0), 0);
    let xattrs = extended.records.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix(XATTR_KEY)?;
        let known = XATTRS.iter().any(|known| name.starts_with(known)) && !name.contains(&0);
        known.then(|| (OsString::from_vec(name.to_vec()), value.clone()))
    });
    Ok(Attributes {
        mode: header.mode().map_err(|error| error.to_string())?,
        uid: number(header.uid(), "uid")?,
        gid: number(header.gid(), "gid")?,
        mtime: Some(mtime.unwrap_or_else(whole_secs)),
        xattrs: xattrs.collect(),
    })
}

/// Decimal seconds; what lies before 1970 loses its fraction.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = str::from_utf8(text).ok()?;
    let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
    let secs = secs.parse::<i64>().ok()?;
    let nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some((secs, if secs < 0 { 0 } else { nanos }))
}

/// Each record is `<length> <key>=<value>\n`, the length counting itself.
fn records(mut bytes: &[u8]) -> Result<Vec<Record>, UnpackError> {
    let bad = || UnpackError::Broken("it has a damaged extended header".into());
    let mut records = Vec::new();
    while !bytes.is_empty() && bytes[0] != 0 {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
        let length: usize = str::from_utf8(&bytes[..space])
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(bad)?;
        let record = bytes
            .get(space + 1..length)
            .and_then(|record| record.strip_suffix(b"\n"))
            .ok_or_else(bad)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
        bytes = &bytes[length..];
    }
    Ok(records)
}

fn until_zero(mut name: Vec<u8>) -> Vec<u8> {
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    name
}

fn broken(error: io::Error) -> UnpackError {
    UnpackError::Broken(format!("the archive is damaged ({error})"))
}
