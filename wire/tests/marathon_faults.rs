//! What is wrong with an app is told whole, each fault with its path.

use model::id::Role;
use services::Fault;
use wire::marathon::judge::{self, Rules};
use wire::marathon::reading::{self, Unreadable};

fn faults(body: &str) -> Vec<Fault> {
    let rules = Rules { default_role: Role::new("slave_public"), enforce_group_role: true };
    let read = reading::app(body.as_bytes()).expect("an object");
    judge::read(read, &rules).err().unwrap_or_default()
}

/// `fields` are added to an app that is fine without them; the only fault lies at `path` and says `message`.
fn check(fields: &str, path: &str, message: &str) {
    let body = format!(r#"{{"id": "/a", "cmd": "sleep 1", {fields}}}"#);
    told_once(&body, path, message);
}

/// The same without a command.
fn check_bare(fields: &str, path: &str, message: &str) {
    told_once(&format!(r#"{{"id": "/a", {fields}}}"#), path, message);
}

fn told_once(body: &str, path: &str, message: &str) {
    let found = faults(body);
    assert_eq!(found.len(), 1, "{body}: {found:?}");
    assert_eq!(found[0].path, path, "{body}: {found:?}");
    assert!(found[0].message.contains(message), "{body}: {found:?}");
}

#[test]
fn an_app_needs_an_id_that_can_be_one() {
    let check = |id: &str, message: &str| {
        told_once(&format!(r#"{{"id": "{id}", "cmd": "a"}}"#), "/id", message);
    };
    check("", "at least one path element");
    check("/", "at least one path element");
    check("/../..", "at least one path element");
    check("/Web", "lower-case");
    check("/web_1", "lower-case");
    check("/-web", "lower-case");
    check("/web-", "lower-case");
    check("/a..b", "lower-case");
    check("/a/restart", "reserved keywords");
    check("/a/tasks", "reserved keywords");
    check("/versions", "reserved keywords");
    check(&"a".repeat(201), "longer than 200");
    told_once(r#"{"cmd": "a"}"#, "/id", "undefined");
    told_once(r#"{"id": 5, "cmd": "a"}"#, "/id", "invalid type");
}

#[test]
fn an_app_has_one_command_or_an_image() {
    let message = "must either contain one of 'cmd' or 'args'";
    check(r#""args": ["a"]"#, "/", message);
    check_bare(r#""cpus": 1"#, "/", message);
    check_bare(r#""args": []"#, "/", message);
    check_bare(r#""container": {"type": "MESOS"}"#, "/", message);
    check_bare(r#""cmd": """#, "/cmd", "empty");
    check(r#""executor": "/my//executor""#, "/executor", "the path of a program");
    check(r#""executor": "//my""#, "/executor", "the path of a program");
}

#[test]
fn quantities_have_limits() {
    check(r#""cpus": 0"#, "/cpus", "0.001 or more");
    check(r#""cpus": -0.5"#, "/cpus", "0.001 or more");
    check(r#""cpus": 1e300"#, "/cpus", "too large");
    check(r#""mem": -1"#, "/mem", "0 or more");
    check(r#""disk": -1"#, "/disk", "0 or more");
    check(r#""gpus": -1"#, "/gpus", "0 or more");
    check(r#""instances": -1"#, "/instances", "0 or more");
    check(r#""instances": 3000000000"#, "/instances", "at most 2147483647");
    check(r#""taskKillGracePeriodSeconds": -1"#, "/taskKillGracePeriodSeconds", "0 or more");
    check(r#""backoffSeconds": -1"#, "/backoffSeconds", "0 or more");
    check(r#""backoffFactor": 0.9"#, "/backoffFactor", "1 or more");
    check(r#""maxLaunchDelaySeconds": -1"#, "/maxLaunchDelaySeconds", "0 or more");
}

#[test]
fn strategies_are_of_the_known_kinds() {
    let upgrade = |field: &str, value: &str, message: &str| {
        let fields = format!(r#""upgradeStrategy": {{"{field}": {value}}}"#);
        check(&fields, &format!("/upgradeStrategy/{field}"), message);
    };
    upgrade("minimumHealthCapacity", "1.1", "is greater than 1");
    upgrade("maximumOverCapacity", "2", "is greater than 1");
    upgrade("maximumOverCapacity", "-1", "0 or more");
    check(r#""killSelection": "ANY""#, "/killSelection", "YOUNGEST_FIRST");
    check(r#""unreachableStrategy": "off""#, "/unreachableStrategy", "\"disabled\"");
    check(
        r#""unreachableStrategy": {"inactiveAfterSeconds": 2, "expungeAfterSeconds": 1}"#,
        "/unreachableStrategy",
        "less than or equal",
    );
    check(
        r#""unreachableStrategy": {"expungeAfterSeconds": -1}"#,
        "/unreachableStrategy/expungeAfterSeconds",
        "0 or more",
    );
    let single = r#""labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "#;
    let calm = r#""upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}"#;
    check(&format!(r#"{single}{calm}, "instances": 2"#), "/", "only have one instance");
    check(
        &format!(r#"{single}"upgradeStrategy": {{"maximumOverCapacity": 0}}"#),
        "/upgradeStrategy/minimumHealthCapacity",
        "must be 0",
    );
}

#[test]
fn placement_is_judged_before_it_is_tried() {
    let constraint = |words: &str, message: &str| {
        check(&format!(r#""constraints": [{words}]"#), "/constraints(0)", message);
    };
    constraint(r#"["hostname"]"#, "either 2 or 3 fields");
    constraint(r#"["a", "b", "c", "d"]"#, "either 2 or 3 fields");
    constraint(r#"["", "UNIQUE"]"#, "missing field");
    constraint(r#"["hostname", "NEAR"]"#, "operator must be one of");
    constraint(r#"["hostname", "UNIQUE", "x"]"#, "does not accept a value");
    constraint(r#"["rack", "GROUP_BY", "x"]"#, "integer value");
    constraint(r#"["rack", "MAX_PER"]"#, "requires an integer");
    constraint(r#"["rack", "MAX_PER", "x"]"#, "requires an integer");
    constraint(r#"["rack", "LIKE"]"#, "regular expression");
    constraint(r#"["rack", "UNLIKE", "("]"#, "not a valid regular expression");
    constraint(r#"["rack", "IS", "{a}"]"#, "IS only supports");
    let roles = "/acceptedResourceRoles";
    check(r#""acceptedResourceRoles": []"#, roles, "must not be empty");
    check(r#""acceptedResourceRoles": ["x"]"#, roles, "can only contain * and slave_public");
    check(r#""role": "other""#, "/role", "expected one of: slave_public");
    check(r#""role": """#, "/role", "must not be empty");
    check(r#""dependencies": ["/b", "/B"]"#, "/dependencies(1)", "lower-case");
    let nested = r#"{"id": "/prod/a", "cmd": "a", "role": "other"}"#;
    told_once(nested, "/role", "expected one of: slave_public, prod");
}

#[test]
fn ports_and_networks_make_sense() {
    check(r#""portDefinitions": [{"port": 70000}]"#, "/portDefinitions(0)/port", "0 to 65535");
    check(r#""portDefinitions": [{"name": "A"}]"#, "/portDefinitions(0)/name", "lower-case");
    check(r#""portDefinitions": [{"protocol": "sctp"}]"#, "/portDefinitions(0)/protocol", "tcp");
    let same = r#""portDefinitions": [{"port": 80}, {"port": 80}]"#;
    check(same, "/portDefinitions", "Ports must be unique");
    let same = r#""portDefinitions": [{"name": "a"}, {"name": "a"}]"#;
    check(same, "/portDefinitions", "Port names must be unique");
    check(r#""ports": [-1]"#, "/ports(0)", "0 to 65535");
    check(r#""ports": [80, 80]"#, "/portDefinitions", "Ports must be unique");
    check(
        r#""ports": [1], "portDefinitions": [{"port": 2}]"#,
        "/",
        "both ports and port definitions",
    );
    check(r#""networks": [{"mode": "mesh"}]"#, "/networks(0)/mode", "must be one of");
    check(r#""networks": [{"mode": "host", "name": "x"}]"#, "/networks", "names or labels");
    let two = r#""networks": [{"mode": "host"}, {"mode": "host"}]"#;
    check(two, "/networks", "single host network");
}

#[test]
fn health_checks_can_be_carried_out() {
    let health = |fields: &str, path: &str, message: &str| {
        check(&format!(r#""healthChecks": [{{{fields}}}]"#), path, message);
    };
    let base = "/healthChecks(0)";
    health(r#""portIndex": 1"#, base, "port indices");
    health(r#""portIndex": 70000"#, "/healthChecks(0)/portIndex", "0 to 65535");
    health(r#""port": 70000"#, "/healthChecks(0)/port", "0 to 65535");
    health(r#""protocol": "ICMP""#, "/healthChecks(0)/protocol", "must be one of");
    health(r#""protocol": "COMMAND""#, "/healthChecks(0)/command", "is needed");
    health(r#""command": {"value": "a"}"#, "/healthChecks(0)/command", "only for protocol COMMAND");
    let command = r#""protocol": "COMMAND", "command": {"value": "a"}, "path": "/""#;
    health(command, "/healthChecks(0)/path", "not for protocol COMMAND");
    health(r#""protocol": "TCP", "path": "/""#, "/healthChecks(0)/path", "HTTP");
    health(r#""ipProtocol": "IPv6""#, base, "IPv6 can only be used");
    health(r#""ipProtocol": "IPX""#, "/healthChecks(0)/ipProtocol", "IPv4 or IPv6");
    health(r#""intervalSeconds": -1"#, "/healthChecks(0)/intervalSeconds", "0 or more");
    let two = r#""healthChecks": [{"protocol": "MESOS_HTTP"}, {"protocol": "MESOS_TCP"}]"#;
    check(two, "/", "at most one Mesos health check");
    let none = r#""portDefinitions": [], "healthChecks": [{"path": "/"}]"#;
    check(none, base, "port indices");
}

#[test]
fn containers_volumes_and_artifacts_are_complete() {
    let container = |fields: &str, path: &str, message: &str| {
        check(&format!(r#""container": {{{fields}}}"#), path, message);
    };
    container(r#""type": "DOCKER""#, "/container/docker", "not defined");
    container(r#""type": "LXC""#, "/container/type", "MESOS or DOCKER");
    container(r#""docker": {"image": ""}"#, "/container/docker/image", "must not be empty");
    container(r#""docker": {}"#, "/container/docker/image", "must not be empty");
    let mesos = r#""type": "MESOS", "docker": {"image": "a", "#;
    let path = "/container/docker/parameters";
    container(&format!(r#"{mesos}"parameters": [{{"key": "a", "value": "b"}}]}}"#), path, "MESOS");
    let volume = |fields: &str, field: &str, message: &str| {
        let volumes = format!(r#""type": "MESOS", "volumes": [{{{fields}}}]"#);
        container(&volumes, &format!("/container/volumes(0)/{field}"), message);
    };
    volume(r#""hostPath": "/a", "mode": "RO""#, "containerPath", "must not be empty");
    volume(r#""containerPath": "/a", "mode": "RO""#, "hostPath", "must not be empty");
    volume(r#""containerPath": "/a", "hostPath": "/b""#, "mode", "RO or RW");
    check(r#""fetch": [{"uri": ""}]"#, "/fetch(0)/uri", "1 to 1024");
    check(r#""fetch": [{"uri": "http://a b"}]"#, "/fetch(0)/uri", "invalid syntax");
    check(r#""fetch": [{"uri": "a", "destPath": "../b"}]"#, "/fetch(0)/destPath", "sandbox");
    check(r#""fetch": [{"uri": "a"}], "uris": ["b"]"#, "/uris", "in conjunction with fetch");
    check(r#""uris": [""]"#, "/uris(0)", "1 to 1024");
    check(r#""env": {"": "a"}"#, "/env", "must have a name");
    check(r#""env": {"A": {"secret": "s"}}"#, "/env/A/secret", "references an undefined secret");
    let gpus = r#""gpus": 1, "container": {"docker": {"image": "a"}}"#;
    check(gpus, "/", "GPU resources only work");
}

#[test]
fn empty_fields_and_unknown_ones_ask_for_nothing() {
    let body = r#"{"id": "/a", "cmd": "a", "secrets": {}, "readinessChecks": [], "ipAddress": null,
        "container": {"type": "MESOS", "portMappings": [], "volumes": [], "linuxInfo": null},
        "tasksRunning": 0, "deployments": [], "maintainer": "somebody"}"#;
    assert_eq!(faults(body), []);
}

#[test]
fn faults_of_type_and_of_meaning_are_told_together() {
    let body = r#"{"id": "/A", "cmd": 5, "cpus": "many", "instances": -1, "healthChecks": [{"port": []}],
        "env": {"A": 1}, "unreachableStrategy": {"inactiveAfterSeconds": "x"}, "secrets": {"a": {}}}"#;
    let paths: Vec<String> = faults(body).into_iter().map(|fault| fault.path).collect();
    let expected = [
        "/cmd",
        "/cpus",
        "/env/A",
        "/healthChecks(0)/port",
        "/unreachableStrategy/inactiveAfterSeconds",
        "/id",
        "/secrets/a/source",
        "/instances",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn malformed_json_is_told_with_its_position() {
    let check = |body: &[u8], cause: &str| match reading::app(body) {
        Err(Unreadable::Malformed { cause: told }) => assert!(told.contains(cause), "{told}"),
        other => panic!("{other:?}"),
    };
    check(b"", "line 1 column 0");
    check(b"{\"id\": \"/a\",\n \"cmd\": }", "line 2 column 9");
    check(b"{\"id\": \"/a\xff\"}", "line 1 column");
    check("{\"a\":".repeat(200).as_bytes(), "recursion limit");
}
