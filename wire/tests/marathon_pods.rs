//! Pods in and out: each file of `golden/pods` holds a body as users send it and the pod as it is kept; and whatever is
//! wrong with one is told with its path.

use std::fs;
use std::path::{Path, PathBuf};

use model::id::Role;
use serde_json::{Value, json};
use wire::marathon::judge::{self, Rules};
use wire::marathon::{print_pod, reading};

fn rules() -> Rules {
    Rules { default_role: Role::new("slave_public"), enforce_group_role: true }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pods");
    let entries = fs::read_dir(folder).expect("the golden files lie beside this test");
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    files
}

/// What is kept of a body, as JSON.
fn kept(given: &Value) -> Value {
    let read = reading::pod(given.to_string().as_bytes()).expect("an object");
    let spec = judge::pod::read(read, &rules());
    let spec = spec.unwrap_or_else(|faults| panic!("{given}: {faults:?}"));
    serde_json::to_value(print_pod::spec(&spec).expect("a pod")).expect("wire types are JSON")
}

#[test]
fn pods_are_kept_as_the_golden_files_say() {
    let bless = option_env!("BLESS_GOLDEN_FILES").is_some();
    for file in files() {
        let text = fs::read_to_string(&file).expect("a readable file");
        let golden: Value = serde_json::from_str(&text).expect("a JSON file");
        let kept = kept(&golden["given"]);
        if bless {
            let both = json!({ "given": golden["given"], "kept": kept });
            let text = serde_json::to_string_pretty(&both).expect("JSON") + "\n";
            fs::write(&file, text).expect("a writable file");
        } else {
            assert_eq!(kept, golden["kept"], "{}", file.display());
        }
    }
}

#[test]
fn a_kept_pod_is_kept_the_same_when_it_is_sent_again() {
    for file in files() {
        let text = fs::read_to_string(&file).expect("a readable file");
        let golden: Value = serde_json::from_str(&text).expect("a JSON file");
        assert_eq!(kept(&golden["kept"]), golden["kept"], "{}", file.display());
    }
}

fn pod() -> Value {
    let command = json!({ "command": { "shell": "sleep 1000" } });
    let resources = json!({ "cpus": 0.1, "mem": 32 });
    let main = json!({ "name": "main", "exec": command, "resources": resources });
    json!({ "id": "/pod", "containers": [main] })
}

fn with(at: &str, value: Value) -> Value {
    let mut pod = pod();
    match at.rsplit_once('/').expect("a path") {
        ("", field) => pod[field] = value,
        (parent, field) => {
            pod.pointer_mut(parent).expect("a field of the smallest pod")[field] = value;
        }
    }
    pod
}

fn check(pod: Value, expected: &[&str]) {
    let read = reading::pod(pod.to_string().as_bytes()).expect("an object");
    let faults = judge::pod::read(read, &rules()).err().unwrap_or_default();
    let mut paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    paths.dedup();
    assert_eq!(paths, expected, "{pod}: {faults:?}");
}

fn main(field: &str, value: Value) -> Value {
    with(&format!("/containers/0/{field}"), value)
}

#[test]
fn whatever_is_wrong_with_a_pod_is_told_with_its_path() {
    check(json!({}), &["/id", "/containers"]);
    check(with("/id", json!("pod")), &["/id"]);
    check(with("/id", json!("/Pod")), &["/id"]);
    check(with("/id", json!(7)), &["/id"]);
    check(with("/containers", json!([])), &["/containers"]);
    check(with("/user", json!("")), &["/user"]);
    check(with("/environment", json!({ "A": { "secret": "x" } })), &["/environment/A/secret"]);
    check(with("/secrets", json!({ "x": { "source": "" } })), &["/secrets/x/source"]);
    check(with("/volumes", json!([{ "name": "v" }])), &["/volumes(0)"]);
    check(with("/networks", json!([{ "mode": "host", "name": "x" }])), &["/networks"]);
    check(with("/networks", json!([{ "mode": "host" }, { "mode": "container" }])), &["/networks"]);
    check(with("/networks", json!([{ "mode": "wlan" }])), &["/networks(0)/mode"]);
    check(with("/scaling", json!({ "instances": 1 })), &["/scaling/kind"]);
    check(with("/scaling", json!({ "kind": "fixed", "instances": -1 })), &["/scaling/instances"]);
}

#[test]
fn whatever_is_wrong_with_how_a_pod_is_placed_is_told_with_its_path() {
    check(
        with("/scheduling", json!({ "upgrade": { "minimumHealthCapacity": 2 } })),
        &["/scheduling/upgrade/minimumHealthCapacity"],
    );
    check(
        with("/scheduling", json!({ "backoff": { "backoff": -1 } })),
        &["/scheduling/backoff/backoff"],
    );
    let constraints = json!([{ "fieldName": "@hostname", "operator": "SOMETIMES" }]);
    check(
        with("/scheduling", json!({ "placement": { "constraints": constraints } })),
        &["/scheduling/placement/constraints(0)"],
    );
    check(with("/scheduling", json!({ "killSelection": "ANY" })), &["/scheduling/killSelection"]);
    check(with("/executorResources", json!({ "cpus": 0.01 })), &["/executorResources/cpus"]);
    check(
        with("/linuxInfo", json!({ "seccomp": { "unconfined": true } })),
        &["/linuxInfo/seccomp"],
    );
}

#[test]
fn whatever_is_wrong_with_a_container_is_told_with_its_path() {
    check(main("name", json!("Main")), &["/containers(0)/name"]);
    check(main("resources", json!(null)), &["/containers(0)/resources"]);
    check(
        main("exec", json!({ "command": { "shell": "a", "argv": ["b"] } })),
        &["/containers(0)/exec/command"],
    );
    check(main("image", json!({ "id": "a" })), &["/containers(0)/image/kind"]);
    check(
        main("volumeMounts", json!([{ "name": "v", "mountPath": "" }])),
        &["/containers(0)/volumeMounts(0)/name", "/containers(0)/volumeMounts(0)/mountPath"],
    );
    check(
        main("healthCheck", json!({ "tcp": { "endpoint": "x" } })),
        &["/containers(0)/healthCheck/tcp/endpoint"],
    );
    check(main("healthCheck", json!({})), &["/containers(0)/healthCheck"]);
    check(
        main("resourceLimits", json!({ "cpus": 0.01, "mem": "unlimited" })),
        &["/containers(0)/resourceLimits/cpus"],
    );
    check(
        main("endpoints", json!([{ "name": "a", "containerPort": 80 }])),
        &["/containers(0)/endpoints(0)/containerPort"],
    );
    check(
        main(
            "endpoints",
            json!([{ "name": "a", "hostPort": 80 }, { "name": "a", "hostPort": 80 }]),
        ),
        &["/"],
    );
    check(main("artifacts", json!([{ "uri": "" }])), &["/containers(0)/artifacts(0)/uri"]);
}
