//! Pulls in processes of their own: killed at any moment, or with programs that only they find.
//!
//! This program is started again for them, with `STORE` and `IMAGE` in its environment.

#[path = "support/fake.rs"]
mod fake;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use fake::{Fake, Fault};
use images::{Config, Prepared, PullRequest, Store};
use serde_json::json;
use support::Item::File;
use support::{Image, tar};

const IP: &str = "127.50.0.9";
const STORE: &str = "APART_STORE";
const IMAGE: &str = "APART_IMAGE";
const CREDENTIALS: &str = "APART_CREDENTIALS";
const KILLS: u32 = 12;
const LAYERS: usize = 4;
const LAYER_BYTES: usize = 200_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// Does nothing when it is run as a test.
#[tokio::test(flavor = "multi_thread")]
async fn apart() {
    let (Ok(dir), Ok(name)) = (std::env::var(STORE), std::env::var(IMAGE)) else { return };
    let credentials = std::env::var(CREDENTIALS).ok().map(Into::into);
    let config = Config { credentials, ..Config::default() };
    let store = Store::open(Path::new(&dir), config).await.expect("it opens");
    pull(&store, &name).await;
}

async fn pull(store: &Store, name: &str) -> Prepared {
    let request = PullRequest { name, force: false, credentials: None };
    store.pull(request).await.expect("the registry is good")
}

fn start(store: &Path, image: &str, more: &[(&str, &Path)]) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["apart", "--exact", "--test-threads=1"]).env(STORE, store).env(IMAGE, image);
    command.envs(more.iter().copied()).stdout(Stdio::null()).stderr(Stdio::inherit());
    command.spawn().expect("it starts")
}

/// Layers that no compression makes small, of many files.
fn image() -> Image {
    let layer = |number: usize| {
        let noise: Vec<u8> = (0..LAYER_BYTES)
            .map(|i| (i.wrapping_mul(31) ^ (i >> 7) ^ number).to_le_bytes()[0])
            .collect();
        let names: Vec<_> = (0..20).map(|file| format!("{number}/{file}")).collect();
        let files = names.iter().map(|name| File(name, 0o644, &noise[..LAYER_BYTES / 20]));
        tar(&files.collect::<Vec<_>>())
    };
    Image { layers: (0..LAYERS).map(layer).collect(), config: json!({}) }
}

fn assert_whole(prepared: &Prepared) {
    for (number, layer) in prepared.layers.iter().enumerate() {
        for file in 0..20 {
            let path = layer.join(format!("{number}/{file}"));
            let bytes = fs::metadata(&path).expect("a file of the image").len();
            assert_eq!(bytes, LAYER_BYTES as u64 / 20, "{}", path.display());
        }
    }
    assert_eq!(prepared.layers.len(), LAYERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_can_be_killed_at_any_moment() {
    let fake = Fake::start(IP).await;
    let (_, layers) = fake.image("a", "1", &image());
    let name = format!("{}/a:1", fake.address);
    // In memory: when the processes of others write, a flush of the disk takes longer than all else.
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let begun = Instant::now();
    let whole = start(&dir.path().join("whole"), &name, &[]).wait().expect("it ends");
    assert!(whole.success(), "{whole}");
    let takes = begun.elapsed();
    for kill in 0..KILLS {
        let at = dir.path().join(kill.to_string());
        let mut child = start(&at, &name, &[]);
        std::thread::sleep(takes * kill / KILLS);
        // It may have ended already.
        let _ = child.kill();
        child.wait().expect("it ends");
        let store = Store::open(&at, Config::default()).await.expect("it opens again");
        let left = fs::read_dir(at.join("tmp")).expect("a directory").count();
        assert_eq!(left, 0, "after {kill} of {KILLS}");
        let known = store.usage().layers;
        let unpacked = fs::read_dir(at.join("layers")).expect("a directory").count();
        assert_eq!(unpacked, known + 1, "one for images without layers, after {kill} of {KILLS}");
        assert_whole(&pull(&store, &name).await);
    }
    // What has arrived before the kill is not asked for again.
    let at = dir.path().join("resumed");
    fake.fault(&layers[0], Fault::HangAfter(100_000));
    let mut child = start(&at, &name, &[]);
    let digest = layers[0].rsplit('/').next().expect("the digest ends the path").replace(':', "-");
    let partial = at.join("partial").join(digest);
    let arrived = || fs::metadata(&partial).map_or(0, |about| about.len());
    let (deadline, asked) = (Instant::now() + PATIENCE, fake.asked().len());
    let others = || {
        layers[1..].iter().all(|layer| {
            fake.asked()[asked..].iter().any(|asked| asked.starts_with(layer.as_str()))
        })
    };
    while !others() || arrived() == 0 {
        assert!(Instant::now() < deadline, "it hangs too early");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().expect("it hangs");
    child.wait().expect("it ends");
    let store = Store::open(&at, Config::default()).await.expect("it opens again");
    assert_whole(&pull(&store, &name).await);
    let asked = fake.asked().split_off(asked);
    let ranges: Vec<_> = asked.iter().filter(|asked| asked.starts_with(&layers[0])).collect();
    assert_eq!(ranges.len(), 2, "{asked:?}");
    assert!(ranges[1].contains("bytes="), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_helper_is_asked_for_the_login() {
    let fake = Fake::start(IP).await;
    fake.image("a", "1", &image());
    let encoded = base64::engine::general_purpose::STANDARD.encode("user:from-the-helper");
    fake.want_login(&format!("Basic {encoded}"), "a-token");
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let helper = "#!/bin/sh\n[ \"$1\" = get ] || exit 1\nread host\n\
        printf '{\"ServerURL\": \"%s\", \"Username\": \"user\", \"Secret\": \"from-the-helper\"}' \"$host\"\n\
        printf '%s' \"$host\" > \"$(dirname \"$0\")/asked\"\n";
    fs::write(at("docker-credential-fake"), helper).expect("written");
    fs::set_permissions(at("docker-credential-fake"), fs::Permissions::from_mode(0o755))
        .expect("executable");
    let path = std::env::join_paths(
        [dir.path().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let path = path.expect("a path");
    let name = format!("{}/a:1", fake.address);
    for (number, config) in [
        json!({"credHelpers": {fake.address.as_str(): "fake"}}),
        json!({"auths": {fake.address.as_str(): {}}, "credsStore": "fake"}),
    ]
    .into_iter()
    .enumerate()
    {
        let file = at("config.json");
        fs::write(&file, config.to_string()).expect("written");
        let more = [("PATH", Path::new(&path)), (CREDENTIALS, &file)];
        let ended = start(&at(&number.to_string()), &name, &more).wait().expect("it ends");
        assert!(ended.success(), "{config}: {ended}");
        let asked = fs::read_to_string(at("asked")).expect("it was asked");
        assert_eq!(asked, fake.address, "{config}");
        fs::remove_file(at("asked")).expect("removed");
    }
}
