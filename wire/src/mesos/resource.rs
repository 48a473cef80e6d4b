//! Resources: summed up by name, and in full.

use std::collections::BTreeMap;

use model::id::Role;
use model::resources::{Amount, Ranges, Resource, ResourceName, Resources};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// `{"cpus": 4.0, "disk": 0.0, "gpus": 0.0, "mem": 128.0, "ports": "[31000-32000]"}`: the four scalars are always there.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Sum(Map<String, Value>);

pub fn sum(resources: &Resources) -> Sum {
    let plain = resources.unlabelled();
    let mut all = Map::new();
    for name in [ResourceName::Cpus, ResourceName::Disk, ResourceName::Gpus, ResourceName::Mem] {
        all.insert(name.to_string(), json!(plain.scalar(&name).as_f64()));
    }
    for one in plain.iter() {
        let amount = match &one.amount {
            Amount::Scalar(scalar) => json!(scalar.as_f64()),
            Amount::Ranges(ranges) => json!(ranges.to_string()),
            Amount::Set(set) => {
                json!(format!("{{{}}}", set.iter().cloned().collect::<Vec<_>>().join(", ")))
            }
        };
        all.insert(one.name.to_string(), amount);
    }
    Sum(all)
}

/// What is set aside, by role.
pub fn reserved(resources: &Resources) -> BTreeMap<String, Sum> {
    roles(resources)
        .into_iter()
        .map(|role| (role.to_string(), sum(&resources.reserved_for(&role))))
        .collect()
}

/// The same in full.
pub fn reserved_full(resources: &Resources) -> BTreeMap<String, Vec<Value>> {
    roles(resources)
        .into_iter()
        .map(|role| (role.to_string(), full(&resources.reserved_for(&role))))
        .collect()
}

fn roles(resources: &Resources) -> Vec<Role> {
    let mut roles: Vec<Role> = resources.iter().filter_map(|one| one.reserved.clone()).collect();
    roles.sort();
    roles.dedup();
    roles
}

/// As the protobuf message `Resource` is spelled.
pub fn full(resources: &Resources) -> Vec<Value> {
    resources.iter().map(one).collect()
}

fn one(resource: &Resource) -> Value {
    let mut spelled = json!({
        "name": resource.name.as_str(),
        "role": resource.reserved.as_ref().map_or("*", Role::as_str),
    });
    match &resource.amount {
        Amount::Scalar(scalar) => {
            spelled["type"] = json!("SCALAR");
            spelled["scalar"] = json!({ "value": scalar.as_f64() });
        }
        Amount::Ranges(intervals) => {
            spelled["type"] = json!("RANGES");
            spelled["ranges"] = json!({ "range": ranges(intervals) });
        }
        Amount::Set(set) => {
            spelled["type"] = json!("SET");
            spelled["set"] = json!({ "item": set });
        }
    }
    if let Some(role) = &resource.reserved {
        spelled["reservations"] = json!([{ "type": "STATIC", "role": role.as_str() }]);
    }
    spelled
}

pub(super) fn ranges(ranges: &Ranges) -> Vec<Value> {
    let range = |(begin, end): &(u64, u64)| json!({ "begin": begin, "end": end });
    ranges.intervals().iter().map(range).collect()
}
