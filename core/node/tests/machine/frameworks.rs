//! Frameworks of which something is held.

use std::sync::Arc;

use model::agent::ToAgent;
use model::executor::Together;
use model::framework::FrameworkInfo;

use crate::programs::{described, run_all};
use crate::world::{World, framework, task};

fn run(world: &mut World, id: &str, name: &str) {
    let of = FrameworkInfo { name: name.to_owned(), ..described() };
    let (task, killing) = (task(id), world.killing);
    world.master(ToAgent::Run { framework: framework(), task, killing, of: Some(Arc::new(of)) });
}

fn names(world: &World) -> Vec<String> {
    world.node.view().frameworks.values().map(|info| info.name.clone()).collect()
}

#[test]
fn a_framework_is_known_by_what_was_said_last_until_nothing_of_it_is_held() {
    let mut world = World::registered();
    run(&mut world, "a", "before");
    run(&mut world, "b", "after");
    assert_eq!(names(&world), ["after"]);
    world.crash();
    world.start(&[]);
    world.connect(1);
    assert_eq!(names(&world), ["after"], "it is written down");
    for id in ["a", "b"] {
        assert_eq!(names(&world), ["after"], "{id} is held");
        world.turn_to(id);
        world.started();
        world.acknowledge();
        world.exited(0);
        world.acknowledge();
    }
    assert_eq!(names(&world), [""; 0]);
}

#[test]
fn masters_that_do_not_say_leave_it_unknown() {
    let mut world = World::registered();
    world.run(task("t"));
    assert_eq!(names(&world), [""; 0]);
}

#[test]
fn the_framework_of_a_program_is_known_as_long_as_the_program_is() {
    let mut world = World::registered();
    run_all(&mut world, vec![task("t")], Together::No);
    assert_eq!(names(&world), ["f"]);
    world.exited(9);
    assert_eq!(names(&world), ["f"], "the end of its task is not acknowledged");
    world.acknowledge();
    assert_eq!(names(&world), [""; 0]);
}
