//! Images come out of files of this machine as they went in.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use images::{Config, GarbagePolicy, Locals, Prepared, PullError, PullRequest, Store};
use serde_json::json;
use support::Item::File;
use support::{Image, Registry, tar};

const IP: &str = "127.50.0.6";

struct Fixture {
    store: Store,
    dir: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Self::store(dir.path(), "store", Locals::default()).await;
        Self { store, dir }
    }

    async fn store(dir: &Path, name: &str, locals: Locals) -> Store {
        let garbage = GarbagePolicy::default();
        let config = Config {
            default_registry: dir.join("images").display().to_string(),
            garbage,
            locals,
            ..Config::default()
        };
        Store::open(&dir.join(name), config).await.expect("a new store")
    }

    /// What the operator allows besides the default registry.
    async fn allow(&mut self, allowed: &str) {
        let locals = Locals::only(vec![self.dir.path().join(allowed)]);
        let name = format!("store of {allowed}");
        self.store = Self::store(self.dir.path(), &name, locals).await;
    }

    async fn pull(&self, name: &str) -> Result<Prepared, PullError> {
        self.store.pull(PullRequest { name, force: true, credentials: None }).await
    }

    async fn check(&self, name: &str, version: &str) {
        let prepared = self.pull(name).await.expect(name);
        let read = |layer: usize, file: &str| fs::read_to_string(prepared.layers[layer].join(file));
        assert_eq!(read(0, "base").expect(name), "base", "{name}");
        assert_eq!(read(1, "version").expect(name), version, "{name}");
        assert_eq!(prepared.config.cmd, ["/bin/app"], "{name}");
    }

    async fn refused(&self, name: &str, parts: &[&str]) {
        let refusal = self.pull(name).await.expect_err(name);
        assert!(matches!(refusal, PullError::File { .. }), "{refusal}");
        let text = refusal.to_string();
        for part in parts.iter().chain([&name]) {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

fn image(version: &str) -> Image {
    let layers = [[File("base", 0o644, b"base")], [File("version", 0o644, version.as_bytes())]];
    Image {
        layers: layers.iter().map(|items| tar(items)).collect(),
        config: json!({"Cmd": ["/bin/app"]}),
    }
}

fn skopeo(from: &str, to: &str) {
    let done = Command::new("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", from, to])
        .output()
        .expect("skopeo is in Debian's package skopeo");
    assert!(done.status.success(), "{to}: {}", String::from_utf8_lossy(&done.stderr));
}

fn run(program: &str, args: &[&str], dir: &Path) {
    let done = Command::new(program).args(args).current_dir(dir).status().expect(program);
    assert!(done.success(), "{program} {args:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn layouts_and_saved_archives_are_images() {
    let (registry, mut fixture) = (Registry::start(IP).await, Fixture::new().await);
    for version in ["1", "2"] {
        registry.push("app", version, &image(version)).await;
    }
    let dir = fixture.dir.path().to_owned();
    let dir = dir.as_path();
    let at = |name: &str| dir.join(name).display().to_string();
    fs::create_dir(dir.join("images")).expect("a directory");
    let from = |tag: &str| format!("docker://{}/app:{tag}", registry.address);
    skopeo(&from("1"), &format!("oci:{}:one", at("layout")));
    skopeo(&from("2"), &format!("oci:{}:two", at("layout")));
    skopeo(&from("1"), &format!("oci-archive:{}", at("layout.tar")));
    skopeo(&from("1"), &format!("docker-archive:{}:team/app:1", at("saved.tar")));
    skopeo(&from("2"), &format!("docker-archive:{}:team/app:2", at("second.tar")));
    // As the directory is found by names: skopeo takes no colon there.
    fs::rename(dir.join("second.tar"), dir.join("images/app:2.tar")).expect("renamed");
    run("gzip", &["-k", "saved.tar"], dir);
    drop(registry);
    fixture.check(&format!("file://{}#one", at("layout")), "1").await;
    fixture.check(&format!("file://{}#two", at("layout")), "2").await;
    for archive in ["layout.tar", "saved.tar", "saved.tar.gz"] {
        fixture.check(&format!("file://{}", at(archive)), "1").await;
    }
    fixture.check(&format!("file://{}#app:1", at("saved.tar")), "1").await;
    fixture.check("app:2", "2").await;
    let (layout, saved) =
        (format!("file://{}", at("layout")), format!("file://{}", at("saved.tar")));
    fixture.refused(&layout, &["several images", "one, two"]).await;
    fixture.refused(&format!("{saved}#app:3"), &["no app:3", "team/app:1"]).await;
    fixture.refused("app:3", &["app:3.tar", "No such file"]).await;
    fixture.refused(&format!("file://{}", at("images")), &["neither an OCI layout nor"]).await;
    fixture.allow("layout").await;
    fixture.check(&format!("{layout}#one"), "1").await;
    fixture.check("app:2", "2").await;
    fixture.refused(&saved, &["(host_volumes)"]).await;
    fs::rename(dir.join("layout/index.json"), dir.join("index.json")).expect("moved");
    std::os::unix::fs::symlink("../index.json", dir.join("layout/index.json")).expect("a link");
    fixture.refused(&format!("{layout}#two"), &["(host_volumes)"]).await;
    fixture.allow(".").await;
    fixture.check(&format!("{layout}#two"), "2").await;
    let blobs = fs::read_dir(dir.join("layout/blobs/sha256")).expect("blobs");
    for blob in blobs {
        let blob = blob.expect("an entry").path();
        let mut bytes = fs::read(&blob).expect("a blob");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&blob, bytes).expect("written");
    }
    fixture.refused(&format!("{layout}#one"), &["is damaged"]).await;
    assert!(fs::read_dir(dir.join("store of ./tmp")).expect("the store").next().is_none());
}
