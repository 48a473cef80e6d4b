//! Deployments under way, and how to end them.

use axum::http::{Method, StatusCode};
use services::{Cancel, Order};
use wire::marathon::deployment::step_info;

use super::{Answer, Api, Bodies, deployed, respond};
use crate::answer;
use crate::failure::Failure;
use crate::request::Request;

impl Api {
    pub(super) async fn deployments(&self, request: &Request, rest: &[&str]) -> Answer {
        match (&request.method, rest) {
            (&Method::GET, []) => {
                let view = self.handle.read();
                let deployments = view.services.deployments.values();
                let all: Vec<_> = deployments.map(|one| step_info(&view.services, one)).collect();
                Ok(respond(request, StatusCode::OK, &all))
            }
            (&Method::DELETE, [id]) => self.cancel(request, id).await,
            (_, [] | [_]) => Err(Failure::MethodNotAllowed),
            (_, _) => Err(Failure::NoEndpoint),
        }
    }

    async fn cancel(&self, request: &Request, id: &str) -> Answer {
        let view = self.handle.read();
        let found = view.services.deployments.values().find(|one| one.id.to_string() == id);
        let Some(deployment) = found.map(|one| one.id) else {
            return Err(Failure::Unknown(format!("DeploymentPlan {id} does not exist")));
        };
        drop(view);
        if request.query.is_set("force") {
            self.handle.call(Order::Cancel { deployment, how: Cancel::Stop }).await?;
            return Ok(answer::empty(StatusCode::ACCEPTED));
        }
        let order = Order::Cancel { deployment, how: Cancel::Rollback };
        let done = self.deploy(order, Bodies::One).await?;
        Ok(deployed(request, StatusCode::OK, done))
    }
}
