//! What runs, and with what beside it: command, environment, labels, files to fetch.

use std::collections::BTreeMap;

use model::container::Uri;
use services::spec::environment as spec;
use services::spec::{Process, UpgradeStrategy};

use super::faults::Faults;
use super::quantity::Quantities;
use crate::marathon::app::{App, Artifact, EnvValue};

const URI_CHARS_MAX: usize = 1024;
/// What Marathon unpacks if it came as one of the old `uris`.
const ARCHIVES: [&str; 9] =
    [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip"];

/// One of `cmd` and `args`, or neither if there is an image.
pub(super) fn judge(app: &App, faults: &mut Faults) {
    if app.cmd.as_deref() == Some("") {
        faults.add("/cmd", "must not be an empty string");
    }
    let args = app.args.as_ref().is_some_and(|args| !args.is_empty());
    let image = app.container.as_ref().is_some_and(|container| container.docker.is_some());
    match (app.cmd.is_some(), args) {
        (true, false) | (false, true) => {}
        (false, false) if image => {}
        (true, true) | (false, false) => faults.add(
            "/",
            "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.",
        ),
    }
    if !matches!(app.executor.as_deref(), None | Some("" | "//cmd")) {
        faults.add("/executor", "executors other than //cmd are not supported yet");
    }
}

/// Of an app that was judged.
pub(super) fn process(app: &App) -> Process {
    match (&app.cmd, &app.args) {
        (Some(cmd), _) => Process::Cmd(cmd.clone()),
        (None, Some(args)) if !args.is_empty() => Process::Args(args.clone()),
        (None, _) => Process::Image,
    }
}

pub(super) fn env(app: &App, faults: &mut Faults) -> BTreeMap<String, spec::EnvValue> {
    let mut env = BTreeMap::new();
    for (name, value) in app.env.iter().flatten() {
        if name.is_empty() {
            faults.add("/env", "a variable must have a name");
        }
        if name.contains(['=', '\0']) {
            faults.add(format!("/env/{name}"), "a name must not contain '=' or NUL");
        }
        match value {
            EnvValue::Text(text) if text.contains('\0') => {
                faults.add(format!("/env/{name}"), "must not contain NUL");
            }
            EnvValue::Text(text) => {
                env.insert(name.clone(), spec::EnvValue::Text(text.clone()));
            }
            EnvValue::Secret { .. } => {
                faults.add(format!("/env/{name}/secret"), "secrets are not supported yet");
            }
        }
    }
    env
}

/// The labels that promise something about the app.
pub(super) fn labels(
    app: &App,
    quantities: &Quantities,
    upgrade: &UpgradeStrategy,
    faults: &mut Faults,
) {
    let label = |name: &str| app.labels.as_ref().and_then(|labels| labels.get(name));
    if label("MARATHON_SINGLE_INSTANCE_APP").is_some_and(|value| value == "true") {
        if quantities.instances > 1 {
            faults.add("/", "Single instance app may only have one instance");
        }
        if !upgrade.minimum_health_capacity.is_zero() {
            faults.add(
                "/upgradeStrategy/minimumHealthCapacity",
                "must be 0 for a single instance app",
            );
        }
        if !upgrade.maximum_over_capacity.is_zero() {
            faults
                .add("/upgradeStrategy/maximumOverCapacity", "must be 0 for a single instance app");
        }
    }
    let given = |name: &str| label(name).is_some_and(|value| !value.is_empty());
    let complete = label("DCOS_MIGRATION_API_VERSION").is_some_and(|version| version == "v1")
        && given("DCOS_PACKAGE_FRAMEWORK_NAME")
        && given("DCOS_MIGRATION_API_PATH");
    if given("DCOS_MIGRATION_API_VERSION") && !complete {
        faults.add(
            "/",
            "DCOS_PACKAGE_FRAMEWORK_NAME and DCOS_MIGRATION_API_PATH must be defined when using \
             DCOS_MIGRATION_API_VERSION",
        );
    }
}

/// `fetch`, or the old `uris` rewritten.
pub(super) fn fetch(app: &App, faults: &mut Faults) -> Vec<Uri> {
    let artifacts = app.fetch.as_deref().unwrap_or_default();
    let uris = app.uris.as_deref().unwrap_or_default();
    if !artifacts.is_empty() && !uris.is_empty() {
        faults.add("/uris", "may not be set in conjunction with fetch");
    }
    let mut all = Vec::new();
    for (n, text) in uris.iter().enumerate() {
        judge_uri(&format!("/uris({n})"), text, faults);
        all.push(Uri {
            value: text.clone(),
            extract: is_archive(text),
            executable: false,
            cache: false,
            output_file: None,
        });
    }
    for (n, artifact) in artifacts.iter().enumerate() {
        all.push(judge_artifact(&format!("/fetch({n})"), artifact, faults));
    }
    all
}

pub(super) fn judge_artifact(at: &str, artifact: &Artifact, faults: &mut Faults) -> Uri {
    judge_uri(&format!("{at}/uri"), &artifact.uri, faults);
    let destination = artifact.dest_path.as_deref();
    if destination.is_some_and(|path| path.is_empty() || path.len() > URI_CHARS_MAX) {
        faults.add(format!("{at}/destPath"), "must have 1 to 1024 characters");
    }
    let outside = |path: &str| path.starts_with('/') || path.split('/').any(|part| part == "..");
    if destination.is_some_and(outside) {
        faults.add(format!("{at}/destPath"), "must lie within the sandbox");
    }
    Uri {
        value: artifact.uri.clone(),
        extract: artifact.extract.unwrap_or(true),
        executable: artifact.executable.unwrap_or(false),
        cache: artifact.cache.unwrap_or(false),
        output_file: artifact.dest_path.clone(),
    }
}

fn judge_uri(path: &str, text: &str, faults: &mut Faults) {
    if text.is_empty() || text.len() > URI_CHARS_MAX {
        faults.add(path, format!("must have 1 to {URI_CHARS_MAX} characters"));
    }
    let illegal = |c: char| c.is_whitespace() || c.is_control() || r#"<>"{}|\^`"#.contains(c);
    if text.contains(illegal) {
        faults.add(path, "URI has invalid syntax.");
    }
}

fn is_archive(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    ARCHIVES.iter().any(|ending| path.ends_with(ending))
}
