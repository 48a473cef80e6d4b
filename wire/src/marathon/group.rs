//! The tree that app ids form: the RAML type `GroupInfo`, read-only.

use std::collections::BTreeMap;

use model::time::Time;
use serde::Serialize;
use services::view::View;

use super::app_info::{self, AppInfo, Embed};
use super::version::Spelled;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupInfo<'a> {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apps: Option<Vec<AppInfo<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupInfo<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<[(); 0]>,
    pub dependencies: [(); 0],
    pub version: Spelled,
}

/// What an answer shows of each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupEmbed {
    pub groups: bool,
    pub apps: bool,
    pub pods: bool,
    pub of_apps: Embed,
}

/// The group at `path` (`/` is the root) with what `embed` asks for; `None` if no app lies below it.
pub fn group_info<'a>(
    view: &'a View,
    path: &str,
    embed: GroupEmbed,
    now: Time,
) -> Option<GroupInfo<'a>> {
    let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
    let mut below: BTreeMap<&str, Vec<AppInfo<'a>>> = BTreeMap::new();
    let mut newest = Time::default();
    for (id, app) in &view.apps {
        let Some(rest) = id.as_str().strip_prefix(&prefix) else { continue };
        newest = newest.max(app.version.0);
        let group = rest.rsplit_once('/').map_or("", |(group, _)| group);
        let apps = below.entry(group).or_default();
        if embed.apps {
            apps.push(app_info::app_info(view, app, embed.of_apps, now));
        }
    }
    if below.is_empty() && path != "/" {
        return None;
    }
    let tree = Tree { embed, version: Spelled(newest) };
    Some(tree.build(path, below))
}

struct Tree {
    embed: GroupEmbed,
    version: Spelled,
}

impl Tree {
    fn build<'a>(&self, path: &str, below: BTreeMap<&str, Vec<AppInfo<'a>>>) -> GroupInfo<'a> {
        let mut own = Vec::new();
        let mut children: BTreeMap<&str, BTreeMap<&str, Vec<AppInfo<'a>>>> = BTreeMap::new();
        for (group, apps) in below {
            if group.is_empty() {
                own = apps;
                continue;
            }
            let (first, rest) = group.split_once('/').unwrap_or((group, ""));
            children.entry(first).or_default().insert(rest, apps);
        }
        let child =
            |(name, below)| self.build(&format!("{}/{name}", path.trim_end_matches('/')), below);
        GroupInfo {
            id: path.to_owned(),
            apps: self.embed.apps.then_some(own),
            groups: self.embed.groups.then(|| children.into_iter().map(child).collect()),
            pods: self.embed.pods.then_some([]),
            dependencies: [],
            version: self.version,
        }
    }
}
