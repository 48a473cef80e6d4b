//! Machines go down for maintenance and come up again; who holds something there is asked before.

use std::time::Duration;

use kernel::maintenance::{Asked, MachineId, Mode};
use kernel::operator::Order;
use kernel::state::Standing;
use kernel::view::Answer;
use kernel::{Input, Refusal};
use model::framework::{Capability, FrameworkInfo};
use model::id::{AgentId, FrameworkId, OfferId};
use model::scheduler::{Call, Filters, Unavailability};
use model::task::TaskState::Running;
use model::time::Time;

use crate::stage::{BIG, Stage, framework, held, info, offers, register, task, told};

const AWARE: &[Capability] = &[Capability::PartitionAware];

/// The machine of every agent on the stage.
fn host() -> MachineId {
    MachineId::new("HOST", "127.0.0.1")
}

fn window(machines: &[MachineId]) -> Asked {
    let duration = Some(Duration::from_secs(3_600));
    let unavailability = Unavailability { start: Time(2_000_000_000), duration };
    Asked { machines: machines.to_vec(), unavailability }
}

fn order(stage: &mut Stage, order: Order) -> Vec<String> {
    told(&stage.step(Input::Operator { order }))
}

fn plan(stage: &mut Stage) -> Vec<String> {
    order(stage, Order::UpdateSchedule(vec![window(&[host()])]))
}

fn answers(stage: &Stage, agent: &AgentId) -> Vec<Answer> {
    stage.kernel.view().agents[agent].answers.iter().map(|one| one.answer).collect()
}

fn outstanding(stage: &Stage) -> Vec<OfferId> {
    stage.kernel.view().inverse_offers.keys().cloned().collect()
}

fn refuse(seconds: u64) -> Filters {
    Filters { refuse: Duration::from_secs(seconds) }
}

#[test]
fn a_machine_is_named_by_all_or_some_of_what_its_agents_say() {
    let check = |hostname: &str, ip: &str, expected: bool| {
        let found = MachineId::new(hostname, ip).holds(&info(BIG));
        assert_eq!(found, expected, "{hostname} {ip}");
    };
    check("host", "127.0.0.1", true);
    check("Host", "", true);
    check("", "127.0.0.1", true);
    check("host", "127.0.0.2", false);
    check("other", "127.0.0.1", false);
}

#[test]
fn a_schedule_is_judged() {
    let down = || {
        let mut stage = Stage::new();
        plan(&mut stage);
        order(&mut stage, Order::StartMaintenance(vec![host()]));
        stage
    };
    let check = |name: &str, stage: &mut Stage, order: Order, cause: &str| {
        let before = stage.kernel.state().clone();
        let (done, _) = stage.try_step(Input::Operator { order });
        let Err(Refusal::InvalidMaintenance(why)) = done else { panic!("{name}: {done:?}") };
        assert!(why.contains(cause), "{name}: {why}");
        assert_eq!(*stage.kernel.state(), before, "{name}");
    };
    let mut up = Stage::new();
    let other = MachineId::new("other", "");
    let schedule = |machines: &[MachineId]| Order::UpdateSchedule(vec![window(machines)]);
    check("empty", &mut up, schedule(&[]), "List of machines in the maintenance window is empty");
    check("nameless", &mut up, schedule(&[MachineId::default()]), "Both 'hostname' and 'ip'");
    check("no address", &mut up, schedule(&[MachineId::new("a", "b")]), "not an IPv4 address");
    let twice = schedule(&[host(), host()]);
    check("twice in a window", &mut up, twice, "appears more than once in the schedule");
    let windows = vec![window(&[host()]), window(&[host()])];
    let twice = Order::UpdateSchedule(windows);
    check("in two windows", &mut up, twice, "appears more than once in the schedule");
    check("it is down", &mut down(), schedule(std::slice::from_ref(&other)), "cannot be removed");
    let start = |machines: &[MachineId]| Order::StartMaintenance(machines.to_vec());
    check("nothing to start", &mut up, start(&[]), "List of machines is empty");
    check("unplanned", &mut up, start(&[host()]), "is not part of a maintenance schedule");
    check("down twice", &mut down(), start(&[host()]), "is not in DRAINING mode");
    let stop = |machines: &[MachineId]| Order::StopMaintenance(machines.to_vec());
    check("unplanned", &mut up, stop(&[other]), "is not part of a maintenance schedule");
    plan(&mut up);
    check("it is up", &mut up, stop(&[host()]), "is not in DOWN mode");
    check("named twice", &mut up, start(&[host(), host()]), "appears more than once in the list");
}

#[test]
fn offers_say_when_their_agent_is_to_go_down() {
    let mut stage = Stage::new();
    stage.agent(1, BIG);
    stage.framework("*");
    assert_eq!(offers(&stage.settle())[0].unavailability, None);
    assert_eq!(plan(&mut stage), ["Rescind"]);
    let planned = Some(window(&[]).unavailability);
    assert_eq!(offers(&stage.settle())[0].unavailability, planned);
    assert_eq!(plan(&mut stage), [""; 0], "nothing has changed");
    stage.restart();
    stage.hear(2, register(Some(&AgentId::new("c-S0")), BIG, vec![]));
    stage.framework("*");
    assert_eq!(offers(&stage.settle())[0].unavailability, planned, "the next leader knows of it");
    assert_eq!(order(&mut stage, Order::UpdateSchedule(vec![])), ["Rescind"]);
    assert_eq!(offers(&stage.settle())[0].unavailability, None);
}

#[test]
fn who_holds_something_is_asked_for_it_and_what_it_says_is_shown() {
    let check = |accept: bool, answer: Answer| {
        let mut stage = Stage::new();
        let (agent, framework) = stage.running(AWARE);
        stage.framework("*");
        plan(&mut stage);
        assert_eq!(told(&stage.settle()), ["InverseOffers 1"], "{answer:?}: of two frameworks");
        let offers = outstanding(&stage);
        assert_eq!(answers(&stage, &agent), []);
        let stranger = FrameworkId::new("c-0001");
        let filters = refuse(60);
        let foreign = Call::AcceptInverse { offers: offers.clone(), filters };
        stage.call(&stranger, foreign);
        assert_eq!(outstanding(&stage), offers, "{answer:?}: it is not the stranger's");
        let call = match accept {
            true => Call::AcceptInverse { offers, filters },
            false => Call::DeclineInverse { offers, filters },
        };
        stage.call(&framework, call);
        assert_eq!(answers(&stage, &agent), [answer]);
        assert!(outstanding(&stage).is_empty(), "{answer:?}");
        stage.live(Duration::from_secs(59));
        assert!(outstanding(&stage).is_empty(), "{answer:?}: it does not want to be asked yet");
        stage.live(Duration::from_secs(2));
        assert_eq!(outstanding(&stage).len(), 1, "{answer:?}: again");
        assert_eq!(answers(&stage, &agent), [answer], "until it says something else");
    };
    check(true, Answer::Accept);
    check(false, Answer::Decline);
}

#[test]
fn what_nobody_answers_is_asked_again() {
    let mut stage = Stage::new();
    stage.running(AWARE);
    plan(&mut stage);
    stage.settle();
    let first = outstanding(&stage);
    let effects = told(&stage.live(Duration::from_secs(121)));
    assert!(effects.contains(&"RescindInverse".to_owned()), "{effects:?}");
    let second = outstanding(&stage);
    assert!(second.len() == 1 && second != first, "{second:?}");
    let heard = order(&mut stage, Order::UpdateSchedule(vec![]));
    assert!(heard.contains(&"RescindInverse".to_owned()), "{heard:?}");
    assert!(outstanding(&stage).is_empty());
}

#[test]
fn who_comes_later_is_asked_as_well() {
    let mut stage = Stage::new();
    let agent = stage.agent(1, BIG);
    let id = stage.framework("*");
    plan(&mut stage);
    let offer = offers(&stage.settle()).remove(0);
    stage.launch(&offer, vec![task("t", &offer, "cpus:1;mem:128")]);
    assert_eq!(told(&stage.settle()), ["InverseOffers 1"], "whoever launches something");
    stage.step(Input::FrameworkLost { framework: id.clone() });
    assert!(outstanding(&stage).is_empty(), "nobody listens");
    stage.subscribe(FrameworkInfo { id: Some(id.clone()), ..framework("*", AWARE) });
    assert_eq!(told(&stage.settle()), ["InverseOffers 1"], "whoever is back");
    assert_eq!(told(&stage.lose(1)), ["Rescind", "RescindInverse"]);
    let tasks = vec![held(&id, &agent, "t", "cpus:1;mem:128", Running)];
    stage.hear(2, register(Some(&agent), BIG, tasks));
    assert_eq!(told(&stage.settle()), ["InverseOffers 1"], "on an agent that is back");
}

#[test]
fn a_machine_that_is_down_has_no_agents_until_it_is_up() {
    let mut stage = Stage::new();
    let (agent, framework) = stage.running(AWARE);
    plan(&mut stage);
    stage.settle();
    let heard = order(&mut stage, Order::StartMaintenance(vec![host()]));
    let expected = [
        "Shutdown c-0000 to 1",
        "Refused to 1",
        "Rescind",
        "RescindInverse",
        "Gone t AgentRemoved",
        "Away c-S0",
        "Disconnect 1",
    ];
    assert_eq!(heard, expected);
    let standing = stage.kernel.state().agents[&agent].standing;
    assert!(matches!(standing, Standing::Unreachable { .. }), "{standing:?}");
    stage.restart();
    let mode = stage.kernel.state().schedule.machines().map(|one| one.mode).next();
    assert_eq!(mode, Some(Mode::Down));
    let tasks = vec![held(&framework, &agent, "t", "cpus:1;mem:128", Running)];
    let heard = told(&stage.hear(2, register(Some(&agent), BIG, tasks)));
    assert_eq!(heard, ["Shutdown c-0000 to 2", "Refused to 2", "Disconnect 2"]);
    let heard = told(&stage.hear(3, register(None, BIG, vec![])));
    assert_eq!(heard, ["Refused to 3", "Disconnect 3"], "nor under a new id");
    order(&mut stage, Order::StopMaintenance(vec![host()]));
    assert!(stage.kernel.view().schedule.windows.is_empty());
    stage.hear(4, register(Some(&agent), BIG, vec![]));
    assert_eq!(stage.kernel.state().agents[&agent].standing, Standing::Admitted);
}

#[test]
fn machines_leave_the_schedule_one_by_one() {
    let mut stage = Stage::new();
    let (a, b) = (MachineId::new("a", ""), MachineId::new("b", ""));
    let both = vec![window(&[a.clone(), b.clone()])];
    order(&mut stage, Order::UpdateSchedule(both.clone()));
    order(&mut stage, Order::StartMaintenance(vec![a.clone(), b.clone()]));
    order(&mut stage, Order::UpdateSchedule(both));
    order(&mut stage, Order::StopMaintenance(vec![a]));
    let left: Vec<_> = stage.kernel.state().schedule.machines().cloned().collect();
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0].id, left[0].mode), (&b, Mode::Down));
}
