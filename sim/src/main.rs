//! `cargo run -p sim -- --seed 17` replays one seed with a readable trace; `--seeds 1000 [--from 1]` runs many.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str| {
        let at = words.iter().position(|word| word == flag)?;
        words.get(at + 1)?.parse::<u64>().ok()
    };
    match (number("--seed"), number("--seeds")) {
        (Some(seed), None) => say(&format!("{:?}", sim::run(seed, true))),
        (None, Some(count)) => {
            let from = number("--from").unwrap_or(1);
            for seed in from..from + count {
                say(&format!("seed {seed}: {:?}", sim::run(seed, false)));
            }
        }
        _ => {
            say("usage: sim --seed N (one, with a trace) | --seeds COUNT [--from N]");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "a command talks to its user")]
fn say(line: &str) {
    println!("{line}");
}
