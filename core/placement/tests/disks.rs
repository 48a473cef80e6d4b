//! Which disk a volume takes that is not on the agent's own.

use model::agent::AgentInfo;
use model::id::Role;
use model::resources::{
    Amount, DiskInfo, DiskKind, DiskSource, Labels, Resource, ResourceName, Resources, Scalar,
};
use placement::disk::{DiskNeed, Share};
use placement::fit::{GpuUse, Need, Prospect, Site, fit};
use placement::room::Room;
use placement::rule::Rule;
use placement::{Constraint, Operator};

/// `mount /m1 100 fast`.
fn disk(text: &str) -> Resource {
    let words: Vec<&str> = text.split(' ').collect();
    let source = DiskSource {
        kind: match words[0] {
            "path" => DiskKind::Path,
            "mount" => DiskKind::Mount,
            "raw" => DiskKind::Raw,
            other => panic!("{other} is no kind of disk"),
        },
        root: Some(words[1].to_owned()),
        vendor: None,
        id: None,
        metadata: Labels::new(),
        profile: words.get(3).map(|profile| (*profile).to_owned()),
    };
    let info = DiskInfo { source: Some(source), ..DiskInfo::default() };
    let size = Amount::Scalar(Scalar::whole(words[2].parse().expect("a size")));
    let disk = Some(Box::new(info));
    Resource { disk, ..Resource::plain(ResourceName::Disk, size) }
}

/// `path 10`, `mount 10`, `mount 10-50 UNLIKE /m1`, `mount 10 profile fast`.
fn wanted(text: &str) -> DiskNeed {
    let words: Vec<&str> = text.split(' ').collect();
    let (size, max) = match words[1].split_once('-') {
        Some((size, max)) => (size, Some(max)),
        None => (words[1], None),
    };
    let number = |text: &str| Scalar::whole(text.parse().expect("a size"));
    let constraint = |operator| Constraint {
        field: "path".to_owned(),
        operator,
        value: Some(words[3].to_owned()),
    };
    let (mut rules, mut profile) = (Vec::new(), None);
    match words.get(2) {
        Some(&"profile") => profile = Some(words[3].to_owned()),
        Some(&"LIKE") => rules.push(constraint(Operator::Like)),
        Some(&"UNLIKE") => rules.push(constraint(Operator::Unlike)),
        Some(other) => panic!("{other} says nothing about a disk"),
        None => (),
    }
    DiskNeed {
        share: if words[0] == "path" { Share::Part } else { Share::Whole { max: max.map(number) } },
        size: number(size),
        profile,
        rules: rules.iter().map(|one| Rule::new(one).expect("a constraint")).collect(),
    }
}

fn agent() -> AgentInfo {
    AgentInfo {
        hostname: "one".to_owned(),
        ip: "127.0.0.1".to_owned(),
        port: 5051,
        resources: Resources::default(),
        attributes: Vec::new(),
        domain: None,
        version: "0.1.0".to_owned(),
        work_dir: "/".to_owned(),
    }
}

fn need(volumes: &[&str]) -> Need {
    Need {
        scalars: [Scalar(100), Scalar::whole(10), Scalar(0), Scalar(0)],
        disks: volumes.iter().map(|text| wanted(text)).collect(),
        ports: Vec::new(),
        accepts: vec![Role::star()],
        rules: Vec::new(),
        home: None,
        instances: 1,
        gpus: GpuUse::Restricted,
        resident: true,
    }
}

/// What each volume takes, as `/m1 100`; or what is lacking.
fn taken(volumes: &[&str], offered: &[Resource]) -> Vec<String> {
    let mut all: Resources = "cpus:1;mem:100;disk:1000".parse().expect("resources");
    all.add(&Resources::new(offered.iter().cloned()));
    let mut room = Room::new(&all);
    let agent = agent();
    let site = Site { agent: &agent, prospect: Prospect::Stays };
    let spell = |one: &Resource| {
        let root = one.source().and_then(|source| source.root.as_deref()).expect("it has a path");
        format!("{root} {}", one.scalar())
    };
    match fit(&need(volumes), &room, site, &[], 0) {
        Err(lacks) => {
            lacks.iter().map(|lack| format!("{:?} {}", lack.demand, lack.missing)).collect()
        }
        Ok(taken) => {
            let disks = room.disks(&taken);
            let charged = room.take(&taken);
            assert!(all.contains(&charged), "{charged} of {all}");
            assert!(charged.contains(&Resources::new(disks.clone())), "{charged}");
            disks.iter().map(spell).collect()
        }
    }
}

#[test]
fn each_volume_takes_the_smallest_disk_that_is_right_for_it() {
    let check = |volumes: &[&str], offered: &[&str], expected: &[&str]| {
        let offered: Vec<Resource> = offered.iter().map(|text| disk(text)).collect();
        assert_eq!(taken(volumes, &offered), expected, "{volumes:?} of {offered:?}");
    };
    let mounts = ["mount /m1 100", "mount /m2 50", "mount /m3 400"];
    check(&["mount 10"], &mounts, &["/m2 50"]);
    check(&["mount 60"], &mounts, &["/m1 100"]);
    check(&["mount 60-90"], &mounts, &["Volume(0) 10"]);
    check(&["mount 60-100"], &mounts, &["/m1 100"]);
    check(&["mount 500"], &mounts, &["Volume(0) 100"]);
    check(&["mount 10 UNLIKE /m2"], &mounts, &["/m1 100"]);
    check(&["mount 10 LIKE /m[34]"], &mounts, &["/m3 400"]);
    check(&["mount 10 LIKE /m"], &mounts, &["Volume(0) 0"]);
    // The first gives way to the second, which can have nothing else.
    check(&["mount 10", "mount 10 LIKE /m2"], &mounts, &["/m1 100", "/m2 50"]);
    check(&["mount 10", "mount 10", "mount 10"], &mounts, &["/m2 50", "/m1 100", "/m3 400"]);
    check(&["mount 10", "mount 10", "mount 10", "mount 10"], &mounts, &["Volume(3) 0"]);
    check(&["path 10"], &mounts, &["Volume(0) 0"]);
    let paths = ["path /p1 100", "path /p2 60"];
    check(&["path 10"], &paths, &["/p2 10"]);
    check(&["path 30", "path 30", "path 100"], &paths, &["/p2 30", "/p2 30", "/p1 100"]);
    check(&["path 70", "path 70"], &paths, &["Volume(1) 0"]);
    check(&["mount 10"], &paths, &["Volume(0) 0"]);
    check(&["mount 10 profile fast"], &mounts, &["Volume(0) 0"]);
    check(&["mount 10 profile fast"], &["mount /m1 100 slow", "mount /m2 99 fast"], &["/m2 99"]);
    check(&["mount 10"], &["mount /m1 100 slow"], &["Volume(0) 0"]);
    check(&["mount 10"], &["raw /r 100"], &["Volume(0) 0"]);
}

#[test]
fn what_is_taken_is_not_there_for_the_next() {
    let offered = [disk("mount /m1 100"), disk("path /p1 50")];
    let all = Resources::new(offered).iter().cloned().collect::<Vec<_>>();
    let mut bag: Resources = "cpus:1;mem:100".parse().expect("resources");
    bag.add(&Resources::new(all));
    let mut room = Room::new(&bag);
    let agent = agent();
    let site = Site { agent: &agent, prospect: Prospect::Stays };
    let need = need(&["mount 10", "path 30"]);
    let first = fit(&need, &room, site, &[], 0).expect("it fits");
    let charged = room.take(&first);
    bag.subtract(&charged);
    assert_eq!(bag.disk(), Scalar::whole(20), "the rest of the path is left");
    let lacks = fit(&need, &room, site, &[], 0).expect_err("the mount is taken");
    assert_eq!(lacks.len(), 2);
    assert_eq!(lacks[1].missing, Scalar::whole(10));
}

#[test]
fn what_is_reserved_for_others_or_holds_a_volume_is_no_place_for_one() {
    let mut reserved = disk("mount /m1 100");
    reserved.reservations.push(model::resources::Reservation::fixed(Role::new("db")));
    assert_eq!(taken(&["mount 10"], &[reserved]), ["Volume(0) 0"]);
    let mut volume = disk("mount /m1 100");
    let info = volume.disk.as_mut().expect("it is a disk");
    info.persistence = Some(model::resources::Persistence { id: "v".to_owned(), principal: None });
    assert_eq!(taken(&["mount 10"], &[volume]), ["Volume(0) 0"]);
}
