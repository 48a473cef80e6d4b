//! The part of the configuration that says when images go by themselves.

use std::time::Duration;

use anyhow::{Result, ensure};
use images::GarbagePolicy;
use serde::Deserialize;

const SECS_PER_HOUR: u64 = 3600;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ImageGc {
    /// The share of the disk that is kept free of images.
    image_disk_headroom: f64,
    image_disk_watch_interval_seconds: u64,
    /// Names of images that stay.
    excluded_images: Vec<String>,
    /// Images that were not used for so long go; 0 for as long as there is space.
    unused_hours: u64,
}

impl Default for ImageGc {
    fn default() -> Self {
        let GarbagePolicy { headroom, watch_interval, excluded, unused_max } =
            GarbagePolicy::default();
        Self {
            image_disk_headroom: headroom,
            image_disk_watch_interval_seconds: watch_interval.as_secs(),
            excluded_images: excluded,
            unused_hours: unused_max.unwrap_or_default().as_secs() / SECS_PER_HOUR,
        }
    }
}

impl ImageGc {
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            (0.0..1.0).contains(&self.image_disk_headroom),
            "image_gc: image_disk_headroom is a share of the disk, from 0 to less than 1"
        );
        ensure!(
            self.image_disk_watch_interval_seconds > 0,
            "image_gc: image_disk_watch_interval_seconds is at least 1"
        );
        Ok(())
    }

    pub(crate) fn policy(&self) -> GarbagePolicy {
        let unused = Duration::from_secs(self.unused_hours.saturating_mul(SECS_PER_HOUR));
        GarbagePolicy {
            headroom: self.image_disk_headroom,
            watch_interval: Duration::from_secs(self.image_disk_watch_interval_seconds),
            excluded: self.excluded_images.clone(),
            unused_max: Some(unused).filter(|unused| !unused.is_zero()),
        }
    }
}
