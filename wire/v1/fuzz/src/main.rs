//! The laws of the decoders against inputs that are guided by what code they reach: `scripts/fuzz-decoders.sh 3600`.

#![no_main]

#[path = "../../tests/fuzz/arbitrary.rs"]
mod arbitrary;
#[path = "../../tests/fuzz/changes.rs"]
mod changes;
#[path = "../../tests/fuzz/laws.rs"]
mod laws;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

use arbitrary::Dice;
use laws::Subject;

fuzz_target!(|data: &[u8]| {
    if let Some((first, bytes)) = data.split_first() {
        laws::judge(Subject::of(*first), bytes);
    }
});

// Half of the changes are the library's own, half keep the structure of a message.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut dice = Dice(seed.into());
    let own = dice.roll(2) == 0;
    let first = if size == 0 || dice.roll(50) == 0 { dice.roll(256) } else { data[0].into() };
    let first = u8::try_from(first).expect("one of 256");
    let bytes = match (size, own) {
        (0, _) => changes::fresh(Subject::of(first), &mut dice),
        (_, true) => changes::changed(Subject::of(first), &data[1..size], &mut dice),
        (_, false) => return fuzzer_mutate(data, size, max_size),
    };
    let length = bytes.len().min(max_size - 1);
    data[0] = first;
    data[1..=length].copy_from_slice(&bytes[..length]);
    length + 1
});
