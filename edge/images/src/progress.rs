//! How far pulls are, for those who wait for them.
//!
//! Nothing is counted on the way: whoever looks is told what is on the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::manifest::Blob;

const MB: u64 = 1_000_000;

/// Of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub layers: usize,
    /// Ready to run.
    pub layers_here: usize,
    pub bytes: u64,
    /// Downloaded.
    pub bytes_here: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layers, layers_here, bytes, bytes_here } = self;
        let (here, all) = (bytes_here / MB, bytes.div_ceil(MB));
        write!(f, "{layers_here} of {layers} layers, {here} of {all} MB")
    }
}

/// By the image's full name: its layers. Several pulls of one image are one.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<BTreeMap<String, Vec<Blob>>>);

/// While it lives, the pull is under way.
pub(crate) struct Begun<'a> {
    all: &'a UnderWay,
    image: String,
}

impl UnderWay {
    pub(crate) fn begin(&self, image: &str, layers: &[Blob]) -> Begun<'_> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(image.to_owned(), layers.to_vec());
        Begun { all: self, image: image.to_owned() }
    }

    /// `arrived` says how many bytes of a layer are here.
    pub(crate) fn look(&self, image: &str, arrived: impl Fn(&Blob) -> u64) -> Option<Progress> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let layers = all.get(image)?.clone();
        drop(all);
        let here: Vec<_> = layers.iter().map(|blob| (blob.size, arrived(blob))).collect();
        Some(Progress {
            layers: layers.len(),
            layers_here: here.iter().filter(|(all, here)| here == all).count(),
            bytes: here.iter().map(|(all, _)| all).sum(),
            bytes_here: here.iter().map(|(_, here)| here).sum(),
        })
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.image);
    }
}
