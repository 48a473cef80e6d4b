//! The rules of the house that neither the compiler nor clippy can check. `cargo test -p xtask` checks them.

pub mod house;
