//! Updates that are heard after what came later: their agent says which is which, and its clock does not matter.

use kernel::Effect;
use model::agent::{Books, FromAgent, HeldTask, PROTOCOL};
use model::framework::Capability;
use model::id::{AgentId, FrameworkId, TaskId, Uuid};
use model::task::{TaskState, TaskStatus};
use model::time::Time;

use crate::stage::{BIG, Stage, held, info, status, told};

struct Scene {
    stage: Stage,
    agent: AgentId,
    framework: FrameworkId,
}

/// The clock of the agent goes back with each.
fn health(place: u64, healthy: bool) -> TaskStatus {
    let uuid = Uuid::derive(3, place);
    let at = Time(1_000 - place);
    TaskStatus { healthy: Some(healthy), ..status("t", TaskState::Running, Some(uuid), at) }
}

impl Scene {
    fn new() -> Self {
        let mut stage = Stage::new();
        let (agent, framework) = stage.running(&[Capability::PartitionAware]);
        Self { stage, agent, framework }
    }

    fn update(&mut self, place: Option<u64>, status: TaskStatus) -> Vec<Effect> {
        let (framework, latest) = (self.framework.clone(), TaskState::Running);
        self.stage.hear(1, FromAgent::Update { framework, status, latest, place })
    }

    fn register(&mut self, place: Option<u64>, status: TaskStatus) {
        let mut one = held(&self.framework, &self.agent, "t", "cpus:1;mem:128", TaskState::Running);
        one.task.status = Some(status);
        let message = FromAgent::Register {
            protocol: PROTOCOL,
            agent: Some(self.agent.clone()),
            info: info(BIG),
            tasks: vec![HeldTask { place, ..one }],
            books: Books::default(),
        };
        self.stage.hear(1, message);
    }

    fn shown(&self) -> Option<bool> {
        let view = self.stage.kernel.view();
        view.task(&self.framework, &TaskId::new("t"))?.status.as_ref()?.healthy
    }
}

#[test]
fn what_was_overtaken_is_neither_told_nor_shown() {
    let check = |counts: bool, expected: &[&str], shown: bool| {
        let mut scene = Scene::new();
        let place = |nth: u64| counts.then_some(nth);
        scene.update(place(1), health(1, false));
        scene.update(place(2), health(2, true));
        let effects = scene.update(place(1), health(1, false));
        assert_eq!(told(&effects), expected, "an agent that counts: {counts}");
        assert_eq!(scene.shown(), Some(shown), "an agent that counts: {counts}");
    };
    check(true, &[], true);
    // Those of earlier releases are believed.
    check(false, &["Running t"], false);
}

#[test]
fn what_repeats_is_told_again_until_the_next_one_is_heard() {
    let mut scene = Scene::new();
    for _ in 0..2 {
        assert_eq!(told(&scene.update(Some(1), health(1, false))), ["Running t"]);
    }
}

#[test]
fn what_was_told_on_registering_is_shown_while_what_came_before_is_told() {
    let mut scene = Scene::new();
    scene.register(Some(2), health(2, true));
    assert_eq!(told(&scene.update(Some(1), health(1, false))), ["Running t"]);
    assert_eq!(scene.shown(), Some(true), "it is the newest");
    assert_eq!(told(&scene.update(Some(2), health(2, true))), ["Running t"]);
    scene.update(Some(3), health(3, false));
    assert_eq!(scene.shown(), Some(false));
}

#[test]
fn whoever_registers_again_may_begin_to_count_anew() {
    let mut scene = Scene::new();
    scene.update(Some(7), health(7, false));
    scene.register(Some(0), health(0, true));
    assert_eq!(told(&scene.update(Some(0), health(0, true))), ["Running t"]);
}
