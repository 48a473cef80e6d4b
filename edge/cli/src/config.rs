//! `dcos config`: the settings of the attached cluster.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Subcommand;

use crate::World;
use crate::failure::Failure;
use crate::settings::spelled;

/// What the original command line knows; those that mean nothing here are kept for scripts that set them.
const KEYS: [(&str, &str); 13] = [
    ("cluster.name", "what the cluster is called on this machine"),
    ("core.dcos_acs_token", "token that is sent with every request"),
    ("core.dcos_url", "address of the cluster's front door"),
    ("core.mesos_master_url", "kept for scripts; not used"),
    ("core.mesos_principal", "who we are to a Mesos API that asks for credentials"),
    ("core.mesos_secret", "the secret of that principal; never shown"),
    ("core.pagination", "kept for scripts; not used"),
    ("core.prompt_login", "kept for scripts; not used"),
    ("core.reporting", "kept for scripts; not used"),
    ("core.ssh_proxy_ip", "kept for scripts; not used"),
    ("core.ssh_user", "kept for scripts; not used"),
    ("core.ssl_verify", "false: accept any TLS certificate"),
    ("core.timeout", "seconds that an answer may take"),
];

/// Shown as stars in a list: a screen is not the place for them.
const SECRET_KEYS: [&str; 2] = ["core.dcos_acs_token", NEVER_SHOWN_KEY];
const NEVER_SHOWN_KEY: &str = "core.mesos_secret";
const STARS: &str = "********";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print one setting or all of them.
    #[command(after_help = "Examples:
  dcos config show
  dcos config show core.dcos_url")]
    Show {
        key: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// Change a setting.
    #[command(after_help = "Example:\n  dcos config set core.timeout 30")]
    Set { key: String, value: String },
    /// Remove a setting.
    Unset { key: String },
    /// Print the keys that can be set, and what each is for.
    Keys,
}

pub(crate) fn run(command: Command, world: &mut World<'_>) -> Result<()> {
    match command {
        Command::Show { key: Some(key), json } => show(world, &key, json),
        Command::Show { key: None, json } => show_all(world, json),
        Command::Set { key, value } => {
            known(&key)?;
            let mut cluster = world.env.attached()?;
            cluster.set(&key, &value);
            cluster.save()
        }
        Command::Unset { key } => {
            let mut cluster = world.env.attached()?;
            if !cluster.unset(&key) {
                return Err(not_set(&key));
            }
            cluster.save()
        }
        Command::Keys => KEYS
            .iter()
            .try_for_each(|(key, use_of_it)| world.screen.line(format_args!("{key}: {use_of_it}"))),
    }
}

fn known(key: &str) -> Result<()> {
    if KEYS.iter().any(|(known, _)| *known == key) {
        return Ok(());
    }
    Err(Failure::Usage(format!("{key:?} is not a setting; `dcos config keys` lists them")).into())
}

fn not_set(key: &str) -> anyhow::Error {
    Failure::Other(format!("{key} is not set; `dcos config show` lists what is")).into()
}

fn show(world: &mut World<'_>, key: &str, json: bool) -> Result<()> {
    let cluster = world.env.attached()?;
    let value = cluster.get(key).map(spelled).ok_or_else(|| not_set(key))?;
    let value = if key == NEVER_SHOWN_KEY { STARS.to_owned() } else { value };
    match json {
        true => world.screen.json(&value),
        false => world.screen.line(value),
    }
}

fn show_all(world: &mut World<'_>, json: bool) -> Result<()> {
    let entries = world.env.attached()?.entries();
    let hidden = |key: &str, value: String| match SECRET_KEYS.contains(&key) {
        true => STARS.to_owned(),
        false => value,
    };
    let entries = entries.into_iter().map(|(key, value)| (key.clone(), hidden(&key, value)));
    if json {
        return world.screen.json(&entries.collect::<BTreeMap<_, _>>());
    }
    for (key, value) in entries {
        world.screen.line(format_args!("{key} {value}"))?;
    }
    Ok(())
}
