//! Accepting offers: what is launched, and what is said of that which is not.

use std::time::Duration;

use kernel::Effect;
use model::agent::{Books, FromAgent, PROTOCOL_READINESS, ToAgent};
use model::check::ReadinessCheck;
use model::container::{ContainerInfo, ContainerKind, Family, Image, Probe, Scheme};
use model::framework::FrameworkInfo;
use model::id::{AgentId, Role, TaskId};
use model::scheduler::{Call, Filters, Offer};
use model::task::TaskInfo;

use crate::stage::{BIG, Stage, bag, framework, info, offers, task, told};

#[test]
fn each_task_of_an_accept_is_judged_for_itself() {
    let check = |spoil: &dyn Fn(&mut TaskInfo), expected: &[&str]| {
        let mut stage = Stage::new();
        stage.agent(1, BIG);
        stage.framework("*");
        let offer = offers(&stage.settle()).remove(0);
        let mut spoiled = task("bad", &offer, "cpus:1;mem:64");
        spoil(&mut spoiled);
        let good = [task("a", &offer, "cpus:1;mem:64"), task("b", &offer, "cpus:1;mem:64")];
        let [first, last] = good;
        let effects = stage.launch(&offer, vec![first, spoiled, last]);
        assert_eq!(told(&effects), expected);
        assert_eq!(stage.kernel.view().tasks[&offer.framework].len(), 2);
        assert_eq!(stage.log.len(), 3, "an agent, a framework and one total, however many tasks");
    };
    let faulty = |id: &str| format!("Error {id} TaskInvalid");
    let plain = ["Run a to 1", &faulty("bad"), "Run b to 1"].map(str::to_owned);
    let plain: Vec<_> = plain.iter().map(String::as_str).collect();
    check(&|task| task.agent = AgentId::new("c-S9"), &plain);
    check(&|task| task.role = Role::new("other"), &plain);
    check(&|task| task.resources = bag(""), &plain);
    check(&|task| task.resources = bag("cpus:3.5"), &plain);
    check(&|task| task.resources = bag("cpus(other):1"), &plain);
    check(&|task| task.resources = bag("ports:[999-1000]"), &plain);
    check(&|task| task.resources = bag("cpus:1;teeth:32"), &plain);
    for id in ["", ".", "..", "a/b", "a\nb", "a\\b"] {
        let expected = ["Run a to 1".to_owned(), faulty(id), "Run b to 1".to_owned()];
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check(&|task| task.id = TaskId::new(id), &expected);
    }
    check(&|task| task.id = TaskId::new("a"), &["Run a to 1", "Error a TaskInvalid", "Run b to 1"]);
}

#[test]
fn a_task_id_of_255_characters_is_the_longest() {
    let check = |length: usize, fine: bool| {
        let mut stage = Stage::new();
        stage.agent(1, BIG);
        stage.framework("*");
        let offer = offers(&stage.settle()).remove(0);
        let id = "x".repeat(length);
        let effects = stage.launch(&offer, vec![task(&id, &offer, "cpus:1;mem:64")]);
        assert_eq!(told(&effects)[0].starts_with("Run"), fine, "{length}");
    };
    check(255, true);
    check(256, false);
}

#[test]
fn offers_that_do_not_belong_together_launch_nothing() {
    type Choice = fn(&Offer, &Offer) -> Vec<model::id::OfferId>;
    let check = |name: &str, choice: Choice, aware: bool, expected: &str, outstanding: usize| {
        let mut stage = Stage::new();
        stage.agent(1, BIG);
        stage.agent(2, BIG);
        let capability = model::framework::Capability::PartitionAware;
        let capabilities: &[_] = if aware { &[capability] } else { &[] };
        let from = stage.subscribe(framework("*", capabilities));
        let all = offers(&stage.settle());
        let tasks = vec![task("t", &all[0], "cpus:1;mem:64")];
        let effects = stage.launch_from(&from, choice(&all[0], &all[1]), tasks);
        assert_eq!(told(&effects), [expected], "{name}");
        assert_eq!(stage.kernel.view().offers.len(), outstanding, "{name}");
    };
    let dropped = "Dropped t InvalidOffers";
    check("of two agents", |a, b| vec![a.id.clone(), b.id.clone()], true, dropped, 0);
    check("one twice", |a, _| vec![a.id.clone(), a.id.clone()], true, dropped, 1);
    check("none", |_, _| vec![], true, dropped, 2);
    check("unknown", |_, _| vec![model::id::OfferId::new("c-O7")], true, dropped, 2);
    check("for one who knows only lost", |_, _| vec![], false, "Lost t InvalidOffers", 2);
    check("one of one agent", |a, _| vec![a.id.clone()], true, "Run t to 1", 1);
}

#[test]
fn several_offers_of_one_agent_are_one_lot() {
    let mut stage = Stage::new();
    let agent = stage.agent(1, BIG);
    let framework = stage.framework("*");
    let offer = offers(&stage.settle()).remove(0);
    stage.launch(&offer, vec![task("t", &offer, "cpus:2;mem:2048;ports:[1000-1009]")]);
    let rest = offers(&stage.settle()).remove(0);
    stage.report(
        1,
        &framework,
        "t",
        model::task::TaskState::Failed,
        model::task::TaskState::Failed,
    );
    let more = offers(&stage.settle()).remove(0);
    let ids = vec![rest.id.clone(), more.id.clone()];
    let effects = stage.launch_from(&framework, ids, vec![task("u", &rest, "cpus:4;mem:4096")]);
    assert_eq!(told(&effects), ["Run u to 1"]);
    assert!(!stage.kernel.view().offered().contains_key(&agent));
}

#[test]
fn another_framework_s_offer_cannot_be_taken() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    stage.framework("a");
    let offer = offers(&stage.settle()).remove(0);
    let thief = stage.framework("b");
    let ids = vec![offer.id.clone()];
    let effects = stage.launch_from(&thief, ids.clone(), vec![task("t", &offer, "cpus:1")]);
    assert_eq!(told(&effects), ["Dropped t InvalidOffers"]);
    stage.call(&thief, Call::Decline { offers: ids, filters: Filters { refuse: Duration::ZERO } });
    assert_eq!(stage.kernel.view().offers.len(), 1);
}

#[test]
fn agents_of_the_last_release_get_no_tasks_that_have_to_say_when_they_are_ready() {
    let check = |protocol: u32, expected: &str| {
        let mut stage = Stage::new();
        let (agent, tasks) = (None, vec![]);
        stage.hear(
            1,
            FromAgent::Register {
                protocol,
                agent,
                info: info(BIG),
                tasks,
                books: Books::default(),
            },
        );
        stage.framework("*");
        let offer = offers(&stage.settle()).remove(0);
        let (scheme, family) = (Scheme::Http, Family::Ipv4);
        let path = "/".to_owned();
        let readiness = ReadinessCheck {
            probe: Probe::Http { scheme, port: 80, path, family, ignore_1xx: false },
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            statuses: vec![200],
            keeps_answer: false,
        };
        let task = task("a", &offer, "cpus:1;mem:64");
        let task = TaskInfo { readiness: Some(readiness), ..task };
        assert_eq!(told(&stage.launch(&offer, vec![task])), [expected], "{protocol}");
    };
    check(PROTOCOL_READINESS, "Run a to 1");
    check(PROTOCOL_READINESS - 1, "Error a TaskInvalid");
}

#[test]
fn agents_learn_whose_tasks_they_run_and_tasks_run_as_their_framework_unless_they_say() {
    let check = |of: &str, own: Option<&str>, image: Option<&str>, expected: Option<&str>| {
        let mut stage = Stage::new();
        stage.agent(1, BIG);
        let info = FrameworkInfo { user: of.to_owned(), ..framework("*", &[]) };
        stage.subscribe(info);
        let offer = offers(&stage.settle()).remove(0);
        let mut task = task("t", &offer, "cpus:1;mem:64");
        task.command.user = own.map(str::to_owned);
        task.container = image.map(|name| {
            let image = Some(Image::plain(name));
            ContainerInfo {
                kind: ContainerKind::Mesos,
                image,
                volumes: vec![],
                privileged: false,
                tty: false,
                parameters: vec![],
                shared: vec![],
                bounds: None,
            }
        });
        let effects = stage.launch(&offer, vec![task]);
        let run = effects.iter().find_map(|effect| match effect {
            Effect::ToAgent(_, ToAgent::Run { task, of, .. }) => Some((task, of.clone())),
            Effect::ToAgent(..) | Effect::Event(..) | Effect::Disconnect(_) => None,
        });
        let (task, introduced) = run.expect("it is launched");
        assert_eq!(task.command.user.as_deref(), expected, "{of:?} {own:?} {image:?}");
        let introduced = introduced.expect("a framework that is known");
        assert_eq!(introduced.user, of);
        assert_eq!(introduced.id.as_ref(), Some(&offer.framework));
        let view = stage.kernel.view();
        assert_eq!(view.tasks[&offer.framework][&task.id].user.as_deref(), expected);
    };
    check("web", None, None, Some("web"));
    check("web", Some("db"), None, Some("db"));
    check("web", None, Some("nginx"), None);
    check("web", Some("db"), Some("nginx"), Some("db"));
    check("", None, None, None);
}
