//! `/files/follow`: what a file has from some place on, and then whatever is added to it, for as long as somebody reads.
//!
//! Ours, not Mesos': with `/files/read` alone everyone who looks on has to ask again and again. The bytes are sent as they are. A
//! file that is rotated is read to its end and followed by the new one of its name; one that is cut is read anew.
//! The stream ends with the sandbox.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Api;
use super::answer::Asked;
use super::attached::{Miss, Place};
use super::changes::{Changes, Watched};
use super::files::{Fault, place_of};

/// Each has two descriptors of ours.
const FOLLOWERS_MAX: usize = 10_000;
const PIECE_BYTES_MAX: usize = 16 * 1024;
/// So far back the last lines are looked for.
const TAIL_BYTES_MAX: u64 = 16 << 20;
/// A file that was moved has no successor yet, and none of its directory's changes are known: look again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Those who follow a file of this agent.
#[derive(Debug)]
pub(super) struct Followers {
    changes: OnceCell<Changes>,
    room: Arc<Semaphore>,
}

impl Default for Followers {
    fn default() -> Self {
        Self { changes: OnceCell::new(), room: Arc::new(Semaphore::new(FOLLOWERS_MAX)) }
    }
}

pub(super) async fn follow(api: &Api, asked: &Asked) -> Response {
    match begin(api, asked).await {
        Ok(follower) => {
            let pieces = stream::try_unfold(follower, async |mut follower| {
                io::Result::Ok(follower.next().await?.map(|piece| (piece, follower)))
            });
            let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
            (kind, Body::from_stream(pieces)).into_response()
        }
        Err(fault) => fault.into_response(),
    }
}

async fn begin(api: &Api, asked: &Asked) -> Result<Follower, Fault> {
    let from = From::asked(asked)?;
    let place = place_of(api, asked)?;
    let followers = &api.0.followers;
    let full = |_| Fault::busy(format!("{FOLLOWERS_MAX} follow files of this agent already.\n"));
    let room = followers.room.clone().try_acquire_owned().map_err(full)?;
    let changes = followers.changes.get_or_try_init(async || Changes::new()).await;
    let changes = changes.map_err(|cause| limited("fs.inotify.max_user_instances", &cause))?;
    let opened = place.clone();
    let opening = spawn_blocking(move || {
        let file = opened.open()?;
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(Fault::bad("Cannot follow a directory.\n"));
        }
        let offset = match from {
            From::Offset(offset) => offset,
            From::End => about.len(),
            From::Lines(count) => last_lines(&file, about.len(), count)?,
        };
        Ok((file, offset))
    });
    let (file, offset) = opening.await.map_err(io::Error::other)??;
    let watched = changes.of(&file);
    let watched = watched.map_err(|cause| limited("fs.inotify.max_user_watches", &cause))?;
    Ok(Follower { place, file: Arc::new(file), offset, watched, moves: None, _room: room })
}

fn limited(limit: &str, cause: &io::Error) -> Fault {
    Fault::busy(format!(
        "The agent cannot watch files: {cause}. Its machine may need a higher {limit}.\n"
    ))
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Offset(u64),
    End,
    /// So many before the end.
    Lines(usize),
}

impl From {
    fn asked(asked: &Asked) -> Result<Self, Fault> {
        let number = |name: &str| -> Result<Option<u64>, Fault> {
            let number = asked.get(name).map(str::parse).transpose();
            number.map_err(|_| Fault::bad(format!("{name} is a whole number from 0 on.\n")))
        };
        match (number("offset")?, number("lines")?) {
            (Some(_), Some(_)) => Err(Fault::bad("Say offset or lines, not both.\n")),
            (Some(offset), None) => Ok(Self::Offset(offset)),
            (None, Some(lines)) => Ok(Self::Lines(usize::try_from(lines).unwrap_or(usize::MAX))),
            (None, None) => Ok(Self::End),
        }
    }
}

/// Where the last lines before `end` begin. Blocks.
fn last_lines(file: &File, end: u64, count: usize) -> io::Result<u64> {
    let least = end.saturating_sub(TAIL_BYTES_MAX);
    let mut piece = vec![0; PIECE_BYTES_MAX];
    // What ends the last line does not begin another.
    let (mut at, mut breaks) = (end.saturating_sub(1), 0);
    if count == 0 {
        return Ok(end);
    }
    while at > least {
        let length = usize::try_from(at - least).unwrap_or(usize::MAX).min(PIECE_BYTES_MAX);
        let start = at - length as u64;
        file.read_exact_at(&mut piece[..length], start)?;
        for place in (0..length).rev().filter(|place| piece[*place] == b'\n') {
            breaks += 1;
            if breaks == count {
                return Ok(start + place as u64 + 1);
            }
        }
        at = start;
    }
    Ok(least)
}

#[derive(Debug)]
struct Follower {
    place: Place,
    file: Arc<File>,
    offset: u64,
    watched: Watched,
    /// Moves of the file after which it still had its name. Not known at first: it may have moved before it was watched.
    moves: Option<u64>,
    _room: OwnedSemaphorePermit,
}

/// Who bears the name of the file that was followed.
enum Bearer {
    Same,
    Other(File),
    Nobody,
    /// Nobody ever will.
    Gone,
}

impl Follower {
    /// Nothing: the sandbox is gone.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            // Before it is read: what is written meanwhile is then news, and read in the next round.
            let happened = self.watched.so_far();
            let bytes = read(&self.file, self.offset).await?;
            if !bytes.is_empty() {
                self.offset += bytes.len() as u64;
                return Ok(Some(bytes));
            }
            if self.file.metadata()?.len() < self.offset {
                self.offset = 0;
                continue;
            }
            if self.moves == Some(happened.moves) {
                if !self.watched.more().await {
                    return Err(io::Error::other("the agent has no more word of files"));
                }
                continue;
            }
            match self.bearer().await? {
                Bearer::Same => self.moves = Some(happened.moves),
                Bearer::Other(file) => {
                    self.watched = self.watched.instead(&file)?;
                    (self.file, self.offset, self.moves) = (Arc::new(file), 0, None);
                }
                // Whether the time is over or something has happened, it is looked up again.
                Bearer::Nobody => drop(timeout(LOOK_AGAIN, self.watched.more()).await),
                Bearer::Gone => return Ok(None),
            }
        }
    }

    async fn bearer(&self) -> io::Result<Bearer> {
        let (place, file) = (self.place.clone(), self.file.clone());
        let looked = spawn_blocking(move || {
            let identity = |file: &File| file.metadata().map(|about| (about.dev(), about.ino()));
            match place.open() {
                Ok(found) if identity(&found)? == identity(&file)? => Ok(Bearer::Same),
                Ok(found) if found.metadata()?.is_file() => Ok(Bearer::Other(found)),
                Ok(_) | Err(Miss::Outside(_) | Miss::Special(_)) => Ok(Bearer::Nobody),
                Err(Miss::NotFound(_)) if place.has_sandbox() => Ok(Bearer::Nobody),
                Err(Miss::NotFound(_)) => Ok(Bearer::Gone),
                Err(Miss::Mishap(cause)) => Err(io::Error::other(cause)),
            }
        });
        looked.await.map_err(io::Error::other)?
    }
}

/// What is there; nothing at the end. What is in memory is read at once, as what was just written is; what is not must not
/// hold up others.
async fn read(file: &Arc<File>, offset: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; PIECE_BYTES_MAX];
    let at_once = preadv2(file, &mut [IoSliceMut::new(&mut piece)], offset, ReadWriteFlags::NOWAIT);
    let length = match at_once {
        Ok(length) => length,
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => {
            let file = file.clone();
            let read = spawn_blocking(move || {
                let length = file.read_at(&mut piece, offset)?;
                piece.truncate(length);
                io::Result::Ok(Bytes::from(piece))
            });
            return read.await.map_err(io::Error::other)?;
        }
        Err(cause) => return Err(cause.into()),
    };
    piece.truncate(length);
    // Most are a line or two, and may wait for their reader: not in the room of a whole piece.
    piece.shrink_to_fit();
    Ok(Bytes::from(piece))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;

    use super::super::attached::place;
    use super::*;

    const RUN: &str = "slaves/S0/frameworks/f/executors/t/runs/c";

    struct Scene {
        dir: tempfile::TempDir,
        changes: Changes,
    }

    impl Scene {
        fn new(text: &str) -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            fs::create_dir_all(dir.path().join(RUN)).expect("made");
            let scene = Self { dir, changes: Changes::new().expect("a queue") };
            scene.append("stdout", text);
            scene
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.dir.path().join(RUN).join(name)
        }

        fn append(&self, name: &str, text: &str) {
            let mut open = File::options();
            let mut file = open.append(true).create(true).open(self.path(name)).expect("opened");
            file.write_all(text.as_bytes()).expect("written");
        }

        fn follower(&self, offset: u64) -> Follower {
            let path = Path::new("/").join(RUN).join("stdout");
            let place =
                place(self.dir.path(), None, path.to_str().expect("text")).expect("a place");
            let file = place.open().expect("there");
            let room = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("room");
            let watched = self.changes.of(&file).expect("watched");
            Follower { place, file: Arc::new(file), offset, watched, moves: None, _room: room }
        }
    }

    async fn told(follower: &mut Follower, text: &str) {
        let mut read = Vec::new();
        while read.len() < text.len() {
            read.extend(follower.next().await.expect("readable").expect("more"));
        }
        assert_eq!(String::from_utf8_lossy(&read), text);
    }

    #[tokio::test]
    async fn what_is_added_is_told_to_all() {
        let scene = Scene::new("a\n");
        let (mut early, mut late) = (scene.follower(0), scene.follower(2));
        told(&mut early, "a\n").await;
        scene.append("stdout", "b\n");
        told(&mut early, "b\n").await;
        told(&mut late, "b\n").await;
        let long = "x".repeat(3 * PIECE_BYTES_MAX);
        scene.append("stdout", &long);
        told(&mut early, &long).await;
    }

    #[tokio::test]
    async fn a_rotated_file_is_read_to_its_end_and_then_the_new_one() {
        let scene = Scene::new("a\n");
        let mut follower = scene.follower(0);
        told(&mut follower, "a\n").await;
        scene.append("stdout", "b\n");
        fs::rename(scene.path("stdout"), scene.path("stdout.1")).expect("renamed");
        told(&mut follower, "b\n").await;
        let (told_later, ()) = tokio::join!(follower.next(), async {
            scene.append("stdout", "c\n");
        });
        assert_eq!(told_later.expect("readable").expect("more"), "c\n");
    }

    #[tokio::test]
    async fn a_file_that_is_cut_is_read_anew() {
        let scene = Scene::new("abc\n");
        let mut follower = scene.follower(4);
        File::create(scene.path("stdout")).expect("cut");
        let (told, ()) = tokio::join!(follower.next(), async {
            scene.append("stdout", "d\n");
        });
        assert_eq!(told.expect("readable").expect("more"), "d\n");
    }

    #[tokio::test]
    async fn the_end_of_the_sandbox_is_the_end() {
        let scene = Scene::new("a\n");
        let mut follower = scene.follower(2);
        let (told, ()) = tokio::join!(follower.next(), async {
            fs::remove_dir_all(scene.dir.path().join(RUN)).expect("removed");
        });
        assert_eq!(told.expect("no mishap"), None);
    }

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let check = |text: &str, count: usize, rest: &str| {
            let path = dir.path().join("file");
            fs::write(&path, text).expect("written");
            let file = File::open(path).expect("there");
            let start = last_lines(&file, text.len() as u64, count).expect("readable");
            assert_eq!(&text[usize::try_from(start).expect("short")..], rest);
        };
        check("a\nb\nc\n", 2, "b\nc\n");
        check("a\nb\nc", 2, "b\nc");
        check("a\nb\n", 5, "a\nb\n");
        check("a\n\n\n", 2, "\n\n");
        check("a\nb\n", 0, "");
        check("", 3, "");
        let long = format!("{}\nend\n", "x".repeat(5 * PIECE_BYTES_MAX));
        check(&long, 1, "end\n");
        check(&long, 2, &long);
    }
}
