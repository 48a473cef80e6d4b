//! `dcos quota`.

use crate::fake::Fake;

const QUOTA: &str = r#"{"infos": [], "configs": [
    {"role": "dev", "guarantees": {}, "limits": {"cpus": {"value": 10.0}, "mem": {"value": 1024.0}}}]}"#;
const ROLES: &str = r#"{"roles": [
    {"name": "*", "quota": {"role": "*", "limit": {}, "guarantee": {}, "consumed": {"cpus": 3.0}}},
    {"name": "dev", "quota": {"role": "dev", "limit": {"cpus": 10.0, "mem": 1024.0}, "guarantee": {},
        "consumed": {"cpus": 2.5, "disk": 64.0}}}]}"#;

fn fake() -> Fake {
    Fake::default()
        .answer("GET /mesos/quota", 200, QUOTA)
        .answer("GET /mesos/roles", 200, ROLES)
        .answer("POST /mesos/api/v1", 200, "")
}

#[tokio::test]
async fn quotas_are_listed_beside_what_is_used() {
    let told = fake().run(&["quota", "list"], "").await;
    let expected = "\
NAME  CPU         MEMORY     DISK           GPU
dev   2.5 of 10  0 of 1024  64 (no limit)  0 (no limit)
";
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&told.out), words(expected));
    assert_eq!(fake().run(&["quota", "get", "/dev"], "").await.out, told.out);
    let json = fake().run(&["quota", "get", "dev", "--json"], "").await.out;
    assert!(json.contains("\"consumed\""), "{json}");
}

/// What is sent, or why nothing is.
async fn check(words: &[&str], sent: Result<&str, &str>) {
    let fake = fake();
    let told = fake.run(&[&["quota"], words].concat(), "").await;
    let posted = fake
        .asked()
        .into_iter()
        .find_map(|asked| asked.strip_prefix("POST /mesos/api/v1 ").map(|body| body.to_owned()));
    match sent {
        Ok(configs) => {
            let posted: serde_json::Value =
                serde_json::from_str(&posted.expect("it was sent")).expect("JSON");
            let expected: serde_json::Value = serde_json::from_str(configs).expect("JSON");
            assert_eq!(posted["type"], "UPDATE_QUOTA");
            assert_eq!(posted["update_quota"], expected, "{words:?}");
        }
        Err(cause) => {
            let refusal = told.ended.expect_err(cause);
            assert!(refusal.contains(cause) && posted.is_none(), "{words:?}: {refusal}");
        }
    }
}

#[tokio::test]
async fn quotas_are_set_changed_and_removed() {
    check(
        &["create", "/ops", "--cpu", "1.5", "--gpu", "0"],
        Ok(r#"{"force": false, "quota_configs": [
            {"role": "ops", "limits": {"cpus": {"value": 1.5}, "gpus": {"value": 0.0}}}]}"#),
    )
    .await;
    check(&["create", "dev", "--cpu", "1"], Err("`dcos quota update dev`")).await;
    check(&["create", "ops"], Err("--cpu, --mem, --disk and --gpu")).await;
    check(&["create", "/", "--cpu", "1"], Err("cannot have a quota")).await;
    check(
        &["update", "dev", "--mem", "512", "--force"],
        Ok(r#"{"force": true, "quota_configs": [
            {"role": "dev", "limits": {"cpus": {"value": 10.0}, "mem": {"value": 512.0}}}]}"#),
    )
    .await;
    check(&["update", "ops", "--mem", "512"], Err("`dcos quota create ops`")).await;
    check(
        &["delete", "dev"],
        Ok(r#"{"force": false, "quota_configs": [{"role": "dev", "limits": {}}]}"#),
    )
    .await;
    check(&["get", "ops"], Err("ops has no quota")).await;
}
