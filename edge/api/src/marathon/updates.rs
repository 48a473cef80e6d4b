//! Changing apps: one or many, wholly or in part. A spec is computed from the app as it is, so it names what it was
//! computed from, and is computed again if that has moved on.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use model::id::Uuid;
use services::spec::{AppId, AppSpec};
use services::state::Version;
use services::view::View;
use services::{Change, Fault, Order, Refusal};
use wire::marathon::app::App;
use wire::marathon::reading::{self, Read};
use wire::marathon::{judge, version};

use super::{Answer, Api, Bodies, deployed, ids, located};
use crate::failure::Failure;
use crate::request::Request;

/// How often an update is computed anew because the app has changed meanwhile: so many clients may change it at once,
/// and each turn serves one of them.
pub(super) const TRIES_MAX: u32 = 128;

/// What becomes of an update of an app that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Created,
    Refused,
}

/// How a body is to be understood.
#[derive(Debug, Clone, Copy)]
struct Mode {
    partial: bool,
    missing: Missing,
    force: bool,
    timeout: Option<Duration>,
    bodies: Bodies,
}

impl Mode {
    fn read(request: &Request, missing: Missing, bodies: Bodies) -> Result<Self, Failure> {
        Ok(Self {
            bodies,
            partial: missing == Missing::Refused
                || request.query.flag("partialUpdate").unwrap_or(true),
            missing,
            force: request.query.is_set("force"),
            timeout: request.deployment_timeout()?,
        })
    }
}

struct Done {
    deployment: (Uuid, Version),
    /// The first app was not there before.
    created: bool,
}

impl Api {
    pub(super) async fn update_app(
        &self,
        request: &Request,
        id: &[&str],
        missing: Missing,
    ) -> Answer {
        let id = match judge::app_id(&id.join("/")) {
            Ok(id) => id,
            Err(message) => return Err(fault("/id", message)),
        };
        let read = reading::app(&request.body)?;
        let mode = Mode::read(request, missing, Bodies::One)?;
        let done = self.update(vec![(id.clone(), read)], mode).await?;
        Ok(if done.created {
            located(deployed(request, StatusCode::CREATED, done.deployment), &id)
        } else {
            deployed(request, StatusCode::OK, done.deployment)
        })
    }

    pub(super) async fn update_apps(&self, request: &Request, missing: Missing) -> Answer {
        let mut reads = Vec::new();
        for (n, read) in reading::apps(&request.body)?.into_iter().enumerate() {
            let id = read.app.id.as_deref().ok_or_else(|| "undefined".to_owned());
            match id.and_then(judge::app_id) {
                Ok(id) => reads.push((id, read)),
                Err(message) => return Err(fault(&format!("({n})/id"), message)),
            }
        }
        let done = self.update(reads, Mode::read(request, missing, Bodies::List)?).await?;
        Ok(deployed(request, StatusCode::OK, done.deployment))
    }

    async fn update(&self, reads: Vec<(AppId, Read)>, mode: Mode) -> Result<Done, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let view = self.handle.read();
            let changes = self.changes(&view.services, &reads, mode)?;
            let created = reads.first().is_some_and(|(id, _)| !view.services.apps.contains_key(id));
            drop(view);
            let order = Order::Deploy { changes, force: mode.force, timeout: mode.timeout };
            match self.deploy(order, mode.bodies).await {
                Err(Failure::Call(engine::CallError::Refused(Refusal::Stale(_))))
                    if tries < TRIES_MAX => {}
                Ok(deployment) => return Ok(Done { deployment, created }),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// One change for each app; several updates of one app follow each other.
    fn changes(
        &self,
        view: &View,
        reads: &[(AppId, Read)],
        mode: Mode,
    ) -> Result<Vec<Change>, Failure> {
        let mut specs: BTreeMap<&AppId, AppSpec> = BTreeMap::new();
        let mut order: Vec<&AppId> = Vec::new();
        let mut faults = Vec::new();
        for (n, (id, read)) in reads.iter().enumerate() {
            let before = specs.get(id).or(view.apps.get(id).map(|app| app.spec.as_ref()));
            if before.is_some_and(|before| before.pod.is_some()) {
                return Err(Failure::Conflict(format!("A pod with id [{id}] already exists.")));
            }
            if before.is_none() && mode.missing == Missing::Refused {
                return Err(ids::unknown_app(id.as_str()));
            }
            match self.updated(view, id, before, read, mode) {
                Ok(spec) => {
                    if specs.insert(id, spec).is_none() {
                        order.push(id);
                    }
                }
                Err(Failure::Invalid(found)) if mode.bodies == Bodies::List => {
                    let prefixed =
                        |fault: Fault| Fault { path: format!("({n}){}", fault.path), ..fault };
                    faults.extend(found.into_iter().map(prefixed));
                }
                Err(failure) => return Err(failure),
            }
        }
        if !faults.is_empty() {
            return Err(Failure::Invalid(faults));
        }
        let change = |id: &AppId| Change::Put {
            spec: specs.remove(id).expect("every id in `order` has a spec"),
            base: view.apps.get(id).map(|app| app.version),
        };
        Ok(order.into_iter().map(change).collect())
    }

    fn updated(
        &self,
        view: &View,
        id: &AppId,
        before: Option<&AppSpec>,
        read: &Read,
        mode: Mode,
    ) -> Result<AppSpec, Failure> {
        let app = App { id: Some(id.to_string()), ..read.app.clone() };
        let update = Read { app, faults: read.faults.clone() };
        let judged = match before {
            Some(spec) if mode.partial => match &read.app.version {
                Some(version) => return earlier(view, id, version, &read.app),
                None => judge::updated(spec, update, &self.rules),
            },
            Some(_) | None => judge::read(update, &self.rules),
        };
        judged.map_err(Failure::Invalid)
    }
}

/// An update that names a version goes back to it, and can ask for nothing else.
fn earlier(view: &View, id: &AppId, text: &str, update: &App) -> Result<AppSpec, Failure> {
    let alone = App { id: update.id.clone(), version: update.version.clone(), ..App::default() };
    if *update != alone {
        let message = "The 'version' field may only be combined with the 'id' field.";
        return Err(fault("/", message.to_owned()));
    }
    let version = version::read(text).map(Version);
    let spec = version.and_then(|version| view.versions.get(&(id.clone(), version)));
    spec.map(|spec| spec.as_ref().clone())
        .ok_or_else(|| Failure::Unknown(format!("App '{id}' does not exist in version {text}")))
}

fn fault(path: &str, message: String) -> Failure {
    Failure::Invalid(vec![Fault { path: path.to_owned(), message }])
}
