//! Commands, secrets, volumes and checks: what Mesos' master judges with the rules that it shares with its agents
//! (`src/common/validation.cpp`).

use serde_json::{Value, json};

use crate::rows::check;

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_their_secrets_are_judged() -> anyhow::Result<()> {
    check(|rows| {
        let of = |variable: Value| {
            let environment = json!({ "variables": [variable] });
            json!({ "command": { "value": "true", "environment": environment } })
        };
        let secret = |secret: Value| of(json!({ "name": "A", "type": "SECRET", "secret": secret }));
        let value = json!({ "data": "AAAA" });
        rows.launch(of(json!({ "name": "A" })), "must have a value set");
        let both = json!({ "name": "A", "value": "a", "secret": { "type": "VALUE" } });
        rows.launch(of(both), "must not have a secret set");
        rows.launch(of(json!({ "name": "A", "type": "UNKNOWN" })), "'UNKNOWN' is not allowed");
        rows.launch(of(json!({ "name": "A", "type": "SECRET" })), "must have a secret set");
        let both = json!({ "name": "A", "type": "SECRET", "value": "a", "secret": {} });
        rows.launch(of(both), "must not have a value set");
        rows.launch(secret(json!({ "type": "REFERENCE" })), "must have the 'reference' field set");
        let named = json!({ "name": "n" });
        let both = |kind: &str| json!({ "type": kind, "reference": named, "value": value });
        rows.launch(secret(both("REFERENCE")), "must not have the 'value' field set");
        rows.launch(secret(json!({ "type": "VALUE" })), "must have the 'value' field set");
        rows.launch(secret(both("VALUE")), "must not have the 'reference' field set");
        let null = json!({ "type": "VALUE", "value": value });
        rows.launch(secret(null), "secret containing null bytes");
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_judged() -> anyhow::Result<()> {
    check(|rows| {
        let of = |volume: Value| {
            let mut volume = volume;
            volume["container_path"] = json!("data");
            volume["mode"] = json!("RW");
            json!({ "container": { "type": "MESOS", "volumes": [volume] } })
        };
        let sourced = |kind: &str| of(json!({ "source": { "type": kind } }));
        rows.launch(of(json!({})), "Only one of them should be set");
        let both = json!({ "host_path": "/tmp", "source": { "type": "SANDBOX_PATH" } });
        rows.launch(of(both), "Only one of them should be set");
        rows.launch(sourced("HOST_PATH"), "'source.host_path' is not set");
        rows.launch(sourced("SANDBOX_PATH"), "'source.sandbox_path' is not set");
        rows.launch(sourced("SECRET"), "'source.secret' is not set");
        rows.launch(sourced("DOCKER_VOLUME"), "docker_volume");
        rows.launch(sourced("CSI_VOLUME"), "csi_volume");
        rows.launch(sourced("UNKNOWN"), "'source.type' is unknown");
        let named = json!({ "image": "a", "parameters": [{ "key": "name", "value": "a" }] });
        let named = json!({ "container": { "type": "DOCKER", "docker": named } });
        rows.launch(named, "must not be 'name'");
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_judged() -> anyhow::Result<()> {
    check(|rows| {
        for field in ["health_check", "check"] {
            let mut row =
                |check: Value, words: &'static str| rows.launch(json!({ field: check }), words);
            row(json!({ "type": "UNKNOWN" }), "must specify 'type'");
            row(json!({}), "must specify 'type'");
            row(json!({ "type": "COMMAND" }), "Expecting 'command' to be set");
            row(json!({ "type": "HTTP" }), "Expecting 'http' to be set");
            row(json!({ "type": "TCP" }), "Expecting 'tcp' to be set");
            let path = json!({ "type": "HTTP", "http": { "port": 80, "path": "health" } });
            row(path, "must start with '/'");
            for seconds in ["delay_seconds", "interval_seconds", "timeout_seconds"] {
                let tcp = json!({ "type": "TCP", "tcp": { "port": 80 }, seconds: -1.0 });
                row(tcp, "to be non-negative");
            }
        }
        let health = |check: Value| json!({ "health_check": check });
        let of = |command: Value| json!({ "type": "COMMAND", "command": command });
        rows.launch(health(of(json!({}))), "must contain 'shell command'");
        rows.launch(health(of(json!({ "shell": false }))), "must contain 'executable path'");
        let of = |command: Value| json!({ "type": "COMMAND", "command": { "command": command } });
        rows.launch(json!({ "check": of(json!({})) }), "must contain 'shell command'");
        let scheme = json!({ "type": "HTTP", "http": { "port": 80, "scheme": "ftp" } });
        rows.launch(health(scheme), "Unsupported HTTP health check scheme");
        let grace = json!({ "type": "TCP", "tcp": { "port": 80 }, "grace_period_seconds": -1.0 });
        rows.launch(health(grace), "to be non-negative");
        // Before there were types, there was one of these.
        rows.launch(health(json!({ "http": { "port": 80 } })), "");
        rows.launch(health(json!({ "command": { "value": "true" } })), "");
    })
    .await
}
