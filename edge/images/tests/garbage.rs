//! Images that nobody needs: by their age, by name, and in spite of names that are none.

#[path = "support/fake.rs"]
mod fake;
mod support;

use std::path::Path;
use std::time::Duration;

use fake::Fake;
use images::{Config, GarbagePolicy, PullRequest, Store};
use serde_json::json;
use support::Item::File;
use support::{Image, tar};
use tokio_util::sync::CancellationToken;

const IP: &str = "127.50.0.9";
const NO_NAME: &str = "Not A Name";

async fn registry() -> Fake {
    let fake = Fake::start(IP).await;
    for name in ["a", "b"] {
        let layers = vec![tar(&[File("file", 0o644, name.as_bytes())])];
        fake.image(name, "1", &Image { layers, config: json!({}) });
    }
    fake
}

/// With both images, which nobody uses.
async fn store(fake: &Fake, dir: &Path, garbage: GarbagePolicy) -> Store {
    let store = Store::open(dir, Config { garbage, ..Config::default() }).await.expect("a store");
    for name in ["a", "b"] {
        let name = full(fake, name);
        let request = PullRequest { name: &name, force: false, credentials: None };
        drop(store.pull(request).await.expect("pulled"));
    }
    assert_eq!(store.usage().images, 2);
    store
}

fn full(fake: &Fake, image: &str) -> String {
    format!("{}/{image}:1", fake.address)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_used_for_too_long_goes_however_much_is_free() {
    let (fake, dir) = (registry().await, tempfile::tempdir().expect("a directory"));
    let garbage = GarbagePolicy {
        headroom: 0.0,
        watch_interval: Duration::from_millis(50),
        excluded: vec![full(&fake, "a")],
        unused_max: Some(Duration::ZERO),
    };
    let store = store(&fake, dir.path(), garbage).await;
    let stop = CancellationToken::new();
    let watching = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move { store.collect_garbage(stop).await }
    });
    while store.usage().images > 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    watching.await.expect("it ends when it is told");
    let usage = store.prune_but(&[full(&fake, "a")], &[]).await.expect("pruned");
    assert_eq!(usage.images, 1, "the excluded one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_none_is_refused_from_who_says_it_and_does_not_hold_up_the_others() {
    let (fake, dir) = (registry().await, tempfile::tempdir().expect("a directory"));
    let bad = GarbagePolicy { excluded: vec![NO_NAME.to_owned()], ..GarbagePolicy::default() };
    let config = Config { garbage: bad, ..Config::default() };
    let refused = Store::open(&dir.path().join("other"), config).await.expect_err("no name");
    assert!(format!("{refused:#}").contains("excluded_images"), "{refused:#}");
    let store = store(&fake, dir.path(), GarbagePolicy::default()).await;
    store.prune_but(&[NO_NAME.to_owned()], &[]).await.expect_err("no name");
    assert_eq!(store.usage().images, 2);
    let in_use = [NO_NAME.to_owned(), full(&fake, "b")];
    assert_eq!(store.prune_but(&[], &in_use).await.expect("pruned").images, 1);
}
