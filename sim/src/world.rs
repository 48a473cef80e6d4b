//! The whole cluster on one thread: one master, its agents, the network between them, and time.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Effect, Input, Reply};
use kernel::{Fairness, OfferRules, Sorter};
use model::agent::{FromAgent, ToAgent};
use model::id::{AgentId, Connection, FrameworkId, Term};
use model::time::{Duration, Time};
use model::turn::Released;
use services::spec::AppId;

use crate::check_shares::Used;
use crate::dice::Dice;
use crate::foreign::{self, Foreign};
use crate::history::History;
use crate::host::{HOME, Machine as HostMachine};
use crate::operator::Asked;
use crate::parcel::{Host, NOTICED_MAX, Parcel, Queue, Weather, keeps_order_down, keeps_order_up};
use crate::process::Process;
use crate::witness::Witness;

/// Ids of everything begin with this.
pub const CLUSTER: &str = "sim";

/// At one moment no machine may ask for more ticks than this without an end: the wake law.
const TICKS_AT_ONE_TIME_MAX: u32 = 2_000;

#[derive(Debug)]
pub struct World {
    pub now: Time,
    pub dice: Dice,
    pub weather: Weather,
    pub master: Process<Witness, Option<Asked>>,
    pub term: Term,
    pub hosts: Vec<HostMachine>,
    pub foreigners: Vec<Foreign>,
    /// Whether the frameworks of somebody else know what to do with agents in other regions.
    pub foreign_travels: bool,
    pub history: History,
    pub used: Used,
    /// What the gauge of each app that is scaled by its use stands at.
    pub gauges: BTreeMap<AppId, u64>,
    pub queue: Queue,
    /// Which host each stream that the master still believes in belongs to.
    pub streams: BTreeMap<Connection, Host>,
    pub partitioned: BTreeSet<Host>,
    /// How each life of the master is configured.
    pub config: (kernel::Config, services::Config),
    connections: u64,
    ticks: (Time, u32),
    /// When the master is next woken.
    alarm: Option<Time>,
    /// Prints what happens.
    pub is_traced: bool,
}

impl World {
    pub fn new(seed: u64, hosts: usize) -> Self {
        let mut dice = Dice::new(seed);
        let hosts = (0..hosts).map(|host| HostMachine::new(host, &mut dice)).collect();
        let mut world = Self {
            now: Time(1_700_000_000_000),
            dice,
            weather: Weather::CALM,
            master: Process::default(),
            term: Term(0),
            hosts,
            foreigners: foreign::all(),
            foreign_travels: seed.is_multiple_of(2),
            history: History::default(),
            used: Used::default(),
            gauges: BTreeMap::new(),
            queue: Queue::default(),
            streams: BTreeMap::new(),
            partitioned: BTreeSet::new(),
            config: (kernel_config(seed), services_config()),
            connections: 0,
            ticks: (Time(0), 0),
            alarm: None,
            is_traced: false,
        };
        world.send_in(0, Parcel::MasterStarts);
        for host in 0..world.hosts.len() {
            let delay = world.dice.between(0, 500);
            world.send_in(delay, Parcel::HostStarts { host });
        }
        world
    }

    pub fn fresh_cluster(&self) -> Witness {
        Witness::new(CLUSTER, self.config.0.clone(), self.config.1.clone())
    }

    pub fn send_in(&mut self, millis: u64, parcel: Parcel) {
        self.queue.send(self.now + Duration::from_millis(millis), parcel);
    }

    fn delay(&mut self) -> u64 {
        self.dice.between(0, self.weather.delay_ms_max)
    }

    pub fn trace(&self, line: impl FnOnce() -> String) {
        if self.is_traced {
            #[expect(clippy::print_stdout, reason = "a trace is what the command is for")]
            {
                println!(
                    "{:>9.3}  {}",
                    self.now.since(Time(1_700_000_000_000)).as_secs_f64(),
                    line()
                );
            }
        }
    }

    /// Does the next thing. False if nothing will ever happen again.
    pub fn go_on(&mut self) -> bool {
        let Some((at, parcel)) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.deliver(parcel);
        true
    }

    fn deliver(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::MasterStarts => self.start_master(),
            Parcel::MasterCrashes => self.crash_master(),
            Parcel::MasterWakes { life } if life == self.master.life => self.tick_master(),
            Parcel::MasterCommits { life } if life == self.master.life => self.commit_master(),
            Parcel::MasterWakes { .. } | Parcel::MasterCommits { .. } => (),
            Parcel::HostStarts { host } => self.start_host(host),
            Parcel::HostCrashes { host } => self.crash_host(host),
            Parcel::HostWakes { host, life } => self.tick_host(host, life),
            Parcel::HostCommits { host, life } => self.commit_host(host, life),
            Parcel::Connects { host, life } => self.connect(host, life),
            Parcel::LostAtHost { host, connection } => self.lose_at_host(host, connection),
            Parcel::LostAtMaster { connection } => self.lose_at_master(connection),
            Parcel::ToMaster { connection, message } => self.hear_agent(connection, message),
            Parcel::ToHost { host, connection, term, message } => {
                self.hear_master(host, connection, term, message)
            }
            Parcel::Container { host, container, happened } => {
                self.hear_container(host, container, happened)
            }
            Parcel::Probed { host, life, container, check } => {
                self.hear_probe(host, life, container, check)
            }
            Parcel::Looked { host, life, container, look } => {
                self.hear_look(host, life, container, look)
            }
            Parcel::Volumes { host, life, operation } => {
                self.hear_volumes(host, life, operation);
            }
            Parcel::Program { host, container, deed } => self.act_program(host, container, deed),
            Parcel::ToForeign { term, framework, event } if term == self.term => {
                self.hear_kernel(framework, event);
            }
            // The stream broke with the master at its other end.
            Parcel::ToForeign { .. } => (),
            Parcel::ForeignActs { who } => self.act_foreign(who),
            Parcel::OperatorActs => self.operate(),
            Parcel::GaugesAreRead => self.read_gauges(),
            Parcel::FaultStrikes => self.strike(),
            Parcel::PartitionEnds { host } => drop(self.partitioned.remove(&host)),
        }
    }

    // The master.

    fn start_master(&mut self) {
        if self.master.is_running() {
            return;
        }
        self.term = Term(self.term.0 + 1);
        self.alarm = None;
        let fresh = self.fresh_cluster();
        self.master.start(fresh);
        self.trace(|| format!("master leads in term {}", self.term.0));
        let seed = self.dice.roll();
        self.tell_master(None, Input::Lead { term: self.term, cluster: CLUSTER.to_owned(), seed });
        for who in 0..self.foreigners.len() {
            self.foreigners[who].lost();
            self.send_in(50, Parcel::ForeignActs { who });
        }
    }

    /// Every stream breaks; each end notices in its own time.
    pub fn crash_master(&mut self) {
        if !self.master.is_running() {
            return;
        }
        let arrived = usize::try_from(self.dice.between(0, 2)).expect("small");
        self.master.crash(arrived);
        self.trace(|| format!("master crashes, {arrived} of its last commits have arrived"));
        self.history.forget_unanswered();
        for (connection, host) in std::mem::take(&mut self.streams) {
            let delay = self.dice.between(0, 3_000);
            self.send_in(delay, Parcel::LostAtHost { host, connection });
        }
    }

    pub fn tell_master(&mut self, token: Option<Asked>, input: Input) {
        self.master.push(token, input);
        self.turn_master();
    }

    fn turn_master(&mut self) {
        while self.master.decide(self.now) {
            let delay = self.dice.between(0, self.weather.commit_ms_max);
            let at = self.now + Duration::from_millis(delay);
            self.queue.send_in_order(
                at,
                Connection(u64::MAX),
                true,
                Parcel::MasterCommits { life: self.master.life },
            );
        }
    }

    fn tick_master(&mut self) {
        self.alarm = self.alarm.filter(|at| self.now < *at);
        if self.master.wake_at().is_some_and(|at| at <= self.now) {
            self.count_tick("master");
            let seed = self.dice.roll();
            self.tell_master(None, Input::Tick { seed });
        }
        self.wake_master();
    }

    /// The wake law: at one moment the ticks end.
    pub fn count_tick(&mut self, who: &str) {
        let (at, so_far) = self.ticks;
        self.ticks = if at == self.now { (at, so_far + 1) } else { (self.now, 1) };
        assert!(
            self.ticks.1 <= TICKS_AT_ONE_TIME_MAX,
            "{who} asks for ticks without end at {:?}",
            self.now
        );
    }

    fn wake_master(&mut self) {
        // What is decided and not yet committed may have moved the alarm; the commit looks again.
        let wanted = self.master.wake_at().filter(|_| self.master.is_settled());
        if let Some(at) = wanted.filter(|at| self.alarm.is_none_or(|alarm| *at < alarm)) {
            self.alarm = Some(at);
            let life = self.master.life;
            self.queue.send(at.max(self.now), Parcel::MasterWakes { life });
        }
    }

    fn commit_master(&mut self) {
        if self.dice.chance(self.weather.crash_permille) {
            self.fail_over(2_000);
            return;
        }
        let Some(released) = self.master.commit() else { return };
        let Released { view: (), answers, effects } = released;
        for (token, answer) in answers {
            if let Some(asked) = token {
                self.trace(|| format!("{asked:?} -> {}", shown(&answer)));
                self.history.answered(asked, answer);
            }
        }
        for effect in effects {
            self.carry_out(effect);
        }
        self.turn_master();
        self.wake_master();
        if self.master.is_settled() {
            crate::check::check(self);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Event(framework, event) => {
                let delay = self.delay();
                let term = self.term;
                self.send_in(delay, Parcel::ToForeign { term, framework, event });
            }
            Effect::ToAgent(connection, message) => self.send_down(connection, message),
            Effect::Disconnect(connection) => {
                if let Some(host) = self.streams.remove(&connection) {
                    let delay = self.delay();
                    self.queue.send_in_order(
                        self.now + Duration::from_millis(delay),
                        connection,
                        false,
                        Parcel::LostAtHost { host, connection },
                    );
                }
            }
            Effect::Notice(notice) => self.history.noticed(&notice),
        }
    }

    // The network.

    fn connect(&mut self, host: Host, life: crate::process::Life) {
        let own = &self.hosts[host];
        if own.process.life != life || !own.process.is_running() || own.connection.is_some() {
            return;
        }
        if !self.master.is_running() || self.partitioned.contains(&host) {
            let delay = self.dice.between(200, 3_000);
            self.send_in(delay, Parcel::Connects { host, life });
            return;
        }
        self.connections += 1;
        let connection = Connection(self.connections);
        self.streams.insert(connection, host);
        self.hosts[host].connection = Some((connection, self.term));
        self.trace(|| format!("host {host} opens {connection:?}"));
        self.tell_host(host, node::Input::Connected { term: self.term });
    }

    /// Breaks a stream; each end notices in its own time, or the agent's end comes back before the master has noticed.
    pub fn break_stream(&mut self, host: Host, notice_ms_max: u64) {
        let Some((connection, _)) = self.hosts[host].connection else { return };
        self.trace(|| format!("{connection:?} of host {host} breaks"));
        let (here, there) =
            (self.dice.between(0, notice_ms_max), self.dice.between(0, notice_ms_max));
        self.send_in(here, Parcel::LostAtHost { host, connection });
        self.send_in(there, Parcel::LostAtMaster { connection });
    }

    pub fn partition(&mut self, host: Host, span: Duration) {
        self.trace(|| format!("host {host} is cut off for {span:?}"));
        self.partitioned.insert(host);
        self.queue.send(self.now + span, Parcel::PartitionEnds { host });
        let notice = u64::try_from(NOTICED_MAX.as_millis()).expect("small");
        self.break_stream(host, notice);
    }

    fn lose_at_host(&mut self, host: Host, connection: Connection) {
        if self.hosts[host].connection.is_none_or(|(own, _)| own != connection) {
            return;
        }
        self.hosts[host].connection = None;
        self.tell_host(host, node::Input::Disconnected);
        let (delay, life) = (self.dice.between(50, 2_000), self.hosts[host].process.life);
        self.send_in(delay, Parcel::Connects { host, life });
    }

    fn lose_at_master(&mut self, connection: Connection) {
        if let Some(host) = self.streams.remove(&connection) {
            let seed = self.dice.roll();
            self.tell_master(None, Input::AgentLost { connection, seed });
            // What the agent's end sends from now on meets a closed stream.
            let delay = self.delay();
            self.send_in(delay, Parcel::LostAtHost { host, connection });
        }
    }

    pub fn send_up(&mut self, host: Host, message: FromAgent) {
        let Some((connection, _)) = self.hosts[host].connection else { return };
        let keeps_order = keeps_order_up(&message) || self.hosts[host].is_said_once(&message);
        let parcel = Parcel::ToMaster { connection, message };
        self.send_through(host, connection, true, keeps_order, parcel);
    }

    fn send_down(&mut self, connection: Connection, message: ToAgent) {
        let Some(host) = self.streams.get(&connection).copied() else { return };
        let keeps_order = keeps_order_down(&message);
        let parcel = Parcel::ToHost { host, connection, term: self.term, message };
        self.send_through(host, connection, false, keeps_order, parcel);
    }

    fn send_through(
        &mut self,
        host: Host,
        connection: Connection,
        up: bool,
        keeps_order: bool,
        parcel: Parcel,
    ) {
        if self.partitioned.contains(&host) {
            return;
        }
        let at = self.now + Duration::from_millis(self.delay());
        let weather = self.weather;
        if keeps_order {
            // A master that is unsure says a thing twice; an agent registers once on each stream.
            if !up && self.dice.chance(weather.duplicate_permille) {
                self.queue.send_in_order(at, connection, up, parcel.clone());
            }
            self.queue.send_in_order(at, connection, up, parcel);
            return;
        }
        if self.dice.chance(weather.loss_permille) {
            return;
        }
        if self.dice.chance(weather.duplicate_permille) {
            let later = at + Duration::from_millis(self.delay());
            self.queue.send(later, parcel.clone());
        }
        if self.dice.chance(weather.reorder_permille) {
            self.queue.send(at, parcel);
        } else {
            self.queue.send_in_order(at, connection, up, parcel);
        }
    }

    fn hear_agent(&mut self, connection: Connection, message: FromAgent) {
        let Some(host) = self.streams.get(&connection).copied() else { return };
        if self.partitioned.contains(&host) {
            return;
        }
        let seed = self.dice.roll();
        self.tell_master(None, Input::Agent { connection, message, seed });
    }

    fn hear_master(&mut self, host: Host, connection: Connection, term: Term, message: ToAgent) {
        if self.hosts[host].connection.is_none_or(|(own, _)| own != connection)
            || self.partitioned.contains(&host)
        {
            return;
        }
        self.trace(|| format!("host {host} hears {message:?}").chars().take(600).collect());
        if let ToAgent::Refused { .. } = &message {
            return self.wipe_host(host);
        }
        let seed = self.dice.roll();
        self.tell_host(host, node::Input::Master { term, message, seed });
    }

    // Questions that checks ask.

    pub fn host_of(&self, agent: &AgentId) -> Option<&HostMachine> {
        self.hosts.iter().find(|host| host.agent().as_ref() == Some(agent))
    }

    pub fn services_framework(&self) -> FrameworkId {
        FrameworkId::new(format!("{CLUSTER}-0000"))
    }
}

fn shown(answer: &Result<Reply, cluster::Refusal>) -> String {
    let text = match answer {
        Ok(reply) => format!("{reply:?}"),
        Err(refusal) => format!("refused: {refusal}"),
    };
    text.chars().take(120).collect()
}

/// Short enough that a run of minutes meets every timeout.
fn kernel_config(seed: u64) -> kernel::Config {
    let sorter = |by_lot: bool| if by_lot { Sorter::Random } else { Sorter::Drf };
    let fairness = Fairness {
        roles: sorter(seed % 5 == 1),
        frameworks: sorter(seed % 7 == 2),
        over: (seed % 3 == 1).then(|| Duration::from_secs(60)),
    };
    let offers = OfferRules { region: Some(HOME.to_owned()), ..OfferRules::default() };
    kernel::Config {
        fairness,
        offers,
        ping_interval: Duration::from_secs(5),
        pings_missed_max: 4,
        reregister_timeout: Duration::from_secs(60),
        offer_timeout: Duration::from_secs(30),
        ..kernel::Config::default()
    }
}

fn services_config() -> services::Config {
    services::Config {
        launch_confirm_timeout: Duration::from_secs(90),
        launch_timeout: Duration::from_secs(300),
        decline_duration: Duration::from_secs(20),
        kill_retry: Duration::from_secs(10),
        versions_max: 5,
        ..services::Config::default()
    }
}
