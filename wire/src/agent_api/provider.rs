//! The API of resource providers: what they say, what they are told. As Mesos v1 has it.

use mesos_v1::codec::{Encoding, Unreadable};
use mesos_v1::resource_provider::call::update_publish_resources_status::Status as PublishStatus;
use mesos_v1::resource_provider::call::{Subscribe, Type, UpdateState};
use mesos_v1::resource_provider::event::{
    AcknowledgeOperationStatus, ApplyOperation, PublishResources, ReconcileOperations, Subscribed,
    Type as EventType,
};
use mesos_v1::resource_provider::{Call, Event};
use mesos_v1::{Operation, OperationId, OperationStatus as SpelledStatus, ResourceProviderId};
use model::executor::Given;
use model::id::{ProviderId, Uuid};
use model::operation::OperationStatus;
use model::provider::ProviderInfo;
use model::resources::{Resource, Resources};
use node::{Apply, Brings, FromProvider, ToProvider};

use crate::mesos::operator::operation;
use crate::mesos::v1::framework_id;
use crate::mesos::v1::operation::read_state;
use crate::mesos::v1::resource::{provider_id, read, shown};

/// What a provider says, and who it is; a new one is nobody yet.
#[derive(Debug)]
pub struct Heard {
    pub provider: Option<ProviderId>,
    pub said: FromProvider,
}

/// Why a call is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Failed to validate resource_provider::Call: {0}")]
pub struct Fault(String);

impl From<Unreadable> for Fault {
    fn from(cause: Unreadable) -> Self {
        Self(cause.to_string())
    }
}

fn absent(field: &str) -> Fault {
    Fault(format!("Expecting '{field}' to be present"))
}

pub fn heard(encoding: Encoding, body: &[u8]) -> Result<Heard, Fault> {
    let call: Call = encoding.decode(body)?;
    if call.r#type.is_none() {
        return Err(absent("type"));
    }
    let own = call.resource_provider_id.as_ref();
    let own = own.map(|id| ProviderId::new(id.value.as_str()));
    match call.r#type() {
        Type::Unknown => Err(Fault("Unknown call type".to_owned())),
        Type::Subscribe => subscribe(call.subscribe.ok_or_else(|| absent("subscribe"))?),
        Type::UpdateState => {
            let id = own.ok_or_else(|| absent("resource_provider_id"))?;
            let update = call.update_state.ok_or_else(|| absent("update_state"))?;
            let said = FromProvider::State(brings(&id, &update)?);
            Ok(Heard { provider: Some(id), said })
        }
        Type::UpdateOperationStatus => {
            let id = own.ok_or_else(|| absent("resource_provider_id"))?;
            let update =
                call.update_operation_status.ok_or_else(|| absent("update_operation_status"))?;
            let whose = update.status.resource_provider_id.as_ref();
            if whose.is_none_or(|whose| whose.value != id.as_str()) {
                let field = "update_operation_status";
                return Err(Fault(format!("Inconsistent resource provider ID in '{field}'")));
            }
            let operation = uuid(&update.operation_uuid.value)?;
            let status = status(&id, &update.status)?;
            let said = FromProvider::Operated { operation, status };
            Ok(Heard { provider: Some(id), said })
        }
        Type::UpdatePublishResourcesStatus => {
            let id = own.ok_or_else(|| absent("resource_provider_id"))?;
            let field = "update_publish_resources_status";
            let update = call.update_publish_resources_status.ok_or_else(|| absent(field))?;
            let publish = uuid(&update.uuid.value)?;
            let done = match update.status() {
                PublishStatus::Ok => Ok(()),
                other @ (PublishStatus::Failed | PublishStatus::Unknown) => {
                    Err(format!("Received {} status", other.as_str_name()))
                }
            };
            Ok(Heard { provider: Some(id), said: FromProvider::Published { publish, done } })
        }
    }
}

fn subscribe(subscribe: Subscribe) -> Result<Heard, Fault> {
    let info = subscribe.resource_provider_info;
    let id = info.id.as_ref().map(|id| ProviderId::new(id.value.as_str()));
    for (field, value) in [("type", &info.r#type), ("name", &info.name)] {
        if value.is_empty() {
            return Err(Fault(format!("'resource_provider_info.{field}' is empty")));
        }
    }
    let given = Given(Encoding::Protobuf.encode(&info).into());
    let info = ProviderInfo { kind: info.r#type, name: info.name, given };
    Ok(Heard { provider: id.clone(), said: FromProvider::Subscribe { id, info } })
}

fn brings(id: &ProviderId, update: &UpdateState) -> Result<Brings, Fault> {
    let total = owned(id, &update.resources, "update_state")?;
    let version = uuid(&update.resource_version_uuid.value)?;
    let told = |one: &Operation| Ok((uuid(&one.uuid.value)?, status(id, &one.latest_status)?));
    let operations = update.operations.iter().map(told).collect::<Result<_, Fault>>()?;
    Ok(Brings { total, version, operations })
}

/// Of this provider, all of them.
fn owned(id: &ProviderId, spelled: &[mesos_v1::Resource], field: &str) -> Result<Resources, Fault> {
    let bare: Vec<mesos_v1::Resource> = spelled
        .iter()
        .map(|one| mesos_v1::Resource { allocation_info: None, ..one.clone() })
        .collect();
    let all = read(&bare).map_err(|fault| Fault(format!("'{field}.resources': {fault}")))?.all;
    if all.iter().any(|one: &Resource| one.provider() != Some(id)) {
        return Err(Fault(format!("Inconsistent resource provider ID in '{field}'")));
    }
    Ok(Resources::new(all))
}

fn status(id: &ProviderId, spelled: &SpelledStatus) -> Result<OperationStatus, Fault> {
    let message = spelled.message.as_deref().unwrap_or_default();
    let status = OperationStatus::new(None, read_state(spelled.state()), message);
    let converted = owned(id, &spelled.converted_resources, "status.converted_resources")?;
    let uuid = spelled.uuid.as_ref().map(|named| uuid(&named.value)).transpose()?;
    Ok(OperationStatus { converted, uuid, ..status })
}

fn uuid(bytes: &[u8]) -> Result<Uuid, Fault> {
    let bytes = bytes.try_into();
    bytes.map(Uuid).map_err(|_| Fault("Not a valid UUID: it has 16 bytes".to_owned()))
}

fn spelled(uuid: Uuid) -> mesos_v1::Uuid {
    mesos_v1::Uuid { value: uuid.0.to_vec() }
}

/// What a provider is told; nothing that ends the stream without a word.
pub fn event(said: &ToProvider) -> Option<Event> {
    let of = |kind: EventType| Event { r#type: Some(kind as i32), ..Event::default() };
    Some(match said {
        ToProvider::Subscribed { provider } => {
            let subscribed = Some(Subscribed { provider_id: provider_id(provider) });
            Event { subscribed, ..of(EventType::Subscribed) }
        }
        ToProvider::Apply(apply) => {
            let apply_operation = Some(applied(apply));
            Event { apply_operation, ..of(EventType::ApplyOperation) }
        }
        ToProvider::Publish { publish, resources } => {
            let resources = shown(resources, None);
            let publish_resources = Some(PublishResources { uuid: spelled(*publish), resources });
            Event { publish_resources, ..of(EventType::PublishResources) }
        }
        ToProvider::Acknowledge { operation, status } => {
            let (status_uuid, operation_uuid) = (spelled(*status), spelled(*operation));
            let told = AcknowledgeOperationStatus { status_uuid, operation_uuid };
            let acknowledge_operation_status = Some(told);
            let event = of(EventType::AcknowledgeOperationStatus);
            Event { acknowledge_operation_status, ..event }
        }
        ToProvider::Reconcile { operations } => {
            let operation_uuids = operations.iter().map(|one| spelled(*one)).collect();
            let reconcile_operations = Some(ReconcileOperations { operation_uuids });
            Event { reconcile_operations, ..of(EventType::ReconcileOperations) }
        }
        ToProvider::Teardown => of(EventType::Teardown),
        ToProvider::HangUp => return None,
    })
}

fn applied(apply: &Apply) -> ApplyOperation {
    let id = apply.id.as_ref().map(|id| OperationId { value: id.as_str().to_owned() });
    ApplyOperation {
        framework_id: apply.framework.as_ref().map(framework_id),
        info: mesos_v1::offer::Operation { id, ..operation::info(&apply.conversion) },
        operation_uuid: spelled(apply.operation),
        resource_version_uuid: spelled(apply.version),
    }
}

/// As it was said, with the id that it was given.
pub fn info(id: &ProviderId, info: &ProviderInfo) -> mesos_v1::ResourceProviderInfo {
    let said = Encoding::Protobuf.decode(&info.given.0);
    let said: mesos_v1::ResourceProviderInfo = said.unwrap_or_else(|_| {
        let (r#type, name) = (info.kind.clone(), info.name.clone());
        mesos_v1::ResourceProviderInfo { r#type, name, ..Default::default() }
    });
    let id = Some(ResourceProviderId { value: id.as_str().to_owned() });
    mesos_v1::ResourceProviderInfo { id, ..said }
}
