//! A disk without space.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use model::task::{TaskInfo, TaskState};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::world::{World, shell};

const DISK_BYTES: usize = 64 << 20;
/// So large that the store cannot write it into what it has set aside.
const LABEL_BYTES: usize = 700 << 10;
/// More than what the store has set aside can hold.
const TASKS_MAX: usize = 100;

/// A small disk of its own, as long as this lives.
pub(crate) struct Disk(PathBuf);

impl Disk {
    pub(crate) fn mount(at: &Path) -> Self {
        let size = format!("size={DISK_BYTES}");
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
            .expect("mounted");
        Self(at.to_owned())
    }

    pub(crate) fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = File::create(&ballast).expect("made");
        while file.write_all(&[0; 4096]).is_ok() {}
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).expect("unmounted");
    }
}

fn heavy(id: usize) -> TaskInfo {
    let label = ("weight".to_owned(), "x".repeat(LABEL_BYTES));
    TaskInfo { labels: vec![label], ..shell(&format!("heavy{id}"), "true") }
}

pub(crate) async fn a_full_disk_refuses_tasks_until_there_is_space() {
    let mut world = World::prepare().await;
    let disk = Disk::mount(&world.config.dir);
    world.start().await;
    world.run(shell("before", "sleep 1000")).await;
    world.expect(TaskState::Running).await;
    let ballast = disk.fill();
    let mut refused = None;
    for id in 0..TASKS_MAX {
        let (status, _) = world.finish(heavy(id)).await;
        refused =
            status.message.filter(|cause| cause.contains("no space left to write the task down"));
        if refused.is_some() {
            break;
        }
    }
    assert!(refused.is_some(), "no task was refused");
    std::fs::remove_file(ballast).expect("removed");
    // The agent registers anew once it has found the space; what is said before that is lost on it.
    world.registered().await;
    let (status, _) = world.finish(shell("after", "true")).await;
    assert_eq!(status.state, TaskState::Finished, "{status:?}");
    world.kill("before").await;
    world.expect(TaskState::Killed).await;
    world.stop().await;
    drop(disk);
    world.close().await;
}
