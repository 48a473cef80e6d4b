//! `dcos service`.

use crate::fake::Fake;

const FRAMEWORKS: &str = r#"{"frameworks": [
    {"id": "c-0000", "name": "marathon", "hostname": "a.test", "active": true, "tasks": [{}, {}],
        "resources": {"cpus": 0.25, "mem": 32.0, "disk": 0.0}},
    {"id": "c-0001", "name": "kafka", "hostname": "b.test", "active": false, "tasks": [], "resources": {}},
    {"id": "c-0002", "name": "twin", "active": true}, {"id": "c-0003", "name": "twin", "active": true}],
  "completed_frameworks": [{"id": "c-0004", "name": "spark", "active": false}]}"#;

fn fake() -> Fake {
    Fake::default().answer("GET /mesos/frameworks", 200, FRAMEWORKS).answer(
        "POST /mesos/api/v1",
        200,
        "",
    )
}

async fn ids(flags: &[&str]) -> Vec<String> {
    let words = [&["service", "list", "--id-only"], flags].concat();
    fake().run(&words, "").await.out.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn those_that_are_connected_are_listed_and_others_if_asked_for() {
    assert_eq!(ids(&[]).await, ["c-0000", "c-0002", "c-0003"]);
    assert_eq!(ids(&["--inactive"]).await, ["c-0000", "c-0001", "c-0002", "c-0003"]);
    assert_eq!(ids(&["--completed"]).await, ["c-0000", "c-0002", "c-0003", "c-0004"]);
    let told = fake().run(&["service", "list"], "").await.out;
    let row: Vec<&str> = told.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(row, ["marathon", "a.test", "True", "2", "0.2", "32.0", "0.0", "c-0000"]);
    let json = fake().run(&["service", "list", "--json"], "").await.out;
    assert!(json.contains("\"c-0002\"") && !json.contains("c-0001"), "{json}");
}

#[tokio::test]
async fn a_service_is_ended_once_that_is_confirmed() {
    let check = async |words: &[&str], typed: &str, ended: Option<&str>| {
        let fake = fake();
        let told = fake.run(&[&["service", "shutdown"], words].concat(), typed).await;
        let posted = fake.asked().into_iter().find(|asked| asked.starts_with("POST"));
        let expected = ended.map(|id| {
            let body = serde_json::json!({ "type": "TEARDOWN",
                "teardown": { "framework_id": { "value": id } } });
            format!("POST /mesos/api/v1 {body}")
        });
        assert_eq!((posted, told.ended.is_ok()), (expected, ended.is_some()), "{words:?} {told:?}");
    };
    check(&["c-0001", "--yes"], "", Some("c-0001")).await;
    check(&["kafka"], "yes\n", Some("c-0001")).await;
    check(&["kafka"], "no\n", None).await;
    check(&["kafka"], "", None).await;
    check(&["twin", "--yes"], "", None).await;
    check(&["c-0003", "--yes"], "", Some("c-0003")).await;
    check(&["nobody", "--yes"], "", None).await;
}

#[tokio::test]
async fn the_log_of_a_service_is_that_of_its_scheduler() {
    let apps = r#"{"apps": [{"id": "/infra/kafka", "labels": {"DCOS_PACKAGE_FRAMEWORK_NAME": "kafka"}},
        {"id": "/other", "labels": {}}]}"#;
    let fake = Fake::default().answer("GET /service/marathon/v2/apps", 200, apps).answer(
        "GET /service/marathon/v2/apps/infra/kafka/tasks",
        200,
        r#"{"tasks": []}"#,
    );
    let ended = fake.run(&["service", "log", "kafka"], "").await.ended;
    let cause = ended.expect_err("it does not run");
    assert!(cause.contains("/infra/kafka has 0 tasks"), "{cause}");
    let cause = fake.run(&["service", "log", "spark"], "").await.ended.expect_err("there is none");
    assert!(cause.contains("DCOS_PACKAGE_FRAMEWORK_NAME=spark"), "{cause}");
    let cause = fake.run(&["service", "log", "marathon"], "").await.ended.expect_err("no log");
    assert!(cause.contains("part of the cluster"), "{cause}");
}
