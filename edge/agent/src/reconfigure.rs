//! What an agent may be after a restart while it stays who it is: what its master counts with must still be there.

use std::collections::BTreeMap;

use anyhow::bail;
use model::agent::AgentInfo;
use model::attributes::AttributeValue;
use model::resources::{Resource, Resources};
use node::Own;

/// Which changes are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconfiguration {
    /// All of them: the operator knows what that means for tasks and volumes.
    Any,
    /// Resources and attributes may be added to; a fault domain may be given where there was none.
    Additive,
    /// The same, but for resources: nobody has given them, so they are what the machine has.
    AdditiveDetected,
    /// None at all.
    Equal,
}

/// Refuses to be another under the same id.
pub(crate) fn judge(
    before: &Own,
    after: &AgentInfo,
    policy: Reconfiguration,
) -> anyhow::Result<()> {
    let Some(agent) = &before.agent else { return Ok(()) };
    let Some(fault) = fault(&before.info, after, policy) else { return Ok(()) };
    bail!(
        "this is agent {agent}, and {fault}. Undo that; or let it be with 'reconfiguration_policy: any'; or remove {} \
         for a new agent, without the tasks and volumes of this one",
        after.work_dir
    )
}

fn fault(before: &AgentInfo, after: &AgentInfo, policy: Reconfiguration) -> Option<String> {
    match policy {
        Reconfiguration::Any => None,
        Reconfiguration::Equal => equal(before, after),
        Reconfiguration::Additive => {
            lost_resources(&before.resources, &after.resources).or_else(|| additive(before, after))
        }
        Reconfiguration::AdditiveDetected => additive(before, after),
    }
}

fn equal(before: &AgentInfo, after: &AgentInfo) -> Option<String> {
    if before.resources != after.resources {
        return Some(changed("resources", &before.resources, &after.resources));
    }
    if before.attributes != after.attributes {
        return Some("its attributes have changed".to_owned());
    }
    (before.domain != after.domain)
        .then(|| "its region or zone has changed".to_owned())
        .or_else(|| other_name(before, after))
}

fn additive(before: &AgentInfo, after: &AgentInfo) -> Option<String> {
    other_name(before, after).or_else(|| lost_attributes(before, after)).or_else(|| {
        let is_other = before.domain.is_some() && before.domain != after.domain;
        is_other.then(|| "its region or zone has changed".to_owned())
    })
}

fn changed(what: &str, before: &dyn std::fmt::Display, after: &dyn std::fmt::Display) -> String {
    format!("its {what} were {before} and are {after} now")
}

fn other_name(before: &AgentInfo, after: &AgentInfo) -> Option<String> {
    let (old, new) = (&before.hostname, &after.hostname);
    (old != new).then(|| format!("its hostname was {old:?} and is {new:?} now"))
}

/// What is there once may be more by now; what is used whole is there or not.
fn lost_resources(before: &Resources, after: &Resources) -> Option<String> {
    let is_there = |one: &&Resource| !after.contains(&Resources::new([Resource::clone(one)]));
    let lost = before.iter().find(is_there)?;
    let lost = Resources::new([lost.clone()]);
    Some(format!("it had {lost}, which is not in {after} any more"))
}

fn lost_attributes(before: &AgentInfo, after: &AgentInfo) -> Option<String> {
    let now: BTreeMap<&str, &AttributeValue> =
        after.attributes.iter().map(|one| (one.name.as_str(), &one.value)).collect();
    before.attributes.iter().find_map(|one| {
        let name = &one.name;
        match now.get(name.as_str()) {
            None => Some(format!("it has no attribute {name:?} any more")),
            Some(value) if !has_grown(&one.value, value) => {
                Some(format!("its attribute {name:?} was {} and is {value} now", one.value))
            }
            Some(_) => None,
        }
    })
}

fn has_grown(before: &AttributeValue, after: &AttributeValue) -> bool {
    match (before, after) {
        (AttributeValue::Ranges(before), AttributeValue::Ranges(after)) => after.contains(before),
        (AttributeValue::Set(before), AttributeValue::Set(after)) => before.is_subset(after),
        (
            AttributeValue::Text(_)
            | AttributeValue::Scalar(_)
            | AttributeValue::Ranges(_)
            | AttributeValue::Set(_),
            _,
        ) => before == after,
    }
}

#[cfg(test)]
mod tests {
    use model::attributes::{FaultDomain, parse};

    use super::*;

    fn agent(resources: &str, attributes: &str, zone: Option<&str>) -> AgentInfo {
        let zone = zone.map(str::to_owned);
        AgentInfo {
            hostname: "host".to_owned(),
            ip: "127.0.0.1".to_owned(),
            port: 5051,
            resources: resources.parse().expect("resources"),
            attributes: parse(attributes).expect("attributes"),
            domain: zone.map(|zone| FaultDomain { region: "eu".to_owned(), zone }),
            version: "0.1.0".to_owned(),
            work_dir: "/var/lib/dcos".to_owned(),
        }
    }

    #[test]
    fn an_agent_may_grow_and_not_shrink() {
        let before = agent("cpus:2;mem:64;ports:[1-9]", "rack:a;sizes:[1-4]", None);
        let check = |resources: &str, attributes: &str, zone: Option<&str>, fault: &str| {
            let found = super::fault(
                &before,
                &agent(resources, attributes, zone),
                Reconfiguration::Additive,
            );
            let found = found.unwrap_or_default();
            assert!(found.contains(fault) && found.is_empty() == fault.is_empty(), "{found}");
        };
        let (resources, attributes) = ("cpus:2;mem:64;ports:[1-9]", "rack:a;sizes:[1-4]");
        check(resources, attributes, None, "");
        check("cpus:3;mem:65;ports:[1-12];gpus:1", attributes, Some("a"), "");
        check(resources, "rack:a;sizes:[1-8];ssd:true", None, "");
        check("cpus:1.999;mem:64;ports:[1-9]", attributes, None, "it had cpus:2");
        check("cpus:2;mem:64;ports:[2-12]", attributes, None, "it had ports:[1-9]");
        check("cpus(db):2;mem:64;ports:[1-9]", attributes, None, "it had cpus:2");
        check(resources, "rack:a", None, "no attribute \"sizes\" any more");
        check(resources, "rack:b;sizes:[1-4]", None, "was a and is b now");
        check(resources, "rack:a;sizes:[2-4]", None, "attribute \"sizes\" was");
    }

    #[test]
    fn its_place_and_its_name_stay() {
        let before = agent("cpus:1", "", Some("a"));
        for after in [
            agent("cpus:1", "", Some("b")),
            agent("cpus:1", "", None),
            AgentInfo { hostname: "other".to_owned(), ..before.clone() },
        ] {
            for policy in [Reconfiguration::Additive, Reconfiguration::Equal] {
                assert!(fault(&before, &after, policy).is_some(), "{after:?}");
            }
        }
        let more = agent("cpus:2", "", Some("a"));
        assert_eq!(fault(&more, &before, Reconfiguration::AdditiveDetected), None);
        assert_eq!(fault(&more, &agent("mem:1", "a:b", None), Reconfiguration::Any), None);
        assert!(fault(&before, &more, Reconfiguration::Equal).is_some());
        assert_eq!(fault(&before, &before, Reconfiguration::Equal), None);
    }
}
