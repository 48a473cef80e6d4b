//! Ids as they come in paths.

use services::spec::AppId;
use wire::marathon::judge;

use crate::failure::Failure;

/// An id that no app can have does not exist either.
pub(super) fn app_id(segments: &[&str]) -> Result<AppId, Failure> {
    let text = segments.join("/");
    judge::app_id(&text).map_err(|_| unknown_app(&format!("/{text}")))
}

pub(super) fn unknown_app(id: &str) -> Failure {
    Failure::Unknown(format!("App '{id}' does not exist"))
}
