//! Ids as they come in paths.

use std::sync::Arc;

use services::spec::AppId;
use services::state::App;
use services::view::View;
use wire::marathon::judge;

use crate::failure::Failure;

/// An id that no app can have does not exist either.
pub(super) fn app_id(segments: &[&str]) -> Result<AppId, Failure> {
    let text = segments.join("/");
    judge::app_id(&text).map_err(|_| unknown_app(&format!("/{text}")))
}

/// The app of this id; a pod is none.
pub(super) fn app<'a>(view: &'a View, id: &AppId) -> Result<&'a Arc<App>, Failure> {
    let found = view.apps.get(id).filter(|app| app.spec.pod.is_none());
    found.ok_or_else(|| unknown_app(id.as_str()))
}

pub(super) fn unknown_app(id: &str) -> Failure {
    Failure::Unknown(format!("App '{id}' does not exist"))
}
