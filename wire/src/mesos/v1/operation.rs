//! Operations on accepted resources, and what becomes of them.

use mesos_v1::offer::Operation as Spelled;
use mesos_v1::offer::operation::Type;
use mesos_v1::{
    OperationId, OperationState as SpelledState, OperationStatus as SpelledStatus, Uuid,
};
use model::id::Role;
use model::operation::{Conversion, OperationState, OperationStatus};
use model::resources::{Resource, Scalar};

use super::resource::{self, Dialect};
use super::{Fault, agent_id};

/// Resources that say whom they are allocated to say so truly.
fn judge_role(told: Option<&Role>, role: Option<&Role>) -> Result<(), Fault> {
    match (told, role) {
        (None, _) => Ok(()),
        (Some(told), Some(role)) if told == role => Ok(()),
        (Some(told), Some(role)) => Err(Fault::new(format!(
            "The resources are allocated to role '{told}', but the offer is to role '{role}'"
        ))),
        (Some(told), None) => Err(Fault::new(format!(
            "The resources are allocated to role '{told}': name unallocated ones"
        ))),
    }
}

/// One that turns resources into others; `role` is that of the offers, unset for what operators want.
pub(in crate::mesos) fn conversion(
    operation: &Spelled,
    role: Option<&Role>,
) -> Result<Conversion, Fault> {
    let absent = |field: &str| Fault::new(format!("Expecting '{field}' to be present"));
    let all = |spelled: &[mesos_v1::Resource]| -> Result<Vec<Resource>, Fault> {
        let read = resource::read(spelled)?;
        judge_role(read.role.as_ref(), role)?;
        Ok(read.all)
    };
    let one = |spelled: &mesos_v1::Resource| {
        Ok(all(std::slice::from_ref(spelled))?.pop().expect("one of one"))
    };
    match operation.r#type() {
        Type::Reserve => {
            let reserve = operation.reserve.as_ref().ok_or_else(|| absent("reserve"))?;
            let (source, resources) = (all(&reserve.source)?, all(&reserve.resources)?);
            Ok(Conversion::Reserve { source, resources })
        }
        Type::Unreserve => {
            let unreserve = operation.unreserve.as_ref().ok_or_else(|| absent("unreserve"))?;
            Ok(Conversion::Unreserve { resources: all(&unreserve.resources)? })
        }
        Type::Create => {
            let create = operation.create.as_ref().ok_or_else(|| absent("create"))?;
            Ok(Conversion::Create { volumes: all(&create.volumes)? })
        }
        Type::Destroy => {
            let destroy = operation.destroy.as_ref().ok_or_else(|| absent("destroy"))?;
            Ok(Conversion::Destroy { volumes: all(&destroy.volumes)? })
        }
        Type::GrowVolume => {
            let grow = operation.grow_volume.as_ref().ok_or_else(|| absent("grow_volume"))?;
            let volume = one(&grow.volume)?;
            Ok(Conversion::GrowVolume { volume, addition: one(&grow.addition)? })
        }
        Type::ShrinkVolume => {
            let shrink = operation.shrink_volume.as_ref().ok_or_else(|| absent("shrink_volume"))?;
            let subtract = Scalar::from_f64(shrink.subtract.value);
            let subtract =
                subtract.ok_or_else(|| Fault::new("'subtract' is no sensible number"))?;
            Ok(Conversion::ShrinkVolume { volume: one(&shrink.volume)?, subtract })
        }
        Type::CreateDisk => {
            let create = operation.create_disk.as_ref().ok_or_else(|| absent("create_disk"))?;
            Ok(Conversion::CreateDisk {
                source: one(&create.source)?,
                target: resource::kind(create.target_type()),
                profile: create.target_profile.clone(),
            })
        }
        Type::DestroyDisk => {
            let destroy = operation.destroy_disk.as_ref().ok_or_else(|| absent("destroy_disk"))?;
            Ok(Conversion::DestroyDisk { source: one(&destroy.source)? })
        }
        Type::Unknown | Type::Launch | Type::LaunchGroup => {
            Err(Fault::new("the operation is of no known type"))
        }
    }
}

pub fn status(status: &OperationStatus, dialect: Dialect) -> SpelledStatus {
    let id = status.operation.as_ref();
    SpelledStatus {
        operation_id: id.map(|id| OperationId { value: id.as_str().to_owned() }),
        state: state(status.state) as i32,
        message: status.message.clone(),
        converted_resources: resource::spell(&status.converted, dialect, None),
        uuid: status.uuid.map(|uuid| Uuid { value: uuid.0.to_vec() }),
        agent_id: status.agent.as_ref().map(agent_id),
        resource_provider_id: status.provider.as_ref().map(resource::provider_id),
    }
}

pub(crate) fn read_state(state: SpelledState) -> OperationState {
    match state {
        SpelledState::OperationUnsupported => OperationState::Unsupported,
        SpelledState::OperationPending => OperationState::Pending,
        SpelledState::OperationFinished => OperationState::Finished,
        SpelledState::OperationFailed => OperationState::Failed,
        SpelledState::OperationError => OperationState::Error,
        SpelledState::OperationDropped => OperationState::Dropped,
        SpelledState::OperationUnreachable => OperationState::Unreachable,
        SpelledState::OperationGoneByOperator => OperationState::GoneByOperator,
        SpelledState::OperationRecovering => OperationState::Recovering,
        SpelledState::OperationUnknown => OperationState::Unknown,
    }
}

fn state(state: OperationState) -> SpelledState {
    match state {
        OperationState::Unsupported => SpelledState::OperationUnsupported,
        OperationState::Pending => SpelledState::OperationPending,
        OperationState::Finished => SpelledState::OperationFinished,
        OperationState::Failed => SpelledState::OperationFailed,
        OperationState::Error => SpelledState::OperationError,
        OperationState::Dropped => SpelledState::OperationDropped,
        OperationState::Unreachable => SpelledState::OperationUnreachable,
        OperationState::GoneByOperator => SpelledState::OperationGoneByOperator,
        OperationState::Recovering => SpelledState::OperationRecovering,
        OperationState::Unknown => SpelledState::OperationUnknown,
    }
}
