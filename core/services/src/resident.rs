//! Residents: instances whose volumes outlive their tasks. All that such an instance needs is set aside for it on its
//! agent when it is launched first; every later launch takes just that.
//!
//! What is set aside carries labels that name the framework and the instance. So it is recognised in an offer whoever
//! has forgotten it, and what nobody waits for any more is given back as soon as it is offered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::container::VolumeMode;
use model::id::{AgentId, ProviderId, Serial};
use model::operation::Conversion;
use model::resources::{
    Amount, DiskInfo, DiskVolume, Labels, Persistence, Reservation, ReservationKind, Resource,
    ResourceName, Resources, Scalar,
};
use model::scheduler::{Offer, Operation};
use model::task::TaskState;
use placement::fit::Prospect;
use placement::rule::Tally;

use crate::crew::spot;
use crate::launch::{Filling, next_incarnation, place};
use crate::machine::{PRINCIPAL, Services, Turn};
use crate::spec::AppSpec;
use crate::state::{FIRST_INCARNATION, Goal, Instance, Record};
use crate::task::Template;

/// Marathon's labels of what it sets aside.
const FRAMEWORK_LABEL: &str = "marathon_framework_id";
const INSTANCE_LABEL: &str = "marathon_task_id";

/// A persistent volume of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalVolume<'a> {
    pub container_path: &'a str,
    /// `prod_web#data#<uuid>`.
    pub persistence_id: &'a str,
}

impl Instance {
    pub fn local_volumes(&self) -> impl Iterator<Item = LocalVolume<'_>> {
        let all = self.claim.iter().flat_map(|claim| claim.iter());
        all.filter_map(|one| {
            let disk = one.disk.as_ref()?;
            Some(LocalVolume {
                container_path: &disk.volume.as_ref()?.container_path,
                persistence_id: &disk.persistence.as_ref()?.id,
            })
        })
    }
}

/// What a new resident takes of an offer.
#[derive(Debug)]
pub(crate) struct Estate {
    /// All of it.
    pub(crate) resources: Resources,
    /// Those among it that are for its volumes that ask for a disk, in their order.
    pub(crate) disks: Vec<Resource>,
}

/// What is set aside for instances, in one offer.
#[derive(Debug, Default)]
pub(crate) struct Estates {
    /// All of it.
    pub(crate) resources: Resources,
    /// Residents that rest and whose resources are among these.
    pub(crate) resting: Vec<Arc<Instance>>,
    /// What gives back the rest of it.
    pub(crate) clearing: Vec<Operation>,
}

impl Services {
    /// What becomes of an instance whose task is over: it is no more, but for a resident.
    pub(crate) fn let_go(&mut self, was: &Instance, state: TaskState, turn: &mut Turn<'_>) {
        // Its volumes went with the agent.
        if was.claim.is_none() || state == TaskState::GoneByOperator {
            return self.give_up(was, turn);
        }
        // Its first launch never arrived, so there is nothing in its volumes, if there are any.
        let never_was = state == TaskState::Dropped && was.incarnation == FIRST_INCARNATION;
        let goal = match never_was || was.goal == Goal::Decommissioned {
            true => Goal::Decommissioned,
            false => Goal::Stopped,
        };
        let resting = Instance {
            state: if state.is_terminal() { state } else { TaskState::Lost },
            goal,
            started_at: None,
            healthy: None,
            unreachable_since: None,
            addresses: Vec::new(),
            check: None,
            ..was.clone()
        };
        self.commit(Record::Instance(was.serial, Some(Arc::new(resting))), turn);
        self.forget_volatile(was);
        if goal == Goal::Decommissioned {
            self.desk.queue.thirst_for(&was.role);
        }
    }

    /// The agent is gone for good, and so are the volumes on it.
    pub(crate) fn forget_estates(&mut self, agent: &AgentId, turn: &mut Turn<'_>) {
        let residents = self.memory.residents.values().map(|serial| &self.memory.instances[serial]);
        let lost = residents.filter(|one| one.is_resting() && one.place.agent == *agent);
        for instance in lost.cloned().collect::<Vec<_>>() {
            self.give_up(&instance, turn);
        }
    }

    /// Looks through an offer for what is set aside for instances of ours.
    pub(crate) fn survey(&mut self, offer: &Offer, turn: &mut Turn<'_>) -> Estates {
        let resources = offer.resources.only(|one| self.owner(one).is_some());
        let mut by_owner: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
        for one in resources.iter() {
            let owner = self.owner(one).expect("only such were taken");
            by_owner.entry(owner).or_default().push(one);
        }
        let (mut resting, mut clearing, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (owner, all) in by_owner {
            let serial = self.memory.residents.get(owner);
            let known = serial.map(|serial| &self.memory.instances[serial]);
            seen.extend(serial.copied());
            match known {
                Some(one) if one.is_litter() => clearing.extend(clear(&all)),
                Some(one) if one.is_resting() => resting.push(Arc::clone(one)),
                // It is being launched, or runs.
                Some(_) => (),
                None => clearing.extend(clear(&all)),
            }
        }
        self.note_cleared(offer, &seen, turn);
        Estates { resources, resting, clearing }
    }

    /// What an agent does not offer any more has been given back.
    fn note_cleared(&mut self, offer: &Offer, seen: &BTreeSet<Serial>, turn: &mut Turn<'_>) {
        let Some(litter) = self.memory.litter.get(&offer.role) else { return };
        let is_here = |serial: &Serial| self.memory.instances[serial].place.agent == offer.agent_id;
        let gone = litter.iter().filter(|serial| is_here(serial) && !seen.contains(serial));
        for serial in gone.copied().collect::<Vec<_>>() {
            self.commit(Record::Instance(serial, None), turn);
        }
    }

    /// Which instance of ours a resource is set aside for.
    fn owner<'a>(&self, resource: &'a Resource) -> Option<&'a str> {
        let last = resource.reservations.last()?;
        let label = |name: &str| {
            let found = last.labels.iter().find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.as_deref())
        };
        let framework = label(FRAMEWORK_LABEL)?;
        (framework == self.framework().as_str()).then(|| label(INSTANCE_LABEL)).flatten()
    }

    /// Sets aside what an instance that is launched for the first time takes, and makes its volumes of it. Gives what it
    /// runs on from then on.
    pub(crate) fn settle_in(
        &self,
        instance: &mut Instance,
        spec: &AppSpec,
        taken: Estate,
        filling: &mut Filling,
    ) -> Resources {
        let labels =
            [(FRAMEWORK_LABEL, self.framework().to_string()), (INSTANCE_LABEL, instance.id())];
        let reservation = Reservation {
            kind: ReservationKind::Dynamic,
            role: instance.role.clone(),
            principal: Some(PRINCIPAL.to_owned()),
            labels: Labels::from(labels.map(|(key, value)| (key.to_owned(), Some(value)))),
        };
        let reserve = |one: &Resource| {
            let mut one = one.clone();
            one.reservations.push(reservation.clone());
            one
        };
        let resources: Vec<Resource> = taken.resources.iter().map(reserve).collect();
        let mut disks = taken.disks.into_iter();
        let volumes: Vec<Resource> = spec
            .persistent_volumes()
            .map(|(path, wanted)| {
                let space = match wanted.is_apart() {
                    true => disks.next().expect("each such volume has taken a disk"),
                    false => own_disk(wanted.size),
                };
                volume(path, instance, reservation.clone(), space)
            })
            .collect();
        let mut claim = Resources::new(resources.clone());
        claim.subtract(&Resources::new(volumes.iter().map(Resource::without_volume)));
        claim.add(&Resources::new(volumes.clone()));
        instance.claim = Some(Arc::new(claim.clone()));
        let reserve = |resources| Conversion::Reserve { source: Vec::new(), resources };
        filling.first.extend(for_each_provider(resources, reserve));
        filling.first.extend(for_each_provider(volumes, |volumes| Conversion::Create { volumes }));
        claim
    }

    /// Launches up to so many of those that rest and whose resources are offered. Gives how many.
    pub(crate) fn relaunch(
        &mut self,
        template: &Template,
        count: u32,
        filling: &mut Filling,
        max: usize,
        turn: &mut Turn<'_>,
    ) -> u32 {
        let offer = Arc::clone(&filling.offer);
        if self.prospect(&offer, turn.now) == Prospect::Leaves {
            return 0;
        }
        let place = Arc::new(place(template, &offer));
        let mut launched = 0;
        for was in std::mem::take(&mut filling.estates.resting) {
            let claim = was.claim.as_deref().cloned().expect("only residents rest");
            let is_next = was.app == template.app && launched < count && filling.count() < max;
            if !is_next || !filling.estates.resources.contains(&claim) {
                filling.estates.resting.push(was);
                continue;
            }
            filling.estates.resources.subtract(&claim);
            let next = next_incarnation(template, &was, Arc::clone(&place), turn.now);
            let next = self.launched(next, turn);
            filling.launch(template, &next, claim);
            turn.launches = turn.launches.saturating_sub(1);
            launched += 1;
        }
        launched
    }

    /// Where the instances of an app with volumes are, those that rest included: each comes back to where it was. They
    /// are few, so they are counted anew.
    pub(crate) fn resident_tallies(&self, template: &Template) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); template.need.rules.len()];
        let all = self.memory.view.instances.get(&template.app).filter(|_| !tallies.is_empty());
        for instance in all.into_iter().flat_map(|all| all.values()) {
            for (rule, tally) in template.need.rules.iter().zip(&mut tallies) {
                tally.add(rule.value(spot(&instance.place)));
            }
        }
        tallies
    }
}

fn own_disk(size: u64) -> Resource {
    Resource::plain(ResourceName::Disk, Amount::Scalar(Scalar::whole(size)))
}

/// A volume that takes all of this space.
fn volume(path: &str, instance: &Instance, reservation: Reservation, space: Resource) -> Resource {
    let app = instance.app.underscored();
    let disk = DiskInfo {
        persistence: Some(Persistence {
            id: format!("{app}#{path}#{}", instance.uuid),
            principal: Some(PRINCIPAL.to_owned()),
        }),
        volume: Some(DiskVolume {
            container_path: path.to_owned(),
            mode: VolumeMode::ReadWrite,
            host_path: None,
        }),
        source: space.source().cloned(),
    };
    Resource { reservations: vec![reservation], disk: Some(Box::new(disk)), ..space }
}

fn convert(conversion: Conversion) -> Operation {
    Operation::Convert { id: None, conversion }
}

/// One for what is the agent's own, and one for what each provider brings: none can be about both.
fn for_each_provider(
    all: Vec<Resource>,
    of: impl Fn(Vec<Resource>) -> Conversion,
) -> Vec<Operation> {
    let mut by_provider: BTreeMap<Option<ProviderId>, Vec<Resource>> = BTreeMap::new();
    for one in all {
        by_provider.entry(one.provider().cloned()).or_default().push(one);
    }
    by_provider.into_values().map(|all| convert(of(all))).collect()
}

/// Volumes first, then the reservations.
fn clear(all: &[&Resource]) -> Vec<Operation> {
    let is_volume = |one: &&&Resource| one.is_persistent_volume();
    let volumes: Vec<Resource> = all.iter().filter(is_volume).map(|one| (*one).clone()).collect();
    let resources = Resources::new(all.iter().map(|one| match one.is_persistent_volume() {
        true => one.without_volume(),
        false => (*one).clone(),
    }));
    let mut clearing = for_each_provider(volumes, |volumes| Conversion::Destroy { volumes });
    let resources = resources.iter().cloned().collect();
    clearing.extend(for_each_provider(resources, |resources| Conversion::Unreserve { resources }));
    clearing
}
