//! Resources: summed up by name, and in full.

use std::collections::BTreeMap;

use model::container::VolumeMode;
use model::id::Role;
use model::resources::{
    Amount, DiskInfo, DiskKind, DiskSource, Labels, Ranges, Reservation, ReservationKind, Resource,
    ResourceName, Resources,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What may be taken away again is apart, as `cpus_revocable`.
///
/// `{"cpus": 4.0, "disk": 0.0, "gpus": 0.0, "mem": 128.0, "ports": "[31000-32000]"}`: the four scalars are always there.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Sum(Map<String, Value>);

pub fn sum(resources: &Resources) -> Sum {
    let plain = resources.only(|one| !one.revocable).unlabelled();
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
    let revocable = resources.only(|one| one.revocable);
    for one in revocable.iter() {
        let amount = revocable.scalar(&one.name).as_f64();
        all.insert(format!("{}_revocable", one.name), json!(amount));
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
    let mut roles: Vec<Role> = resources.iter().filter_map(Resource::role).cloned().collect();
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
        "role": resource.role().map_or("*", Role::as_str),
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
    if !resource.reservations.is_empty() {
        spelled["reservations"] = resource.reservations.iter().map(reservation).collect();
    }
    // Tools that were written before a reservation could be refined read this one.
    if let Some(last) = resource.reservations.last()
        && last.kind == ReservationKind::Dynamic
    {
        spelled["reservation"] = pruned(json!({
            "principal": last.principal,
            "labels": labels(&last.labels),
        }));
    }
    if let Some(info) = &resource.disk {
        spelled["disk"] = disk(info);
    }
    if resource.shared {
        spelled["shared"] = json!({});
    }
    if resource.revocable {
        spelled["revocable"] = json!({});
    }
    spelled
}

fn reservation(one: &Reservation) -> Value {
    let kind = match one.kind {
        ReservationKind::Static => "STATIC",
        ReservationKind::Dynamic => "DYNAMIC",
    };
    pruned(json!({
        "type": kind,
        "role": one.role.as_str(),
        "principal": one.principal,
        "labels": labels(&one.labels),
    }))
}

fn disk(info: &DiskInfo) -> Value {
    let persistence = info.persistence.as_ref().map(|persistence| {
        pruned(json!({ "id": persistence.id, "principal": persistence.principal }))
    });
    let volume = info.volume.as_ref().map(|volume| {
        let mode = match volume.mode {
            VolumeMode::ReadOnly => "RO",
            VolumeMode::ReadWrite => "RW",
        };
        let (inside, outside) = (&volume.container_path, &volume.host_path);
        pruned(json!({ "mode": mode, "container_path": inside, "host_path": outside }))
    });
    let source = info.source.as_ref().map(source);
    pruned(json!({ "persistence": persistence, "volume": volume, "source": source }))
}

fn source(source: &DiskSource) -> Value {
    let root = source.root.as_ref().map(|root| json!({ "root": root }));
    let (kind, place) = match source.kind {
        DiskKind::Unknown => ("UNKNOWN", None),
        DiskKind::Path => ("PATH", Some("path")),
        DiskKind::Mount => ("MOUNT", Some("mount")),
        DiskKind::Block => ("BLOCK", None),
        DiskKind::Raw => ("RAW", None),
    };
    let mut spelled = pruned(json!({
        "type": kind,
        "vendor": source.vendor,
        "id": source.id,
        "metadata": labels(&source.metadata),
        "profile": source.profile,
    }));
    if let (Some(place), Some(root)) = (place, root) {
        spelled[place] = root;
    }
    spelled
}

fn labels(labels: &Labels) -> Option<Value> {
    let one =
        |(key, value): &(String, Option<String>)| pruned(json!({ "key": key, "value": value }));
    let all: Vec<Value> = labels.iter().map(one).collect();
    (!all.is_empty()).then(|| json!({ "labels": all }))
}

/// Without what is not there.
fn pruned(mut object: Value) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.retain(|_, value| !value.is_null());
    }
    object
}

pub(crate) fn ranges(ranges: &Ranges) -> Vec<Value> {
    let range = |(begin, end): &(u64, u64)| json!({ "begin": begin, "end": end });
    ranges.intervals().iter().map(range).collect()
}
