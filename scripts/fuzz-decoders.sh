#!/bin/sh
# Fuzzes the decoders of Mesos' v1 API, guided by what code is reached: `scripts/fuzz-decoders.sh SECONDS [DIRECTORY]`.
# What was reached is kept in the directory; an input that breaks a law is left there as `crash-...`. Needs g++.
set -eu

seconds="$1"
kept="${2:-${CARGO_TARGET_DIR:-target}/fuzz-decoders}"
cd "$(dirname "$0")/../wire/v1"
mkdir -p "$kept"

# A target of its own keeps the flags away from build scripts.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
triple="$(rustc -vV | sed -n 's/^host: //p')"
RUSTFLAGS="$flags" cargo build --release --manifest-path fuzz/Cargo.toml --target "$triple"
built="${CARGO_TARGET_DIR:-fuzz/target}/$triple/release/fuzz"
exec "$built" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$kept/" "$kept"
