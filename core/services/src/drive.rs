//! Every app that something has happened to is looked at once more: what is there, what is wanted, what is the next
//! step.

use std::sync::Arc;

use model::id::Serial;
use model::scheduler::Call;

use crate::What;
use crate::crew::{Crew, Of};
use crate::group::GroupId;
use crate::kill::{Doomed, Volumes};
use crate::machine::{Services, Standing, Turn};
use crate::queue::Want;
use crate::spec::{AppId, AppSpec, KillSelection};
use crate::state::{ActionKind, App, Record, Version};
use crate::strategy::{Bounds, Manner, Step, Strength, next_step};
use crate::task::Template;

/// What is wanted of an app now.
struct Aim {
    manner: Manner,
    /// What new instances run; `None` if there are to be none.
    of: Option<Launchable>,
}

impl Aim {
    /// Those of an app that is to go, or to have none any more, are given back.
    fn keeps_volumes(&self) -> bool {
        let is_resident = self.of.as_ref().is_some_and(|of| of.spec.is_resident());
        self.manner != Manner::Stop && is_resident
    }
}

struct Launchable {
    spec: Arc<AppSpec>,
    version: Version,
    since: Version,
}

impl From<&Arc<App>> for Launchable {
    fn from(app: &Arc<App>) -> Self {
        let (version, since) = (app.version, app.last_config_change_at);
        Self { spec: Arc::clone(&app.spec), version, since }
    }
}

impl Services {
    /// Thinks until nothing is left to think about, or the turn has done enough.
    pub(crate) fn settle(&mut self, turn: &mut Turn<'_>) {
        loop {
            while turn.apps > 0 && turn.kills > 0 {
                let Some(app) = self.desk.dirty.pop_first() else { break };
                turn.apps -= 1;
                self.drive(&app, turn);
            }
            self.serve_offers(turn);
            if self.desk.dirty.is_empty() || turn.apps == 0 || turn.kills == 0 {
                break;
            }
        }
        if self.desk.standing == Standing::Subscribed {
            self.announce_roles(turn);
        }
        if self.desk.standing == Standing::Subscribed {
            self.turn_taps(turn);
        }
    }

    /// Asks for offers to roles in which something is wanted, and for none to the others.
    fn turn_taps(&mut self, turn: &mut Turn<'_>) {
        let litter = &self.memory.litter;
        let turned = self.desk.queue.turn_taps(|role| litter.contains_key(role));
        if !turned.suppress.is_empty() {
            turn.call(Call::Suppress { roles: turned.suppress });
        }
        if !turned.revive.is_empty() {
            turn.call(Call::Revive { roles: turned.revive });
        }
    }

    fn drive(&mut self, app: &AppId, turn: &mut Turn<'_>) {
        if self.carry_out_doom(app, turn) == Doomed::Some {
            return;
        }
        self.kill_ill(app, turn);
        let aim = self.aim(app);
        let step = next_step(aim.manner, &self.strength(app, &aim));
        let victims = self.choose(app, &aim, &step, turn.kills);
        if !victims.is_empty() {
            // Each is a change of the app, so it is looked at again.
            let volumes = if aim.keeps_volumes() { Volumes::Kept } else { Volumes::Wiped };
            victims.into_iter().for_each(|serial| self.doom_with(serial, volumes, turn));
            return;
        }
        self.want(app, &aim, step.launch, turn);
        if step.done {
            self.complete(app, aim.manner, turn);
        }
    }

    /// An app waits for its step as it was before the deployment; after its step it is kept as it is to be.
    fn aim(&self, app: &AppId) -> Aim {
        let keep = |app: &Arc<App>| Aim {
            manner: Manner::Keep(app.spec.instances),
            of: Some(Launchable::from(app)),
        };
        let now = self.memory.view.apps.get(app);
        let held = self.memory.held.get(app);
        let step_now = held
            .and_then(|held| self.memory.view.deployments.get(&held.deployment))
            .map(|deployment| deployment.step);
        match (now, held, step_now) {
            (_, Some(held), Some(step)) if step < held.step => match &held.was {
                Some(was) => keep(was),
                None => Aim { manner: Manner::Keep(0), of: None },
            },
            (Some(app), Some(held), Some(step)) if step == held.step => {
                let count = app.spec.instances;
                let manner = match held.kind {
                    ActionKind::Start => Manner::Keep(0),
                    ActionKind::Scale => Manner::Scale(count),
                    ActionKind::Restart => Manner::Replace(count, Bounds::of(&app.spec)),
                    ActionKind::Stop => Manner::Stop,
                };
                Aim { manner, of: Some(Launchable::from(app)) }
            }
            (Some(app), _, _) => keep(app),
            (None, _, _) => Aim { manner: Manner::Stop, of: None },
        }
    }

    fn strength(&self, app: &AppId, aim: &Aim) -> Strength {
        let Some(crew) = self.memory.crews.get(app) else { return Strength::default() };
        let inactive = self.desk.inactive.get(app).map_or(0, |serials| serials.len());
        let latest = aim.of.as_ref().map(|of| crew.of_version(of.version)).unwrap_or_default();
        Strength {
            old: crew.old,
            new: crew.new,
            latest,
            leaving: crew.leaving(),
            inactive: u32::try_from(inactive).expect("instances are counted in 32 bits"),
        }
    }

    /// Who is to go, at most so many.
    fn choose(&self, app: &AppId, aim: &Aim, step: &Step, max: usize) -> Vec<Serial> {
        let Some(crew) = self.memory.crews.get(app) else { return Vec::new() };
        if !aim.keeps_volumes() && !crew.resting().is_empty() {
            return crew.resting().iter().take(max).copied().collect();
        }
        if step.kill + step.kill_old_bad + step.kill_old_good == 0 {
            return Vec::new();
        }
        let by_age =
            aim.of.as_ref().map_or(KillSelection::YoungestFirst, |of| of.spec.kill_selection);
        let counted = |serial: &Serial| {
            matches!(aim.manner, Manner::Stop | Manner::Replace(..))
                || !self.is_inactive(app, *serial)
        };
        let most = u32::try_from(max).unwrap_or(u32::MAX);
        let of_all: Box<dyn Iterator<Item = Serial>> = match crew.is_spread() && step.kill > 0 {
            true => Box::new(self.evenly(crew, step.kill.min(most), by_age, counted).into_iter()),
            false => Box::new(crew.victims(Of::All, by_age)),
        };
        let count = |count: u32| usize::try_from(count).expect("32 bits fit");
        of_all
            .filter(counted)
            .take(count(step.kill))
            .chain(crew.victims(Of::OldAndBad, by_age).take(count(step.kill_old_bad)))
            .chain(crew.victims(Of::OldAndGood, by_age).take(count(step.kill_old_good)))
            .take(max)
            .collect()
    }

    /// Scaling down keeps what `GROUP_BY` has spread as even as it can: the fullest group loses first.
    fn evenly(
        &self,
        crew: &Crew,
        kill: u32,
        by_age: KillSelection,
        counted: impl Fn(&Serial) -> bool,
    ) -> Vec<Serial> {
        let mut groups = crew.groups(by_age, |serial| &self.memory.instances[serial].place);
        groups.iter_mut().for_each(|group| group.retain(&counted));
        let mut chosen = Vec::new();
        for _ in 0..kill {
            let fullest = groups.iter_mut().max_by_key(|group| group.len());
            let Some(serial) = fullest.and_then(|group| group.pop_front()) else { break };
            chosen.push(serial);
        }
        chosen
    }

    fn is_inactive(&self, app: &AppId, serial: Serial) -> bool {
        self.desk.inactive.get(app).is_some_and(|serials| serials.contains(&serial))
    }

    fn want(&mut self, app: &AppId, aim: &Aim, count: u32, turn: &mut Turn<'_>) {
        let known = self.desk.queue.want(app);
        if count == 0 && known.is_none() {
            return;
        }
        let want = aim.of.as_ref().map(|of| {
            let same = known.filter(|known| known.template.version == of.version);
            let template = same.map(|known| Arc::clone(&known.template));
            let top = GroupId::of(app).top();
            let enforced = top.is_some_and(|top| self.memory.view.enforces_role(&top));
            let version = (of.version, of.since);
            let new = || Arc::new(Template::new(&of.spec, version, enforced, &self.config));
            Want { template: template.unwrap_or_else(new), count }
        });
        self.desk.queue.set(app, want, turn.now);
    }

    /// A deployment's action has reached its goal, or an app that is gone has no instances left.
    fn complete(&mut self, app: &AppId, manner: Manner, turn: &mut Turn<'_>) {
        match manner {
            Manner::Keep(_) => (),
            Manner::Scale(_) | Manner::Replace(..) => self.complete_action(app, turn),
            Manner::Stop => {
                self.forget_app(app, turn);
                self.complete_action(app, turn);
            }
        }
    }

    /// The specs of an app that is gone, but for those that something still refers to.
    fn forget_app(&mut self, app: &AppId, turn: &mut Turn<'_>) {
        if self.memory.view.apps.contains_key(app) {
            return;
        }
        let is_empty = self.memory.crews.get(app).is_none_or(Crew::is_empty);
        if is_empty && self.desk.terminating.remove(app) {
            turn.notice(What::AppTerminated { app: app.clone() });
        }
        let versions: Vec<Version> = self.memory.versions_of(app).collect();
        for version in versions {
            if !self.memory.is_needed(app, version) {
                self.commit(Record::Version(app.clone(), version, None), turn);
            }
        }
        if self.memory.view.histories.contains_key(app) {
            self.commit(Record::History(app.clone(), None), turn);
        }
        self.desk.queue.reset_delay(app, turn.now);
    }
}
