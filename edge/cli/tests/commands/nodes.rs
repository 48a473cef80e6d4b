//! `dcos node`.

use crate::fake::Fake;

const DRAINED: &str = r#"{"slaves": [{"id": "c-S0", "drain_info": {"state": "DRAINED"}}]}"#;
const DRAINING: &str = r#"{"slaves": [{"id": "c-S0", "drain_info": {"state": "DRAINING"}}]}"#;

fn fake(slaves: &str) -> Fake {
    Fake::default().answer("POST /mesos/api/v1", 200, "").answer("GET /mesos/slaves", 200, slaves)
}

#[tokio::test]
async fn agents_are_steered_by_calls() {
    let check = async |words: &[&str], sent: &str, out: &str| {
        let fake = fake(DRAINED);
        let told = fake.run(&[&["node"], words].concat(), "").await;
        assert_eq!(told.ended, Ok(0), "{words:?}");
        let asked = fake.asked();
        let posted = asked[0].strip_prefix("POST /mesos/api/v1 ").expect("a call");
        let json = |text: &str| -> serde_json::Value { serde_json::from_str(text).expect("JSON") };
        assert_eq!(json(posted), json(sent), "{words:?}");
        assert_eq!(told.out, out, "{words:?}");
    };
    let simple = |kind: &str| {
        let field = kind.to_lowercase();
        format!(r#"{{"type": "{kind}", "{field}": {{"agent_id": {{"value": "c-S0"}}}}}}"#)
    };
    check(&["deactivate", "c-S0"], &simple("DEACTIVATE_AGENT"), "").await;
    check(&["reactivate", "c-S0"], &simple("REACTIVATE_AGENT"), "").await;
    check(&["decommission", "c-S0"], &simple("MARK_AGENT_GONE"), "").await;
    check(
        &["drain", "c-S0"],
        r#"{"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": "c-S0"}, "mark_gone": false}}"#,
        "Agent c-S0 is draining; `dcos node list` shows when it is DRAINED\n",
    )
    .await;
    check(
        &["drain", "c-S0", "--decommission", "--max-grace-period", "1m30s", "--wait"],
        r#"{"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": "c-S0"}, "mark_gone": true,
            "max_grace_period": {"seconds": 90, "nanos": 0}}}"#,
        "Agent c-S0 is drained\n",
    )
    .await;
}

#[tokio::test]
async fn who_waits_is_told_how_it_ends() {
    let words = ["node", "drain", "c-S0", "--wait", "--timeout", "0"];
    let told = fake(DRAINING).run(&words, "").await;
    let refusal = told.ended.expect_err("it is not empty");
    assert!(
        refusal.contains("goes on draining") && refusal.contains("dcos task list"),
        "{refusal}"
    );
    let gone = ["node", "drain", "c-S0", "--wait", "--timeout", "0", "--decommission"];
    let away = fake(r#"{"slaves": []}"#).run(&gone, "").await;
    assert!(away.ended.is_err(), "it is out of reach and may come back");
}
