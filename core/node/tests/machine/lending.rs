//! What tasks leave idle is lent, and taken back from the youngest once it is used.

use model::resources::{Resource, Resources, Scalar};
use model::task::TaskInfo;
use node::{Input, Load};

use crate::world::{World, task};

const NOTHING: [&str; 0] = [];

/// On processors that it has borrowed.
fn borrower(id: &str, cpus: &str) -> TaskInfo {
    let lent: Resources = cpus.parse().expect("resources");
    let lent = lent.iter().map(|one| Resource { revocable: true, ..one.clone() });
    let mut resources: Resources = "mem:32".parse().expect("resources");
    resources.add(&Resources::new(lent));
    TaskInfo { resources, ..task(id) }
}

/// Of the four processors of the agent one task has three.
fn world() -> World {
    let mut big = task("big");
    big.resources = "cpus:3;mem:32".parse().expect("resources");
    World::running(big)
}

/// The tasks were found to use so many thousandths of a processor.
fn measured(world: &mut World, used: &[(&str, u64)]) -> Vec<String> {
    let view = world.node.view();
    let load = |(id, cpus): &(&str, u64)| {
        let mut all = view.held.iter().filter(|(_, held)| held.info.id.as_str() == *id);
        Load { container: all.next().expect("it is held").0.clone(), cpus: Scalar(*cpus) }
    };
    let loads = used.iter().map(load).collect();
    world.feed(Input::Loaded { loads })
}

fn starts(world: &mut World, borrower: TaskInfo) {
    let id = borrower.id.to_string();
    world.run(borrower);
    world.turn_to(&id);
    world.started();
    world.acknowledge();
}

#[test]
fn what_is_idle_is_lent_little_by_little_and_what_is_used_at_once_no_more() {
    let mut world = world();
    // A tenth of the 2.9 that are idle is kept; of the rest a quarter is believed, and a quarter of what is left.
    assert_eq!(measured(&mut world, &[("big", 100)]), ["lends cpus{REV}:0.6"]);
    assert_eq!(measured(&mut world, &[("big", 100)]), ["lends cpus{REV}:1.1"]);
    for _ in 0..20 {
        measured(&mut world, &[("big", 100)]);
    }
    assert_eq!(measured(&mut world, &[("big", 100)]), NOTHING);
    assert_eq!(measured(&mut world, &[("big", 2_000)]), ["lends cpus{REV}:0.9"]);
    assert_eq!(measured(&mut world, &[("big", 3_500)]), ["lends "]);
    // Who was not measured is taken to be busy.
    assert_eq!(measured(&mut world, &[]), NOTHING);
}

#[test]
fn what_was_lent_is_told_again_to_the_next_master() {
    let mut world = world();
    measured(&mut world, &[("big", 100)]);
    world.connect(2);
    assert_eq!(world.revocable.to_string(), "cpus{REV}:0.6");
}

#[test]
fn the_youngest_borrowers_go_when_their_processors_are_needed_for_a_while() {
    let mut world = world();
    starts(&mut world, borrower("old", "cpus:1"));
    world.pass(60);
    starts(&mut world, borrower("young", "cpus:1"));
    let idle: [(&str, u64); 3] = [("big", 1_000), ("old", 900), ("young", 900)];
    measured(&mut world, &idle);
    // With two of four in use 1.8 are left for borrowers: one of them has to go, unless it was for a moment only.
    let busy = [("big", 2_000), ("old", 900), ("young", 900)];
    assert_eq!(measured(&mut world, &busy).iter().filter(|said| said.contains("stop")).count(), 0);
    measured(&mut world, &idle);
    measured(&mut world, &busy);
    world.turn_to("young");
    assert_eq!(measured(&mut world, &busy), ["stop 0s"]);
    let words = "young Gone ContainerPreempted Those whom its processors belong to need them again";
    assert_eq!(world.exited(9), [words]);
    for _ in 0..5 {
        assert_eq!(measured(&mut world, &busy[..2]), NOTHING);
    }
}
