//! Layers that the agents of a cluster give each other, so that the registry is asked for each once and not by each agent.
//!
//! Who has a layer, the master knows ([`Ledger`]): agents tell it what they keep, and ask it once in a pull for a few
//! that have what is wanted. It remembers the last few holders of a layer, and nothing on a disk: one that begins anew is
//! told all again. The layers themselves go from agent to agent, and only to who shows the token that the holder has
//! given the master. What arrives is believed if its digest is right, as if it came from a stranger, and whatever fails,
//! there is the registry: it is asked for each manifest, and whether the image's repository has the layer, with the
//! login of whoever wants the image, before another agent is.

mod keeper;
mod ledger;
mod seeker;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use keeper::Keeper;
pub use keeper::{Given, NotGiven};
pub use ledger::Ledger;
pub(crate) use seeker::Seeker;

/// Where the master's ledger is, on the port where agents talk to it.
pub const LEDGER_PATH: &str = "/layers";
/// Digests in one letter.
const DIGESTS_MAX: usize = 1024;

/// How a store takes part.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// `host:port` where the master listens for agents.
    pub master: String,
    /// `ip:port` of the agent's API, where others ask for layers.
    pub address: String,
    /// Of layers as they came, which are kept beside what was unpacked. The oldest make way.
    pub kept_bytes_max: u64,
    /// To others, at a time.
    pub given_max: usize,
}

/// An agent that has a layer as it came.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) address: String,
    /// Without it nothing is given.
    pub(crate) token: String,
}

/// By digest.
pub(crate) type Holders = BTreeMap<String, Vec<Holder>>;

/// From an agent to the ledger.
#[derive(Serialize, Deserialize)]
struct Letter {
    holder: Holder,
    has: Vec<String>,
    wants: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    /// Another one knows nothing of what this one was told.
    ledger: String,
    holders: Holders,
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Holder").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What nobody guesses.
fn secret() -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex::encode(bytes))
}
