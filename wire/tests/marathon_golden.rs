//! Each file of `golden/marathon` holds a body as users send it and the app as it is kept: every default filled in. Each of
//! `golden/refused` holds one that Marathon refuses as well, and all that is wrong with it. Those whose names begin with
//! `doc` and `raml` have the form of examples in Marathon's documentation and in its RAML.

use std::fs;
use std::path::{Path, PathBuf};

use model::id::Role;
use serde_json::{Value, json};
use wire::marathon::error::Error;
use wire::marathon::judge::{self, Rules};
use wire::marathon::{print, reading};

fn rules() -> Rules {
    Rules { default_role: Role::new("slave_public"), enforce_group_role: true }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let entries = fs::read_dir(folder).expect("the golden files lie beside this test");
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    files
}

/// What is kept of a body, as JSON.
fn kept(given: &Value) -> Value {
    let read = reading::app(given.to_string().as_bytes()).expect("an object");
    assert_eq!(read.faults, [], "{given}");
    let spec =
        judge::app(read.app, &rules()).unwrap_or_else(|faults| panic!("{given}: {faults:?}"));
    serde_json::to_value(print::spec(&spec)).expect("wire types are JSON")
}

#[test]
fn bodies_are_kept_as_the_golden_files_say() {
    for file in files("marathon") {
        let text = fs::read_to_string(&file).expect("a readable file");
        let golden: Value = serde_json::from_str(&text).expect("a JSON file");
        let kept = kept(&golden["given"]);
        compare(&file, &golden, json!({ "given": golden["given"], "kept": kept }));
    }
}

#[test]
fn what_is_kept_is_kept_the_same_when_it_is_sent_again() {
    for file in files("marathon") {
        let text = fs::read_to_string(&file).expect("a readable file");
        let golden: Value = serde_json::from_str(&text).expect("a JSON file");
        assert_eq!(kept(&golden["kept"]), golden["kept"], "{}", file.display());
    }
}

/// Or writes what is now, if asked to.
fn compare(file: &Path, golden: &Value, now: Value) {
    if option_env!("BLESS_GOLDEN_FILES").is_some() {
        let text = serde_json::to_string_pretty(&now).expect("JSON") + "\n";
        fs::write(file, text).expect("a writable file");
    } else {
        assert_eq!(now, *golden, "{}", file.display());
    }
}

#[test]
fn bodies_are_refused_with_all_their_faults_as_the_golden_files_say() {
    for file in files("refused") {
        let text = fs::read_to_string(&file).expect("a readable file");
        let golden: Value = serde_json::from_str(&text).expect("a JSON file");
        let read = reading::app(golden["given"].to_string().as_bytes()).expect("an object");
        let Err(faults) = judge::read(read, &rules()) else {
            panic!("{} is accepted", file.display())
        };
        let error = serde_json::to_value(Error::invalid(&faults)).expect("wire types are JSON");
        compare(&file, &golden, json!({ "given": golden["given"], "error": error }));
    }
}
