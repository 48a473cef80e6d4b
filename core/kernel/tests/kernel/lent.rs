//! What agents lend: who is offered it, what happens when it is less, and how a new leader hears of it.

use kernel::Effect;
use model::agent::{Books, FromAgent, HeldTask, PROTOCOL};
use model::framework::Capability;
use model::id::{AgentId, FrameworkId};
use model::resources::{Resource, Resources};
use model::scheduler::{Event, Offer};
use model::task::{Reason, TaskInfo, TaskState, TaskStatus};

use crate::stage::{BIG, Stage, bag, framework, info, offers, status, task};

fn lent(text: &str) -> Resources {
    Resources::new(bag(text).iter().map(|one| Resource { revocable: true, ..one.clone() }))
}

fn lends(stage: &mut Stage, text: &str) -> Vec<Effect> {
    // What it says of it is not taken for granted: that it is lent is.
    stage.hear(1, FromAgent::Lends { revocable: bag(text) })
}

fn borrower(stage: &mut Stage) -> FrameworkId {
    stage.subscribe(framework("*", &[Capability::RevocableResources, Capability::PartitionAware]))
}

fn of(offers: &[Offer]) -> Resources {
    let mut sum = Resources::default();
    offers.iter().for_each(|offer| sum.add(&offer.resources.only(|one| one.revocable)));
    sum
}

fn borrowing(offer: &Offer, cpus: &str) -> TaskInfo {
    let mut one = task("t", offer, "mem:64");
    one.resources.add(&lent(cpus));
    one
}

#[test]
fn what_is_lent_is_offered_to_those_only_who_know_that_it_may_be_taken_away() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    lends(&mut stage, "cpus:2");
    let plain = stage.framework("*");
    let offered = offers(&stage.settle());
    assert_eq!((offered.len(), of(&offered)), (1, Resources::default()));
    stage.decline(&offered[0], 1_000);
    assert_eq!(plain, offered[0].framework);
    borrower(&mut stage);
    assert_eq!(of(&offers(&stage.settle())), lent("cpus:2"));
}

#[test]
fn an_offer_of_what_is_lent_is_taken_back_when_that_changes() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    borrower(&mut stage);
    stage.settle();
    // An offer without anything lent stays.
    let is_rescinded = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::Event(_, Event::Rescind(_))))
    };
    assert!(!is_rescinded(&lends(&mut stage, "cpus:2")));
    let offered = offers(&stage.settle());
    assert_eq!(of(&offered), Resources::default(), "too little for an offer of its own");
    let all: Vec<_> = stage.kernel.view().offers.values().cloned().collect();
    all.iter().for_each(|offer| drop(stage.decline(offer, 0)));
    assert_eq!(of(&offers(&stage.settle())), lent("cpus:2"));
    assert!(is_rescinded(&lends(&mut stage, "cpus:1")));
    assert_eq!(of(&offers(&stage.settle())), lent("cpus:1"));
    assert!(!is_rescinded(&lends(&mut stage, "cpus:1")));
}

/// A task that runs on what it has borrowed.
fn borrowed(stage: &mut Stage, capabilities: &[Capability]) -> (AgentId, FrameworkId, TaskInfo) {
    let agent = stage.agent(1, BIG);
    lends(stage, "cpus:2");
    let from = stage.subscribe(framework("*", capabilities));
    let offer = offers(&stage.settle()).remove(0);
    let task = borrowing(&offer, "cpus:1.5");
    stage.launch(&offer, vec![task.clone()]);
    stage.report(1, &from, "t", TaskState::Running, TaskState::Running);
    (agent, from, task)
}

fn told(effects: &[Effect]) -> Option<&TaskStatus> {
    effects.iter().find_map(|effect| match effect {
        Effect::Event(_, Event::Update(status)) => Some(status),
        Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => None,
    })
}

#[test]
fn who_borrowed_is_told_that_it_was_preempted_in_words_that_it_knows() {
    let check = |capabilities: &[Capability], state: TaskState| {
        let mut stage = Stage::new();
        let (_, from, _) = borrowed(&mut stage, capabilities);
        let mut gone = status("t", TaskState::Gone, Some(model::id::Uuid::derive(1, 2)), stage.now);
        gone.reason = Some(Reason::ContainerPreempted);
        let update = FromAgent::Update {
            framework: from,
            status: gone,
            latest: TaskState::Gone,
            place: None,
        };
        let effects = stage.hear(1, update);
        assert_eq!(told(&effects).map(|status| status.state), Some(state));
        let free = of(&offers(&stage.settle()));
        assert_eq!(free, lent("cpus:2"), "and what it had is lent again");
    };
    check(&[Capability::RevocableResources, Capability::PartitionAware], TaskState::Gone);
    check(&[Capability::RevocableResources], TaskState::Lost);
}

#[test]
fn what_is_borrowed_may_be_more_than_what_is_lent_by_now() {
    let mut stage = Stage::new();
    let (agent, ..) = borrowed(&mut stage, &[Capability::RevocableResources]);
    lends(&mut stage, "cpus:1");
    assert_eq!(of(&offers(&stage.settle())), Resources::default());
    lends(&mut stage, "cpus:2");
    let view = stage.kernel.view();
    assert_eq!(view.agents[&agent].revocable, lent("cpus:2"));
    let all: Vec<_> = view.offers.values().cloned().collect();
    all.iter().for_each(|offer| drop(stage.decline(offer, 0)));
    assert_eq!(of(&offers(&stage.settle())), lent("cpus:0.5"));
}

#[test]
fn a_new_leader_hears_with_the_registration_what_is_lent() {
    let mut stage = Stage::new();
    let capabilities = [Capability::RevocableResources, Capability::PartitionAware];
    let (agent, from, info_of_task) = borrowed(&mut stage, &capabilities);
    stage.restart();
    let again = framework("*", &capabilities);
    stage.subscribe(model::framework::FrameworkInfo { id: Some(from.clone()), ..again });
    let mut held = model::task::Task::staged(from, &info_of_task, None);
    held.state = TaskState::Running;
    let books = Books { revocable: lent("cpus:2"), ..Books::default() };
    stage.hear(
        9,
        FromAgent::Register {
            protocol: PROTOCOL,
            agent: Some(agent),
            info: info(BIG),
            tasks: vec![HeldTask { task: held, place: None }],
            books,
        },
    );
    assert_eq!(of(&offers(&stage.settle())), lent("cpus:0.5"));
}
