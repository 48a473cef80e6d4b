//! Tasks of GET_TASKS and GET_STATE in protobuf, field by field: the same bytes as of the messages that
//! [`task`](super::task) makes, without making them. What few tasks have is left to messages.

use mesos_v1::direct::{bytes, double, message, number, text, within};
use mesos_v1::task_status::Source as SpelledSource;
use mesos_v1::{network_info::Protocol, value};
use model::id::Role;
use model::limits::Limits;
use model::resources::{Amount, Resource, Resources};
use model::task::{Address, ContainerStatus, Task, TaskStatus};

use super::container::{container, discovery};
use super::task::{kill_policy, limits};
use crate::mesos::master;
use crate::mesos::v1::resource::{is_plain, shown_one};
use crate::mesos::v1::{check, status};

type Out = Vec<u8>;

/// Of the message `Task`.
pub(super) fn task(task: &Task, out: &mut Out) {
    let told = task.status.as_ref();
    text(1, &task.name, out);
    named(2, task.id.as_str(), out);
    named(3, task.framework.as_str(), out);
    if let Some(executor) = &task.executor {
        named(4, executor.id.as_str(), out);
    }
    named(5, task.agent.as_str(), out);
    value(6, status::state(task.state) as i32, out);
    resources(7, &task.resources, Some(&task.role), out);
    task.statuses().for_each(|told| one_status(8, &told, out));
    if let Some(told) = told {
        value(9, status::state(told.state) as i32, out);
        if let Some(uuid) = told.uuid {
            bytes(10, &uuid.0, out);
        }
    }
    if !task.labels.is_empty() {
        within(11, out, |out| labels(&task.labels, out));
    }
    if let Some(info) = &task.discovery {
        message(12, &discovery(info), out);
    }
    if let Some(info) = &task.container {
        message(13, &container(info), out);
    }
    if let Some(user) = &task.user {
        text(14, user, out);
    }
    if let Some(more) = &task.more {
        more.health_check.iter().for_each(|one| message(15, &check::spell(one), out));
        more.kill_grace.iter().for_each(|grace| message(16, &kill_policy(*grace), out));
    }
    limits_of(17, &task.limits, out);
}

/// A message that is an id and nothing else.
fn named(field: u32, id: &str, out: &mut Out) {
    within(field, out, |out| text(1, id, out));
}

/// The number of an enum's value. None of ours is negative.
fn value(field: u32, spelled: i32, out: &mut Out) {
    number(field, u64::from(spelled.unsigned_abs()), out);
}

fn labels(all: &[(String, String)], out: &mut Out) {
    for (key, value) in all {
        within(1, out, |out| {
            text(1, key, out);
            text(2, value, out);
        });
    }
}

fn limits_of(field: u32, all: &Limits, out: &mut Out) {
    for (name, most) in limits(all) {
        within(field, out, |out| {
            text(1, &name, out);
            // In a map, what is as if it was not there is not there.
            if most != value::Scalar::default() {
                message(2, &most, out);
            }
        });
    }
}

/// As operators are shown them.
pub(super) fn resources(field: u32, all: &Resources, role: Option<&Role>, out: &mut Out) {
    for one in all.iter() {
        if is_plain(one) {
            within(field, out, |out| resource(one, role, out));
        } else {
            message(field, &shown_one(one, role), out);
        }
    }
}

fn resource(one: &Resource, role: Option<&Role>, out: &mut Out) {
    text(1, one.name.as_str(), out);
    match &one.amount {
        Amount::Scalar(amount) => {
            value(2, value::Type::Scalar as i32, out);
            within(3, out, |out| double(1, amount.as_f64(), out));
        }
        Amount::Ranges(ranges) => {
            value(2, value::Type::Ranges as i32, out);
            within(4, out, |out| {
                for (begin, end) in ranges.intervals() {
                    within(1, out, |out| {
                        number(1, *begin, out);
                        number(2, *end, out);
                    });
                }
            });
        }
        Amount::Set(items) => {
            value(2, value::Type::Set as i32, out);
            within(5, out, |out| items.iter().for_each(|item| text(1, item, out)));
        }
    }
    text(6, "*", out);
    if let Some(role) = role {
        named(11, role.as_str(), out);
    }
}

/// What few statuses tell is left to the message.
fn one_status(field: u32, told: &TaskStatus, out: &mut Out) {
    match (&told.given, &told.more) {
        (None, None) => within(field, out, |out| plain_status(told, out)),
        _ => message(field, &status::status(told), out),
    }
}

fn plain_status(told: &TaskStatus, out: &mut Out) {
    let source = status::source(told.source);
    named(1, told.task.as_str(), out);
    value(2, status::state(told.state) as i32, out);
    if let Some(cause) = &told.message {
        text(4, cause, out);
    }
    if let Some(agent) = &told.agent {
        named(5, agent.as_str(), out);
    }
    double(6, master::seconds(told.at), out);
    let own = (source != SpelledSource::Master).then(|| told.task.as_str());
    if let Some(executor) = told.executor.as_ref().map(|one| one.as_str()).or(own) {
        named(7, executor, out);
    }
    if let Some(healthy) = told.healthy {
        number(8, healthy.into(), out);
    }
    value(9, source as i32, out);
    if let Some(reason) = told.reason {
        value(10, status::reason(reason) as i32, out);
    }
    if let Some(uuid) = told.uuid {
        bytes(11, &uuid.0, out);
    }
    if let Some(place) = &told.container {
        within(13, out, |out| container_status(place, out));
    }
    if let Some(found) = told.check {
        message(15, &status::check(found), out);
    }
}

fn container_status(place: &ContainerStatus, out: &mut Out) {
    if !place.addresses.is_empty() {
        within(1, out, |out| {
            place.addresses.iter().for_each(|one| within(5, out, |out| address(*one, out)));
        });
    }
    if let Some(pid) = place.pid {
        number(3, pid.into(), out);
    }
    within(4, out, |out| {
        text(1, place.id.as_str(), out);
        if let Some(parent) = &place.parent {
            named(2, parent.as_str(), out);
        }
    });
}

fn address(Address(ip): Address, out: &mut Out) {
    let protocol = if ip.is_ipv4() { Protocol::IPv4 } else { Protocol::IPv6 };
    value(1, protocol as i32, out);
    text(2, &ip.to_string(), out);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use mesos_v1::codec::Encoding;
    use model::check::CheckStatus;
    use model::container::{DiscoveryInfo, Family, HealthCheck, Probe, Scheme};
    use model::executor::Given;
    use model::id::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId, Uuid};
    use model::limits::Limit;
    use model::resources::{Reservation, Resource, ResourceName, Scalar};
    use model::task::{ExecutorInfo, Reason, Source, TaskState};
    use model::time::Time;
    use model::told::{Earlier, StatusMore, TaskMore};

    use super::*;

    fn check(what: &str, change: impl FnOnce(&mut Task)) {
        let mut told = spare();
        change(&mut told);
        let mut found = Vec::new();
        task(&told, &mut found);
        assert_eq!(found, Encoding::Protobuf.encode(&super::super::task::task(&told)), "{what}");
    }

    /// With nothing that it need not have.
    fn spare() -> Task {
        Task {
            id: TaskId::new("web.1"),
            name: String::new(),
            framework: FrameworkId::new("framework"),
            agent: AgentId::new("agent"),
            resources: Resources::default(),
            role: Role::new("prod/web"),
            state: TaskState::Staging,
            status: None,
            labels: Vec::new(),
            discovery: None,
            container: None,
            user: None,
            executor: None,
            limits: Limits::default(),
            earlier: Vec::new(),
            more: None,
        }
    }

    fn earlier() -> Vec<Earlier> {
        let mut all = Vec::new();
        let more = StatusMore {
            unreachable_at: Some(Time(7)),
            limitation: "mem:32".parse().expect("resources"),
            labels: vec![("zone".to_owned(), "a".to_owned())],
        };
        let place = ContainerStatus {
            id: ContainerId::new("inner"),
            addresses: vec![],
            pid: Some(7),
            parent: None,
        };
        let before = TaskStatus {
            message: Some("pulling".to_owned()),
            healthy: Some(false),
            more: more.kept(),
            container: Some(place),
            ..status()
        };
        let starting = TaskStatus { state: TaskState::Starting, ..status() };
        Earlier::keep(&mut all, Some(&starting), TaskState::Killing);
        Earlier::keep(&mut all, Some(&before), TaskState::Killing);
        all
    }

    fn status() -> TaskStatus {
        TaskStatus::plain(
            TaskId::new("web.1"),
            TaskState::Running,
            Source::Master,
            Time(1_700_000_000_123),
        )
    }

    #[test]
    fn a_task_has_the_bytes_of_its_message() {
        check("nothing", |_| ());
        check("names", |task| {
            task.name = "web".to_owned();
            task.user = Some("nobody".to_owned());
            task.labels =
                vec![("team".to_owned(), "web".to_owned()), ("none".to_owned(), String::new())];
        });
        check("resources", |task| {
            let text = "cpus:0.5;mem:512;gpus:1;ports:[1-3,31000-31000];things:{a,b};disk(prod):7";
            task.resources = text.parse().expect("resources");
        });
        check("what may be taken away", |task| {
            let cpus = Resource::plain(ResourceName::Cpus, Amount::Scalar(Scalar(1_500)));
            let lent = Resource { revocable: true, ..cpus.clone() };
            let reserved = Resource {
                reservations: vec![Reservation::fixed(Role::new("prod"))],
                ..cpus.clone()
            };
            task.resources = Resources::new([cpus, lent, reserved]);
        });
        check("what was told before, and what few have", |task| {
            task.earlier = earlier();
            task.status = Some(TaskStatus { state: TaskState::Killing, ..status() });
            let health_check = HealthCheck {
                probe: Probe::Http {
                    scheme: Scheme::Https,
                    port: 443,
                    path: "/health".to_owned(),
                    family: Family::Ipv4,
                    ignore_1xx: false,
                },
                delay: Duration::from_secs(15),
                interval: Duration::from_secs(10),
                timeout: Duration::from_secs(20),
                grace: Duration::from_millis(1_500),
                failures_max: 3,
            };
            let kill_grace = Some(Duration::from_secs(5));
            task.more = Some(Arc::new(TaskMore { health_check: Some(health_check), kill_grace }));
        });
        check("limits", |task| {
            let (cpus, mem) = (Some(Limit::Amount(Scalar(0))), Some(Limit::Unlimited));
            task.limits = Limits { cpus, mem };
        });
        check("what it is found by, and what it shares", |task| {
            task.discovery =
                Some(DiscoveryInfo { name: "web".to_owned(), ports: Vec::new(), more: None });
            task.executor =
                Some(Box::new(ExecutorInfo::plain(ExecutorId::new("pod"), Resources::default())));
        });
    }

    #[test]
    fn a_status_has_the_bytes_of_its_message() {
        let check = |what: &str, change: fn(&mut TaskStatus)| {
            let mut told = status();
            change(&mut told);
            self::check(what, |task| task.status = Some(told));
        };
        check("nothing", |_| ());
        check("of an agent", |told| {
            told.source = Source::Agent;
            told.agent = Some(AgentId::new("agent"));
            told.reason = Some(Reason::ContainerLimitationMemory);
            told.message = Some("too much".to_owned());
            told.uuid = Some(Uuid([7; 16]));
            told.healthy = Some(false);
            told.check = Some(CheckStatus::Http(Some(503)));
        });
        check("of an executor", |told| {
            told.source = Source::Executor;
            told.executor = Some(ExecutorId::new("pod"));
            told.container = Some(ContainerStatus {
                id: ContainerId::new("inner"),
                addresses: ["10.0.0.1", "fd00::1"]
                    .map(|ip| Address(ip.parse().expect("an address")))
                    .to_vec(),
                pid: Some(70_000),
                parent: Some(ContainerId::new("outer")),
            });
        });
        check("of a program", |told| {
            let given = mesos_v1::TaskStatus { data: Some(vec![1, 2]), ..Default::default() };
            told.given = Some(Given(Encoding::Protobuf.encode(&given).into()));
        });
    }
}
