//! A provider of disks that is not ours, a framework that uses them, and a cluster whose daemons are killed meanwhile.

mod supplier;

use std::time::Instant;

use mesos_v1::codec::Encoding;
use mesos_v1::resource::disk_info::source::Type as SourceType;
use mesos_v1::scheduler::call::{self, Type};
use mesos_v1::scheduler::{Call, event};
use mesos_v1::{
    Filters, Offer, OperationId, OperationState, OperationStatus, Resource, ResourceProviderId,
    TaskId, TaskState, offer,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, Tasks};
use crate::frameworks::{PATIENCE, POLL, Scheduler, sleeper};
use supplier::{Books, PROFILE, Shared, Supplier};

/// The disk of an offer, if it is such a one.
fn disk(offer: &Offer, kind: SourceType) -> Option<Resource> {
    let is_such = |one: &&Resource| {
        let source = one.disk.as_ref().and_then(|disk| disk.source.as_ref());
        one.provider_id.is_some() && source.is_some_and(|source| source.r#type() == kind)
    };
    offer.resources.iter().find(is_such).cloned()
}

async fn accept(scheduler: &Scheduler, offer: &Offer, operations: Vec<offer::Operation>) {
    let filters = Some(Filters { refuse_seconds: Some(0.0) });
    let accept = Some(call::Accept { offer_ids: vec![offer.id.clone()], operations, filters });
    scheduler.says(Call { r#type: Some(Type::Accept as i32), accept, ..Call::default() }).await;
}

/// Until such a disk is offered.
async fn offered(scheduler: &mut Scheduler, kind: SourceType) -> (Offer, Resource) {
    loop {
        let offers = scheduler.until(event::Type::Offers).await.offers.expect("of that type");
        for offer in offers.offers {
            match disk(&offer, kind) {
                Some(disk) => return (offer, disk),
                None => accept(scheduler, &offer, vec![]).await,
            }
        }
    }
}

fn make(id: &str, source: Resource) -> offer::Operation {
    let target_type = SourceType::Mount as i32;
    let create = offer::operation::CreateDisk { source, target_type, target_profile: None };
    offer::Operation {
        r#type: Some(offer::operation::Type::CreateDisk as i32),
        id: Some(OperationId { value: id.to_owned() }),
        create_disk: Some(create),
        ..offer::Operation::default()
    }
}

fn unmake(id: &str, source: Resource) -> offer::Operation {
    offer::Operation {
        r#type: Some(offer::operation::Type::DestroyDisk as i32),
        id: Some(OperationId { value: id.to_owned() }),
        destroy_disk: Some(offer::operation::DestroyDisk { source }),
        ..offer::Operation::default()
    }
}

fn launch(offer: &Offer, name: &str, disk: Resource) -> offer::Operation {
    let mut task = sleeper(offer, name);
    task.resources.push(disk);
    offer::Operation {
        r#type: Some(offer::operation::Type::Launch as i32),
        launch: Some(offer::operation::Launch { task_infos: vec![task] }),
        ..offer::Operation::default()
    }
}

/// What has become of an operation. It is acknowledged. Offers that come meanwhile are given back.
async fn operated(scheduler: &mut Scheduler, id: &str) -> OperationStatus {
    loop {
        let event = scheduler.next().await;
        if let Some(update) = &event.update {
            scheduler.hear(&update.status).await;
        }
        for offer in event.offers.into_iter().flat_map(|offers| offers.offers) {
            accept(scheduler, &offer, vec![]).await;
        }
        let Some(status) = event.update_operation_status.map(|update| update.status) else {
            continue;
        };
        if status.operation_id.as_ref().is_none_or(|told| told.value != id) {
            continue;
        }
        if let Some(uuid) = &status.uuid {
            let acknowledge = call::AcknowledgeOperationStatus {
                agent_id: status.agent_id.clone(),
                resource_provider_id: status.resource_provider_id.clone(),
                uuid: uuid.value.clone(),
                operation_id: status.operation_id.clone().expect("it has one"),
            };
            let kind = Some(Type::AcknowledgeOperationStatus as i32);
            let acknowledge_operation_status = Some(acknowledge);
            scheduler
                .says(Call { r#type: kind, acknowledge_operation_status, ..Call::default() })
                .await;
        }
        return status;
    }
}

async fn kill(scheduler: &mut Scheduler, name: &str) {
    let task_id = TaskId { value: name.to_owned() };
    let kill = Some(call::Kill { task_id, agent_id: None, kill_policy: None });
    scheduler.says(Call { r#type: Some(Type::Kill as i32), kill, ..Call::default() }).await;
}

async fn until(what: &str, books: &Shared, is_so: impl Fn(&Books) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(&books.lock().expect("whole")) {
        assert!(Instant::now() < deadline, "never: {what}: {:?}", books.lock().expect("whole"));
        tokio::time::sleep(POLL).await;
    }
}

/// What the agent or the master answers to a call.
async fn ask(url: &str, call: &Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(url).header("accept", "application/json");
    let request = request.header("content-type", "application/json").body(call.to_string());
    let response = request.send().await.expect("it answers");
    let (status, text) = (response.status().as_u16(), response.text().await.expect("text"));
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Of the agent, until there are so many.
async fn providers(cluster: &Cluster, count: usize) -> Value {
    let url = format!("http://{}:5051/api/v1", cluster.ip);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, said) = ask(&url, &json!({ "type": "GET_RESOURCE_PROVIDERS" })).await;
        let all = &said["get_resource_providers"]["resource_providers"];
        if all.as_array().map_or(0, Vec::len) == count {
            return all.clone();
        }
        assert!(Instant::now() < deadline, "not {count} providers: {said}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_of_a_provider_are_made_used_and_taken_away() {
    let mut cluster = Cluster::start("127.71.1.1", &[]).await;
    let books = Shared::default();
    let supplier = Supplier::start(&cluster.ip, Encoding::Json, &books);
    let mut scheduler = Scheduler::new(&cluster);
    scheduler.subscribe().await;

    let provider = a_disk_is_made(&mut scheduler, &books).await;
    a_task_has_it_once_it_is_published(&mut scheduler, &books).await;
    supplier.abort();
    providers(&cluster, 0).await;
    let supplier = Supplier::start(&cluster.ip, Encoding::Protobuf, &books);
    it_is_the_same_provider(&cluster, &provider, &books).await;
    kill(&mut scheduler, "user").await;
    scheduler.until_all_are(1, TaskState::TaskKilled).await;
    it_is_unmade_while_agent_and_master_die(&mut cluster, &mut scheduler, &books).await;
    scheduler.says(Call { r#type: Some(Type::Teardown as i32), ..Call::default() }).await;
    the_provider_is_given_up(&cluster, &provider, supplier, &books).await;
}

async fn a_disk_is_made(scheduler: &mut Scheduler, books: &Shared) -> ResourceProviderId {
    let (offer, raw) = offered(scheduler, SourceType::Raw).await;
    let source = raw.disk.as_ref().and_then(|disk| disk.source.as_ref()).expect("a disk");
    assert_eq!(source.profile.as_deref(), Some(PROFILE));
    accept(scheduler, &offer, vec![make("make", raw.clone())]).await;
    let status = operated(scheduler, "make").await;
    assert_eq!(status.state(), OperationState::OperationFinished);
    assert_eq!(status.resource_provider_id, raw.provider_id);
    assert_eq!(status.converted_resources.len(), 1);
    until("acknowledged", books, |books| books.operations.is_empty()).await;
    raw.provider_id.expect("it has one")
}

async fn a_task_has_it_once_it_is_published(scheduler: &mut Scheduler, books: &Shared) {
    let (offer, disk) = offered(scheduler, SourceType::Mount).await;
    books.lock().expect("whole").refuses_to_publish = true;
    accept(scheduler, &offer, vec![launch(&offer, "refused", disk)]).await;
    scheduler.until_all_are(1, TaskState::TaskFailed).await;
    books.lock().expect("whole").refuses_to_publish = false;
    let (offer, disk) = offered(scheduler, SourceType::Mount).await;
    accept(scheduler, &offer, vec![launch(&offer, "user", disk)]).await;
    scheduler.until_all_are(1, TaskState::TaskRunning).await;
    assert_eq!(books.lock().expect("whole").published.len(), 1);
}

/// It is back, as agent and master tell.
async fn it_is_the_same_provider(cluster: &Cluster, id: &ResourceProviderId, books: &Shared) {
    let told = providers(cluster, 1).await;
    assert_eq!(told[0]["resource_provider_info"]["type"], "org.example.disks");
    assert_eq!(books.lock().expect("whole").id.as_ref(), Some(id));
    let master = format!("http://{}:5050/api/v1", cluster.ip);
    let (_, agents) = ask(&master, &json!({ "type": "GET_AGENTS" })).await;
    let told = &agents["get_agents"]["agents"][0]["resource_providers"][0];
    assert_eq!(told["resource_provider_info"]["name"], "test", "{agents}");
}

async fn it_is_unmade_while_agent_and_master_die(
    cluster: &mut Cluster,
    scheduler: &mut Scheduler,
    books: &Shared,
) {
    let (offer, disk) = offered(scheduler, SourceType::Mount).await;
    books.lock().expect("whole").is_busy = true;
    accept(scheduler, &offer, vec![unmake("unmake", disk)]).await;
    until("begun", books, |books| books.operations.len() == 1).await;
    cluster.kill();
    {
        let mut books = books.lock().expect("whole");
        books.work();
        books.is_busy = false;
    }
    cluster.run(Tasks::Stop).await;
    scheduler.subscribe().await;
    let status = operated(scheduler, "unmake").await;
    assert_eq!(status.state(), OperationState::OperationFinished);
    offered(scheduler, SourceType::Raw).await;
    until("acknowledged", books, |books| books.operations.is_empty()).await;
}

async fn the_provider_is_given_up(
    cluster: &Cluster,
    id: &ResourceProviderId,
    supplier: JoinHandle<()>,
    books: &Shared,
) {
    let provider = json!({ "resource_provider_id": { "value": id.value } });
    let gone =
        json!({ "type": "MARK_RESOURCE_PROVIDER_GONE", "mark_resource_provider_gone": provider });
    let url = format!("http://{}:5051/api/v1", cluster.ip);
    let (status, said) = ask(&url, &gone).await;
    assert_eq!(status, 500, "{said}");
    assert!(said.to_string().contains("has resources"), "{said}");
    supplier.abort();
    books.lock().expect("whole").total.clear();
    let supplier = Supplier::start(&cluster.ip, Encoding::Json, books);
    providers(cluster, 1).await;
    let deadline = Instant::now() + PATIENCE;
    while ask(&url, &gone).await.0 != 200 {
        assert!(Instant::now() < deadline, "never marked gone");
        tokio::time::sleep(POLL).await;
    }
    until("torn down", books, |books| books.torn_down).await;
    supplier.await.expect("it ends by itself");
}
