//! Offers become instances: one `Accept` for each offer that something fits into, with all that fits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::id::{OfferId, Serial, Uuid};
use model::resources::Resources;
use model::scheduler::{Call, Filters, Offer, Operation, Unavailability};
use model::task::{TaskInfo, TaskState};
use model::time::Time;
use placement::demand::{Demand, Lack};
use placement::fit::{Prospect, Site, fit};
use placement::room::Room;
use placement::rule::{Field, Tally};

use crate::crew::spot;
use crate::machine::{Services, Turn};
use crate::queue::{Look, Want};
use crate::resident::{Estate, Estates};
use crate::spec::AppId;
use crate::spec::pod::PodSpec;
use crate::state::{FIRST_INCARNATION, Goal, Instance, Place, Record};
use crate::task::{Launch, Template};
use crate::timers::Due;
use crate::{pod, probe};

/// Apps that are tried on one offer.
const APPS_PER_OFFER_MAX: usize = 200;

/// How long an offer is declined for that has not been tried on all who wait: they are next.
const UNTRIED_REFUSE: Duration = Duration::from_secs(15);

/// An offer that is being filled.
pub(crate) struct Filling {
    pub(crate) offer: Arc<Offer>,
    pub(crate) room: Room,
    /// What is set aside for instances of ours.
    pub(crate) estates: Estates,
    /// What comes before the launches.
    pub(crate) first: Vec<Operation>,
    tasks: Vec<TaskInfo>,
    groups: Vec<Operation>,
}

impl Filling {
    pub(crate) fn count(&self) -> usize {
        self.tasks.len() + self.groups.len()
    }

    /// The instance runs on just these resources.
    pub(crate) fn launch(&mut self, template: &Template, instance: &Instance, taken: Resources) {
        match &template.group {
            Some(group) => {
                let (executor, tasks) = group.launch(instance, taken);
                self.groups.push(Operation::LaunchGroup { executor, tasks });
            }
            None => self.tasks.push(template.task(Launch {
                task: instance.task.clone(),
                agent: self.offer.agent_id.clone(),
                host: &instance.place.host,
                resources: taken,
                ports: &instance.ports,
            })),
        }
    }
}

/// What came of an offer.
enum Filled {
    Something,
    /// It is declined, for so long.
    Nothing {
        refuse: Duration,
    },
}

impl Services {
    /// Answers offers until the turn has launched enough.
    pub(crate) fn serve_offers(&mut self, turn: &mut Turn<'_>) {
        let mut declined: BTreeMap<Duration, Vec<OfferId>> = BTreeMap::new();
        while turn.launches > 0 && turn.apps > 0 {
            let Some(offer) = self.desk.offers.pop() else { break };
            let (role, id) = (offer.role.clone(), offer.id.clone());
            if let Filled::Nothing { refuse } = self.fill(offer, turn) {
                self.desk.queue.filtered(&role);
                declined.entry(refuse).or_default().push(id);
            }
        }
        for (refuse, offers) in declined {
            turn.call(Call::Decline { offers, filters: Filters { refuse } });
        }
    }

    /// Launches what fits.
    fn fill(&mut self, offer: Offer, turn: &mut Turn<'_>) -> Filled {
        let mut estates = self.survey(&offer, turn);
        let mut filling = Filling {
            room: Room::beside(&offer.resources, &estates.resources),
            first: std::mem::take(&mut estates.clearing),
            estates,
            offer: Arc::new(offer),
            tasks: Vec::new(),
            groups: Vec::new(),
        };
        let max = usize::try_from(self.config.instances_per_offer_max).expect("32 bits fit");
        let role = filling.offer.role.clone();
        let max = max.min(turn.launches);
        let candidates = self.desk.queue.candidates(&role, APPS_PER_OFFER_MAX);
        let others_wait = candidates.len() == APPS_PER_OFFER_MAX;
        let last = candidates.last().filter(|_| others_wait).cloned();
        for app in candidates {
            self.fill_with(&app, &mut filling, max, turn);
            let is_used_up = filling.room.is_used_up() && filling.estates.resting.is_empty();
            if filling.count() == max || is_used_up || last.as_ref() == Some(&app) {
                self.desk.queue.point_past(&role, app);
                break;
            }
        }
        if filling.count() == 0 && filling.first.is_empty() {
            let refuse = match others_wait {
                true => UNTRIED_REFUSE.min(self.config.decline_duration),
                false => self.config.decline_duration,
            };
            return Filled::Nothing { refuse };
        }
        // What is left is wanted at once if only the number of launches was exhausted.
        let filters = match filling.count() == max {
            true => Filters { refuse: Duration::ZERO },
            false => Filters::default(),
        };
        self.desk.queue.filtered(&role);
        let mut operations = filling.first;
        operations.append(&mut filling.groups);
        if !filling.tasks.is_empty() {
            operations.push(Operation::Launch(filling.tasks));
        }
        turn.call(Call::Accept { offers: vec![filling.offer.id.clone()], operations, filters });
        Filled::Something
    }

    /// Launches instances of one app until it has enough, or the offer has no more room, or so many are launched.
    fn fill_with(&mut self, app: &AppId, filling: &mut Filling, max: usize, turn: &mut Turn<'_>) {
        let Some(Want { template, count }) = self.desk.queue.want(app) else { return };
        let (template, mut count) = (Arc::clone(template), *count);
        let is_resident = template.need.resident;
        let offer = Arc::clone(&filling.offer);
        let place = Arc::new(place(&template, &offer));
        let site = Site { agent: &offer.agent, prospect: self.prospect(&offer, turn.now) };
        let (mut lacks, mut waits) = (Vec::new(), 0);
        let before = filling.count();
        if is_resident {
            count -= self.relaunch(&template, count, filling, max, turn);
            // Whoever rests elsewhere is waited for: its data is there.
            let rest = self.memory.crews.get(app).map_or(0, |crew| crew.resting().len());
            let rest = u32::try_from(rest).expect("instances are counted in 32 bits");
            if count > 0 && count <= rest {
                lacks.push(Lack::of(Demand::Reservation));
            }
            waits = count.min(rest);
        }
        while count > waits && filling.count() < max {
            let serial = self.desk.serial;
            let (uuid, seed) = identity(turn, serial);
            let Some(tallies) = self.tallies(&template) else { return };
            let taken = match fit(&template.need, &filling.room, site, &tallies, seed) {
                Ok(taken) => taken,
                Err(why) => {
                    lacks = why;
                    break;
                }
            };
            let disks = filling.room.disks(&taken);
            let resources = filling.room.take(&taken);
            let (place, ports) = (Arc::clone(&place), taken.ports().collect());
            let serial = self.next_serial();
            let birth = Birth { serial, uuid, place, ports, now: turn.now };
            let mut instance = new_instance(&template, birth);
            let resources = match is_resident {
                true => {
                    let taken = Estate { resources, disks };
                    self.settle_in(&mut instance, &template.spec, taken, filling)
                }
                false => resources,
            };
            let instance = self.launched(instance, turn);
            filling.launch(&template, &instance, resources);
            turn.launches -= 1;
            count -= 1;
        }
        let launched = filling.count() - before;
        if launched > 0 {
            let is_constrained = !template.need.rules.is_empty();
            self.desk.queue.set(app, Some(Want { template, count }), turn.now);
            if is_constrained {
                // What a constraint refused before, it may allow now.
                self.desk.queue.thirst(app);
            }
        }
        self.desk.queue.note(app, &offer, turn.now, Look { launched, lacks });
    }

    pub(crate) fn prospect(&self, offer: &Offer, now: Time) -> Prospect {
        let is_near = |planned: &Unavailability| planned.is_near(now, self.config.draining_time);
        match offer.unavailability.as_ref().is_some_and(is_near) {
            true => Prospect::Leaves,
            false => Prospect::Stays,
        }
    }

    /// Where the instances of the template's configuration are. They are counted already, but for an app that waits for
    /// its step of a deployment and is kept as it was until then.
    fn tallies(&self, template: &Template) -> Option<Cow<'_, [Tally]>> {
        let crew = self.memory.crews.get(&template.app)?;
        if template.need.resident {
            return Some(Cow::Owned(self.resident_tallies(template)));
        }
        if crew.since() == Some(template.since) {
            return Some(Cow::Borrowed(&crew.tallies));
        }
        let mut tallies = vec![Tally::default(); template.need.rules.len()];
        let all = self.memory.view.instances.get(&template.app).filter(|_| !tallies.is_empty());
        for instance in all.into_iter().flat_map(|all| all.values()) {
            if instance.version >= template.since {
                for (rule, tally) in template.need.rules.iter().zip(&mut tallies) {
                    tally.add(rule.value(spot(&instance.place)));
                }
            }
        }
        Some(Cow::Owned(tallies))
    }

    /// From now on it is known.
    pub(crate) fn launched(&mut self, instance: Instance, turn: &mut Turn<'_>) -> Arc<Instance> {
        let (serial, instance) = (instance.serial, Arc::new(instance));
        self.commit(Record::Instance(serial, Some(Arc::clone(&instance))), turn);
        turn.notice(crate::What::InstanceChanged { instance: Arc::clone(&instance) });
        let timers = &mut self.desk.timers;
        timers.set(turn.now + self.config.launch_confirm_timeout, serial, Due::Confirmed);
        timers.set(turn.now + self.config.launch_timeout, serial, Due::Launched);
        instance
    }
}

/// What tells one new instance from another.
struct Birth {
    serial: Serial,
    uuid: Uuid,
    place: Arc<Place>,
    ports: Vec<u16>,
    now: Time,
}

fn new_instance(template: &Template, birth: Birth) -> Instance {
    let Birth { serial, uuid, place, ports, now } = birth;
    let instance = Instance {
        serial,
        app: template.app.clone(),
        version: template.version,
        uuid,
        incarnation: FIRST_INCARNATION,
        task: Instance::task_id(&template.app, uuid, FIRST_INCARNATION),
        place,
        role: template.role.clone(),
        goal: Goal::Running,
        state: TaskState::Staging,
        staged_at: now,
        started_at: None,
        healthy: None,
        unreachable_since: None,
        addresses: Vec::new(),
        ready: probe::readiness(&template.spec, &ports).is_none(),
        ports,
        members: Vec::new(),
        check: None,
        claim: None,
    };
    match &template.spec.pod {
        Some(pod) => with_members(instance, pod),
        None => instance,
    }
}

/// A pod's, whose containers have yet to start.
fn with_members(instance: Instance, pod: &PodSpec) -> Instance {
    let members = pod::members(pod, &instance);
    let task = members.first().map_or_else(|| instance.task.clone(), |first| first.task.clone());
    Instance { members, task, ..instance }
}

/// A resident's next launch.
pub(crate) fn next_incarnation(
    template: &Template,
    was: &Instance,
    place: Arc<Place>,
    now: Time,
) -> Instance {
    let incarnation = was.incarnation + 1;
    let instance = Instance {
        version: template.version,
        incarnation,
        task: Instance::task_id(&was.app, was.uuid, incarnation),
        place,
        goal: Goal::Running,
        state: TaskState::Staging,
        staged_at: now,
        ready: probe::readiness(&template.spec, &was.ports).is_none(),
        check: None,
        ..was.clone()
    };
    match &template.spec.pod {
        Some(pod) => with_members(instance, pod),
        None => instance,
    }
}

/// A version 7 uuid, which begins with the time, so that the names of tasks ascend and neighbours in time are neighbours
/// in every map; and the dice that fell for it.
fn identity(turn: &Turn<'_>, serial: Serial) -> (Uuid, u64) {
    let Uuid(mut bytes) = Uuid::derive(turn.seed, serial.0);
    let seed = u64::from_be_bytes(bytes[8..].try_into().expect("8 of 16 bytes"));
    let count = serial.0.to_be_bytes();
    bytes[..6].copy_from_slice(&turn.now.0.to_be_bytes()[2..]);
    bytes[6] = 0x70 | count[6] & 0x0f;
    bytes[7] = count[7];
    (Uuid(bytes), seed)
}

/// Of the attributes it keeps those that the app's constraints ask for.
pub(crate) fn place(template: &Template, offer: &Offer) -> Place {
    let agent = &offer.agent;
    let asked = |name: &str| {
        let of = |field: &Field| matches!(field, Field::Attribute(asked) if asked == name);
        template.need.rules.iter().any(|rule| of(&rule.field))
    };
    Place {
        agent: offer.agent_id.clone(),
        host: agent.hostname.clone(),
        domain: agent.domain.clone(),
        attributes: agent.attributes.iter().filter(|one| asked(&one.name)).cloned().collect(),
    }
}
