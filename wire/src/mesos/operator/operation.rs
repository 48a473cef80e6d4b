//! Operations that are under way, or over with a status that nobody has acknowledged.

use mesos_v1::offer::Operation as Info;
use mesos_v1::offer::operation::{
    Create, CreateDisk, Destroy, DestroyDisk, GrowVolume, Reserve, ShrinkVolume, Type, Unreserve,
};
use mesos_v1::{Operation as Spelled, OperationId, Uuid, value};
use model::id::AgentId;
use model::operation::{Conversion, Operated};
use model::resources::{Resource, Resources};

use crate::mesos::v1::operation::status;
use crate::mesos::v1::resource::{SHOWN, disk_type, shown};
use crate::mesos::v1::{agent_id, framework_id};

pub(crate) fn operation(agent: &AgentId, operated: &Operated) -> Spelled {
    let id = operated.latest.operation.as_ref();
    let id = id.map(|id| OperationId { value: id.as_str().to_owned() });
    let latest = status(&operated.latest, SHOWN);
    Spelled {
        framework_id: operated.framework.as_ref().map(framework_id),
        agent_id: Some(agent_id(agent)),
        info: Info { id, ..info(&operated.conversion) },
        statuses: vec![latest.clone()],
        latest_status: latest,
        uuid: Uuid { value: operated.uuid.0.to_vec() },
    }
}

fn all(resources: &[Resource]) -> Vec<mesos_v1::Resource> {
    resources.iter().flat_map(|one| shown(&Resources::new([one.clone()]), None)).collect()
}

fn one(resource: &Resource) -> mesos_v1::Resource {
    all(std::slice::from_ref(resource)).into_iter().next().unwrap_or_default()
}

pub(crate) fn info(conversion: &Conversion) -> Info {
    let of = |kind: Type| Info { r#type: Some(kind.into()), ..Info::default() };
    match conversion {
        Conversion::Reserve { source, resources } => {
            let reserve = Reserve { source: all(source), resources: all(resources) };
            Info { reserve: Some(reserve), ..of(Type::Reserve) }
        }
        Conversion::Unreserve { resources } => {
            let unreserve = Unreserve { resources: all(resources) };
            Info { unreserve: Some(unreserve), ..of(Type::Unreserve) }
        }
        Conversion::Create { volumes } => {
            Info { create: Some(Create { volumes: all(volumes) }), ..of(Type::Create) }
        }
        Conversion::Destroy { volumes } => {
            Info { destroy: Some(Destroy { volumes: all(volumes) }), ..of(Type::Destroy) }
        }
        Conversion::GrowVolume { volume, addition } => {
            let grow = GrowVolume { volume: one(volume), addition: one(addition) };
            Info { grow_volume: Some(grow), ..of(Type::GrowVolume) }
        }
        Conversion::ShrinkVolume { volume, subtract } => {
            let subtract = value::Scalar { value: subtract.as_f64() };
            let shrink = ShrinkVolume { volume: one(volume), subtract };
            Info { shrink_volume: Some(shrink), ..of(Type::ShrinkVolume) }
        }
        Conversion::CreateDisk { source, target, profile } => {
            let create = CreateDisk {
                source: one(source),
                target_type: disk_type(*target) as i32,
                target_profile: profile.clone(),
            };
            Info { create_disk: Some(create), ..of(Type::CreateDisk) }
        }
        Conversion::DestroyDisk { source } => {
            let destroy = DestroyDisk { source: one(source) };
            Info { destroy_disk: Some(destroy), ..of(Type::DestroyDisk) }
        }
    }
}
