//! Apps that show themselves at `/service/<name>/`, by the labels that Admin Router follows.

use std::sync::{Arc, Mutex, PoisonError};

use cluster::View;
use imbl::ordmap::DiffItem;
use imbl::{OrdMap, OrdSet};
use model::task::TaskState;
use services::spec::{AppId, AppSpec};
use services::state::{App, Instance};

use crate::route::names;

const NAME: &str = "DCOS_SERVICE_NAME";
const SCHEME: &str = "DCOS_SERVICE_SCHEME";
const PORT_INDEX: &str = "DCOS_SERVICE_PORT_INDEX";
const REWRITE: &str = "DCOS_SERVICE_REWRITE_REQUEST_URLS";

/// Which app bears which name: follows what has changed of the apps since the last question.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Index>);

#[derive(Debug, Default)]
struct Index {
    of: OrdMap<AppId, Arc<App>>,
    /// Of several apps with one name the last counts.
    by_name: ByName,
}

type ByName = OrdMap<String, OrdSet<AppId>>;

/// Where a request for a service goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) scheme: String,
    /// `10.0.0.5:31002`.
    pub(crate) authority: String,
    /// `/service/<name>`: what the service's own redirects are put below.
    pub(crate) prefix: String,
    /// The path that the service is asked for.
    pub(crate) path: String,
}

/// Why a request for a service goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Missed {
    #[error(
        "no service is named '{0}': label an app with {NAME}, {SCHEME} and {PORT_INDEX} to show it at /service/<name>/"
    )]
    Unknown(String),
    #[error("{0} has no running instance; see /service/marathon/v2/apps{0}?embed=app.tasks")]
    NotRunning(AppId),
    #[error("{app} has no port {index}: correct its label {PORT_INDEX}")]
    NoPort { app: AppId, index: usize },
    #[error("{app} asks for {SCHEME} '{scheme}'; only http is served yet")]
    Scheme { app: AppId, scheme: String },
}

impl Names {
    /// Resolves what follows `/service/`: the shortest name that an app bears.
    pub(crate) fn resolve(&self, view: &View, path: &str) -> Result<Target, Missed> {
        let by_name = self.index(view);
        let bearer = |name: &str| by_name.get(name)?.get_max();
        let found = names(path).find_map(|(name, rest)| Some((name, rest, bearer(name)?)));
        let (name, rest, app) = found.ok_or_else(|| Missed::Unknown(path.to_owned()))?;
        let spec = &view.services.apps[app].spec;
        target(view, spec, name, rest)
    }

    fn index(&self, view: &View) -> ByName {
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        index.follow(&view.services.apps);
        index.by_name.clone()
    }
}

impl Index {
    fn follow(&mut self, apps: &OrdMap<AppId, Arc<App>>) {
        if self.of.ptr_eq(apps) {
            return;
        }
        let before = std::mem::replace(&mut self.of, apps.clone());
        for change in before.diff(apps) {
            match change {
                DiffItem::Add(id, app) => self.add(id, app),
                DiffItem::Remove(id, app) => self.remove(id, app),
                DiffItem::Update { old: (id, old), new: (_, new) } => {
                    self.remove(id, old);
                    self.add(id, new);
                }
            }
        }
    }

    fn add(&mut self, id: &AppId, app: &App) {
        if let Some(name) = shown_as(&app.spec) {
            self.by_name.entry(name).or_default().insert(id.clone());
        }
    }

    fn remove(&mut self, id: &AppId, app: &App) {
        let Some(name) = shown_as(&app.spec) else { return };
        let others = self.by_name.get(&name).map(|bearers| bearers.without(id));
        match others {
            Some(others) if !others.is_empty() => drop(self.by_name.insert(name, others)),
            Some(_) | None => drop(self.by_name.remove(&name)),
        }
    }
}

/// An app is shown if it bears all three labels.
fn shown_as(spec: &AppSpec) -> Option<String> {
    let name = spec.labels.get(NAME)?.trim_matches('/');
    spec.labels.get(SCHEME)?;
    spec.labels.get(PORT_INDEX)?.parse::<usize>().ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn target(view: &View, spec: &AppSpec, name: &str, rest: &str) -> Result<Target, Missed> {
    let app = spec.id.clone();
    let label = |label| spec.labels.get(label).map(String::as_str);
    let scheme = label(SCHEME).unwrap_or_default().to_owned();
    if scheme != "http" {
        return Err(Missed::Scheme { app, scheme });
    }
    let index = label(PORT_INDEX).and_then(|index| index.parse().ok()).unwrap_or_default();
    let instance = running(view, &app).ok_or_else(|| Missed::NotRunning(app.clone()))?;
    let port = instance.ports.get(index).ok_or(Missed::NoPort { app, index })?;
    let prefix = format!("/service/{name}");
    let rest = if rest.is_empty() { "/" } else { rest };
    let keeps_prefix = label(REWRITE) == Some("false");
    let path = if keeps_prefix { format!("{prefix}{rest}") } else { rest.to_owned() };
    Ok(Target { scheme, authority: format!("{}:{port}", host(view, instance)), prefix, path })
}

/// The oldest running instance; one that fails its health checks only if there is no other.
fn running<'a>(view: &'a View, app: &AppId) -> Option<&'a Arc<Instance>> {
    let instances = view.services.instances.get(app)?;
    let running = || instances.values().filter(|instance| instance.state == TaskState::Running);
    running().find(|instance| instance.healthy != Some(false)).or_else(|| running().next())
}

/// The address of the instance's agent: a hostname need not resolve here.
fn host(view: &View, instance: &Instance) -> String {
    let agent = view.kernel.agents.get(&instance.place.agent);
    agent.map_or_else(|| instance.place.host.clone(), |agent| agent.agent.info.ip.clone())
}

#[cfg(test)]
mod tests {
    use services::spec::Process;
    use services::state::Version;

    use super::*;

    fn app(id: &str, name: &str) -> (AppId, Arc<App>) {
        let id: AppId = id.parse().expect("an id");
        let mut spec = AppSpec::new(id.clone(), Process::Cmd("sleep 1".to_owned()));
        for (label, value) in [(NAME, name), (SCHEME, "http"), (PORT_INDEX, "0")] {
            spec.labels.insert(label.to_owned(), value.to_owned());
        }
        let version = Version::default();
        let app = App {
            spec: Arc::new(spec),
            version,
            last_scaling_at: version,
            last_config_change_at: version,
            last_failure: None,
        };
        (id, Arc::new(app))
    }

    #[test]
    fn names_follow_the_apps_that_bear_them() {
        let mut index = Index::default();
        let mut check = |apps: &[(&str, &str)], expected: &[(&str, &str)]| {
            index.follow(&apps.iter().map(|(id, name)| app(id, name)).collect());
            let bearer = |ids: &OrdSet<AppId>| ids.get_max().map(ToString::to_string);
            let named: Vec<_> =
                index.by_name.iter().map(|(name, ids)| (name.clone(), bearer(ids))).collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, id)| ((*name).to_owned(), Some((*id).to_owned())))
                .collect();
            assert_eq!(named, expected, "{apps:?}");
        };
        check(&[("/a", "web")], &[("web", "/a")]);
        check(&[("/a", "web"), ("/b", "web"), ("/c", "db")], &[("db", "/c"), ("web", "/b")]);
        check(&[("/a", "web"), ("/b", "other")], &[("other", "/b"), ("web", "/a")]);
        check(&[("/b", "")], &[]);
    }
}
