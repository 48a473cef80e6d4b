//! How records are kept: keys, and values in their first format.
//!
//! A key is `s`, a byte for the entity, and its id; apps and versions sort before the instances that refer to them,
//! which recovery relies on. A value is the format's number and then CBOR.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use model::check::CheckStatus;
use model::id::{Role, Serial, Uuid};
use model::machine::BadRecord;
use model::resources::Resources;
use model::task::{Address, TaskState};
use model::time::Time;

use crate::group::GroupId;
use crate::spec::AppId;
use crate::state::{Goal, Instance, Member, Place, Record, Version};

const MACHINE: u8 = b's';
const APP: u8 = 1;
const VERSION: u8 = 2;
const INSTANCE: u8 = 3;
const DEPLOYMENT: u8 = 4;
const HISTORY: u8 = 5;
const GROUP: u8 = 6;
const PAST: u8 = 7;
const PART: u8 = 8;
const DOOM: u8 = 9;
const AUTOSCALED: u8 = 10;

/// The format that this release writes, and the only one it reads.
const FORMAT: u8 = 1;

/// Bytes of a part's number within a key.
const PART_BYTES: usize = 4;
/// Bytes of a version or serial within a key.
const NUMBER_BYTES: usize = 8;

impl model::machine::Record for Record {
    fn key(&self) -> Vec<u8> {
        match self {
            Record::App(app, _) => key(APP, &[app.as_str().as_bytes()]),
            Record::Version(app, version, _) => {
                key(VERSION, &[app.as_str().as_bytes(), &version.0.0.to_be_bytes()])
            }
            Record::Instance(serial, _) => key(INSTANCE, &[&serial.0.to_be_bytes()]),
            Record::Deployment(serial, _) => key(DEPLOYMENT, &[&serial.0.to_be_bytes()]),
            Record::Part(serial, nth, _) => {
                key(PART, &[&serial.0.to_be_bytes(), &nth.to_be_bytes()])
            }
            Record::Doom(serial, _) => key(DOOM, &[&serial.0.to_be_bytes()]),
            Record::Autoscaled(app, _) => key(AUTOSCALED, &[app.as_str().as_bytes()]),
            Record::History(app, _) => key(HISTORY, &[app.as_str().as_bytes()]),
            Record::Group(group, _) => key(GROUP, &[group.as_str().as_bytes()]),
            Record::Past(group, version, _) => {
                key(PAST, &[group.as_str().as_bytes(), &version.0.0.to_be_bytes()])
            }
        }
    }

    fn value(&self) -> Option<Vec<u8>> {
        match self {
            Record::App(_, app) => app.as_deref().map(spell),
            Record::Version(_, _, spec) => spec.as_deref().map(spell),
            Record::Instance(_, instance) => {
                instance.as_deref().map(|instance| spell(&Stored::new(instance)))
            }
            Record::Deployment(_, deployment) => deployment.as_deref().map(spell),
            Record::Part(_, _, part) => part.as_deref().map(spell),
            Record::Doom(_, doom) => doom.as_deref().map(spell),
            Record::Autoscaled(_, autoscaled) => autoscaled.as_deref().map(spell),
            Record::History(_, history) => history.as_deref().map(spell),
            Record::Group(_, group) => group.as_deref().map(spell),
            Record::Past(_, _, past) => past.as_deref().map(spell),
        }
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Self, BadRecord> {
        let bad = |cause: String| BadRecord::new(key, cause);
        let [MACHINE, entity, id @ ..] = key else {
            return Err(bad("not a key of services".to_owned()));
        };
        let body = match value {
            [FORMAT, body @ ..] => body,
            [format, ..] => return Err(bad(format!("format {format} is not known"))),
            [] => return Err(bad("it is empty".to_owned())),
        };
        match *entity {
            APP => Ok(Record::App(app_id(key, id)?, Some(Arc::new(parse(key, body)?)))),
            VERSION => {
                let (app, version) = versioned(key, id)?;
                Ok(Record::Version(app_id(key, app)?, version, Some(Arc::new(parse(key, body)?))))
            }
            INSTANCE => {
                let serial = Serial(number(key, id)?);
                let stored: Stored = parse(key, body)?;
                Ok(Record::Instance(serial, Some(Arc::new(stored.into_instance(serial)))))
            }
            DEPLOYMENT => {
                let serial = Serial(number(key, id)?);
                Ok(Record::Deployment(serial, Some(Arc::new(parse(key, body)?))))
            }
            HISTORY => Ok(Record::History(app_id(key, id)?, Some(Arc::new(parse(key, body)?)))),
            GROUP => Ok(Record::Group(group_id(key, id)?, Some(Arc::new(parse(key, body)?)))),
            PAST => {
                let (group, version) = versioned(key, id)?;
                let past = Some(Arc::new(parse(key, body)?));
                Ok(Record::Past(group_id(key, group)?, version, past))
            }
            PART => {
                let (serial, nth) = id
                    .split_last_chunk::<PART_BYTES>()
                    .ok_or_else(|| bad("it is too short".to_owned()))?;
                let nth = u32::from_be_bytes(*nth);
                Ok(Record::Part(
                    Serial(number(key, serial)?),
                    nth,
                    Some(Arc::new(parse(key, body)?)),
                ))
            }
            DOOM => {
                let serial = Serial(number(key, id)?);
                Ok(Record::Doom(serial, Some(Arc::new(parse(key, body)?))))
            }
            AUTOSCALED => {
                Ok(Record::Autoscaled(app_id(key, id)?, Some(Arc::new(parse(key, body)?))))
            }
            other => Err(bad(format!("entity {other} is not known"))),
        }
    }
}

fn key(entity: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![MACHINE, entity];
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

fn spell<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(192);
    bytes.push(FORMAT);
    minicbor::encode(value, &mut bytes).expect("writing to memory does not fail");
    bytes
}

fn parse<'b, T: Decode<'b, ()>>(key: &[u8], body: &'b [u8]) -> Result<T, BadRecord> {
    minicbor::decode(body).map_err(|error| BadRecord::new(key, error))
}

fn number(key: &[u8], bytes: &[u8]) -> Result<u64, BadRecord> {
    let bytes = bytes.try_into().map_err(|_| BadRecord::new(key, "its number is not 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

fn app_id(key: &[u8], bytes: &[u8]) -> Result<AppId, BadRecord> {
    let text = std::str::from_utf8(bytes).map_err(|error| BadRecord::new(key, error))?;
    text.parse().map_err(|error| BadRecord::new(key, error))
}

fn group_id(key: &[u8], bytes: &[u8]) -> Result<GroupId, BadRecord> {
    let text = std::str::from_utf8(bytes).map_err(|error| BadRecord::new(key, error))?;
    text.parse().map_err(|error| BadRecord::new(key, error))
}

/// An id followed by a version.
fn versioned<'k>(key: &[u8], id: &'k [u8]) -> Result<(&'k [u8], Version), BadRecord> {
    let at = id.len().checked_sub(NUMBER_BYTES);
    let at = at.ok_or_else(|| BadRecord::new(key, "it is too short"))?;
    let (name, version) = id.split_at(at);
    Ok((name, Version(Time(number(key, version)?))))
}

/// An instance without what its key or its other fields say already: there are as many as tasks.
#[derive(Encode, Decode)]
struct Stored {
    #[n(0)]
    app: AppId,
    #[n(1)]
    version: Version,
    #[n(2)]
    uuid: Uuid,
    #[n(3)]
    incarnation: u32,
    #[cbor(n(4), with = "model::shared")]
    place: Arc<Place>,
    #[n(5)]
    ports: Vec<u16>,
    #[n(6)]
    role: Role,
    #[n(7)]
    goal: Goal,
    #[n(8)]
    state: TaskState,
    #[n(9)]
    staged_at: Time,
    #[n(10)]
    started_at: Option<Time>,
    #[n(11)]
    healthy: Option<bool>,
    #[n(12)]
    unreachable_since: Option<Time>,
    #[n(13)]
    addresses: Vec<Address>,
    #[n(14)]
    ready: bool,
    #[cbor(n(15), default)]
    members: Vec<Member>,
    #[n(16)]
    check: Option<CheckStatus>,
    #[cbor(n(17), with = "model::shared::option", has_nil)]
    claim: Option<Arc<Resources>>,
}

impl Stored {
    fn new(instance: &Instance) -> Self {
        Self {
            app: instance.app.clone(),
            version: instance.version,
            uuid: instance.uuid,
            incarnation: instance.incarnation,
            place: Arc::clone(&instance.place),
            ports: instance.ports.clone(),
            role: instance.role.clone(),
            goal: instance.goal,
            state: instance.state,
            staged_at: instance.staged_at,
            started_at: instance.started_at,
            healthy: instance.healthy,
            unreachable_since: instance.unreachable_since,
            addresses: instance.addresses.clone(),
            ready: instance.ready,
            members: instance.members.clone(),
            check: instance.check,
            claim: instance.claim.clone(),
        }
    }

    fn into_instance(self, serial: Serial) -> Instance {
        Instance {
            serial,
            task: match self.members.first() {
                Some(first) => first.task.clone(),
                None => Instance::task_id(&self.app, self.uuid, self.incarnation),
            },
            app: self.app,
            version: self.version,
            uuid: self.uuid,
            incarnation: self.incarnation,
            place: self.place,
            ports: self.ports,
            role: self.role,
            goal: self.goal,
            state: self.state,
            staged_at: self.staged_at,
            started_at: self.started_at,
            healthy: self.healthy,
            unreachable_since: self.unreachable_since,
            addresses: self.addresses,
            ready: self.ready,
            members: self.members,
            check: self.check,
            claim: self.claim,
        }
    }
}
