//! How much the program logs, as Mesos' agents are asked and told: by v1 calls and by `/logging/toggle`.

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mesos_v1::agent::call::SetLoggingLevel;

use super::Api;
use super::answer::{Asked, refuse};
use crate::guests::Refusal;

/// The levels of the program, in Mesos' numbers.
pub trait Levels: Debug + Send + Sync {
    fn level(&self) -> u32;

    /// Changes it for a while; the error says what is wrong with what is wanted.
    fn change(&self, level: u32, time: Duration) -> Result<(), String>;

    /// The time that a text like `5mins` speaks of.
    fn time(&self, text: &str) -> Option<Duration>;

    /// Where what is logged is kept, if that is known.
    fn file(&self) -> Option<&Path>;
}

pub(super) fn set(api: &Api, wanted: &SetLoggingLevel) -> Result<Response, Refusal> {
    let time = u64::try_from(wanted.duration.nanoseconds).map(Duration::from_nanos);
    let time = time.map_err(|_| Refusal::Bad("'duration' is negative".to_owned()))?;
    api.0.levels.change(wanted.level, time).map_err(Refusal::Bad)?;
    Ok(StatusCode::OK.into_response())
}

/// Tells the level, or changes it if there is one in the query.
pub(super) fn toggle(api: &Api, asked: &Asked) -> Response {
    let levels = &api.0.levels;
    let Some(level) = asked.get("level") else {
        return format!("{}\n", levels.level()).into_response();
    };
    let changed =
        level.parse().map_err(|_| "'level' is to be a whole number".to_owned()).and_then(|level| {
            let time = asked.get("duration").ok_or("Expecting 'duration=value' in query")?;
            let time = levels.time(time).ok_or("'duration' is to be like 10secs or 5mins")?;
            levels.change(level, time)
        });
    match changed {
        Ok(()) => StatusCode::OK.into_response(),
        Err(cause) => refuse(StatusCode::BAD_REQUEST, &format!("{cause}.\n")),
    }
}
