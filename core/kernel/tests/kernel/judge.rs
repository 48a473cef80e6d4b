//! What is wrong with an operation, and with the resources of tasks: one row for each check of Mesos' master.

use kernel::operator::Order;
use kernel::{Effect, Input};
use model::agent::{Books, FromAgent, PROTOCOL};
use model::container::VolumeMode;
use model::framework::{Capability, FrameworkInfo};
use model::id::{OperationId, Role};
use model::operation::{Conversion, OperationState};
use model::resources::{
    Amount, DiskInfo, DiskKind, DiskSource, Labels, Ranges, Reservation, Resource, ResourceName,
    Resources, Scalar,
};
use model::scheduler::{Call, Event, Filters, Operation};

use crate::made::{dynamic, plain, reserved, volume};
use crate::stage::{Stage, framework, info, offers, task};

const AGENT: &str = "cpus:8;mem:2048;disk:100;gpus:2;ports:[1-9];disk(db):50";

/// With an agent and an offer of it to the role `db`.
fn judged(info: FrameworkInfo, conversion: Conversion) -> Option<String> {
    let mut stage = Stage::new();
    stage.agent(1, AGENT);
    let from = stage.subscribe(info);
    let offer = offers(&stage.settle()).remove(0);
    let operation = Operation::Convert { id: Some(OperationId::new("o")), conversion };
    let call = Call::Accept {
        offers: vec![offer.id],
        operations: vec![operation],
        filters: Filters::default(),
    };
    stage.call(&from, call).iter().find_map(|effect| match effect {
        Effect::Event(_, Event::UpdateOperation(status)) => {
            assert_eq!(status.state, OperationState::Error);
            status.message.clone()
        }
        Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => None,
    })
}

fn db() -> FrameworkInfo {
    let capabilities = [
        Capability::GpuResources,
        Capability::ReservationRefinement,
        Capability::SharedResources,
        Capability::RevocableResources,
    ];
    framework("db", &capabilities)
}

fn check(conversion: Conversion, fault: &str) {
    let found = judged(db(), conversion.clone()).unwrap_or_default();
    let fits = if fault.is_empty() { found.is_empty() } else { found.contains(fault) };
    assert!(fits, "{found:?} is not {fault:?}: {conversion:?}");
}

fn reserve(one: Resource) -> Conversion {
    Conversion::Reserve { source: vec![], resources: vec![one] }
}

fn create(one: Resource) -> Conversion {
    Conversion::Create { volumes: vec![one] }
}

fn cpus() -> Resource {
    reserved(ResourceName::Cpus, 1, "db")
}

fn space() -> Resource {
    reserved(ResourceName::Disk, 10, "db")
}

fn stacked(reservations: Vec<Reservation>) -> Resource {
    Resource { reservations, ..plain(ResourceName::Cpus, 1) }
}

/// A volume whose description is changed.
fn with(change: impl Fn(&mut DiskInfo)) -> Resource {
    let mut one = volume(&space(), "v");
    change(one.disk.as_mut().expect("it is a volume"));
    one
}

fn source(kind: DiskKind, root: Option<&str>) -> Option<DiskSource> {
    let root = root.map(str::to_owned);
    let metadata = Labels::new();
    Some(DiskSource { kind, root, vendor: None, id: None, metadata, profile: None })
}

#[test]
fn what_is_wrong_with_any_resource_is_named() {
    check(reserve(reserved(ResourceName::from(""), 1, "db")), "resources[0].name");
    check(
        reserve(reserved(ResourceName::Gpus, 1, "db").sized(Scalar(1_500))),
        "resources[0].scalar",
    );
    let disk = volume(&space(), "v").disk;
    check(reserve(Resource { disk, ..cpus() }), "resources[0].disk: it is given for cpus");
    check(create(with(|disk| disk.source = source(DiskKind::Unknown, None))), "disk.source.type");
    check(create(with(|disk| disk.source = source(DiskKind::Raw, Some("/a")))), "disk.source: ");
    check(create(with(|disk| disk.source = source(DiskKind::Block, Some("/a")))), "disk.source: ");
    let no_role = |role: &str| reserve(stacked(vec![dynamic(role)]));
    check(no_role("-db"), "reservations[0].role");
    check(no_role(""), "reservations[0].role");
    check(no_role("d b"), "reservations[0].role");
    check(no_role("db/"), "reservations[0].role");
    check(no_role("*"), "reservations[0].role: nothing is reserved for \"*\"");
    let fixed = |role: &str| Reservation::fixed(Role::new(role));
    check(reserve(stacked(vec![dynamic("db"), fixed("db/a")])), "reservations[1].type");
    check(reserve(stacked(vec![fixed("db"), dynamic("db")])), "reservations[1].role");
    check(reserve(stacked(vec![fixed("d"), dynamic("db")])), "reservations[1].role");
    check(reserve(Resource { revocable: true, ..cpus() }), "resources[0].revocable");
    check(reserve(Resource { shared: true, ..cpus() }), "resources[0].shared");
}

#[test]
fn what_is_wrong_with_a_disk_is_named() {
    let revocable = Resource { revocable: true, reservations: vec![], ..with(|_| ()) };
    check(create(revocable), "volumes[0].disk.persistence: what may be taken away");
    let unreserved = Resource { reservations: vec![], ..with(|_| ()) };
    check(create(unreserved), "volumes[0].disk.persistence: what is not reserved");
    check(create(with(|disk| disk.volume = None)), "volumes[0].disk.volume");
    let host_path = |disk: &mut DiskInfo| {
        disk.volume.as_mut().expect("set").host_path = Some("/etc".to_owned());
    };
    check(create(with(host_path)), "volumes[0].disk.volume.host_path");
    let id = |id: &str| with(|disk| disk.persistence.as_mut().expect("set").id = id.to_owned());
    check(create(id("")), "volumes[0].disk.persistence.id");
    check(create(id("..")), "volumes[0].disk.persistence.id");
    check(create(id("a/b")), "volumes[0].disk.persistence.id");
    check(create(id(&"x".repeat(256))), "volumes[0].disk.persistence.id");
    check(
        create(with(|disk| disk.persistence = None)),
        "volumes[0].disk.volume: only a persistent",
    );
    let empty = |disk: &mut DiskInfo| *disk = DiskInfo::default();
    check(create(with(empty)), "volumes[0].disk: it is set but empty");
}

#[test]
fn a_reservation_is_judged() {
    check(reserve(cpus()), "");
    check(
        reserve(plain(ResourceName::Cpus, 1)),
        "resources[0].reservations: the last is to be DYNAMIC",
    );
    check(
        reserve(reserved(ResourceName::Cpus, 1, "other")),
        "resources[0].reservations: the last is for",
    );
    check(reserve(reserved(ResourceName::Cpus, 99, "db")), "it needs cpus:99");
    check(reserve(with(|_| ())), "it needs");
    let fixed = Resource { reservations: vec![Reservation::fixed(Role::new("db"))], ..cpus() };
    check(Conversion::Reserve { source: vec![cpus()], resources: vec![fixed] }, "DYNAMIC");
    let from =
        |source: Vec<Resource>, resources: Vec<Resource>| Conversion::Reserve { source, resources };
    check(from(vec![plain(ResourceName::Cpus, 1)], vec![cpus()]), "");
    check(from(vec![plain(ResourceName::Cpus, 2)], vec![cpus()]), "source: it is cpus:2");
    check(from(vec![plain(ResourceName::Cpus, 1)], vec![]), "resources: it is empty");
    let mixed = vec![plain(ResourceName::Cpus, 1), reserved(ResourceName::Mem, 1, "db")];
    let both = vec![cpus(), reserved(ResourceName::Mem, 1, "db")];
    check(from(mixed.clone(), both.clone()), "source: all are to have the same");
    check(from(both, mixed), "resources: all are to have the same");
    check(from(vec![with(|_| ())], vec![with(|_| ())]), "resources[0].disk.persistence");
    let ranges = Amount::Ranges(Ranges::new([(1, 2)]));
    let of_another_type = Resource { amount: ranges, ..cpus() };
    check(reserve(of_another_type), "it needs");
}

#[test]
fn principals_must_be_ones_own() {
    let check = |named: Option<&str>, fault: &str| {
        let named = named.map(str::to_owned);
        let own = FrameworkInfo { principal: Some("ops".to_owned()), ..db() };
        let mut one = cpus();
        one.reservations[0].principal = named.clone();
        let found = judged(own.clone(), reserve(one)).unwrap_or_default();
        let (field, is_good) = ("resources[0].reservations: the last names", fault.is_empty());
        assert!(found.is_empty() == is_good && (is_good || found.contains(field)), "{found}");
        let mut one = volume(&space(), "v");
        let disk = one.disk.as_mut().expect("it is a volume");
        disk.persistence.as_mut().expect("likewise").principal = named;
        let found = judged(own, create(one)).unwrap_or_default();
        let field = "volumes[0].disk.persistence.principal";
        assert_eq!(found.contains(field), !is_good, "{found}");
    };
    check(Some("ops"), "");
    check(Some("dev"), "another's");
    check(None, "nobody's");
}

#[test]
fn taking_back_a_reservation_is_judged() {
    let unreserve = |one: Resource| Conversion::Unreserve { resources: vec![one] };
    check(unreserve(cpus()), "it needs");
    check(unreserve(plain(ResourceName::Cpus, 1)), "resources[0].reservations: the last is not");
    let fixed = stacked(vec![Reservation::fixed(Role::new("db"))]);
    check(unreserve(fixed), "resources[0].reservations: the last is not");
    check(unreserve(with(|_| ())), "resources[0].disk.persistence: destroy the volume first");
}

#[test]
fn making_a_volume_is_judged() {
    check(create(space()), "volumes[0].disk: it is not set");
    let mounted = |disk: &mut DiskInfo| {
        *disk = DiskInfo { source: source(DiskKind::Mount, Some("/a")), ..DiskInfo::default() };
    };
    check(create(with(mounted)), "volumes[0].disk.persistence: it is not set");
    let read_only = |disk: &mut DiskInfo| {
        disk.volume.as_mut().expect("set").mode = VolumeMode::ReadOnly;
    };
    check(create(with(read_only)), "volumes[0].disk.volume.mode");
    let twice = Conversion::Create { volumes: vec![with(|_| ()), with(|_| ())] };
    check(twice, "volumes: the role has two volumes of the id \"v\"");
    check(create(with(|_| ())), "it needs");
    let fixed =
        Resource { reservations: vec![Reservation::fixed(Role::new("db"))], ..with(|_| ()) };
    check(create(fixed), "");
    let shared = create(Resource { shared: true, ..with(|_| ()) });
    let found = judged(framework("db", &[Capability::GpuResources]), shared).unwrap_or_default();
    assert!(found.contains("volumes[0].shared"), "{found}");
}

#[test]
fn removing_and_resizing_a_volume_is_judged() {
    let destroy = |one: Resource| Conversion::Destroy { volumes: vec![one] };
    check(destroy(space()), "volumes[0].disk: it is not set");
    check(destroy(with(|_| ())), "volumes[0].disk.persistence.id: the agent has no volume");
    let grow = |volume: Resource, addition: Resource| Conversion::GrowVolume { volume, addition };
    let nothing = space().sized(Scalar(0));
    check(grow(with(|_| ()), nothing), "addition.scalar");
    check(grow(space(), space()), "volume.disk: it is not set");
    check(grow(Resource { shared: true, ..with(|_| ()) }, space()), "volume.shared");
    check(grow(with(|_| ()), plain(ResourceName::Disk, 1)), "addition: it is not of the same disk");
    check(grow(with(|_| ()), cpus()), "addition: it is not of the same disk");
    check(grow(with(|_| ()), space()), "it needs");
    let shrink = |volume: Resource, subtract: u64| Conversion::ShrinkVolume {
        volume,
        subtract: Scalar::whole(subtract),
    };
    check(shrink(with(|_| ()), 0), "subtract: it is to be greater");
    check(shrink(with(|_| ()), 10), "subtract: it is to be less");
    check(shrink(space(), 1), "volume.disk: it is not set");
    check(shrink(Resource { shared: true, ..with(|_| ()) }, 1), "volume.shared");
    let mounted = with(|disk| disk.source = source(DiskKind::Mount, Some("/a")));
    check(shrink(mounted, 1), "volume.disk.source.type");
    check(shrink(with(|_| ()), 1), "it needs");
    let raw = Resource {
        disk: Some(Box::new(DiskInfo {
            source: source(DiskKind::Raw, None),
            ..DiskInfo::default()
        })),
        ..space()
    };
    let (target, profile) = (DiskKind::Mount, Some("fast".to_owned()));
    check(
        Conversion::CreateDisk { source: raw.clone(), target, profile },
        "'source' is not managed",
    );
    check(Conversion::DestroyDisk { source: raw }, "'source' is not managed");
}

#[test]
fn the_resources_of_tasks_are_judged() {
    let check = |more: Vec<Resource>, fault: &str| {
        let mut stage = Stage::new();
        stage.agent(1, AGENT);
        stage.subscribe(db());
        let offer = offers(&stage.settle()).remove(0);
        let mut one = task("t", &offer, "cpus:1;mem:64");
        one.resources.add(&Resources::new(more));
        let effects = stage.launch(&offer, vec![one]);
        let found = effects.iter().find_map(|effect| match effect {
            Effect::Event(_, Event::Update(status)) => status.message.clone(),
            Effect::Event(..) | Effect::ToAgent(..) | Effect::Disconnect(_) => None,
        });
        let found = found.unwrap_or_default();
        assert!(found.contains(fault), "{found} is not {fault}");
    };
    check(vec![plain(ResourceName::Gpus, 1).sized(Scalar(500))], "resources.scalar");
    check(vec![with(|_| ()), with(|_| ())], "resources: the role has two volumes");
    let revocable = Resource { revocable: true, ..plain(ResourceName::Cpus, 1) };
    check(vec![revocable], "resources: some cpus may be taken away");
    check(vec![with(|disk| disk.persistence = None)], "resources.disk.volume");
}

#[test]
fn operators_are_judged_and_told() {
    let mut stage = Stage::new();
    let agent = stage.agent(1, AGENT);
    let principal = Some("ops".to_owned());
    let order = |conversion: Conversion| {
        let (agent, principal) = (agent.clone(), principal.clone());
        Input::Operator { order: Order::Convert { agent, conversion, principal } }
    };
    let refused = stage.try_step(order(reserve(cpus()))).0.expect_err("of nobody").to_string();
    assert!(refused.contains("the last names principal none"), "{refused}");
    let mut mine = reserved(ResourceName::Cpus, 99, "db");
    mine.reservations[0].principal.clone_from(&principal);
    let refused = stage.try_step(order(reserve(mine))).0.expect_err("too much").to_string();
    assert!(refused.contains("does not have it free: cpus:91"), "{refused}");
    let order = Order::Convert {
        agent: model::id::AgentId::new("nobody"),
        conversion: reserve(cpus()),
        principal: None,
    };
    stage.try_step(Input::Operator { order }).0.expect_err("no such agent");
}

#[test]
fn agents_of_the_last_release_convert_nothing() {
    let mut stage = Stage::new();
    let (protocol, tasks, books) = (PROTOCOL - 1, vec![], Books::default());
    stage.hear(1, FromAgent::Register { protocol, agent: None, info: info(AGENT), tasks, books });
    let from = stage.subscribe(db());
    let offer = offers(&stage.settle()).remove(0);
    let id = Some(OperationId::new("o"));
    let operations = vec![Operation::Convert { id, conversion: reserve(cpus()) }];
    let (offers, filters) = (vec![offer.id], Filters::default());
    let effects = stage.call(&from, Call::Accept { offers, operations, filters });
    assert_eq!(crate::stage::told(&effects), ["Error o"]);
}
