//! Operations: what comes of them, who is offered it, how they are told and settled.

use std::time::Duration;

use kernel::operator::Order;
use kernel::{Effect, Input};
use model::agent::{Books, FromAgent, PROTOCOL, ToAgent};
use model::framework::Capability;
use model::id::{AgentId, FrameworkId, OperationId, Role, Uuid};
use model::operation::{Conversion, Operated, OperationState, OperationStatus};
use model::resources::{Resource, ResourceName, Resources, Scalar};
use model::scheduler::{Call, Filters, Offer, Operation};
use model::task::{TaskInfo, TaskState};

use crate::made::{dynamic, plain, reserved, volume};
use crate::stage::{Stage, bag, framework, info, offers, registered, task, told};

const AGENT: &str = "cpus:4;mem:2048;disk:100;ports:[1-9]";

pub(crate) fn space(size: u64) -> Resource {
    reserved(ResourceName::Disk, size, "db")
}

pub(crate) fn reserve(resources: Vec<Resource>) -> Conversion {
    Conversion::Reserve { source: vec![], resources }
}

fn create(size: u64) -> Conversion {
    Conversion::Create { volumes: vec![volume(&space(size), "v")] }
}

pub(crate) fn named(id: &str, conversion: Conversion) -> Operation {
    Operation::Convert { id: Some(OperationId::new(id)), conversion }
}

fn nameless(conversion: Conversion) -> Operation {
    Operation::Convert { id: None, conversion }
}

/// A stage with an agent and a framework in the role `db`.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) agent: AgentId,
    pub(crate) framework: FrameworkId,
    uuids: u64,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let mut stage = Stage::new();
        let agent = stage.agent(1, AGENT);
        let capabilities = [Capability::PartitionAware, Capability::SharedResources];
        let framework = stage.subscribe(framework("db", &capabilities));
        Self { stage, agent, framework, uuids: 0 }
    }

    fn offer(&mut self) -> Offer {
        self.stage.call(&self.framework, Call::Revive { roles: vec![] });
        offers(&self.stage.settle()).remove(0)
    }

    pub(crate) fn accept(&mut self, operations: Vec<Operation>) -> Vec<Effect> {
        let offer = self.offer();
        self.accept_of(&offer, operations)
    }

    fn accept_of(&mut self, offer: &Offer, operations: Vec<Operation>) -> Vec<Effect> {
        let (offers, filters) = (vec![offer.id.clone()], Filters::default());
        self.stage.call(&self.framework, Call::Accept { offers, operations, filters })
    }

    /// The agent says how each operation went that it was told of.
    pub(crate) fn answer(&mut self, effects: &[Effect], state: OperationState) -> Vec<Effect> {
        let mut said = Vec::new();
        for operated in self.operated(effects, state) {
            let (claims, operated) = (self.claims(), Box::new(operated));
            said.extend(
                self.stage.hear(1, FromAgent::Operated { operated, claims, provided: None }),
            );
        }
        said
    }

    fn operated(&mut self, effects: &[Effect], state: OperationState) -> Vec<Operated> {
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::ToAgent(_, ToAgent::Convert { operation, framework, id, conversion, .. }) => {
                self.uuids += 1;
                let uuid = Some(Uuid::derive(8, self.uuids));
                let latest = OperationStatus {
                    uuid,
                    ..OperationStatus::new(id.clone(), state, "as the agent says")
                };
                let (conversion, framework) = (conversion.clone(), framework.clone());
                Some(Operated { uuid: *operation, framework, conversion, latest })
            }
            Effect::ToAgent(..) | Effect::Event(..) | Effect::Disconnect(_) => None,
        });
        told.collect()
    }

    fn claims(&self) -> Resources {
        self.stage.kernel.state().claims.get(&self.agent).cloned().unwrap_or_default()
    }

    pub(crate) fn acknowledge(&mut self, id: &str) -> Vec<Effect> {
        let (operation, uuid) = (OperationId::new(id), Uuid::derive(8, self.uuids));
        let call = Call::AcknowledgeOperation { agent: None, operation, uuid };
        self.stage.call(&self.framework, call)
    }

    /// The agent comes back and knows of these claims and operations.
    pub(crate) fn come_back(&mut self, books: Books) -> Vec<Effect> {
        let (protocol, agent) = (PROTOCOL, Some(self.agent.clone()));
        let message =
            FromAgent::Register { protocol, agent, info: info(AGENT), tasks: vec![], books };
        self.stage.hear(1, message)
    }

    fn on_volume(&self, offer: &Offer, id: &str, size: u64) -> TaskInfo {
        let mut one = task(id, offer, "cpus:1;mem:64");
        one.resources.add(&Resources::new([volume(&space(size), "v")]));
        one
    }
}

fn sum(offers: &[Offer], is_so: impl Fn(&Resource) -> bool) -> Resources {
    let mut all = Resources::default();
    offers.iter().for_each(|offer| all.add(&offer.resources.only(&is_so)));
    all
}

#[test]
fn reserving_making_a_volume_and_launching_on_it_is_one_call() {
    let mut scene = Scene::new();
    let offer = scene.offer();
    let launch = Operation::Launch(vec![scene.on_volume(&offer, "t", 10)]);
    let operations = vec![named("r", reserve(vec![space(10)])), named("c", create(10)), launch];
    let effects = scene.accept_of(&offer, operations);
    let lines = told(&effects);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("Convert disk:10 to disk(reservations: [(DYNAMIC,db)]):10"));
    assert!(lines[1].contains("[v:data]:10 to 1"), "{lines:?}");
    assert_eq!(lines[2], "Run t to 1");
    assert_eq!(
        told(&scene.answer(&effects, OperationState::Finished)),
        ["Finished r", "Finished c"]
    );
    assert_eq!(told(&scene.acknowledge("c")), ["AcknowledgeOperation to 1"]);
    assert_eq!(told(&scene.acknowledge("c")), [""; 0], "once is enough");
    // The volume is offered again after its task.
    let of_volume = |offers: &[Offer]| sum(offers, Resource::is_persistent_volume).disk();
    let offered = scene.offer();
    assert_eq!(of_volume(&[offered]), Scalar(0));
    let framework = scene.framework.clone();
    scene.stage.report(1, &framework, "t", TaskState::Finished, TaskState::Finished);
    assert_eq!(of_volume(&offers(&scene.stage.settle())), Scalar::whole(10));
}

#[test]
fn what_is_reserved_is_offered_to_its_role_and_those_below_only() {
    let check = |role: &str, capabilities: &[Capability], cpus: u64| {
        let mut scene = Scene::new();
        let effects =
            scene.accept(vec![nameless(reserve(vec![reserved(ResourceName::Cpus, 3, "db")]))]);
        scene.answer(&effects, OperationState::Finished);
        scene.stage.call(&scene.framework.clone(), Call::Teardown);
        scene.stage.subscribe(framework(role, capabilities));
        let found = sum(&offers(&scene.stage.settle()), |_| true).cpus();
        assert_eq!(found, Scalar::whole(cpus), "{role}");
    };
    check("db", &[], 4);
    check("db/eu", &[], 4);
    check("web", &[], 1);
    check("*", &[], 1);
}

#[test]
fn a_refined_reservation_and_a_shared_volume_are_for_those_who_know_them() {
    let check = |capabilities: &[Capability], cpus: u64, disk: u64| {
        let mut stage = Stage::new();
        let refined = Resource {
            reservations: vec![dynamic("db"), dynamic("db/eu")],
            ..plain(ResourceName::Cpus, 1)
        };
        let shared = Resource { shared: true, ..volume(&space(10), "v") };
        let books = Books {
            claims: Resources::new([refined, shared]),
            operations: vec![],
            ..Books::default()
        };
        let (protocol, tasks) = (PROTOCOL, vec![]);
        let message =
            FromAgent::Register { protocol, agent: None, info: info(AGENT), tasks, books };
        registered(&stage.hear(1, message)).expect("admitted");
        stage.subscribe(framework("db/eu", capabilities));
        let all = sum(&offers(&stage.settle()), |_| true);
        assert_eq!((all.cpus(), all.disk()), (Scalar::whole(cpus), Scalar::whole(disk)));
    };
    check(&[], 3, 90);
    check(&[Capability::ReservationRefinement], 4, 90);
    check(&[Capability::SharedResources], 3, 100);
}

#[test]
fn what_was_reserved_can_be_taken_back_and_a_volume_grows_and_shrinks() {
    let mut scene = Scene::new();
    let reserve = named("r", reserve(vec![space(20)]));
    scene.accept(vec![reserve, named("c", create(10))]);
    let (volume_now, addition) = (volume(&space(10), "v"), space(5));
    let grow = Conversion::GrowVolume { volume: volume_now, addition };
    scene.accept(vec![nameless(grow)]);
    assert_eq!(scene.claims(), Resources::new([volume(&space(15), "v"), space(5)]));
    let shrink =
        Conversion::ShrinkVolume { volume: volume(&space(15), "v"), subtract: Scalar::whole(12) };
    scene.accept(vec![nameless(shrink)]);
    assert_eq!(scene.claims(), Resources::new([volume(&space(3), "v"), space(17)]));
    let destroy = Conversion::Destroy { volumes: vec![volume(&space(3), "v")] };
    let unreserve = Conversion::Unreserve { resources: vec![space(20)] };
    scene.accept(vec![nameless(destroy), nameless(unreserve)]);
    assert_eq!(scene.claims(), Resources::default());
    let total = scene.stage.kernel.view().agents[&scene.agent].total().into_owned();
    assert_eq!(total, bag(AGENT));
}

#[test]
fn a_shared_volume_is_used_by_several_and_destroyed_by_nobody_meanwhile() {
    let mut scene = Scene::new();
    let shared = || Resource { shared: true, ..volume(&space(10), "v") };
    let create = Conversion::Create { volumes: vec![shared()] };
    scene.accept(vec![nameless(reserve(vec![space(10)])), nameless(create)]);
    let destroy = || named("d", Conversion::Destroy { volumes: vec![shared()] });
    for id in ["a", "b"] {
        let offer = scene.offer();
        let mut one = task(id, &offer, "cpus:1;mem:64");
        one.resources.add(&Resources::new([shared()]));
        let effects = scene.accept_of(&offer, vec![Operation::Launch(vec![one]), destroy()]);
        assert_eq!(told(&effects), [format!("Run {id} to 1"), "Error d".to_owned()]);
    }
    let framework = scene.framework.clone();
    for (id, line) in [("a", "Error d"), ("b", "Convert")] {
        scene.stage.report(1, &framework, id, TaskState::Finished, TaskState::Finished);
        let effects = scene.accept(vec![destroy()]);
        assert!(told(&effects)[0].starts_with(line), "{:?}", told(&effects));
    }
}

#[test]
fn who_was_offered_nothing_but_a_shared_volume_may_go() {
    let mut scene = Scene::new();
    let shared = Resource { shared: true, ..volume(&space(10), "v") };
    let create = Conversion::Create { volumes: vec![shared.clone()] };
    scene.accept(vec![nameless(reserve(vec![space(10)])), nameless(create)]);
    let offer = scene.offer();
    let everything = TaskInfo { resources: offer.resources.clone(), ..task("all", &offer, "") };
    scene.accept_of(&offer, vec![Operation::Launch(vec![everything])]);
    let other = scene.stage.subscribe(framework("db", &[Capability::SharedResources]));
    let offered = offers(&scene.stage.settle());
    assert_eq!(offered[0].framework, other);
    assert_eq!(offered[0].resources, Resources::new([shared]));
    scene.stage.call(&other, Call::Teardown);
    assert!(scene.stage.kernel.view().offers.values().all(|offer| offer.framework != other));
}

#[test]
fn what_the_agent_could_not_do_is_undone() {
    let mut scene = Scene::new();
    let effects = scene.accept(vec![nameless(reserve(vec![space(10)]))]);
    scene.answer(&effects, OperationState::Finished);
    let before = scene.claims();
    let effects = scene.accept(vec![named("c", create(10))]);
    let offered = offers(&scene.stage.settle());
    assert!(
        !sum(&offered, Resource::is_persistent_volume).is_empty(),
        "it is counted with at once"
    );
    let operated = Box::new(scene.operated(&effects, OperationState::Failed).remove(0));
    let claims = before.clone();
    let effects = scene.stage.hear(1, FromAgent::Operated { operated, claims, provided: None });
    assert_eq!(told(&effects), ["Rescind", "Failed c"]);
    assert_eq!(scene.claims(), before);
    assert!(sum(&offers(&scene.stage.settle()), Resource::is_persistent_volume).is_empty());
}

#[test]
fn what_never_reached_the_agent_is_dropped_and_what_it_did_is_told_until_acknowledged() {
    let mut scene = Scene::new();
    let reserved = Resources::new([space(10)]);
    let effects = scene.accept(vec![named("r", reserve(vec![space(10)]))]);
    let done = scene.operated(&effects, OperationState::Finished).remove(0);
    scene.accept(vec![named("lost", create(10))]);
    scene.stage.lose(1);
    let books = Books {
        claims: reserved.clone(),
        operations: vec![done.clone()],
        executors: vec![],
        ..Books::default()
    };
    let lines = told(&scene.come_back(books));
    assert!(lines.contains(&"Dropped lost".to_owned()), "{lines:?}");
    assert_eq!(scene.claims(), reserved);
    let again = FromAgent::Operated { operated: Box::new(done), claims: reserved, provided: None };
    assert_eq!(told(&scene.stage.hear(1, again.clone())), ["Finished r"]);
    assert_eq!(told(&scene.stage.hear(1, again)), ["Finished r"]);
    assert_eq!(told(&scene.acknowledge("r")), ["AcknowledgeOperation to 1"]);
    assert!(scene.stage.kernel.view().operations.is_empty());
}

#[test]
fn a_new_leader_knows_what_is_reserved_before_the_agent_is_back_and_then_believes_the_agent() {
    let check = |agent_knows: bool| {
        let mut scene = Scene::new();
        scene.accept(vec![nameless(reserve(vec![space(10)]))]);
        let known = scene.claims();
        scene.stage.restart();
        assert_eq!(scene.claims(), known);
        let claims = if agent_knows { known } else { Resources::default() };
        scene.come_back(Books {
            claims: claims.clone(),
            operations: vec![],
            executors: vec![],
            ..Books::default()
        });
        assert_eq!(scene.claims(), claims);
    };
    check(true);
    check(false);
}

#[test]
fn operations_are_reconciled() {
    let mut scene = Scene::new();
    let effects = scene.accept(vec![named("r", reserve(vec![space(10)]))]);
    let ask = |scene: &mut Scene, id: &str, agent: Option<&AgentId>| {
        let operations = vec![(OperationId::new(id), agent.cloned())];
        let call = Call::ReconcileOperations { operations };
        told(&scene.stage.call(&scene.framework.clone(), call)).join(" ")
    };
    let agent = scene.agent.clone();
    assert_eq!(ask(&mut scene, "r", None), "Pending r");
    scene.answer(&effects, OperationState::Finished);
    assert_eq!(ask(&mut scene, "r", Some(&agent)), "Finished r");
    assert_eq!(ask(&mut scene, "x", Some(&agent)), "Unknown x");
    assert_eq!(ask(&mut scene, "x", None), "Unknown x");
    scene.stage.lose(1);
    scene.stage.pass(Duration::from_secs(3_000));
    assert_eq!(ask(&mut scene, "x", Some(&agent)), "Unreachable x");
    scene.stage.restart();
    let info = scene.stage.kernel.state().frameworks[&scene.framework].info.as_ref().clone();
    scene.stage.subscribe(info);
    assert_eq!(ask(&mut scene, "x", Some(&agent)), "Unreachable x");
}

#[test]
fn an_operation_without_a_name_ends_though_its_framework_is_gone() {
    let mut scene = Scene::new();
    let told = scene.accept(vec![nameless(reserve(vec![space(10)]))]);
    scene.stage.call(&scene.framework.clone(), Call::Teardown);
    for operated in scene.operated(&told, OperationState::Finished) {
        let (claims, operated) = (scene.claims(), Operated { framework: None, ..operated });
        let said = FromAgent::Operated { operated: Box::new(operated), claims, provided: None };
        let answer = scene.stage.hear(1, said);
        let acknowledged = |effect: &Effect| {
            matches!(effect, Effect::ToAgent(_, ToAgent::AcknowledgeOperation { .. }))
        };
        assert!(answer.iter().any(acknowledged), "{answer:?}");
    }
    assert!(scene.stage.kernel.view().operations.is_empty());
}

#[test]
fn an_operator_takes_back_the_offers_that_are_in_the_way_and_no_others() {
    let check = |cpus: u64, lines: &[&str]| {
        let mut scene = Scene::new();
        let offer = scene.offer();
        let launched = task("t", &offer, "cpus:1;mem:64");
        scene.accept_of(&offer, vec![Operation::Launch(vec![launched])]);
        let (agent, principal) = (scene.agent.clone(), None);
        let conversion = reserve(vec![reserved(ResourceName::Cpus, cpus, "web")]);
        let order = Order::Convert { agent, conversion, principal };
        scene.offer();
        let (done, effects) = scene.stage.try_step(Input::Operator { order });
        assert_eq!(done.is_ok(), !lines.is_empty(), "{done:?}");
        let found = told(&effects);
        let found: Vec<&str> = found.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(found, lines);
        if !lines.is_empty() {
            let web = scene.claims().reserved_for(&Role::new("web"));
            assert_eq!(web.cpus(), Scalar::whole(cpus));
        }
    };
    check(3, &["Rescind", "Convert"]);
    check(4, &[]);
}
