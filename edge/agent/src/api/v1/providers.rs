//! Calls that change resource providers, of which there are none: they are judged and refused as by an agent of Mesos that
//! was started without a directory for what configures them.

use mesos_v1::agent::Call;
use mesos_v1::agent::call::Type;

use super::{absent, need};
use crate::guests::Refusal;

/// Why it is not done.
pub(super) fn refusal(call: Call) -> Refusal {
    judge(call).map_or_else(
        |refusal| refusal,
        |()| {
            let cause = "Missing required flag --resource_provider_config_dir: this agent has no resource providers";
            Refusal::Mishap(cause.to_owned())
        },
    )
}

fn judge(call: Call) -> Result<(), Refusal> {
    let kind = call.r#type();
    if kind == Type::RemoveResourceProviderConfig {
        return need(call.remove_resource_provider_config, kind).map(|_| ());
    }
    if kind == Type::MarkResourceProviderGone {
        let id = need(call.mark_resource_provider_gone, kind)?.resource_provider_id.value;
        return Err(Refusal::Mishap(format!("Resource provider {id} does not exist")));
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
