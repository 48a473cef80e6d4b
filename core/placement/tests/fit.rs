//! What fits, what does not, and why.

use model::agent::AgentInfo;
use model::id::Role;
use model::resources::{Resources, Scalar};
use placement::Miss;
use placement::fit::{GpuUse, Need, Ports, fit};
use placement::room::Room;

fn need(cpus: u64, ports: Ports, accepts: &[&str]) -> Need {
    Need {
        scalars: [Scalar(cpus), Scalar::whole(100), Scalar(0), Scalar(0)],
        ports,
        accepts: accepts.iter().map(|role| Role::new(*role)).collect(),
        rules: Vec::new(),
        instances: 1,
        gpus: GpuUse::Restricted,
    }
}

fn agent() -> AgentInfo {
    AgentInfo {
        hostname: "one".to_owned(),
        ip: "127.0.0.1".to_owned(),
        port: 5051,
        resources: "cpus:1".parse().expect("resources"),
        attributes: Vec::new(),
        domain: None,
        version: "0.1.0".to_owned(),
        work_dir: "/".to_owned(),
    }
}

#[test]
fn a_task_takes_what_is_reserved_before_what_is_free() {
    let check = |need: &Need, offered: &str, taken: &str, left: &str| {
        let mut offered: Resources = offered.parse().expect(offered);
        let mut room = Room::new(&offered);
        let fitting = fit(need, &room, &agent(), &[], 0).expect("it fits");
        let charged = room.take(&fitting);
        assert_eq!(charged, taken.parse().expect(taken), "from {offered}");
        offered.subtract(&charged);
        assert_eq!(offered, left.parse().expect(left));
    };
    let none = Ports::Some(0);
    let both = &["*", "web"];
    check(
        &need(500, none.clone(), &["*"]),
        "cpus:2;mem:200",
        "cpus:0.5;mem:100",
        "cpus:1.5;mem:100",
    );
    check(
        &need(1500, none.clone(), both),
        "cpus(web):1;mem(web):50;cpus:2;mem:200",
        "cpus(web):1;mem(web):50;cpus:0.5;mem:50",
        "cpus:1.5;mem:150",
    );
    check(
        &need(500, none, &["*"]),
        "cpus(web):4;mem(web):400;cpus:2;mem:200",
        "cpus:0.5;mem:100",
        "cpus(web):4;mem(web):400;cpus:1.5;mem:100",
    );
    check(
        &need(500, Ports::Exactly(vec![81, 80]), both),
        "cpus:2;mem:200;ports:[80-80];ports(web):[81-90]",
        "cpus:0.5;mem:100;ports:[80-80];ports(web):[81-81]",
        "cpus:1.5;mem:100;ports(web):[82-90]",
    );
}

#[test]
fn every_reason_is_told() {
    use Miss::{
        DeclinedScarceResources, InsufficientCpus, InsufficientMemory, InsufficientPorts,
        UnfulfilledRole,
    };
    let check = |need: &Need, offered: &str, misses: &[Miss]| {
        let room = Room::new(&offered.parse().expect(offered));
        let found = fit(need, &room, &agent(), &[], 0).map(drop).expect_err(offered);
        assert_eq!(found, misses, "{offered}");
    };
    let one = need(1000, Ports::Some(1), &["*"]);
    check(&one, "cpus:0.9;mem:100;ports:[1-9]", &[InsufficientCpus]);
    check(&one, "cpus:1;mem:99;ports:[1-9]", &[InsufficientMemory]);
    check(&one, "cpus:0.1;mem:1", &[InsufficientCpus, InsufficientMemory, InsufficientPorts]);
    check(&one, "cpus:1;mem:100;gpus:1;ports:[1-9]", &[DeclinedScarceResources]);
    let reserved = [InsufficientCpus, InsufficientMemory, UnfulfilledRole, InsufficientPorts];
    check(&one, "cpus(web):9;mem(web):900;ports(web):[1-9]", &reserved);
    let exact = need(1000, Ports::Exactly(vec![80]), &["*"]);
    check(&exact, "cpus:1;mem:100;ports:[81-90]", &[InsufficientPorts]);
}

#[test]
fn chosen_ports_follow_each_other_from_where_the_seed_says_and_never_clash() {
    let check = |offered: &str, seed: u64, ports: &[u16]| {
        let room = Room::new(&format!("cpus:2;mem:200;ports:{offered}").parse().expect(offered));
        let need = need(100, Ports::Some(ports.len()), &["*"]);
        let taken = fit(&need, &room, &agent(), &[], seed).expect(offered);
        assert_eq!(taken.ports().collect::<Vec<_>>(), ports, "{offered} with {seed}");
    };
    check("[10-19]", 0, &[10, 11]);
    check("[10-19]", 9, &[19, 10]);
    check("[10-19]", 23, &[13, 14, 15]);
    check("[10-11,20-21]", 1, &[11, 20, 21]);
    check("[10-11,20-21]", 3, &[21, 10, 11, 20]);
}

#[test]
fn a_room_is_filled_to_the_last_port() {
    let mut room = Room::new(&"cpus:9;mem:900;ports:[1-9]".parse().expect("resources"));
    let need = need(1000, Ports::Some(3), &["*"]);
    let mut all: Vec<u16> = Vec::new();
    for seed in [5, 11, 2] {
        let taken = fit(&need, &room, &agent(), &[], seed).expect("room for three");
        all.extend(taken.ports());
        room.take(&taken);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=9).collect::<Vec<u16>>());
    assert_eq!(fit(&need, &room, &agent(), &[], 1), Err(vec![Miss::InsufficientPorts]));
}
