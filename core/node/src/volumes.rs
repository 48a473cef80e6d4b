//! Tasks and what an operation has to make for them first: a launch may come right behind the operation that reserves its
//! resources and creates its volumes, and the operation may fail.

use model::id::ContainerId;
use model::operation::Operated;
use model::resources::{Resource, Resources};
use model::task::{Reason, Source, TaskInfo, TaskState};

use crate::executor::Executor;
use crate::state::{Group, Held};
use crate::updates::News;
use crate::{Node, Turn};

impl Executor {
    /// Then its root is not the machine's.
    pub fn has_image(&self) -> bool {
        let program = self.info.program.as_ref().expect("executors that are held are programs");
        program.container.as_ref().is_some_and(|container| container.image.is_some())
    }
}

/// Since when there is a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Now,
    Earlier,
}

impl Node {
    /// Ends a task that was accepted just now, or has just been released, if what it was promised is not there. Says
    /// whether it was ended.
    pub(crate) fn is_ended_for_lack(
        &mut self,
        container: &ContainerId,
        held: &Held,
        turn: &mut Turn<'_>,
    ) -> bool {
        if let Some(missing) = self.unprovided(&needed(held)) {
            let cause =
                format!("No resource provider has all that the task is to use of {missing}");
            self.report(container, held, lacking(cause), turn);
            return true;
        }
        let promised = needed(held).claims();
        // One by one, for a task may see what is shared at several places.
        let claims = self.state.claims();
        if promised.iter().all(|one| claims.contains(&Resources::new([one.clone()]))) {
            return false;
        }
        let cause = format!("The agent does not have all that the task is to use of {promised}");
        self.report(container, held, lacking(cause), turn);
        true
    }

    /// Why a task cannot be shown its volumes by a program, if it cannot: where there is no image, a link in the sandbox
    /// leads to each, and where there is, they are mounted at its start.
    pub(crate) fn unseen(&self, program: &Executor, since: Since, task: &TaskInfo) -> Option<News> {
        let seen = |one: &Resource| {
            let disk = one.disk.as_ref().filter(|_| one.is_persistent_volume())?;
            Some(disk.volume.as_ref()?.container_path.clone())
        };
        let path = task.resources.iter().find_map(seen)?;
        let is_inside = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let is_late = since == Since::Earlier || self.is_being_made(&task.resources);
        let cause = match program.has_image() {
            true if is_late => "an executor with an image sees only volumes that are there first",
            false if !is_inside => "without an image its path must be one in the sandbox",
            true | false => return None,
        };
        Some(News {
            source: Source::Agent,
            reason: Some(Reason::ContainerUpdateFailed),
            message: Some(format!("Volume {path}: {cause}")),
            ..News::of(TaskState::Failed)
        })
    }

    /// Whether something of it is not ready, which it is launched after: a volume that is being made, or what a provider is
    /// to publish.
    pub(crate) fn awaits(&self, held: &Held) -> bool {
        self.is_publishing(held) || held.latest.is_none() && self.is_being_made(&needed(held))
    }

    /// Whether one of these volumes is.
    pub(crate) fn is_being_made(&self, used: &Resources) -> bool {
        if !used.iter().any(Resource::is_persistent_volume) {
            return false;
        }
        let begun = self.state.operations().values();
        begun.filter(|operated| !operated.latest.state.is_terminal()).any(|operated| {
            let mut made = operated.conversion.created().iter();
            made.any(|volume| used.iter().any(|one| is_same(one, volume)))
        })
    }

    /// The volumes of an operation are made, or never will be: whoever waited for them is launched, or ends.
    pub(crate) fn release(&mut self, operated: &Operated, turn: &mut Turn<'_>) {
        let made = operated.conversion.created();
        if made.is_empty() {
            return;
        }
        let uses = |held: &Held| {
            let needed = needed(held);
            needed.iter().any(|one| made.iter().any(|volume| is_same(one, volume)))
        };
        let held = self.state.all();
        let waiting = held.iter().filter(|(_, held)| held.latest.is_none() && uses(held));
        for (container, held) in waiting {
            // The end of another of its group may have ended it.
            let still = self.state.held(container).is_some_and(|now| now.latest.is_none());
            if still && !self.awaits(held) && !self.is_ended_for_lack(container, held, turn) {
                self.begin(container, held, turn);
            }
        }
    }

    /// A task of a program has what it waited for, and perhaps the program has by that.
    pub(crate) fn admit(&mut self, program: &ContainerId, turn: &mut Turn<'_>) {
        let Some(executor) = self.state.executor(program) else { return };
        match (&executor.running, executor.subscribed) {
            (None, _) => self.launch_program(program, turn),
            (Some(_), subscribed) => {
                self.resize(program, turn);
                if subscribed {
                    self.hand_over(program, turn);
                }
            }
        }
    }
}

/// What it was to use is not there.
fn lacking(cause: String) -> News {
    News {
        source: Source::Agent,
        reason: Some(Reason::ResourcesUnknown),
        message: Some(cause),
        ..News::of(TaskState::Dropped)
    }
}

/// What a task uses, and what it shares with others.
pub(crate) fn needed(held: &Held) -> Resources {
    let mut needed = held.info.resources.clone();
    let shared = held.group.as_ref().map(|Group { executor, .. }| &executor.resources);
    shared.into_iter().for_each(|shared| needed.add(shared));
    needed
}

/// Its size may have changed since.
fn is_same(one: &Resource, volume: &Resource) -> bool {
    let name = |one: &Resource| one.persistence().map(|persistence| persistence.id.clone());
    one.role() == volume.role() && name(one).is_some() && name(one) == name(volume)
}
