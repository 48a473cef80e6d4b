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
