//! The tree of groups: read as it is and as it was, put, scaled, taken back, removed.

use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{Method, StatusCode};
use services::group::GroupId;
use services::state::Version;
use services::{Change, Fault, Order, Reply};
use wire::marathon::app_info::{self, AppInfo, Embed};
use wire::marathon::group::{self, GroupEmbed, group_info};
use wire::marathon::group_update::{self, Bad, Wanted};
use wire::marathon::version::{self, Spelled};
use wire::marathon::{deployment, judge};

use super::{Answer, Api, Bodies, deployed, layout, respond};
use crate::answer;
use crate::failure::Failure;
use crate::query::Query;
use crate::request::{Request, now};

impl Api {
    pub(super) async fn groups(&self, request: &Request, path: &[&str]) -> Answer {
        match (&request.method, path) {
            (&Method::GET, [id @ .., "versions"]) => self.group_versions(request, group_id(id)?),
            (&Method::GET, [id @ .., "versions", version]) => {
                self.group_at(request, group_id(id)?, version).await
            }
            (_, [.., "versions"] | [.., "versions", _]) => Err(Failure::MethodNotAllowed),
            (&Method::GET, [of @ .., "apps"]) if !self.is_group(path) => {
                self.apps_of_group(request, group_id(of)?).await
            }
            (&Method::GET, id) => self.show_group(request, group_id(id)?).await,
            (&Method::POST, id) => self.create_group(request, named(id)?).await,
            (&Method::PUT, id) => self.update_group(request, named(id)?).await,
            (&Method::PATCH, id) => self.enforce_role(request, group_id(id)?).await,
            (&Method::DELETE, id) => {
                let change = Change::DeleteGroup(group_id(id)?);
                self.change_group(request, change, StatusCode::OK).await
            }
            (_, _) => Err(Failure::MethodNotAllowed),
        }
    }

    /// A group may have so many apps that spelling them takes a while: not on a thread that others wait for.
    async fn show_group(&self, request: &Request, id: GroupId) -> Answer {
        let view = self.handle.read();
        let (embed, layout) = (embed(&request.query), layout(request));
        let spelled = tokio::task::spawn_blocking(move || {
            let group = group_info(&view.services, &id, embed, now());
            let group = group.ok_or_else(|| unknown(&id))?;
            Ok(answer::json(StatusCode::OK, &group, layout))
        });
        spelled.await.expect("a panic while answering was reported where it happened")
    }

    fn is_group(&self, path: &[&str]) -> bool {
        group_id(path).is_ok_and(|id| self.handle.read().services.has_group(&id))
    }

    /// `/v2/groups/*/apps`: all apps below a group, none if there is no such group. A group of the name `apps` goes first.
    async fn apps_of_group(&self, request: &Request, id: GroupId) -> Answer {
        let view = self.handle.read();
        let (embed, layout) = (embed(&request.query).of_apps, layout(request));
        let spelled = tokio::task::spawn_blocking(move || {
            let apps = view.services.apps_in(&id).filter(|(_, app)| app.spec.pod.is_none());
            let info = |app| app_info::app_info(&view.services, app, embed, now());
            let apps: Vec<AppInfo<'_>> = apps.map(|(_, app)| info(app)).collect();
            Ok(answer::json(StatusCode::OK, &apps, layout))
        });
        spelled.await.expect("a panic while answering was reported where it happened")
    }

    fn group_versions(&self, request: &Request, id: GroupId) -> Answer {
        let view = self.handle.read();
        if !view.services.has_group(&id) {
            return Err(unknown(&id));
        }
        let versions = view.services.group_versions(&id);
        let versions: Vec<Spelled> = versions.iter().map(|version| Spelled(version.0)).collect();
        Ok(respond(request, StatusCode::OK, &versions))
    }

    async fn group_at(&self, request: &Request, id: GroupId, text: &str) -> Answer {
        let missing = Failure::Unknown(format!("Group '{id}' does not exist in version {text}"));
        let Some(at) = version::read(text) else { return Err(missing) };
        let (view, layout) = (self.handle.read(), layout(request));
        let spelled = tokio::task::spawn_blocking(move || {
            let then = view.services.group_at(&id, Version(at)).ok_or(missing)?;
            let apps = group::apps_then(&then);
            let group = group::group_then(&view.services, &id, &apps, &then, now());
            Ok(answer::json(StatusCode::OK, &group, layout))
        });
        spelled.await.expect("a panic while answering was reported where it happened")
    }

    async fn create_group(&self, request: &Request, id: GroupId) -> Answer {
        let (id, wanted) = group_update::read(&request.body, &id, &self.rules).map_err(bad)?;
        let change = match wanted {
            Wanted::Update(update) => Change::CreateGroup(update),
            Wanted::Version(_) | Wanted::ScaleBy(_) => change(id.clone(), wanted),
        };
        if request.query.is_set("dryRun") {
            return self.plan(request, change).await;
        }
        let mut response = self.change_group(request, change, StatusCode::CREATED).await?;
        let location = HeaderValue::from_str(&format!("/v2/groups{id}"));
        response.headers_mut().insert(LOCATION, location.expect("ids are plain ASCII"));
        Ok(response)
    }

    async fn update_group(&self, request: &Request, id: GroupId) -> Answer {
        let (id, wanted) = group_update::read(&request.body, &id, &self.rules).map_err(bad)?;
        let change = change(id, wanted);
        if request.query.is_set("dryRun") {
            return self.plan(request, change).await;
        }
        self.change_group(request, change, StatusCode::OK).await
    }

    /// What a change would do, which is not done.
    async fn plan(&self, request: &Request, change: Change) -> Answer {
        match self.order(Order::Plan { changes: vec![change] }, Bodies::One).await? {
            Reply::Planned { steps } => {
                Ok(respond(request, StatusCode::OK, &deployment::planned(&steps)))
            }
            Reply::Done | Reply::Deployed { .. } | Reply::Killed { .. } => {
                unreachable!("services answers a dry run with its plan")
            }
        }
    }

    async fn enforce_role(&self, request: &Request, id: GroupId) -> Answer {
        let enforce = group_update::enforce_role(&request.body)?;
        let change = Change::EnforceRole { group: id, enforce };
        self.change_group(request, change, StatusCode::OK).await
    }

    async fn change_group(&self, request: &Request, change: Change, status: StatusCode) -> Answer {
        let force = request.query.is_set("force");
        let timeout = request.deployment_timeout()?;
        let order = Order::Deploy { changes: vec![change], force, timeout };
        Ok(deployed(request, status, self.deploy(order, Bodies::One).await?))
    }
}

fn change(id: GroupId, wanted: Wanted) -> Change {
    match wanted {
        Wanted::Version(to) => Change::RollBackGroup { group: id, to },
        Wanted::ScaleBy(by) => Change::ScaleGroup { group: id, by },
        Wanted::Update(update) => Change::PutGroup(update),
    }
}

fn bad(bad: Bad) -> Failure {
    match bad {
        Bad::Unreadable(unreadable) => Failure::Unreadable(unreadable),
        Bad::Invalid(faults) => Failure::Invalid(faults),
    }
}

/// An id that no group can have does not exist either.
fn group_id(path: &[&str]) -> Result<GroupId, Failure> {
    let missing = |_| Failure::Unknown(format!("Group '/{}' does not exist", path.join("/")));
    read(path).map_err(missing)
}

/// Of a group that is to be, whether it exists or not.
fn named(path: &[&str]) -> Result<GroupId, Failure> {
    let fault = |message| Fault { path: "/id".to_owned(), message };
    read(path).map_err(|message| Failure::Invalid(vec![fault(message)]))
}

fn read(path: &[&str]) -> Result<GroupId, String> {
    match path {
        [] => Ok(GroupId::Root),
        names => judge::path_id(&names.join("/")).map(GroupId::Path),
    }
}

fn unknown(id: &GroupId) -> Failure {
    Failure::Unknown(format!("Group '{id}' does not exist"))
}

/// Without any `embed`, all of the tree with counts.
fn embed(query: &Query) -> GroupEmbed {
    let words: Vec<&str> = query.all("embed").flat_map(|words| words.split(',')).collect();
    let shown = |word: &str| words.is_empty() || words.contains(&word);
    let of_apps = words.iter().filter(|word| word.starts_with("group.apps."));
    let counts = Embed { counts: words.is_empty(), ..Embed::default() };
    GroupEmbed {
        groups: shown("group.groups"),
        apps: shown("group.apps"),
        pods: shown("group.pods"),
        of_apps: of_apps.fold(counts, |embed, word| embed.and(word)),
    }
}
