//! The state as JSON lines, for people and their tools.

use std::io::{self, Write};

use anyhow::Context;
use serde_json::{Value, json};

use crate::{Store, StoreError};

/// Writes one line for each record, in key order: `describe` says what a key and its value mean.
///
/// A record that cannot be described is written with its bytes and the reason, so that a dump shows everything.
pub fn dump(
    store: &mut dyn Store,
    describe: impl Fn(&[u8], &[u8]) -> anyhow::Result<Value>,
    to: &mut dyn Write,
) -> Result<(), StoreError> {
    let mut written: io::Result<()> = Ok(());
    store.load(&mut |key, value| {
        if written.is_ok() {
            let line = describe(key, value).unwrap_or_else(|cause| unknown(key, value, &cause));
            written = writeln!(to, "{line}");
        }
        Ok(())
    })?;
    Ok(written.context("writing the dump")?)
}

fn unknown(key: &[u8], value: &[u8], cause: &anyhow::Error) -> Value {
    json!({ "key": hex(key), "value": hex(value), "unreadable": format!("{cause:#}") })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
