//! The API under the hands of somebody who tries everything: schemathesis makes requests of the published document.

mod stage;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stage::Stage;
use tokio::net::TcpListener;

/// Of this test alone.
const ADDRESS: &str = "127.66.0.1:0";
/// Requests for each endpoint.
const EXAMPLES: &str = "15";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// Answers that say on purpose what cannot be done; a stream that has no end; a body that is not ours to send.
const LEFT_OUT: &str = "^/v2/(events|leader)$";

fn output(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|error| format!("{command:?}: {error}"))
}

fn done(command: &mut Command) -> Result<(), String> {
    let output = output(command)?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("{command:?}: {said}"))
}

/// As `SCHEMATHESIS` says, or from the package index into a folder beside the build.
fn program() -> Result<PathBuf, String> {
    if let Some(program) = std::env::var_os("SCHEMATHESIS") {
        return Ok(program.into());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let program = folder.join("bin/schemathesis");
    if !program.exists() {
        done(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let pip = folder.join("bin/pip");
        done(Command::new(pip).args([
            "install",
            "--quiet",
            "--retries",
            "1",
            "schemathesis==4.*",
        ]))?;
    }
    Ok(program)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_is_answered_as_the_document_promises() -> anyhow::Result<()> {
    let program = tokio::task::spawn_blocking(program).await?;
    let program = program.map_err(|cause| {
        anyhow::anyhow!(
            "schemathesis is not here and cannot be installed; SCHEMATHESIS may name it. {cause}"
        )
    })?;
    let stage = Stage::new()?.with_agent().await?;
    let listener = TcpListener::bind(ADDRESS).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let api = stage.marathon.clone();
    let served = tokio::spawn(async move { axum::serve(listener, api).await });
    let asked = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(program);
        command.args(["run", &format!("{url}/v2/openapi.json"), "--url", &url]);
        command.args(["--phases", "examples,fuzzing", "--checks", CHECKS]);
        command.args(["--exclude-path-regex", LEFT_OUT, "--max-examples", EXAMPLES]);
        command.args(["--seed", "1", "--generation-database", "none", "--no-color"]);
        command.args(["--suppress-health-check", "all", "--request-timeout", "20"]);
        output(command.current_dir(env!("CARGO_TARGET_TMPDIR")))
    });
    let output = asked.await?.map_err(anyhow::Error::msg)?;
    served.abort();
    let told = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{wrong}");
    Ok(())
}
