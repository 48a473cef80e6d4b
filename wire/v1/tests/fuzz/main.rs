//! Bytes that nobody would send, for as long as `FUZZ_SECONDS` says: no decoder falls, and what is read is read alike in
//! both encodings. `wire/v1/fuzz` holds the same laws against inputs that are guided by what code they reach.

#![allow(clippy::disallowed_methods, reason = "a test that goes on for a while looks at the clock")]

mod arbitrary;
mod changes;
mod laws;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mesos_v1::recordio::Reader;

use arbitrary::Dice;
use laws::{MESSAGES, Subject};

/// Without `FUZZ_SECONDS`, so that everybody's tests stay quick.
const SECONDS: u64 = 2;
/// Inputs that are kept to be changed further.
const KEPT_MAX: usize = 5_000;

/// What was reached by a guided run of an hour: each input begins with a byte that says what it is taken for.
const REACHED: &[u8] = include_bytes!("reached.recordio");

#[test]
fn whatever_was_reached_once_keeps_the_laws() {
    let mut reader = Reader::default();
    reader.push(REACHED);
    while let Some(input) = reader.take().expect("well-formed") {
        let (first, bytes) = input.split_first().expect("a subject and its bytes");
        judge(Subject::of(*first), bytes);
    }
    assert!(reader.is_between_records());
}

#[test]
fn no_json_brings_the_decoder_down() {
    fuzz((0..MESSAGES.len()).map(Subject::Json).collect());
}

#[test]
fn no_protobuf_brings_the_decoder_down() {
    fuzz((0..MESSAGES.len()).map(Subject::Protobuf).collect());
}

#[test]
fn no_stream_brings_the_reader_down() {
    fuzz(vec![Subject::Records]);
}

/// Inputs that make a decoder say something new are changed further.
fn fuzz(subjects: Vec<Subject>) {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("FUZZ_SECONDS is a number"));
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut dice = Dice(std::process::id().into());
    let (mut kept, mut heard): (Vec<(Subject, Vec<u8>)>, _) = (Vec::new(), BTreeSet::new());
    while Instant::now() < until {
        let (subject, bytes) = match dice.roll(4) {
            0 => {
                let subject = subjects[dice.below(subjects.len())];
                (subject, changes::fresh(subject, &mut dice))
            }
            _ if kept.is_empty() => continue,
            _ => {
                let (subject, bytes) = &kept[dice.below(kept.len())];
                (*subject, changes::changed(*subject, bytes, &mut dice))
            }
        };
        if heard.insert((subject, judge(subject, &bytes))) && kept.len() < KEPT_MAX {
            kept.push((subject, bytes));
        }
    }
}

/// Names the input that broke a law, so that it can be tried again.
fn judge(subject: Subject, bytes: &[u8]) -> String {
    catch_unwind(AssertUnwindSafe(|| laws::judge(subject, bytes)))
        .unwrap_or_else(|_| panic!("{subject:?} of \"{}\"", bytes.escape_ascii()))
}
