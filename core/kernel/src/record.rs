//! How records are spelled in the store: `k`, a letter for the kind of entity, its id; then a format version and CBOR.

use minicbor::{Decode, Encode};
use model::id::{AgentId, FrameworkId, Role};
use model::machine::{self, BadRecord};

use crate::state::Record;

/// The first byte of every key of this machine.
pub const MACHINE: u8 = b'k';

const AGENT: u8 = b'a';
const CLAIMS: u8 = b'c';
const FRAMEWORK: u8 = b'f';
const IN_USE: u8 = b'u';
const MAINTENANCE: u8 = b'm';
const PROVIDED: u8 = b'p';
const QUOTA: u8 = b'q';
const WEIGHT: u8 = b'w';

/// The first byte of every value. A release that changes what follows counts it up and still reads the former.
const FORMAT: u8 = 1;

/// Between the two ids of a key. No id contains it: they are checked when they come in.
const SEPARATOR: u8 = 0;

impl machine::Record for Record {
    fn key(&self) -> Vec<u8> {
        match self {
            Record::Agent(id, _) => key(AGENT, id.as_str()),
            Record::Framework(id, _) => key(FRAMEWORK, id.as_str()),
            Record::Weight(role, _) => key(WEIGHT, role.as_str()),
            Record::Quota(role, _) => key(QUOTA, role.as_str()),
            Record::Claims(agent, _) => key(CLAIMS, agent.as_str()),
            Record::Provided(agent, _) => key(PROVIDED, agent.as_str()),
            Record::Maintenance(_) => key(MAINTENANCE, ""),
            Record::InUse(agent, role, _) => {
                let mut key = key(IN_USE, agent.as_str());
                key.push(SEPARATOR);
                key.extend_from_slice(role.as_str().as_bytes());
                key
            }
        }
    }

    fn value(&self) -> Option<Vec<u8>> {
        match self {
            Record::Agent(_, agent) => agent.as_ref().map(value),
            Record::Framework(_, framework) => framework.as_ref().map(value),
            Record::Weight(_, weight) => weight.as_ref().map(value),
            Record::Quota(_, quota) => quota.as_ref().map(value),
            Record::InUse(_, _, held) => held.as_ref().map(value),
            Record::Claims(_, claims) => claims.as_ref().map(value),
            Record::Provided(_, provided) => provided.as_ref().map(value),
            Record::Maintenance(schedule) => schedule.as_ref().map(value),
        }
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Self, BadRecord> {
        let bad = |cause: &str| BadRecord::new(key, cause);
        let [MACHINE, entity, id @ ..] = key else {
            return Err(bad("it is not a key of the kernel"));
        };
        let id = std::str::from_utf8(id).map_err(|cause| BadRecord::new(key, cause))?;
        match *entity {
            AGENT => Ok(Record::Agent(AgentId::new(id), Some(content(key, value)?))),
            FRAMEWORK => Ok(Record::Framework(FrameworkId::new(id), Some(content(key, value)?))),
            CLAIMS => Ok(Record::Claims(AgentId::new(id), Some(content(key, value)?))),
            PROVIDED => Ok(Record::Provided(AgentId::new(id), Some(content(key, value)?))),
            WEIGHT => Ok(Record::Weight(Role::new(id), Some(content(key, value)?))),
            QUOTA => Ok(Record::Quota(Role::new(id), Some(content(key, value)?))),
            MAINTENANCE => Ok(Record::Maintenance(Some(content(key, value)?))),
            IN_USE => {
                let ids = id.split_once(char::from(SEPARATOR));
                let (agent, role) = ids.ok_or_else(|| bad("it names no role"))?;
                let held = Some(content(key, value)?);
                Ok(Record::InUse(AgentId::new(agent), Role::new(role), held))
            }
            other => Err(bad(&format!("no release knows the entity {other:#04x}"))),
        }
    }
}

fn key(entity: u8, id: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + id.len());
    key.extend([MACHINE, entity]);
    key.extend_from_slice(id.as_bytes());
    key
}

fn value<T: Encode<()>>(content: &T) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    minicbor::encode(content, &mut bytes).expect("a vector takes every byte");
    bytes
}

fn content<T: for<'b> Decode<'b, ()>>(key: &[u8], value: &[u8]) -> Result<T, BadRecord> {
    match value {
        [FORMAT, content @ ..] => {
            minicbor::decode(content).map_err(|cause| BadRecord::new(key, cause))
        }
        [other, ..] => {
            Err(BadRecord::new(key, format!("its format {other} is of a later release")))
        }
        [] => Err(BadRecord::new(key, "it is empty")),
    }
}
