//! Questions and answers: the query, JSON, JSONP, refusals.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What a client wrote behind the question mark; of a name that occurs twice, the last value.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(BTreeMap<String, String>);

impl Asked {
    pub(super) fn read(uri: &Uri) -> Result<Self, String> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|cause| format!("The query cannot be read: {cause}.\n"))?;
        let asked = Self(pairs.into_iter().collect());
        match asked.get("jsonp") {
            Some(name) if !is_callback(name) => {
                Err("'jsonp' must be the name of a function.\n".to_owned())
            }
            _ => Ok(asked),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// JSON; as an argument of a function if the client asked for that.
    pub(super) fn json(&self, value: &impl Serialize) -> Response {
        let body = match serde_json::to_string(value) {
            Ok(body) => body,
            Err(cause) => {
                return refuse(StatusCode::INTERNAL_SERVER_ERROR, &format!("No JSON: {cause}.\n"));
            }
        };
        match self.get("jsonp") {
            Some(function) => {
                let body = format!("{function}({body});");
                ([(header::CONTENT_TYPE, "text/javascript")], body).into_response()
            }
            None => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        }
    }
}

/// Names with dots and indexes only: the answer is run as a program by whoever asked.
fn is_callback(name: &str) -> bool {
    name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_$.[]".contains(letter))
}

pub(super) fn refuse(status: StatusCode, cause: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], cause.to_owned())
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_a_name_and_nothing_else() {
        let check = |query: &str, readable: bool| {
            let uri = format!("/state?{query}").parse().expect("a uri");
            assert_eq!(Asked::read(&uri).is_ok(), readable, "{query}");
        };
        check("jsonp=angular.callbacks._0", true);
        check("jsonp=alert(1)%2F%2F", false);
        check("path=%2Fa&offset=1", true);
    }
}
