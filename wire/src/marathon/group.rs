//! The tree of groups, as it is or as it was: the RAML type `GroupInfo`.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::time::Time;
use schemars::JsonSchema;
use serde::Serialize;
use services::group::{Group, GroupId};
use services::past::GroupThen;
use services::spec::AppId;
use services::state::{App, Version};
use services::view::View;

use super::app_info::{self, AppInfo, Embed};
use super::pod_status::{self, PodStatus};
use super::version::Spelled;

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupInfo<'a> {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apps: Option<Vec<AppInfo<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupInfo<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<Vec<PodStatus>>,
    pub dependencies: Vec<String>,
    pub version: Spelled,
    /// Whether new apps take the group's name as their role: only a top-level group can.
    pub enforce_role: bool,
}

/// What an answer shows of each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupEmbed {
    pub groups: bool,
    pub apps: bool,
    pub pods: bool,
    pub of_apps: Embed,
}

/// The group as it is, with what `embed` asks for; `None` if there is none.
pub fn group_info<'a>(
    view: &'a View,
    group: &GroupId,
    embed: GroupEmbed,
    now: Time,
) -> Option<GroupInfo<'a>> {
    if !view.has_group(group) {
        return None;
    }
    let spelling = Spelling { view, embed, now };
    let own = view.groups.get(group).map(|own| (group, own));
    let groups = own.into_iter().chain(view.groups_in(group));
    let mut info = spelling.spell(group, view.apps_in(group), groups);
    at_its_version(view, group, &mut info);
    Some(info)
}

/// What was removed last is in nothing that is there, so the version is that of the last change. Groups further inside
/// show the newest of what they hold, or each of them would cost a walk through the history.
fn at_its_version(view: &View, group: &GroupId, info: &mut GroupInfo<'_>) {
    if let Some(version) = view.group_version(group) {
        info.version = Spelled(version.0);
    }
    if *group == GroupId::Root {
        for top in info.groups.iter_mut().flatten() {
            let id: GroupId = top.id.parse().expect("its id was a group's before it was spelled");
            at_its_version(view, &id, top);
        }
    }
}

/// The apps of a group as it was, as [`group_then`] shows them.
pub fn apps_then(then: &GroupThen) -> BTreeMap<AppId, Arc<App>> {
    let app = |(id, (version, spec)): (&AppId, &(Version, Arc<_>))| {
        let app = App {
            spec: Arc::clone(spec),
            version: *version,
            last_scaling_at: *version,
            last_config_change_at: *version,
            last_failure: None,
        };
        (id.clone(), Arc::new(app))
    };
    then.apps.iter().map(app).collect()
}

/// The group as it was: `apps` are those of [`apps_then`].
pub fn group_then<'a>(
    view: &'a View,
    group: &GroupId,
    apps: &'a BTreeMap<AppId, Arc<App>>,
    then: &GroupThen,
    now: Time,
) -> GroupInfo<'a> {
    let all = GroupEmbed { groups: true, apps: true, pods: true, of_apps: Embed::default() };
    let info = Spelling { view, embed: all, now }.spell(group, apps.iter(), then.groups.iter());
    GroupInfo { version: Spelled(then.version.0), ..info }
}

#[derive(Clone, Copy)]
struct Spelling<'a> {
    view: &'a View,
    embed: GroupEmbed,
    now: Time,
}

/// A group with what lies in it.
#[derive(Default)]
struct Node<'a> {
    apps: Vec<AppInfo<'a>>,
    pods: Vec<PodStatus>,
    groups: BTreeMap<String, Node<'a>>,
    dependencies: Vec<String>,
    /// The newest of whatever lies within.
    version: Version,
}

impl<'a> Spelling<'a> {
    fn spell<'b>(
        self,
        group: &GroupId,
        apps: impl Iterator<Item = (&'a AppId, &'a Arc<App>)>,
        groups: impl Iterator<Item = (&'b GroupId, &'b Arc<Group>)>,
    ) -> GroupInfo<'a> {
        let mut root = Node::default();
        for (id, record) in groups {
            let node = root.at(below(group, id.as_str()), record.version);
            node.dependencies = record.dependencies.iter().map(ToString::to_string).collect();
        }
        for (id, app) in apps {
            let inner = below(group, id.as_str());
            let path = inner.rsplit_once('/').map_or("", |(path, _)| path);
            let node = root.at(path, app.version);
            match app.spec.pod {
                Some(_) if self.embed.pods => {
                    node.pods.extend(pod_status::pod_status(self.view, app, self.now));
                }
                None if self.embed.apps => {
                    node.apps.push(app_info::app_info(
                        self.view,
                        app,
                        self.embed.of_apps,
                        self.now,
                    ));
                }
                Some(_) | None => {}
            }
        }
        self.info(group.as_str().to_owned(), root)
    }

    fn info(self, id: String, node: Node<'a>) -> GroupInfo<'a> {
        let child = |(name, node): (String, Node<'a>)| {
            self.info(format!("{}/{name}", id.trim_end_matches('/')), node)
        };
        let group: Option<GroupId> = id.parse().ok();
        let top = group.filter(GroupId::is_top_level);
        GroupInfo {
            apps: self.embed.apps.then_some(node.apps),
            groups: self.embed.groups.then(|| node.groups.into_iter().map(child).collect()),
            pods: self.embed.pods.then_some(node.pods),
            dependencies: node.dependencies,
            version: Spelled(node.version.0),
            enforce_role: top.is_some_and(|top| self.view.enforces_role(&top)),
            id,
        }
    }
}

/// `eu/web` of `/prod/eu/web` in the group `/prod`, and nothing of the group itself.
fn below<'a>(group: &GroupId, id: &'a str) -> &'a str {
    let prefix = match group {
        GroupId::Root => "",
        GroupId::Path(path) => path.as_str(),
    };
    id.strip_prefix(prefix).unwrap_or(id).trim_start_matches('/')
}

impl<'a> Node<'a> {
    /// The group at `path` below, which and above which something of this version lies.
    fn at(&mut self, path: &str, version: Version) -> &mut Node<'a> {
        let mut node = self;
        node.version = node.version.max(version);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            node = node.groups.entry(name.to_owned()).or_default();
            node.version = node.version.max(version);
        }
        node
    }
}
