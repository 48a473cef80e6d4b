//! Resources: summed up by name, and in full.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::container::VolumeMode;
use model::id::Role;
use model::resources::{
    Amount, DiskInfo, DiskKind, DiskSource, Labels, Ranges, Reservation, ReservationKind, Resource,
    ResourceName, Resources,
};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::v1::resource::is_plain;

/// What may be taken away again is apart, as `cpus_revocable`.
///
/// `{"cpus": 4.0, "disk": 0.0, "gpus": 0.0, "mem": 128.0, "ports": "[31000-32000]"}`: the four scalars are always there.
/// By name, in order. No map, because the state of a large cluster has one of these for each task.
#[derive(Debug, Clone, PartialEq)]
pub struct Sum(Vec<(Cow<'static, str>, Shown)>);

#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Number(f64),
    Text(String),
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.0.iter().map(|(name, shown)| (name, shown)))
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Shown::Number(number) => out.serialize_f64(*number),
            Shown::Text(text) => out.serialize_str(text),
        }
    }
}

impl Shown {
    fn of(amount: &Amount) -> Self {
        match amount {
            Amount::Scalar(scalar) => Shown::Number(scalar.as_f64()),
            Amount::Ranges(ranges) => Shown::Text(ranges.to_string()),
            Amount::Set(set) => {
                let items: Vec<&str> = set.iter().map(String::as_str).collect();
                Shown::Text(format!("{{{}}}", items.join(", ")))
            }
        }
    }
}

impl Sum {
    fn set(&mut self, name: Cow<'static, str>, shown: Shown) {
        match self.0.binary_search_by(|(known, _)| known.cmp(&name)) {
            Ok(at) => self.0[at].1 = shown,
            Err(at) => self.0.insert(at, (name, shown)),
        }
    }
}

/// The names that every bag has, in order.
const ALWAYS: [(&str, ResourceName); 4] = [
    ("cpus", ResourceName::Cpus),
    ("disk", ResourceName::Disk),
    ("gpus", ResourceName::Gpus),
    ("mem", ResourceName::Mem),
];

fn name(name: &ResourceName) -> Cow<'static, str> {
    match name {
        ResourceName::Ports => "ports".into(),
        ResourceName::Cpus => "cpus".into(),
        ResourceName::Mem => "mem".into(),
        ResourceName::Disk => "disk".into(),
        ResourceName::Gpus => "gpus".into(),
        ResourceName::Other(other) => other.to_string().into(),
    }
}

pub fn sum(resources: &Resources) -> Sum {
    let mut all = Vec::with_capacity(ALWAYS.len() + 1);
    all.extend(ALWAYS.map(|(name, _)| (Cow::Borrowed(name), Shown::Number(0.0))));
    let mut sum = Sum(all);
    // Most bags are plain, and no two of their entries are one once they are unlabelled.
    if resources.iter().all(is_plain) {
        resources.iter().for_each(|one| sum.set(name(&one.name), Shown::of(&one.amount)));
        return sum;
    }
    let plain = resources.only(|one| !one.revocable).unlabelled();
    for (name, kind) in ALWAYS {
        sum.set(name.into(), Shown::Number(plain.scalar(&kind).as_f64()));
    }
    plain.iter().for_each(|one| sum.set(name(&one.name), Shown::of(&one.amount)));
    let revocable = resources.only(|one| one.revocable);
    for one in revocable.iter() {
        let amount = revocable.scalar(&one.name).as_f64();
        sum.set(format!("{}_revocable", one.name).into(), Shown::Number(amount));
    }
    sum
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
    if let Some(provider) = resource.provider() {
        spelled["provider_id"] = json!({ "value": provider.as_str() });
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
