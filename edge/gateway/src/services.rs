//! Apps that show themselves at `/service/<name>/`, by the labels that Admin Router follows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cluster::View;
use imbl::OrdMap;
use model::task::TaskState;
use services::spec::{AppId, AppSpec};
use services::state::{App, Instance};

use crate::route::names;

const NAME: &str = "DCOS_SERVICE_NAME";
const SCHEME: &str = "DCOS_SERVICE_SCHEME";
const PORT_INDEX: &str = "DCOS_SERVICE_PORT_INDEX";
const REWRITE: &str = "DCOS_SERVICE_REWRITE_REQUEST_URLS";

/// Which app bears which name: made again when the apps have changed.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Index>);

#[derive(Debug, Default)]
struct Index {
    of: OrdMap<AppId, Arc<App>>,
    by_name: Arc<BTreeMap<String, AppId>>,
}

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
        let found = names(path).find_map(|(name, rest)| Some((name, rest, by_name.get(name)?)));
        let (name, rest, app) = found.ok_or_else(|| Missed::Unknown(path.to_owned()))?;
        let spec = &view.services.apps[app].spec;
        target(view, spec, name, rest)
    }

    fn index(&self, view: &View) -> Arc<BTreeMap<String, AppId>> {
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let apps = &view.services.apps;
        if !index.of.ptr_eq(apps) {
            let named =
                apps.iter().filter_map(|(id, app)| Some((shown_as(&app.spec)?, id.clone())));
            *index = Index { of: apps.clone(), by_name: Arc::new(named.collect()) };
        }
        index.by_name.clone()
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
