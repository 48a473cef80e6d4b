//! How deployments are kept: a small record that changes with every step, and the plan beside it, in parts that are
//! written once. So neither a step nor a part is larger than a store likes, however many apps there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use model::id::{Serial, Uuid};
use model::time::Time;

use crate::memory::Memory;
use crate::past::PastGroup;
use crate::spec::AppId;
use crate::state::{Action, App, Before, Cause, Deployment, Record, Version};

/// Actions, and apps gone back to, in one part: at some hundred bytes each a quarter of a mebibyte.
pub const PART_ENTRIES_MAX: usize = 1_500;

/// A deployment without its plan.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Head {
    #[n(0)]
    pub serial: Serial,
    #[n(1)]
    pub id: Uuid,
    #[n(2)]
    pub version: Version,
    /// Only where it has no parts, as the first release wrote it; so is `before`.
    #[n(3)]
    pub steps: Vec<Vec<Action>>,
    #[n(4)]
    pub step: u32,
    #[n(5)]
    pub before: Vec<Before>,
    #[cbor(n(6), default)]
    pub cause: Cause,
    #[cbor(n(7), default)]
    pub started_at: Time,
    #[n(8)]
    pub deadline: Option<Time>,
    #[cbor(n(9), default)]
    pub parts: u32,
}

/// A piece of a plan.
#[derive(Debug, Clone, PartialEq, Default, Encode, Decode)]
pub struct Part {
    #[n(0)]
    pub actions: Vec<Planned>,
    #[n(1)]
    pub before: Vec<Was>,
    #[n(2)]
    pub groups: Vec<PastGroup>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Planned {
    #[n(0)]
    pub step: u32,
    #[n(1)]
    pub action: Action,
}

/// What an app was before; its spec is among the versions.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Was {
    #[n(0)]
    pub app: AppId,
    #[n(1)]
    pub was: Option<Versions>,
}

#[derive(Debug, Clone, Copy, PartialEq, Encode, Decode)]
pub struct Versions {
    #[n(0)]
    pub version: Version,
    #[n(1)]
    pub last_scaling_at: Version,
    #[n(2)]
    pub last_config_change_at: Version,
}

impl Deployment {
    /// What changes of it; the rest only if it has no parts to keep it in.
    pub(crate) fn head(&self) -> Head {
        let inline = self.parts == 0;
        Head {
            serial: self.serial,
            id: self.id,
            version: self.version,
            steps: if inline { (*self.steps).clone() } else { Vec::new() },
            step: self.step,
            before: if inline { (*self.before).clone() } else { Vec::new() },
            cause: self.cause,
            started_at: self.started_at,
            deadline: self.deadline,
            parts: self.parts,
        }
    }

    /// All records of a new deployment, its plan first.
    pub(crate) fn records(&self) -> Vec<Record> {
        let parts = split(self);
        let count = u32::try_from(parts.len()).expect("parts are few");
        let record = |(nth, part)| Record::Part(self.serial, nth, Some(Arc::new(part)));
        let head = Head { parts: count, steps: Vec::new(), before: Vec::new(), ..self.head() };
        let head = Record::Deployment(self.serial, Some(Arc::new(head)));
        (0..).zip(parts).map(record).chain([head]).collect()
    }

    /// All records of it, to be removed.
    pub(crate) fn removal(&self) -> Vec<Record> {
        let part = |nth| Record::Part(self.serial, nth, None);
        let head = Record::Deployment(self.serial, None);
        std::iter::once(head).chain((0..self.parts).map(part)).collect()
    }
}

fn split(deployment: &Deployment) -> Vec<Part> {
    let mut parts = vec![Part::default()];
    let mut entries = 0;
    let mut room = |parts: &mut Vec<Part>| {
        if entries == PART_ENTRIES_MAX {
            parts.push(Part::default());
            entries = 0;
        }
        entries += 1;
    };
    for (step, actions) in (0..).zip(deployment.steps.iter()) {
        for action in actions {
            room(&mut parts);
            let planned = Planned { step, action: action.clone() };
            parts.last_mut().expect("one at least").actions.push(planned);
        }
    }
    for Before { app, was } in deployment.before.iter() {
        room(&mut parts);
        let versions = |app: &Arc<App>| Versions {
            version: app.version,
            last_scaling_at: app.last_scaling_at,
            last_config_change_at: app.last_config_change_at,
        };
        let was = Was { app: app.clone(), was: was.as_ref().map(versions) };
        parts.last_mut().expect("one at least").before.push(was);
    }
    for group in deployment.groups_before.iter() {
        room(&mut parts);
        parts.last_mut().expect("one at least").groups.push(group.clone());
    }
    parts
}

impl Memory {
    /// A deployment begins once all of it is there, in whatever order its records come.
    pub(crate) fn apply_part(&mut self, serial: Serial, nth: u32, part: Option<&Arc<Part>>) {
        let Some(part) = part else { return };
        self.parts.entry(serial).or_default().insert(nth, Arc::clone(part));
        if let Some(head) = self.heads.remove(&serial) {
            self.apply_head(serial, Some(&head));
        }
    }

    pub(crate) fn apply_head(&mut self, serial: Serial, head: Option<&Arc<Head>>) {
        let Some(head) = head else {
            self.heads.remove(&serial);
            if let Some(was) = self.view.deployments.remove(&serial) {
                self.release(serial, &was);
            }
            return;
        };
        if let Some(known) = self.view.deployments.get_mut(&serial) {
            // A step further: who is held does not change.
            *known = Arc::new(Deployment { step: head.step, ..(**known).clone() });
            return;
        }
        let complete = self.parts.get(&serial).map_or(0, BTreeMap::len);
        if complete < usize::try_from(head.parts).expect("32 bits fit") {
            self.heads.insert(serial, Arc::clone(head));
            return;
        }
        let parts = self.parts.remove(&serial).unwrap_or_default();
        let deployment = Arc::new(self.assemble(head, parts.into_values()));
        self.view.deployments.insert(serial, Arc::clone(&deployment));
        self.hold(serial, &deployment);
    }

    fn assemble(&self, head: &Head, parts: impl Iterator<Item = Arc<Part>>) -> Deployment {
        let (mut steps, mut before) = (head.steps.clone(), head.before.clone());
        let mut groups_before = Vec::new();
        for part in parts {
            for Planned { step, action } in &part.actions {
                let step = usize::try_from(*step).expect("32 bits fit");
                if steps.len() <= step {
                    steps.resize(step + 1, Vec::new());
                }
                steps[step].push(action.clone());
            }
            let was = part.before.iter().map(|was| self.as_it_was(was));
            before.extend(was);
            groups_before.extend(part.groups.iter().cloned());
        }
        Deployment {
            serial: head.serial,
            id: head.id,
            version: head.version,
            steps: Arc::new(steps),
            step: head.step,
            before: Arc::new(before),
            groups_before: Arc::new(groups_before),
            cause: head.cause,
            started_at: head.started_at,
            deadline: head.deadline,
            parts: head.parts,
        }
    }

    fn as_it_was(&self, Was { app, was }: &Was) -> Before {
        let with_spec = |was: &Versions| {
            let spec = self.view.versions.get(&(app.clone(), was.version));
            Arc::new(App {
                spec: Arc::clone(spec.expect("what a deployment goes back to is kept")),
                version: was.version,
                last_scaling_at: was.last_scaling_at,
                last_config_change_at: was.last_config_change_at,
                last_failure: None,
            })
        };
        Before { app: app.clone(), was: was.as_ref().map(with_spec) }
    }
}
