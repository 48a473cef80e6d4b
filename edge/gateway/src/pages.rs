//! What the front door says itself.

use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use cluster::View;
use http::StatusCode;
use serde_json::{Value, json};

/// The release of DC/OS whose APIs are spoken. Clients choose their own behaviour by it.
const SPEAKS: &str = "2.2.0";

pub(crate) fn failure(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

pub(crate) fn metadata(cluster_id: &str, public_ip: &str) -> Response {
    Json(json!({ "CLUSTER_ID": cluster_id, "PUBLIC_IPV4": public_ip })).into_response()
}

/// `version` is the DC/OS release whose APIs these are; what really runs stands beside it.
pub(crate) fn version() -> Response {
    let this = concat!("dcos-", env!("CARGO_PKG_VERSION"));
    Json(json!({
        "version": SPEAKS,
        "dcos-variant": "open",
        "dcos-image-commit": this,
        "bootstrap-id": this,
        "implementation": { "name": "dcos", "version": env!("CARGO_PKG_VERSION") },
    }))
    .into_response()
}

/// No packages lie below: one binary is all.
pub(crate) fn build_info() -> Response {
    Json(Value::Object(serde_json::Map::new())).into_response()
}

/// No users yet, so nobody provides logins.
pub(crate) fn login_providers() -> Response {
    Json(json!({})).into_response()
}

pub(crate) fn no_certificate() -> Response {
    failure(
        StatusCode::NOT_FOUND,
        "this cluster serves plain HTTP and has no certificate authority yet",
    )
}

/// What Mesos-DNS tells over HTTP of the names that all masters share. The one that answers leads.
pub(crate) fn host(name: &str, ip: &str) -> Response {
    match name.strip_suffix('.').unwrap_or(name) {
        name @ ("master.mesos" | "leader.mesos") => {
            Json(json!([{ "host": format!("{name}."), "ip": ip }])).into_response()
        }
        _ => failure(
            StatusCode::NOT_FOUND,
            "only master.mesos and leader.mesos have addresses here: names of tasks are not served yet",
        ),
    }
}

pub(crate) fn unknown(path: &str) -> Response {
    let text = format!(
        "nothing is served at {path}; the front door leads to /service/marathon/, /mesos/, /agent/<id>/, \
         /service/<name>/, /metadata and /dcos-metadata/dcos-version.json"
    );
    failure(StatusCode::NOT_FOUND, &text)
}

pub(crate) fn home(view: &View, cluster_id: &str) -> Response {
    let agents = view.kernel.agents.len();
    let connected = view.kernel.agents.values().filter(|agent| agent.connected).count();
    let apps = view.services.apps.len();
    let running: u64 = view.services.counts.values().map(|counts| u64::from(counts.running)).sum();
    let deployments = view.services.deployments.len();
    let version = env!("CARGO_PKG_VERSION");
    Html(format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>dcos {cluster_id}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:40em;margin:3em auto;padding:0 1em}}td{{padding-right:2em}}</style></head>
<body><h1>dcos {version}</h1>
<table>
<tr><td>cluster</td><td>{cluster_id}</td></tr>
<tr><td>agents</td><td>{connected} of {agents} connected</td></tr>
<tr><td>apps</td><td>{apps}, {running} running instances, {deployments} deployments under way</td></tr>
</table>
<ul>
<li><a href="/service/marathon/v2/apps">/service/marathon/v2/apps</a>: the apps</li>
<li><a href="/service/marathon/v2/deployments">/service/marathon/v2/deployments</a>: what is changing</li>
<li><a href="/service/marathon/v2/queue">/service/marathon/v2/queue</a>: what waits, and why</li>
<li><a href="/mesos/state-summary">/mesos/state-summary</a>: agents and frameworks</li>
<li><a href="/metadata">/metadata</a>, <a href="/dcos-metadata/dcos-version.json">/dcos-metadata/dcos-version.json</a></li>
</ul></body></html>
"#,
        cluster_id = escaped(cluster_id),
    ))
    .into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
