//! Registries fail in every way, pulls are given up, disks are full: nothing wrong gets in, and nobody waits for ever.

#[path = "support/fake.rs"]
mod fake;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use fake::{Fake, Fault};
use futures::FutureExt;
use futures::future::join_all;
use images::{Config, GarbagePolicy, Prepared, PullError, PullRequest, Store};
use serde_json::json;
use sha2::{Digest, Sha512};
use support::Item::File;
use support::{Image, tar};
use tokio_util::sync::CancellationToken;

const IP: &str = "127.50.0.3";
const STALL_MS: u64 = 1000;
const LAYER_BYTES: usize = 300_000;

struct Fixture {
    fake: Fake,
    store: Store,
    dir: tempfile::TempDir,
}

fn config() -> Config {
    Config { stall_timeout: Duration::from_millis(STALL_MS), ..Config::default() }
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(dir.path(), config()).await.expect("a new store");
        Self { fake: Fake::start(IP).await, store, dir }
    }

    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.fake.address)
    }

    async fn pull(&self, image: &str) -> Result<Prepared, PullError> {
        self.store
            .pull(PullRequest { name: &self.name(image), force: false, credentials: None })
            .await
    }

    /// The text names the image, the registry and these.
    async fn fails(&self, image: &str, parts: &[&str]) -> PullError {
        let failure = self.pull(image).await.expect_err("the registry is faulty");
        let text = failure.to_string();
        for part in parts.iter().chain([&image, &self.fake.address.as_str()]) {
            assert!(text.contains(part), "{part} in {text}");
        }
        let left: Vec<_> = fs::read_dir(self.dir.path().join("tmp")).expect("the store").collect();
        assert!(left.is_empty(), "{left:?}");
        failure
    }
}

/// One layer that no compression makes small.
fn image(seed: usize) -> Image {
    let noise: Vec<u8> =
        (0..LAYER_BYTES).map(|i| (i.wrapping_mul(31) ^ (i >> 7) ^ seed).to_le_bytes()[0]).collect();
    Image { layers: vec![tar(&[File("noise", 0o644, &noise)])], config: json!({}) }
}

fn is_whole(prepared: &Prepared) -> bool {
    prepared
        .layers
        .iter()
        .all(|layer| fs::metadata(layer.join("noise")).is_ok_and(|f| f.len() == LAYER_BYTES as u64))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_downloaded_once_for_all_who_want_it() {
    let fixture = Fixture::new().await;
    let shared = image(0);
    let (manifest, layers) = fixture.fake.image("a", "1", &shared);
    let twin = Image { config: json!({"Cmd": ["other"]}), ..shared };
    fixture.fake.image("b", "1", &twin);
    let pulls = (0..20).map(|i| fixture.pull(if i % 2 == 0 { "a:1" } else { "b:1" }));
    for prepared in join_all(pulls).await {
        assert!(is_whole(&prepared.expect("the registry is good")));
    }
    let other = layers[0].replace("/a/", "/b/");
    assert_eq!(
        fixture.fake.count(&layers[0]) + fixture.fake.count(&other),
        1,
        "{:?}",
        fixture.fake.asked()
    );
    assert_eq!(fixture.fake.count(&manifest), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_do_not_get_in() {
    let fixture = Fixture::new().await;
    let (_, layers) = fixture.fake.image("a", "1", &image(0));
    let digest = layers[0].rsplit('/').next().expect("a digest").to_owned();
    let mut wrong = image(0).layers.remove(0);
    wrong[1000] ^= 1;
    fixture.fake.fault(&layers[0], Fault::Instead(wrong.clone()));
    let failure = fixture.fails("a:1", &[&digest, &support::digest(&wrong), "wrong bytes"]).await;
    assert!(matches!(failure, PullError::Digest { .. }), "{failure}");
    let config = format!("/v2/a/blobs/{}", support::digest(&image(0).config_bytes()));
    fixture.fake.fault(&config, Fault::Instead(b"{}".to_vec()));
    fixture.fails("a:1", &["the config", "wrong bytes"]).await;
    let by_digest = format!("a@sha256:{}", "1".repeat(64));
    let manifest = format!("/v2/a/manifests/{}", by_digest.trim_start_matches("a@"));
    fixture.fake.file(
        &manifest,
        support::OCI_MANIFEST,
        &serde_json::to_vec(&image(0).manifest()).expect("plain data"),
    );
    fixture.fails(&by_digest, &["the manifest", "wrong bytes"]).await;
    assert!(
        is_whole(&fixture.pull("a:1").await.expect("now it is good")),
        "a failure is not remembered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_may_be_named_by_the_longer_digest() {
    let fixture = Fixture::new().await;
    let image = image(0);
    let layer = &image.layers[0];
    let digest = format!("sha512:{}", hex::encode(Sha512::digest(layer)));
    let (manifest, blob) = ("/v2/a/manifests/1", format!("/v2/a/blobs/{digest}"));
    fixture.fake.image("a", "1", &image);
    let mut named = image.manifest();
    named["layers"][0]["digest"] = digest.into();
    fixture.fake.file(manifest, support::OCI_MANIFEST, named.to_string().as_bytes());
    fixture.fake.file(&blob, "application/octet-stream", layer);
    // The first time in two parts, which nobody but us puts together.
    fixture.fake.fault(&blob, Fault::CutAfter(100_000));
    assert!(is_whole(&fixture.pull("a:1").await.expect("it is right")));
    fixture.store.prune(&[]).await.expect("pruned");
    fixture.fake.fault(&blob, Fault::Instead(vec![7; layer.len()]));
    fixture.fails("a:1", &["sha512:"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_registry_is_given_up_by_name() {
    let fixture = Fixture::new().await;
    let (manifest, layers) = fixture.fake.image("a", "1", &image(0));
    let cases = [("/v2/", "a login"), (&manifest, "the manifest"), (&layers[0], "layer sha256:")];
    for (path, awaited) in cases {
        fixture.fake.fault(path, Fault::Hang);
        let failure = fixture.fails("a:1", &[awaited, "silent for 1 s"]).await;
        assert!(matches!(failure, PullError::Stalled { .. }), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_hangs_holds_no_other_up() {
    let fixture = Fixture::new().await;
    let patient = fixture.dir.path().join("another");
    let patient = Store::open(&patient, Config::default()).await.expect("a new store");
    fixture.fake.image("good", "1", &image(1));
    let (name, good) = (fixture.name("a:1"), fixture.name("good:1"));
    let mut hanging = Vec::new();
    for _ in 0..10 {
        let (_, layers) = fixture.fake.image("a", "1", &image(0));
        fixture.fake.fault(&layers[0], Fault::HangAfter(1000));
        let mut pull =
            Box::pin(patient.pull(PullRequest { name: &name, force: true, credentials: None }));
        let before = fixture.fake.count(&layers[0]);
        while hanging.is_empty() && fixture.fake.count(&layers[0]) == before {
            assert!((&mut pull).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        hanging.push(pull);
    }
    let pulled = patient.pull(PullRequest { name: &good, force: false, credentials: None }).await;
    assert!(is_whole(&pulled.expect("another image is not held up")));
    assert!(hanging.into_iter().all(|pull| pull.now_or_never().is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_taken_up_where_it_ended() {
    for knows_ranges in [true, false] {
        let fixture = Fixture::new().await;
        let (_, layers) = fixture.fake.image("a", "1", &image(0));
        if !knows_ranges {
            fixture.fake.forget_ranges();
        }
        fixture.fake.fault(&layers[0], Fault::CutAfter(100_000));
        fixture.fake.fault(&layers[0], Fault::HangAfter(50_000));
        assert!(is_whole(&fixture.pull("a:1").await.expect("the third time it is good")));
        let asked = fixture.fake.asked();
        let ranges: Vec<_> = asked
            .iter()
            .filter_map(|asked| asked.strip_prefix(&layers[0]))
            .map(str::trim)
            .collect();
        let second = if knows_ranges { "bytes=150000-" } else { "bytes=50000-" };
        assert_eq!(ranges, ["", "bytes=100000-", second], "ranges known: {knows_ranges}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_fails_is_tried_again_but_not_for_ever() {
    let fixture = Fixture::new().await;
    let (manifest, layers) = fixture.fake.image("a", "1", &image(0));
    for path in [manifest.as_str(), layers[0].as_str()] {
        fixture.fake.fault(path, Fault::Status(503));
    }
    assert!(is_whole(&fixture.pull("a:1").await.expect("the second time it is good")));
    let (manifest, layers) = fixture.fake.image("b", "1", &image(1));
    for _ in 0..8 {
        fixture.fake.fault(&layers[0], Fault::CutAfter(10));
        fixture.fake.fault(&manifest, Fault::Status(429));
    }
    let failure = fixture.fails("b:1", &["the manifest", "429"]).await;
    assert!(matches!(failure, PullError::Registry { .. }), "{failure}");
    assert_eq!(fixture.fake.count(&manifest), 4);
    fixture.fake.file("/v2/text/manifests/1", support::OCI_MANIFEST, b"<html>");
    let text = fixture.pull("text:1").await.expect_err("no manifest").to_string();
    assert!(text.contains("the manifest of image") && text.contains("text:1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_given_up_leaves_the_others_their_image() {
    let fixture = Fixture::new().await;
    let (_, layers) = fixture.fake.image("a", "1", &image(0));
    fixture.fake.fault(&layers[0], Fault::Hang);
    let mut first = Box::pin(fixture.pull("a:1"));
    while fixture.fake.count(&layers[0]) == 0 {
        assert!((&mut first).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let mut second = Box::pin(fixture.pull("a:1"));
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    assert!(is_whole(&second.await.expect("the second request is answered")));
    assert_eq!(fixture.fake.count(&layers[0]), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_come_from_the_docker_config() {
    let fixture = Fixture::new().await;
    fixture.fake.image("a", "1", &image(0));
    let login = base64::engine::general_purpose::STANDARD.encode("user:secret");
    fixture.fake.want_login(&format!("Basic {login}"), "a-token");
    let failure = fixture.fails("a:1", &["config.json"]).await;
    assert!(matches!(failure, PullError::Unauthorized { .. }), "{failure}");
    let file = fixture.dir.path().join("config.json");
    let store = fixture.dir.path().join("another");
    let store = Store::open(&store, Config { credentials: Some(file.clone()), ..config() })
        .await
        .expect("a new store");
    let name = fixture.name("a:1");
    let pull =
        async || store.pull(PullRequest { name: &name, force: false, credentials: None }).await;
    let refusal = pull().await.expect_err("there is no such file").to_string();
    assert!(refusal.contains("config.json cannot be read"), "{refusal}");
    let wrong = base64::engine::general_purpose::STANDARD.encode("user:wrong");
    for (login, is_right) in [(wrong, false), (login, true)] {
        let text = json!({"auths": {fixture.fake.address.as_str(): {"auth": login}}}).to_string();
        fs::write(&file, text).expect("writing the file");
        let pulled = pull().await;
        assert_eq!(pulled.is_ok(), is_right, "{pulled:?}");
        assert!(!format!("{pulled:?}").contains("secret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_asked_first_and_the_registry_if_it_fails() {
    let (mirror, fixture) = (Fake::start(IP).await, Fixture::new().await);
    let (manifest, layers) = fixture.fake.image("a", "1", &image(0));
    let store = fixture.dir.path().join("another");
    let mut config = config();
    config
        .mirrors
        .insert(fixture.fake.address.clone(), vec!["127.50.0.3:1".into(), mirror.address.clone()]);
    config.tries_max = 1;
    let store = Store::open(&store, config).await.expect("a new store");
    let name = fixture.name("a:1");
    let pull =
        async || store.pull(PullRequest { name: &name, force: true, credentials: None }).await;
    assert!(is_whole(&pull().await.expect("the registry has it")));
    assert_eq!((mirror.count(&manifest), fixture.fake.count(&layers[0])), (1, 1));
    mirror.image("a", "1", &image(1));
    assert!(is_whole(&pull().await.expect("the mirror has it")));
    assert_eq!((mirror.count(&manifest), fixture.fake.count(&manifest)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_pull_left_is_removed_at_the_next_start() {
    let Fixture { fake, store, dir } = Fixture::new().await;
    fake.image("a", "1", &image(0));
    let name = format!("{}/a:1", fake.address);
    let prepared = store
        .pull(PullRequest { name: &name, force: false, credentials: None })
        .await
        .expect("the registry is good");
    let refusal = Store::open(dir.path(), config()).await.expect_err("it is open").to_string();
    assert!(refusal.contains("in use by another process"), "{refusal}");
    drop((store, prepared));
    // As power loss leaves it: half a download, half an unpacked layer, a layer and an index that were not yet known.
    let at = |path: &str| dir.path().join(path);
    fs::write(at("tmp/7"), b"half a download").expect("a file");
    fs::create_dir_all(at("tmp/8/usr")).expect("a directory");
    fs::create_dir_all(at("layers/0123456789abcdef/usr")).expect("a directory");
    fs::write(at("index.next"), b"{\"ima").expect("a file");
    let store = Store::open(dir.path(), config()).await.expect("it opens again");
    let again = store
        .pull(PullRequest { name: &name, force: false, credentials: None })
        .await
        .expect("it is here");
    assert!(is_whole(&again));
    assert!(
        !at("layers/0123456789abcdef").exists() && !at("tmp/7").exists() && !at("tmp/8").exists()
    );
    drop((store, again));
    fs::write(at("index.json"), br#"{"format": 99, "images": {}, "names": {}, "layers": {}}"#)
        .expect("a file");
    let refusal =
        format!("{:#}", Store::open(dir.path(), config()).await.expect_err("a later format"));
    assert!(refusal.contains("format 99") && refusal.contains("later release"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_life_goes_on_with_a_download_and_trusts_none_of_it() {
    let whole = image(0).layers.remove(0);
    let mut torn = whole[..150_000].to_vec();
    torn[4096..100_000].fill(0);
    let longer = [&whole[..], b"more"].concat();
    for (left, ranges) in [
        (&whole[..100_000], &["bytes=100000-"][..]),
        (&whole[..], &[][..]),
        (&torn[..], &["bytes=150000-", ""][..]),
        (&longer[..], &[""][..]),
    ] {
        let Fixture { fake, store, dir } = Fixture::new().await;
        drop(store);
        let (_, layers) = fake.image("a", "1", &image(0));
        let digest = layers[0].rsplit('/').next().expect("a digest").replace(':', "-");
        let partial = dir.path().join("partial").join(digest);
        fs::write(&partial, left).expect("a file");
        let store = Store::open(dir.path(), config()).await.expect("it opens again");
        let name = format!("{}/a:1", fake.address);
        let request = PullRequest { name: &name, force: false, credentials: None };
        assert!(is_whole(&store.pull(request).await.expect("the registry is good")));
        let asked = fake.asked();
        let asked = asked.iter().filter_map(|asked| asked.strip_prefix(&layers[0]));
        assert_eq!(asked.map(str::trim).collect::<Vec<_>>(), ranges, "{} bytes", left.len());
        assert!(!partial.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_ran_into_a_fault_is_gone_on_with_by_the_next() {
    let fixture = Fixture::new().await;
    let (_, layers) = fixture.fake.image("a", "1", &image(0));
    fixture.fake.fault(&layers[0], Fault::CutAfter(100_000));
    for _ in 0..3 {
        fixture.fake.fault(&layers[0], Fault::Status(503));
    }
    fixture.fails("a:1", &["layer sha256:", "503"]).await;
    assert!(is_whole(&fixture.pull("a:1").await.expect("now it is good")));
    assert_eq!(fixture.fake.asked().last(), Some(&format!("{} bytes=100000-", layers[0])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_may_bring_its_own_login() {
    let fixture = Fixture::new().await;
    fixture.fake.image("a", "1", &image(0));
    let encode = |login: &str| base64::engine::general_purpose::STANDARD.encode(login);
    fixture.fake.want_login(&format!("Basic {}", encode("user:secret")), "a-token");
    let name = fixture.name("a:1");
    for (login, is_right) in [("user:wrong", false), ("user:secret", true)] {
        let auths = json!({"auths": {fixture.fake.address.as_str(): {"auth": encode(login)}}});
        let own = auths.to_string();
        let request = PullRequest { name: &name, force: true, credentials: Some(&own) };
        assert_eq!(fixture.store.pull(request).await.is_ok(), is_right);
    }
    let request = PullRequest { name: &name, force: true, credentials: None };
    let failure = fixture.store.pull(request).await.expect_err("nobody else's login is used");
    assert!(matches!(failure, PullError::Unauthorized { .. }), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_that_was_not_used_for_longest_makes_way() {
    let Fixture { fake, store, dir } = Fixture::new().await;
    drop(store);
    for (seed, name) in ["old", "kept", "used", "new"].into_iter().enumerate() {
        fake.image(name, "1", &image(seed));
    }
    let disk = SmallDisk::mount(dir.path().join("small"), "size=1400k");
    let full = |image: &str| format!("{}/{image}:1", fake.address);
    let garbage = GarbagePolicy {
        headroom: 0.25,
        watch_interval: Duration::from_millis(50),
        excluded: vec![full("kept")],
        unused_max: None,
    };
    let config = Config { garbage, ..config() };
    let store = Store::open(&disk.0.join("store"), config).await.expect("a new store");
    let pull = async |image: &str| {
        let name = full(image);
        store.pull(PullRequest { name: &name, force: false, credentials: None }).await
    };
    drop((pull("old").await.expect("it fits"), pull("kept").await.expect("it fits")));
    let used = pull("used").await.expect("it fits");
    assert!(is_whole(&pull("new").await.expect("old makes way")));
    assert!(is_whole(&used));
    assert_eq!(store.usage().layers, 3);
    let asked = fake.count("/v2/kept/manifests/1");
    pull("kept").await.expect("it is here");
    assert_eq!(fake.count("/v2/kept/manifests/1"), asked, "it is excluded");
    // And without a pull that needs the space.
    let stop = CancellationToken::new();
    let watching = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.collect_garbage(stop).await }
    });
    fs::write(disk.0.join("filler"), vec![1; 250_000]).expect("there is so much space");
    while store.usage().layers > 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    watching.await.expect("it ends when it is told");
    drop(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_left_clean() {
    let fixture = Fixture::new().await;
    fixture.fake.image("a", "1", &image(0));
    let disk = SmallDisk::mount(fixture.dir.path().join("small"), "size=450k");
    let store = Store::open(&disk.0.join("store"), config()).await.expect("a new store");
    let name = fixture.name("a:1");
    let failure = store
        .pull(PullRequest { name: &name, force: false, credentials: None })
        .await
        .expect_err("it does not fit");
    assert!(matches!(failure, PullError::NoSpace { .. }), "{failure}");
    let text = failure.to_string();
    assert!(
        text.contains(&name) && text.contains("small/store") && text.contains("prune"),
        "{text}"
    );
    for dir in ["store/tmp", "store/partial"] {
        assert_eq!(fs::read_dir(disk.0.join(dir)).expect("the store").count(), 0);
    }
    drop(store);
}

/// A file system in memory; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, options: &str) -> Self {
        fs::create_dir(&path).expect("a directory");
        let options = std::ffi::CString::new(options).expect("text");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", path.as_path(), "tmpfs", flags, options.as_c_str())
            .expect("root may mount");
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH).expect("it was mounted");
    }
}
