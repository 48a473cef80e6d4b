//! What resource providers bring: offered, converted, taken back.

use kernel::Effect;
use model::agent::{Books, FromAgent, ToAgent};
use model::executor::Given;
use model::id::{OperationId, ProviderId, Uuid};
use model::operation::{Conversion, Operated, OperationState, OperationStatus};
use model::provider::{Provided, ProviderInfo};
use model::resources::{DiskInfo, DiskKind, DiskSource, Labels, Resource, ResourceName, Resources};
use model::scheduler::{Call, Event, Operation};

use crate::made::{dynamic, plain, reserved};
use crate::operations::{Scene, named, reserve};
use crate::stage::{offers, told};

fn disk(kind: DiskKind, id: Option<&str>, provider: &str) -> Resource {
    let source = DiskSource {
        kind,
        root: None,
        vendor: None,
        id: id.map(str::to_owned),
        metadata: Labels::new(),
        profile: Some("fast".to_owned()),
    };
    let disk = DiskInfo { source: Some(source), ..DiskInfo::default() };
    Resource {
        disk: Some(Box::new(disk)),
        provider: Some(Box::new(ProviderId::new(provider))),
        ..plain(ResourceName::Disk, 50)
    }
}

fn raw() -> Resource {
    disk(DiskKind::Raw, None, "p")
}

fn mount() -> Resource {
    disk(DiskKind::Mount, Some("d1"), "p")
}

fn bag(all: &[&Resource]) -> Resources {
    Resources::new(all.iter().map(|one| (*one).clone()))
}

fn version(state: u64) -> Uuid {
    Uuid::derive(7, state)
}

fn provided(state: u64, all: &[&Resource]) -> Provided {
    let info = ProviderInfo {
        kind: "disks".to_owned(),
        name: "a".to_owned(),
        given: Given(Vec::new().into()),
    };
    let (id, total) = (ProviderId::new("p"), bag(all));
    Provided { id, info, total, version: version(state), pending: vec![] }
}

fn provides(scene: &mut Scene, providers: Vec<Provided>) -> Vec<Effect> {
    scene.stage.hear(1, FromAgent::Provides { providers })
}

/// What the framework may be offered of providers.
fn offered(scene: &mut Scene) -> Resources {
    scene.stage.call(&scene.framework.clone(), Call::Revive { roles: vec![] });
    let mut sum = Resources::default();
    for offer in offers(&scene.stage.settle()) {
        sum.add(&offer.resources.only(|one| one.provider.is_some()));
        scene.stage.decline(&offer, 0);
    }
    sum
}

fn scene() -> Scene {
    let mut scene = Scene::new();
    provides(&mut scene, vec![provided(1, &[&raw()])]);
    scene
}

fn make() -> Conversion {
    Conversion::CreateDisk { source: raw(), target: DiskKind::Mount, profile: None }
}

/// What the agent was asked to do, and in which state.
fn asked(effects: &[Effect]) -> (Uuid, Conversion, Option<Uuid>) {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::ToAgent(_, ToAgent::Convert { operation, conversion, version, .. }) => {
            Some((*operation, conversion.clone(), *version))
        }
        Effect::ToAgent(..) | Effect::Event(..) | Effect::Disconnect(_) => None,
    });
    found.expect("the agent is asked")
}

fn answer(
    scene: &mut Scene,
    (uuid, conversion, _): (Uuid, Conversion, Option<Uuid>),
    state: OperationState,
    now: Option<Provided>,
) -> Vec<Effect> {
    let latest = OperationStatus {
        uuid: Some(Uuid::derive(8, 8)),
        ..OperationStatus::new(Some(OperationId::new("o")), state, "")
    };
    let framework = Some(scene.framework.clone());
    let operated = Box::new(Operated { uuid, framework, conversion, latest });
    let (claims, provided) = (Resources::default(), now.map(Box::new));
    scene.stage.hear(1, FromAgent::Operated { operated, claims, provided })
}

#[test]
fn what_a_provider_brings_is_offered_for_as_long_as_it_is_there() {
    let mut scene = scene();
    assert_eq!(offered(&mut scene), bag(&[&raw()]));
    scene.stage.call(&scene.framework.clone(), Call::Revive { roles: vec![] });
    assert_eq!(offers(&scene.stage.settle()).len(), 1);
    let effects = provides(&mut scene, vec![]);
    assert!(told(&effects).iter().any(|line| line.contains("Rescind")), "{effects:?}");
    assert_eq!(offered(&mut scene), Resources::default());
}

#[test]
fn an_agent_that_comes_back_tells_of_its_providers() {
    let mut scene = scene();
    scene.stage.restart();
    let providers = vec![provided(2, &[&mount()])];
    scene.come_back(Books { providers, ..Books::default() });
    let framework = scene.framework.clone();
    let again = crate::stage::framework("db", &[]);
    scene.stage.subscribe(model::framework::FrameworkInfo { id: Some(framework), ..again });
    assert_eq!(offered(&mut scene), bag(&[&mount()]));
}

#[test]
fn a_disk_is_nobodys_until_it_is_made() {
    let mut scene = scene();
    let effects = scene.accept(vec![named("o", make())]);
    let asked = asked(&effects);
    assert_eq!(asked.2, Some(version(1)));
    assert_eq!(offered(&mut scene), Resources::default());
    let effects =
        answer(&mut scene, asked, OperationState::Finished, Some(provided(1, &[&mount()])));
    let said = effects.iter().find_map(|effect| match effect {
        Effect::Event(_, Event::UpdateOperation(status)) => status.provider.clone(),
        Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => None,
    });
    assert_eq!(said, Some(ProviderId::new("p")));
    assert_eq!(offered(&mut scene), bag(&[&mount()]));
}

#[test]
fn a_disk_that_could_not_be_made_is_offered_as_it_was() {
    for state in [OperationState::Failed, OperationState::Dropped] {
        let mut scene = scene();
        let effects = scene.accept(vec![named("o", make())]);
        let asked = asked(&effects);
        // Whether or not the provider is still there.
        answer(&mut scene, asked, state, Some(provided(2, &[&raw()])));
        assert_eq!(offered(&mut scene), bag(&[&raw()]), "{state:?}");
    }
}

#[test]
fn what_is_reserved_of_a_provider_is_counted_with_at_once_and_never_twice() {
    let mut scene = scene();
    let own = Resource { reservations: vec![dynamic("db")], ..raw() };
    let effects = scene.accept(vec![named("o", reserve(vec![own.clone()]))]);
    assert_eq!(offered(&mut scene), bag(&[&own]));
    // Told before the agent knew of the operation.
    provides(&mut scene, vec![provided(2, &[&raw(), &mount()])]);
    assert_eq!(offered(&mut scene), bag(&[&own, &mount()]));
    let asked = asked(&effects);
    let now = Some(provided(2, &[&own, &mount()]));
    answer(&mut scene, asked, OperationState::Finished, now);
    assert_eq!(offered(&mut scene), bag(&[&own, &mount()]));
}

#[test]
fn what_was_reserved_in_vain_is_free_again() {
    let mut scene = scene();
    let own = Resource { reservations: vec![dynamic("db")], ..raw() };
    let effects = scene.accept(vec![named("o", reserve(vec![own]))]);
    let asked = asked(&effects);
    answer(&mut scene, asked, OperationState::Dropped, Some(provided(2, &[&raw()])));
    assert_eq!(offered(&mut scene), bag(&[&raw()]));
}

#[test]
fn an_operation_of_a_provider_that_is_away_recovers() {
    let state = |scene: &mut Scene| {
        let call = Call::ReconcileOperations { operations: vec![] };
        let effects = scene.stage.call(&scene.framework.clone(), call);
        effects.iter().find_map(|effect| match effect {
            Effect::Event(_, Event::UpdateOperation(status)) => Some(status.state),
            Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => None,
        })
    };
    let mut scene = scene();
    scene.accept(vec![named("o", make())]);
    assert_eq!(state(&mut scene), Some(OperationState::Pending));
    provides(&mut scene, vec![]);
    assert_eq!(state(&mut scene), Some(OperationState::Recovering));
    provides(&mut scene, vec![provided(2, &[&raw()])]);
    assert_eq!(state(&mut scene), Some(OperationState::Pending));
}

/// What is wrong with a conversion, as its framework hears it.
fn check(conversion: Conversion, fault: &str) {
    let mut scene = scene();
    let effects = scene.accept(vec![named("o", conversion.clone())]);
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Event(_, Event::UpdateOperation(status)) => status.message.clone(),
        Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => None,
    });
    let found = found.unwrap_or_default();
    let fits = if fault.is_empty() { found.is_empty() } else { found.contains(fault) };
    assert!(fits, "{found:?} is not {fault:?}: {conversion:?}");
}

#[test]
fn operations_on_disks_of_providers_are_judged() {
    let create = |source: Resource, target, profile: Option<&str>| Conversion::CreateDisk {
        source,
        target,
        profile: profile.map(str::to_owned),
    };
    let blank = || {
        let mut one = raw();
        let info = one.disk.as_mut().expect("a disk");
        info.source.as_mut().expect("it has one").profile = None;
        one
    };
    check(create(raw(), DiskKind::Mount, None), "");
    check(create(raw(), DiskKind::Block, None), "");
    check(create(raw(), DiskKind::Path, None), "'target_type' is neither MOUNT or BLOCK");
    check(create(mount(), DiskKind::Mount, None), "'source' is not a RAW disk resource");
    check(create(raw(), DiskKind::Mount, Some("x")), "must not be set when 'source' has");
    check(create(blank(), DiskKind::Mount, None), "must be set when 'source' has no profile");
    check(create(blank(), DiskKind::Mount, Some("x")), "it needs");
    let own = || Resource { provider: None, ..raw() };
    check(create(own(), DiskKind::Mount, None), "not managed by a resource provider");
    let destroy = |source| Conversion::DestroyDisk { source };
    check(destroy(own()), "not managed by a resource provider");
    check(destroy(raw()), "'source' is not backed by a CSI volume");
    check(destroy(disk(DiskKind::Path, Some("d"), "p")), "neither a MOUNT, BLOCK or RAW");
    check(destroy(mount()), "it needs");
    let volume = || {
        let space = Resource { reservations: vec![dynamic("db")], ..mount() };
        let mut one = crate::made::volume(&space, "v");
        one.disk.as_mut().expect("a volume").source = space.source().cloned();
        one
    };
    check(destroy(volume()), "destroy that first");
    let (grown, subtract) = (volume(), model::resources::Scalar::whole(1));
    check(
        Conversion::GrowVolume { volume: grown.clone(), addition: raw() },
        "a volume of a resource provider keeps its size",
    );
    check(
        Conversion::ShrinkVolume { volume: grown, subtract },
        "a volume of a resource provider keeps its size",
    );
}

#[test]
fn an_operation_is_carried_out_by_one_provider() {
    let held = |one: Resource| Resource { reservations: vec![dynamic("db")], ..one };
    let (own, other) = (reserved(ResourceName::Disk, 1, "db"), disk(DiskKind::Raw, None, "q"));
    check(reserve(vec![held(raw()), own.clone()]), "some have a resource provider");
    check(reserve(vec![held(raw()), held(other)]), "multiple resource providers: p, q");
    let resources = vec![held(raw()), own];
    check(Conversion::Unreserve { resources }, "some have a resource provider");
    check(reserve(vec![held(raw())]), "");
}

#[test]
fn a_task_holds_its_disk_when_the_provider_is_away() {
    let mut scene = scene();
    provides(&mut scene, vec![provided(2, &[&mount()])]);
    scene.stage.call(&scene.framework.clone(), Call::Revive { roles: vec![] });
    let offer = offers(&scene.stage.settle()).remove(0);
    let mut task = crate::stage::task("t", &offer, "cpus:1;mem:64");
    task.resources.add(&bag(&[&mount()]));
    let (offers, filters) = (vec![offer.id], model::scheduler::Filters::default());
    let operations = vec![Operation::Launch(vec![task])];
    scene.stage.call(&scene.framework.clone(), Call::Accept { offers, operations, filters });
    provides(&mut scene, vec![]);
    assert_eq!(offered(&mut scene), Resources::default());
    provides(&mut scene, vec![provided(2, &[&mount()])]);
    assert_eq!(offered(&mut scene), Resources::default(), "the task still has it");
}

#[test]
fn a_disk_that_is_being_made_for_nobody_is_nobodys_until_that_is_over() {
    let mut scene = scene();
    let effects = scene.accept(vec![named("o", make())]);
    let asked = asked(&effects);
    scene.stage.call(&scene.framework.clone(), Call::Teardown);
    scene.framework = scene.stage.subscribe(crate::stage::framework("db", &[]));
    assert_eq!(offered(&mut scene), Resources::default());
    answer(&mut scene, asked, OperationState::Finished, Some(provided(1, &[&mount()])));
    assert_eq!(offered(&mut scene), bag(&[&mount()]));
}

#[test]
fn no_two_volumes_of_a_provider_have_one_id() {
    let held = |one: Resource| Resource { reservations: vec![dynamic("db")], ..one };
    let volume = || {
        let space = held(raw());
        let mut one = crate::made::volume(&space, "v");
        one.disk.as_mut().expect("a volume").source = space.source().cloned();
        one
    };
    let mut scene = scene();
    provides(&mut scene, vec![provided(2, &[&volume(), &held(raw())])]);
    let effects = scene.accept(vec![named("o", Conversion::Create { volumes: vec![volume()] })]);
    let said = effects.iter().find_map(|effect| match effect {
        Effect::Event(_, Event::UpdateOperation(status)) => status.message.clone(),
        Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => None,
    });
    assert!(said.is_some_and(|said| said.contains("two volumes of the id")), "{effects:?}");
}
