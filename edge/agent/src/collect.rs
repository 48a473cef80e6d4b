//! Sandboxes of ended tasks: kept for a while, and for a shorter while the fuller the disk is. As Mesos does it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use model::id::ContainerId;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::gauges::Gauges;
use crate::projects::Projects;
use crate::sandbox::{self, Sandboxes};

/// From one look at the disk to the next.
const DISK_WATCH_INTERVAL: Duration = Duration::from_secs(60);

/// A sandbox that nobody writes to any more.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) sandbox: PathBuf,
    pub(crate) after: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// How long a sandbox stays while there is plenty of space.
    pub(crate) delay: Duration,
    /// The share of the disk that is kept free.
    pub(crate) headroom: f64,
}

impl Policy {
    /// How long sandboxes may stay while so much of the disk is in use, as a share of it.
    pub(crate) fn age_max(self, used: f64) -> Duration {
        self.delay.mul_f64((1.0 - self.headroom - used).max(0.0))
    }
}

/// Removes what is due until nobody can add to it any more.
pub(crate) async fn collect(
    (dir, projects): (PathBuf, Projects),
    policy: Policy,
    mut added: mpsc::UnboundedReceiver<Due>,
    gauges: Gauges,
) {
    let mut queue = Queue::default();
    let mut watch = interval(DISK_WATCH_INTERVAL);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        gauges.due(queue.0.len());
        let first = queue.0.first_key_value().map(|((at, _), _)| *at);
        tokio::select! {
            due = added.recv() => match due {
                Some(due) => queue.add(due),
                None => return,
            },
            _ = watch.tick() => {
                let early = policy.delay.saturating_sub(policy.age_max(used(&dir)));
                remove_all(queue.take(Instant::now() + early), (&projects, &gauges)).await;
            }
            () = sleep_until(first.unwrap_or_else(Instant::now)), if first.is_some() => {
                remove_all(queue.take(Instant::now()), (&projects, &gauges)).await;
            }
        }
    }
}

/// By the time at which they go; sandboxes of one moment in the order in which they came.
#[derive(Debug, Default)]
struct Queue(BTreeMap<(Instant, u64), PathBuf>, u64);

impl Queue {
    fn add(&mut self, due: Due) {
        self.1 += 1;
        self.0.insert((Instant::now() + due.after, self.1), due.sandbox);
    }

    /// All that go before `until`.
    fn take(&mut self, until: Instant) -> Vec<PathBuf> {
        let later = self.0.split_off(&(until, u64::MAX));
        std::mem::replace(&mut self.0, later).into_values().collect()
    }
}

/// The share of the file system of `dir` that is in use; 0 if it does not say.
pub(crate) fn used(dir: &Path) -> f64 {
    let Ok(disk) = rustix::fs::statvfs(dir) else { return 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
    let share = |blocks: u64| blocks as f64 / disk.f_blocks.max(1) as f64;
    1.0 - share(disk.f_bfree)
}

async fn remove_all(sandboxes: Vec<PathBuf>, (projects, gauges): (&Projects, &Gauges)) {
    for sandbox in sandboxes {
        let (at, projects) = (sandbox.clone(), projects.clone());
        let remove = move || {
            projects.release(&at);
            sandbox::remove(&at)
        };
        let removed = spawn_blocking(remove).await;
        let removed = removed.map_err(std::io::Error::other).flatten();
        gauges.removed(&removed);
        match removed {
            Ok(()) => tracing::info!(sandbox = %sandbox.display(), "sandbox removed"),
            Err(cause) => {
                tracing::warn!(sandbox = %sandbox.display(), %cause, "sandbox cannot be removed");
            }
        }
    }
}

/// Sandboxes of which no task is held: an earlier life of the agent ended before they were removed. Blocks.
pub(crate) fn left_over(
    sandboxes: &Sandboxes,
    is_held: impl Fn(&ContainerId) -> bool,
    delay: Duration,
) -> Vec<Due> {
    let all = sandboxes.all().into_iter().chain(sandboxes.nested());
    let free = all.filter(|sandbox| {
        let name = sandbox.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| !is_held(&ContainerId::new(name)))
    });
    free.map(|sandbox| {
        let written = std::fs::metadata(&sandbox).and_then(|about| about.modified());
        let age = SystemTime::now().duration_since(written.unwrap_or_else(|_| SystemTime::now()));
        Due { sandbox, after: delay.saturating_sub(age.unwrap_or_default()) }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_the_disk_the_sooner_sandboxes_go() {
        let policy = Policy { delay: Duration::from_secs(1000), headroom: 0.1 };
        let check = |used: f64, secs: f64| {
            let age = policy.age_max(used).as_secs_f64();
            assert!((age - secs).abs() < 0.001, "{used}: {age}");
        };
        check(0.0, 900.0);
        check(0.5, 400.0);
        check(0.9, 0.0);
        check(1.0, 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sandbox_goes_when_its_time_has_come() {
        let dir = tempfile::tempdir().expect("a directory");
        let runs = dir.path().join("f/e/t/runs");
        let sandbox = |name: &str| runs.join(name);
        for name in ["soon", "late"] {
            std::fs::create_dir_all(sandbox(name)).expect("made");
        }
        let (add, added) = mpsc::unbounded_channel();
        let policy = Policy { delay: Duration::from_secs(100_000), headroom: -10.0 };
        for (name, secs) in [("soon", 10), ("late", 90_000)] {
            let due = Due { sandbox: sandbox(name), after: Duration::from_secs(secs) };
            add.send(due).expect("open");
        }
        let collector = tokio::spawn(collect(
            (dir.path().to_owned(), Projects::none()),
            policy,
            added,
            Gauges::default(),
        ));
        while sandbox("soon").exists() {
            tokio::time::advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
        assert!(sandbox("late").exists());
        drop(add);
        collector.await.expect("it ends with its source");
    }

    #[test]
    fn what_no_task_holds_is_left_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let runs = dir.path().join("slaves/S0/frameworks/f/executors/t/runs");
        for name in ["held", "free"] {
            std::fs::create_dir_all(runs.join(name)).expect("made");
        }
        let held = |container: &ContainerId| container.as_str() == "held";
        let due = left_over(&Sandboxes::new(dir.path()), held, Duration::from_secs(60));
        let names: Vec<_> = due.iter().map(|due| due.sandbox.clone()).collect();
        assert_eq!(names, [runs.join("free")]);
    }
}
