//! Agents register, register again, fall silent and return.

use std::time::Duration;

use kernel::state::Standing;
use kernel::{Config, Effect, Input, Record, Refusal};
use model::agent::{Books, FromAgent, PROTOCOL};
use model::framework::Capability;
use model::id::{AgentId, Connection, FrameworkId, TaskId};
use model::machine::Machine;
use model::scheduler::Call;
use model::task::TaskState::{self, Finished, Gone, Lost, Running, Unreachable};

use crate::stage::{BIG, Stage, held, info, offers, register, registered, told};

const AWARE: &[Capability] = &[Capability::PartitionAware];

#[test]
fn an_agent_is_admitted_under_a_number_that_no_leader_gives_again() {
    let mut stage = Stage::new();
    assert_eq!(stage.agent(1, BIG), AgentId::new("c-S0"));
    assert_eq!(stage.agent(2, BIG), AgentId::new("c-S1"));
    stage.restart();
    assert_eq!(stage.agent(3, BIG), AgentId::new("c-S2"));
}

#[test]
fn the_newest_stream_of_an_agent_replaces_the_older() {
    let mut stage = Stage::new();
    let id = stage.agent(1, BIG);
    let effects = stage.hear(2, register(Some(&id), BIG, vec![]));
    assert_eq!(told(&effects), ["Disconnect 1", "Registered c-S0 to 2"]);
    assert_eq!(stage.log.len(), 1, "nothing durable has changed");
    stage.lose(1);
    assert!(stage.kernel.view().agents[&id].connected, "the older stream's end says nothing");
    let message = FromAgent::Pong;
    let (refused, effects) = stage.try_step(Input::Agent { connection: Connection(1), message });
    assert_eq!(refused, Err(Refusal::UnknownConnection(Connection(1))));
    assert_eq!(told(&effects), ["Disconnect 1"]);
}

#[test]
fn who_may_not_come_in_is_told_why() {
    let check = |protocol: u32, agent: Option<&str>, cause: &str| {
        let mut stage = Stage::new();
        let gone = stage.agent(1, BIG);
        let mut marked = stage.kernel.state().agents[&gone].clone();
        marked.standing = Standing::Gone { since: stage.now };
        stage.kernel.apply(&Record::Agent(gone, Some(marked)));
        let agent = agent.map(AgentId::new);
        let message = FromAgent::Register {
            protocol,
            agent,
            info: info(BIG),
            tasks: vec![],
            books: Books::default(),
        };
        let effects = stage.hear(2, message);
        assert_eq!(told(&effects), ["Refused to 2", "Disconnect 2"]);
        let Effect::ToAgent(_, refused) = &effects[0] else { panic!("{effects:?}") };
        assert!(format!("{refused:?}").contains(cause), "{refused:?}");
    };
    check(PROTOCOL + 1, None, "install the same release");
    check(PROTOCOL, Some("c-S0"), "agent c-S0 was marked gone");
    check(PROTOCOL, Some(""), "is not an agent id");
    check(PROTOCOL, Some("a/b"), "is not an agent id");
}

#[test]
fn an_agent_that_a_forgetful_master_does_not_know_keeps_its_id() {
    let mut stage = Stage::new();
    let id = AgentId::new("c-S7");
    let framework = FrameworkId::new("c-0003");
    let tasks = vec![held(&framework, &id, "t", "cpus:1;mem:64", Running)];
    let effects = stage.hear(1, register(Some(&id), BIG, tasks));
    assert_eq!(told(&effects), ["Registered c-S7 to 1", "Shutdown c-0003 to 1"]);
    let held = stage.kernel.view().agents[&id].in_use.values().next().cloned();
    assert_eq!(held, Some("cpus:1;mem:64".parse().expect("well formed")), "until it has ended");
    assert_eq!(stage.agent(2, BIG), AgentId::new("c-S8"));
    let (_, effects) = stage.report(1, &framework, "t", TaskState::Killed, TaskState::Killed);
    assert_eq!(told(&effects), ["Shutdown c-0003 to 1"]);
    let view = stage.kernel.view();
    assert!(view.agents[&id].in_use.is_empty() && view.tasks.is_empty());
}

#[test]
fn an_agent_may_come_back_with_more() {
    let mut stage = Stage::new();
    let id = stage.agent(1, "cpus:1;mem:512");
    stage.lose(1);
    stage.hear(2, register(Some(&id), "cpus:2;mem:512", vec![]));
    assert_eq!(stage.log.len(), 2);
    stage.framework("*");
    assert_eq!(offers(&stage.settle())[0].resources.to_string(), "cpus:2;mem:512");
}

#[test]
fn registering_again_settles_the_difference() {
    let check = |name: &str, aware: &[Capability], keeps: &[TaskState], expected: &[&str]| {
        let mut stage = Stage::new();
        let (agent, framework) = stage.running(aware);
        stage.lose(1);
        let tasks = keeps.iter().enumerate().map(|(n, state)| {
            let id = if n == 0 { "t" } else { "stranger" };
            held(&framework, &agent, id, "cpus:1;mem:128", *state)
        });
        let effects = stage.hear(2, register(Some(&agent), BIG, tasks.collect()));
        let expected: Vec<_> =
            ["Registered c-S0 to 2"].iter().chain(expected).map(|text| text.to_string()).collect();
        assert_eq!(told(&effects), expected, "{name}");
        for (id, state) in ["t", "stranger"].iter().zip(keeps) {
            assert_eq!(stage.state_of(&framework, id), Some(*state), "{name}");
        }
    };
    check("all is as it was", AWARE, &[Running], &[]);
    check("ended meanwhile", AWARE, &[Finished], &[]);
    check("one more than was known", AWARE, &[Running, Running], &[]);
    check("missing", AWARE, &[], &["Dropped t AgentReregistered"]);
    check("missing, for one who knows only lost", &[], &[], &["Lost t AgentReregistered"]);
}

#[test]
fn a_silent_agent_is_unreachable_and_its_return_is_news() {
    let check = |aware: &[Capability], lost: TaskState, missing: &str| {
        let mut stage = Stage::new();
        let (agent, framework) = stage.running(aware);
        let before = stage.now;
        let effects = stage.pass(Duration::from_secs(15 * 22));
        let lost_text = format!("{lost:?} t AgentRemoved");
        // The outstanding rest of the offer ran out on the way.
        let rescind = "Rescind";
        let lost = [lost_text.as_str(), "Away c-S0", "Disconnect 1"];
        assert_eq!(told(&effects), [[rescind; 3], lost].concat());
        let standing = stage.kernel.state().agents[&agent].standing;
        let Standing::Unreachable { since } = standing else { panic!("{standing:?}") };
        let silent = since.since(before).as_secs();
        assert!((15 * 20..=15 * 21).contains(&silent), "{silent} s");
        let tasks = vec![held(&framework, &agent, "t", "cpus:1;mem:128", Running)];
        let effects = stage.hear(2, register(Some(&agent), BIG, tasks));
        assert_eq!(told(&effects), ["Registered c-S0 to 2", "Running t AgentReregistered"]);
        assert_eq!(stage.kernel.state().agents[&agent].standing, Standing::Admitted);
        assert_eq!(stage.state_of(&framework, "t"), Some(Running));
        stage.pass(Duration::from_secs(15 * 22));
        let effects = stage.hear(3, register(Some(&agent), BIG, vec![]));
        assert_eq!(told(&effects)[1..], Vec::from_iter((!missing.is_empty()).then_some(missing)));
    };
    check(AWARE, Unreachable, &format!("{Gone:?} t AgentReregistered"));
    check(&[], Lost, "");
}

#[test]
fn who_answers_pings_stays() {
    let mut stage = Stage::new();
    let id = stage.agent(1, BIG);
    let pings = stage.live(Duration::from_secs(15 * 50));
    assert_eq!(pings.len(), 50, "one in each interval");
    assert_eq!(stage.kernel.state().agents[&id].standing, Standing::Admitted);
}

#[test]
fn an_answer_makes_up_for_the_pings_missed_before() {
    let mut stage = Stage::new();
    let id = stage.agent(1, BIG);
    for _ in 0..3 {
        stage.pass(Duration::from_secs(15 * 19));
        stage.hear(1, FromAgent::Pong);
    }
    assert_eq!(stage.kernel.state().agents[&id].standing, Standing::Admitted);
}

#[test]
fn a_disconnected_agent_is_not_offered_and_is_unreachable_in_the_end() {
    let config =
        Config { ping_interval: Duration::from_secs(1), pings_missed_max: 3, ..Config::default() };
    let mut stage = Stage::with(config);
    let id = stage.agent(1, BIG);
    let framework = stage.framework("*");
    assert_eq!(offers(&stage.settle()).len(), 1);
    assert_eq!(told(&stage.lose(1)), ["Rescind"]);
    stage.call(&framework, Call::Revive { roles: vec![] });
    assert!(offers(&stage.pass(Duration::from_secs(1))).is_empty());
    assert_eq!(stage.kernel.state().agents[&id].standing, Standing::Admitted);
    stage.pass(Duration::from_secs(3));
    assert_ne!(stage.kernel.state().agents[&id].standing, Standing::Admitted);
}

#[test]
fn agents_are_given_up_one_after_the_other_and_who_answers_before_stays() {
    let check = |silent: Duration, fall_silent: &dyn Fn(&mut Stage)| {
        let removal_interval = Duration::from_secs(60);
        let mut stage = Stage::with(Config { removal_interval, ..Config::default() });
        let ids: Vec<AgentId> = (1..=3).map(|n| stage.agent(n, BIG)).collect();
        fall_silent(&mut stage);
        let left = |stage: &Stage| {
            let standing = |id: &&AgentId| stage.kernel.state().agents[*id].standing;
            ids.iter().filter(|id| standing(id) == Standing::Admitted).cloned().collect::<Vec<_>>()
        };
        stage.pass(silent);
        let second = left(&stage);
        assert_eq!(second.len(), 2, "the first goes without delay");
        stage.pass(removal_interval);
        let third = left(&stage);
        assert_eq!(third.len(), 1, "the second when it is its turn");
        stage.hear(9, register(Some(&third[0]), BIG, vec![]));
        stage.pass(removal_interval * 2);
        assert_eq!(left(&stage), third, "the third has answered in time");
    };
    check(Duration::from_secs(15 * 21), &|_| ());
    check(Duration::from_secs(601), &Stage::restart);
}

#[test]
fn after_a_change_of_leader_agents_have_time_to_return() {
    let mut stage = Stage::new();
    let (agent, framework) = stage.running(AWARE);
    let late = stage.agent(2, BIG);
    stage.restart();
    let held_before = stage.kernel.view().agents[&agent].in_use.clone();
    assert_eq!(held_before.len(), 1, "what tasks hold is charged before the agent is back");
    stage.pass(Duration::from_secs(599));
    let tasks = vec![held(&framework, &agent, "t", "cpus:1;mem:128", Running)];
    let records = stage.log.len();
    let effects = stage.hear(3, register(Some(&agent), BIG, tasks));
    assert_eq!(registered(&effects), Some(agent.clone()));
    assert_eq!(stage.log.len(), records, "it is as it was");
    stage.pass(Duration::from_secs(2));
    let standing = |id| stage.kernel.state().agents[id].standing;
    assert_eq!(standing(&agent), Standing::Admitted);
    assert_ne!(standing(&late), Standing::Admitted);
}

#[test]
fn a_kill_reaches_an_agent_that_was_away() {
    let mut stage = Stage::new();
    let (agent, framework) = stage.running(AWARE);
    stage.lose(1);
    let kill = Call::Kill { task: TaskId::new("t"), agent: None, grace: None };
    assert!(stage.call(&framework, kill).is_empty());
    let tasks = vec![held(&framework, &agent, "t", "cpus:1;mem:128", Running)];
    let effects = stage.hear(2, register(Some(&agent), BIG, tasks));
    assert_eq!(told(&effects), ["Registered c-S0 to 2", "Kill t to 2"]);
}

#[test]
fn an_update_of_a_task_on_another_agent_changes_nothing() {
    let mut stage = Stage::new();
    let (_, framework) = stage.running(AWARE);
    stage.agent(2, BIG);
    stage.report(2, &framework, "t", TaskState::Failed, TaskState::Failed);
    assert_eq!(stage.state_of(&framework, "t"), Some(Running));
}

#[test]
fn an_agent_whose_resources_have_changed_their_type_is_refused() {
    let check = |now: &str, fine: bool| {
        let mut stage = Stage::new();
        let id = stage.agent(1, "cpus:4;mem:4096;lanes:5");
        stage.lose(1);
        let framework = FrameworkId::new("c-0000");
        let tasks = vec![held(&framework, &id, "t", "cpus:1;lanes:2", Running)];
        let effects = stage.hear(2, register(Some(&id), now, tasks));
        assert_eq!(registered(&effects).is_some(), fine, "{now}");
    };
    check("cpus:4;mem:4096;lanes:5", true);
    check("cpus:4;mem:4096;lanes:{a,b}", false);
    check("cpus:4;mem:4096;lanes:[1-5]", false);
}

#[test]
fn two_tasks_of_one_id_are_both_charged_until_they_end() {
    let mut stage = Stage::new();
    let (first, framework) = stage.running(AWARE);
    let second = stage.agent(2, BIG);
    let twice = |agent: &AgentId| vec![held(&framework, agent, "t", "cpus:1;mem:128", Running)];
    stage.hear(3, register(Some(&second), BIG, twice(&second)));
    let in_use = |stage: &Stage, agent: &AgentId| {
        let view = stage.kernel.view();
        view.agents[agent].in_use.values().next().map(ToString::to_string)
    };
    let shown = |stage: &Stage| {
        let view = stage.kernel.view();
        view.task(&framework, &TaskId::new("t")).map(|task| task.agent.clone())
    };
    let taken = Some("cpus:1;mem:128".to_owned());
    assert_eq!((in_use(&stage, &first), in_use(&stage, &second)), (taken.clone(), taken.clone()));
    assert_eq!(shown(&stage), Some(second.clone()), "the one that was told of last");
    let (uuid, _) = stage.report(3, &framework, "t", TaskState::Failed, TaskState::Failed);
    assert_eq!((in_use(&stage, &first), in_use(&stage, &second)), (taken.clone(), None));
    let (agent, task) = (second, TaskId::new("t"));
    stage.call(&framework, Call::Acknowledge { agent, task, uuid });
    assert_eq!(shown(&stage), Some(first.clone()), "the other goes on");
    stage.hear(4, register(Some(&first), BIG, twice(&first)));
    assert_eq!(in_use(&stage, &first), taken);
    stage.report(4, &framework, "t", TaskState::Finished, TaskState::Finished);
    assert_eq!(in_use(&stage, &first), None);
}

#[test]
fn a_task_that_is_not_shown_frees_what_it_held_when_it_ends() {
    let mut stage = Stage::new();
    let (first, framework) = stage.running(AWARE);
    let second = stage.agent(2, BIG);
    let twice = vec![held(&framework, &second, "t", "cpus:1;mem:128", Running)];
    stage.hear(3, register(Some(&second), BIG, twice));
    stage.report(1, &framework, "t", TaskState::Failed, TaskState::Failed);
    let view = stage.kernel.view();
    assert!(view.agents[&first].in_use.is_empty() && view.doubles.is_empty());
    assert_eq!(stage.state_of(&framework, "t"), Some(Running), "that of the other agent");
}
