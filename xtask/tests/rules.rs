//! The rules of the house, one test each; ARCHITECTURE.md says why they are rules.

use xtask::house::{files, read, rooms, root, rust_files, shown};

/// Lower floors first. A crate may depend on lower floors only, or on a neighbour listed below.
const FLOORS: [&str; 6] = ["model", "core", "core/cluster", "wire", "edge", "dcos"];

/// The few dependencies within a floor, each with its reason.
const NEIGHBOURS: [(&str, &str, &str); 10] = [
    ("services", "placement", "needs are matched against offers"),
    ("wire", "mesos-v1", "the messages of Mesos are made by a program, and built on their own"),
    ("engine", "store", "records are committed before effects leave"),
    ("api", "engine", "handlers call the loop"),
    ("gateway", "api", "the front door serves the same routes"),
    ("gateway", "engine", "it finds agents and services in the snapshot"),
    ("agent", "containers", "the brain's effects are carried out by the runtime"),
    ("agent", "images", "a task's image is pulled before it starts"),
    ("agent", "store", "an agent checkpoints as a master does"),
    ("containers", "images", "a root is made of an image's layers"),
];

/// What model, core and wire may take from outside: nothing that can reach the world.
const PURE: [&str; 9] = [
    "imbl",
    "jiff",
    "minicbor",
    "regex",
    "schemars",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "thiserror",
];

/// What `wire` may take besides: the codec of the agents' stream is spelled in tonic's terms.
const SPELLING: [&str; 6] = ["bytes", "http", "tokio-stream", "tonic", "base64", "prost"];

/// Beside the building: these may use any floor, and nobody may use them.
const BESIDE: [&str; 4] = ["sim", "bench", "wire/v1/fuzz", "xtask"];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 60;

fn floor(dir: &str) -> usize {
    let of = |floor: &&str| dir == *floor || dir.starts_with(&format!("{floor}/"));
    FLOORS.iter().rposition(of).unwrap_or_else(|| panic!("{dir} stands on no floor"))
}

#[test]
fn dependencies_point_down() {
    let rooms = rooms();
    let inside = rooms.iter().filter(|(_, room)| !BESIDE.contains(&room.dir.as_str()));
    for (name, room) in inside {
        for dependency in room.dependencies.iter().filter_map(|name| rooms.get_key_value(name)) {
            let (other, below) = dependency;
            assert!(
                !BESIDE.contains(&below.dir.as_str()),
                "{name} may not use {other}, which stands beside"
            );
            let neighbours = NEIGHBOURS.iter().any(|(from, to, _)| from == name && to == other);
            let down = floor(&below.dir) < floor(&room.dir);
            assert!(down || neighbours, "{name} may not depend on {other}");
        }
    }
}

#[test]
fn what_decides_cannot_reach_the_world() {
    let rooms = rooms();
    for (name, room) in rooms.iter().filter(|(_, room)| !BESIDE.contains(&room.dir.as_str())) {
        if floor("wire") < floor(&room.dir) {
            continue;
        }
        for dependency in room.dependencies.iter().filter(|name| !rooms.contains_key(*name)) {
            let spelling =
                floor(&room.dir) == floor("wire") && SPELLING.contains(&dependency.as_str());
            let pure = PURE.contains(&dependency.as_str());
            assert!(
                pure || spelling,
                "{name} may not use {dependency}: it is not known to be pure"
            );
        }
    }
}

#[test]
fn services_do_not_know_the_kernel() {
    let rooms = rooms();
    assert!(
        !rooms["services"].dependencies.contains(&"kernel".to_owned()),
        "services speak model::scheduler only"
    );
}

#[test]
fn the_simulator_sees_only_what_decides() {
    for dependency in &rooms()["sim"].dependencies {
        let Some(room) = rooms().remove(dependency) else { continue };
        assert!(floor(&room.dir) <= floor("core/cluster"), "sim may not depend on {dependency}");
    }
}

#[test]
fn files_fit_the_eye_and_say_what_they_are_for() {
    for file in rust_files() {
        let (text, name) = (read(&file), shown(&file));
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{name} has {lines} lines, more than {FILE_LINES_MAX}");
        assert!(
            text.starts_with("//!"),
            "{name} does not begin with a sentence that says what it is for"
        );
    }
}

#[test]
fn functions_fit_the_eye() {
    for file in rust_files() {
        let text = read(&file);
        let mut start = None;
        for (at, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let begins = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "async fn ",
                "pub async fn ",
                "pub(crate) async fn ",
            ]
            .iter()
            .any(|word| line.trim_start().starts_with(word));
            match start {
                None if begins && line.ends_with('{') => start = Some((at, indent, line.trim())),
                Some((from, depth, head)) if indent == depth && line.trim() == "}" => {
                    let name = shown(&file);
                    assert!(
                        at - from <= FUNCTION_LINES_MAX,
                        "{name}:{}: {head} is too long",
                        from + 1
                    );
                    start = None;
                }
                _ => (),
            }
        }
    }
}

#[test]
fn nothing_is_named_after_a_junk_drawer() {
    const JUNK: [&str; 6] = ["utils", "util", "helpers", "helper", "common", "manager"];
    for file in files(&root()) {
        let name = shown(&file);
        let parts = name.split('/').map(|part| part.split('.').next().unwrap_or(part));
        assert!(
            !parts.clone().any(|part| JUNK.contains(&part)),
            "{name} says where it lies, not what it is"
        );
    }
}

#[test]
fn no_work_is_left_for_later_in_comments() {
    // Spelled in halves, or this file would find itself.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X:"].concat()];
    let skipped = ["#[ig", "nore"].concat();
    for file in rust_files() {
        let (text, name) = (read(&file), shown(&file));
        for word in words.iter().chain([&skipped]) {
            assert!(!text.contains(word.as_str()), "{name} contains {word}");
        }
    }
}

#[test]
fn unsafe_lives_in_containers_and_network_only() {
    for file in rust_files() {
        let (text, name) = (read(&file), shown(&file));
        let allowed = name.starts_with("edge/containers/") || name.starts_with("edge/network/");
        let uses = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or(line);
            code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl")
        });
        assert!(allowed || !uses || name.starts_with("xtask/"), "{name} may not use unsafe");
        if uses && allowed {
            assert!(
                text.contains("// SAFETY:"),
                "{name} uses unsafe and does not say why it is sound"
            );
        }
    }
}

#[test]
fn the_architecture_mentions_every_room() {
    let text = read(&root().join("ARCHITECTURE.md"));
    for (name, room) in rooms() {
        let last = room.dir.rsplit('/').next().unwrap_or(&room.dir);
        assert!(text.contains(&format!("{last}/")), "ARCHITECTURE.md does not mention {name}");
    }
}

#[test]
fn every_pure_floor_forbids_clock_dice_and_world() {
    let core = read(&root().join("core/clippy.toml"));
    for other in ["model/clippy.toml", "wire/clippy.toml", "wire/v1/clippy.toml"] {
        assert_eq!(read(&root().join(other)), core, "{other} repeats core/clippy.toml");
    }
}
