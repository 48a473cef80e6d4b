//! A machine of the cluster: the agent's brain in its process, and the containers, which outlive it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::agent::{AgentInfo, FromAgent};
use model::attributes::{self, FaultDomain};
use model::check::PageAnswer;
use model::id::{AgentId, Connection, ContainerId, FrameworkId, Term, Uuid};
use model::resources::Resources;
use model::task::{ContainerStatus, ExecutorInfo, Reason, TaskInfo};
use model::time::{Duration, Time};
use node::{Answer, Effect, Finding, Happened, Input, Look, Node};

use crate::dice::Dice;
use crate::parcel::{Host, Parcel};
use crate::process::{Life, Process};
use crate::programs::Program;
use crate::world::World;

/// One in so many thousand containers never starts.
pub const FAILS_PERMILLE: u64 = 20;
/// One in so many thousand volumes cannot be made or removed.
const FULL_PERMILLE: u64 = 150;
/// One in so many thousand ends by itself.
pub const EXITS_PERMILLE: u64 = 120;
/// One in so many thousand probes of a container fails.
const UNHEALTHY_PERMILLE: u64 = 150;
/// One in so many thousand looks finds a container that is not ready yet.
const UNREADY_PERMILLE: u64 = 500;

/// What `wait` says of a process that a signal ended, and of one that exited with 1.
const SIGTERM: i32 = 15;
pub const FAILURE: i32 = 1 << 8;

#[derive(Debug)]
pub struct Machine {
    pub process: Process<Node, ()>,
    pub info: AgentInfo,
    pub containers: BTreeMap<ContainerId, Container>,
    pub programs: BTreeMap<ContainerId, Program>,
    /// The stream as this end sees it, and the term it was opened in.
    pub connection: Option<(Connection, Term)>,
    alarm: Option<Time>,
}

#[derive(Debug)]
pub struct Container {
    pub framework: FrameworkId,
    pub task: Arc<TaskInfo>,
    /// Of the group that it was launched in.
    pub executor: Option<Arc<ExecutorInfo>>,
    pub life: Alive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive {
    Starting,
    Running,
    Exited { wait_status: i32 },
}

impl Container {
    pub fn is_alive(&self) -> bool {
        match self.life {
            Alive::Starting | Alive::Running => true,
            Alive::Exited { .. } => false,
        }
    }
}

/// Where the master is.
pub const HOME: &str = "home";

/// Every fourth machine is somewhere else.
fn region(host: Host) -> &'static str {
    if host % 4 == 3 { "abroad" } else { HOME }
}

impl Machine {
    pub fn new(host: Host, dice: &mut Dice) -> Self {
        let (cpus, mem) = (dice.between(2, 4), dice.between(2, 4) * 1024);
        let resources: Resources = format!("cpus:{cpus};mem:{mem};disk:10000;ports:[31000-31019]")
            .parse()
            .expect("well-formed resources");
        let racks = ["rack:a", "rack:b", "rack:a;ssd:true", ""];
        let info = AgentInfo {
            hostname: format!("host-{host}"),
            ip: format!("10.0.0.{host}"),
            port: 5051,
            resources,
            attributes: attributes::parse(racks[host % racks.len()])
                .expect("well-formed attributes"),
            domain: Some(FaultDomain { region: region(host).to_owned(), zone: "a".to_owned() }),
            version: "sim".to_owned(),
            work_dir: "/sim".to_owned(),
        };
        Self {
            process: Process::default(),
            info,
            containers: BTreeMap::new(),
            programs: BTreeMap::new(),
            connection: None,
            alarm: None,
        }
    }

    /// The end of a task that nobody is left to acknowledge is not repeated, and the tasks of a program are told of before
    /// its end. Were any of that lost, so would be the stream.
    pub fn is_said_once(&self, message: &FromAgent) -> bool {
        let FromAgent::Update { framework, status, .. } = message else { return false };
        let Some(machine) = self.process.machine() else { return false };
        let held = machine.view().held;
        let mut same = held.values().filter(|held| held.framework == *framework);
        let same = same.find(|held| held.info.id == status.task);
        let in_program = |held: &node::Held| {
            held.group.as_ref().is_some_and(|group| group.executor.program.is_some())
        };
        same.map_or(status.state.is_terminal(), |held| in_program(held))
    }

    /// The id it was admitted under, as its brain remembers.
    pub fn agent(&self) -> Option<AgentId> {
        self.process.machine()?.view().own.as_ref()?.agent.clone()
    }
}

impl World {
    pub fn start_host(&mut self, host: Host) {
        if self.hosts[host].process.is_running() {
            return;
        }
        let own = &mut self.hosts[host];
        own.process.start(Node::new(node_config()));
        own.alarm = None;
        let of_tasks = own.containers.iter().map(|(id, one)| (id, one.life));
        let all = of_tasks.chain(own.programs.iter().map(|(id, one)| (id, one.life)));
        let all: Vec<(ContainerId, Alive)> = all.map(|(id, life)| (id.clone(), life)).collect();
        let alive = all.iter().map(|(id, _)| id.clone()).collect();
        let exited = all.into_iter().filter_map(|(id, life)| match life {
            Alive::Exited { wait_status } => Some((id, wait_status)),
            Alive::Starting | Alive::Running => None,
        });
        let info = own.info.clone();
        self.trace(|| format!("host {host} starts"));
        let seed = self.dice.roll();
        let boot = "the only one".to_owned();
        self.tell_host(host, Input::Started { info, boot, alive, seed });
        for (container, wait_status) in exited {
            let seed = self.dice.roll();
            let happened = Happened::Exited { wait_status, limitation: None };
            self.tell_host(host, Input::Container { container, happened, seed });
        }
        self.find_agent_again(host);
        let life = self.hosts[host].process.life;
        self.send_in(20, Parcel::Connects { host, life });
    }

    /// The agent's process dies; its containers do not notice.
    pub fn crash_host(&mut self, host: Host) {
        if !self.hosts[host].process.is_running() {
            return;
        }
        let arrived = usize::try_from(self.dice.between(0, 2)).expect("small");
        self.trace(|| format!("host {host} crashes"));
        self.break_stream(host, 3_000);
        let own = &mut self.hosts[host];
        own.process.crash(arrived);
        own.connection = None;
        // What had not begun to run dies with whoever was preparing it.
        own.containers.retain(|_, one| one.life != Alive::Starting);
        own.programs.retain(|_, one| one.life != Alive::Starting);
    }

    pub fn tell_host(&mut self, host: Host, input: Input) {
        self.hosts[host].process.push((), input);
        self.turn_host(host);
    }

    fn turn_host(&mut self, host: Host) {
        while self.hosts[host].process.decide(self.now) {
            let delay = self.dice.between(0, self.weather.commit_ms_max);
            let at = self.now + Duration::from_millis(delay);
            let life = self.hosts[host].process.life;
            let disk = Connection(u64::MAX - 1 - host as u64);
            self.queue.send_in_order(at, disk, true, Parcel::HostCommits { host, life });
        }
    }

    pub fn commit_host(&mut self, host: Host, life: Life) {
        if self.hosts[host].process.life != life {
            return;
        }
        let Some(released) = self.hosts[host].process.commit() else { return };
        for effect in released.effects {
            self.trace(|| format!("host {host} does {effect:?}").chars().take(600).collect());
            self.do_effect(host, effect);
        }
        self.turn_host(host);
        self.wake_host(host);
    }

    fn wake_host(&mut self, host: Host) {
        let own = &mut self.hosts[host];
        let wanted = own.process.wake_at().filter(|_| own.process.is_settled());
        if let Some(at) = wanted.filter(|at| own.alarm.is_none_or(|alarm| *at < alarm)) {
            own.alarm = Some(at);
            let life = own.process.life;
            self.queue.send(at.max(self.now), Parcel::HostWakes { host, life });
        }
    }

    pub fn tick_host(&mut self, host: Host, life: Life) {
        let own = &mut self.hosts[host];
        if own.process.life != life {
            return;
        }
        own.alarm = own.alarm.filter(|at| self.now < *at);
        if own.process.wake_at().is_some_and(|at| at <= self.now) {
            self.count_tick("an agent");
            self.tell_host(host, Input::Tick);
        }
        self.wake_host(host);
    }

    fn do_effect(&mut self, host: Host, effect: Effect) {
        match effect {
            Effect::ToMaster(message) => self.send_up(host, message),
            Effect::Launch { container, framework, task, group } => {
                let executor = group.map(|group| group.executor);
                let one = Container { framework, task, executor, life: Alive::Starting };
                self.launch(host, container, one)
            }
            Effect::Stop { container, .. }
                if self.hosts[host].programs.contains_key(&container) =>
            {
                self.stop_program(host, container);
            }
            Effect::Stop { container, grace } => self.stop(host, container, grace),
            Effect::Probe { container, check, .. } => {
                let (delay, life) = (self.dice.between(1, 500), self.hosts[host].process.life);
                self.send_in(delay, Parcel::Probed { host, life, container, check });
            }
            Effect::Look { container, look, .. } => {
                let (delay, life) = (self.dice.between(1, 500), self.hosts[host].process.life);
                self.send_in(delay, Parcel::Looked { host, life, container, look });
            }
            Effect::Collect { container, .. } => {
                drop(self.hosts[host].containers.remove(&container))
            }
            Effect::CollectExecutor { group, .. } => {
                drop(self.hosts[host].programs.remove(&group.container));
            }
            Effect::MakeVolumes { operation, .. } | Effect::RemoveVolumes { operation, .. } => {
                let (delay, life) = (self.dice.between(1, 500), self.hosts[host].process.life);
                self.send_in(delay, Parcel::Volumes { host, life, operation });
            }
            Effect::LaunchExecutor { container, executor, .. } => {
                self.launch_program(host, container, executor);
            }
            Effect::Resize { .. } | Effect::Pool { .. } | Effect::ToProvider { .. } => (),
            Effect::ToExecutor { container, said } => {
                self.hear_agent_in_program(host, container, said);
            }
        }
    }

    fn launch(&mut self, host: Host, container: ContainerId, one: Container) {
        if let Some(found) = self.hosts[host].containers.get(&container) {
            let happened = match found.life {
                Alive::Starting => return,
                Alive::Running => started(&container),
                Alive::Exited { wait_status } => Happened::Exited { wait_status, limitation: None },
            };
            self.send_in(1, Parcel::Container { host, container, happened });
            return;
        }
        if self.dice.chance(FAILS_PERMILLE) {
            let cause = "the image does not exist".to_owned();
            let happened = Happened::Failed { reason: Reason::ContainerLaunchFailed, cause };
            self.send_in(30, Parcel::Container { host, container, happened });
            return;
        }
        if self.dice.chance(100) {
            self.send_in(
                5,
                Parcel::Container {
                    host,
                    container: container.clone(),
                    happened: Happened::Preparing { told: None },
                },
            );
        }
        self.hosts[host].containers.insert(container.clone(), one);
        let delay = self.dice.between(1, 300);
        let happened = started(&container);
        self.send_in(delay, Parcel::Container { host, container, happened });
    }

    fn stop(&mut self, host: Host, container: ContainerId, grace: Duration) {
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let delay = self.dice.between(1, grace.clamp(1, 3_000));
        let happened = match self.hosts[host].containers.get(&container).map(|one| one.life) {
            Some(Alive::Starting) => {
                self.hosts[host].containers.remove(&container);
                Happened::Failed {
                    reason: Reason::TaskKilledDuringLaunch,
                    cause: "stopped".to_owned(),
                }
            }
            Some(Alive::Running) => Happened::Exited { wait_status: SIGTERM, limitation: None },
            Some(Alive::Exited { .. }) | None => return,
        };
        self.send_in(delay, Parcel::Container { host, container, happened });
    }

    /// The world's side of a container comes first: it changes whether or not the agent lives to hear of it.
    pub fn hear_container(&mut self, host: Host, container: ContainerId, happened: Happened) {
        if self.hosts[host].programs.contains_key(&container) {
            if self.change_program(host, &container, &happened) {
                self.tell_container(host, container, happened);
            }
            return;
        }
        let Some(own) = self.hosts[host].containers.get_mut(&container) else {
            if let Happened::Failed { .. } | Happened::Preparing { .. } = happened {
                self.tell_container(host, container, happened);
            }
            return;
        };
        match (&happened, own.life) {
            (Happened::Started { .. }, Alive::Starting) => {
                own.life = Alive::Running;
                if self.dice.chance(EXITS_PERMILLE) {
                    let delay = self.dice.between(100, 60_000);
                    let wait_status = if self.dice.chance(500) { FAILURE } else { 0 };
                    let happened = Happened::Exited { wait_status, limitation: None };
                    self.send_in(
                        delay,
                        Parcel::Container { host, container: container.clone(), happened },
                    );
                }
            }
            (Happened::Exited { wait_status, .. }, Alive::Starting | Alive::Running) => {
                own.life = Alive::Exited { wait_status: *wait_status };
            }
            // It has ended before, and its end was told then.
            (Happened::Started { .. } | Happened::Exited { .. }, Alive::Exited { .. }) => return,
            (Happened::Started { .. }, Alive::Running) => (),
            (Happened::Preparing { .. } | Happened::Failed { .. }, _) => (),
        }
        self.tell_container(host, container, happened);
    }

    fn tell_container(&mut self, host: Host, container: ContainerId, happened: Happened) {
        let seed = self.dice.roll();
        self.tell_host(host, Input::Container { container, happened, seed });
    }

    pub fn hear_probe(&mut self, host: Host, life: Life, container: ContainerId, check: usize) {
        if self.hosts[host].process.life != life {
            return;
        }
        let is_sick = self.weather.loss_permille > 0 && self.dice.chance(UNHEALTHY_PERMILLE);
        let answer = match is_sick {
            true => Answer::Failed("connection refused".to_owned()),
            false => Answer::Passed,
        };
        let seed = self.dice.roll();
        self.tell_host(host, Input::Probed { container, check, answer, seed });
    }

    pub fn hear_look(&mut self, host: Host, life: Life, container: ContainerId, look: Look) {
        if self.hosts[host].process.life != life {
            return;
        }
        let status = if self.dice.chance(UNREADY_PERMILLE) { 503 } else { 200 };
        let (content_type, body) = ("text/plain".to_owned(), String::new());
        let finding = Finding::Page(PageAnswer { status, content_type, body });
        let seed = self.dice.roll();
        self.tell_host(host, Input::Looked { container, look, finding, seed });
    }

    pub fn hear_volumes(&mut self, host: Host, life: Life, operation: Uuid) {
        if self.hosts[host].process.life != life {
            return;
        }
        let is_full = self.weather.loss_permille > 0 && self.dice.chance(FULL_PERMILLE);
        let done = if is_full { Err("no space left on device".to_owned()) } else { Ok(()) };
        let seed = self.dice.roll();
        self.tell_host(host, Input::Volumes { operation, done, seed });
    }
}

pub fn started(container: &ContainerId) -> Happened {
    Happened::Started {
        status: ContainerStatus {
            id: container.clone(),
            addresses: Vec::new(),
            pid: Some(1),
            parent: None,
        },
    }
}

fn node_config() -> node::Config {
    node::Config::default()
}
