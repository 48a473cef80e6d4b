//! Checks whose result is only shown, and those that say when a task is ready.

use std::time::Duration;

use crate::world::{World, check, task};
use model::check::{CheckInfo, PageAnswer, Readiness, ReadinessCheck};
use model::container::{Family, Probe, Run, Scheme};
use model::task::TaskInfo;
use node::{Finding, Look};

const NOTHING: [&str; 0] = [];

/// Asked every 30 s.
fn readiness(keeps_answer: bool) -> TaskInfo {
    let check = ReadinessCheck {
        probe: page(),
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        statuses: vec![200, 302],
        keeps_answer,
    };
    TaskInfo { readiness: Some(check), ..task("t") }
}

fn page() -> Probe {
    let (scheme, family) = (Scheme::Http, Family::Ipv4);
    Probe::Http { scheme, port: 80, path: "/".to_owned(), family, ignore_1xx: false }
}

/// Made every 10 s from the fifth on.
fn shown(probe: Probe) -> TaskInfo {
    let check = CheckInfo {
        probe,
        delay: Duration::from_secs(5),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(20),
    };
    TaskInfo { check: Some(check), ..task("t") }
}

fn answer(status: u16) -> Finding {
    Finding::Page(PageAnswer { status, content_type: "a/b".to_owned(), body: "so".to_owned() })
}

#[test]
fn a_page_is_asked_at_once_and_until_it_says_yes() {
    let mut world = World::running(readiness(true));
    assert_eq!(world.pass(0), ["look Readiness"]);
    assert_eq!(world.looked(Look::Readiness, answer(503)), NOTHING);
    assert_eq!(world.pass(29), NOTHING);
    assert_eq!(world.pass(1), ["look Readiness"]);
    assert_eq!(world.looked(Look::Readiness, answer(302)), ["t Running ready"]);
    world.acknowledge();
    assert_eq!(world.pass(3600), NOTHING, "it is asked no more");
    let told: Vec<_> = world.readiness.iter().map(|found| found.ready).collect();
    assert_eq!(told, [false, true]);
}

#[test]
fn answers_are_told_only_where_they_are_kept() {
    let check = |keeps_answer: bool, finding: Finding, expected: Option<(u16, &str)>| {
        let mut world = World::running(readiness(keeps_answer));
        world.pass(0);
        world.looked(Look::Readiness, finding.clone());
        let Readiness { ready, answer } = world.readiness.pop().expect("told");
        assert!(!ready, "{finding:?}");
        let found = answer.as_ref().map(|answer| (answer.status, answer.body.as_str()));
        assert_eq!(found, expected, "{finding:?}");
    };
    check(true, answer(503), Some((503, "so")));
    check(true, Finding::Nothing("refused".to_owned()), Some((504, "refused")));
    check(false, answer(503), None);
}

#[test]
fn the_same_answer_is_told_once_and_again_on_a_new_stream() {
    let mut world = World::running(readiness(true));
    for _ in 0..3 {
        world.pass(30);
        world.looked(Look::Readiness, answer(503));
    }
    assert_eq!(world.readiness.len(), 1);
    world.connect(1);
    assert_eq!(world.readiness.len(), 2);
}

#[test]
fn a_restarted_agent_asks_again_what_was_not_ready_and_repeats_what_was() {
    let mut world = World::running(readiness(false));
    world.pass(0);
    world.looked(Look::Readiness, answer(503));
    world.crash();
    assert_eq!(world.start(&[world.container.clone()]), NOTHING);
    world.connect(1);
    assert_eq!(world.pass(0), ["look Readiness"]);
    assert_eq!(world.looked(Look::Readiness, answer(200)), ["t Running ready"]);
    world.crash();
    assert_eq!(world.start(&[world.container.clone()]), NOTHING);
    assert_eq!(world.connect(1)[1..], ["t Running ready"], "nobody has acknowledged it");
    world.acknowledge();
    assert_eq!(world.pass(3600), NOTHING, "it is asked no more");
}

#[test]
fn a_lost_look_is_made_again_and_what_is_to_end_is_not_looked_at() {
    let mut world = World::running(readiness(false));
    world.pass(0);
    assert_eq!(world.pass(19), NOTHING);
    assert_eq!(world.pass(1), ["look Readiness"]);
    world.kill("t", None);
    assert_eq!(world.looked(Look::Readiness, answer(200)), NOTHING);
    assert_eq!(world.pass(3600), NOTHING);
}

#[test]
fn changes_of_what_a_check_finds_are_told_and_nothing_follows() {
    let check = |probe: Probe, finding: Finding, found: &str| {
        let mut world = World::running(shown(probe));
        assert_eq!(world.pass(4), NOTHING);
        assert_eq!(world.pass(1), ["look Check"]);
        let told = [format!("t Running {found} TaskCheckStatusUpdated")];
        assert_eq!(world.looked(Look::Check, finding.clone()), told);
        world.acknowledge();
        assert_eq!(world.pass(10), ["look Check"]);
        assert_eq!(world.looked(Look::Check, finding), NOTHING, "the same");
        assert_eq!(world.pass(10), ["look Check"], "for ever");
    };
    let command = || Probe::command(Run::Shell("true".to_owned()));
    let tcp = || Probe::Tcp { port: 80, family: Family::Ipv4 };
    check(page(), answer(500), "Http(Some(500))");
    check(tcp(), Finding::Connected, "Tcp(Some(true))");
    check(tcp(), Finding::Nothing("refused".to_owned()), "Tcp(Some(false))");
    check(command(), Finding::Exited(3), "Command(Some(3))");
}

#[test]
fn a_check_that_found_nothing_yet_is_unknown() {
    let mut world = World::running(shown(page()));
    assert_eq!(
        world.told.as_ref().and_then(|told| told.check).map(|one| format!("{one:?}")),
        Some("Http(None)".to_owned())
    );
    world.pass(5);
    assert_eq!(world.looked(Look::Check, Finding::Nothing("late".to_owned())), NOTHING);
}

#[test]
fn health_and_the_rest_do_not_forget_each_other() {
    let health_checks = vec![check(3)];
    let info = TaskInfo { health_checks, readiness: readiness(false).readiness, ..shown(page()) };
    let mut world = World::running(info);
    world.pass(5);
    let well = world.probed(0, Ok(()));
    assert_eq!(well, ["t Running well unready Http(None) TaskHealthCheckStatusUpdated"]);
    world.acknowledge();
    let ready = world.looked(Look::Readiness, answer(200));
    assert_eq!(ready, ["t Running well ready Http(None)"]);
    world.acknowledge();
    let found = world.looked(Look::Check, answer(200));
    assert_eq!(found, ["t Running well ready Http(Some(200)) TaskCheckStatusUpdated"]);
}
