//! What a task's `fetch` names is in its sandbox, and nothing is anywhere else.

#[path = "support/fake.rs"]
mod fake;
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::slice::from_ref;
use std::time::Duration;

use fake::{Fake, Fault};
use futures::future::join_all;
use images::{FetchError, FetchLimits, Fetcher, Locals, Recipient, Sources};
use model::container::Uri;
use support::Item::{Character, Dir, File, HardLink, Symlink};
use support::tar;

const IP: &str = "127.50.0.4";
const STALL_MS: u64 = 1000;
const OWNER: (u32, u32) = (1234, 1235);
const RECIPIENT: Recipient = Recipient { owner: Some(OWNER), reader: Some(OWNER), bytes_max: None };
const FILE_BYTES_MAX: u64 = 2 << 20;

struct Fixture {
    fake: Fake,
    fetcher: Fetcher,
    sandbox: PathBuf,
    dir: tempfile::TempDir,
}

impl Fixture {
    async fn new(cache_bytes_max: u64) -> Self {
        Self::with(cache_bytes_max, |_| Locals::default()).await
    }

    async fn with(cache_bytes_max: u64, locals: impl Fn(&Path) -> Locals) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let sandbox = dir.path().join("sandbox");
        fs::create_dir(&sandbox).expect("a directory");
        let stall_timeout = Duration::from_millis(STALL_MS);
        let limits = FetchLimits {
            cache_bytes_max,
            stall_timeout,
            file_bytes_max: FILE_BYTES_MAX,
            unpacked_bytes_max: 1 << 20,
        };
        let cache = dir.path().join("cache");
        let sources = Sources { locals: locals(dir.path()), ..Sources::default() };
        let fetcher = Fetcher::new(&cache, limits, sources).expect("a new cache");
        Self { fake: Fake::start(IP).await, fetcher, sandbox, dir }
    }

    fn uri(&self, path: &str) -> Uri {
        let value = format!("http://{}{path}", self.fake.address);
        Uri { value, extract: true, executable: false, cache: false, output_file: None }
    }

    async fn fetch(&self, uri: &Uri) -> Result<(), FetchError> {
        self.fetch_for(from_ref(uri), RECIPIENT).await
    }

    async fn fetch_for(&self, uris: &[Uri], recipient: Recipient) -> Result<(), FetchError> {
        let held = || fs::read_dir(self.dir.path().join("cache")).expect("the cache").count();
        let before = held();
        let fetched = self.fetcher.fetch(uris, &self.sandbox, recipient).await;
        let is_cached = uris.iter().any(|uri| uri.cache);
        assert!(is_cached || held() == before, "nothing stays of what is not cached");
        fetched
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.sandbox.join(path)).expect(path)
    }

    fn mode(&self, path: &str) -> u32 {
        let found = fs::symlink_metadata(self.sandbox.join(path)).expect(path);
        assert_eq!((found.uid(), found.gid()), OWNER, "{path} belongs to the task");
        found.mode() & 0o7777
    }

    fn sandbox_names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.sandbox).expect("the sandbox");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        names
    }

    /// The text names the URI and the cause.
    async fn fails(&self, uri: &Uri, cause: &str) -> FetchError {
        let failure = self.fetch(uri).await.expect_err(cause);
        let text = failure.to_string();
        assert!(text.contains(&uri.value) && text.contains(cause), "{cause} in {text}");
        failure
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).expect("memory can be written");
    gzip.finish().expect("memory can be written")
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(bytes).expect("memory can be written");
    bzip2.finish().expect("memory can be written")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(bytes).expect("memory can be written");
    xz.finish().expect("memory can be written")
}

/// Files by name, mode and contents; a mode of a link makes one.
fn zip(files: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, mode, contents) in files {
        let options = zip::write::SimpleFileOptions::default();
        if mode & 0o170_000 == 0o120_000 {
            zip.add_symlink(*name, *contents, options).expect("memory can be written");
        } else {
            zip.start_file(*name, options.unix_permissions(*mode)).expect("memory can be written");
            zip.write_all(contents.as_bytes()).expect("memory can be written");
        }
    }
    zip.finish().expect("memory can be written").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_unpacked_by_the_end_of_its_name() {
    let fixture = Fixture::new(1 << 20).await;
    let tar =
        tar(&[Dir("bin/", 0o755), File("bin/run", 0o4750, b"run"), Symlink("link", "bin/run")]);
    let cases = [
        ("a.tar", tar.clone()),
        ("a.tar.gz", gzip(&tar)),
        ("a.tgz", gzip(&tar)),
        ("a.tar.bz2", bzip2(&tar)),
        ("a.tbz2", bzip2(&tar)),
        ("a.tar.xz", xz(&tar)),
        ("a.tar.zst", zstd::encode_all(&tar[..], 1).expect("memory can be read")),
        ("a.txz", xz(&tar)),
        ("a.zip", zip(&[("bin/run", 0o750, "run"), ("link", 0o120_777, "bin/run")])),
    ];
    for (name, archive) in cases {
        fixture.fake.file(&format!("/{name}"), "application/octet-stream", &archive);
        for cache in [false, true] {
            let uri = Uri { cache, ..fixture.uri(&format!("/{name}?version=1")) };
            fixture.fetch(&uri).await.expect(name);
            assert_eq!(
                (fixture.read("link").as_str(), fixture.mode("bin/run")),
                ("run", 0o750),
                "{name}"
            );
            assert_eq!((fixture.mode("bin"), fixture.mode("link")), (0o755, 0o777), "{name}");
            let expected: &[&str] = if cache { &["bin", "link"] } else { &[name, "bin", "link"] };
            assert_eq!(
                fixture.sandbox_names(),
                expected,
                "only what did not come through the cache stays"
            );
            for gone in fixture.sandbox_names() {
                let gone = fixture.sandbox.join(gone);
                let removed =
                    if gone.is_dir() { fs::remove_dir_all(&gone) } else { fs::remove_file(&gone) };
                removed.expect("the sandbox can be emptied");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_arrives_as_it_was_ordered() {
    let fixture = Fixture::new(1 << 20).await;
    fixture.fake.file("/a/tool", "text/plain", b"tool");
    fixture.fake.file("/a/tool.tar", "text/plain", b"not a tar archive at all");
    fixture.fake.file("/a/text.gz", "text/plain", &gzip(b"text"));
    let cases = [
        ("/a/tool", false, None, "tool", "tool", 0o644),
        ("/a/tool", true, None, "tool", "tool", 0o755),
        ("/a/tool", true, Some("opt/bin/other"), "opt/bin/other", "tool", 0o755),
        ("/a/tool.tar", true, None, "tool.tar", "not a tar archive at all", 0o755),
        ("/a/text.gz", false, None, "text", "text", 0o644),
        ("/a/text.gz", false, Some("opt/words.gz"), "words", "text", 0o644),
    ];
    for (path, executable, output_file, file, contents, mode) in cases {
        for cache in [false, true] {
            let output_file = output_file.map(Into::into);
            let uri = Uri { executable, cache, output_file, ..fixture.uri(path) };
            fixture.fetch(&uri).await.expect(path);
            assert_eq!(
                (fixture.read(file).as_str(), fixture.mode(file)),
                (contents, mode),
                "{path} as {file}"
            );
            fs::remove_file(fixture.sandbox.join(file)).expect(file);
        }
    }
    assert_eq!(fixture.mode("opt/bin"), 0o755);
    let plain = Uri { extract: false, ..fixture.uri("/a/tool.tar") };
    fixture.fetch(&plain).await.expect("what is not to be unpacked need not be an archive");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_this_machine_are_read_with_the_rights_of_the_task() {
    let fixture = Fixture::new(1 << 20).await;
    let file = fixture.dir.path().join("local.sh");
    fs::write(&file, "local").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("permissions");
    let path = file.to_str().expect("text");
    for value in [path.to_owned(), format!("file://{path}")] {
        let uri = Uri { value, ..fixture.uri("") };
        fixture.fetch(&uri).await.expect("a local file");
        assert_eq!((fixture.read("local.sh").as_str(), fixture.mode("local.sh")), ("local", 0o755));
    }
    assert_eq!(fs::read_to_string(&file).expect("it is still there"), "local");
    let local = |value: &str| Uri { value: value.into(), ..fixture.uri("") };
    fixture.fails(&local(&format!("{path}.not")), "No such file").await;
    fixture.fails(&local(fixture.dir.path().to_str().expect("text")), "not a regular file").await;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("permissions");
    for cache in [false, true] {
        fixture.fails(&Uri { cache, ..local(path) }, "Permission denied").await;
        let ours = fixture.fetch_for(&[Uri { cache, ..local(path) }], Recipient::default()).await;
        ours.expect("root may read it, and has lost nothing by the refusal");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_this_machine_are_those_that_the_operator_allows() {
    let fixture = Fixture::with(1 << 20, |dir| Locals::only(vec![dir.join("open")])).await;
    let at = |name: &str| fixture.dir.path().join(name);
    for name in ["open", "closed"] {
        fs::create_dir(at(name)).expect("made");
        fs::write(at(name).join("file"), name).expect("written");
    }
    std::os::unix::fs::symlink(at("closed/file"), at("open/link")).expect("a link");
    let local = |name: &str| Uri {
        value: format!("file://{}", at(name).display()),
        output_file: Some("got".to_owned()),
        ..fixture.uri("")
    };
    for cache in [false, true] {
        for name in ["closed/file", "open/link", "open/../closed/file", "closed/nothing/../file"] {
            let uri = Uri { cache, ..local(name) };
            let cause = if name.contains("nothing") { "No such file" } else { "(host_volumes)" };
            fixture.fails(&uri, cause).await;
            let ours = fixture.fetch_for(&[uri], Recipient::default()).await;
            ours.expect_err("nobody has more rights than the operator gives");
        }
        fixture.fetch(&Uri { cache, ..local("open/file") }).await.expect("it is allowed");
        assert_eq!(fixture.read("got"), "open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_fetched_than_there_may_be() {
    const KIB: usize = 1 << 10;
    let fixture = Fixture::new(16 << 20).await;
    let many: Vec<_> = (0..300).map(|n| format!("{n}/")).collect();
    let many: Vec<_> = many.iter().map(|name| Dir(name, 0o755)).collect();
    let large = "x".repeat((1 << 20) + 1);
    let files = [
        ("a", vec![1; 700 * KIB]),
        ("b", vec![1; 700 * KIB]),
        ("large", vec![1; (2 << 20) + 1]),
        ("d.gz", gzip(large.as_bytes())),
        ("e.zip", zip(&[("f", 0o644, &large)])),
        ("f.tgz", gzip(&tar(&[File("f", 0o644, large.as_bytes())]))),
        // Each takes a block of the disk.
        ("g.tgz", gzip(&tar(&many))),
        ("small.tgz", gzip(&tar(&[File("f", 0o644, &[1; 600 * KIB])]))),
    ];
    for (name, contents) in &files {
        fixture.fake.file(&format!("/{name}"), "text/plain", contents);
    }
    let uri = |name: &str| fixture.uri(&format!("/{name}"));
    for cache in [false, true] {
        for name in ["large", "d.gz", "e.zip", "f.tgz", "g.tgz"] {
            let failure = fixture.fails(&Uri { cache, ..uri(name) }, "fetcher.size_max_mib").await;
            assert!(matches!(failure, FetchError::TooLarge { .. }), "{failure}");
        }
        let check = async |names: &[&str], fits: bool| {
            let uris: Vec<_> = names.iter().map(|name| Uri { cache, ..uri(name) }).collect();
            let recipient = Recipient { bytes_max: Some(1 << 20), ..RECIPIENT };
            match fixture.fetch_for(&uris, recipient).await {
                Ok(()) => assert!(fits, "{names:?}"),
                Err(FetchError::NoRoom { uri }) => assert!(!fits, "{uri}"),
                Err(other) => panic!("{names:?}: {other}"),
            }
        };
        check(&["a"], true).await;
        check(&["a", "b"], false).await;
        check(&["small.tgz"], true).await;
        check(&["small.tgz", "a"], false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_its_uri_says_is_not_used() {
    const SUM: &str = "72014c6fb1cbe2eb1b67e7a3e9c1a4ea1ca48ed4b0ac5ae8ac9e0d5c6f9a0e1d";
    let fixture = Fixture::new(1 << 20).await;
    let archive = tar(&[File("inside", 0o644, b"x")]);
    fixture.fake.file("/a.tar", "application/x-tar", &archive);
    let right = {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(&archive))
    };
    for cache in [false, true] {
        let uri = Uri { cache, ..fixture.uri(&format!("/a.tar#sha256={SUM}")) };
        let failure = fixture.fails(&uri, &format!("sha256:{SUM}")).await;
        assert!(failure.to_string().contains(&right), "{failure}");
        assert!(fixture.sandbox_names().is_empty());
        let uri = Uri { cache, ..fixture.uri(&format!("/a.tar#sha256={right}")) };
        fixture.fetch(&uri).await.expect("it is what it should be");
        fs::remove_file(fixture.sandbox.join("inside")).expect("it was unpacked");
        let _ = fs::remove_file(fixture.sandbox.join("a.tar"));
    }
    let local = fixture.dir.path().join("local");
    fs::write(&local, &archive).expect("written");
    let value = |sum: &str| format!("file://{}#sha256={sum}", local.display());
    fixture.fails(&Uri { value: value(SUM), ..fixture.uri("") }, &right).await;
    fixture.fetch(&Uri { value: value(&right), ..fixture.uri("") }).await.expect("it is right");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_bring_the_same_file_the_later_one_stays() {
    let fixture = Fixture::new(1 << 20).await;
    let archive = |contents: &'static [u8]| gzip(&tar(&[File("same", 0o644, contents)]));
    for (name, contents) in [("a.tgz", &b"a"[..]), ("b.tgz", b"b"), ("c.tgz", b"c")] {
        fixture.fake.file(&format!("/{name}"), "application/x-tar", &archive(contents));
    }
    let uri = |name: &str| fixture.uri(&format!("/{name}"));
    for order in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "b"]] {
        let uris = order.map(|name| uri(&format!("{name}.tgz")));
        fixture.fetch_for(&uris, RECIPIENT).await.expect("all are there");
        assert_eq!(fixture.read("same"), order[2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_from_a_stranger_stays_in_the_sandbox() {
    let fixture = Fixture::new(1 << 20).await;
    let outside = fixture.dir.path().join("outside");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("canary"), "untouched").expect("a file");
    let outside_text = outside.to_str().expect("text");
    let canary = format!("{outside_text}/canary");
    let refused = [
        ("a.tar", tar(&[File("../evil", 0o644, b"evil")]), "leads out"),
        (
            "b.tar",
            tar(&[Symlink("l", outside_text), File("l/evil", 0o644, b"evil")]),
            "goes through",
        ),
        ("c.tar", tar(&[HardLink("h", &canary)]), "is not in the archive"),
        ("d.tar", tar(&[Character("null", 1, 3)]), "is a device"),
        ("e.zip", zip(&[("../evil", 0o644, "evil")]), "leads out"),
        (
            "f.zip",
            zip(&[("l", 0o120_777, outside_text), ("l/evil", 0o644, "evil")]),
            "goes through",
        ),
        ("g.tgz", gzip(&tar(&[File("a/../../evil", 0o644, b"evil")])), "leads out"),
    ];
    for (name, archive, cause) in refused {
        fixture.fake.file(&format!("/{name}"), "application/x-tar", &archive);
        let failure = fixture.fails(&fixture.uri(&format!("/{name}")), cause).await;
        assert!(matches!(failure, FetchError::Unsafe { .. }), "{failure}");
    }
    let broken = [
        ("a.zip", b"no zip".to_vec(), "not a good zip archive"),
        ("b.tar.gz", b"no gzip".to_vec(), "the archive is damaged"),
        ("c.tar", vec![b'x'; 4096], "not a tar archive"),
    ];
    for (name, archive, cause) in broken {
        fixture.fake.file(&format!("/{name}"), "application/x-tar", &archive);
        let failure = fixture.fails(&fixture.uri(&format!("/{name}")), cause).await;
        assert!(matches!(failure, FetchError::Broken { .. }), "{failure}");
    }
    // A link in the sandbox that leads out is replaced, not followed.
    std::os::unix::fs::symlink(&canary, fixture.sandbox.join("file")).expect("a link");
    fixture.fake.file("/file", "text/plain", b"mine");
    fixture.fetch(&fixture.uri("/file")).await.expect("a file");
    assert_eq!(fixture.read("file"), "mine");
    assert_eq!(fs::read_to_string(outside.join("canary")).expect("the canary"), "untouched");
    assert_eq!(fs::read_dir(&outside).expect("a directory").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_is_named_by_the_uri() {
    let fixture = Fixture::new(1 << 20).await;
    fixture.fake.file("/f", "text/plain", &[1; 100_000]);
    for cache in [false, true] {
        let uri = Uri { cache, ..fixture.uri("/f") };
        fixture.fake.fault("/f", Fault::Hang);
        fixture.fails(&uri, "silent for 1 s").await;
        fixture.fake.fault("/f", Fault::HangAfter(1000));
        fixture.fails(&uri, "silent for 1 s").await;
        fixture.fake.fault("/f", Fault::CutAfter(1000));
        fixture.fails(&uri, "the request failed").await;
        fixture.fake.fault("/f", Fault::Status(503));
        fixture.fails(&uri, "answered 503").await;
        fixture.fails(&Uri { cache, ..fixture.uri("/nothing") }, "answered 404").await;
        fixture.fake.fault("/moved", Fault::Moved("/f".into()));
        fixture.fetch(&Uri { cache, ..fixture.uri("/moved") }).await.expect("it is elsewhere");
        fs::remove_file(fixture.sandbox.join("moved")).expect("it has the name that was asked for");
        fixture.fake.fault("/moved", Fault::Moved("/nothing".into()));
        fixture.fails(&Uri { cache: false, ..fixture.uri("/moved") }, "answered 404").await;
    }
    fixture
        .fails(&Uri { value: "http://127.50.0.4:1/f".into(), ..fixture.uri("") }, "refused")
        .await;
    assert!(fixture.sandbox_names().is_empty(), "half a file is no file");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cached_is_downloaded_once_while_it_has_room() {
    let fixture = Fixture::new(2500).await;
    for name in ["a", "b", "c"] {
        fixture.fake.file(&format!("/{name}"), "text/plain", name.repeat(1000).as_bytes());
    }
    fixture.fake.file("/large", "text/plain", &[b'l'; 3000]);
    let cached = |path: &str| Uri { cache: true, ..fixture.uri(path) };
    let a = cached("/a");
    let sandboxes: Vec<PathBuf> = (0..10).map(|n| fixture.dir.path().join(n.to_string())).collect();
    let fetches = sandboxes.iter().map(|sandbox| {
        fs::create_dir(sandbox).expect("a directory");
        fixture.fetcher.fetch(from_ref(&a), sandbox, RECIPIENT)
    });
    for fetched in join_all(fetches).await {
        fetched.expect("the server is good");
    }
    for sandbox in &sandboxes {
        assert_eq!(fs::read(sandbox.join("a")).expect("a file"), [b'a'; 1000]);
    }
    assert_eq!(fixture.fake.count("/a"), 1);
    // `b` was used after `a`, so `a` goes when `c` comes; what is too large makes no room at all.
    for path in ["/b", "/large", "/large", "/c", "/b"] {
        fixture.fetch(&cached(path)).await.expect(path);
    }
    let held = fs::read_dir(fixture.dir.path().join("cache")).expect("the cache");
    let held: u64 =
        held.map(|file| file.expect("a file").metadata().expect("metadata").len()).sum();
    assert_eq!((held, fixture.fake.count("/b"), fixture.fake.count("/large")), (2000, 1, 2));
    fixture.fetch(&a).await.expect("it comes again");
    assert_eq!(fixture.fake.count("/a"), 2);
    let cache = fixture.dir.path().join("cache");
    let again = Fetcher::new(&cache, FetchLimits::default(), Sources::default()).expect("a cache");
    assert_eq!(fs::read_dir(fixture.dir.path().join("cache")).expect("the cache").count(), 0);
    drop(again);
}
