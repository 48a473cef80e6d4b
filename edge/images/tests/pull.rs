//! Images come out of a real registry as they went in.

mod support;

use std::fs;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use images::{Config, ImageConfig, Prepared, PullError, PullRequest, Store};
use serde_json::json;
use support::Item::{self, Character, Dir, Fifo, File, HardLink, Pax, Symlink};
use support::{DOCKER_INDEX, DOCKER_MANIFEST, Image, OCI_INDEX, OWNER, Registry, tar};

const IP: &str = "127.50.0.1";

struct Fixture {
    registry: Registry,
    store: Store,
    dir: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(dir.path(), Config::default())
            .await
            .expect("an empty directory becomes a store");
        Self { registry: Registry::start(IP).await, store, dir }
    }

    async fn pull(&self, name: &str) -> Result<Prepared, PullError> {
        let name = format!("{}/{name}", self.registry.address);
        self.store.pull(PullRequest { name: &name, force: true, credentials: None }).await
    }
}

fn image(layers: &[&[Item<'_>]]) -> Image {
    Image {
        layers: layers.iter().map(|items| tar(items)).collect(),
        config: json!({"Cmd": ["/bin/true"]}),
    }
}

fn read(prepared: &Prepared, layer: usize, path: &str) -> String {
    fs::read_to_string(prepared.layers[layer].join(path)).expect(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_found_by_tag_digest_and_platform_in_both_spellings() {
    let fixture = Fixture::new().await;
    let one = image(&[&[File("hello", 0o644, b"one")]]);
    let digest = fixture.registry.push("team/app", "1.0", &one).await;
    let docker =
        fixture.registry.put_manifest("team/app", "docker", DOCKER_MANIFEST, &one.manifest()).await;
    let other = image(&[&[File("hello", 0o644, b"other")]]);
    let other_digest = fixture.registry.push("team/app", "other", &other).await;
    let choice = |digest: &str, architecture: &str, media_type: &str, image: &Image| {
        let size = serde_json::to_vec(&image.manifest()).expect("plain data").len();
        json!({"mediaType": media_type, "digest": digest, "size": size,
               "platform": {"os": "linux", "architecture": architecture}})
    };
    for (tag, list, manifest, digest) in [
        ("list", OCI_INDEX, support::OCI_MANIFEST, &digest),
        ("docker-list", DOCKER_INDEX, DOCKER_MANIFEST, &docker),
    ] {
        let manifests = [
            choice(&other_digest, "mips", support::OCI_MANIFEST, &other),
            choice(digest, "amd64", manifest, &one),
            choice(digest, "arm64", manifest, &one),
        ];
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fixture.registry.put_manifest("team/app", tag, list, &index).await;
    }
    for name in [
        "team/app:1.0",
        "team/app:docker",
        "team/app:list",
        "team/app:docker-list",
        &format!("team/app@{digest}"),
    ] {
        let prepared = fixture.pull(name).await.expect(name);
        assert_eq!(read(&prepared, 0, "hello"), "one", "{name}");
        assert!([&digest, &docker].contains(&&prepared.digest), "{name}");
    }
    let only_mips = json!({"schemaVersion": 2, "manifests": [choice(&other_digest, "mips", support::OCI_MANIFEST, &other)]});
    fixture.registry.put_manifest("team/app", "mips", OCI_INDEX, &only_mips).await;
    let refusal = fixture.pull("team/app:mips").await.expect_err("no mips here").to_string();
    assert!(
        refusal.contains("team/app:mips") && refusal.contains("only for linux/mips"),
        "{refusal}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_config_says_how_to_run_the_image() {
    let fixture = Fixture::new().await;
    let config = json!({
        "Entrypoint": ["/bin/app"], "Cmd": ["--serve"], "Env": ["PATH=/bin", "OPTIONS=a=b"],
        "WorkingDir": "/srv", "User": "www:www", "StopSignal": "SIGQUIT",
    });
    let image = Image { layers: vec![tar(&[])], config };
    fixture.registry.push("app", "latest", &image).await;
    let expected = ImageConfig {
        entrypoint: vec!["/bin/app".into()],
        cmd: vec!["--serve".into()],
        env: vec![("PATH".into(), "/bin".into()), ("OPTIONS".into(), "a=b".into())],
        working_dir: Some("/srv".into()),
        user: Some("www:www".into()),
        stop_signal: Some("SIGQUIT".into()),
    };
    assert_eq!(fixture.pull("app").await.expect("the image is there").config, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_come_compressed_by_gzip_or_zstd_or_not_at_all() {
    use std::io::Write;
    let fixture = Fixture::new().await;
    let plain = tar(&[File("f", 0o644, b"contents")]);
    let gzip = || {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).expect("memory can be written");
        gzip.finish().expect("memory can be written")
    };
    let zstd = zstd::encode_all(&plain[..], 1).expect("memory can be written");
    // As `umoci insert` leaves it: without the padding of the last file and what marks the end.
    let short = plain[..512 + "contents".len()].to_vec();
    for (tag, layer) in
        [("plain", plain.clone()), ("gzip", gzip()), ("zstd", zstd), ("short", short)]
    {
        let image = Image { layers: vec![layer], config: json!({}) };
        fixture.registry.push("compressed", tag, &image).await;
        let prepared = fixture.pull(&format!("compressed:{tag}")).await.expect(tag);
        assert_eq!(read(&prepared, 0, "f"), "contents", "{tag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_everything_that_it_was_given() {
    let fixture = Fixture::new().await;
    let long = format!("{}/file", "directory-of-a-long-name/".repeat(12));
    let capability =
        b"\x01\x00\x00\x02\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let mut zeros = vec![0_u8; 8 << 20];
    zeros[4 << 20] = 1;
    let layer = [
        Dir("./", 0o755),
        Dir("bin/", 0o750),
        File("bin/su", 0o4755, b"su"),
        Pax("SCHILY.xattr.security.capability", capability),
        File("bin/ping", 0o755, b"ping"),
        HardLink("bin/ping6", "bin/ping"),
        Symlink("sh", "/bin/su"),
        Character("null", 1, 3),
        Fifo("pipe"),
        File(&long, 0o600, b"long"),
        Pax("path", "päx/name".as_bytes()),
        File("short", 0o600, b"pax"),
        File("sparse", 0o644, &zeros),
    ];
    fixture.registry.push("all", "1", &image(&[&layer])).await;
    let prepared = fixture.pull("all:1").await.expect("the image is good");
    let root = &prepared.layers[0];
    let stat = |path: &str| fs::symlink_metadata(root.join(path)).expect(path);
    assert_eq!(
        (stat("bin/su").mode() & 0o7777, stat("bin/su").uid(), stat("bin/su").gid()),
        (0o4755, OWNER, OWNER)
    );
    assert_eq!((stat("bin").mode() & 0o7777, stat("bin").mtime()), (0o750, 1_000_000_000));
    assert_eq!(
        attribute(&root.join("bin/ping"), "security.capability").as_deref(),
        Some(&capability[..])
    );
    assert_eq!(stat("bin/ping").ino(), stat("bin/ping6").ino());
    assert_eq!(fs::read_link(root.join("sh")).expect("a link"), Path::new("/bin/su"));
    assert_eq!((stat("sh").uid(), stat("sh").mtime()), (OWNER, 1_000_000_000));
    assert!(
        stat("null").file_type().is_char_device()
            && stat("null").rdev() == rustix::fs::makedev(1, 3)
    );
    assert!(stat("pipe").file_type().is_fifo());
    assert_eq!(read(&prepared, 0, &long), "long");
    assert_eq!(read(&prepared, 0, "päx/name"), "pax");
    assert_eq!(fs::read(root.join("sparse")).expect("sparse"), zeros);
    assert!(stat("sparse").blocks() * 512 < 1 << 20, "holes take no space");
    assert_eq!(
        fs::metadata(fixture.dir.path()).expect("the store").permissions().mode() & 0o777,
        0o700
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sparse_files_come_as_any_tar_writes_them() {
    let fixture = Fixture::new().await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = fs::File::create(dir.path().join("sparse")).expect("a file");
    file.set_len(8 << 20).expect("a hole");
    for (at, byte) in [(0, b"a"), (4 << 20, b"b"), ((8 << 20) - 9000, b"c")] {
        file.write_all_at(byte, at).expect("written");
    }
    let expected = fs::read(dir.path().join("sparse")).expect("a file");
    for (number, form) in ["gnu", "pax --sparse-version=0.0", "pax --sparse-version=0.1", "pax"]
        .into_iter()
        .enumerate()
    {
        let words = format!("--create --sparse --format={form} --directory");
        let mut packing = Command::new("tar");
        packing.args(words.split(' ')).arg(dir.path()).arg("sparse").stdin(Stdio::null());
        let packed = packing.output().expect("tar");
        assert!(packed.status.success(), "{form}: {packed:?}");
        assert!(packed.stdout.len() < 1 << 20, "{form}: the archive has the holes, too");
        let image = Image { layers: vec![packed.stdout], config: json!({}) };
        fixture.registry.push("sparse", &number.to_string(), &image).await;
        let prepared = fixture.pull(&format!("sparse:{number}")).await.expect(form);
        let unpacked = prepared.layers[0].join("sparse");
        assert!(fs::read(&unpacked).expect("a file") == expected, "{form}");
        let blocks = fs::metadata(&unpacked).expect("a file").blocks();
        assert!(blocks * 512 < 1 << 20, "{form}: holes take no space");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_entry_of_a_name_counts() {
    let fixture = Fixture::new().await;
    let layer = [
        File("twice", 0o644, b"first"),
        File("twice", 0o600, b"second"),
        File("kind", 0o644, b"a file"),
        Dir("kind", 0o700),
        File("kind/inside", 0o644, b""),
        File("full/file", 0o644, b"a directory"),
        Symlink("full", "kind"),
        File("full/through", 0o644, b"through a link"),
        Dir("kind", 0o711),
    ];
    fixture.registry.push("again", "1", &image(&[&layer])).await;
    let prepared = fixture.pull("again:1").await.expect("the image is good");
    let mode = |path: &str| {
        fs::symlink_metadata(prepared.layers[0].join(path)).expect(path).mode() & 0o777
    };
    assert_eq!((read(&prepared, 0, "twice").as_str(), mode("twice")), ("second", 0o600));
    assert_eq!(
        (read(&prepared, 0, "kind/through").as_str(), mode("kind")),
        ("through a link", 0o711)
    );
    assert!(
        prepared.layers[0].join("kind/inside").is_file()
            && prepared.layers[0].join("full").is_symlink()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whiteouts_become_what_overlayfs_understands() {
    let fixture = Fixture::new().await;
    let lower =
        [File("gone", 0o644, b"x"), File("dir/a", 0o644, b"x"), File("again/old", 0o644, b"x")];
    let upper = [
        File(".wh.gone", 0o644, b""),
        File("dir/.wh..wh..opq", 0o644, b""),
        File("dir/b", 0o644, b"b"),
        File(".wh.again", 0o644, b""),
        File("again/new", 0o644, b"new"),
        File("late/c", 0o644, b"c"),
        File(".wh.late", 0o644, b""),
        File(".wh..wh.plnk", 0o644, b""),
    ];
    fixture.registry.push("wh", "1", &image(&[&lower, &upper])).await;
    let prepared = fixture.pull("wh:1").await.expect("the image is good");
    let upper = &prepared.layers[1];
    let gone = fs::symlink_metadata(upper.join("gone")).expect("a whiteout");
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    for dir in ["dir", "again", "late"] {
        assert_eq!(
            attribute(&upper.join(dir), "trusted.overlay.opaque").as_deref(),
            Some(&b"y"[..]),
            "{dir}"
        );
    }
    let mut seen: Vec<_> =
        fs::read_dir(upper).expect("a layer").map(|e| e.expect("an entry").file_name()).collect();
    seen.sort();
    assert_eq!(seen, ["again", "dir", "gone", "late"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn overlayfs_can_always_mount_what_is_given() {
    let fixture = Fixture::new().await;
    let (a, b) = (tar(&[File("a", 0o644, b"a")]), tar(&[File("b", 0o644, b"b")]));
    let opaque = tar(&[File(".wh..wh..opq", 0o644, b""), File("c", 0o644, b"c")]);
    let check = async |tag: &str, layers: &[&Vec<u8>], expected: &[&str]| {
        let layers = layers.iter().map(|layer| (*layer).clone()).collect();
        fixture.registry.push("mounts", tag, &Image { layers, config: json!({}) }).await;
        let prepared = fixture.pull(&format!("mounts:{tag}")).await.expect(tag);
        let first = |layer: &Path| {
            let entry = fs::read_dir(layer).expect("a layer").next();
            entry
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
                .unwrap_or_default()
        };
        let found: Vec<_> = prepared.layers.iter().map(|layer| first(layer)).collect();
        assert_eq!(found, expected, "{tag}");
    };
    check("two", &[&a, &b], &["a", "b"]).await;
    check("twice", &[&a, &b, &a], &["b", "a"]).await;
    check("none", &[], &[""]).await;
    check("opaque", &[&a, &opaque, &b], &["c", "b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_by_name() {
    let fixture = Fixture::new().await;
    fixture.registry.push("app", "1", &image(&[&[]])).await;
    for name in ["app:2", "nothing", &format!("app@sha256:{}", "0".repeat(64))] {
        let refusal = fixture.pull(name).await.expect_err(name);
        assert!(matches!(refusal, PullError::NotFound { .. }), "{refusal}");
        let text = refusal.to_string();
        assert!(text.contains(name) && text.contains(&fixture.registry.address), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_here_needs_no_registry_unless_it_is_forced() {
    let Fixture { registry, store, dir } = Fixture::new().await;
    let old = registry.push("app", "1", &image(&[&[File("v", 0o644, b"old")]])).await;
    let name = format!("{}/app:1", registry.address);
    let pull = async |store: &Store, force| {
        store.pull(PullRequest { name: &name, force, credentials: None }).await
    };
    assert_eq!(pull(&store, false).await.expect("pulled").digest, old);
    let new = registry.push("app", "1", &image(&[&[File("v", 0o644, b"new")]])).await;
    assert_eq!(pull(&store, false).await.expect("here").digest, old);
    assert_eq!(pull(&store, true).await.expect("pulled").digest, new);
    drop((registry, store));
    let store = Store::open(dir.path(), Config::default()).await.expect("a store opens again");
    assert_eq!(pull(&store, false).await.expect("here").digest, new);
    let refusal = pull(&store, true).await.expect_err("the registry is gone");
    assert!(
        matches!(refusal, PullError::Registry { .. }) && refusal.to_string().contains(&name),
        "{refusal}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_images_that_nobody_needs_are_pruned() {
    let fixture = Fixture::new().await;
    let shared = [File("base", 0o644, b"base")];
    fixture.registry.push("a", "1", &image(&[&shared, &[File("a", 0o644, b"a")]])).await;
    fixture.registry.push("b", "1", &image(&[&shared, &[File("b", 0o644, b"bb")]])).await;
    let (a, b) = (fixture.pull("a:1").await.expect("a"), fixture.pull("b:1").await.expect("b"));
    let usage = fixture.store.usage();
    assert_eq!((usage.images, usage.layers, usage.bytes), (2, 3, 7));
    assert_eq!(fixture.store.prune(&[]).await.expect("pruned"), usage, "both are in use");
    let (digest, layers) = (a.digest.clone(), a.layers.clone());
    drop((a, b.keep));
    let usage = fixture.store.prune(&[digest]).await.expect("pruned");
    assert_eq!((usage.images, usage.layers, usage.bytes), (1, 2, 5));
    assert!(layers.iter().all(|layer| layer.is_dir()) && !b.layers[1].exists());
    let usage = fixture.store.prune(&[]).await.expect("pruned");
    assert_eq!((usage.images, usage.layers, usage.bytes), (0, 0, 0));
    assert!(layers.iter().all(|layer| !layer.exists()));
    fixture.pull("a:1").await.expect("it can come back");
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}
