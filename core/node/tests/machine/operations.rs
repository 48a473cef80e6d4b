//! Conversions: written down before anything is said, done once, repeated until acknowledged.

use model::agent::ToAgent;
use model::container::VolumeMode;
use model::id::{OperationId, Role, Uuid};
use model::operation::Conversion;
use model::resources::{
    Amount, DiskInfo, DiskVolume, Labels, Persistence, Reservation, ReservationKind, Resource,
    ResourceName, Resources, Scalar,
};
use node::Input;

use crate::world::{World, framework, task};

const SPACE: &str = "mem(reservations: [(DYNAMIC,db)]):64";

fn space() -> Resource {
    let (kind, role, labels) = (ReservationKind::Dynamic, Role::new("db"), Labels::new());
    let reservations = vec![Reservation { kind, role, principal: None, labels }];
    let amount = Amount::Scalar(Scalar::whole(64));
    Resource { reservations, ..Resource::plain(ResourceName::Mem, amount) }
}

/// The agents of these tests have no disk; what a volume is made of is all the same to the brain.
pub(crate) fn volume() -> Resource {
    let persistence = Some(Persistence { id: "v".to_owned(), principal: None });
    let (container_path, mode) = ("data".to_owned(), VolumeMode::ReadWrite);
    let volume = Some(DiskVolume { container_path, mode, host_path: None });
    let disk = Some(Box::new(DiskInfo { persistence, volume, source: None }));
    Resource { disk, ..space() }
}

fn convert(world: &mut World, serial: u64, conversion: Conversion) -> Vec<String> {
    let (operation, id) = (Uuid::derive(1, serial), Some(OperationId::new(format!("o{serial}"))));
    let framework = Some(framework());
    world.master(ToAgent::Convert { operation, framework, id, conversion, version: None })
}

pub(crate) fn reserve(world: &mut World) -> Vec<String> {
    convert(world, 1, Conversion::Reserve { source: vec![], resources: vec![space()] })
}

pub(crate) fn create(world: &mut World) -> Vec<String> {
    convert(world, 2, Conversion::Create { volumes: vec![volume()] })
}

fn destroy(world: &mut World) -> Vec<String> {
    convert(world, 3, Conversion::Destroy { volumes: vec![volume()] })
}

pub(crate) fn done(world: &mut World, serial: u64, done: Result<(), String>) -> Vec<String> {
    world.feed(Input::Volumes { operation: Uuid::derive(1, serial), done, seed: serial })
}

fn acknowledge(world: &mut World) -> Vec<String> {
    let operated = world.operated.clone().expect("something was told");
    let uuid = operated.latest.uuid.expect("what is over has one");
    world.master(ToAgent::AcknowledgeOperation { operation: operated.uuid, uuid })
}

#[test]
fn a_conversion_is_told_until_it_is_acknowledged_and_done_once() {
    let mut world = World::registered();
    let finished = [format!("o1 Finished {SPACE}")];
    assert_eq!(reserve(&mut world), finished);
    assert_eq!(reserve(&mut world), [""; 0]);
    assert_eq!(world.pass(10), finished);
    world.crash();
    world.start(&[]);
    assert_eq!(world.connect(1)[1..], finished);
    assert_eq!(acknowledge(&mut world), [""; 0]);
    assert_eq!(world.pass(1_000), [""; 0]);
    assert!(world.connect(1)[1..].is_empty());
}

#[test]
fn an_operation_is_over_when_its_volumes_are_made_or_gone() {
    let mut world = World::registered();
    reserve(&mut world);
    acknowledge(&mut world);
    let made = create(&mut world);
    assert!(made.len() == 1 && made[0].starts_with("make mem"), "{made:?}");
    // What was begun before a crash is begun again.
    world.crash();
    assert_eq!(world.start(&[]), made);
    world.connect(1);
    assert!(done(&mut world, 2, Ok(()))[0].starts_with("o2 Finished"));
    acknowledge(&mut world);
    assert!(destroy(&mut world)[0].starts_with("remove mem"));
    assert_eq!(done(&mut world, 3, Ok(())), [format!("o3 Finished {SPACE}")]);
}

#[test]
fn what_cannot_be_done_is_undone() {
    let mut world = World::registered();
    reserve(&mut world);
    acknowledge(&mut world);
    create(&mut world);
    let failed = done(&mut world, 2, Err("no space left".to_owned()));
    assert_eq!(failed, [format!("o2 Failed {SPACE}")]);
    let latest = world.operated.clone().expect("it was told").latest;
    assert_eq!(latest.message.as_deref(), Some("no space left"));
    let dropped = destroy(&mut world);
    assert_eq!(dropped, [format!("o3 Dropped {SPACE}")]);
}

#[test]
fn no_volume_gets_the_id_of_another_that_could_not_be_destroyed() {
    let mut world = World::registered();
    reserve(&mut world);
    create(&mut world);
    done(&mut world, 2, Ok(()));
    // The master counts with the destruction, and does not know yet how it went.
    destroy(&mut world);
    done(&mut world, 3, Err("the disk is broken".to_owned()));
    convert(&mut world, 4, Conversion::Reserve { source: vec![], resources: vec![space()] });
    let again = convert(&mut world, 5, Conversion::Create { volumes: vec![volume()] });
    assert!(again[0].starts_with("o5 Dropped"), "{again:?}");
    // Made again before the destruction is known to have failed, it is there once.
    convert(&mut world, 6, Conversion::Destroy { volumes: vec![volume()] });
    convert(&mut world, 7, Conversion::Create { volumes: vec![volume()] });
    done(&mut world, 6, Err("the disk is broken".to_owned()));
    let held = Resources::new([volume(), space()]);
    assert_eq!(done(&mut world, 7, Ok(())), [format!("o7 Finished {held}")]);
}

#[test]
fn a_volume_that_a_task_uses_is_not_destroyed() {
    let mut world = World::registered();
    reserve(&mut world);
    create(&mut world);
    done(&mut world, 2, Ok(()));
    let mut user = task("t");
    user.resources.add(&Resources::new([volume()]));
    world.run(user);
    assert!(destroy(&mut world)[0].starts_with("o3 Failed"));
}

#[test]
fn the_master_hears_of_the_operations_of_a_framework_that_is_gone() {
    let mut world = World::registered();
    reserve(&mut world);
    create(&mut world);
    world.master(ToAgent::Shutdown { framework: framework() });
    // It counts with what comes of them, whoever wanted it, and it alone acknowledges them.
    assert!(world.pass(10)[0].starts_with("o1 Finished"));
    assert_eq!(world.operated.clone().expect("it was told").framework, None);
    acknowledge(&mut world);
    assert_eq!(world.pass(1_000), [""; 0]);
    assert!(done(&mut world, 2, Ok(()))[0].starts_with("o2 Finished"));
    acknowledge(&mut world);
    assert!(world.connect(1)[1..].is_empty());
}
