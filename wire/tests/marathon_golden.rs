//! Each file of `golden/marathon` holds a body as users send it and the app as it is kept: every default filled in.

use std::fs;
use std::path::{Path, PathBuf};

use model::id::Role;
use serde_json::{Value, json};
use wire::marathon::judge::{self, Rules};
use wire::marathon::{print, reading};

fn rules() -> Rules {
    Rules { default_role: Role::new("slave_public"), enforce_group_role: true }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/marathon");
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
fn what_is_kept_is_kept_the_same_when_it_is_sent_again() {
    for file in files() {
        let text = fs::read_to_string(&file).expect("a readable file");
        let golden: Value = serde_json::from_str(&text).expect("a JSON file");
        assert_eq!(kept(&golden["kept"]), golden["kept"], "{}", file.display());
    }
}
