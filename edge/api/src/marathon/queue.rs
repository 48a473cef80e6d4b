//! What waits to be launched, and why.

use axum::http::{Method, StatusCode};
use serde_json::json;
use services::Order;
use wire::marathon::explain::Agents;
use wire::marathon::queue::{Embed, Item, item};

use super::{Answer, Api, ids, respond};
use crate::answer;
use crate::failure::Failure;
use crate::request::{Request, now};

impl Api {
    pub(super) async fn queue(&self, request: &Request, rest: &[&str]) -> Answer {
        match (&request.method, rest) {
            (&Method::GET, []) => Ok(self.show_queue(request)),
            (&Method::DELETE, [id @ .., "delay"]) => self.reset_delay(id).await,
            (_, [] | [.., "delay"]) => Err(Failure::MethodNotAllowed),
            (_, _) => Err(Failure::NoEndpoint),
        }
    }

    fn show_queue(&self, request: &Request) -> axum::http::Response<axum::body::Body> {
        let embed = request.query.all("embed").fold(Embed::default(), Embed::and);
        let view = self.handle.read();
        let agents = Agents::of(&view.kernel);
        let waiting = view.services.queue.iter();
        let items: Vec<Item> = waiting
            .filter_map(|(id, waiting)| {
                let app = view.services.apps.get(id)?;
                Some(item(app, waiting, agents, now(), embed))
            })
            .collect();
        respond(request, StatusCode::OK, &json!({ "queue": items }))
    }

    async fn reset_delay(&self, id: &[&str]) -> Answer {
        let app = ids::app_id(id)?;
        if !self.handle.read().services.queue.contains_key(&app) {
            return Err(Failure::Unknown(format!("Application {app} not found in tasks queue.")));
        }
        self.handle.call(Order::ResetDelay { app }).await?;
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }
}
