//! Offers become instances: one `Accept` for each offer that something fits into, with all that fits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::id::{OfferId, Serial, Uuid};
use model::scheduler::{Call, Filters, Offer, Operation, Unavailability};
use model::task::{TaskInfo, TaskState};
use model::time::Time;
use placement::fit::{Prospect, Site, fit};
use placement::room::Room;
use placement::rule::{Field, Tally};

use crate::crew::spot;
use crate::machine::{Services, Turn};
use crate::queue::{Look, Want};
use crate::spec::AppId;
use crate::state::{Goal, Instance, Place, Record};
use crate::task::{Launch, Template};
use crate::timers::Due;
use crate::{pod, probe};

/// Apps that are tried on one offer.
const APPS_PER_OFFER_MAX: usize = 200;

/// How long an offer is declined for that has not been tried on all who wait: they are next.
const UNTRIED_REFUSE: Duration = Duration::from_secs(15);

/// Every instance is its app's first: a new launch is a new instance.
const INCARNATION: u32 = 1;

/// An offer that is being filled.
struct Filling {
    offer: Arc<Offer>,
    room: Room,
    tasks: Vec<TaskInfo>,
    groups: Vec<Operation>,
}

impl Filling {
    fn count(&self) -> usize {
        self.tasks.len() + self.groups.len()
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
        let room = Room::new(&offer.resources);
        let mut filling =
            Filling { offer: Arc::new(offer), room, tasks: Vec::new(), groups: Vec::new() };
        let max = usize::try_from(self.config.instances_per_offer_max).expect("32 bits fit");
        let role = filling.offer.role.clone();
        let max = max.min(turn.launches);
        let candidates = self.desk.queue.candidates(&role, APPS_PER_OFFER_MAX);
        let others_wait = candidates.len() == APPS_PER_OFFER_MAX;
        let last = candidates.last().filter(|_| others_wait).cloned();
        for app in candidates {
            self.fill_with(&app, &mut filling, max, turn);
            if filling.count() == max || filling.room.is_used_up() || last.as_ref() == Some(&app) {
                self.desk.queue.point_past(&role, app);
                break;
            }
        }
        if filling.count() == 0 {
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
        let mut operations = filling.groups;
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
        let offer = Arc::clone(&filling.offer);
        let place = Arc::new(place(&template, &offer));
        let site = Site { agent: &offer.agent, prospect: self.prospect(&offer, turn.now) };
        let mut lacks = Vec::new();
        let before = filling.count();
        while count > 0 && filling.count() < max {
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
            let resources = filling.room.take(&taken);
            let instance = self.launched(&template, uuid, &place, taken.ports().collect(), turn);
            match &template.group {
                Some(group) => {
                    let (executor, tasks) = group.launch(&instance, resources);
                    filling.groups.push(Operation::LaunchGroup { executor, tasks });
                }
                None => filling.tasks.push(template.task(Launch {
                    task: instance.task.clone(),
                    agent: offer.agent_id.clone(),
                    host: &place.host,
                    resources,
                    ports: &instance.ports,
                })),
            }
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

    fn prospect(&self, offer: &Offer, now: Time) -> Prospect {
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

    fn launched(
        &mut self,
        template: &Template,
        uuid: Uuid,
        place: &Arc<Place>,
        ports: Vec<u16>,
        turn: &mut Turn<'_>,
    ) -> Arc<Instance> {
        let serial = self.next_serial();
        let pod = template.spec.pod.as_ref();
        let members = pod.map(|pod| pod::members(pod, &template.app, uuid, &ports, turn.now));
        let members = members.unwrap_or_default();
        let instance = Arc::new(Instance {
            serial,
            app: template.app.clone(),
            version: template.version,
            uuid,
            incarnation: INCARNATION,
            task: match members.first() {
                Some(first) => first.task.clone(),
                None => Instance::task_id(&template.app, uuid, INCARNATION),
            },
            place: Arc::clone(place),
            role: template.role.clone(),
            goal: Goal::Running,
            state: TaskState::Staging,
            staged_at: turn.now,
            started_at: None,
            healthy: None,
            unreachable_since: None,
            addresses: Vec::new(),
            ready: probe::readiness(&template.spec, &ports).is_none(),
            ports,
            members,
            check: None,
        });
        self.commit(Record::Instance(serial, Some(Arc::clone(&instance))), turn);
        turn.notice(crate::What::InstanceChanged { instance: Arc::clone(&instance) });
        let timers = &mut self.desk.timers;
        timers.set(turn.now + self.config.launch_confirm_timeout, serial, Due::Confirmed);
        timers.set(turn.now + self.config.launch_timeout, serial, Due::Launched);
        instance
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
fn place(template: &Template, offer: &Offer) -> Place {
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
