//! What is wrong with networks, volumes, secrets, checks and limits is told with its path, as Marathon tells it.

use model::id::Role;
use services::Fault;
use wire::marathon::judge::{self, Rules};
use wire::marathon::reading;

fn rules() -> Rules {
    Rules { default_role: Role::new("slave_public"), enforce_group_role: true }
}

fn faults(body: &str) -> Vec<Fault> {
    let read = reading::app(body.as_bytes()).expect("an object");
    judge::read(read, &rules()).err().unwrap_or_default()
}

fn body(fields: &str) -> String {
    format!(r#"{{"id": "/a", "cmd": "sleep 1", {fields}}}"#)
}

/// `fields` are added to an app that is fine without them; the only fault lies at `path` and says `message`.
fn check(fields: &str, path: &str, message: &str) {
    let found = faults(&body(fields));
    assert_eq!(found.len(), 1, "{fields}: {found:?}");
    assert_eq!(found[0].path, path, "{fields}: {found:?}");
    assert!(found[0].message.contains(message), "{fields}: {found:?}");
}

fn fine(fields: &str) {
    assert_eq!(faults(&body(fields)), [], "{fields}");
}

#[test]
fn networks_agree_with_each_other() {
    let networks = |all: &str, message: &str| {
        check(&format!(r#""networks": [{all}]"#), "/networks", message);
    };
    let container = r#"{"mode": "container", "name": "a"}"#;
    networks(&format!("{container}, {container}"), "Duplicate networks");
    networks(r#"{"mode": "container"}, {"mode": "container"}"#, "Duplicate networks");
    networks(&format!(r#"{container}, {{"mode": "host"}}"#), "single host network");
    networks(&format!(r#"{container}, {{"mode": "container/bridge"}}"#), "single host network");
    networks(r#"{"mode": "container/bridge", "name": "a"}"#, "Bridge networks may not have names");
    networks(r#"{"mode": "host", "labels": {"a": "b"}}"#, "names or labels");
    check(r#""networks": [{"name": "A"}]"#, "/networks(0)/name", "name of a network");
    let two = r#""networks": [{"name": "a"}, {"name": "b"}]"#;
    fine(two);
    let docker = r#""container": {"docker": {"image": "a"}}"#;
    check(&format!("{two}, {docker}"), "/", "single container network when using the Docker");
}

#[test]
fn mapped_ports_belong_to_networks() {
    let two = r#""networks": [{"name": "a"}, {"name": "b"}]"#;
    let mapping = |fields: &str, path: &str, message: &str| {
        let container = format!(r#""container": {{"type": "MESOS", "portMappings": [{fields}]}}"#);
        check(&format!("{two}, {container}"), &format!("/container/portMappings{path}"), message);
    };
    mapping(r#"{"hostPort": 1}"#, "(0)", "networkNames must be a single item list");
    mapping(r#"{"hostPort": 1, "networkNames": ["a", "b"]}"#, "(0)", "single item list");
    mapping(r#"{"networkNames": ["a", "c"]}"#, "(0)/networkNames(1)", "is not one of (a,b)");
    mapping(r#"{"name": "x"}, {"name": "x"}"#, "", "Port names must be unique");
    mapping(r#"{"name": "X"}"#, "(0)/name", "lower-case");
    mapping(r#"{"containerPort": 70000}"#, "(0)/containerPort", "0 to 65535");
    mapping(r#"{"hostPort": -1, "networkNames": ["a"]}"#, "(0)/hostPort", "0 to 65535");
    mapping(r#"{"servicePort": 65536}"#, "(0)/servicePort", "0 to 65535");
    mapping(r#"{"protocol": "sctp"}"#, "(0)/protocol", "must be one of");
    let old = r#""container": {"docker": {"image": "a", "network": "BRIDGE", "portMappings": [{"hostPort": 70000}]}}"#;
    check(old, "/container/docker/portMappings(0)/hostPort", "0 to 65535");
}

#[test]
fn old_and_new_spellings_do_not_contradict_each_other() {
    let docker = |network: &str| {
        format!(r#""container": {{"docker": {{"image": "a", "network": "{network}"}}}}"#)
    };
    let networks = r#""networks": [{"mode": "host"}]"#;
    check(
        &format!("{}, {networks}", docker("HOST")),
        "/",
        "must not specify both container.docker.network and networks",
    );
    check(&format!(r#""ipAddress": {{}}, {networks}"#), "/", "both networks and ipAddress");
    check(r#""ipAddress": {}, "ports": [80]"#, "/", "both an IP address and port");
    check(&docker("NONE"), "/container/docker/network", "unsupported docker network type NONE");
    check(&docker("MESH"), "/container/docker/network", "must be one of");
    let discovery = r#""ipAddress": {"discovery": {"ports": [{"number": 80, "name": "http"}]}}"#;
    fine(discovery);
    check(
        &format!(r#"{discovery}, "container": {{"docker": {{"image": "a"}}}}"#),
        "/ipAddress",
        "not allowed for Docker containers",
    );
    check(
        &format!(r#"{discovery}, "container": {{"type": "MESOS", "portMappings": []}}"#),
        "/",
        "must not both be set",
    );
    let both = r#""docker": {"image": "a", "portMappings": [{}]}, "portMappings": [{}]"#;
    let bridge = r#""networks": [{"mode": "container/bridge"}]"#;
    check(
        &format!(r#"{bridge}, "container": {{{both}}}"#),
        "/container",
        "both portMappings and docker.portMappings",
    );
    let mesos = |field: &str, name: &str| {
        let docker = format!(r#"{{"image": "a", {field}}}"#);
        let container = format!(r#""container": {{"type": "MESOS", "docker": {docker}}}"#);
        check(&container, &format!("/container/docker/{name}"), "must be empty");
    };
    mesos(r#""network": "HOST""#, "network");
    mesos(r#""portMappings": [{}]"#, "portMappings");
    mesos(r#""credential": {"principal": "a"}"#, "credential");
}

#[test]
fn persistent_volumes_can_be_made() {
    let volume = |path: &str, mode: &str, info: &str, at: &str, message: &str| {
        let volume =
            format!(r#"{{"containerPath": "{path}", "mode": "{mode}", "persistent": {{{info}}}}}"#);
        let fields = format!(r#""container": {{"type": "MESOS", "volumes": [{volume}]}}"#);
        check(&fields, &format!("/container/volumes(0){at}"), message);
    };
    volume("a/b", "RW", r#""size": 1"#, "/containerPath", "must not contain \"/\"");
    volume("..", "RW", r#""size": 1"#, "/containerPath", "can not be one of");
    volume("a", "RO", r#""size": 1"#, "/mode", "must be RW");
    volume("a", "RW", r#""size": 0"#, "/persistent/size", "from 1 to");
    volume("a", "RW", r#""size": 1, "maxSize": 2"#, "/persistent/maxSize", "mount");
    let mount = r#""type": "mount", "size": 2"#;
    volume("a", "RW", &format!(r#"{mount}, "maxSize": 2"#), "/persistent/maxSize", "larger");
    let path = |words: &str| format!(r#""size": 1, "type": "path", "constraints": [{words}]"#);
    let at = "/persistent/constraints(0)";
    volume("a", "RW", &path(r#"["path", "LIKE", "("]"#), at, "regular expression");
    volume("a", "RW", &path(r#"["rack", "LIKE", "a"]"#), at, "path");
    let root = r#""size": 1, "constraints": [["path", "LIKE", "a"]]"#;
    volume("a", "RW", root, "/persistent/constraints", "root volumes are not supported");
    volume("a", "RW", r#""size": 1, "type": "tape""#, "/persistent/type", "root, path and mount");
}

#[test]
fn apps_that_stay_where_their_data_is_do_not_ask_to_move() {
    let data = r#""container": {"type": "MESOS", "volumes": [{"containerPath": "a", "mode": "RW", "persistent": {"size": 1}}]}"#;
    let check = |fields: &str, path: &str, message: &str| {
        check(&format!("{data}, {fields}"), path, message);
        check(&format!(r#""residency": {{}}, {fields}"#), path, message);
    };
    check(
        r#""upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.5}"#,
        "/upgradeStrategy/maximumOverCapacity",
        "expected 0.0",
    );
    let strategy =
        r#""unreachableStrategy": {"inactiveAfterSeconds": 1, "expungeAfterSeconds": 2}"#;
    check(strategy, "/", "unreachableStrategy must be disabled for resident tasks");
    let roles = r#""acceptedResourceRoles": ["slave_public"]"#;
    check(roles, "/acceptedResourceRoles", "A resident app must have");
    let residency = |fields: &str, field: &str, message: &str| {
        let fields = format!(r#""residency": {{{fields}}}"#);
        self::check(&fields, &format!("/residency/{field}"), message);
    };
    residency(r#""taskLostBehavior": "RUN""#, "taskLostBehavior", "must be WAIT_FOREVER");
    let timeout = "relaunchEscalationTimeoutSeconds";
    residency(&format!(r#""{timeout}": -1"#), timeout, "0 or more");
}

/// In a container of this kind.
fn external(kind: &str, mode: &str, info: &str) -> String {
    let docker = if kind == "DOCKER" { r#", "docker": {"image": "a"}"# } else { "" };
    let volume = format!(r#"{{"containerPath": "/a", "mode": "{mode}", "external": {{{info}}}}}"#);
    format!(r#""container": {{"type": "{kind}"{docker}, "volumes": [{volume}]}}"#)
}

#[test]
fn volumes_of_docker_drivers_can_be_asked_for() {
    let at = "/container/volumes(0)";
    let driver = |name: &str| format!(r#""options": {{"dvdi/driver": "{name}"}}"#);
    let good = format!(r#""name": "v", "provider": "dvdi", {}"#, driver("pxd"));
    fine(&external("MESOS", "RW", &good));
    fine(&external("DOCKER", "RO", &good));
    let check = |mode: &str, info: &str, path: &str, message: &str| {
        check(&external("MESOS", mode, info), &format!("{at}{path}"), message);
    };
    check("RO", &good, "/mode", "must be RW");
    check("RW", r#""name": "v""#, "/external/provider", "undefined");
    check("RW", r#""name": "v", "provider": "x""#, "/external/provider", "is unknown provider");
    let nameless = format!(r#""provider": "dvdi", {}"#, driver("pxd"));
    check("RW", &nameless, "/external/name", "must not be empty");
    let dvdi = r#""name": "v", "provider": "dvdi", "options""#;
    check("RW", &format!("{dvdi}: {{}}"), "/external/options(\"dvdi/driver\")", "not defined");
    let more = |option: &str| format!(r#"{dvdi}: {{"dvdi/driver": "rexray", {option}}}"#);
    check("RW", &more(r#""size": "1""#), "/external/options(size)", "provider/option");
    check("RW", &more(r#""dvdi/x": 1"#), "/external/options(dvdi/x)", "must be a string");
    check("RW", &more(r#""dvdi/iops": "0""#), "/external/options(\"dvdi/iops\")", "positive");
    let overwrite = "/external/options(\"dvdi/overwritefs\")";
    check("RW", &more(r#""dvdi/overwritefs": "x""#), overwrite, "boolean");
    let docker = |info: &str, path: &str, message: &str| {
        self::check(&external("DOCKER", "RW", info), &format!("{at}{path}"), message);
    };
    docker(&format!(r#"{good}, "size": 1"#), "/external/size", "must be undefined");
    let other =
        r#""name": "v", "provider": "dvdi", "options": {"dvdi/driver": "a", "dvdi/b": "c"}"#;
    docker(other, "/external/options", "must only contain dvdi/driver");
    let two = format!(r#""instances": 2, {}"#, external("MESOS", "RW", &good));
    self::check(&two, "/instances", "expected 1 or less");
}

#[test]
fn volumes_of_csi_plugins_can_be_asked_for() {
    let info = |mode: &str, kind: &str| {
        let capability = format!(r#"{{"accessMode": "{mode}", "accessType": {kind}}}"#);
        format!(
            r#""name": "v", "provider": "csi", "options": {{"pluginName": "p", "capability": {capability}}}"#
        )
    };
    let at = "/container/volumes(0)";
    let check = |mode: &str, info: &str, path: &str, message: &str| {
        check(&external("MESOS", mode, info), &format!("{at}{path}"), message);
    };
    let (block, mount) = (r#""block""#, r#""mount", "fsType": "ext4""#);
    fine(&external("MESOS", "RO", &info("SINGLE_NODE_READER_ONLY", block)));
    let shared = external("MESOS", "RW", &info("MULTI_NODE_MULTI_WRITER", mount));
    fine(&format!(r#""instances": 2, {shared}"#));
    let lone = external("MESOS", "RW", &info("SINGLE_NODE_WRITER", mount));
    self::check(&format!(r#""instances": 2, {lone}"#), "/instances", "expected 1 or less");
    check("RW", &info("MULTI_NODE_READER_ONLY", mount), "/mode", "must be mounted readonly");
    let capability = "/external/options/capability";
    check("RW", &info("X", mount), &format!("{capability}/accessMode"), "SINGLE_NODE_WRITER");
    let writer = "SINGLE_NODE_WRITER";
    check("RW", &info(writer, r#""tape""#), &format!("{capability}/accessType"), "block or mount");
    check("RW", &info(writer, r#""mount""#), &format!("{capability}/fsType"), "is needed");
    let options = r#""name": "v", "provider": "csi", "options": {"pluginName": 5}"#;
    check("RW", options, "/external/options", "invalid type");
}

#[test]
fn secrets_are_declared_before_they_are_used() {
    check(r#""secrets": {"": {"source": "a"}}"#, "/secrets", "must have a name");
    check(r#""secrets": {"a": {}}"#, "/secrets/a/source", "must not be empty");
    let secrets = r#""secrets": {"a": {"source": "x"}}"#;
    fine(&format!(r#"{secrets}, "env": {{"B": {{"secret": "a"}}}}"#));
    check(
        &format!(r#"{secrets}, "env": {{"B": {{"secret": "b"}}}}"#),
        "/env/B/secret",
        "references an undefined secret",
    );
    let volume =
        r#""container": {"type": "MESOS", "volumes": [{"containerPath": "/a", "secret": "b"}]}"#;
    check(volume, "/container/volumes(0)", "must refer to an existing secret");
    let pull = |kind: &str| {
        let docker = r#""docker": {"image": "a", "pullConfig": {"secret": "b"}}"#;
        format!(r#""container": {{"type": "{kind}", {docker}}}"#)
    };
    let path = "/container/docker/pullConfig";
    check(&pull("MESOS"), path, "pullConfig.secret must refer to an existing secret");
    check(&pull("DOCKER"), path, "pullConfig is not supported with Docker containerizer");
}

#[test]
fn checks_can_be_carried_out() {
    let one = |fields: &str, path: &str, message: &str| {
        check(&format!(r#""check": {{{fields}}}"#), path, message);
    };
    one("", "/check", "must have one of");
    one(r#""http": {}, "tcp": {}"#, "/check", "must have one of");
    one(r#""tcp": {"portIndex": 1}"#, "/check", "check port index must address");
    one(r#""http": {"port": 70000}"#, "/check/http/port", "0 to 65535");
    one(r#""http": {"scheme": "FTP"}"#, "/check/http/scheme", "HTTP or HTTPS");
    one(r#""http": {"path": ""}"#, "/check/http/path", "1 to 1024");
    one(r#""exec": {"command": {}}"#, "/check/exec/command", "one of shell and argv");
    one(r#""tcp": {}, "intervalSeconds": -1"#, "/check/intervalSeconds", "0 or more");
    let docker = r#""container": {"docker": {"image": "a"}}, "check": {"tcp": {}}"#;
    check(docker, "/", "must not use 'checks' if using docker");
}

#[test]
fn readiness_checks_can_be_carried_out() {
    let ports = r#""portDefinitions": [{"name": "http-api"}]"#;
    let ready = |fields: &str, path: &str, message: &str| {
        let fields = format!(r#"{ports}, "readinessChecks": [{{{fields}}}]"#);
        check(&fields, &format!("/readinessChecks(0)/{path}"), message);
    };
    ready(r#""portName": "x""#, "portName", "No port definition reference for portName x");
    ready(r#""portName": "X""#, "portName", "lower-case");
    ready(r#""intervalSeconds": 10"#, "timeoutSeconds", "got 10, expected less than 10");
    ready(r#""timeoutSeconds": 0"#, "timeoutSeconds", "1 or more");
    ready(r#""name": """#, "name", "must not be empty");
    ready(r#""path": """#, "path", "1 to 1024");
    ready(r#""protocol": "TCP""#, "protocol", "HTTP or HTTPS");
    ready(r#""httpStatusCodesForReady": [99]"#, "httpStatusCodesForReady(0)", "100 to 999");
    let two = format!(r#"{ports}, "readinessChecks": [{{}}, {{"path": "/b"}}]"#);
    check(&two, "/readinessChecks", "got 2, expected 1 or less");
}

#[test]
fn autoscaling_has_bounds_a_metric_and_a_target() {
    let good = r#""max": 9, "metric": "cpu", "target": 0.7"#;
    fine(&format!(r#""autoscale": {{{good}}}"#));
    let one = |fields: &str, name: &str, message: &str| {
        check(&format!(r#""autoscale": {{{fields}}}"#), &format!("/autoscale/{name}"), message);
    };
    one(&format!(r#"{good}, "min": 0"#), "min", "1 or more");
    one(&format!(r#"{good}, "min": 10"#), "max", "must not be less than min");
    one(&format!(r#"{good}, "scaleUpDelaySeconds": -1"#), "scaleUpDelaySeconds", "0 or more");
    one(r#""metric": "mem", "target": 1"#, "max", "undefined");
    one(r#""max": 2, "target": 1"#, "metric", "undefined");
    one(r#""max": 2, "metric": "queue length", "target": 1"#, "metric", "or a name of up to");
    one(r#""max": 2, "metric": "queue.length""#, "target", "undefined");
    one(r#""max": 2, "metric": "queue.length", "target": 0"#, "target", "0.001 or more");
    let timeout = "/deploymentTimeoutSeconds";
    check(r#""deploymentTimeoutSeconds": 0"#, timeout, "1 or more");
    check(r#""deploymentTimeoutSeconds": -1"#, timeout, "0 or more");
}

#[test]
fn limits_lie_above_what_is_asked_for() {
    let limits = |fields: &str, name: &str, message: &str| {
        let fields = format!(r#""cpus": 2, "mem": 256, "resourceLimits": {{{fields}}}"#);
        check(&fields, &format!("/resourceLimits/{name}"), message);
    };
    limits(r#""cpus": 1"#, "cpus", "greater than or equal to requested resource (2.0)");
    limits(r#""mem": 200"#, "mem", "greater than or equal to requested resource (256.0)");
    limits(r#""mem": "Infinity""#, "mem", "unlimited");
    fine(r#""resourceLimits": {"cpus": "unlimited", "mem": 128}"#);
    let executor = |fields: &str, name: &str, message: &str| {
        let fields = format!(r#""executorResources": {{{fields}}}"#);
        check(&fields, &format!("/executorResources/{name}"), message);
    };
    executor(r#""cpus": 0.05"#, "cpus", "0.1 or more");
    executor(r#""mem": 16"#, "mem", "32 or more");
    executor(r#""disk": 1"#, "disk", "10 or more");
    let linux = |fields: &str, path: &str, message: &str| {
        let fields = format!(r#""container": {{"type": "MESOS", "linuxInfo": {{{fields}}}}}"#);
        check(&fields, &format!("/container/linuxInfo/{path}"), message);
    };
    linux(r#""seccomp": {"unconfined": false}"#, "seccomp", "unconfined must be true");
    linux(r#""ipcInfo": {"mode": "SHARED"}"#, "ipcInfo/mode", "PRIVATE or SHARE_PARENT");
}
