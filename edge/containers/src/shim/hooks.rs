//! Programs of the machine that finish a container's root: devices described by CDI come with some, which link and cache
//! libraries of a driver. They run in the container's mounts, before its root is all that can be seen.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::root::Result;
use crate::protocol::Launch;
use crate::spec::Hook;

/// Of the OCI's runtime specification.
const OCI_VERSION: &str = "1.0.2";

/// As much of a complaint as is told.
const COMPLAINT_CHARS_MAX: usize = 400;

/// One after the other; the first that fails is told. One that hangs is ended with its container, which is given up.
pub(super) fn run(launch: &Launch, root: &Path) -> Result<()> {
    let hooks = &launch.spec.hooks;
    if hooks.is_empty() {
        return Ok(());
    }
    let told = |e: std::io::Error| format!("describing the container to a hook: {e}");
    // What a hook finds where the state says that the bundle is.
    let config = json!({"ociVersion": OCI_VERSION, "root": {"path": root}});
    fs::write(launch.run_dir.join("config.json"), config.to_string()).map_err(told)?;
    let state = json!({
        "ociVersion": OCI_VERSION,
        "id": launch.spec.container.as_str(),
        "status": "creating",
        "pid": std::process::id(),
        "bundle": launch.run_dir,
    });
    let path = launch.run_dir.join("state.json");
    let mut file = File::create(&path).map_err(told)?;
    file.write_all(state.to_string().as_bytes()).map_err(told)?;
    hooks.iter().try_for_each(|hook| run_one(hook, &path))
}

fn run_one(hook: &Hook, state: &Path) -> Result<()> {
    let name = hook.program.display();
    let state = File::open(state).map_err(|e| format!("the hook {name}: {e}"))?;
    let mut arguments = hook.arguments.iter();
    let mut command = Command::new(&hook.program);
    if let Some(own_name) = arguments.next() {
        command.arg0(own_name);
    }
    let variables = hook.environment.iter().filter_map(|one| one.split_once('='));
    command.args(arguments).env_clear().envs(variables).stdin(Stdio::from(state));
    let done = command.output().map_err(|e| format!("the hook {name}: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said: String = said.trim().chars().take(COMPLAINT_CHARS_MAX).collect();
    Err(format!("the hook {name} failed ({}): {said}", done.status))
}
