//! `/files/browse`, `/files/read`, `/files/download`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use nix::unistd::{Gid, Group, Uid, User};
use rustix::fs::{AtFlags, Dir, Stat, fstat, statat};
use tokio::io::AsyncReadExt;
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;
use wire::agent_api::files::{Content, FileInfo, Part, READ_BYTES_MAX, mode};

use super::Api;
use super::answer::{Asked, refuse};
use super::attached::{LOG, Miss, Place, place};
use crate::guests::Refusal;

/// What READ_FILE gives at most, however much is asked for.
const PART_BYTES_MAX: usize = 4 << 20;
const NO_LOG: &str = "The log is in no file: it goes where `dcos up` was started, to a terminal or the journal. Start it \
                      with `2>> FILE`, or StandardError=append:FILE in its unit, and it is shown here.\n";
/// One listing shows no more.
const ENTRIES_MAX: usize = 100_000;

pub(super) async fn browse(api: &Api, asked: &Asked) -> Response {
    let listed = on_disk(api, asked, |file, path| {
        if !is_directory(&file)? {
            return Err(Fault::bad("Cannot browse a file; read or download it.\n"));
        }
        Ok(list(&file, path)?)
    });
    match listed.await {
        Ok(entries) => asked.json(&entries),
        Err(fault) => fault.into_response(),
    }
}

pub(super) async fn read(api: &Api, asked: &Asked) -> Response {
    let part = match part_of(asked) {
        Ok(part) => part,
        Err(fault) => return fault.into_response(),
    };
    let content = on_disk(api, asked, move |file, _| {
        if is_directory(&file)? {
            return Err(Fault::bad("Cannot read a directory.\n"));
        }
        Ok(self::content(part, &file)?)
    });
    match content.await {
        Ok(content) => asked.json(&content),
        Err(fault) => fault.into_response(),
    }
}

pub(super) async fn download(api: &Api, asked: &Asked) -> Response {
    let opened = on_disk(api, asked, |file, path| {
        if is_directory(&file)? {
            return Err(Fault::bad("Cannot download a directory.\n"));
        }
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or("file").to_owned();
        Ok((file.metadata()?.len(), file, name))
    });
    let (length, file, name) = match opened.await {
        Ok(opened) => opened,
        Err(fault) => return fault.into_response(),
    };
    // It may grow while it is sent: what was promised is sent.
    let bytes = ReaderStream::new(tokio::fs::File::from_std(file).take(length));
    let name: String =
        name.chars().map(|c| if c.is_ascii_graphic() && c != '"' { c } else { '_' }).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename={name}")),
    ];
    (headers, Body::from_stream(bytes)).into_response()
}

/// An entry as LIST_FILES tells it.
pub(super) struct Described {
    pub(super) info: FileInfo,
    pub(super) mode: u32,
    pub(super) modified_secs: i64,
}

/// What is in a directory.
pub(super) async fn listed(api: &Api, path: String) -> Result<Vec<Described>, Refusal> {
    let listed = at(api, path, |file, path| {
        if !is_directory(&file)? {
            return Err(Fault::bad("Cannot list a file; read it"));
        }
        Ok(entries(&file, path)?)
    });
    let entries = listed.await.map_err(Refusal::from)?;
    let described = entries.into_iter().map(|(path, about)| Described {
        mode: about.st_mode,
        modified_secs: about.st_mtime,
        info: describe(path, &about),
    });
    Ok(described.collect())
}

/// How long a file is, and a part of it.
pub(super) async fn part(
    api: &Api,
    path: String,
    offset: u64,
    length: Option<u64>,
) -> Result<(u64, Vec<u8>), Refusal> {
    let most = length.map_or(READ_BYTES_MAX, |length| {
        usize::try_from(length).map_or(PART_BYTES_MAX, |length| length.min(PART_BYTES_MAX))
    });
    let read = at(api, path, move |file, _| {
        if is_directory(&file)? {
            return Err(Fault::bad("Cannot read a directory"));
        }
        let size = u64::try_from(fstat(&file).map_err(io::Error::from)?.st_size).unwrap_or(0);
        Ok((size, bytes_at(&file, offset, most)?))
    });
    read.await.map_err(Refusal::from)
}

/// Why there is no answer.
pub(super) struct Fault(StatusCode, String);

impl Fault {
    pub(super) fn bad(cause: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, cause.into())
    }

    pub(super) fn busy(cause: impl Into<String>) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, cause.into())
    }

    pub(super) fn into_response(self) -> Response {
        refuse(self.0, &self.1)
    }
}

impl From<Fault> for Refusal {
    fn from(Fault(status, cause): Fault) -> Self {
        let cause = cause.trim_end().trim_end_matches('.').to_owned();
        match status {
            StatusCode::NOT_FOUND => Refusal::Missing(cause),
            StatusCode::BAD_REQUEST => Refusal::Bad(cause),
            _ => Refusal::Mishap(cause),
        }
    }
}

impl From<Miss> for Fault {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::NotFound(cause) => Self(StatusCode::NOT_FOUND, cause),
            Miss::Outside(cause) | Miss::Special(cause) => Self(StatusCode::BAD_REQUEST, cause),
            Miss::Mishap(cause) => Self(StatusCode::INTERNAL_SERVER_ERROR, cause),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(cause: io::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("The disk does not answer: {cause}.\n"))
    }
}

/// Opens what was asked for and works on it where it may take its time.
async fn on_disk<T: Send + 'static>(
    api: &Api,
    asked: &Asked,
    work: impl FnOnce(File, &str) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    at(api, path_of(asked)?, work).await
}

fn path_of(asked: &Asked) -> Result<String, Fault> {
    let path = asked.get("path");
    path.map(str::to_owned).ok_or_else(|| Fault::bad("Expecting 'path=value' in query.\n"))
}

/// Where that is which was asked for.
pub(super) fn place_of(api: &Api, asked: &Asked) -> Result<Place, Fault> {
    find(api, &path_of(asked)?)
}

fn find(api: &Api, path: &str) -> Result<Place, Fault> {
    let view = api.0.board.view();
    let own = view.own.as_ref().and_then(|own| own.agent.as_ref()).map(|agent| agent.as_str());
    let unknown = || Fault(StatusCode::NOT_FOUND, format!("No sandbox is at {path:?}.\n"));
    if path.trim_end_matches('/') == LOG {
        let none = || Fault(StatusCode::NOT_FOUND, NO_LOG.to_owned());
        return api.0.levels.file().map(Place::file).ok_or_else(none);
    }
    place(&api.0.dir, own, path).ok_or_else(unknown)
}

async fn at<T: Send + 'static>(
    api: &Api,
    path: String,
    work: impl FnOnce(File, &str) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let place = find(api, &path)?;
    let done = spawn_blocking(move || work(place.open()?, &path)).await;
    done.unwrap_or_else(|cause| Err(io::Error::other(cause).into()))
}

fn is_directory(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.is_dir())
}

/// Sorted by name. What vanishes meanwhile is not shown.
fn list(directory: &File, path: &str) -> io::Result<Vec<FileInfo>> {
    let entries = entries(directory, path)?;
    Ok(entries.into_iter().map(|(path, about)| describe(path, &about)).collect())
}

fn entries(directory: &File, path: &str) -> io::Result<Vec<(String, Stat)>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(directory)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let name = entry.file_name();
        if [&b"."[..], b".."].contains(&name.to_bytes()) {
            continue;
        }
        if let Ok(about) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            let path = format!("{}/{}", path.trim_end_matches('/'), name.to_string_lossy());
            entries.push((path, about));
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far from a float's limit")]
fn describe(path: String, about: &Stat) -> FileInfo {
    let user = User::from_uid(Uid::from_raw(about.st_uid)).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(about.st_gid)).ok().flatten();
    FileInfo {
        gid: group.map_or_else(|| about.st_gid.to_string(), |group| group.name),
        mode: mode(about.st_mode),
        mtime: about.st_mtime as f64,
        nlink: about.st_nlink,
        path,
        size: u64::try_from(about.st_size).unwrap_or(0),
        uid: user.map_or_else(|| about.st_uid.to_string(), |user| user.name),
    }
}

/// `offset` and `length`.
fn part_of(asked: &Asked) -> Result<Part, Fault> {
    Part::asked(asked.get("offset"), asked.get("length")).map_err(Fault::bad)
}

fn content(part: Part, file: &File) -> io::Result<Content> {
    let size = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
    part.of(size, |offset, length| bytes_at(file, offset, length))
}

/// As many as there are, up to so many.
fn bytes_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset.saturating_add(filled as u64))? {
            0 => break,
            more => filled += more,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn part(query: &str) -> Result<Part, String> {
        let uri = format!("/files/read?{query}").parse().expect("a uri");
        let asked = Asked::read(&uri).expect("readable");
        part_of(&asked).map_err(|fault| fault.1)
    }

    #[test]
    fn offset_and_length_say_which_part() {
        let from = |offset, length| Ok(Part::From { offset, length });
        assert_eq!(part("path=x"), Ok(Part::Size));
        assert_eq!(part("offset=-1&length=5"), Ok(Part::Size));
        assert_eq!(part("offset=3"), from(3, READ_BYTES_MAX));
        assert_eq!(part("offset=3&length=-1"), from(3, READ_BYTES_MAX));
        assert_eq!(part("offset=3&length=5"), from(3, 5));
        assert_eq!(part("offset=0&length=999999999"), from(0, READ_BYTES_MAX));
        assert_eq!(part("offset=-2"), Err("Negative offset provided: -2.\n".to_owned()));
        let cause = part("offset=0&length=x").expect_err("no number");
        assert!(cause.starts_with("Failed to parse length"), "{cause}");
    }

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let text = "häßlich €uro ".repeat(50);
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        for length in [5, 6, 7, 64, 10_000] {
            let mut read = String::new();
            loop {
                let offset = read.len() as u64;
                let page = content(Part::From { offset, length }, &file).expect("readable");
                if page.data.is_empty() {
                    break;
                }
                read.push_str(&page.data);
            }
            assert_eq!(read, text, "{length}");
        }
        let size = content(Part::Size, &file).expect("readable");
        assert_eq!(size, Content { data: String::new(), offset: text.len() as u64 });
        let beyond = content(Part::From { offset: 1 << 40, length: 10 }, &file).expect("readable");
        assert_eq!(beyond.data, "");
    }

    #[test]
    fn what_is_no_text_is_shown_all_the_same() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[0xff; 10]).expect("written");
        let page = content(Part::From { offset: 0, length: 4 }, &file).expect("readable");
        assert_eq!(page.data.chars().count(), 4);
    }

    #[test]
    fn a_listing_has_the_words_of_ls() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("stdout"), "abc").expect("written");
        fs::create_dir(dir.path().join("data")).expect("made");
        let file = File::open(dir.path()).expect("opened");
        let entries = list(&file, "/s/").expect("listed");
        let shown: Vec<_> =
            entries.iter().map(|one| format!("{} {} {}", one.mode, one.path, one.uid)).collect();
        assert_eq!(shown, ["drwxr-xr-x /s/data root", "-rw-r--r-- /s/stdout root"]);
        assert_eq!(entries[1].size, 3);
    }
}
