//! `dcos marathon pod`.

use crate::fake::{Fake, Told};

const STATUS: &str = r#"[
  {"id": "/shop", "status": "STABLE", "statusSince": "t1", "instances": [{}, {}],
   "spec": {"version": "v1", "role": "*", "containers": [{"name": "web"}, {"name": "log"}]}},
  {"id": "/big", "status": "DEGRADED", "statusSince": "t2", "spec": {"containers": [{"name": "one"}]}}]"#;
const QUEUE: &str = r#"{"queue": [{"pod": {"id": "/big"}, "count": 1, "delay": {"overdue": true},
    "lacks": ["it asks for the network dcos, which comes with a later release"]}]}"#;

fn fake() -> Fake {
    Fake::default()
        .answer("GET /service/marathon/v2/pods::status", 200, STATUS)
        .answer("GET /service/marathon/v2/queue?embed=explain", 200, QUEUE)
        .answer("GET /service/marathon/v2/queue?embed=explain&embed=lastUnusedOffers", 200, QUEUE)
        .answer("GET /service/marathon/v2/deployments", 200, "[]")
}

fn shown(out: &str) -> Told {
    Told { ended: Ok(0), out: out.into(), err: String::new() }
}

#[tokio::test]
async fn pods_are_listed_with_their_containers() {
    let expected = "\
ID+TASKS  INSTANCES  VERSION  STATUS    STATUS SINCE  WAITING  ROLE
/big      0          -        DEGRADED  t2            true     N/A
 |-one
/shop     2          v1       STABLE    t1            false    *
 |-log
 |-web
";
    assert_eq!(fake().run(&["marathon", "pod", "list"], "").await, shown(expected));
    assert_eq!(fake().run(&["marathon", "pod", "list", "-q"], "").await, shown("/big\n/shop\n"));
    let json = fake().run(&["marathon", "pod", "list", "--json"], "").await;
    assert!(json.out.contains("\"statusSince\": \"t1\""), "{json:?}");
}

#[tokio::test]
async fn pods_are_added_changed_and_removed_by_deployments_that_a_header_names() {
    let fake = fake()
        .deploys("POST /service/marathon/v2/pods", "d-1")
        .answer("GET /service/marathon/v2/pods/prod/shop", 200, "{}")
        .deploys("PUT /service/marathon/v2/pods/prod/shop?force=true", "d-2")
        .deploys("DELETE /service/marathon/v2/pods/prod/shop", "d-3");
    let pod = r#"{"id": "/prod/shop"}"#;
    let pods = ["marathon", "pod"];
    let told = fake.run(&[&pods[..], &["add", "--wait"]].concat(), pod).await;
    assert_eq!(told, shown("Created deployment d-1\nDeployment d-1 is over\n"));
    let told = fake.run(&[&pods[..], &["update", "prod/shop", "--force"]].concat(), pod).await;
    assert_eq!(told, shown("Created deployment d-2\n"));
    let told = fake.run(&[&pods[..], &["remove", "/prod/shop"]].concat(), "").await;
    assert_eq!(told, shown("Created deployment d-3\n"));
    let told = fake.run(&[&pods[..], &["update", "/unknown"]].concat(), pod).await;
    assert!(told.ended.is_err(), "PUT would have created it: {told:?}");
    assert!(
        !fake.asked().iter().any(|asked| asked.starts_with("PUT") && asked.contains("unknown"))
    );
}

#[tokio::test]
async fn old_definitions_of_pods_are_found_by_counting_back() {
    let path = "GET /service/marathon/v2/pods/shop";
    let fake = fake()
        .answer(&format!("{path}::status"), 200, r#"{"status": "STABLE"}"#)
        .answer(&format!("{path}::versions"), 200, r#"["a", "b", "c"]"#)
        .answer(&format!("{path}::versions/b"), 200, r#"{"version": "b"}"#);
    let show = ["marathon", "pod", "show", "shop"];
    assert!(fake.run(&show, "").await.out.contains("STABLE"));
    let before = fake.run(&[&show[..], &["--pod-version=-1"]].concat(), "").await;
    assert_eq!(before, shown("{\n    \"version\": \"b\"\n}\n"));
}

#[tokio::test]
async fn instances_of_pods_are_killed_by_their_ids() {
    let kill = "DELETE /service/marathon/v2/pods/shop::instances";
    let words = ["marathon", "pod", "kill", "/shop", "shop.instance-1"];
    let one = fake().answer(kill, 200, r#"[{"instanceId": "shop.instance-1"}]"#);
    assert_eq!(one.run(&words, "").await, shown("Killed instances: [shop.instance-1]\n"));
    assert_eq!(one.asked(), [format!(r#"{kill} ["shop.instance-1"]"#)]);
    let none = fake().answer(kill, 200, "[]").run(&words, "").await;
    assert!(none.ended.is_err_and(|error| error.contains("dcos marathon pod show /shop")));
}

#[tokio::test]
async fn debug_tells_why_a_pod_waits() {
    let told = fake().run(&["marathon", "debug", "summary", "big"], "").await;
    let verdict = "/big waits: it asks for the network dcos, which comes with a later release.\n";
    assert_eq!(told, Told { err: verdict.into(), ..shown("") });
    let raw = fake().run(&["marathon", "debug", "details", "big", "--json"], "").await;
    assert!(raw.out.contains("\"count\": 1"), "{raw:?}");
}
