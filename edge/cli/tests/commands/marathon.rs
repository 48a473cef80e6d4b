//! `dcos marathon`.

use crate::fake::{self, Fake, Told};

const APPS: &str = r#"{"apps": [
    {"id": "/web", "mem": 128.0, "cpus": 0.1, "instances": 3, "tasksRunning": 2, "tasksHealthy": 1,
     "healthChecks": [{}], "deployments": [{"id": "d-1"}], "container": {"type": "DOCKER"},
     "args": ["nginx", "-g"], "role": "slave_public"},
    {"id": "/big", "mem": 64.5, "cpus": 64.0, "instances": 1, "tasksRunning": 0,
     "cmd": "while true; do\n  sleep 1000000000; done", "role": "*"}]}"#;
const DEPLOYMENTS: &str = r#"[{"id": "d-1", "affectedApps": ["/web"], "currentStep": 1, "totalSteps": 2,
    "currentActions": [{"action": "ScaleApplication", "app": "/web"}]}]"#;
const QUEUE: &str = r#"{"queue": [{"app": {"id": "/big", "cpus": 64, "mem": 64.5, "disk": 0, "role": "*",
    "constraints": [["rack", "IS", "a"]], "portDefinitions": [{"port": 8080}]}, "count": 1,
    "since": "2026-11-22T09:00:00.000Z", "delay": {"timeLeftSeconds": 0, "overdue": true},
    "processedOffersSummary": {"processedOffersCount": 4, "unusedOffersCount": 3},
    "explain": {"summary": "Of 3 agents 2 made offers. It needs more.",
        "agents": {"known": 3, "lookedAt": 2, "silent": 1, "offersUnlisted": 0},
        "steps": [
            {"demand": "role", "asks": "resources of *", "metBy": 2, "reached": 2, "passed": 2},
            {"demand": "constraint", "asks": "rack IS a", "metBy": 1, "reached": 2, "passed": 1},
            {"demand": "cpus", "asks": "64 cpus", "metBy": 0, "reached": 1, "passed": 0}],
        "looks": [
            {"hostname": "127.0.0.1", "agentId": "S1", "at": "t1",
             "lacks": [{"demand": "cpus", "lacks": "60 cpus", "missing": 60.0}]},
            {"hostname": "127.0.0.2", "agentId": "S2", "at": "t2",
             "lacks": [{"demand": "constraint", "lacks": "rack IS a"},
                       {"demand": "cpus", "lacks": "60 cpus", "missing": 60.0}]}],
        "silent": [{"hostname": "127.0.0.3", "agentId": "S3", "why": "it is unreachable"}]}}]}"#;
const TASKS: &str = r#"{"tasks": [
    {"id": "web.instance-1", "appId": "/web", "host": "127.0.0.1", "startedAt": "t0", "role": "*",
     "healthCheckResults": [{"alive": true}, {"alive": false}]},
    {"id": "big.instance-2", "appId": "/big", "host": "127.0.0.2"}]}"#;

fn fake() -> Fake {
    Fake::default()
        .answer("GET /service/marathon/v2/apps", 200, APPS)
        .answer("GET /service/marathon/v2/deployments", 200, DEPLOYMENTS)
        .answer("GET /service/marathon/v2/queue?embed=explain", 200, QUEUE)
        .answer("GET /service/marathon/v2/queue?embed=explain&embed=lastUnusedOffers", 200, QUEUE)
        .answer("GET /service/marathon/v2/tasks", 200, TASKS)
}

fn shown(out: &str) -> Told {
    Told { ended: Ok(0), out: out.into(), err: String::new() }
}

#[tokio::test]
async fn apps_are_listed_with_what_is_done_to_them() {
    let expected = "\
ID    MEM   CPUS  TASKS  HEALTH  DEPLOYMENT  WAITING  CONTAINER  CMD                                  ROLE
/big  64.5  64    0/1    ---     ---         true     MESOS      while true; do sleep 1000000000;...  *
/web  128   0.1   2/3    1/2     scale       false    DOCKER     [nginx, -g]                          slave_public
";
    assert_eq!(fake().run(&["marathon", "app", "list"], "").await, shown(expected));
    assert_eq!(fake().run(&["marathon", "app", "list", "-q"], "").await, shown("/big\n/web\n"));
}

#[tokio::test]
async fn deployments_are_listed_and_filtered() {
    let expected = "\
APP   POD  ACTION  PROGRESS  ID
/web  -    scale   0/2       d-1
";
    let list = ["marathon", "deployment", "list"];
    assert_eq!(fake().run(&list, "").await, shown(expected));
    assert_eq!(fake().run(&[&list[..], &["web"]].concat(), "").await, shown(expected));
    let none = fake().run(&[&list[..], &["/big"]].concat(), "").await;
    assert_eq!(none.ended, Err("There are no deployments for '/big'".into()));
}

#[tokio::test]
async fn tasks_of_apps_are_listed_and_found_by_what_is_unique() {
    let expected = "\
APP   HEALTHY  STARTED  HOST       ID              ROLE
/big  true     N/A      127.0.0.2  big.instance-2
/web  false    t0       127.0.0.1  web.instance-1  *
";
    assert_eq!(fake().run(&["marathon", "task", "list"], "").await, shown(expected));
    let found = fake().run(&["marathon", "task", "show", "big"], "").await;
    assert!(found.out.contains("\"big.instance-2\""), "{found:?}");
    let both = fake().run(&["marathon", "task", "show", "instance"], "").await;
    assert!(both.ended.is_err_and(|error| error.contains("web.instance-1")));
}

#[tokio::test]
async fn tasks_are_killed_together() {
    let kill = "POST /service/marathon/v2/tasks/delete?scale=true&wipe=false";
    let fake = fake().answer(kill, 200, r#"{"deploymentId": "d-2"}"#);
    let told = fake.run(&["marathon", "task", "kill", "--scale", "web", "big"], "").await;
    assert_eq!(told, shown("Created deployment: d-2\n"));
    let sent = format!(r#"{kill} {{"ids":["web.instance-1","big.instance-2"]}}"#);
    assert_eq!(fake.asked().last(), Some(&sent));
}

#[tokio::test]
async fn debug_says_which_demand_is_not_met() {
    let verdict = "/big waits. Of 3 agents 2 made offers. It needs more. For the 1 that made none see `dcos marathon \
                   debug details /big`.\n";
    let told = |out: &str| Told { err: verdict.into(), ..shown(out) };
    let expected = "\
RESOURCE    REQUESTED       MATCHED  PERCENTAGE  IN TURN
ROLE        resources of *  2/2      100.00%     2/2
CONSTRAINT  rack IS a       1/2      50.00%      1/2
CPUS        64 cpus         0/2      0.00%       0/1
";
    assert_eq!(fake().run(&["marathon", "debug", "summary", "big"], "").await, told(expected));
    let expected = "\
HOSTNAME   STOPPED BY  LACKS               LOOKED AT
127.0.0.1  CPUS        60 cpus             t1
127.0.0.2  CONSTRAINT  rack IS a, 60 cpus  t2
127.0.0.3  NO OFFER    it is unreachable   ---
";
    assert_eq!(fake().run(&["marathon", "debug", "details", "big"], "").await, told(expected));
    let expected = "\
ID    SINCE                     INSTANCES TO LAUNCH  WAITING  PROCESSED OFFERS  UNUSED OFFERS  \
LAST UNUSED OFFER  LAST USED OFFER
/big  2026-11-22T09:00:00.000Z  1                    true     4                 3              \
---                ---
";
    assert_eq!(fake().run(&["marathon", "debug", "list"], "").await, told(expected));
    let other = fake().run(&["marathon", "debug", "summary", "/web"], "").await;
    assert!(other.ended.is_err_and(|error| error.contains("/web does not wait")));
}

#[tokio::test]
async fn an_app_is_added_from_standard_input() {
    let post = "POST /service/marathon/v2/apps";
    let added = r#"{"id": "/web", "deployments": [{"id": "d-3"}]}"#;
    let fake = fake().answer(post, 201, added);
    let told = fake.run(&["marathon", "app", "add"], r#"{"id": "web"}"#).await;
    assert_eq!(told, shown("Created deployment d-3\n"));
    assert_eq!(fake.asked(), [format!(r#"{post} {{"id":"web"}}"#)]);
    let told = fake.run(&["marathon", "app", "add"], "{").await;
    assert!(told.ended.is_err_and(|error| error.contains("standard input is not JSON")));
}

#[tokio::test]
async fn an_app_is_updated_by_words_and_forced_only_if_asked() {
    let put = "PUT /service/marathon/v2/apps/shop/web";
    let done = r#"{"deploymentId": "d-4", "version": "v"}"#;
    let fake = fake()
        .answer("GET /service/marathon/v2/apps/shop/web", 200, r#"{"app": {"instances": 1}}"#)
        .answer(put, 200, done)
        .answer(&format!("{put}?force=true"), 200, done);
    let update = ["marathon", "app", "update", "shop/web", "cpus=2", "cmd=3"];
    assert_eq!(fake.run(&update, "").await, shown("Created deployment d-4\n"));
    assert_eq!(fake.asked().last(), Some(&format!(r#"{put} {{"cmd":"3","cpus":2}}"#)));
    let forced = [&update[..], &["--force"]].concat();
    assert_eq!(fake.run(&forced, "").await, shown("Created deployment d-4\n"));
    let start = fake.run(&["marathon", "app", "start", "/shop/web", "2"], "").await;
    assert!(start.ended.is_err_and(|error| error.contains("already started: 1 instances")));
    let stop = fake.run(&["marathon", "app", "stop", "/shop/web"], "").await;
    assert_eq!(stop, shown("Created deployment d-4\n"));
}

#[tokio::test]
async fn waiting_ends_when_the_deployment_does() {
    let fake = fake().answer(
        "POST /service/marathon/v2/apps/web/restart",
        200,
        r#"{"deploymentId": "d-9", "version": "v"}"#,
    );
    let told = fake.run(&["marathon", "app", "restart", "web", "--wait"], "").await;
    assert_eq!(told, shown("Created deployment d-9\nDeployment d-9 is over\n"));
    let fake = fake.answer(
        "POST /service/marathon/v2/apps/web/restart",
        200,
        r#"{"deploymentId": "d-1", "version": "v"}"#,
    );
    let restart = ["marathon", "app", "restart", "web", "--wait", "--timeout", "0"];
    let error = fake.run(&restart, "").await.ended.expect_err("d-1 never ends");
    assert!(error.contains("debug summary /web") && error.contains("rollback d-1"), "{error}");
}

#[tokio::test]
async fn a_refusal_names_each_fault_and_a_missing_cluster_what_to_do() {
    let refused = r#"{"message": "Object is not valid", "details":
        [{"path": "/cpus", "errors": ["must be greater than or equal to 0.001"]}]}"#;
    let fake = fake().answer("POST /service/marathon/v2/apps", 422, refused);
    let told = fake.run(&["marathon", "app", "add"], "{}").await;
    let expected = "Object is not valid\n    /cpus: must be greater than or equal to 0.001";
    assert_eq!(told.ended, Err(expected.into()));
    let nowhere =
        cli::settings::Env { url: Some("http://127.80.0.1:1".into()), ..Default::default() };
    let error = fake::run(nowhere, &["marathon", "ping"], "").await.ended.expect_err("no listener");
    assert!(error.contains("Connection refused") && error.contains("dcos up"), "{error}");
}

#[tokio::test]
async fn old_versions_are_found_by_counting_back() {
    let versions = "/service/marathon/v2/apps/web/versions";
    let fake = fake()
        .answer(&format!("GET {versions}"), 200, r#"{"versions": ["c", "b", "a"]}"#)
        .answer(&format!("GET {versions}/b"), 200, r#"{"id": "/web", "version": "b"}"#);
    let told = fake.run(&["marathon", "app", "show", "--app-version=-1", "web"], "").await;
    assert!(told.out.contains("\"version\": \"b\""), "{told:?}");
    let list = ["marathon", "app", "version", "list", "web", "--max-count", "1"];
    assert_eq!(fake.run(&list, "").await, shown("[\n    \"c\"\n]\n"));
}
