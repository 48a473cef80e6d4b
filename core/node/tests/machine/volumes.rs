//! Tasks that are launched right behind the operation that makes what they use.

use crate::operations::{create, done, reserve, volume};
use crate::programs::{run_all, subscribe};
use crate::world::{World, task};
use model::executor::Together;
use model::resources::Resources;
use model::task::{TaskInfo, TaskState};

const NOTHING: [&str; 0] = [];

fn user(id: &str) -> TaskInfo {
    let mut user = task(id);
    user.resources.add(&Resources::new([volume()]));
    user
}

/// With a volume that is being made.
fn making() -> World {
    let mut world = World::registered();
    reserve(&mut world);
    create(&mut world);
    world
}

#[test]
fn a_task_is_launched_when_its_volume_is_made() {
    let mut world = making();
    assert_eq!(world.run(user("t")), NOTHING);
    assert_eq!(world.run(task("other")), ["launch other"]);
    assert_eq!(done(&mut world, 2, Ok(()))[1..], ["launch t"]);
    assert_eq!(world.run(user("late")), ["launch late"]);
}

#[test]
fn who_waits_for_a_volume_waits_on_after_a_crash() {
    let mut world = making();
    world.run(user("t"));
    world.crash();
    let begun = world.start(&[]);
    assert!(begun.len() == 1 && begun[0].starts_with("make"), "{begun:?}");
    assert_eq!(done(&mut world, 2, Ok(())), ["launch t"]);
}

#[test]
fn a_task_is_dropped_whose_volume_cannot_be_made_or_never_was() {
    let dropped = |line: &str| {
        let expected = "t Dropped ResourcesUnknown The agent does not have all";
        assert!(line.starts_with(expected), "{line}");
    };
    let mut world = making();
    world.run(user("t"));
    dropped(&done(&mut world, 2, Err("no space left".to_owned()))[1]);
    let mut world = World::registered();
    dropped(&world.run(user("t"))[0]);
    let mut world = making();
    let both = world.run_group("e", vec![user("t"), task("mate")]);
    assert_eq!(both, ["launch mate"]);
    let ended = done(&mut world, 2, Err("no space left".to_owned()));
    dropped(&ended[1]);
    assert_eq!(ended[2..], ["stop mate 3s"], "its group ends with it");
}

#[test]
fn who_is_killed_while_it_waits_never_runs() {
    let mut world = making();
    world.run(user("t"));
    let killed = world.kill("t", None);
    let expected = "t Killed TaskKilledDuringLaunch Killed before what it is to use was ready";
    assert_eq!(killed, [expected]);
    assert_eq!(done(&mut world, 2, Ok(())).len(), 1, "only the operation is told");
}

#[test]
fn a_program_is_handed_a_task_when_its_volume_is_made() {
    let mut world = making();
    let launched = run_all(&mut world, vec![user("a"), task("b")], Together::No);
    assert_eq!(launched, ["launch executor e with cpus:1.1;mem:64"]);
    world.started();
    assert_eq!(subscribe(&mut world, &[], vec![]), ["say subscribed 7", "say launch b"]);
    let made = done(&mut world, 2, Ok(()));
    assert!(made[1].starts_with("resize") && made[1].contains("v:data"), "{made:?}");
    assert_eq!(made[2..], ["say launch a"]);
}

#[test]
fn a_program_that_is_started_for_nothing_is_not_started() {
    let mut world = World::registered();
    let said = run_all(&mut world, vec![user("a")], Together::No);
    let state = world.told.clone().expect("told").state;
    assert_eq!(state, TaskState::Dropped);
    assert_eq!(said[1..], ["executor e ended None"]);
    assert!(world.node.view().executors.is_empty());
}
