//! What runs, and with what beside it: command, labels, files to fetch.

use model::container::Uri;
use services::spec::{Process, UpgradeStrategy};

use super::faults::Faults;
use super::quantity::Quantities;
use crate::marathon::app::{App, Artifact};

const URI_CHARS_MAX: usize = 1024;

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
    let executor = app.executor.as_deref().unwrap_or_default();
    if !matches!(executor, "" | "//cmd") && !is_path(executor) {
        faults.add("/executor", "must be empty, //cmd, or the path of a program");
    }
}

/// Names between single slashes, of which one may stand in front.
fn is_path(text: &str) -> bool {
    let path = text.strip_prefix('/').unwrap_or(text);
    path.split('/').all(|name| !name.is_empty())
}

/// Of an app that was judged.
pub(super) fn process(app: &App) -> Process {
    match (&app.cmd, &app.args) {
        (Some(cmd), _) => Process::Cmd(cmd.clone()),
        (None, Some(args)) if !args.is_empty() => Process::Args(args.clone()),
        (None, _) => Process::Image,
    }
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

pub(super) fn fetch(app: &App, faults: &mut Faults) -> Vec<Uri> {
    let artifacts = app.fetch.iter().flatten().enumerate();
    artifacts.map(|(n, one)| judge_artifact(&format!("/fetch({n})"), one, faults)).collect()
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
