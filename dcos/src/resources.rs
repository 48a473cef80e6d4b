//! What an agent offers, as its operator says it: `cpus:4;mem:8192`, JSON as Mesos has it, or a file with either.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use model::resources::{DiskKind, Resource, Resources};
use serde_json::Value;
use wire::mesos::v1::resource;

const FILE: &str = "file://";

pub(crate) fn parse(text: &str) -> Result<Resources> {
    if let Some(path) = text.strip_prefix(FILE) {
        let read = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
        return parse_text(read.trim()).with_context(|| format!("in {path}"));
    }
    parse_text(text.trim())
}

fn parse_text(text: &str) -> Result<Resources> {
    if !text.starts_with('[') {
        return text.parse().with_context(|| format!("in the resources {text:?}"));
    }
    let all: Vec<Value> = serde_json::from_str(text).context("in the JSON of the resources")?;
    let read = |(at, one): (usize, Value)| -> Result<Resource> {
        let spelled: mesos_v1::Resource = mesos_v1::json::from_value(one)?;
        let one = resource::read_one(&spelled)?;
        judge(&one).with_context(|| format!("resource {at}, {}", one.name))?;
        Ok(one)
    };
    let all: Vec<Resource> =
        all.into_iter().enumerate().map(read).collect::<Result<_>>().context("in the resources")?;
    let mut roots = BTreeSet::new();
    for root in all.iter().filter_map(mount) {
        if !roots.insert(root) {
            bail!("in the resources: the disk {root} of type MOUNT is given twice");
        }
    }
    Ok(Resources::new(all))
}

fn mount(one: &Resource) -> Option<&str> {
    let source = one.source().filter(|source| source.kind == DiskKind::Mount)?;
    source.root.as_deref()
}

/// Only what a machine has can be given: the rest comes about while the cluster runs.
fn judge(one: &Resource) -> Result<()> {
    if one.is_claim() {
        bail!("volumes and dynamic reservations are made by frameworks, not given");
    }
    if one.revocable || one.shared {
        bail!("what an agent has is neither revocable nor shared");
    }
    let Some(source) = one.source() else { return Ok(()) };
    match source.kind {
        DiskKind::Path | DiskKind::Mount
            if source.root.as_ref().is_some_and(|it| !it.is_empty()) =>
        {
            Ok(())
        }
        DiskKind::Path | DiskKind::Mount => {
            bail!(
                "a disk of type PATH or MOUNT needs its root, such as \"path\": {{\"root\": \"/mnt/data\"}}"
            )
        }
        DiskKind::Unknown | DiskKind::Block | DiskKind::Raw => {
            bail!(
                "its disk is neither of type PATH nor MOUNT: others are brought by a resource provider"
            )
        }
    }
}

/// Agents that share a machine's resources cannot share a disk.
pub(crate) fn judge_shared(resources: &Resources) -> Result<()> {
    let is_elsewhere = |one: &&Resource| {
        let root = one.source().and_then(|source| source.root.as_deref());
        root.is_some_and(|root| Path::new(root).is_absolute())
    };
    if let Some(one) = resources.iter().find(is_elsewhere) {
        let one = Resources::new([one.clone()]);
        bail!("{one} cannot belong to several agents: leave out --agents, or give a relative root");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(source: &str) -> String {
        format!(
            r#"[{{"name": "cpus", "type": "SCALAR", "scalar": {{"value": 2}}}},
                {{"name": "ports", "type": "RANGES", "ranges": {{"range": [{{"begin": 31000, "end": 31009}}]}}}},
                {{"name": "disk", "type": "SCALAR", "scalar": {{"value": 2048}}, "role": "db",
                  "disk": {{"source": {source}}}}}]"#
        )
    }

    const PATH: &str = r#"{"type": "PATH", "path": {"root": "/mnt/data"}}"#;

    #[test]
    fn resources_are_given_as_text_as_json_or_in_a_file() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text).expect("well formed").to_string(), expected);
        };
        check("cpus:2;mem:64", "cpus:2;mem:64");
        let expected = "cpus:2;disk(db)[PATH:/mnt/data]:2048;ports:[31000-31009]";
        check(&disk(PATH), expected);
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("resources.json");
        fs::write(&path, format!("\n{}\n", disk(PATH))).expect("written");
        check(&format!("file://{}", path.display()), expected);
    }

    #[test]
    fn what_no_agent_can_have_is_refused() {
        let check = |text: &str, words: &str| {
            let cause = format!("{:#}", parse(text).expect_err(words));
            assert!(cause.contains(words), "{cause}");
        };
        check("cpus", "in the resources");
        check("[{", "in the JSON");
        check("file:///nowhere/at/all", "reading /nowhere/at/all");
        check(r#"[{"name": "cpus", "type": "SCALAR"}]"#, "another type than it says");
        check(&disk(r#"{"type": "PATH"}"#), "needs its root");
        check(&disk(r#"{"type": "RAW"}"#), "neither of type PATH nor MOUNT");
        let mount = r#"{"type": "MOUNT", "mount": {"root": "/mnt/data"}}"#;
        let one = disk(mount);
        let (_, again) = one.split_once(']').map_or(("", ""), |_| one.split_at(1));
        let twice = format!("{},{again}", one.trim_end_matches(']'));
        check(&twice, "is given twice");
        let revocable =
            r#"[{"name": "cpus", "type": "SCALAR", "scalar": {"value": 2}, "revocable": {}}]"#;
        check(revocable, "neither revocable nor shared");
        let reserved = r#"[{"name": "cpus", "type": "SCALAR", "scalar": {"value": 2},
            "reservations": [{"type": "DYNAMIC", "role": "db"}]}]"#;
        check(reserved, "made by frameworks");
    }

    #[test]
    fn agents_do_not_share_a_disk() {
        let shared = judge_shared(&parse(&disk(PATH)).expect("well formed"));
        assert!(shared.expect_err("absolute").to_string().contains("--agents"));
        let relative = r#"{"type": "PATH", "path": {"root": "data"}}"#;
        judge_shared(&parse(&disk(relative)).expect("well formed")).expect("each has its own");
    }
}
