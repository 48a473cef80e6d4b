//! Tasks in JSON, byte by byte: the same bytes that serde makes of what [`task`](super::task) spells, sooner. What few tasks
//! have is left to serde.

use std::io::{self, Write};
use std::net::IpAddr;

use model::resources::{Amount, ResourceName, Resources, Scalar};
use model::task::{ContainerStatus, Task, TaskStatus};
use model::time::Time;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use super::v1::resource::is_plain;
use super::{resource, task as spelled};
use crate::marathon::task as marathon;

/// What most tasks need, with room to spare.
const TASK_BYTES: usize = 1_024;

/// Numbers from here on are not spelled with all their digits.
const DIGITS_END: u64 = 1_000_000_000_000_000;

type Out = Vec<u8>;

/// Like serde's function of this name, of values among which some are [`Written`].
pub(super) fn to_writer<W: Write>(out: W, value: &impl Serialize) -> io::Result<()> {
    let mut out = serde_json::Serializer::with_formatter(out, AsWritten);
    value.serialize(&mut out).map_err(io::Error::from)
}

/// Bytes are JSON already.
struct AsWritten;

impl Formatter for AsWritten {
    fn write_byte_array<W: ?Sized + Write>(&mut self, out: &mut W, json: &[u8]) -> io::Result<()> {
        out.write_all(json)
    }
}

/// A task that brings its JSON along as bytes: it is only for [`to_writer`].
#[derive(Debug)]
pub(super) struct Written<'a>(pub(super) &'a Task);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(TASK_BYTES);
        task(self.0, &mut bytes);
        out.serialize_bytes(&bytes)
    }
}

fn task(task: &Task, out: &mut Out) {
    named("{\"id\":", task.id.as_str(), out);
    named(",\"name\":", &task.name, out);
    named(",\"framework_id\":", task.framework.as_str(), out);
    let executor = task.executor.as_ref().map_or("", |executor| executor.id.as_str());
    named(",\"executor_id\":", executor, out);
    named(",\"slave_id\":", task.agent.as_str(), out);
    named(",\"state\":", marathon::state(task.state), out);
    out.extend_from_slice(b",\"resources\":");
    resources(&task.resources, out);
    named(",\"role\":", task.role.as_str(), out);
    out.extend_from_slice(b",\"statuses\":[");
    for (nth, told) in task.statuses().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        status(&told, out);
    }
    out.push(b']');
    if let Some(user) = &task.user {
        named(",\"user\":", user, out);
    }
    labels(&task.labels, out);
    if let Some(discovery) = &task.discovery {
        left(",\"discovery\":", &spelled::discovery(discovery), out);
    }
    if let Some(container) = &task.container {
        left(",\"container\":", &spelled::container(container), out);
    }
    if let Some(check) = task.more.as_ref().and_then(|more| more.health_check.as_ref()) {
        left(",\"health_check\":", &spelled::health(check), out);
    }
    if let Some(limits) = spelled::limits_of(&task.limits) {
        left(",\"limits\":", &limits, out);
    }
    out.push(b'}');
}

fn labels(some: &[(String, String)], out: &mut Out) {
    if !some.is_empty() {
        out.extend_from_slice(b",\"labels\":");
        all(some, out, |(key, value), out| {
            named("{\"key\":", key, out);
            named(",\"value\":", value, out);
            out.push(b'}');
        });
    }
}

fn status(told: &TaskStatus, out: &mut Out) {
    named("{\"state\":", marathon::state(told.state), out);
    out.extend_from_slice(b",\"timestamp\":");
    time(told.at, out);
    told.more.iter().for_each(|more| labels(&more.labels, out));
    if let Some(status) = &told.container {
        out.extend_from_slice(b",\"container_status\":");
        container(status, out);
    }
    if let Some(healthy) = told.healthy {
        let healthy: &[u8] = if healthy { b",\"healthy\":true" } else { b",\"healthy\":false" };
        out.extend_from_slice(healthy);
    }
    if let Some(message) = &told.message {
        named(",\"message\":", message, out);
    }
    if let Some(check) = told.check {
        left(",\"check_status\":", &spelled::check_status(check), out);
    }
    out.push(b'}');
}

fn container(status: &ContainerStatus, out: &mut Out) {
    out.extend_from_slice(b"{\"container_id\":{");
    if let Some(parent) = &status.parent {
        named("\"parent\":{\"value\":", parent.as_str(), out);
        out.extend_from_slice(b"},");
    }
    named("\"value\":", status.id.as_str(), out);
    out.push(b'}');
    if let Some(pid) = status.pid {
        out.extend_from_slice(b",\"executor_pid\":");
        digits(pid.into(), out);
    }
    if !status.addresses.is_empty() {
        out.extend_from_slice(b",\"network_infos\":[{\"ip_addresses\":");
        all(&status.addresses, out, |address, out| {
            out.extend_from_slice(b"{\"ip_address\":\"");
            ip(address.0, out);
        });
        out.extend_from_slice(b"}]");
    }
    out.push(b'}');
}

/// And its protocol.
fn ip(address: IpAddr, out: &mut Out) {
    match address {
        IpAddr::V4(address) => {
            for (nth, part) in address.octets().into_iter().enumerate() {
                if nth > 0 {
                    out.push(b'.');
                }
                digits(part.into(), out);
            }
            out.extend_from_slice(b"\",\"protocol\":\"IPv4\"}");
        }
        IpAddr::V6(address) => {
            out.extend_from_slice(address.to_string().as_bytes());
            out.extend_from_slice(b"\",\"protocol\":\"IPv6\"}");
        }
    }
}

fn resources(bag: &Resources, out: &mut Out) {
    let Some(usual) = usual(bag) else { return left("", &resource::sum(bag), out) };
    let Usual { cpus, disk, gpus, mem, ports } = usual;
    for (name, amount) in
        [("{\"cpus\":", cpus), (",\"disk\":", disk), (",\"gpus\":", gpus), (",\"mem\":", mem)]
    {
        out.extend_from_slice(name.as_bytes());
        thousandths(amount.0, || amount.as_f64(), out);
    }
    if let Some(intervals) = ports {
        out.extend_from_slice(b",\"ports\":\"[");
        for (nth, (begin, end)) in intervals.iter().enumerate() {
            if nth > 0 {
                out.extend_from_slice(b", ");
            }
            digits(*begin, out);
            out.push(b'-');
            digits(*end, out);
        }
        out.extend_from_slice(b"]\"");
    }
    out.push(b'}');
}

/// What nearly every task has and nothing else.
#[derive(Debug, Default)]
struct Usual<'a> {
    cpus: Scalar,
    disk: Scalar,
    gpus: Scalar,
    mem: Scalar,
    ports: Option<&'a [(u64, u64)]>,
}

fn usual(bag: &Resources) -> Option<Usual<'_>> {
    let mut usual = Usual::default();
    for one in bag.iter() {
        if !is_plain(one) {
            return None;
        }
        match (&one.name, &one.amount) {
            (ResourceName::Cpus, Amount::Scalar(amount)) => usual.cpus = *amount,
            (ResourceName::Disk, Amount::Scalar(amount)) => usual.disk = *amount,
            (ResourceName::Gpus, Amount::Scalar(amount)) => usual.gpus = *amount,
            (ResourceName::Mem, Amount::Scalar(amount)) => usual.mem = *amount,
            (ResourceName::Ports, Amount::Ranges(ranges)) => {
                usual.ports = Some(ranges.intervals());
            }
            (_, Amount::Scalar(_) | Amount::Ranges(_) | Amount::Set(_)) => return None,
        }
    }
    Some(usual)
}

fn all<T>(items: &[T], out: &mut Out, write: impl Fn(&T, &mut Out)) {
    out.push(b'[');
    for (nth, item) in items.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// What comes before a text, and the text.
fn named(before: &str, value: &str, out: &mut Out) {
    out.extend_from_slice(before.as_bytes());
    // No early exit: so a machine looks at many bytes at a time.
    let is_odd = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    if value.as_bytes().iter().fold(false, |odd, byte| odd | is_odd(byte)) {
        return left("", &value, out);
    }
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

/// What serde spells.
fn left(before: &str, value: &impl Serialize, out: &mut Out) {
    out.extend_from_slice(before.as_bytes());
    serde_json::to_writer(out, value).expect("a vector takes every byte, and maps have names");
}

fn time(at: Time, out: &mut Out) {
    thousandths(at.0, || super::master::seconds(at), out);
}

fn thousandths(amount: u64, exact: impl Fn() -> f64, out: &mut Out) {
    if amount.is_multiple_of(1_000) && amount < DIGITS_END {
        digits(amount / 1_000, out);
        out.extend_from_slice(b".0");
    } else {
        left("", &exact(), out);
    }
}

fn digits(mut number: u64, out: &mut Out) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] += (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::check::CheckStatus;
    use model::container::{DiscoveryInfo, Family, HealthCheck, Probe, Scheme};
    use model::id::{AgentId, ContainerId, ExecutorId, FrameworkId, Role, TaskId};
    use model::limits::{Limit, Limits};
    use model::resources::{Reservation, Resource};
    use model::task::{Address, ExecutorInfo, Source, TaskState};
    use model::told::{Earlier, StatusMore, TaskMore};

    use super::*;

    fn check(what: &str, change: impl FnOnce(&mut Task)) {
        let mut told = spare();
        change(&mut told);
        let mut found = Vec::new();
        to_writer(&mut found, &Written(&told)).expect("a vector takes every byte");
        let found = String::from_utf8(found).expect("text");
        let expected = serde_json::to_string(&spelled::task(&told)).expect("it can be spelled");
        assert_eq!(found, expected, "{what}");
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
            ..told(5)
        };
        let starting = TaskStatus { state: TaskState::Starting, ..told(5) };
        Earlier::keep(&mut all, Some(&starting), TaskState::Killing);
        Earlier::keep(&mut all, Some(&before), TaskState::Killing);
        all
    }

    fn told(at: u64) -> TaskStatus {
        TaskStatus::plain(TaskId::new("web.1"), TaskState::Running, Source::Master, Time(at))
    }

    #[test]
    fn a_task_has_the_bytes_that_serde_makes() {
        check("nothing", |_| ());
        for name in ["web", "ü", "\"", "a\\b", "\n\u{1}\u{7f}", "\u{2028}"] {
            check("names", |task| {
                task.name = name.to_owned();
                task.user = Some(name.to_owned());
                let label = |key: &str| (key.to_owned(), name.to_owned());
                task.labels = vec![label("one"), label("\t")];
            });
        }
        check("what was told before, and what few have", |task| {
            task.earlier = earlier();
            task.status = Some(TaskStatus { state: TaskState::Killing, ..told(5) });
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
            let (cpus, mem) = (Some(Limit::Amount(Scalar(500))), Some(Limit::Unlimited));
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
    fn resources_have_the_bytes_that_serde_makes() {
        for text in [
            "cpus:0.5;mem:512;gpus:1;disk:0.001",
            "cpus:999999999999;mem:123456.789",
            "ports:[1-3,31000-31000]",
            "cpus:1;ports:[1-1];things:{a,b};a:7",
            "cpus(prod):1;cpus:0.25;disk(prod):7",
        ] {
            check(text, |task| task.resources = text.parse().expect("resources"));
        }
        check("what may be taken away", |task| {
            let cpus = Resource::plain(ResourceName::Cpus, Amount::Scalar(Scalar(1_500)));
            let lent = Resource { revocable: true, ..cpus.clone() };
            let reserved = Resource {
                reservations: vec![Reservation::fixed(Role::new("prod"))],
                ..cpus.clone()
            };
            task.resources = Resources::new([cpus, lent, reserved]);
        });
    }

    #[test]
    fn a_status_has_the_bytes_that_serde_makes() {
        for at in [0, 1, 999, 1_000, 1_700_000_000_123, 1_700_000_000_000, u64::MAX] {
            check("times", |task| task.status = Some(told(at)));
        }
        let addresses = ["10.0.0.255", "2001:db8::1"];
        let addresses = addresses.map(|one| Address(one.parse().expect("an address")));
        for (parent, pid, addresses) in [
            (None, None, vec![]),
            (Some(ContainerId::new("outer")), Some(u32::MAX), addresses.to_vec()),
        ] {
            let container =
                ContainerStatus { id: ContainerId::new("inner"), addresses, pid, parent };
            check("all else", |task| {
                task.status = Some(TaskStatus {
                    container: Some(container),
                    healthy: Some(pid.is_some()),
                    message: Some("it says \"no\"".to_owned()),
                    check: Some(CheckStatus::Http(Some(200))),
                    ..told(5)
                });
            });
        }
    }
}
