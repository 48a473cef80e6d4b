//! Autoscaling and deployment timeouts through the door.

mod stage;

use axum::http::StatusCode;
use serde_json::json;
use stage::Stage;

fn scaled() -> String {
    let autoscale = json!({
        "min": 1, "max": 5, "metric": "requestsPerInstance", "target": 10,
        "scaleUpDelaySeconds": 0, "scaleDownDelaySeconds": 600,
    });
    json!({ "id": "/web", "cmd": "sleep 3600", "cpus": 0.1, "mem": 16, "autoscale": autoscale })
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_from_outside_is_taken_only_for_an_app_that_is_scaled_by_it() -> anyhow::Result<()>
{
    let stage = Stage::new()?;
    assert_eq!(stage.ask("POST", "/v2/apps", scaled()).await.status, StatusCode::CREATED);
    for (path, body, status) in [
        ("/v2/apps/web/metrics/requestsPerInstance", r#"{"value": 12.5}"#, StatusCode::NO_CONTENT),
        (
            "/v2/apps/web/metrics/requestsPerInstance",
            r#"{"value": -1}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "/v2/apps/web/metrics/requestsPerInstance",
            r#"{"value": "x"}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        ("/v2/apps/web/metrics/queueLength", r#"{"value": 1}"#, StatusCode::CONFLICT),
        ("/v2/apps/other/metrics/queueLength", r#"{"value": 1}"#, StatusCode::NOT_FOUND),
    ] {
        let answer = stage.ask("POST", path, body.to_owned()).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_given_the_time_that_its_request_says() -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let bad = stage.ask("POST", "/v2/apps?deploymentTimeoutSeconds=soon", scaled()).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{}", bad.text);
    assert!(bad.text.contains("deploymentTimeoutSeconds"), "{}", bad.text);
    let good = stage.ask("POST", "/v2/apps?deploymentTimeoutSeconds=90", scaled()).await;
    assert_eq!(good.status, StatusCode::CREATED, "{}", good.text);
    let view = stage.handle().read();
    let deployment = view.services.deployments.values().next().expect("it waits for an agent");
    let deadline = deployment.deadline.expect("a deadline");
    assert_eq!(deadline.since(deployment.started_at).as_secs(), 90);
    Ok(())
}
