//! What only a store on a disk has to bear: kill -9, a second process, a later release, a full disk.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use model::turn::Write;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use store::{Embedded, FORMAT, Store, StoreError, dump};
use tempfile::TempDir;

/// Set for the child that commits until it is killed: the directory of its store.
const CHILD_DIR: &str = "STORE_TEST_CHILD_DIR";

/// A child process that does not outlive its test.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        // It may be dead already, which is what was wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This very test binary, told to run [`child`].
fn writer(dir: &Path) -> Writer {
    let test = std::env::current_exe().expect("the path of this test");
    let child = Command::new(test)
        .args(["--exact", "the_child_commits_until_it_is_killed", "--nocapture"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    Writer(child.expect("starting a child"))
}

/// The numbers that the child has acknowledged, up to `count` of them.
fn acknowledged(writer: &mut Writer, count: u64) -> u64 {
    let lines = BufReader::new(writer.0.stdout.take().expect("piped")).lines();
    let numbers =
        lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("ack ")?.parse().ok());
    numbers.take_while(|number| *number <= count).last().expect("the child commits")
}

#[test]
fn nobody_else_may_read_the_state() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("state.redb");
    for _ in ["a new file", "an old one that others may read"] {
        drop(Embedded::open(dir.path()).expect("opened"));
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("opened to all");
    }
}

/// Only in the child: commits numbers, ten keys each, and tells each number once it is durable.
#[test]
fn the_child_commits_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let mut store = Embedded::open(Path::new(&dir)).expect("a store of our own");
    let term = store.lead().expect("lead");
    for number in 1_u64.. {
        let writes: Vec<Write> =
            (0..10).map(|nth| (vec![nth], Some(number.to_be_bytes().to_vec()))).collect();
        store.commit(term, &writes).expect("commit");
        let mut out = std::io::stdout().lock();
        // The reader is gone when it has seen enough; the kill is on its way.
        let _ = writeln!(out, "ack {number}").and_then(|()| out.flush());
    }
}

#[test]
fn everything_acknowledged_survives_kill_9_and_no_batch_is_torn() {
    let dir = TempDir::new().expect("a temporary directory");
    for count in [1, 20, 50] {
        let mut writer = writer(dir.path());
        let last = acknowledged(&mut writer, count);
        drop(writer);
        let mut values = Vec::new();
        let mut store = Embedded::open(dir.path()).expect("opening after a kill");
        let read = store.load(&mut |_, value| {
            values.push(u64::from_be_bytes(value.try_into().expect("eight bytes")));
            Ok(())
        });
        read.expect("reading after a kill");
        assert_eq!(values.len(), 10);
        assert!(
            values.iter().all(|value| *value == values[0] && *value >= last),
            "{last}: {values:?}"
        );
    }
}

#[test]
fn a_store_in_use_is_refused_by_its_path() {
    let dir = TempDir::new().expect("a temporary directory");
    let _first = Embedded::open(dir.path()).expect("a store of our own");
    let second = Embedded::open(dir.path()).expect_err("it is in use");
    assert!(
        matches!(&second, StoreError::Locked { path } if path.starts_with(dir.path())),
        "{second:?}"
    );
    assert!(second.to_string().contains("in use by another dcos process"), "{second}");
}

#[test]
fn a_damaged_store_is_refused_by_its_path() {
    const DAMAGE_BYTES: usize = 9_000;
    for at in [0, 4_096] {
        let dir = TempDir::new().expect("a temporary directory");
        let mut store = Embedded::open(dir.path()).expect("a store of our own");
        let term = store.lead().expect("the lead");
        let writes = [(b"key".to_vec(), Some(vec![7; DAMAGE_BYTES]))];
        store.commit(term, &writes).expect("committed");
        drop(store);
        let path = dir.path().join("state.redb");
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[at..at + DAMAGE_BYTES].iter_mut().for_each(|byte| *byte ^= 0xa5);
        std::fs::write(&path, bytes).expect("written");
        let refused =
            Embedded::open(dir.path()).and_then(|mut store| store.load(&mut |_, _| Ok(())));
        let refused = refused.expect_err("it is not what was written");
        assert!(matches!(&refused, StoreError::Damaged { .. }), "at {at}: {refused:?}");
        assert!(refused.to_string().contains("state.redb is damaged"), "{refused}");
    }
}

#[test]
fn data_of_a_later_format_is_refused_and_left_alone() {
    let dir = TempDir::new().expect("a temporary directory");
    let later = (FORMAT + 1).to_be_bytes();
    let mut store = Embedded::open(dir.path()).expect("a store of our own");
    store.set_meta("format", &later).expect("meta");
    store.set_meta("release", b"7.8.9").expect("meta");
    drop(store);
    for _ in 0..2 {
        let refused = Embedded::open(dir.path()).expect_err("a later format").to_string();
        assert!(
            refused.contains("7.8.9") && refused.contains(env!("CARGO_PKG_VERSION")),
            "{refused}"
        );
    }
}

#[test]
fn a_file_that_is_no_store_is_refused_by_its_path() {
    let dir = TempDir::new().expect("a temporary directory");
    fs::write(dir.path().join("state.redb"), "x".repeat(10_000)).expect("a file");
    let refused = Embedded::open(dir.path()).expect_err("no store");
    assert!(format!("{refused:#}").contains("state.redb"), "{refused:#}");
}

#[test]
fn a_dump_shows_every_record_even_one_that_cannot_be_described() {
    let dir = TempDir::new().expect("a temporary directory");
    let mut store = Embedded::open(dir.path()).expect("a store of our own");
    let term = store.lead().expect("lead");
    let writes = [(b"a".to_vec(), Some(vec![7])), (b"b".to_vec(), Some(vec![255]))];
    store.commit(term, &writes).expect("commit");
    let describe = |key: &[u8], value: &[u8]| {
        anyhow::ensure!(value[0] < 100, "too large");
        Ok(serde_json::json!({ "key": String::from_utf8_lossy(key), "value": value[0] }))
    };
    let mut lines = Vec::new();
    dump(&mut store, describe, &mut lines).expect("dump");
    let expected = concat!(
        r#"{"key":"a","value":7}"#,
        "\n",
        r#"{"key":"62","unreadable":"too large","value":"ff"}"#,
        "\n"
    );
    assert_eq!(String::from_utf8_lossy(&lines), expected);
}

/// Runs `work` on a thread with a small disk of its own at `dir`; both go with the thread.
fn on_a_small_disk(dir: &Path, work: impl FnOnce() + Send) {
    let thread = move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace of this thread (as root)");
        let (none, private) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
        mount(none, "/", none, private, none).expect("mounts that nobody else sees");
        mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some("size=64m"))
            .expect("a tmpfs");
        work();
    };
    std::thread::scope(|scope| scope.spawn(thread).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn a_full_disk_is_told_apart_and_nothing_acknowledged_is_lost() {
    let dir = TempDir::new().expect("a temporary directory");
    on_a_small_disk(dir.path(), || {
        let filler = dir.path().join("filler");
        fs::write(&filler, vec![1; 40 << 20]).expect("room for the filler");
        let mut store = Embedded::open(&dir.path().join("store")).expect("a store of our own");
        let term = store.lead().expect("lead");
        let batch = |number: u32| [(number.to_be_bytes().to_vec(), Some(vec![7; 1 << 19]))];
        let failed =
            (0..).find_map(|number| Some((number, store.commit(term, &batch(number)).err()?)));
        let (count, cause) = failed.expect("a small disk gets full");
        assert!(matches!(cause, StoreError::NoSpace), "{cause:?}");
        let full = store.probe();
        assert!(matches!(full, Err(StoreError::NoSpace)), "{full:?}");

        let mut keys = Vec::new();
        let read = store.load(&mut |key, _| {
            keys.push(u32::from_be_bytes(key.try_into().expect("four bytes")));
            Ok(())
        });
        read.expect("a full disk can be read");
        assert!(keys.iter().copied().take(count as usize).eq(0..count), "{count}: {keys:?}");

        fs::remove_file(&filler).expect("the filler");
        store.probe().expect("there is room again");
        store.commit(term, &batch(count)).expect("commit");
    });
}
