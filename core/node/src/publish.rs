//! What tasks use of providers is made ready by those before anything is started that uses it.

use std::collections::BTreeSet;

use model::id::{ContainerId, ProviderId, Uuid};
use model::resources::{Resource, Resources};
use model::task::Reason;

use crate::executor::Over;
use crate::providers::{ToProvider, tell};
use crate::state::Held;
use crate::tasks::{failed, launch};
use crate::volumes::needed;
use crate::{Node, Turn};

/// How far what is needed of providers is.
#[derive(Debug)]
enum Publish {
    /// Nothing is to be waited for.
    Ready,
    Waits,
    Fails(String),
}

impl Node {
    /// All else that a task needs is there: it begins as soon as its providers are ready for it.
    pub(crate) fn begin(&mut self, container: &ContainerId, held: &Held, turn: &mut Turn<'_>) {
        match self.publish(container, &needed(held), turn) {
            Publish::Ready => self.begin_ready(container, held, turn),
            Publish::Waits => (),
            Publish::Fails(cause) => self.unpublished(container, cause, turn),
        }
    }

    fn begin_ready(&mut self, container: &ContainerId, held: &Held, turn: &mut Turn<'_>) {
        match held.program().map(|group| group.container.clone()) {
            None => launch(container.clone(), held, turn),
            Some(program) => self.admit(&program, turn),
        }
    }

    /// A task of a program, which is handed over later.
    pub(crate) fn prepare(&mut self, container: &ContainerId, held: &Held, turn: &mut Turn<'_>) {
        match self.publish(container, &held.info.resources, turn) {
            Publish::Ready | Publish::Waits => (),
            Publish::Fails(cause) => self.unpublished(container, cause, turn),
        }
    }

    /// Whether what a program itself uses is ready for it. If it can never be, the program is over.
    pub(crate) fn is_ready(
        &mut self,
        container: &ContainerId,
        used: &Resources,
        turn: &mut Turn<'_>,
    ) -> bool {
        if self.providers.ready.contains(container) {
            return true;
        }
        match self.publish(container, used, turn) {
            Publish::Ready => true,
            Publish::Waits => false,
            Publish::Fails(cause) => {
                self.unpublished(container, cause, turn);
                false
            }
        }
    }

    pub(crate) fn is_publishing(&self, held: &Held) -> bool {
        let publishing = &self.providers.publishing;
        let container = || self.state.container_of(&held.framework, &held.info.id);
        let waits = |id: &ContainerId| publishing.values().any(|(of, _)| of == id);
        !publishing.is_empty() && container().is_some_and(waits)
    }

    fn publish(
        &mut self,
        container: &ContainerId,
        used: &Resources,
        turn: &mut Turn<'_>,
    ) -> Publish {
        let used = used.only(|one| one.provider.is_some());
        if used.is_empty() {
            return Publish::Ready;
        }
        if self.providers.publishing.values().any(|(of, _)| of == container) {
            return Publish::Waits;
        }
        let mut streams = Vec::new();
        for provider in used.providers().into_iter().flatten() {
            let Some(stream) = self.providers.stream(provider) else {
                return Publish::Fails(format!(
                    "Failed to publish resources '{used}': resource provider {provider} is not subscribed"
                ));
            };
            streams.push((stream, provider.clone()));
        }
        for (stream, provider) in streams {
            let (publish, resources) = (turn.mint(), self.used_of(&provider));
            self.providers.publishing.insert(publish, (container.clone(), provider));
            tell(stream, ToProvider::Publish { publish, resources }, turn);
        }
        Publish::Waits
    }

    /// All that is in use of a provider, or about to be: it is told the whole each time, so that it can tell what is no
    /// more.
    pub(crate) fn used_of(&self, provider: &ProviderId) -> Resources {
        let mut sum = Resources::default();
        let mut shared = BTreeSet::new();
        for held in self.state.all().values().filter(|held| !held.is_ended()) {
            sum.add(&held.info.resources.of_provider(Some(provider)));
            if let Some(group) = held.group.as_ref().filter(|_| held.program().is_none())
                && shared.insert(group.container.clone())
            {
                sum.add(&group.executor.resources.of_provider(Some(provider)));
            }
        }
        for program in self.state.executors().values() {
            sum.add(&program.info.resources.of_provider(Some(provider)));
        }
        sum
    }

    /// A provider has made ready what it was asked to, or cannot.
    pub(crate) fn published(
        &mut self,
        publish: Uuid,
        done: Result<(), String>,
        turn: &mut Turn<'_>,
    ) {
        let Some((container, provider)) = self.providers.publishing.remove(&publish) else {
            return;
        };
        if let Err(cause) = done {
            let cause =
                format!("Failed to publish resources of resource provider {provider}: {cause}");
            return self.unpublished(&container, cause, turn);
        }
        if self.providers.publishing.values().any(|(of, _)| *of == container) {
            return;
        }
        if self.state.executor(&container).is_some() {
            self.providers.ready.insert(container.clone());
            return self.launch_program(&container, turn);
        }
        let held = self.state.held(&container).cloned();
        if let Some(held) = held.filter(|held| has_yet_to_run(held) && held.killed.is_none()) {
            self.begin_ready(&container, &held, turn);
        }
    }

    /// The provider is away: what it was to make ready never will be.
    pub(crate) fn unpublish(&mut self, provider: &ProviderId, turn: &mut Turn<'_>) {
        let all = self.providers.publishing.iter().filter(|(_, (_, of))| of == provider);
        let lost: Vec<ContainerId> = all.map(|(_, (container, _))| container.clone()).collect();
        for container in lost {
            let cause = format!(
                "Failed to publish resources of resource provider {provider}: its stream has ended"
            );
            self.unpublished(&container, cause, turn);
        }
    }

    /// It can never be started.
    fn unpublished(&mut self, container: &ContainerId, cause: String, turn: &mut Turn<'_>) {
        self.providers.publishing.retain(|_, (of, _)| of != container);
        let why = Reason::ContainerLaunchFailed;
        if self.state.executor(container).is_some() {
            let over = Over { wait_status: None, why: Some(why), cause };
            return self.program_over(container, over, turn);
        }
        let held = self.state.held(container).cloned();
        if let Some(held) = held.filter(|held| has_yet_to_run(held)) {
            self.report(container, &held, failed(&held, why, cause), turn);
        }
    }

    /// What providers have, but for what they are making something else of.
    fn unconverted(&self) -> Resources {
        let mut total = self.providers.total();
        let begun = self.state.operations().values().filter(|one| !one.latest.state.is_terminal());
        let unforeseen = begun.filter(|one| !one.conversion.is_foreseeable());
        unforeseen.for_each(|one| total.take(&one.conversion.consumed()));
        total
    }

    /// What a task is to use of providers that they do not have, or not any more.
    pub(crate) fn unprovided(&self, used: &Resources) -> Option<Resources> {
        let used = used.only(|one| one.provider.is_some());
        if used.is_empty() {
            return None;
        }
        let total = self.unconverted();
        let has = |one: &Resource| total.contains(&Resources::new([one.clone()]));
        let is_there = used.iter().all(has);
        (!is_there).then_some(used)
    }
}

/// It may have been about to start in an earlier life of the agent.
fn has_yet_to_run(held: &Held) -> bool {
    !held.is_running() && !held.is_ended()
}
