//! The versions that an app had.

use std::ops::Bound;

use axum::http::StatusCode;
use model::time::Time;
use serde_json::json;
use services::state::Version;
use wire::marathon::app::App;
use wire::marathon::print;
use wire::marathon::version::{self, Spelled};

use super::{Answer, Api, ids, respond};
use crate::failure::Failure;
use crate::request::Request;

impl Api {
    /// Newest first.
    pub(super) fn list_versions(&self, request: &Request, id: &[&str]) -> Answer {
        let id = ids::app_id(id)?;
        let view = self.handle.read();
        ids::app(&view.services, &id)?;
        let first = (id.clone(), Version(Time(0)));
        let range = view.services.versions.range((Bound::Included(first), Bound::Unbounded));
        let own = range.take_while(|((app, _), _)| *app == id);
        let mut versions: Vec<Spelled> = own.map(|((_, version), _)| Spelled(version.0)).collect();
        versions.reverse();
        Ok(respond(request, StatusCode::OK, &json!({ "versions": versions })))
    }

    pub(super) fn show_version(&self, request: &Request, id: &[&str], text: &str) -> Answer {
        let id = ids::app_id(id)?;
        let view = self.handle.read();
        let found = version::read(text).and_then(|time| {
            let spec = view.services.versions.get(&(id.clone(), Version(time)))?;
            spec.pod.is_none().then_some((time, spec))
        });
        let Some((time, spec)) = found else {
            return Err(Failure::Unknown(format!("App '{id}' does not exist in version {text}")));
        };
        let app = App { version: Some(version::spell(time)), ..print::spec(spec) };
        Ok(respond(request, StatusCode::OK, &app))
    }
}
