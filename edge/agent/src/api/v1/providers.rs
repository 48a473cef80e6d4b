//! Calls that change resource providers. Those that would start one here are judged, and refused as by an agent of Mesos that
//! was started without a directory for what configures them: providers come by themselves.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mesos_v1::agent::Call;
use mesos_v1::agent::call::{MarkResourceProviderGone, Type};
use model::id::ProviderId;
use node::Input;

use super::{absent, need};
use crate::api::Api;
use crate::guests::Refusal;

/// Why a provider is not started, changed or stopped.
pub(super) fn refusal(call: Call) -> Refusal {
    judge(call).map_or_else(
        |refusal| refusal,
        |()| {
            let cause = "Missing required flag --resource_provider_config_dir: this agent starts no resource providers, \
                they subscribe by themselves";
            Refusal::Mishap(cause.to_owned())
        },
    )
}

fn judge(call: Call) -> Result<(), Refusal> {
    let kind = call.r#type();
    if kind == Type::RemoveResourceProviderConfig {
        return need(call.remove_resource_provider_config, kind).map(|_| ());
    }
    let info = match kind == Type::AddResourceProviderConfig {
        true => need(call.add_resource_provider_config, kind)?.info,
        false => need(call.update_resource_provider_config, kind)?.info,
    };
    if info.id.is_some() {
        let field = format!("{}.info.id", kind.as_str_name().to_ascii_lowercase());
        let cause = absent(&field).replace("to be present", "to be unset");
        return Err(Refusal::Bad(cause));
    }
    Ok(())
}

/// It does not come back under its id. Answered once that is written down.
pub(super) async fn mark_gone(
    api: &Api,
    wanted: &MarkResourceProviderGone,
) -> Result<Response, Refusal> {
    let id = ProviderId::new(wanted.resource_provider_id.value.as_str());
    let view = api.0.board.view();
    let cannot = |why: &str| {
        Refusal::Mishap(format!("Could not mark resource provider '{id}' as gone: {why}"))
    };
    if !view.admitted.contains_key(&id) {
        return Err(Refusal::Mishap(format!("Resource provider {id} does not exist")));
    }
    let listens = view.providers.iter().find(|one| one.id == id);
    if listens.is_some_and(|one| !one.total.is_empty()) {
        return Err(cannot("Resource provider has resources"));
    }
    let (seed, mut changes) = (api.0.seeds.next(), api.0.board.changes());
    let asked = api.0.calls.send(Input::ProviderGone { provider: id.clone(), seed }).await;
    asked.map_err(|_| cannot("The agent is ending"))?;
    let is_gone = |view: &node::View| view.admitted.get(&id).is_some_and(|known| known.gone);
    changes.wait_for(is_gone).await.map_err(|_| cannot("The agent is ending"))?;
    Ok(StatusCode::OK.into_response())
}
