//! A layer from a stranger stays inside its own directory, whatever it says.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use images::{Config, Prepared, PullError, PullRequest, Store};
use serde_json::json;
use support::Item::{self, Dir, File, HardLink, Pax, Symlink};
use support::{Image, Registry, tar};

const IP: &str = "127.50.0.2";
const CANARY: &str = "untouched";

struct Fixture {
    registry: Registry,
    store: Store,
    /// Beside the store: where the layers try to write.
    outside: PathBuf,
    dir: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).expect("a directory");
        fs::write(outside.join("canary"), CANARY).expect("a file");
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o751)).expect("permissions");
        let config = Config { layer_bytes_max: 1 << 20, ..Config::default() };
        let store = Store::open(&dir.path().join("store"), config).await.expect("a new store");
        Self { registry: Registry::start(IP).await, store, outside, dir }
    }

    async fn pull(&self, layers: Vec<Vec<u8>>) -> Result<Prepared, PullError> {
        self.registry.push("hostile", "1", &Image { layers, config: json!({}) }).await;
        let name = format!("{}/hostile:1", self.registry.address);
        let pulled =
            self.store.pull(PullRequest { name: &name, force: true, credentials: None }).await;
        self.assert_untouched();
        pulled
    }

    fn assert_untouched(&self) {
        let names = |dir: &Path| {
            let entries = fs::read_dir(dir).expect("a directory");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("an entry").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&self.outside), ["canary"]);
        assert_eq!(names(self.dir.path()), ["outside", "store"]);
        let mut store = names(&self.dir.path().join("store"));
        store.retain(|name| name != "index.json");
        assert_eq!(store, ["layers", "lock", "partial", "tmp"]);
        assert!(names(&self.dir.path().join("store/tmp")).is_empty());
        assert_eq!(fs::read_to_string(self.outside.join("canary")).expect("the canary"), CANARY);
        assert_eq!(
            fs::metadata(&self.outside).expect("metadata").permissions().mode() & 0o777,
            0o751
        );
    }

    /// The layer is refused for this cause, and the error names the image, the layer and the entry.
    async fn refused(&self, items: &[Item<'_>], entry: &str, cause: &str) {
        let layer = tar(items);
        let digest = support::digest(&layer);
        let refusal = self.pull(vec![layer]).await.expect_err(cause);
        assert!(matches!(refusal, PullError::Unsafe { .. }), "{refusal}");
        let text = refusal.to_string();
        for part in [entry, cause, &digest, "hostile:1"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    /// The layer is taken, and what it wanted to write elsewhere is here, inside of it.
    async fn contained(&self, items: &[Item<'_>], path: &str, contents: &str) {
        let prepared = self.pull(vec![tar(items)]).await.expect(path);
        let file = prepared.layers[0].join(path.trim_start_matches('/'));
        assert!(fs::symlink_metadata(&file).expect(path).is_file(), "{path}");
        assert_eq!(fs::read_to_string(file).expect(path), contents, "{path}");
    }

    async fn broken(&self, layer: Vec<u8>, cause: &str) {
        let digest = support::digest(&layer);
        let refusal = self.pull(vec![layer]).await.expect_err(cause);
        assert!(matches!(refusal, PullError::Broken { .. }), "{refusal}");
        let text = refusal.to_string();
        assert!(
            text.contains(cause) && text.contains(&digest) && text.contains("hostile:1"),
            "{text}"
        );
    }
}

const EVIL: Item<'_> = File("link/evil", 0o644, b"evil");

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_out_is_refused() {
    let fixture = Fixture::new().await;
    for name in ["../evil", "a/../../evil", "/../evil", "./../evil", "a/b/../../../evil"] {
        fixture.refused(&[File(name, 0o644, b"evil")], name, "leads out of the archive").await;
        fixture.refused(&[Dir(name, 0o777)], name, "leads out of the archive").await;
        fixture.refused(&[Symlink(name, "x")], name, "leads out of the archive").await;
    }
    fixture.refused(&[Dir("..", 0o777)], "..", "leads out of the archive").await;
    fixture
        .refused(&[Pax("path", b"../evil"), File("x", 0o644, b"evil")], "../evil", "leads out")
        .await;
    fixture.refused(&[Pax("path", b"a\0b"), File("x", 0o644, b"evil")], "a", "zero byte").await;
    fixture.refused(&[File("../.wh.outside", 0o644, b"")], "../outside", "leads out").await;
    for name in [".wh.", ".wh..", ".wh...", "a/.wh..."] {
        fixture
            .refused(&[File(name, 0o644, b"")], name, "hides a name that no file can have")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_out_is_not_followed() {
    let fixture = Fixture::new().await;
    let outside = fixture.outside.to_str().expect("text");
    let relative = format!("{}{outside}", "../".repeat(20).trim_end_matches('/'));
    let canary = format!("{outside}/canary");
    for target in [outside, &relative] {
        fixture
            .refused(&[Symlink("link", target), EVIL], "link/evil", "goes through \"link\"")
            .await;
        let opaque = File("link/.wh..wh..opq", 0o644, b"");
        fixture.refused(&[Symlink("link", target), opaque], "link/", "goes through \"link\"").await;
        let whiteout = File("link/.wh.canary", 0o644, b"");
        fixture.refused(&[Symlink("link", target), whiteout], "link/canary", "goes through").await;
        fixture
            .refused(
                &[Symlink("a", target), Symlink("link", "a"), EVIL],
                "link/evil",
                "goes through",
            )
            .await;
    }
    fixture
        .refused(&[Symlink("link", "b"), Symlink("b", "link"), EVIL], "link/evil", "in a circle")
        .await;
    fixture.contained(&[Symlink("link", "/"), EVIL], "evil", "evil").await;
    fixture.contained(&[Symlink("link", "../../.."), EVIL], "evil", "evil").await;
    fixture
        .contained(&[Symlink("link", &canary), File("link", 0o644, b"mine")], "link", "mine")
        .await;
    fixture
        .contained(&[Symlink("link", outside), Dir("link", 0o777), EVIL], "link/evil", "evil")
        .await;
    fixture
        .contained(
            &[Symlink("link", "/proc/self/root"), Dir("proc/self/root", 0o755), EVIL],
            "proc/self/root/evil",
            "evil",
        )
        .await;
    fixture.contained(&[File(&canary, 0o644, b"mine")], &canary, "mine").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_link_reaches_only_what_the_layer_brought() {
    let fixture = Fixture::new().await;
    let outside = fixture.outside.to_str().expect("text");
    let canary = format!("{outside}/canary");
    let relative = format!("{}{canary}", "../".repeat(20).trim_end_matches('/'));
    fixture.refused(&[HardLink("h", &relative)], "h", "leads out of the archive").await;
    fixture.refused(&[HardLink("h", &canary)], "h", "is not in the archive").await;
    fixture
        .refused(&[Symlink("l", outside), HardLink("h", "l/canary")], "h", "is not in the archive")
        .await;
    fixture.refused(&[Dir("d", 0o755), HardLink("h", "d")], "h", "is a directory").await;
    let through = [Symlink("s", &canary), HardLink("h", "s"), File("h", 0o644, b"mine")];
    fixture.contained(&through, "h", "mine").await;
    fixture.contained(&[File("f", 0o644, b"f"), HardLink("f", "./f")], "f", "f").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_a_lower_layer_does_not_move_an_upper_one() {
    let fixture = Fixture::new().await;
    let outside = fixture.outside.to_str().expect("text");
    let prepared = fixture
        .pull(vec![tar(&[Symlink("link", outside)]), tar(&[EVIL])])
        .await
        .expect("a good image");
    assert_eq!(fs::read_to_string(prepared.layers[1].join("link/evil")).expect("the file"), "evil");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_cannot_be_made_to_burst() {
    let fixture = Fixture::new().await;
    let deep = "d/".repeat(300);
    fixture.refused(&[Dir(&deep, 0o755)], "d/d/d", "directories deep").await;
    let (half, rest) = ("d/".repeat(200), format!("link/{}", "e/".repeat(100)));
    fixture
        .refused(
            &[
                Dir(&half, 0o755),
                Pax("linkpath", half.as_bytes()),
                Symlink("link", "x"),
                Dir(&rest, 0o755),
            ],
            "link/e",
            "directories deep",
        )
        .await;
    fixture.refused(&[File(&"n".repeat(300), 0o644, b"")], "nnn", "too long").await;
    let large = vec![1; (1 << 20) + 1];
    let large = tar(&[File("f", 0o644, &large)]);
    let packed = zstd::encode_all(&large[..], 1).expect("memory can be read");
    fixture.broken(large, "at most 1048576 are taken").await;
    fixture.broken(packed, "larger than 1048576 bytes").await;
    fixture.broken(claim(b'0', 1 << 40), "larger than 1048576 bytes").await;
    fixture.broken(claim(b'L', 1 << 30), "a header of 1073741824 bytes").await;
    fixture.broken(claim(b'x', 1 << 30), "a header of 1073741824 bytes").await;
    fixture.broken(b"this is no archive at all".repeat(100), "not a tar archive").await;
    let whole = tar(&[File("f", 0o644, &[7; 4096])]);
    fixture.broken(whole[..2048].to_vec(), "f: ").await;
    fixture.broken(whole[..512 + 4095].to_vec(), "f: ").await;
    fixture.broken(whole[..300].to_vec(), "ends in the middle of a header").await;
    fixture.broken([&[0x1f, 0x8b][..], &[0; 64]].concat(), "layer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_cannot_speak_to_overlayfs() {
    let fixture = Fixture::new().await;
    let layer = tar(&[Pax("SCHILY.xattr.trusted.overlay.redirect", b"/etc"), Dir("d", 0o755)]);
    let prepared = fixture.pull(vec![layer]).await.expect("a good image");
    let mut value = [0_u8; 16];
    let found = rustix::fs::lgetxattr(
        prepared.layers[0].join("d"),
        "trusted.overlay.redirect",
        &mut value[..],
    );
    assert_eq!(found, Err(rustix::io::Errno::NODATA));
}

/// A header that claims so many bytes, of which none come.
fn claim(kind: u8, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[0] = b'f';
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    header.as_bytes().to_vec()
}
