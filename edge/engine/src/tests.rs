//! What the engine promises, tried with a stand-in for the cluster.

mod agents;
mod standin;

use std::time::Duration;

use model::id::Term;
use services::Reply;

use crate::notices::Lagged;
use crate::{CallError, Ended, Engine};
use standin::{Fate, Fated, count, order, start};

/// Long enough for the slowest machine, short enough for a person.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the condition holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn call(engine: &Engine, app: &str) -> Result<Reply, CallError> {
    tokio::time::timeout(PATIENCE, engine.handle().call(order(app))).await.expect("an answer")
}

#[tokio::test]
async fn nothing_is_seen_or_answered_before_it_is_durable() {
    let store = Fated::default();
    let engine = start(&store);
    let mut notices = engine.handle().notices();
    let release = store.hold();
    let handle = engine.handle();
    let asked = tokio::spawn(async move { handle.call(order("/a")).await });
    let early = tokio::time::timeout(Duration::from_millis(100), notices.next()).await;
    assert!(early.is_err() && !asked.is_finished() && count(&engine, "/a") == 0);
    release.send(()).expect("the commit waits");
    assert_eq!(asked.await.expect("no panic"), Ok(Reply::Done));
    assert_eq!(count(&engine, "/a"), 1, "the snapshot is published before the answer");
    assert_eq!(notices.next().await.expect("a notice").0, 0);
    assert_eq!(engine.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn a_refusal_reaches_its_caller() {
    let engine = start(&Fated::default());
    assert!(matches!(call(&engine, "/refused").await, Err(CallError::Refused(_))));
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart_under_a_new_term() {
    let store = Fated::default();
    let engine = start(&store);
    assert_eq!(call(&engine, "/a").await, Ok(Reply::Done));
    let handle = engine.handle();
    engine.stop().await;
    assert_eq!(handle.call(order("/a")).await, Err(CallError::Stopped));
    let engine = start(&store);
    assert_eq!((count(&engine, "/a"), engine.handle().read().kernel.term), (1, Term(2)));
}

#[tokio::test]
async fn notices_continue_their_snapshot_without_a_gap() {
    let engine = start(&Fated::default());
    assert_eq!(call(&engine, "/a").await, Ok(Reply::Done));
    let mut notices = engine.handle().notices();
    assert_eq!(notices.position(), 1);
    assert!(notices.view().kernel.weights.contains_key(&model::id::Role::new("/a")));
    for nth in 1..50 {
        assert_eq!(call(&engine, "/b").await, Ok(Reply::Done));
        assert_eq!(notices.next().await.map(|(position, _)| position), Ok(nth));
    }
}

#[tokio::test]
async fn a_subscriber_that_falls_out_of_the_ring_is_cut() {
    let engine = start(&Fated::default());
    let mut slow = engine.handle().notices();
    assert_eq!(call(&engine, "/many").await, Ok(Reply::Done));
    assert_eq!(slow.next().await.map(|(position, _)| position), Err(Lagged));
    let mut fresh = engine.handle().notices();
    assert_eq!(call(&engine, "/a").await, Ok(Reply::Done));
    assert!(fresh.next().await.is_ok());
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_resumes() {
    let store = Fated::default();
    let engine = start(&store);
    assert_eq!(call(&engine, "/a").await, Ok(Reply::Done));
    *store.is_full.lock().expect("unpoisoned") = true;
    assert_eq!(call(&engine, "/b").await, Err(CallError::NoSpace));
    assert_eq!(call(&engine, "/b").await, Err(CallError::NoSpace));
    assert_eq!((count(&engine, "/a"), count(&engine, "/b")), (1, 0));
    *store.is_full.lock().expect("unpoisoned") = false;
    until("a new term", || engine.handle().read().kernel.term == Term(2)).await;
    assert_eq!(call(&engine, "/b").await, Ok(Reply::Done));
    assert_eq!((count(&engine, "/a"), count(&engine, "/b")), (1, 1));
}

#[tokio::test]
async fn after_a_failed_commit_the_store_is_right_and_subscribers_start_over() {
    let store = Fated::default();
    let engine = start(&store);
    let mut notices = engine.handle().notices();
    store.next(Fate::Torn);
    assert_eq!(call(&engine, "/a").await, Err(CallError::NotLeading));
    until("a new term", || engine.handle().read().kernel.term == Term(2)).await;
    assert_eq!(count(&engine, "/a"), 1, "it was durable after all");
    assert_eq!(notices.next().await.map(drop), Err(Lagged));
    assert_eq!(call(&engine, "/a").await, Ok(Reply::Done));
    assert_eq!(count(&engine, "/a"), 2);
}

#[tokio::test]
async fn an_input_that_hits_a_fault_is_set_aside_and_the_rest_goes_on() {
    let engine = start(&Fated::default());
    assert_eq!(call(&engine, "/a").await, Ok(Reply::Done));
    assert_eq!(call(&engine, "/stumble").await, Err(CallError::NotLeading));
    assert_eq!(call(&engine, "/a").await, Ok(Reply::Done));
    assert!(matches!(call(&engine, "/stumble").await, Err(CallError::Quarantined { .. })));
    assert_eq!(call(&engine, "/stumble-else").await, Err(CallError::NotLeading));
    assert_eq!(call(&engine, "/a").await, Ok(Reply::Done));
    assert_eq!(count(&engine, "/a"), 3);
}

#[tokio::test]
async fn two_faults_without_a_commit_between_them_stop_the_engine() {
    let engine = start(&Fated::default());
    assert_eq!(call(&engine, "/stumble").await, Err(CallError::NotLeading));
    assert_eq!(call(&engine, "/stumble-else").await, Err(CallError::NotLeading));
    let ended = tokio::time::timeout(PATIENCE, engine.ended()).await.expect("it ends");
    assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
    assert_eq!(call(&engine, "/a").await, Err(CallError::Stopped));
}

#[tokio::test]
async fn who_steps_down_carries_out_what_came_before_and_leads_again() {
    let store = Fated::default();
    let engine = start(&store);
    let mut notices = engine.handle().notices();
    let release = store.hold();
    let ask = |app: &'static str| {
        let handle = engine.handle();
        tokio::spawn(async move { handle.call(order(app)).await })
    };
    let before = ask("/a");
    tokio::task::yield_now().await;
    let (one, two) = (engine.handle(), engine.handle());
    let abdicated = tokio::spawn(async move { tokio::join!(one.abdicate(), two.abdicate()) });
    tokio::task::yield_now().await;
    let after = ask("/b");
    tokio::task::yield_now().await;
    release.send(()).expect("the commit waits");
    assert_eq!(abdicated.await.expect("no panic"), (Ok(()), Ok(())));
    assert_eq!(before.await.expect("no panic"), Ok(Reply::Done));
    assert_eq!(after.await.expect("no panic"), Ok(Reply::Done));
    assert!(engine.handle().read().kernel.term > Term(1));
    assert_eq!((count(&engine, "/a"), count(&engine, "/b")), (1, 1));
    while notices.next().await.is_ok() {}
    assert_eq!(engine.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn many_callers_share_few_commits() {
    let store = Fated::default();
    let engine = start(&store);
    let release = store.hold();
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let handle = engine.handle();
            tokio::spawn(async move { handle.call(order("/a")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(release);
    for call in calls {
        assert_eq!(call.await.expect("no panic"), Ok(Reply::Done));
    }
    assert_eq!(count(&engine, "/a"), 500);
    let commits = store.commits.load(std::sync::atomic::Ordering::Relaxed);
    assert!(commits < 50, "{commits}");
}
