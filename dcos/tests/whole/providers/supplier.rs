//! A resource provider as somebody else would write one: it brings an agent one disk, and makes a file system of it or takes
//! that away. What it has outlives its process.

use std::sync::{Arc, Mutex};

use mesos_v1::codec::Encoding;
use mesos_v1::recordio::Reader;
use mesos_v1::resource::disk_info::Source;
use mesos_v1::resource::disk_info::source::{Mount, Type as SourceType};
use mesos_v1::resource_provider::call::update_publish_resources_status::Status as PublishStatus;
use mesos_v1::resource_provider::call::{
    Subscribe, Type, UpdateOperationStatus, UpdatePublishResourcesStatus, UpdateState,
};
use mesos_v1::resource_provider::event::{ApplyOperation, Type as EventType};
use mesos_v1::resource_provider::{Call, Event};
use mesos_v1::{
    Operation, OperationState, OperationStatus, Resource, ResourceProviderId, ResourceProviderInfo,
    Uuid, resource,
};
use tokio::task::JoinHandle;

use crate::frameworks::{POLL, scalar};

pub(super) const PROFILE: &str = "fast";

/// All that it has, on a disk as it were.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) id: Option<ResourceProviderId>,
    pub(super) total: Vec<Resource>,
    version: u8,
    pub(super) operations: Vec<Operation>,
    /// What it was asked last to make ready.
    pub(super) published: Vec<Resource>,
    /// It does nothing of what it is asked to, but writes it down.
    pub(super) is_busy: bool,
    pub(super) refuses_to_publish: bool,
    pub(super) torn_down: bool,
}

pub(super) type Shared = Arc<Mutex<Books>>;

/// One life of the program.
pub(super) struct Supplier {
    url: String,
    http: reqwest::Client,
    encoding: Encoding,
    books: Shared,
    stream: String,
}

impl Supplier {
    /// It comes back by itself for as long as it lives.
    pub(super) fn start(ip: &str, encoding: Encoding, books: &Shared) -> JoinHandle<()> {
        let mut supplier = Supplier {
            url: format!("http://{ip}:5051/api/v1/resource_provider"),
            http: reqwest::Client::new(),
            encoding,
            books: books.clone(),
            stream: String::new(),
        };
        tokio::spawn(async move {
            while !supplier.books.lock().expect("whole").torn_down {
                supplier.live().await;
                tokio::time::sleep(POLL).await;
            }
        })
    }

    async fn post(&self, call: &Call) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.post(&self.url);
        for name in ["content-type", "accept"] {
            request = request.header(name, self.encoding.media_type());
        }
        if call.r#type() != Type::Subscribe {
            request = request.header("mesos-stream-id", &self.stream);
        }
        request.body(self.encoding.encode(call)).send().await
    }

    async fn live(&mut self) {
        let id = self.books.lock().expect("whole").id.clone();
        let info = ResourceProviderInfo {
            id,
            r#type: "org.example.disks".to_owned(),
            name: "test".to_owned(),
            ..ResourceProviderInfo::default()
        };
        let subscribe = Some(Subscribe { resource_provider_info: info });
        let kind = Some(Type::Subscribe as i32);
        let call = Call { r#type: kind, subscribe, ..Call::default() };
        let Ok(mut response) = self.post(&call).await else { return };
        if response.status() != 200 {
            return;
        }
        self.stream = response.headers()["mesos-stream-id"].to_str().expect("ASCII").to_owned();
        let mut reader = Reader::default();
        while let Ok(Some(piece)) = response.chunk().await {
            reader.push(&piece);
            while let Some(record) = reader.take().expect("records") {
                let event: Event = self.encoding.decode(&record).expect("an event");
                for call in self.hear(event) {
                    drop(self.post(&call).await);
                }
            }
        }
    }

    /// What it says to that.
    fn hear(&self, event: Event) -> Vec<Call> {
        let mut books = self.books.lock().expect("whole");
        match event.r#type() {
            EventType::Subscribed => {
                let id = event.subscribed.expect("of that type").provider_id;
                if books.id.is_none() {
                    books.total = vec![disk(&id, SourceType::Raw)];
                }
                books.id = Some(id);
                books.version += 1;
                vec![books.state()]
            }
            EventType::ApplyOperation => {
                let apply = event.apply_operation.expect("of that type");
                books.apply(apply).into_iter().collect()
            }
            EventType::PublishResources => {
                let publish = event.publish_resources.expect("of that type");
                books.published = publish.resources;
                let status = match books.refuses_to_publish {
                    true => PublishStatus::Failed,
                    false => PublishStatus::Ok,
                };
                let update =
                    UpdatePublishResourcesStatus { uuid: publish.uuid, status: status as i32 };
                let update_publish_resources_status = Some(update);
                let call = books.call(Type::UpdatePublishResourcesStatus);
                vec![Call { update_publish_resources_status, ..call }]
            }
            EventType::AcknowledgeOperationStatus => {
                let told = event.acknowledge_operation_status.expect("of that type");
                books.operations.retain(|one| one.uuid != told.operation_uuid);
                vec![]
            }
            EventType::ReconcileOperations => {
                let asked = event.reconcile_operations.expect("of that type").operation_uuids;
                let unknown = asked.into_iter().filter(|uuid| !books.knows(uuid));
                let dropped =
                    |uuid: Uuid| books.told(uuid, OperationState::OperationDropped, vec![]);
                unknown.map(dropped).collect()
            }
            EventType::Teardown => {
                books.torn_down = true;
                vec![]
            }
            EventType::Unknown => panic!("an event of no type"),
        }
    }
}

impl Books {
    fn call(&self, kind: Type) -> Call {
        let resource_provider_id = self.id.clone();
        Call { resource_provider_id, r#type: Some(kind as i32), ..Call::default() }
    }

    pub(super) fn state(&self) -> Call {
        let resource_version_uuid = Uuid { value: vec![self.version; 16] };
        let (operations, resources) = (self.operations.clone(), self.total.clone());
        let update_state = Some(UpdateState { operations, resources, resource_version_uuid });
        Call { update_state, ..self.call(Type::UpdateState) }
    }

    fn knows(&self, uuid: &Uuid) -> bool {
        self.operations.iter().any(|one| one.uuid == *uuid)
    }

    fn told(&self, uuid: Uuid, state: OperationState, converted: Vec<Resource>) -> Call {
        let status = self.status(&uuid, state, converted);
        let update = UpdateOperationStatus {
            framework_id: None,
            status,
            latest_status: None,
            operation_uuid: uuid,
        };
        let update_operation_status = Some(update);
        Call { update_operation_status, ..self.call(Type::UpdateOperationStatus) }
    }

    fn status(
        &self,
        operation: &Uuid,
        state: OperationState,
        converted_resources: Vec<Resource>,
    ) -> OperationStatus {
        let mut uuid = operation.clone();
        uuid.value.reverse();
        OperationStatus {
            state: state as i32,
            converted_resources,
            uuid: Some(uuid),
            resource_provider_id: self.id.clone(),
            ..OperationStatus::default()
        }
    }

    fn apply(&mut self, apply: ApplyOperation) -> Option<Call> {
        let ApplyOperation { framework_id, info, operation_uuid: uuid, resource_version_uuid } =
            apply;
        if resource_version_uuid.value != vec![self.version; 16] {
            return Some(self.told(uuid, OperationState::OperationDropped, vec![]));
        }
        let pending = self.status(&uuid, OperationState::OperationPending, vec![]);
        self.operations.push(Operation {
            framework_id,
            info,
            latest_status: OperationStatus { uuid: None, ..pending },
            uuid: uuid.clone(),
            ..Operation::default()
        });
        if self.is_busy {
            return None;
        }
        self.work();
        let done = self.operations.iter().find(|one| one.uuid == uuid).expect("just written down");
        let converted = done.latest_status.converted_resources.clone();
        Some(self.told(uuid, OperationState::OperationFinished, converted))
    }

    /// Does all that is written down.
    pub(super) fn work(&mut self) {
        let id = self.id.clone().expect("it was admitted");
        let mut operations = std::mem::take(&mut self.operations);
        let is_begun =
            |one: &&mut Operation| one.latest_status.state() == OperationState::OperationPending;
        for one in operations.iter_mut().filter(is_begun) {
            let kind = match one.info.create_disk.is_some() {
                true => SourceType::Mount,
                false => SourceType::Raw,
            };
            self.total = vec![disk(&id, kind)];
            let state = OperationState::OperationFinished;
            one.latest_status = self.status(&one.uuid, state, self.total.clone());
        }
        self.operations = operations;
    }
}

/// The one that there is.
fn disk(id: &ResourceProviderId, kind: SourceType) -> Resource {
    let is_made = kind == SourceType::Mount;
    let source = Source {
        r#type: kind as i32,
        mount: is_made.then(|| Mount { root: Some("/tmp".to_owned()) }),
        id: is_made.then(|| "disk-1".to_owned()),
        vendor: Some("org.example".to_owned()),
        profile: Some(PROFILE.to_owned()),
        ..Source::default()
    };
    let disk = resource::DiskInfo { source: Some(source), ..resource::DiskInfo::default() };
    let provider_id = Some(id.clone());
    Resource { provider_id, disk: Some(disk), ..scalar("disk", 64.0) }
}
