//! Fields that a later release will know: refused by name, never ignored.

use serde_json::Value;

use super::faults::Faults;
use crate::marathon::app::App;

pub(super) fn refuse(app: &App, faults: &mut Faults) {
    let top = [
        ("/check", &app.check),
        ("/executorResources", &app.executor_resources),
        ("/ipAddress", &app.ip_address),
        ("/readinessChecks", &app.readiness_checks),
        ("/residency", &app.residency),
        ("/resourceLimits", &app.resource_limits),
        ("/secrets", &app.secrets),
    ];
    top.iter().for_each(|(path, value)| unless_empty(path, value.as_ref(), faults));
    let Some(container) = &app.container else { return };
    unless_empty("/container/linuxInfo", container.linux_info.as_ref(), faults);
    unless_empty("/container/portMappings", container.port_mappings.as_ref(), faults);
    let Some(docker) = &container.docker else { return };
    unless_empty("/container/docker/credential", docker.credential.as_ref(), faults);
    unless_empty("/container/docker/pullConfig", docker.pull_config.as_ref(), faults);
    unless_empty("/container/docker/portMappings", docker.port_mappings.as_ref(), faults);
}

/// Clients fill in empty lists and objects that ask for nothing.
fn unless_empty(path: &str, value: Option<&Value>, faults: &mut Faults) {
    let asks = match value {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => true,
    };
    if asks {
        let name = path.rsplit('/').next().unwrap_or(path);
        faults.add(path, format!("{name} is not supported yet"));
    }
}
