//! The master's side: which agents have which layers. It lives as long as its process.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};

use super::{Answer, DIGESTS_MAX, Holder, Holders, LEDGER_PATH, Letter, secret};

/// Those who had it last are the likeliest to have it still.
const HOLDERS_KNOWN_MAX: usize = 8;
const HOLDERS_TOLD_MAX: usize = 3;
/// More are forgotten, those first that were told longest ago.
const LAYERS_MAX: usize = 100_000;
const TEXT_CHARS_MAX: usize = 200;

/// A clone is the same ledger.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    id: String,
    layers: BTreeMap<String, Layer>,
    /// Digests by when they were told of last.
    told: BTreeMap<u64, String>,
    /// Ascends with each letter's digest.
    now: u64,
}

#[derive(Debug, Default)]
struct Layer {
    told: u64,
    /// The latest last.
    holders: VecDeque<Holder>,
}

impl Ledger {
    pub fn new() -> io::Result<Self> {
        let (layers, told) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self(Arc::new(Mutex::new(Known { id: secret()?, layers, told, now: 0 }))))
    }

    /// What agents talk to, for the server where they are listened to.
    pub fn router(self) -> Router {
        Router::new().route(LEDGER_PATH, post(answer)).with_state(self)
    }
}

async fn answer(
    State(ledger): State<Ledger>,
    Json(letter): Json<Letter>,
) -> Result<Json<Answer>, (StatusCode, &'static str)> {
    if letter.has.len().max(letter.wants.len()) > DIGESTS_MAX {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, "These are too many layers at once.\n"));
    }
    if letter.holder.address.parse::<SocketAddr>().is_err() {
        return Err((
            StatusCode::BAD_REQUEST,
            "The holder's address is not of the form ip:port.\n",
        ));
    }
    let texts = letter.has.iter().chain([&letter.holder.token]);
    if texts.into_iter().any(|text| text.len() > TEXT_CHARS_MAX) {
        return Err((StatusCode::BAD_REQUEST, "A digest or the token is too long.\n"));
    }
    let mut known = ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
    for digest in letter.has {
        known.note(digest, &letter.holder);
    }
    let mut holders = Holders::new();
    for digest in letter.wants {
        let found = known.find(&digest, &letter.holder);
        holders.insert(digest, found);
    }
    Ok(Json(Answer { ledger: known.id.clone(), holders }))
}

impl Known {
    fn note(&mut self, digest: String, holder: &Holder) {
        self.now += 1;
        let layer = self.layers.entry(digest.clone()).or_default();
        self.told.remove(&layer.told);
        self.told.insert(self.now, digest);
        layer.told = self.now;
        layer.holders.retain(|known| known.address != holder.address);
        layer.holders.push_back(holder.clone());
        if layer.holders.len() > HOLDERS_KNOWN_MAX {
            layer.holders.pop_front();
        }
        if self.layers.len() > LAYERS_MAX
            && let Some((_, oldest)) = self.told.pop_first()
        {
            self.layers.remove(&oldest);
        }
    }

    /// Others than the one who asks, each time others first: many may want the same at once.
    fn find(&mut self, digest: &str, asking: &Holder) -> Vec<Holder> {
        self.now += 1;
        let Some(layer) = self.layers.get(digest) else { return Vec::new() };
        let others = layer.holders.iter().filter(|holder| holder.address != asking.address);
        let mut others: Vec<_> = others.cloned().collect();
        if !others.is_empty() {
            let first = usize::try_from(self.now).unwrap_or(0) % others.len();
            others.rotate_left(first);
        }
        others.truncate(HOLDERS_TOLD_MAX);
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(number: usize) -> Holder {
        Holder { address: format!("127.0.0.1:{number}"), token: number.to_string() }
    }

    fn known() -> Known {
        Known { id: "x".to_owned(), layers: BTreeMap::new(), told: BTreeMap::new(), now: 0 }
    }

    #[test]
    fn the_last_few_holders_are_known_and_told_in_turn() {
        let mut known = known();
        for number in 1..=20 {
            known.note("a".to_owned(), &holder(number));
        }
        let mut told: Vec<_> = (0..20).flat_map(|_| known.find("a", &holder(20))).collect();
        told.sort_by(|one, other| one.address.cmp(&other.address));
        told.dedup();
        assert_eq!(told, (13..20).map(holder).collect::<Vec<_>>(), "and nobody is told of itself");
        assert_eq!(known.find("a", &holder(1)).len(), HOLDERS_TOLD_MAX);
        assert_eq!(known.find("b", &holder(1)), []);
        let again = Holder { token: "another life".to_owned(), ..holder(20) };
        known.note("a".to_owned(), &again);
        assert!(known.layers["a"].holders.contains(&again));
        assert!(!known.layers["a"].holders.contains(&holder(20)));
    }

    #[test]
    fn what_was_told_longest_ago_is_forgotten_first() {
        let mut known = known();
        known.note("first".to_owned(), &holder(1));
        known.note("second".to_owned(), &holder(1));
        known.note("first".to_owned(), &holder(2));
        for number in 0..LAYERS_MAX - 1 {
            known.note(number.to_string(), &holder(1));
        }
        assert_eq!((known.layers.len(), known.told.len()), (LAYERS_MAX, LAYERS_MAX));
        assert!(known.layers.contains_key("first") && !known.layers.contains_key("second"));
    }
}
