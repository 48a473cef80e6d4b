//! Executors as GET_EXECUTORS tells of them.

use mesos_v1::codec::Encoding;
use mesos_v1::executor_info::Type;
use mesos_v1::master::response::get_executors::Executor as Spelled;
use mesos_v1::{ExecutorId, ExecutorInfo};
use model::id::{FrameworkId, Role};
use model::task::ExecutorInfo as Info;

use super::labels;
use crate::mesos::sums::Executor;
use crate::mesos::v1::resource::shown;
use crate::mesos::v1::{agent_id, framework_id};

pub(super) fn executor(executor: &Executor<'_>) -> Spelled {
    let Executor { framework, info, role, .. } = executor;
    Spelled { executor_info: spelled(framework, info, role), agent_id: agent_id(executor.agent) }
}

pub(crate) fn spelled(framework: &FrameworkId, info: &Info, role: &Role) -> ExecutorInfo {
    let kind = if info.program.is_some() { Type::Custom } else { Type::Default };
    ExecutorInfo {
        r#type: Some(kind.into()),
        executor_id: ExecutorId { value: info.id.as_str().to_owned() },
        framework_id: Some(framework_id(framework)),
        resources: shown(&info.resources, Some(role)),
        labels: labels(&info.labels),
        ..described(info)
    }
}

/// What its framework said of it is told word for word, but for the values of secrets.
pub(crate) fn described(info: &Info) -> ExecutorInfo {
    let given = info.described();
    let given = given.and_then(|given| Encoding::Protobuf.decode::<ExecutorInfo>(&given.0).ok());
    let mut given = given.unwrap_or_default();
    let variables = given.command.iter_mut().filter_map(|command| command.environment.as_mut());
    let variables = variables.flat_map(|all| &mut all.variables).map(|one| &mut one.secret);
    let container = given.container.as_mut();
    let (image, volumes) = match container {
        None => (None, &mut [][..]),
        Some(container) => {
            let own = container.mesos.as_mut().and_then(|mesos| mesos.image.as_mut());
            (own, &mut container.volumes[..])
        }
    };
    let (mut sources, mut images) = (Vec::new(), Vec::from_iter(image));
    for volume in volumes {
        sources.extend(volume.source.as_mut().map(|source| &mut source.secret));
        images.extend(volume.image.as_mut());
    }
    let logins = images.into_iter().filter_map(|image| image.docker.as_mut());
    let logins = logins.map(|docker| &mut docker.config);
    for secret in variables.chain(sources).chain(logins).flatten() {
        secret.value = None;
    }
    given
}

/// As its framework says it; older programs know an executor by it.
#[expect(deprecated, reason = "who wrote for older versions of Mesos still sets it")]
pub(crate) fn source(info: &Info) -> String {
    described(info).source.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::container::CommandInfo;
    use model::executor::{Given, Program};
    use model::resources::Resources;
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_of_an_executor_are_not_shown() {
        let secret = json!({ "type": "VALUE", "value": { "data": "aGlkZGVu" } });
        let image = json!({ "type": "DOCKER", "docker": { "name": "a", "config": secret } });
        let variable = json!({ "name": "PW", "type": "SECRET", "secret": secret });
        let source = json!({ "type": "SECRET", "secret": secret });
        let spelled = json!({
            "executor_id": { "value": "e" },
            "command": { "value": "true", "environment": { "variables": [variable] } },
            "container": { "type": "MESOS", "mesos": { "image": image }, "volumes": [
                { "container_path": "a", "mode": "RO", "source": source },
                { "container_path": "b", "mode": "RO", "image": image },
            ] },
        });
        let spelled: ExecutorInfo = mesos_v1::json::from_value(spelled).expect("well-formed");
        let given = Given(Encoding::Protobuf.encode(&spelled).into());
        assert!(given.0.windows(6).any(|window| window == b"hidden"));
        let command = CommandInfo::shell("true");
        let program = Program { command, container: None, shutdown_grace: None, given };
        let id = model::id::ExecutorId::new("e");
        let plain = Info::plain(id, Resources::default());
        let told = described(&Info { program: Some(Arc::new(program)), ..plain });
        let bytes = Encoding::Protobuf.encode(&told);
        assert!(!bytes.windows(6).any(|window| window == b"hidden"), "{told:?}");
        let variables = told.command.and_then(|one| one.environment).expect("told").variables;
        assert!(variables[0].secret.is_some(), "that there is one is no secret");
    }
}
