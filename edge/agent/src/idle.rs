//! A runtime that does nothing: containers start at once, are healthy, and run until they are stopped.

use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, pending};
use std::net::IpAddr;
use std::sync::Arc;

use model::check::PageAnswer;
use model::container::Probe;
use model::id::ContainerId;
use model::task::{Address, ContainerStatus};
use node::{Answer, Effect, Finding, Happened, Input};

use crate::runtime::Runtime;
use crate::seeds::Seeds;

/// What `wait` returns for a process that SIGTERM has ended.
const TERMINATED: i32 = 15;

#[derive(Debug)]
pub(crate) struct Idle {
    ip: IpAddr,
    seeds: Arc<Seeds>,
    alive: BTreeSet<ContainerId>,
    happened: VecDeque<Input>,
}

impl Idle {
    pub(crate) fn new(ip: IpAddr, seeds: Arc<Seeds>) -> Self {
        Self { ip, seeds, alive: BTreeSet::new(), happened: VecDeque::new() }
    }

    fn launch(&mut self, container: ContainerId) {
        self.alive.insert(container.clone());
        let addresses = vec![Address(self.ip)];
        let status = ContainerStatus { id: container.clone(), addresses, pid: None, parent: None };
        self.tell(container, Happened::Started { status });
    }

    fn tell(&mut self, container: ContainerId, happened: Happened) {
        let seed = self.seeds.next();
        self.happened.push_back(Input::Container { container, happened, seed });
    }
}

impl Runtime for Idle {
    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Launch { container, .. } => self.launch(container),
            Effect::Stop { container, .. } => {
                if self.alive.remove(&container) {
                    let ended = Happened::Exited { wait_status: TERMINATED, limitation: None };
                    self.tell(container, ended);
                }
            }
            Effect::Probe { container, check, .. } => {
                let (answer, seed) = (Answer::Passed, self.seeds.next());
                self.happened.push_back(Input::Probed { container, check, answer, seed });
            }
            Effect::Look { container, look, probe, .. } => {
                let (finding, seed) = (fine(&probe), self.seeds.next());
                self.happened.push_back(Input::Looked { container, look, finding, seed });
            }
            Effect::MakeVolumes { operation, .. } | Effect::RemoveVolumes { operation, .. } => {
                let (done, seed) = (Ok(()), self.seeds.next());
                self.happened.push_back(Input::Volumes { operation, done, seed });
            }
            Effect::LaunchExecutor { container, .. } => self.launch(container),
            Effect::Collect { .. }
            | Effect::Resize { .. }
            | Effect::Pool { .. }
            | Effect::ToExecutor { .. }
            | Effect::ToProvider { .. }
            | Effect::CollectExecutor { .. }
            | Effect::ToMaster(_) => (),
        }
    }

    async fn next(&mut self) -> Input {
        match self.happened.pop_front() {
            Some(input) => input,
            None => pending().await,
        }
    }

    fn known(&self) -> Vec<ContainerId> {
        self.alive.iter().cloned().collect()
    }

    fn hang_up(&mut self) {}

    fn clear(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    fn close(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

fn fine(probe: &Probe) -> Finding {
    match probe {
        Probe::Http { .. } => {
            let (content_type, body) = ("text/plain".to_owned(), String::new());
            Finding::Page(PageAnswer { status: 200, content_type, body })
        }
        Probe::Tcp { .. } => Finding::Connected,
        Probe::Command(..) => Finding::Exited(0),
    }
}
