//! What is wrong with a call that starts, ends or reads from containers, before anything is done: Mesos' own checks.
//! What a container is to be is judged where it is read.

use mesos_v1::agent::Call;
use mesos_v1::agent::call::attach_container_input::Type as InputType;
use mesos_v1::agent::call::{AttachContainerInput, LaunchContainer, Type};
use mesos_v1::{ContainerId, ContainerInfo, Resource};

use super::absent;
use crate::guests::{Lineage, Refusal};

type Judgement = Result<(), Refusal>;

/// The fields that calls say themselves: without them there is nothing to judge, which is told where they are read.
#[expect(deprecated, reason = "clients of the first versions of Mesos v1 still say it so")]
#[expect(clippy::wildcard_enum_match_arm, reason = "the others name no container")]
pub(super) fn call(call: &Call) -> Judgement {
    let kind = call.r#type();
    let field = kind.as_str_name().to_ascii_lowercase();
    let nested = |id: Option<&ContainerId>| id.map_or(Ok(()), |id| nested(&field, id));
    let any = |id: Option<&ContainerId>| id.map_or(Ok(()), |id| named(&field, id));
    match kind {
        Type::LaunchNestedContainer => {
            let launch = call.launch_nested_container.as_ref();
            nested(launch.map(|launch| &launch.container_id))?;
            launch.map_or(Ok(()), |launch| {
                depth(&field, &launch.container_id, launch.container.as_ref())
            })
        }
        Type::WaitNestedContainer => {
            nested(call.wait_nested_container.as_ref().map(|one| &one.container_id))
        }
        Type::KillNestedContainer => {
            nested(call.kill_nested_container.as_ref().map(|one| &one.container_id))
        }
        Type::RemoveNestedContainer => {
            nested(call.remove_nested_container.as_ref().map(|one| &one.container_id))
        }
        Type::LaunchNestedContainerSession => {
            let launch = call.launch_nested_container_session.as_ref();
            nested(launch.map(|launch| &launch.container_id))?;
            session(launch.and_then(|launch| launch.container.as_ref()))
        }
        Type::AttachContainerOutput => {
            any(call.attach_container_output.as_ref().map(|one| &one.container_id))
        }
        Type::AttachContainerInput => {
            call.attach_container_input.as_ref().map_or(Ok(()), attach_input)
        }
        Type::LaunchContainer => {
            let launch = call.launch_container.as_ref();
            any(launch.map(|launch| &launch.container_id))?;
            launch.map_or(Ok(()), container)
        }
        Type::WaitContainer => any(call.wait_container.as_ref().map(|one| &one.container_id)),
        Type::KillContainer => any(call.kill_container.as_ref().map(|one| &one.container_id)),
        Type::RemoveContainer => any(call.remove_container.as_ref().map(|one| &one.container_id)),
        _ => Ok(()),
    }
}

fn bad(cause: impl Into<String>) -> Judgement {
    Err(Refusal::Bad(cause.into()))
}

/// Whatever it lies in, each name can be one.
fn named(field: &str, id: &ContainerId) -> Judgement {
    Lineage::read(id)
        .map(drop)
        .map_err(|cause| Refusal::Bad(format!("'{field}.container_id' is invalid: {cause}")))
}

fn nested(field: &str, id: &ContainerId) -> Judgement {
    named(field, id)?;
    match id.parent {
        Some(_) => Ok(()),
        None => bad(absent(&format!("{field}.container_id.parent"))),
    }
}

/// How many containers it lies in.
fn levels(id: &ContainerId) -> usize {
    std::iter::successors(id.parent.as_deref(), |one| one.parent.as_deref()).count()
}

/// What is said of control groups, if anything.
fn shares_cgroups(around: Option<&ContainerInfo>) -> Option<bool> {
    around?.linux_info.as_ref()?.share_cgroups
}

fn depth(field: &str, id: &ContainerId, around: Option<&ContainerInfo>) -> Judgement {
    match (levels(id), shares_cgroups(around)) {
        (2.., Some(false)) => bad(format!(
            "'{field}' is invalid: containers nested at the second level or greater cannot set 'share_cgroups' to \
             'false'"
        )),
        _ => Ok(()),
    }
}

fn session(around: Option<&ContainerInfo>) -> Judgement {
    match shares_cgroups(around) {
        Some(false) => bad(
            "'launch_nested_container_session.container.linux_info' is invalid: 'share_cgroups' cannot be set to \
             'false' for nested container sessions",
        ),
        Some(true) | None => Ok(()),
    }
}

fn attach_input(asked: &AttachContainerInput) -> Judgement {
    match asked.r#type() {
        InputType::Unknown if asked.r#type.is_none() => bad(absent("attach_container_input.type")),
        InputType::Unknown => bad("'attach_container_input.type' is unknown"),
        InputType::ContainerId => match &asked.container_id {
            Some(id) => named("attach_container_input", id),
            None => bad(absent("attach_container_input.container_id")),
        },
        InputType::ProcessIo => Ok(()),
    }
}

fn container(launch: &LaunchContainer) -> Judgement {
    let (levels, shares) =
        (levels(&launch.container_id), shares_cgroups(launch.container.as_ref()));
    if levels == 0 {
        launch.resources.iter().try_for_each(alone)?;
    }
    let deep =
        "'launch_container' is invalid: containers nested at the second level or greater cannot";
    let uses = |what: &str| bad(format!("{deep} specify {what}"));
    match (levels, shares) {
        (2.., _) if !launch.resources.is_empty() => uses("resources"),
        (2.., _) if !launch.limits.is_empty() => uses("resource limits"),
        (1, None | Some(true)) if !launch.resources.is_empty() || !launch.limits.is_empty() => bad(
            "'launch_container' is invalid: resources and limits of a container with a parent need 'share_cgroups' \
             set to 'false': else it uses what its parent has",
        ),
        (0, Some(true)) => bad(
            "'launch_container' is invalid: containers without a parent cannot set 'share_cgroups' to 'true'",
        ),
        _ => depth("launch_container", &launch.container_id, launch.container.as_ref()),
    }
}

/// Nobody counts what a container on its own uses, so it is nobody's.
fn alone(one: &Resource) -> Judgement {
    let is_reserved = !one.reservations.is_empty()
        || one.reservation.is_some()
        || !matches!(one.role(), "" | "*");
    if is_reserved {
        return bad("'launch_container.resources' must be unreserved");
    }
    if one.disk.as_ref().is_some_and(|disk| disk.persistence.is_some()) {
        return bad("'launch_container.resources' may not use persistent volumes");
    }
    if one.revocable.is_some() {
        return bad("'launch_container.resources' must be non-revocable");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mesos_v1::codec::Encoding;
    use serde_json::{Value, json};

    use super::*;

    /// The field of the call's own name holds `asked`.
    fn judged(kind: &str, asked: &Value) -> Result<(), String> {
        let spelled = json!({ "type": kind, kind.to_ascii_lowercase(): asked });
        let read: Call = Encoding::Json.decode(spelled.to_string().as_bytes()).expect("a call");
        call(&read).map_err(|refusal| refusal.to_string())
    }

    fn check(kind: &str, asked: &Value, cause: &str) {
        let found = judged(kind, asked).expect_err(&asked.to_string());
        assert!(found.contains(cause), "{kind} {asked}: {found}");
    }

    fn id(names: &[&str]) -> Value {
        let one = |outer: Option<Value>, name: &&str| match outer {
            None => Some(json!({ "value": name })),
            Some(outer) => Some(json!({ "value": name, "parent": outer })),
        };
        names.iter().fold(None, one).expect("a name")
    }

    const OF_ANY: [&str; 5] = [
        "ATTACH_CONTAINER_OUTPUT",
        "LAUNCH_CONTAINER",
        "WAIT_CONTAINER",
        "KILL_CONTAINER",
        "REMOVE_CONTAINER",
    ];
    const OF_NESTED: [&str; 5] = [
        "LAUNCH_NESTED_CONTAINER",
        "LAUNCH_NESTED_CONTAINER_SESSION",
        "WAIT_NESTED_CONTAINER",
        "KILL_NESTED_CONTAINER",
        "REMOVE_NESTED_CONTAINER",
    ];

    #[test]
    fn every_name_of_a_container_is_judged() {
        for kind in OF_ANY.into_iter().chain(OF_NESTED) {
            let field = format!("'{}.container_id' is invalid", kind.to_ascii_lowercase());
            for bad in ["", ".", "..", "a/b", "a\\b", "a.b", "a b", "a\tb", &"x".repeat(243)] {
                check(kind, &json!({ "container_id": id(&["a", bad]) }), &field);
                check(kind, &json!({ "container_id": id(&[bad, "a"]) }), &field);
            }
            assert_eq!(judged(kind, &json!({ "container_id": id(&["a-1", "b_2"]) })), Ok(()));
        }
        let input = |id: Value| json!({ "type": "CONTAINER_ID", "container_id": id });
        let field = "'attach_container_input.container_id' is invalid";
        check("ATTACH_CONTAINER_INPUT", &input(id(&["a b"])), field);
    }

    #[test]
    fn what_is_nested_has_a_parent() {
        for kind in OF_NESTED {
            let field = format!("{}.container_id.parent", kind.to_ascii_lowercase());
            check(kind, &json!({ "container_id": id(&["a"]) }), &field);
        }
        for kind in OF_ANY {
            assert_eq!(judged(kind, &json!({ "container_id": id(&["a"]) })), Ok(()));
        }
    }

    #[test]
    fn input_says_what_it_is() {
        let kind = "ATTACH_CONTAINER_INPUT";
        check(kind, &json!({}), "Expecting 'attach_container_input.type'");
        check(kind, &json!({ "type": "UNKNOWN" }), "'attach_container_input.type' is unknown");
        check(kind, &json!({ "type": "CONTAINER_ID" }), "attach_container_input.container_id");
        assert_eq!(judged(kind, &json!({ "type": "PROCESS_IO" })), Ok(()));
    }

    #[test]
    fn only_what_lies_in_a_container_of_a_task_may_have_control_groups_of_its_own() {
        let around =
            |shares: bool| json!({ "type": "MESOS", "linux_info": { "share_cgroups": shares } });
        let asked = |names: &[&str], shares: bool| json!({ "container_id": id(names), "container": around(shares) });
        for kind in ["LAUNCH_CONTAINER", "LAUNCH_NESTED_CONTAINER"] {
            let cause = "second level or greater cannot set 'share_cgroups' to 'false'";
            check(kind, &asked(&["a", "b", "c"], false), cause);
            assert_eq!(judged(kind, &asked(&["a", "b", "c"], true)), Ok(()));
            assert_eq!(judged(kind, &asked(&["a", "b"], false)), Ok(()));
        }
        let cause = "cannot be set to 'false' for nested container sessions";
        check("LAUNCH_NESTED_CONTAINER_SESSION", &asked(&["a", "b"], false), cause);
        let cause = "without a parent cannot set 'share_cgroups' to 'true'";
        check("LAUNCH_CONTAINER", &asked(&["a"], true), cause);
        assert_eq!(judged("LAUNCH_CONTAINER", &asked(&["a"], false)), Ok(()));
    }

    #[test]
    fn resources_are_for_those_whom_nobody_else_limits() {
        let cpus = json!({ "name": "cpus", "type": "SCALAR", "scalar": { "value": 1.0 } });
        let with = |names: &[&str], field: &str, value: Value| {
            let apart = json!({ "type": "MESOS", "linux_info": { "share_cgroups": false } });
            let mut asked = json!({ "container_id": id(names), field: value });
            if names.len() == 2 {
                asked["container"] = apart;
            }
            asked
        };
        let kind = "LAUNCH_CONTAINER";
        let limits = json!({ "cpus": { "value": 2.0 } });
        check(
            kind,
            &with(&["a", "b", "c"], "resources", json!([cpus])),
            "cannot specify resources",
        );
        let cause = "cannot specify resource limits";
        check(kind, &with(&["a", "b", "c"], "limits", limits.clone()), cause);
        for (field, value) in [("resources", json!([cpus])), ("limits", limits)] {
            let mut shared = with(&["a", "b"], field, value.clone());
            assert_eq!(judged(kind, &shared), Ok(()), "{shared}");
            shared["container"] = json!({ "type": "MESOS" });
            check(kind, &shared, "need 'share_cgroups' set to 'false'");
            assert_eq!(judged(kind, &with(&["a"], field, value)), Ok(()));
        }
        let but = |field: &str, value: Value| {
            let mut changed = cpus.clone();
            changed[field] = value;
            with(&["a"], "resources", json!([changed]))
        };
        check(kind, &but("role", json!("prod")), "must be unreserved");
        let reserved = json!([{ "type": "DYNAMIC", "role": "prod" }]);
        check(kind, &but("reservations", reserved), "must be unreserved");
        check(kind, &but("reservation", json!({ "principal": "ops" })), "must be unreserved");
        let volume = json!({ "persistence": { "id": "v" } });
        check(kind, &but("disk", volume), "may not use persistent volumes");
        check(kind, &but("revocable", json!({})), "must be non-revocable");
    }
}
