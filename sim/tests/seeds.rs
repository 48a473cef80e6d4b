//! A thousand clusters in bad weather. Each failure names its seed: `cargo run -p sim -- --seed N` tells the story.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How many seeds every run of the tests tries.
const SEEDS: u64 = 1_000;

#[test]
fn a_thousand_clusters_keep_the_rules_and_settle() {
    let next = AtomicU64::new(1);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<u64> = thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if SEEDS < seed {
                    return failed;
                }
                if catch_unwind(|| sim::run(seed, false)).is_err() {
                    failed.push(seed);
                }
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a worker does not panic"))
            .collect()
    });
    assert!(
        failed.is_empty(),
        "seeds {failed:?} break a rule; replay one with `cargo run -p sim -- --seed N`"
    );
}

#[test]
fn the_same_seed_leaves_the_same_disk() {
    for seed in [1, 2, 3, 500, 9_999] {
        assert_eq!(
            sim::run(seed, false),
            sim::run(seed, false),
            "seed {seed} runs differently each time"
        );
    }
}

#[test]
fn the_weather_is_bad_enough_to_mean_something() {
    let reports: Vec<_> = (1..=20).map(|seed| sim::run(seed, false)).collect();
    let sum = |of: fn(&sim::Report) -> usize| reports.iter().map(of).sum::<usize>();
    assert!(sum(|report| report.deployments) > 100, "too few deployments: {reports:?}");
    assert!(sum(|report| report.tasks_ended) > 500, "too few tasks: {reports:?}");
    assert!(
        reports.iter().map(|report| report.masters).sum::<u64>() > 60,
        "too few crashes: {reports:?}"
    );
}
