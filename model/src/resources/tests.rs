//! Resources as an operator spells them, reckoned with.

use super::*;

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
