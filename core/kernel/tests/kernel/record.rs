//! Records as bytes: what one release writes, the next reads.

use std::time::Duration;

use kernel::maintenance::{Machine, MachineId, Mode, Schedule, Window};
use kernel::quota::{Quantities, Quota};
use kernel::state::{Agent, Drain, Duty, Framework, Standing};
use kernel::{MACHINE, Record};
use model::executor::Given;
use model::framework::Capability;
use model::id::{AgentId, FrameworkId, ProviderId, Role, Uuid};
use model::machine::Record as _;
use model::provider::{Provided, ProviderInfo};
use model::resources::Scalar;
use model::scheduler::Unavailability;
use model::time::Time;

use crate::stage::{BIG, bag, framework, info};

#[test]
fn every_record_reads_back_under_a_key_of_its_own() {
    let with_duty =
        |standing, duty| Agent { info: info(BIG).into(), standing, registered_at: Time(7), duty };
    let agent = |standing| with_duty(standing, Duty::Active);
    let drain = Drain { since: Time(8), grace_max: Some(Duration::from_secs(9)), mark_gone: true };
    let drained = Some(with_duty(Standing::Admitted, Duty::Drained(drain)));
    let admitted = |id: &str, standing| Record::Agent(AgentId::new(id), Some(agent(standing)));
    let id = MachineId::new("host", "127.0.0.1");
    let window = Window {
        machines: vec![Machine { id, mode: Mode::Down }],
        unavailability: Unavailability { start: Time(8), duration: Some(Duration::from_secs(9)) },
    };
    let with = |completed_at| Framework {
        info: framework("a/b", &[Capability::MultiRole, Capability::PartitionAware]).into(),
        registered_at: Time(8),
        completed_at,
    };
    let known =
        |id: &str, completed_at| Record::Framework(FrameworkId::new(id), Some(with(completed_at)));
    let in_use = |agent: &str, role: &str| {
        Record::InUse(AgentId::new(agent), Role::new(role), Some(bag("cpus(a):0.1;ports:[1-5]")))
    };
    let all = [
        admitted("c-S0", Standing::Admitted),
        admitted("c-S1", Standing::Unreachable { since: Time(9) }),
        admitted("c-S2", Standing::Gone { since: Time(9) }),
        Record::Agent(AgentId::new("c-S3"), drained),
        known("c-0000", None),
        known("c-0001", Some(Time(10))),
        Record::Weight(Role::new("a/b"), Some(Scalar::whole(3))),
        Record::Quota(Role::new("a/b"), Some(Quota::both(Quantities::of(&bag("cpus:1;x:2"))))),
        Record::Maintenance(Some(Schedule { windows: vec![window] })),
        Record::Claims(AgentId::new("c-S0"), Some(bag("disk(a):1"))),
        Record::Provided(AgentId::new("c-S0"), Some(vec![provided()])),
        in_use("c-S0", "*"),
        in_use("c-S0", "a/b"),
        in_use("c-S0a", "/b"),
    ];
    let mut keys = std::collections::BTreeSet::new();
    for record in all {
        let (key, value) = (record.key(), record.value().expect("it has a value"));
        assert_eq!(key[0], MACHINE);
        assert_eq!(Record::read(&key, &value), Ok(record.clone()));
        assert!(keys.insert(key), "{record:?}");
    }
}

#[test]
fn a_removal_has_the_key_and_no_value() {
    let removed = Record::Framework(FrameworkId::new("c-0000"), None);
    assert_eq!((removed.key(), removed.value()), (b"kfc-0000".to_vec(), None));
}

#[test]
fn what_no_release_wrote_is_refused_by_its_cause() {
    let check = |key: &[u8], value: &[u8], cause: &str| {
        let bad = Record::read(key, value).expect_err("not a record");
        assert!(bad.to_string().contains(cause), "{bad}");
    };
    let weight = Record::Weight(Role::new("a"), Some(Scalar(5)));
    let value = weight.value().expect("it has a value");
    check(b"sx", &value, "not a key of the kernel");
    check(b"", &value, "not a key of the kernel");
    check(b"kza", &value, "no release knows the entity 0x7a");
    check(b"kuc-S0", &value, "names no role");
    check(b"kw\xff", &value, "utf-8");
    check(b"kwa", &[], "empty");
    check(b"kwa", &[9, 1], "format 9 is of a later release");
    check(b"kac-S0", &value, "unexpected type");
}

fn provided() -> Provided {
    let info = ProviderInfo {
        kind: "disks".to_owned(),
        name: "a".to_owned(),
        given: Given(vec![1, 2].into()),
    };
    let (id, total) = (ProviderId::new("p"), bag("disk:5"));
    Provided { id, info, total, version: Uuid([7; 16]), pending: vec![Uuid([8; 16])] }
}
