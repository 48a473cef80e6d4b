//! The tree of groups, to be read: changing it comes later.

use axum::http::{Method, StatusCode};
use wire::marathon::app_info::Embed;
use wire::marathon::group::{GroupEmbed, group_info};

use super::{Answer, Api, respond};
use crate::failure::Failure;
use crate::query::Query;
use crate::request::{Request, now};

impl Api {
    pub(super) fn groups(&self, request: &Request, path: &[&str]) -> Answer {
        if request.method != Method::GET {
            return Err(Failure::NotYet(format!("{} /v2/groups", request.method)));
        }
        if path.contains(&"versions") {
            return Err(Failure::NotYet("GET /v2/groups/versions".to_owned()));
        }
        let path = format!("/{}", path.join("/"));
        let view = self.handle.read();
        let group = group_info(&view.services, &path, embed(&request.query), now());
        let group =
            group.ok_or_else(|| Failure::Unknown(format!("Group '{path}' does not exist")))?;
        Ok(respond(request, StatusCode::OK, &group))
    }
}

/// Without any `embed`, all of the tree with counts.
fn embed(query: &Query) -> GroupEmbed {
    let words: Vec<&str> = query.all("embed").collect();
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
