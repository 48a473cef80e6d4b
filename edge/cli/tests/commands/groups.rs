//! `dcos marathon group`, and what belongs to the service as a whole.

use crate::fake::{Fake, Told};

const GROUPS: &str = r#"{"id": "/", "groups": [
  {"id": "/shop", "apps": [{}], "enforceRole": true, "groups": [
    {"id": "/shop/db", "apps": [{}, {}], "pods": [{}], "enforceRole": false}]},
  {"id": "/empty"}]}"#;
const GROUP: &str = "/service/marathon/v2/groups/shop/db";

fn shown(out: &str) -> Told {
    Told { ended: Ok(0), out: out.into(), err: String::new() }
}

#[tokio::test]
async fn groups_are_listed_with_what_is_in_them_and_below() {
    let fake = Fake::default().answer("GET /service/marathon/v2/groups", 200, GROUPS);
    let expected = "\
ID        APPS  ENFORCE_ROLE  PODS
/empty    0     false         0
/shop     3     true          1
/shop/db  2     false         1
";
    assert_eq!(fake.run(&["marathon", "group", "list"], "").await, shown(expected));
    let json = fake.run(&["marathon", "group", "list", "--json"], "").await;
    assert!(json.out.starts_with("[\n"), "{json:?}");
    let ids = fake.run(&["marathon", "group", "list", "--quiet"], "").await;
    assert_eq!(ids, shown("/empty\n/shop\n/shop/db\n"));
}

#[tokio::test]
async fn groups_are_added_scaled_changed_and_removed() {
    let done = r#"{"deploymentId": "d-1", "version": "v"}"#;
    let fake = Fake::default()
        .answer("POST /service/marathon/v2/groups", 201, done)
        .answer(&format!("GET {GROUP}"), 200, "{}")
        .answer(&format!("PUT {GROUP}"), 200, done)
        .answer(&format!("DELETE {GROUP}?force=true"), 200, done);
    let check = async |words: &[&str], input: &str, sent: &str| {
        let told = fake.run(&[&["marathon", "group"], words].concat(), input).await;
        assert_eq!(told, shown("Created deployment d-1\n"), "{words:?}");
        assert_eq!(fake.asked().last().map(String::as_str), Some(sent), "{words:?}");
    };
    let post = r#"POST /service/marathon/v2/groups {"id":"/shop/db"}"#;
    check(&["add"], r#"{"id": "/shop/db"}"#, post).await;
    check(&["add", "--id", "/shop/db"], "", post).await;
    check(&["scale", "/shop/db", "1.5"], "", &format!(r#"PUT {GROUP} {{"scaleBy":1.5}}"#)).await;
    let change = ["update", "shop/db", "enforceRole=true"];
    check(&change, "", &format!(r#"PUT {GROUP} {{"enforceRole":true}}"#)).await;
    check(&["remove", "shop/db", "--force"], "", &format!("DELETE {GROUP}?force=true")).await;
}

#[tokio::test]
async fn old_versions_of_groups_are_found_by_counting_back() {
    let fake = Fake::default()
        .answer(&format!("GET {GROUP}/versions"), 200, r#"["a", "b"]"#)
        .answer(&format!("GET {GROUP}/versions/a"), 200, r#"{"version": "a"}"#);
    let told = fake.run(&["marathon", "group", "show", "--group-version=-1", "/shop/db"], "").await;
    assert_eq!(told, shown("{\n    \"version\": \"a\"\n}\n"));
}

#[tokio::test]
async fn delays_are_reset_leaders_abdicate_and_plugins_are_listed() {
    let fake = Fake::default()
        .answer("DELETE /service/marathon/v2/queue/shop/web/delay", 204, "")
        .answer("DELETE /service/marathon/v2/leader", 200, r#"{"message": "Leadership abdicated"}"#)
        .answer("GET /service/marathon/v2/plugins", 200, r#"{"plugins": []}"#);
    let told = fake.run(&["marathon", "delay", "reset", "shop/web"], "").await;
    assert_eq!(told, shown("/shop/web is started again at once\n"));
    let told = fake.run(&["marathon", "leader", "delete"], "").await;
    assert_eq!(told, shown("Leadership abdicated\n"));
    let told = fake.run(&["marathon", "plugin", "list"], "").await;
    assert_eq!(told, shown("ID  IMPLEMENTATION  TYPE\n"));
}
