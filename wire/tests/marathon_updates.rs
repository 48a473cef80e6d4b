//! A partial update changes what it names and nothing else, in whatever spelling it comes.

use model::id::Role;
use serde_json::{Value, json};
use services::Fault;
use services::spec::AppSpec;
use wire::marathon::judge::{self, Rules};
use wire::marathon::{print, reading};

fn rules() -> Rules {
    Rules { default_role: Role::new("slave_public"), enforce_group_role: true }
}

fn spec(given: &Value) -> AppSpec {
    let read = reading::app(given.to_string().as_bytes()).expect("an object");
    judge::read(read, &rules()).unwrap_or_else(|faults| panic!("{given}: {faults:?}"))
}

fn shown(spec: &AppSpec) -> Value {
    serde_json::to_value(print::spec(spec)).expect("wire types are JSON")
}

fn update(before: &Value, update: &Value) -> Result<Value, Vec<Fault>> {
    let read = reading::app(update.to_string().as_bytes()).expect("an object");
    judge::updated(&spec(before), read, &rules()).map(|spec| shown(&spec))
}

/// An app with these fields.
fn app(fields: Value) -> Value {
    let mut app = json!({ "id": "/a", "cmd": "run", "portDefinitions": [{ "name": "http-api" }] });
    let all = app.as_object_mut().expect("an object");
    for (key, value) in fields.as_object().expect("an object").clone() {
        all.insert(key, value);
    }
    app
}

/// The field as it was is left alone by other updates, and replaced by its own.
fn check(field: &str, was: Value, becomes: Value) {
    let before = app(json!({ field: was }));
    let now = shown(&spec(&before));
    assert_eq!(update(&before, &json!({})), Ok(now.clone()), "{field}");
    let mut scaled = now.clone();
    scaled["mem"] = json!(7.0);
    assert_eq!(update(&before, &json!({ "mem": 7 })), Ok(scaled), "{field}");
    let after = shown(&spec(&app(json!({ field: becomes }))));
    assert_eq!(update(&before, &json!({ field: becomes })), Ok(after.clone()), "{field}");
    assert_ne!(now, after, "{field}");
}

#[test]
fn numbers_and_words_are_replaced() {
    check("cmd", json!("run"), json!("walk"));
    check("backoffFactor", json!(2), json!(3));
    check("backoffSeconds", json!(2), json!(3));
    check("maxLaunchDelaySeconds", json!(2), json!(3));
    check("cpus", json!(2), json!(3));
    check("disk", json!(2), json!(3));
    check("gpus", json!(2), json!(3));
    check("instances", json!(2), json!(0));
    check("executor", json!("/opt/a"), json!("//cmd"));
    check("killSelection", json!("OLDEST_FIRST"), json!("YOUNGEST_FIRST"));
    check("requirePorts", json!(true), json!(false));
    check("taskKillGracePeriodSeconds", json!(1), json!(0));
    check("tty", json!(true), json!(false));
    check("user", json!("a"), json!("b"));
    check("deploymentTimeoutSeconds", json!(1), json!(2));
}

#[test]
fn lists_and_objects_are_replaced_whole() {
    check("acceptedResourceRoles", json!(["*", "slave_public"]), json!(["*"]));
    check("constraints", json!([["a", "UNIQUE"]]), json!([["b", "UNIQUE"]]));
    check("dependencies", json!(["/b"]), json!([]));
    check("env", json!({ "A": "1", "B": "2" }), json!({ "A": "2" }));
    check("labels", json!({ "A": "1", "B": "2" }), json!({}));
    check("secrets", json!({ "a": { "source": "b" } }), json!({ "a": { "source": "c" } }));
    check("fetch", json!([{ "uri": "a" }, { "uri": "b" }]), json!([{ "uri": "c" }]));
    check("healthChecks", json!([{ "path": "/" }]), json!([]));
    check("portDefinitions", json!([{ "port": 80 }]), json!([]));
    check("readinessChecks", json!([{}]), json!([]));
    check("check", json!({ "tcp": {} }), json!({ "http": { "path": "/" } }));
    check("executorResources", json!({ "cpus": 1 }), json!({ "mem": 64 }));
    check("resourceLimits", json!({ "cpus": 2, "mem": 256 }), json!({ "mem": "unlimited" }));
    check(
        "upgradeStrategy",
        json!({ "minimumHealthCapacity": 0, "maximumOverCapacity": 0 }),
        json!({ "minimumHealthCapacity": 1, "maximumOverCapacity": 0.5 }),
    );
    check("unreachableStrategy", json!("disabled"), json!({ "expungeAfterSeconds": 5 }));
    let autoscale = |max: u32| json!({ "max": max, "metric": "cpu", "target": 1 });
    check("autoscale", autoscale(2), autoscale(3));
    let data = |size: u32| {
        let volume = json!({ "containerPath": "a", "mode": "RW", "persistent": { "size": size } });
        json!({ "type": "MESOS", "volumes": [volume] })
    };
    check("container", data(1), data(2));
}

/// What an update makes of the app, of the fields that `expected` names.
fn becomes(before: Value, change: Value, expected: Value) {
    let after =
        update(&app(before), &change).unwrap_or_else(|faults| panic!("{change}: {faults:?}"));
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(after.get(key).unwrap_or(&Value::Null), value, "{change}: {key}");
    }
}

#[test]
fn an_app_moves_between_networks_in_every_spelling() {
    let mapping = json!({ "containerPort": 0, "hostPort": 0, "labels": {}, "name": "default",
        "protocol": "tcp", "servicePort": 0 });
    let docker =
        json!({ "forcePullImage": false, "image": "b", "parameters": [], "privileged": false });
    let bridged =
        json!({ "type": "DOCKER", "docker": docker, "volumes": [], "portMappings": [mapping] });
    let on_bridge = json!({ "networks": [{ "mode": "container/bridge" }], "container": bridged,
        "portDefinitions": null });
    let image =
        |network: &str| json!({ "container": { "docker": { "image": "b", "network": network } } });
    becomes(json!({}), image("BRIDGE"), on_bridge.clone());
    let plain = json!({ "container": { "docker": { "image": "b" } }, "portDefinitions": [{}] });
    becomes(plain, json!({ "networks": [{ "mode": "container/bridge" }] }), on_bridge);
    let on_host = json!({ "networks": [{ "mode": "host" }],
        "portDefinitions": [{ "name": "default", "port": 0, "protocol": "tcp" }] });
    becomes(image("BRIDGE"), json!({ "networks": [] }), on_host.clone());
    becomes(image("BRIDGE"), image("HOST"), on_host);
    let named = json!({ "networks": [{ "mode": "container", "name": "blue" }] });
    becomes(image("USER"), json!({ "ipAddress": { "networkName": "blue" } }), named);
}

#[test]
fn old_spellings_replace_what_new_ones_said() {
    let port = |number: u16| json!({ "port": number, "protocol": "tcp" });
    becomes(
        json!({}),
        json!({ "ports": [1, 2] }),
        json!({ "portDefinitions": [port(1), port(2)] }),
    );
    let fetched = json!({ "fetch": [{ "uri": "a", "extract": false }] });
    let artifact = |uri: &str, extract: bool| json!({ "uri": uri, "extract": extract, "executable": false, "cache": false });
    let uris = json!({ "uris": ["b.tgz"] });
    becomes(fetched.clone(), uris, json!({ "fetch": [artifact("b.tgz", true)] }));
    // Nothing to fetch in the old spelling says nothing about the new one.
    becomes(fetched, json!({ "uris": [] }), json!({ "fetch": [artifact("a", false)] }));
}

#[test]
fn what_is_wrong_with_an_update_is_told_whole() {
    let check = |change: Value, expected: &[&str]| {
        let faults = update(&app(json!({})), &change).expect_err("refused");
        let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, expected, "{change}");
    };
    check(json!({ "args": ["a"] }), &["/"]);
    check(json!({ "cpus": "many", "mem": -1 }), &["/cpus", "/mem"]);
    check(json!({ "ports": [-1], "uris": [""] }), &["/ports(0)", "/uris(0)"]);
    check(json!({ "secrets": {}, "env": { "A": { "secret": "b" } } }), &["/env/A/secret"]);
    check(json!({ "resourceLimits": { "cpus": 0.5 } }), &["/resourceLimits/cpus"]);
}
