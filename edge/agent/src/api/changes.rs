//! Word of what happens to files, for any number of those who wait for it, out of one queue of the kernel's.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use inotify::{EventMask, EventStream, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Some hundred words at a time.
const WORDS_BYTES: usize = 8 * 1024;

/// To a file, since somebody has waited for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Happened {
    /// Times it was written or cut, or several of them in one.
    pub(super) writes: u64,
    /// Times its name became another or went, or its rights changed: who bears the name now has to be looked up.
    pub(super) moves: u64,
}

#[derive(Debug)]
pub(super) struct Changes {
    shared: Shared,
    _reader: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Files>>);

#[derive(Debug)]
struct Files {
    queue: Watches,
    watched: HashMap<WatchDescriptor, Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    happened: watch::Sender<Happened>,
    waiting: usize,
}

impl Changes {
    /// Fails where the user has as many queues as the kernel grants (`fs.inotify.max_user_instances`).
    pub(super) fn new() -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let files = Files { queue: inotify.watches(), watched: HashMap::new() };
        let shared = Shared(Arc::new(Mutex::new(files)));
        let words = inotify.into_event_stream(vec![0; WORDS_BYTES])?;
        let reader = AbortOnDropHandle::new(tokio::spawn(shared.clone().read(words)));
        Ok(Self { shared, _reader: reader })
    }

    /// Fails where the user watches as many files as the kernel grants (`fs.inotify.max_user_watches`).
    pub(super) fn of(&self, file: &File) -> io::Result<Watched> {
        self.shared.watch(file)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, file: &File) -> io::Result<Watched> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let mask =
            WatchMask::MODIFY | WatchMask::MOVE_SELF | WatchMask::DELETE_SELF | WatchMask::ATTRIB;
        // Locked before: who stops waiting now must not take away what is found here.
        let mut files = self.lock();
        let descriptor = files.queue.add(path, mask)?;
        let watch = files.watched.entry(descriptor.clone()).or_default();
        watch.waiting += 1;
        let happened = watch.happened.subscribe();
        Ok(Watched { shared: self.clone(), descriptor, happened })
    }

    async fn read(self, mut words: EventStream<Vec<u8>>) {
        while let Some(word) = words.next().await {
            match word {
                Ok(word) => self.lock().pass_on(&word.wd, word.mask),
                Err(cause) => {
                    tracing::error!(%cause, "no more word of files that change");
                    break;
                }
            }
        }
        // Whoever waits is told by the end of its channel.
        self.lock().watched.clear();
    }
}

impl Files {
    fn pass_on(&self, file: &WatchDescriptor, what: EventMask) {
        match what.contains(EventMask::Q_OVERFLOW) {
            // Words are lost, nobody knows whose.
            true => self.watched.values().for_each(|watch| watch.tell(what)),
            false => self.watched.get(file).into_iter().for_each(|watch| watch.tell(what)),
        }
    }
}

impl Watch {
    fn tell(&self, what: EventMask) {
        self.happened.send_modify(|happened| {
            happened.writes += 1;
            happened.moves += u64::from(what != EventMask::MODIFY);
        });
    }
}

/// One that waits for a file to change.
#[derive(Debug)]
pub(super) struct Watched {
    shared: Shared,
    descriptor: WatchDescriptor,
    happened: watch::Receiver<Happened>,
}

impl Watched {
    /// From now on only what happens later is news.
    pub(super) fn so_far(&mut self) -> Happened {
        *self.happened.borrow_and_update()
    }

    /// Waits for another file.
    pub(super) fn instead(&self, file: &File) -> io::Result<Self> {
        self.shared.watch(file)
    }

    /// `false`: there will be no more word.
    pub(super) async fn more(&mut self) -> bool {
        self.happened.changed().await.is_ok()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut files = self.shared.lock();
        let Some(watch) = files.watched.get_mut(&self.descriptor) else { return };
        watch.waiting -= 1;
        if watch.waiting == 0 {
            files.watched.remove(&self.descriptor);
            // It may be gone with its file.
            let _ = files.queue.remove(self.descriptor.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn all_who_wait_for_a_file_are_told_and_no_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let make = |name: &str| File::create(dir.path().join(name)).expect("made");
        let (mut one, other) = (make("one"), make("other"));
        let changes = Changes::new().expect("a queue");
        let watch = |file: &File| changes.of(file).expect("watched");
        let (mut first, mut second, mut apart) = (watch(&one), watch(&one), watch(&other));
        one.write_all(b"x").expect("written");
        assert!(first.more().await && second.more().await);
        assert_eq!(first.so_far(), Happened { writes: 1, moves: 0 });
        assert_eq!(apart.so_far(), Happened::default());
        drop(first);
        fs::rename(dir.path().join("one"), dir.path().join("two")).expect("renamed");
        second.so_far();
        assert!(second.more().await);
        assert_eq!(second.so_far().moves, 1);
        drop((second, apart));
        assert!(changes.shared.lock().watched.is_empty(), "nobody waits");
    }
}
