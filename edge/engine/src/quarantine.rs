//! Inputs that made the machine stumble: not to be tried again while this process lives.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use cluster::Input;

/// More faults than this in one process are not told apart any more: the oldest is forgotten.
const QUARANTINED_MAX: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    /// By hash, when it was set aside.
    hashes: BTreeMap<u64, u64>,
    count: u64,
}

impl Quarantine {
    /// Sets the input aside and gives its name. What the engine itself says cannot be set aside.
    pub(crate) fn add(&mut self, input: &Input) -> Option<String> {
        let hash = hash(input)?;
        self.count += 1;
        self.hashes.insert(hash, self.count);
        if self.hashes.len() > QUARANTINED_MAX {
            let oldest = self.hashes.iter().min_by_key(|(_, at)| **at).map(|(hash, _)| *hash);
            oldest.and_then(|hash| self.hashes.remove(&hash));
        }
        Some(name(hash))
    }

    /// The name under which the input was set aside, if it was.
    pub(crate) fn find(&self, input: &Input) -> Option<String> {
        if self.hashes.is_empty() {
            return None;
        }
        let hash = hash(input)?;
        self.hashes.contains_key(&hash).then(|| name(hash))
    }
}

fn name(hash: u64) -> String {
    format!("{hash:016x}")
}

/// Of what was said, by whomever: the same request on another stream and with another seed has the same hash.
fn hash(input: &Input) -> Option<u64> {
    let said = match input {
        Input::Lead { .. } | Input::Tick { .. } => return None,
        Input::Services { order, seed: _ } => format!("order {order:?}"),
        Input::Subscribe { info, wishes: _, seed: _ } => format!("subscribe {info:?}"),
        Input::FrameworkLost { framework } => format!("framework lost {framework:?}"),
        Input::Framework { from, call, seed: _ } => format!("call {from:?} {call:?}"),
        Input::Agent { connection: _, message, seed: _ } => format!("agent {message:?}"),
        Input::Operator { order, seed: _ } => format!("operator {order:?}"),
        Input::AgentLost { connection, seed: _ } => format!("agent lost {connection:?}"),
    };
    let mut hasher = DefaultHasher::new();
    said.hash(&mut hasher);
    Some(hasher.finish())
}
