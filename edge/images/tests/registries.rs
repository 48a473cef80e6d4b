//! What registries may do, and do: tokens that run out, other hosts, other media types, too much of everything.

#[path = "support/fake.rs"]
mod fake;
mod support;

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine;
use fake::{Fake, Fault};
use images::{Config, Prepared, PullError, PullRequest, Store};
use serde_json::{Value, json};
use support::Item::File;
use support::{Image, OCI_INDEX, OCI_MANIFEST, digest, tar};

const IP: &str = "127.74.0.5";
const MIB: usize = 1 << 20;

struct Fixture {
    fake: Fake,
    store: Store,
    _dir: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(dir.path(), Config::default()).await.expect("a new store");
        Self { fake: Fake::start(IP).await, store, _dir: dir }
    }

    async fn pull(&self, image: &str) -> Result<Prepared, PullError> {
        let name = format!("{}/{image}", self.fake.address);
        self.store.pull(PullRequest { name: &name, force: true, credentials: None }).await
    }

    /// With the login that the registry wants.
    async fn pull_as(&self, image: &str, login: &str) -> Result<Prepared, PullError> {
        let name = format!("{}/{image}", self.fake.address);
        let auths = json!({"auths": {self.fake.address.as_str(): {"auth": login}}}).to_string();
        let request = PullRequest { name: &name, force: true, credentials: Some(&auths) };
        self.store.pull(request).await
    }

    fn manifest(&self, image: &str, media_type: &str, manifest: &Value) -> String {
        let path = format!("/v2/{image}/manifests/1");
        self.fake.file(&path, media_type, manifest.to_string().as_bytes());
        path
    }

    async fn fails(&self, image: &str, parts: &[&str]) {
        let failure = self.pull(image).await.expect_err("it is refused").to_string();
        for part in parts {
            assert!(failure.contains(part), "{part} in {failure}");
        }
    }
}

fn image(contents: &str) -> Image {
    Image { layers: vec![tar(&[File("file", 0o644, contents.as_bytes())])], config: json!({}) }
}

fn contents(prepared: &Prepared) -> String {
    fs::read_to_string(prepared.layers[0].join("file")).expect("the layer has a file")
}

fn login() -> String {
    base64::engine::general_purpose::STANDARD.encode("user:secret")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_runs_out_in_the_middle_of_a_pull_is_renewed() {
    let fixture = Fixture::new().await;
    let (manifest, layers) = fixture.fake.image("a", "1", &image("a"));
    fixture.fake.want_login(&format!("Basic {}", login()), "first");
    fixture.fake.fault(&manifest, Fault::NewToken("second".into()));
    fixture.fake.fault(&layers[0], Fault::NewToken("third".into()));
    let prepared = fixture.pull_as("a:1", &login()).await.expect("it logs in again");
    assert_eq!(contents(&prepared), "a");
    assert_eq!(fixture.fake.count("/token"), 3, "{:?}", fixture.fake.asked());
    let wrong = base64::engine::general_purpose::STANDARD.encode("user:wrong");
    let refusal = fixture.pull_as("a:1", &wrong).await.expect_err("not for ever");
    assert!(matches!(refusal, PullError::Unauthorized { .. }), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_does_not_go_along_to_another_host() {
    let (fixture, other) = (Fixture::new().await, Fake::start("127.74.0.6").await);
    let image = image("a");
    let (_, layers) = fixture.fake.image("a", "1", &image);
    other.file("/bucket", "application/octet-stream", &image.layers[0]);
    fixture.fake.want_login(&format!("Basic {}", login()), "a-token");
    fixture.fake.fault(&layers[0], Fault::Moved(format!("http://{}/bucket", other.address)));
    let prepared = fixture.pull_as("a:1", &login()).await.expect("it is followed");
    assert_eq!((contents(&prepared).as_str(), other.count("/bucket")), ("a", 1));
    assert_eq!(other.shown(), [""]);
    assert!(fixture.fake.shown().contains(&"Bearer a-token".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_registry_is_left_alone_for_as_long_as_it_says() {
    let fixture = Fixture::new().await;
    let (manifest, layers) = fixture.fake.image("a", "1", &image("a"));
    fixture.fake.fault(&manifest, Fault::Busy(1));
    fixture.fake.fault(&layers[0], Fault::Busy(2));
    let begun = Instant::now();
    assert_eq!(contents(&fixture.pull("a:1").await.expect("it is not busy for ever")), "a");
    assert!(begun.elapsed() >= Duration::from_secs(3));
    fixture.fake.fault(&manifest, Fault::Busy(3600));
    fixture.fails("a:1", &["the manifest", "429", "left alone for 3600 s"]).await;
    assert_eq!(fixture.fake.count(&manifest), 3, "it is not asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_would_fill_the_memory_is_not_read() {
    let fixture = Fixture::new().await;
    let (manifest, _) = fixture.fake.image("a", "1", &image("a"));
    fixture.fake.fault(&manifest, Fault::Instead(vec![b' '; 4 * MIB + 1]));
    fixture.fails("a:1", &["the manifest", "more than 4194304 bytes"]).await;
    let config = format!("/v2/a/blobs/{}", digest(&image("a").config_bytes()));
    fixture.fake.fault(&config, Fault::Instead(vec![b' '; MIB]));
    fixture.fails("a:1", &["the config", "bytes promised"]).await;
    let mut absurd = image("a").manifest();
    absurd["config"]["size"] = json!(5 * MIB);
    fixture.manifest("b", OCI_MANIFEST, &absurd);
    fixture.fails("b:1", &["the config", "5242880 bytes"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_list_the_variant_is_taken_that_runs_here() {
    let fixture = Fixture::new().await;
    let here = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let choice = |contents: &str, architecture: &str, variant: Option<&str>| {
        let image = image(contents);
        fixture.fake.image("list", contents, &image);
        let bytes = serde_json::to_vec(&image.manifest()).expect("plain data");
        let path = format!("/v2/list/manifests/{}", digest(&bytes));
        fixture.fake.file(&path, OCI_MANIFEST, &bytes);
        let mut platform = json!({"os": "linux", "architecture": architecture});
        if let Some(variant) = variant {
            platform["variant"] = variant.into();
        }
        json!({
            "mediaType": OCI_MANIFEST, "digest": digest(&bytes), "size": bytes.len(),
            "platform": platform,
        })
    };
    let check = async |choices: &[Value], expected: Result<&str, &str>| {
        let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": choices});
        fixture.manifest("list", OCI_INDEX, &list);
        match (fixture.pull("list:1").await, expected) {
            (Ok(prepared), expected) => assert_eq!(Ok(contents(&prepared).as_str()), expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (Err(error), Ok(_)) => panic!("{error}"),
        }
    };
    let foreign = choice("foreign", "s390x", None);
    let (v8, v9) = (choice("v8", here, Some("v8")), choice("v9", here, Some("v9")));
    check(&[foreign.clone(), v9.clone(), v8], Ok("v8")).await;
    check(&[foreign.clone(), v9], Ok("v9")).await;
    check(&[foreign], Err("linux/s390x")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_known_by_its_bytes_whatever_its_media_type_says() {
    let fixture = Fixture::new().await;
    let plain = tar(&[File("file", 0o644, b"contents")]);
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).expect("memory can be written");
        gzip.finish().expect("memory can be written")
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("memory can be written");
    // As zstd:chunked has them: frames for parts of the archive, and one to be skipped, with where they are.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"toc!"].concat();
    let chunked = [zstd(&plain[..700]), zstd(&plain[700..]), skipped].concat();
    // As eStargz has them: a member for each part, and one that is empty.
    let members = [gzip(&plain[..700]), gzip(&plain[700..]), gzip(b"")].concat();
    for (name, media_type, layer) in [
        ("chunked", "application/vnd.oci.image.layer.v1.tar+zstd", chunked),
        ("members", "application/vnd.oci.image.layer.v1.tar+gzip", members),
        ("foreign", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gzip(&plain)),
        ("lie", "application/vnd.oci.image.layer.v1.tar+gzip", plain.clone()),
        ("old", "application/vnd.oci.image.layer.nondistributable.v1.tar", plain.clone()),
    ] {
        let image = Image { layers: vec![layer], config: json!({}) };
        fixture.fake.image(name, "1", &image);
        let mut manifest = image.manifest();
        manifest["layers"][0]["mediaType"] = media_type.into();
        fixture.manifest(name, OCI_MANIFEST, &manifest);
        let prepared = fixture.pull(&format!("{name}:1")).await.expect(name);
        assert_eq!(contents(&prepared), "contents", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_not_what_the_registry_says_it_is_is_refused() {
    let fixture = Fixture::new().await;
    let (_, layers) = fixture.fake.image("a", "1", &image("a"));
    let elsewhere = format!("a@{}", digest(b"something else"));
    let path = format!("/v2/a/manifests/{}", digest(b"something else"));
    let manifest = serde_json::to_vec(&image("a").manifest()).expect("plain data");
    fixture.fake.file(&path, OCI_MANIFEST, &manifest);
    fixture.fails(&elsewhere, &["the manifest", &digest(&manifest)]).await;
    assert_eq!(fixture.fake.count(&layers[0]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_layers_come_first() {
    let fixture = Fixture::new().await;
    let layers = (1..=5).map(|size| tar(&[File("file", 0o644, &vec![b'a'; size * 10_000])]));
    let image = Image { layers: layers.collect(), config: json!({}) };
    let (_, paths) = fixture.fake.image("a", "1", &image);
    fixture.pull("a:1").await.expect("the registry is good");
    let asked = fixture.fake.asked();
    let place = |path: &String| asked.iter().position(|asked| asked == path).expect("it was asked");
    let places: Vec<_> = paths.iter().map(place).collect();
    // Three at a time are downloaded.
    assert!(places[2..].iter().max() < places[..2].iter().min(), "{places:?}");
}
