//! Resources as an operator spells them, reckoned with.

use super::*;
use crate::container::VolumeMode;
use crate::id::{ProviderId, Role};

fn bag(text: &str) -> Resources {
    text.parse().expect("resources")
}

#[test]
fn scalars_are_exact_to_three_decimals() {
    let tenth = Scalar::from_f64(0.1).expect("a number");
    assert_eq!(Scalar(tenth.0 * 3), Scalar::from_f64(0.3).expect("a number"));
    assert_eq!(Scalar::from_f64(0.0005), Some(Scalar(1)));
    assert_eq!(Scalar::from_f64(-1.0), None);
    assert_eq!(Scalar::from_f64(f64::NAN), None);
    assert_eq!(Scalar(1_250).to_string(), "1.25");
    assert_eq!(Scalar(3_000).to_string(), "3");
}

#[test]
fn a_bag_takes_and_gives_back() {
    let mut all = bag("cpus:4;mem:8192;ports:[31000-32000];cpus(slave_public):2");
    let some = bag("cpus:0.1;mem:32;ports:[31005-31005]");
    assert!(all.contains(&some));
    all.subtract(&some);
    assert_eq!(all, bag("cpus:3.9;mem:8160;ports:[31000-31004,31006-32000];cpus(slave_public):2"));
    assert!(!all.contains(&bag("cpus:5")), "what is reserved does not count for all");
    all.add(&some);
    assert_eq!(all, bag("cpus:4;mem:8192;ports:[31000-32000];cpus(slave_public):2"));
    assert_eq!(all.cpus(), Scalar::whole(6));
    assert_eq!(all.unreserved().cpus(), Scalar::whole(4));
    assert_eq!(all.allocatable_to(&Role::new("slave_public/web")).cpus(), Scalar::whole(6));
    assert_eq!(all.allocatable_to(&Role::new("dev")).cpus(), Scalar::whole(4));
}

#[test]
fn what_is_not_there_is_passed_over() {
    let check = |all: &str, other: &str, rest: &str| {
        assert_eq!(bag(all).minus(&bag(other)), bag(rest), "{all} - {other}");
    };
    check("cpus:4;mem:8", "cpus:1;mem:8", "cpus:3");
    check("cpus:1;ports:[1-5]", "cpus:2;ports:[4-9];disk:1", "ports:[1-3]");
    check("cpus:1;cpus(a):2", "cpus(b):1;cpus(a):1", "cpus:1;cpus(a):1");
    check("lanes:{a,b};tags:3", "lanes:{b,c};tags:{x}", "lanes:{a};tags:3");
}

#[test]
fn bad_resources_are_refused_with_the_part_that_is_bad() {
    let check = |text: &str, part: &str| {
        let error = text.parse::<Resources>().expect_err(text).to_string();
        assert!(error.contains(part), "{error}");
    };
    check("cpus:4;mem", "\"mem\"");
    check("cpus:four", "\"four\"");
    check("ports:4", "ports:4");
    check("cpus:[1-2]", "cpus:[1-2]");
    check("cpus:1;cpus:2", "twice");
    check("ports:[5-1]", "[5-1]");
}

#[test]
fn spelling_reads_back() {
    let all = bag("cpus:4.25;mem:8192;ports:[1-2, 5-6];cpus(a/b):2;colours:{blue,red}");
    assert_eq!(bag(&all.to_string()), all);
}

fn reserved(text: &str, by: &str) -> Resource {
    let mut one = bag(text).iter().next().expect("one resource").clone();
    let (kind, labels) = (ReservationKind::Dynamic, Labels::new());
    one.reservations.push(Reservation { kind, role: Role::new(by), principal: None, labels });
    one
}

fn volume(text: &str, id: &str) -> Resource {
    let persistence = Some(Persistence { id: id.to_owned(), principal: None });
    let (container_path, mode) = ("data".to_owned(), VolumeMode::ReadWrite);
    let volume = Some(DiskVolume { container_path, mode, host_path: None });
    let disk = Some(Box::new(DiskInfo { persistence, volume, source: None }));
    Resource { disk, ..reserved(text, "db") }
}

#[test]
fn a_volume_is_one_thing() {
    let (one, other) = (volume("disk:8", "a"), volume("disk:8", "b"));
    let both = Resources::new([one.clone(), other.clone(), reserved("disk:4", "db")]);
    assert_eq!(both.iter().count(), 3, "{both}");
    assert_eq!(both.disk(), Scalar::whole(20));
    assert!(both.contains(&Resources::new([other.clone()])));
    let half = one.sized(Scalar::whole(4));
    assert!(!both.contains(&Resources::new([half.clone()])), "half a volume is none");
    assert_eq!(both.minus(&Resources::new([half])), both);
    let twice = Resources::new([one.clone(), one.clone()]);
    assert!(!both.contains(&twice), "it is there once");
    let rest = both.minus(&Resources::new([one]));
    assert_eq!(rest, Resources::new([other, reserved("disk:4", "db")]));
}

fn brought(one: &Resource, by: &str) -> Resource {
    Resource { provider: Some(Box::new(ProviderId::new(by))), ..one.clone() }
}

#[test]
fn what_several_providers_bring_is_never_one() {
    let own = bag("disk:8");
    let one = own.iter().next().expect("one");
    let of = |by| Resources::new([brought(one, by)]);
    let mut all = own.clone();
    all.add(&of("a"));
    all.add(&of("b"));
    all.add(&of("a"));
    assert_eq!((all.iter().count(), all.disk()), (3, Scalar::whole(32)));
    assert_eq!(all.of_provider(Some(&ProviderId::new("a"))).disk(), Scalar::whole(16));
    assert_eq!(all.of_provider(None), own);
    assert!(!own.contains(&of("a")) && !of("a").contains(&own) && !of("b").contains(&of("a")));
    assert_eq!(all.minus(&of("b")).minus(&of("b")).disk(), Scalar::whole(24));
    assert_eq!(all.providers().len(), 3);
    let reserved = Resource { reservations: reserved("disk:1", "db").reservations, ..one.clone() };
    assert!(reserved.is_made() && !brought(&reserved, "a").is_claim());
}

#[test]
fn a_volume_is_the_same_wherever_a_task_sees_it() {
    let made = Resources::new([volume("disk:8", "a")]);
    let mut seen = volume("disk:8", "a");
    let disk = seen.disk.as_mut().expect("it is a volume");
    disk.volume.as_mut().expect("it has one").container_path = "elsewhere".to_owned();
    let seen = Resources::new([seen]);
    assert!(made.contains(&seen));
    assert!(made.minus(&seen).is_empty());
}

#[test]
fn a_shared_volume_is_there_as_often_as_it_is_held_and_counts_once() {
    let shared = Resource { shared: true, ..volume("disk:8", "a") };
    let mut held = Resources::new([shared.clone(), shared.clone()]);
    assert_eq!(
        (held.disk(), held.unshared_scalar(&ResourceName::Disk)),
        (Scalar::whole(8), Scalar(0))
    );
    assert_eq!(held.unlabelled(), bag("disk:8"));
    let one = Resources::new([shared]);
    held.subtract(&one);
    assert_eq!(held, one);
    held.subtract(&one);
    assert!(held.is_empty());
}

#[test]
fn what_became_of_resources_is_told_apart_from_what_the_agent_has() {
    let total = bag("cpus:4;disk:20;disk(db):10");
    let claims = Resources::new([
        reserved("cpus:1", "web"),
        volume("disk:8", "a"),
        volume("disk(db):2", "b"),
    ]);
    let all = total.with_claims(&claims);
    assert_eq!(all.claims(), claims);
    assert_eq!(all.unclaimed(), total);
    assert_eq!(all.unlabelled(), total.unlabelled());
    assert_eq!(all.unreserved(), bag("cpus:3;disk:12"));
    assert_eq!(all.allocatable_to(&Role::new("web")).cpus(), Scalar::whole(4));
    assert_eq!(all.allocatable_to(&Role::new("dev")).cpus(), Scalar::whole(3));
}

#[test]
fn one_name_may_have_two_types() {
    let (number, set) = (bag("gold:4"), bag("gold:{a,b}"));
    let mut both = number.clone();
    both.add(&set);
    assert!(both.contains(&number) && both.contains(&set));
    assert_eq!(both.minus(&number), set);
}

#[test]
fn resources_of_the_former_release_are_read_and_written() {
    /// As the former release had it.
    #[derive(Debug, PartialEq, Encode, Decode)]
    struct Former {
        #[n(0)]
        name: ResourceName,
        #[n(1)]
        amount: Amount,
        #[n(2)]
        reserved: Option<Role>,
    }
    let check = |role: Option<Role>| {
        let (name, amount) = (ResourceName::Mem, Amount::Scalar(Scalar::whole(64)));
        let former = Former { name: name.clone(), amount: amount.clone(), reserved: role.clone() };
        let bytes = minicbor::to_vec(&former).expect("a vector takes all");
        let read: Resource = minicbor::decode(&bytes).expect("it is read");
        assert_eq!(read, Resource::reserved(name, amount, role));
        assert_eq!(minicbor::to_vec(&read).expect("a vector takes all"), bytes);
    };
    check(None);
    check(Some(Role::new("slave_public")));
}

#[test]
fn all_that_is_said_of_a_resource_is_read_back() {
    let check = |one: Resource| {
        let bytes = minicbor::to_vec(&one).expect("a vector takes all");
        assert_eq!(minicbor::decode::<Resource>(&bytes).expect("it is read"), one, "{bytes:x?}");
    };
    check(volume("disk(db):2", "b"));
    check(Resource { shared: true, ..volume("disk:2", "b") });
    check(brought(bag("disk:2").iter().next().expect("one"), "p"));
    check(Resource { revocable: true, ..bag("cpus:1").iter().next().expect("one").clone() });
    let labels = Labels::from([("a".to_owned(), None), ("b".to_owned(), Some("c".to_owned()))]);
    let mut one = reserved("cpus:1", "db");
    one.reservations.push(Reservation {
        kind: ReservationKind::Dynamic,
        role: Role::new("db/eu"),
        principal: Some("ops".to_owned()),
        labels: labels.clone(),
    });
    one.disk = Some(Box::new(DiskInfo {
        source: Some(DiskSource {
            kind: DiskKind::Mount,
            root: Some("/mnt/a".to_owned()),
            vendor: None,
            id: Some("d1".to_owned()),
            metadata: labels,
            profile: None,
        }),
        ..DiskInfo::default()
    }));
    check(one);
}
