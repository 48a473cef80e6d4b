//! Seccomp filters: compiled once for each profile and what the container may do, and kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use model::confinement::Capabilities;

use crate::policy::FilterOf;
use crate::seccomp::{self, Profile};

/// A hostile file must not fill our memory.
const PROFILE_BYTES_MAX: u64 = 1 << 20;

/// Beyond that all are compiled anew.
const KEPT_MAX: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Filters {
    usual: Mutex<BTreeMap<Capabilities, Arc<[u8]>>>,
    named: Mutex<BTreeMap<(String, Capabilities), Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    /// What the file was when it was read.
    stamp: (Option<SystemTime>, u64),
    program: Arc<[u8]>,
}

impl Filters {
    /// Our own, with what these capabilities are for.
    pub(crate) fn usual(&self, bounding: Capabilities) -> Result<FilterOf, String> {
        let that_matter = bounding.within(seccomp::of_capabilities());
        if that_matter == Capabilities::NONE {
            return Ok(FilterOf::Usual);
        }
        let mut kept = self.usual.lock().expect("nobody panics while holding it");
        let program = match kept.get(&that_matter) {
            Some(program) => Arc::clone(program),
            None => {
                let program = seccomp::compile(that_matter)
                    .map_err(|e| format!("compiling the seccomp filter: {e:#}"))?;
                let program: Arc<[u8]> = program.into();
                kept.insert(that_matter, Arc::clone(&program));
                program
            }
        };
        Ok(FilterOf::Own(program.to_vec()))
    }

    /// A file of this name. One that was changed since is read again.
    pub(crate) fn named(
        &self,
        dir: Option<&Path>,
        name: &str,
        bounding: Capabilities,
    ) -> Result<FilterOf, String> {
        let dir = dir.ok_or_else(|| {
            format!("the seccomp profile {name}: this agent has none; its operator says where they lie: isolation.seccomp_profiles")
        })?;
        let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
        if !is_plain {
            return Err(format!("{name:?} is no name of a seccomp profile"));
        }
        let path = dir.join(name);
        let told =
            |e: std::io::Error| format!("the seccomp profile {name} in {}: {e}", dir.display());
        let found = std::fs::metadata(&path).map_err(told)?;
        let stamp = (found.modified().ok(), found.len());
        if stamp.1 > PROFILE_BYTES_MAX {
            return Err(format!(
                "the seccomp profile {name} is larger than {PROFILE_BYTES_MAX} bytes"
            ));
        }
        let key = (name.to_owned(), bounding);
        let mut kept = self.named.lock().expect("nobody panics while holding it");
        if let Some(known) = kept.get(&key).filter(|known| known.stamp == stamp) {
            return Ok(FilterOf::Own(known.program.to_vec()));
        }
        let text = std::fs::read(&path).map_err(told)?;
        let profile =
            Profile::read(&text).map_err(|e| format!("the seccomp profile {name}: {e:#}"))?;
        let program = profile.compile(bounding);
        let program: Arc<[u8]> =
            program.map_err(|e| format!("the seccomp profile {name}: {e:#}"))?.into();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, Kept { stamp, program: Arc::clone(&program) });
        Ok(FilterOf::Own(program.to_vec()))
    }
}
