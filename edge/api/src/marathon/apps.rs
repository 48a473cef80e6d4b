//! Reading, creating, deleting and restarting apps.

use std::ops::Bound;
use std::sync::Arc;

use axum::http::StatusCode;
use model::time::Time;
use serde::Serialize;
use serde_json::json;
use services::spec::AppId;
use services::{Change, Order};
use wire::marathon::app_info::{self, AppInfo, Embed};
use wire::marathon::task::Identifiable;
use wire::marathon::{autoscale, judge, reading};

use super::filters::Filters;
use super::{Answer, Api, Bodies, deployed, ids, layout, located, respond, with_deployment};
use crate::answer;
use crate::failure::Failure;
use crate::listing::{self, List, Walk};
use crate::query::Query;
use crate::request::{Request, now};

/// What every app of a list is shown with.
const LISTED: Embed = Embed {
    counts: true,
    deployments: true,
    tasks: false,
    last_failure: false,
    stats: false,
    readiness: false,
};
/// What a single app is shown with.
const SHOWN: Embed = Embed { tasks: true, last_failure: true, ..LISTED };

fn embed(base: Embed, query: &Query) -> Embed {
    query.all("embed").flat_map(|words| words.split(',')).fold(base, Embed::and)
}

#[derive(Serialize)]
struct Shown<'a> {
    app: AppInfo<'a>,
}

/// The apps of a snapshot after `last`.
struct Apps {
    view: Arc<cluster::View>,
    last: Option<AppId>,
    filters: Filters,
    embed: Embed,
    now: Time,
}

impl Walk for Apps {
    fn step(&mut self, list: &mut List) -> bool {
        let from: Bound<&AppId> = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = (from, Bound::<&AppId>::Unbounded);
        let view = &self.view.services;
        let Some((id, app)) = view.apps.range::<_, AppId>(rest).next() else { return false };
        if app.spec.pod.is_none() && self.filters.admit(&app.spec) {
            list.push(&app_info::app_info(view, app, self.embed, self.now));
        }
        self.last = Some(id.clone());
        true
    }
}

impl Api {
    pub(super) fn list_apps(&self, request: &Request) -> Answer {
        let walk = Apps {
            view: self.handle.read(),
            last: None,
            filters: Filters::read(&request.query)?,
            embed: embed(LISTED, &request.query),
            now: now(),
        };
        Ok(listing::listing("apps", walk, layout(request)))
    }

    /// An app may have so many tasks that spelling them takes a while: not on a thread that others wait for.
    pub(super) async fn show_app(&self, request: &Request, id: &[&str]) -> Answer {
        let id = ids::app_id(id)?;
        let view = self.handle.read();
        let (embed, layout) = (embed(SHOWN, &request.query), layout(request));
        let spelled = tokio::task::spawn_blocking(move || {
            let app = ids::app(&view.services, &id)?;
            let app = app_info::app_info(&view.services, app, embed, now());
            Ok(answer::json(StatusCode::OK, &Shown { app }, layout))
        });
        spelled.await.expect("a panic while answering was reported where it happened")
    }

    /// `/v2/apps/group/*`: all apps below a group.
    pub(super) fn list_group_apps(&self, request: &Request, group: &[&str]) -> Answer {
        let prefix =
            if group.is_empty() { "/".to_owned() } else { format!("/{}/", group.join("/")) };
        let view = self.handle.read();
        let embed = embed(SHOWN, &request.query);
        let below = view.services.apps.iter().filter(|(id, _)| id.as_str().starts_with(&prefix));
        let below = below.filter(|(_, app)| app.spec.pod.is_none());
        let info = |app| app_info::app_info(&view.services, app, embed, now());
        let apps: Vec<AppInfo<'_>> = below.map(|(_, app)| info(app)).collect();
        if apps.is_empty() && !group.is_empty() {
            let group = group.join("/");
            return Err(Failure::Unknown(format!("Group '/{group}' does not exist")));
        }
        Ok(respond(request, StatusCode::OK, &json!({ "*": apps })))
    }

    pub(super) async fn create_app(&self, request: &Request) -> Answer {
        let read = reading::app(&request.body)?;
        let spec = judge::read(read, &self.rules).map_err(Failure::Invalid)?;
        let id = spec.id.clone();
        let force = request.query.is_set("force");
        let timeout = request.deployment_timeout()?;
        let order = Order::Deploy { changes: vec![Change::Create(spec)], force, timeout };
        let (deployment, _) = self.deploy(order, Bodies::One).await?;
        let view = self.handle.read();
        // Whoever removed it in between has seen it created.
        let app = view.services.apps.get(&id).ok_or_else(|| ids::unknown_app(id.as_str()))?;
        let mut info = app_info::app_info(&view.services, app, LISTED, now());
        info.deployments = Some(vec![Identifiable { id: deployment.to_string() }]);
        let response = respond(request, StatusCode::CREATED, &info);
        Ok(located(with_deployment(response, deployment), &id))
    }

    /// A deployment in the way is replaced unless the user says `force=false`, as in Marathon.
    pub(super) async fn delete_app(&self, request: &Request, id: &[&str]) -> Answer {
        let force = request.query.flag("force").unwrap_or(true);
        let id = ids::app_id(id)?;
        ids::app(&self.handle.read().services, &id)?;
        let changes = vec![Change::Delete(id)];
        let timeout = request.deployment_timeout()?;
        let done = self.deploy(Order::Deploy { changes, force, timeout }, Bodies::One).await?;
        Ok(deployed(request, StatusCode::OK, done))
    }

    /// A number from outside by which an app is scaled, as the average over its instances.
    pub(super) async fn report_metric(
        &self,
        request: &Request,
        id: &[&str],
        metric: &str,
    ) -> Answer {
        let app = ids::app_id(id)?;
        let report = reading::body(&request.body)?;
        let value = autoscale::reported(&report).map_err(|fault| Failure::Invalid(vec![fault]))?;
        let metric = autoscale::metric(metric);
        self.handle.call(Order::Report { app, metric, value }).await?;
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }

    pub(super) async fn restart_app(&self, request: &Request, id: &[&str]) -> Answer {
        let force = request.query.is_set("force");
        let id = ids::app_id(id)?;
        ids::app(&self.handle.read().services, &id)?;
        let changes = vec![Change::Restart(id)];
        let timeout = request.deployment_timeout()?;
        let done = self.deploy(Order::Deploy { changes, force, timeout }, Bodies::One).await?;
        Ok(deployed(request, StatusCode::OK, done))
    }
}
