//! Updates are told until acknowledged, one at a time, across lost streams and crashes.

use crate::world::{World, check, task};
use model::task::TaskInfo;
use node::Input;

const NOTHING: [&str; 0] = [];

#[test]
fn an_update_is_repeated_with_growing_waits() {
    let mut world = World::registered();
    world.run(task("t"));
    world.started();
    assert_eq!(world.pass(9), NOTHING);
    assert_eq!(world.pass(1), ["t Running"], "after 10 s");
    assert_eq!(world.pass(19), NOTHING);
    assert_eq!(world.pass(1), ["t Running"], "after 20 s more");
    world.pass(24 * 3600);
    assert_eq!(world.pass(1200).len(), 2, "every 10 min at last");
}

#[test]
fn what_is_told_lags_behind_what_is() {
    let mut world = World::registered();
    world.run(task("t"));
    world.started();
    assert_eq!(world.exited(0), NOTHING);
    assert_eq!(world.pass(10), ["t Running (latest Finished)"]);
    assert_eq!(world.acknowledge(), ["t Finished Command exited with status 0"]);
}

#[test]
fn without_a_stream_nothing_is_repeated_and_a_new_one_hears_it_all() {
    let mut world = World::registered();
    world.run(task("t"));
    world.started();
    world.feed(Input::Disconnected);
    assert_eq!(world.pass(3600), NOTHING);
    world.exited(1 << 8);
    let register = "register S0 [\"t Failed\"]";
    assert_eq!(world.connect(1), [register, "t Running (latest Failed)"]);
}

#[test]
fn an_update_survives_a_crash() {
    let mut world = World::registered();
    world.run(task("t"));
    world.started();
    let told = world.told.clone();
    world.crash();
    let container = world.container.clone();
    assert_eq!(world.start(&[container]), NOTHING);
    assert_eq!(world.connect(1), ["register S0 [\"t Running\"]", "t Running"]);
    assert_eq!(world.told, told, "the same update under the same uuid");
    world.acknowledge();
    assert_eq!(world.exited(0), ["t Finished Command exited with status 0"]);
}

#[test]
fn updates_are_counted_by_their_acknowledgements_also_across_a_crash() {
    let mut world = World::registered();
    world.run(task("t"));
    world.started();
    assert_eq!(world.place, Some(0));
    world.pass(10);
    assert_eq!(world.place, Some(0), "it is the same update");
    world.exited(0);
    let newest = |world: &World| {
        let held = world.node.view().held;
        held.values().next().expect("it is held").told().place
    };
    assert_eq!(newest(&world), Some(1), "its turn has not come");
    world.crash();
    world.start(&[]);
    world.connect(1);
    assert_eq!((world.place, newest(&world)), (Some(0), Some(1)));
    world.acknowledge();
    assert_eq!((world.place, newest(&world)), (Some(1), Some(1)));
}

#[test]
fn a_task_that_flickers_unheard_does_not_fill_the_disk() {
    let mut world = World::running(TaskInfo { health_checks: vec![check(0)], ..task("t") });
    world.feed(Input::Disconnected);
    world.pass(5);
    for nth in 0..200 {
        world.probed(0, if nth % 2 == 0 { Ok(()) } else { Err("no") });
        world.pass(10);
    }
    let view = world.node.view();
    let held = view.held.values().next().expect("it runs");
    assert_eq!(held.pending.len(), 32);
    assert_eq!(held.pending.last(), held.latest.as_ref());
}

#[test]
fn the_same_inputs_make_the_same_records() {
    let run = || {
        let mut world = World::running(task("t"));
        world.exited(0);
        world.node.view()
    };
    assert_eq!(run(), run());
}
