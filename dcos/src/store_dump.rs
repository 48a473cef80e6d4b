//! `dcos store dump`: the state as JSON lines.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use model::machine::Record;
use serde_json::{Value, json};
use store::Embedded;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print every record as a JSON object a line. The cluster has to be stopped.
    #[command(after_help = "Examples:
  dcos store dump
  dcos store dump --data-dir /srv/dcos | jq -r .kind | sort | uniq -c")]
    Dump {
        #[arg(long, value_name = "DIR", default_value = "/var/lib/dcos")]
        data_dir: PathBuf,
        /// An agent's checkpoints instead of the master's state: 0 for the first.
        #[arg(long, value_name = "N")]
        agent: Option<u16>,
    },
}

/// What a key and its value mean.
type Describe = fn(&[u8], &[u8]) -> Result<Value>;

pub(crate) fn run(command: Command) -> Result<()> {
    let Command::Dump { data_dir, agent } = command;
    let (dir, describe): (PathBuf, Describe) = match agent {
        None => (data_dir.join("master"), of_master),
        Some(number) => (data_dir.join("agents").join(number.to_string()), of_agent),
    };
    // Opening would make one.
    if !dir.join("state.redb").exists() {
        bail!("{} holds no state; --data-dir names the directory of a cluster", dir.display());
    }
    let mut store =
        Embedded::open(&dir).with_context(|| format!("opening the state in {}", dir.display()))?;
    let mut out = BufWriter::new(io::stdout().lock());
    store::dump(&mut store, describe, &mut out)?;
    out.flush().context("writing the dump")
}

fn of_master(key: &[u8], value: &[u8]) -> Result<Value> {
    Ok(match cluster::Record::read(key, value)? {
        cluster::Record::Kernel(record) => line("kernel", &record),
        cluster::Record::Services(record) => line("services", &record),
    })
}

fn of_agent(key: &[u8], value: &[u8]) -> Result<Value> {
    Ok(line("node", &node::Record::read(key, value)?))
}

/// Whose record it is, of which kind, and its fields as Rust spells them.
fn line(machine: &str, record: &impl fmt::Debug) -> Value {
    let record = format!("{record:?}");
    let kind = record.split(['(', ' ']).next().unwrap_or_default();
    json!({ "machine": machine, "kind": kind, "record": record })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_whose_it_is_and_of_which_kind() {
        let expected = json!({ "machine": "services", "kind": "Some", "record": "Some(1)" });
        assert_eq!(line("services", &Some(1)), expected);
    }
}
