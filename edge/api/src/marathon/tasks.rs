//! Tasks: listing and killing them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Bound;
use std::sync::Arc;

use axum::http::header::ACCEPT;
use axum::http::{Method, StatusCode};
use model::id::{Serial, TaskId};
use model::task::TaskState;
use serde::Deserialize;
use serde_json::json;
use services::spec::AppId;
use services::state::{App, Instance};
use services::{Kill, Order, Reply};
use wire::marathon::{reading, task};

use super::{Answer, Api, deployed, ids, layout, respond};
use crate::answer;
use crate::failure::Failure;
use crate::listing::{self, List, Walk};
use crate::request::Request;

/// The tasks of a snapshot after `last`.
struct Tasks {
    view: Arc<cluster::View>,
    last: Option<TaskId>,
    /// None asks for all.
    states: BTreeSet<TaskState>,
}

impl Walk for Tasks {
    fn step(&mut self, list: &mut List) -> bool {
        let from: Bound<&TaskId> = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = (from, Bound::<&TaskId>::Unbounded);
        let view = &self.view.services;
        let Some((id, instance)) = view.tasks.range::<_, TaskId>(rest).next() else { return false };
        // Those of pods are shown as containers of their instances.
        let wanted = self.states.is_empty() || self.states.contains(&instance.state);
        if instance.members.is_empty() && wanted {
            list.push(&task::task(view, instance));
        }
        self.last = Some(id.clone());
        true
    }
}

/// The tasks of these apps, the last app first; of that one those after `last`.
struct AppTasks {
    view: Arc<cluster::View>,
    apps: Vec<AppId>,
    last: Option<Serial>,
}

impl Walk for AppTasks {
    fn step(&mut self, list: &mut List) -> bool {
        let Some(app) = self.apps.last() else { return false };
        let from: Bound<&Serial> = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = (from, Bound::<&Serial>::Unbounded);
        let view = &self.view.services;
        let own = view.instances.get(app);
        if let Some((serial, instance)) = own.and_then(|own| own.range::<_, Serial>(rest).next()) {
            list.push(&task::task(view, instance));
            self.last = Some(*serial);
        } else {
            self.apps.pop();
            self.last = None;
        }
        true
    }
}

#[derive(Debug, Deserialize)]
struct Ids {
    ids: Vec<String>,
}

impl Api {
    pub(super) async fn tasks(&self, request: &Request, rest: &[&str]) -> Answer {
        match (&request.method, rest) {
            (&Method::GET, []) => Ok(self.list_tasks(request)),
            (&Method::POST, ["delete"]) => self.kill_tasks(request).await,
            (_, [] | ["delete"]) => Err(Failure::MethodNotAllowed),
            (_, _) => Err(Failure::NoEndpoint),
        }
    }

    fn list_tasks(&self, request: &Request) -> axum::http::Response<axum::body::Body> {
        let view = self.handle.read();
        if wants_text(request) {
            return answer::text(endpoints(&view.services, view.services.apps.iter()));
        }
        let query = &request.query;
        let asked = query.all("status").chain(query.all("status[]"));
        let states = asked.filter_map(|word| match word.to_lowercase().as_str() {
            "running" => Some(TaskState::Running),
            "staging" => Some(TaskState::Staging),
            _ => None,
        });
        let walk = Tasks { view, last: None, states: states.collect() };
        listing::listing("tasks", walk, layout(request))
    }

    /// `/v2/apps/{id}/tasks`, and `/v2/apps/{group}/*/tasks` for all apps below a group.
    pub(super) fn list_app_tasks(&self, request: &Request, id: &[&str]) -> Answer {
        let view = self.handle.read();
        let apps: Vec<AppId> = if let [group @ .., "*"] = id {
            let prefix = format!("/{}/", group.join("/")).replace("//", "/");
            let below = |id: &&AppId| id.as_str().starts_with(&prefix);
            let apps = view.services.apps.iter().filter(|(_, app)| app.spec.pod.is_none());
            apps.map(|(id, _)| id).filter(below).cloned().collect()
        } else {
            let id = ids::app_id(id)?;
            ids::app(&view.services, &id)?;
            vec![id]
        };
        if wants_text(request) {
            let apps = apps.iter().filter_map(|id| view.services.apps.get_key_value(id));
            return Ok(answer::text(endpoints(&view.services, apps)));
        }
        let walk = AppTasks { view, apps, last: None };
        Ok(listing::listing("tasks", walk, layout(request)))
    }

    pub(super) async fn kill_app_tasks(&self, request: &Request, id: &[&str]) -> Answer {
        let kill = kill(request)?;
        let host = request.query.first("host").filter(|host| *host != "*");
        let chosen =
            self.instances(id, |instance| host.is_none_or(|host| instance.place.host == host))?;
        self.kill(request, chosen, kill).await
    }

    pub(super) async fn kill_app_task(&self, request: &Request, id: &[&str], task: &str) -> Answer {
        let kill = kill(request)?;
        let chosen =
            self.instances(id, |instance| instance.task.as_str() == task || instance.id() == task)?;
        if chosen.is_empty() {
            return Err(Failure::Unknown(format!("Task '{task}' does not exist")));
        }
        let (instances, deployment) = self.order_kill(request, chosen, kill).await?;
        if let Some(done) = deployment {
            return Ok(deployed(request, StatusCode::OK, done));
        }
        let killed = instances.first().map(|instance| self.spell(instance));
        killed
            .map(|task| respond(request, StatusCode::OK, &json!({ "task": task })))
            .ok_or_else(|| Failure::Unknown(format!("Task '{task}' does not exist")))
    }

    async fn kill_tasks(&self, request: &Request) -> Answer {
        let kill = kill(request)?;
        let Ids { ids } = reading::body(&request.body)?;
        let malformed = |id: &&String| !id.contains(".instance-") && !id.contains(".marathon-");
        if let Some(id) = ids.iter().find(malformed) {
            return Err(Failure::BadRequest(format!("Invalid task id '{id}'.")));
        }
        let view = self.handle.read();
        let known = ids.iter().map(|id| TaskId::new(id.as_str()));
        let chosen = known.filter(|id| view.services.tasks.contains_key(id)).collect();
        drop(view);
        self.kill(request, chosen, kill).await
    }

    /// The tasks of an app that `wanted` chooses.
    fn instances(
        &self,
        id: &[&str],
        wanted: impl Fn(&Instance) -> bool,
    ) -> Result<Vec<TaskId>, Failure> {
        let id = ids::app_id(id)?;
        let view = self.handle.read();
        ids::app(&view.services, &id)?;
        let all = view.services.instances.get(&id).into_iter().flat_map(|all| all.values());
        Ok(all.filter(|one| wanted(one)).map(|one| one.task.clone()).collect())
    }

    async fn kill(&self, request: &Request, tasks: Vec<TaskId>, kill: Kill) -> Answer {
        let (instances, deployment) = self.order_kill(request, tasks, kill).await?;
        if let Some(done) = deployment {
            return Ok(deployed(request, StatusCode::OK, done));
        }
        let tasks: Vec<_> = instances.iter().map(|instance| self.spell(instance)).collect();
        Ok(respond(request, StatusCode::OK, &json!({ "tasks": tasks })))
    }

    async fn order_kill(
        &self,
        request: &Request,
        tasks: Vec<TaskId>,
        kill: Kill,
    ) -> Result<(Vec<Arc<Instance>>, Option<(model::id::Uuid, services::state::Version)>), Failure>
    {
        let force = request.query.is_set("force");
        match self.handle.call(Order::KillTasks { tasks, kill, force }).await? {
            Reply::Killed { instances, deployed } => Ok((instances, deployed)),
            Reply::Deployed { deployment, version } => {
                Ok((Vec::new(), Some((deployment, version))))
            }
            Reply::Done | Reply::Planned { .. } => Ok((Vec::new(), None)),
        }
    }

    fn spell(&self, instance: &Instance) -> serde_json::Value {
        let view = self.handle.read();
        let task = task::task(&view.services, instance);
        json!(task)
    }
}

fn kill(request: &Request) -> Result<Kill, Failure> {
    match (request.query.is_set("scale"), request.query.is_set("wipe")) {
        (true, true) => {
            let message = "You cannot use scale and wipe at the same time.";
            Err(Failure::BadRequest(message.to_owned()))
        }
        (true, false) => Ok(Kill::Scale),
        (false, true) => Ok(Kill::Wipe),
        (false, false) => Ok(Kill::Replace),
    }
}

fn wants_text(request: &Request) -> bool {
    let accept = request.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.starts_with("text/plain"))
}

/// For each service port a line: the app, the port, and where its tasks listen.
fn endpoints<'a>(
    view: &services::view::View,
    apps: impl Iterator<Item = (&'a AppId, &'a Arc<App>)>,
) -> String {
    let mut text = String::new();
    for (id, app) in apps.filter(|(_, app)| app.spec.pod.is_none()) {
        let instances = view.instances.get(id);
        let running: Vec<&Instance> = instances
            .into_iter()
            .flat_map(|all| all.values())
            .map(AsRef::as_ref)
            .filter(|instance| instance.state == TaskState::Running)
            .collect();
        let name = id.underscored();
        if app.spec.ports.is_empty() {
            let hosts = running.iter().map(|one| format!("{}\t", one.place.host));
            writeln!(text, "{name}\t \t{}", hosts.collect::<String>())
                .expect("a string takes all that is written");
        }
        for (n, port) in app.spec.ports.iter().enumerate() {
            let listening = running.iter().filter_map(|one| {
                one.ports.get(n).map(|port| format!("{}:{port}\t", one.place.host))
            });
            writeln!(text, "{name}\t{}\t{}", port.port, listening.collect::<String>())
                .expect("a string takes all that is written");
        }
    }
    text
}
