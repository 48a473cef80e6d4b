//! `/files/browse` and `/files/read`.

use serde::{Deserialize, Serialize};

/// One line of a directory's listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileInfo {
    pub gid: String,
    /// `-rw-r--r--`, as `ls` shows it.
    pub mode: String,
    /// Seconds since the Unix epoch.
    pub mtime: f64,
    pub nlink: u64,
    /// As asked for, with the name at its end.
    pub path: String,
    pub size: u64,
    pub uid: String,
}

/// A part of a file; or its size as `offset`, if that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub data: String,
    pub offset: u64,
}

/// One read gives no more, as in Mesos: sixteen pages.
pub const READ_BYTES_MAX: usize = 16 * 4096;

/// A character is no longer than this.
const CHARACTER_BYTES_MAX: usize = 4;

/// What of a file was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its size, told as an offset.
    Size,
    From {
        offset: u64,
        length: usize,
    },
}

impl Part {
    /// The error says what is wrong.
    pub fn asked(offset: Option<&str>, length: Option<&str>) -> Result<Self, String> {
        let number = |name: &str, text: Option<&str>| -> Result<i64, String> {
            let Some(text) = text else { return Ok(-1) };
            let number = text.parse().map_err(|_| {
                format!("Failed to parse {name}: {text:?} is not a whole number.\n")
            })?;
            match number < -1 {
                true => Err(format!("Negative {name} provided: {number}.\n")),
                false => Ok(number),
            }
        };
        let (offset, length) = (number("offset", offset)?, number("length", length)?);
        let length =
            usize::try_from(length).map_or(READ_BYTES_MAX, |length| length.min(READ_BYTES_MAX));
        Ok(u64::try_from(offset).map_or(Part::Size, |offset| Part::From { offset, length }))
    }

    /// Of a file of this size, whose bytes from an offset on, so many or fewer at its end, are had by `read`.
    pub fn of<E>(
        self,
        size: u64,
        read: impl FnOnce(u64, usize) -> Result<Vec<u8>, E>,
    ) -> Result<Content, E> {
        let Part::From { offset, length } = self else {
            return Ok(Content { data: String::new(), offset: size });
        };
        let mut bytes = read(offset, length)?;
        if bytes.len() == length {
            bytes.truncate(whole_characters(&bytes));
        }
        Ok(Content { data: String::from_utf8_lossy(&bytes).into_owned(), offset })
    }
}

/// How many bytes to give so that no character is cut in two: clients count what they got and go on from there.
fn whole_characters(bytes: &[u8]) -> usize {
    let Err(cause) = str::from_utf8(bytes) else { return bytes.len() };
    let tail = bytes.len() - cause.valid_up_to();
    let cut = cause.error_len().is_none() && tail < CHARACTER_BYTES_MAX && 0 < cause.valid_up_to();
    if cut { cause.valid_up_to() } else { bytes.len() }
}

/// The ten characters by which `ls` shows a file's type and who may do what.
pub fn mode(bits: u32) -> String {
    let kind = match bits & 0o170_000 {
        0o100_000 => '-',
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o020_000 => 'c',
        0o060_000 => 'b',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '?',
    };
    let permissions = (0..9).map(|nth| match bits & (0o400 >> nth) {
        0 => '-',
        _ => ['r', 'w', 'x'][nth % 3],
    });
    std::iter::once(kind).chain(permissions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_look_as_in_ls() {
        let check = |bits: u32, shown: &str| assert_eq!(mode(bits), shown);
        check(0o100_644, "-rw-r--r--");
        check(0o040_755, "drwxr-xr-x");
        check(0o120_777, "lrwxrwxrwx");
        check(0o100_001, "---------x");
    }

    #[test]
    fn a_listing_is_spelled_as_mesos_spells_it() {
        let info = FileInfo {
            gid: "root".to_owned(),
            mode: mode(0o100_644),
            mtime: 1_700_000_000.0,
            nlink: 1,
            path: "/s/stdout".to_owned(),
            size: 3,
            uid: "root".to_owned(),
        };
        let golden = r#"{"gid":"root","mode":"-rw-r--r--","mtime":1700000000.0,"nlink":1,"path":"/s/stdout","size":3,"uid":"root"}"#;
        assert_eq!(serde_json::to_string(&info).expect("plain values"), golden);
    }
}
