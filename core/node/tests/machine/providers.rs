//! Resource providers come, bring disks, are asked to change and publish them, and go.

use model::agent::ToAgent;
use model::executor::Given;
use model::id::{OperationId, ProviderId, Uuid};
use model::operation::{Conversion, OperationState, OperationStatus};
use model::provider::ProviderInfo;
use model::resources::{
    Amount, DiskInfo, DiskKind, DiskSource, Labels, Resource, ResourceName, Resources, Scalar,
};
use model::task::TaskInfo;
use node::{Brings, FromProvider, Happened, Input, ToProvider};

use crate::world::{World, framework, task};

/// What a provider is told, in one line.
pub(crate) fn told(world: &mut World, said: ToProvider) -> String {
    match said {
        ToProvider::Subscribed { provider } => {
            world.provider = Some(provider);
            "admit".to_owned()
        }
        ToProvider::Apply(apply) => {
            format!("apply {}", apply.id.map_or("", |_| "one that has a name"))
        }
        ToProvider::Publish { publish, resources } => {
            world.publish = Some(publish);
            format!("publish {resources}")
        }
        ToProvider::Acknowledge { .. } => "acknowledge".to_owned(),
        ToProvider::Reconcile { operations } => format!("reconcile {}", operations.len()),
        ToProvider::Teardown => "tear down".to_owned(),
        ToProvider::HangUp => "hang up".to_owned(),
    }
}

fn say(world: &mut World, stream: u64, said: FromProvider) -> Vec<String> {
    let seed = world.seed();
    world.feed(Input::Provider { stream, said, seed })
}

fn subscribe(world: &mut World, stream: u64, id: Option<ProviderId>) -> Vec<String> {
    let (kind, name) = ("disks".to_owned(), "a".to_owned());
    let info = ProviderInfo { kind, name, given: Given(Vec::new().into()) };
    say(world, stream, FromProvider::Subscribe { id, info })
}

fn disk(world: &World, kind: DiskKind, id: Option<&str>) -> Resource {
    let source = DiskSource {
        kind,
        root: None,
        vendor: None,
        id: id.map(str::to_owned),
        metadata: Labels::new(),
        profile: Some("fast".to_owned()),
    };
    let disk = DiskInfo { source: Some(source), ..DiskInfo::default() };
    Resource {
        provider: world.provider.clone().map(Box::new),
        disk: Some(Box::new(disk)),
        ..Resource::plain(ResourceName::Disk, Amount::Scalar(Scalar::whole(100)))
    }
}

fn raw(world: &World) -> Resource {
    disk(world, DiskKind::Raw, None)
}

fn mount(world: &World) -> Resource {
    disk(world, DiskKind::Mount, Some("d1"))
}

fn version() -> Uuid {
    Uuid::derive(9, 9)
}

type Told = (Uuid, OperationStatus);

fn brings(world: &mut World, stream: u64, one: Resource, operations: Vec<Told>) -> Vec<String> {
    let (total, version) = (Resources::new([one]), version());
    say(world, stream, FromProvider::State(Brings { total, version, operations }))
}

/// Registered, with a provider on stream 1 that has brought a raw disk.
fn provided() -> World {
    let mut world = World::registered();
    assert_eq!(subscribe(&mut world, 1, None), ["admit"]);
    let one = raw(&world);
    assert_eq!(brings(&mut world, 1, one, vec![]), [r#"provides ["disk[RAW]:100"]"#]);
    world
}

fn operation() -> Uuid {
    Uuid::derive(1, 1)
}

fn make(world: &mut World, version: Uuid) -> Vec<String> {
    let (id, source) = (Some(OperationId::new("o")), raw(world));
    let conversion = Conversion::CreateDisk { source, target: DiskKind::Mount, profile: None };
    let (operation, framework) = (operation(), Some(framework()));
    let version = Some(version);
    world.master(ToAgent::Convert { operation, framework, id, conversion, version })
}

fn finished(world: &World) -> OperationStatus {
    let converted = Resources::new([mount(world)]);
    let uuid = Some(Uuid::derive(2, 2));
    OperationStatus { converted, uuid, ..OperationStatus::new(None, OperationState::Finished, "") }
}

fn done(world: &mut World, stream: u64) -> Vec<String> {
    let (operation, status) = (operation(), finished(world));
    say(world, stream, FromProvider::Operated { operation, status })
}

fn acknowledge(world: &mut World) -> Vec<String> {
    let operated = world.operated.clone().expect("something was told");
    let uuid = operated.latest.uuid.expect("what is over has one");
    world.master(ToAgent::AcknowledgeOperation { operation: operated.uuid, uuid })
}

fn user(world: &World) -> TaskInfo {
    let mut user = task("t");
    user.resources.add(&Resources::new([mount(world)]));
    user
}

/// The disk is made, and everybody has heard of it.
fn made() -> World {
    let mut world = provided();
    make(&mut world, version());
    done(&mut world, 1);
    acknowledge(&mut world);
    world
}

#[test]
fn an_operation_is_told_until_it_is_acknowledged_to_the_provider_as_well() {
    let mut world = provided();
    assert_eq!(make(&mut world, version()), ["apply one that has a name"]);
    assert_eq!(make(&mut world, version()), [""; 0], "told twice, it is done once");
    assert_eq!(done(&mut world, 1), ["o Finished "]);
    assert_eq!(world.provides, [Resources::new([mount(&world)])]);
    assert_eq!(done(&mut world, 1), [""; 0], "the master has yet to hear of it");
    assert_eq!(world.pass(10), ["o Finished "]);
    assert_eq!(acknowledge(&mut world), ["acknowledge"]);
    // The provider has not heard that.
    assert_eq!(done(&mut world, 1), ["acknowledge"]);
    assert_eq!(world.pass(1_000), [""; 0]);
}

#[test]
fn an_operation_on_what_has_changed_since_is_dropped() {
    let mut world = provided();
    assert_eq!(make(&mut world, Uuid::derive(8, 8)), ["o Dropped "]);
    // The provider has never heard of it.
    assert_eq!(acknowledge(&mut world), [""; 0]);
    say(&mut world, 1, FromProvider::Lost);
    assert_eq!(make(&mut world, version()), ["o Dropped "]);
}

#[test]
fn a_provider_that_comes_back_says_what_it_knows_and_is_asked_for_the_rest() {
    let mut world = provided();
    let id = world.provider.clone();
    make(&mut world, version());
    assert_eq!(say(&mut world, 1, FromProvider::Lost), ["provides []"]);
    assert_eq!(subscribe(&mut world, 2, id.clone()), ["admit"]);
    assert_eq!(world.provider, id);
    let one = raw(&world);
    let lines = brings(&mut world, 2, one, vec![]);
    assert_eq!(lines, ["reconcile 1", r#"provides ["disk[RAW]:100"]"#]);
    let dropped = OperationStatus {
        uuid: Some(Uuid::derive(3, 3)),
        ..OperationStatus::new(None, OperationState::Dropped, "")
    };
    let said = FromProvider::Operated { operation: operation(), status: dropped };
    assert_eq!(say(&mut world, 2, said), ["o Dropped "]);
    assert_eq!(acknowledge(&mut world), ["acknowledge"]);
}

#[test]
fn what_a_provider_did_while_the_agent_was_away_counts() {
    let mut world = provided();
    let id = world.provider.clone();
    make(&mut world, version());
    world.crash();
    world.start(&[]);
    world.connect(1);
    assert_eq!(world.provides, [], "it has yet to come back");
    subscribe(&mut world, 1, id);
    let (one, status) = (mount(&world), finished(&world));
    let lines = brings(&mut world, 1, one, vec![(operation(), status)]);
    assert_eq!(lines, ["o Finished ", r#"provides ["disk[MOUNT:d1]:100"]"#]);
    assert_eq!(world.provides, [Resources::new([mount(&world)])]);
}

#[test]
fn a_task_begins_once_its_disk_is_published() {
    let mut world = made();
    let user = user(&world);
    assert_eq!(world.run(user), ["publish disk[MOUNT:d1]:100"]);
    let publish = world.publish.expect("it was asked for");
    assert_eq!(say(&mut world, 1, FromProvider::Published { publish, done: Ok(()) }), ["launch t"]);
}

#[test]
fn a_task_fails_if_its_disk_cannot_be_published() {
    let fails =
        |lines: &[String]| lines[0].starts_with("t Failed ContainerLaunchFailed Failed to publish");
    let mut world = made();
    let one = user(&world);
    world.run(one);
    let (publish, done) = (world.publish.expect("asked for"), Err("Received FAILED".to_owned()));
    let lines = say(&mut world, 1, FromProvider::Published { publish, done });
    assert!(fails(&lines), "{lines:?}");
    let mut world = made();
    let one = user(&world);
    world.run(one);
    let lines = say(&mut world, 1, FromProvider::Lost);
    assert!(fails(&lines), "{lines:?}");
}

#[test]
fn a_task_is_dropped_whose_disk_is_not_there_any_more() {
    let mut world = made();
    let one = user(&world);
    say(&mut world, 1, FromProvider::Lost);
    let lines = world.run(one);
    assert!(lines[0].starts_with("t Dropped ResourcesUnknown No resource provider"), "{lines:?}");
}

#[test]
fn a_disk_that_a_task_uses_is_not_taken_away() {
    let mut world = made();
    let one = user(&world);
    world.run(one);
    let (operation, id) = (Uuid::derive(1, 2), Some(OperationId::new("p")));
    let conversion = Conversion::DestroyDisk { source: mount(&world) };
    let (framework, version) = (Some(framework()), Some(version()));
    let convert = ToAgent::Convert { operation, framework, id, conversion, version };
    assert_eq!(world.master(convert), ["p Dropped "]);
}

#[test]
fn whom_an_operator_marks_gone_does_not_come_back() {
    let mut world = provided();
    make(&mut world, version());
    let provider = world.provider.clone().expect("it was admitted");
    let lines = world.feed(Input::ProviderGone { provider: provider.clone(), seed: 1 });
    assert_eq!(lines, ["o GoneByOperator ", "tear down", "provides []"]);
    assert_eq!(subscribe(&mut world, 2, Some(provider)), ["tear down"]);
    // An id that was not given here means nothing.
    assert_eq!(subscribe(&mut world, 3, Some(ProviderId::new("other"))), ["hang up"]);
}

#[test]
fn the_newest_stream_of_a_provider_is_the_one_that_counts() {
    let mut world = provided();
    let id = world.provider.clone();
    assert_eq!(subscribe(&mut world, 2, id), ["hang up", "admit"]);
    assert_eq!(say(&mut world, 1, FromProvider::Lost), [""; 0]);
    assert_eq!(make(&mut world, version()), ["apply one that has a name"]);
}

#[test]
fn a_task_that_was_about_to_start_is_not_forgotten_when_its_provider_is_away() {
    let mut world = made();
    let one = user(&world);
    world.run(one);
    let publish = world.publish.expect("it was asked for");
    say(&mut world, 1, FromProvider::Published { publish, done: Ok(()) });
    let (container, happened) = (world.container.clone(), Happened::Preparing { told: None });
    world.feed(Input::Container { container, happened, seed: 5 });
    world.acknowledge();
    world.crash();
    world.start(&[]);
    let lines = world.connect(1);
    let failed = lines.iter().any(|line| line.starts_with("t Failed ContainerLaunchFailed"));
    assert!(failed, "{lines:?}");
}
