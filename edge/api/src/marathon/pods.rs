//! Pods: created, read, changed, removed; how they do, what they were, and their instances to be killed.

use std::ops::Bound;
use std::sync::Arc;

use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{Method, StatusCode};
use engine::CallError;
use model::id::{TaskId, Uuid};
use model::time::Time;
use services::spec::{AppId, AppSpec};
use services::state::{App, Version};
use services::view::View;
use services::{Change, Fault, Kill, Order, Refusal, Reply};
use wire::marathon::judge;
use wire::marathon::pod::Pod;
use wire::marathon::version::{self, Spelled};
use wire::marathon::{instance, pod_status, print_pod, reading};

use super::updates::TRIES_MAX;
use super::{Answer, Api, Bodies, layout, respond, with_deployment};
use crate::answer;
use crate::failure::Failure;
use crate::request::{Request, now};

/// What a path below `/v2/pods` means: ids have slashes, so what is asked of a pod stands behind two colons.
#[derive(Debug, PartialEq, Eq)]
enum Asked<'a> {
    All,
    AllStatus,
    Pod(&'a str),
    Status(&'a str),
    Versions(&'a str),
    Version(&'a str, &'a str),
    Instances(&'a str),
    Instance(&'a str, &'a str),
}

/// Of the path behind `pods`, slashes included.
fn asked(rest: &str) -> Option<Asked<'_>> {
    let Some((id, what)) = rest.split_once("::") else {
        return Some(if rest.is_empty() { Asked::All } else { Asked::Pod(rest) });
    };
    let (what, which) = what.split_once('/').map_or((what, None), |(what, one)| (what, Some(one)));
    match (id, what, which) {
        ("", "status", None) => Some(Asked::AllStatus),
        ("", _, _) => None,
        (_, "status", None) => Some(Asked::Status(id)),
        (_, "versions", None) => Some(Asked::Versions(id)),
        (_, "versions", Some(version)) => Some(Asked::Version(id, version)),
        (_, "instances", None) => Some(Asked::Instances(id)),
        (_, "instances", Some(instance)) => Some(Asked::Instance(id, instance)),
        (_, _, _) => None,
    }
}

impl Api {
    pub(super) async fn pods(&self, request: &Request, rest: &str) -> Answer {
        let asked = asked(rest).ok_or(Failure::NoEndpoint)?;
        match (&request.method, asked) {
            (&Method::GET, Asked::All) => Ok(self.list_pods(request)),
            (&Method::POST, Asked::All) => self.create_pod(request).await,
            (&Method::GET, Asked::AllStatus) => self.all_status(request).await,
            (&Method::GET, Asked::Pod(id)) => self.show_pod(request, id),
            (&Method::PUT, Asked::Pod(id)) => self.update_pod(request, id).await,
            (&Method::DELETE, Asked::Pod(id)) => self.delete_pod(request, id).await,
            (&Method::GET, Asked::Status(id)) => self.pod_status(request, id).await,
            (&Method::GET, Asked::Versions(id)) => self.pod_versions(request, id),
            (&Method::GET, Asked::Version(id, version)) => self.pod_version(request, id, version),
            (&Method::DELETE, Asked::Instances(id)) => self.kill_instances(request, id).await,
            (&Method::DELETE, Asked::Instance(id, one)) => {
                self.kill_instance(request, id, one).await
            }
            (_, _) => Err(Failure::MethodNotAllowed),
        }
    }

    fn list_pods(&self, request: &Request) -> axum::http::Response<axum::body::Body> {
        let view = self.handle.read();
        let pods: Vec<Pod> = all(&view.services).filter_map(|pod| print_pod::app(pod)).collect();
        respond(request, StatusCode::OK, &pods)
    }

    fn show_pod(&self, request: &Request, id: &str) -> Answer {
        let view = self.handle.read();
        Ok(respond(request, StatusCode::OK, &print_pod::app(pod(&view.services, id)?)))
    }

    async fn create_pod(&self, request: &Request) -> Answer {
        let spec = judge::pod::read(reading::pod(&request.body)?, &self.rules);
        let spec = spec.map_err(Failure::Invalid)?;
        let id = spec.id.clone();
        let force = request.query.is_set("force");
        let timeout = request.deployment_timeout()?;
        let order = Order::Deploy { changes: vec![Change::Create(spec)], force, timeout };
        let deployed = self.deploy(order, Bodies::One).await?;
        self.posted(request, StatusCode::CREATED, &id, deployed)
    }

    /// The pod as it is now, with where it lies and which deployment leads there.
    fn posted(
        &self,
        request: &Request,
        status: StatusCode,
        id: &AppId,
        deployed: (Uuid, Version),
    ) -> Answer {
        let view = self.handle.read();
        // Whoever removed it in between has seen it.
        let pod = print_pod::app(pod(&view.services, id.as_str())?);
        let mut response = with_deployment(respond(request, status, &pod), deployed.0);
        let location = HeaderValue::from_str(&format!("/v2/pods{id}"));
        response.headers_mut().insert(LOCATION, location.expect("ids are plain ASCII"));
        Ok(response)
    }

    async fn update_pod(&self, request: &Request, id: &str) -> Answer {
        let spec = judge::pod::read(reading::pod(&request.body)?, &self.rules);
        let spec = spec.map_err(Failure::Invalid)?;
        let id = path_id(id)?;
        if id != spec.id {
            let message = format!("'{id}' does not match definition's id ('{}')", spec.id);
            return Err(Failure::BadRequest(message));
        }
        let done = self.replace_pod(request, &spec).await?;
        self.posted(request, StatusCode::OK, &id, done)
    }

    /// Puts the spec in the place of the pod as it is, whatever that is by then.
    async fn replace_pod(
        &self,
        request: &Request,
        spec: &AppSpec,
    ) -> Result<(Uuid, Version), Failure> {
        let (force, timeout) = (request.query.is_set("force"), request.deployment_timeout()?);
        let mut tries = 0;
        loop {
            tries += 1;
            let base = Some(pod(&self.handle.read().services, spec.id.as_str())?.version);
            let changes = vec![Change::Put { spec: spec.clone(), base }];
            match self.deploy(Order::Deploy { changes, force, timeout }, Bodies::One).await {
                Err(Failure::Call(CallError::Refused(Refusal::Stale(_)))) if tries < TRIES_MAX => {}
                done => return done,
            }
        }
    }

    async fn delete_pod(&self, request: &Request, id: &str) -> Answer {
        let id = pod(&self.handle.read().services, id)?.spec.id.clone();
        let changes = vec![Change::Delete(id)];
        let force = request.query.is_set("force");
        let timeout = request.deployment_timeout()?;
        let (deployment, _) =
            self.deploy(Order::Deploy { changes, force, timeout }, Bodies::One).await?;
        Ok(with_deployment(answer::empty(StatusCode::ACCEPTED), deployment))
    }

    /// A pod may have so many instances that spelling them takes a while: not on a thread that others wait for.
    async fn pod_status(&self, request: &Request, id: &str) -> Answer {
        let view = self.handle.read();
        let id = pod(&view.services, id)?.spec.id.clone();
        let layout = layout(request);
        let spelled = tokio::task::spawn_blocking(move || {
            let status = view.services.apps.get(&id);
            let status = status.and_then(|pod| pod_status::pod_status(&view.services, pod, now()));
            answer::json(StatusCode::OK, &status, layout)
        });
        Ok(spelled.await.expect("a panic while answering was reported where it happened"))
    }

    async fn all_status(&self, request: &Request) -> Answer {
        let view = self.handle.read();
        let layout = layout(request);
        let spelled = tokio::task::spawn_blocking(move || {
            let view = &view.services;
            let status = |pod| pod_status::pod_status(view, pod, now());
            let all: Vec<_> = all(view).filter_map(|pod| status(pod)).collect();
            answer::json(StatusCode::OK, &all, layout)
        });
        Ok(spelled.await.expect("a panic while answering was reported where it happened"))
    }

    /// Newest first.
    fn pod_versions(&self, request: &Request, id: &str) -> Answer {
        let view = self.handle.read();
        let id = pod(&view.services, id)?.spec.id.clone();
        let first = (id.clone(), Version(Time(0)));
        let range = view.services.versions.range((Bound::Included(first), Bound::Unbounded));
        let own = range.take_while(|((pod, _), _)| *pod == id);
        let mut versions: Vec<Spelled> = own.map(|((_, version), _)| Spelled(version.0)).collect();
        versions.reverse();
        Ok(respond(request, StatusCode::OK, &versions))
    }

    fn pod_version(&self, request: &Request, id: &str, text: &str) -> Answer {
        let view = self.handle.read();
        let id = pod(&view.services, id)?.spec.id.clone();
        let found = version::read(text).and_then(|time| {
            let spec = view.services.versions.get(&(id.clone(), Version(time)))?;
            Some(Pod { version: Some(version::spell(time)), ..print_pod::spec(spec)? })
        });
        let unknown = || Failure::Unknown(format!("Pod '{id}' does not exist in version {text}"));
        Ok(respond(request, StatusCode::OK, &found.ok_or_else(unknown)?))
    }

    async fn kill_instances(&self, request: &Request, id: &str) -> Answer {
        let ids: Vec<String> = reading::body(&request.body)?;
        let killed = self.kill_of_pod(request, id, &ids).await?;
        Ok(respond(request, StatusCode::OK, &killed))
    }

    async fn kill_instance(&self, request: &Request, id: &str, one: &str) -> Answer {
        let killed = self.kill_of_pod(request, id, &[one.to_owned()]).await?;
        let unknown = || Failure::Unknown(format!("Task '{one}' does not exist"));
        Ok(respond(request, StatusCode::OK, killed.first().ok_or_else(unknown)?))
    }

    /// Those of `ids` that are instances of the pod, as they were.
    async fn kill_of_pod(
        &self,
        request: &Request,
        id: &str,
        ids: &[String],
    ) -> Result<Vec<instance::Instance>, Failure> {
        let malformed = ids.iter().enumerate().filter(|(_, id)| !is_instance_id(id));
        let fault = |(n, id): (usize, &String)| Fault {
            path: format!("/({n})"),
            message: format!("'{id}' is not the id of an instance, such as web.instance-<uuid>"),
        };
        let faults: Vec<Fault> = malformed.map(fault).collect();
        if !faults.is_empty() {
            return Err(Failure::Invalid(faults));
        }
        let view = self.handle.read();
        let spec = pod(&view.services, id)?.spec.clone();
        let own = view.services.instances.get(&spec.id).into_iter().flat_map(|all| all.values());
        let chosen = own.filter(|instance| ids.contains(&instance.id()));
        let tasks: Vec<TaskId> = chosen.map(|instance| instance.task.clone()).collect();
        drop(view);
        let kill = if request.query.is_set("wipe") { Kill::Wipe } else { Kill::Replace };
        let force = request.query.is_set("force");
        match self.handle.call(Order::KillTasks { tasks, kill, force }).await? {
            Reply::Killed { instances, .. } => {
                Ok(instances.iter().map(|one| instance::instance(one, &spec)).collect())
            }
            Reply::Deployed { .. } | Reply::Planned { .. } | Reply::Done => Ok(Vec::new()),
        }
    }
}

fn all(view: &View) -> impl Iterator<Item = &Arc<App>> {
    view.pods.iter().filter_map(|id| view.apps.get(id))
}

fn pod<'a>(view: &'a View, id: &str) -> Result<&'a Arc<App>, Failure> {
    let id = path_id(id)?;
    view.apps.get(&id).filter(|app| app.spec.pod.is_some()).ok_or_else(|| unknown(id.as_str()))
}

/// An id that no pod can have does not exist either.
fn path_id(text: &str) -> Result<AppId, Failure> {
    judge::path_id(text).map_err(|_| unknown(&format!("/{}", text.trim_start_matches('/'))))
}

fn unknown(id: &str) -> Failure {
    Failure::Unknown(format!("Pod '{id}' does not exist"))
}

/// `^(.+)\.(instance-|marathon-)([^\.]+)$`
fn is_instance_id(text: &str) -> bool {
    let last = text.rsplit_once('.').filter(|(app, _)| !app.is_empty());
    last.is_some_and(|(_, last)| {
        ["instance-", "marathon-"]
            .iter()
            .any(|word| last.len() > word.len() && last.starts_with(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_a_pod_stands_behind_two_colons() {
        let check = |path, expected| assert_eq!(asked(path), expected, "{path}");
        check("", Some(Asked::All));
        check("::status", Some(Asked::AllStatus));
        check("::versions", None);
        check("a/b", Some(Asked::Pod("a/b")));
        check("a/b::status", Some(Asked::Status("a/b")));
        check("a::versions", Some(Asked::Versions("a")));
        check("a::versions/2015-01-01T00:00:00.000Z", {
            Some(Asked::Version("a", "2015-01-01T00:00:00.000Z"))
        });
        check("a::instances", Some(Asked::Instances("a")));
        check("a::instances/a.instance-1", Some(Asked::Instance("a", "a.instance-1")));
        check("a::tasks", None);
    }

    #[test]
    fn ids_of_instances_have_a_pattern() {
        let check = |text, expected| assert_eq!(is_instance_id(text), expected, "{text}");
        check("a_b.instance-1", true);
        check("a.marathon-2", true);
        check("a.instance-", false);
        check(".instance-1", false);
        check("a.instance-1.c", false);
        check("a", false);
    }
}
