//! Layers from other agents: the registry is spared, nothing wrong gets in, and nobody gets what is not for them.

#[path = "support/fake.rs"]
mod fake;
mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use fake::{Fake, Fault};
use images::{Config, GarbagePolicy, LEDGER_PATH, Ledger, NotGiven, PullRequest, Sharing, Store};
use serde_json::{Value, json};
use support::Item::File;
use support::{Image, tar};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const IP: &str = "127.50.0.8";
const LAYER_BYTES: usize = 300_000;
/// Of a store that nobody talks to.
const OURS: &str = "127.50.0.8:1";
const PATIENCE: Duration = Duration::from_secs(60);

/// A master's list, which ends when this is dropped.
struct Master {
    address: String,
    server: JoinHandle<()>,
    client: reqwest::Client,
}

impl Drop for Master {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Master {
    async fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("a loopback address");
        let address = listener.local_addr().expect("bound").to_string();
        let router = Ledger::new().expect("a secret").router();
        let server =
            tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, server, client: reqwest::Client::new() }
    }

    async fn write(&self, letter: &Value) -> (u16, Value) {
        let url = format!("http://{}{LEDGER_PATH}", self.address);
        let answer = self.client.post(url).json(letter).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Another agent says what it has.
    async fn note(&self, address: &str, digest: &str) {
        let holder = json!({"address": address, "token": "a-token"});
        let letter = json!({"holder": holder, "has": [digest], "wants": []});
        assert_eq!(self.write(&letter).await.0, 200);
    }

    /// Another agent asks who has a layer.
    async fn holders(&self, digest: &str) -> Value {
        let holder = json!({"address": "127.0.0.1:1", "token": "another"});
        let letter = json!({"holder": holder, "has": [], "wants": [digest]});
        self.write(&letter).await.1["holders"][digest].take()
    }
}

fn image(seed: usize) -> Image {
    let noise: Vec<u8> =
        (0..LAYER_BYTES).map(|i| (i.wrapping_mul(31) ^ (i >> 7) ^ seed).to_le_bytes()[0]).collect();
    Image { layers: vec![tar(&[File("noise", 0o644, &noise)])], config: json!({}) }
}

async fn open(dir: &Path, master: &Master, kept_bytes_max: u64) -> Store {
    let sharing = Sharing {
        master: master.address.clone(),
        address: OURS.to_owned(),
        kept_bytes_max,
        given_max: 1,
    };
    let watch_interval = Duration::from_millis(50);
    let garbage = GarbagePolicy { watch_interval, headroom: 0.0, ..GarbagePolicy::default() };
    let config = Config { sharing: Some(sharing), garbage, ..Config::default() };
    Store::open(dir, config).await.expect("a store")
}

/// What a pull asks of a registry and of another agent that has the layer, but in this way; and that it succeeds.
async fn check(fault: Option<Fault>, of_registry: &[&str], of_holder: &[&str]) {
    let told = format!("{fault:?}");
    let (registry, holder) = (Fake::start(IP).await, Fake::start(IP).await);
    let (master, dir) =
        (Master::start(&format!("{IP}:0")).await, tempfile::tempdir().expect("made"));
    let image = image(0);
    let (_, layers) = registry.image("a", "1", &image);
    let digest = support::digest(&image.layers[0]);
    let at_holder = format!("/layers/{digest}");
    holder.file(&at_holder, "application/octet-stream", &image.layers[0]);
    if let Some(fault) = fault {
        holder.fault(&at_holder, fault);
    }
    master.note(&holder.address, &digest).await;
    let store = open(dir.path(), &master, u64::MAX).await;
    let name = format!("{}/a:1", registry.address);
    let request = PullRequest { name: &name, force: false, credentials: None };
    let pulled = store.pull(request).await.expect("the registry is good");
    let noise = fs::metadata(pulled.layers[0].join("noise")).expect("a file");
    assert_eq!(noise.len(), LAYER_BYTES as u64);
    let asked = |fake: &Fake, path: &str| -> Vec<String> {
        let asked = fake.asked().into_iter().filter(|asked| asked.contains(path));
        asked.map(|asked| asked.replace(path, "").trim().to_owned()).collect()
    };
    assert_eq!(asked(&registry, &layers[0]), of_registry, "{told}");
    assert_eq!(asked(&holder, &at_holder), of_holder, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agent_spares_the_registry_unless_it_fails() {
    check(None, &["HEAD"], &[""]).await;
    check(Some(Fault::Status(503)), &["HEAD", ""], &[""]).await;
    check(Some(Fault::CutAfter(100_000)), &["HEAD", "bytes=100000-"], &[""]).await;
    let wrong = vec![7; image(0).layers[0].len()];
    check(Some(Fault::Instead(wrong)), &["HEAD", ""], &[""]).await;
    let longer = vec![7; 1_000_000];
    check(Some(Fault::Instead(longer)), &["HEAD", ""], &[""]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_does_not_give_others_are_not_asked_for() {
    let (registry, holder) = (Fake::start(IP).await, Fake::start(IP).await);
    let (master, dir) =
        (Master::start(&format!("{IP}:0")).await, tempfile::tempdir().expect("made"));
    let image = image(0);
    let digest = support::digest(&image.layers[0]);
    holder.file(&format!("/layers/{digest}"), "application/octet-stream", &image.layers[0]);
    master.note(&holder.address, &digest).await;
    // A manifest that names a layer which is not in its repository: of somebody who knows its digest.
    let manifest = serde_json::to_vec(&image.manifest()).expect("plain data");
    registry.file("/v2/a/manifests/1", support::OCI_MANIFEST, &manifest);
    let config = image.config_bytes();
    registry.file(&format!("/v2/a/blobs/{}", support::digest(&config)), "text/plain", &config);
    let store = open(dir.path(), &master, u64::MAX).await;
    let name = format!("{}/a:1", registry.address);
    let request = PullRequest { name: &name, force: false, credentials: None };
    let failure = store.pull(request).await.expect_err("it is not there").to_string();
    assert!(failure.contains(&digest), "{failure}");
    assert_eq!(holder.asked(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_given_to_who_knows_the_token_while_there_is_room_for_it() {
    let (registry, dir) = (Fake::start(IP).await, tempfile::tempdir().expect("made"));
    let mut master = Master::start(&format!("{IP}:0")).await;
    let sizes: Vec<_> = (0..2).map(|seed| image(seed).layers[0].len() as u64).collect();
    let store = open(dir.path(), &master, sizes[0] + sizes[1] - 1).await;
    let digests: Vec<_> = (0..2).map(|seed| support::digest(&image(seed).layers[0])).collect();
    let pull = async |seed: usize, tag: &str| {
        registry.image("a", tag, &image(seed));
        let name = format!("{}/a:{tag}", registry.address);
        let request = PullRequest { name: &name, force: false, credentials: None };
        store.pull(request).await.expect("the registry is good")
    };
    drop(pull(0, "0").await);
    let holders = master.holders(&digests[0]).await;
    assert_eq!(holders[0]["address"], OURS, "{holders}");
    let token = holders[0]["token"].as_str().expect("a token").to_owned();
    assert_eq!(store.give(&digests[0], "guessed").expect_err("a stranger"), NotGiven::Stranger);
    assert_eq!(store.give("../index.json", &token).expect_err("no layer"), NotGiven::Absent);
    let given = store.give(&digests[0], &token).expect("it is kept");
    assert_eq!(given.bytes, sizes[0]);
    assert_eq!(store.give(&digests[0], &token).expect_err("one at a time"), NotGiven::Busy);
    drop(given);
    // The oldest makes way.
    drop(pull(1, "1").await);
    assert_eq!(store.give(&digests[0], &token).expect_err("it made way"), NotGiven::Absent);
    drop(store.give(&digests[1], &token).expect("the newest stays"));
    // A master that begins anew is told again.
    let address = master.address.clone();
    drop(master);
    master = again(&address).await;
    let stop = CancellationToken::new();
    let watching = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.collect_garbage(stop).await }
    });
    let told = async {
        while master.holders(&digests[1]).await[0]["address"] != OURS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it is told");
    stop.cancel();
    watching.await.expect("it ends when it is told");
    // What nobody needs is not kept for others.
    store.prune(&[]).await.expect("pruned");
    assert_eq!(store.give(&digests[1], &token).expect_err("pruned"), NotGiven::Absent);
}

/// Where another has just ended.
async fn again(address: &str) -> Master {
    let bound = async {
        while TcpListener::bind(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, bound).await.expect("the address is free again");
    Master::start(address).await
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_cannot_be_are_refused() {
    let master = Master::start(&format!("{IP}:0")).await;
    let check = async |address: &str, has: Vec<String>, status: u16| {
        let holder = json!({"address": address, "token": "t"});
        let letter = json!({"holder": holder, "has": has, "wants": []});
        assert_eq!(master.write(&letter).await.0, status, "{address}");
    };
    check("127.0.0.1:5051", vec!["sha256:a".to_owned()], 200).await;
    check("somewhere/else", vec![], 400).await;
    check("127.0.0.1:5051", vec!["a".repeat(1000)], 400).await;
    check("127.0.0.1:5051", vec!["a".to_owned(); 2000], 413).await;
}
