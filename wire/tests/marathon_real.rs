//! Definitions that were written for Marathon, by many people over many years: what is kept of them, and what they wait
//! for. Where they come from is told in `real/README.md`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use model::id::Role;
use serde_json::{Map, Value};
use services::Fault;
use wire::marathon::judge::{self, Rules};
use wire::marathon::{print, reading};

fn rules() -> Rules {
    Rules { default_role: Role::new("slave_public"), enforce_group_role: true }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(name)
}

fn text(name: &str) -> String {
    let packed = fs::read(file(name)).expect("a file beside this test");
    let mut text = String::new();
    GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("a gzip file");
    text
}

/// One JSON for each line.
fn lines(name: &str) -> Vec<Value> {
    text(name).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What is kept of a definition, as JSON.
fn kept(given: &Value) -> Result<Value, Vec<Fault>> {
    let read = reading::app(given.to_string().as_bytes()).expect("an object");
    let spec = judge::read(read, &rules())?;
    Ok(serde_json::to_value(print::spec(&spec)).expect("wire types are JSON"))
}

/// The apps of all packages, by their absolute ids. One package is a group, whose apps are meant; and one has no name of
/// its own, because another service installs it and names it then.
fn packages() -> Vec<(String, Value)> {
    let mut apps = Vec::new();
    for mut line in lines("universe-apps.jsonl.gz") {
        let name = format!("{}:{}", line["package"], line["release"]);
        let id = line["app"]["id"].as_str().expect("an id").trim_start_matches('/');
        let id = if id.is_empty() { "named-later" } else { id };
        line["app"]["id"] = format!("/{id}").into();
        match line["app"]["apps"].as_array() {
            Some(inner) => apps.extend(inner.iter().map(|app| (name.clone(), app.clone()))),
            None => apps.push((name, line["app"].clone())),
        }
    }
    apps
}

#[test]
fn every_app_of_the_package_catalogue_is_accepted_and_given_back_with_all_defaults() {
    let golden = "universe-apps.kept.jsonl.gz";
    let all: Vec<Value> = packages()
        .iter()
        .map(|(name, given)| kept(given).unwrap_or_else(|faults| panic!("{name}: {faults:?}")))
        .collect();
    assert_eq!(all.len(), 368, "365 apps and a group of three");
    if option_env!("BLESS_GOLDEN_FILES").is_some() {
        let lines: String = all.iter().map(|app| format!("{app}\n")).collect();
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(lines.as_bytes()).expect("memory");
        fs::write(file(golden), packed.finish().expect("memory")).expect("a writable folder");
    }
    for ((name, _), (kept, golden)) in packages().iter().zip(all.iter().zip(lines(golden))) {
        assert_eq!(*kept, golden, "{name}");
    }
}

#[test]
fn what_is_given_back_of_a_package_can_be_sent_again() {
    for (name, given) in packages() {
        let once = kept(&given).expect("accepted");
        assert_eq!(kept(&once), Ok(once), "{name}");
    }
}

/// Spelled in another way today, told of an app and never taken, or never known to Marathon.
const OLD: [&str; 8] =
    ["ipAddress", "maintainer", "network", "portType", "ports", "residency", "uris", "versionInfo"];

/// Where `kept` does not say what `given` says; defaults may be added anywhere.
fn lost(given: &Value, kept: &Value, at: &str) -> Vec<String> {
    match (given, kept) {
        (Value::Null, _) => Vec::new(),
        (Value::Object(given), Value::Object(kept)) => lost_fields(given, kept, at),
        (Value::Array(given), Value::Array(kept)) if given.len() == kept.len() => {
            let pairs = given.iter().zip(kept).enumerate();
            pairs.flat_map(|(n, (given, kept))| lost(given, kept, &format!("{at}({n})"))).collect()
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => Vec::new(),
        (given, kept) if given == kept => Vec::new(),
        (given, kept) => vec![format!("{at}: {given} became {kept}")],
    }
}

fn lost_fields(given: &Map<String, Value>, kept: &Map<String, Value>, at: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (key, value) in given {
        let says_nothing = match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        if says_nothing || OLD.contains(&key.as_str()) {
            continue;
        }
        match kept.get(key) {
            Some(kept) => all.extend(lost(value, kept, &format!("{at}/{key}"))),
            None => all.push(format!("{at}/{key} is gone")),
        }
    }
    all
}

#[test]
fn nothing_that_marathon_knows_is_lost_of_a_package() {
    let mut all: BTreeSet<String> = BTreeSet::new();
    for (_, given) in packages() {
        all.extend(lost(&given, &kept(&given).expect("accepted"), ""));
    }
    let expected = [
        // A set, in no order.
        "/acceptedResourceRoles(0): \"slave_public\" became \"*\"",
        "/acceptedResourceRoles(1): \"*\" became \"slave_public\"",
        // Told in its new place.
        "/container/docker/portMappings is gone",
        // Marathon's own checks know it, those of Mesos do not.
        "/healthChecks(0)/ignoreHttp1xx is gone",
        // Of apps on networks of their own, which have mappings instead.
        "/portDefinitions is gone",
        "/requirePorts: true became false",
        // Words that Marathon never knew.
        "/portDefinitions(0)/servicePort is gone",
        "/readinessChecks(0)/interval is gone",
        "/readinessChecks(0)/timeout is gone",
        "/upgradeStrategy/constraints is gone",
    ];
    let unexpected: Vec<&String> =
        all.iter().filter(|lost| !expected.contains(&lost.as_str())).collect();
    assert_eq!(unexpected, Vec::<&String>::new());
}

#[test]
fn a_thousand_apps_of_a_running_marathon_are_given_back_as_they_were() {
    let group: Value =
        serde_json::from_str(&text("marathon-group-1000-apps.json.gz")).expect("JSON");
    let apps = group["apps"].as_array().expect("a list");
    assert_eq!(apps.len(), 1000);
    for given in apps {
        let kept = kept(given).unwrap_or_else(|faults| panic!("{given}: {faults:?}"));
        assert_eq!(lost(given, &kept, ""), Vec::<String>::new(), "{}", given["id"]);
    }
}
