//! What the kernel must not forget, and the only code that writes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use minicbor::{Decode, Encode};
use model::agent::AgentInfo;
use model::framework::FrameworkInfo;
use model::id::{AgentId, FrameworkId, ProviderId, Role};
use model::provider::Provided;
use model::resources::{Resources, Scalar};
use model::time::Time;

use crate::maintenance::{MachineId, Planned, Schedule};
use crate::quota::Quota;

/// The new value of one entity; `None` says that it is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Agent(AgentId, Option<Agent>),
    Framework(FrameworkId, Option<Framework>),
    /// A role's weight; 1 if there is none.
    Weight(Role, Option<Scalar>),
    /// What the tasks of one role hold on one agent: what a new leader charges until the agent is back.
    InUse(AgentId, Role, Option<Resources>),
    /// What a role may use at most and is promised; no limits and no promises if there is none.
    Quota(Role, Option<Quota>),
    /// What was reserved on an agent while the cluster ran, and its volumes. It is true there: this is what a new leader
    /// goes by until the agent is back.
    Claims(AgentId, Option<Resources>),
    /// What providers bring to an agent. It is true at those: this, too, is what a new leader goes by.
    Provided(AgentId, Option<Vec<Provided>>),
    /// Which machines are to be down, and which are.
    Maintenance(Option<Schedule>),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Agent {
    #[cbor(n(0), with = "model::shared")]
    pub info: Arc<AgentInfo>,
    #[n(1)]
    pub standing: Standing,
    #[n(2)]
    pub registered_at: Time,
    #[cbor(n(3), default)]
    pub duty: Duty,
}

/// Whether operators let an agent be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub enum Duty {
    #[default]
    #[n(0)]
    Active,
    /// Nothing of it is offered; what runs goes on.
    #[n(1)]
    Deactivated,
    /// Nothing of it is offered, and all that runs on it is ended.
    #[n(2)]
    Draining(#[n(0)] Drain),
    /// Nothing is left on it.
    #[n(3)]
    Drained(#[n(0)] Drain),
}

/// How an agent is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Drain {
    #[n(0)]
    pub since: Time,
    /// No task has longer than this from SIGTERM to SIGKILL, whatever its own kill policy says.
    #[n(1)]
    pub grace_max: Option<Duration>,
    /// Once it is empty it is given up: it does not come back under this id.
    #[n(2)]
    pub mark_gone: bool,
}

impl Duty {
    pub fn drain(&self) -> Option<&Drain> {
        match self {
            Duty::Draining(drain) | Duty::Drained(drain) => Some(drain),
            Duty::Active | Duty::Deactivated => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Standing {
    #[n(0)]
    Admitted,
    #[n(1)]
    Unreachable {
        #[n(0)]
        since: Time,
    },
    /// Never to come back under this id.
    #[n(2)]
    Gone {
        #[n(0)]
        since: Time,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Framework {
    #[cbor(n(0), with = "model::shared")]
    pub info: Arc<FrameworkInfo>,
    #[n(1)]
    pub registered_at: Time,
    /// Set once it was torn down; kept for a while so that it is refused if it comes back.
    #[n(2)]
    pub completed_at: Option<Time>,
}

/// The latest value of each entity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub agents: BTreeMap<AgentId, Agent>,
    pub frameworks: BTreeMap<FrameworkId, Framework>,
    pub weights: BTreeMap<Role, Scalar>,
    pub quotas: BTreeMap<Role, Quota>,
    /// By agent and role. No entry is empty.
    pub in_use: BTreeMap<AgentId, BTreeMap<Role, Resources>>,
    /// No entry is empty.
    pub claims: BTreeMap<AgentId, Resources>,
    /// No entry is empty.
    pub provided: BTreeMap<AgentId, Vec<Provided>>,
    pub schedule: Schedule,
    /// The same by machine.
    pub machines: BTreeMap<MachineId, Planned>,
    /// Above every number in an agent's id.
    agents_next: u64,
    /// Above every number in a framework's id.
    frameworks_next: u64,
}

impl State {
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Agent(id, agent) => {
                self.agents_next = self.agents_next.max(after(id.as_str(), "-S"));
                put(&mut self.agents, id, agent);
            }
            Record::Framework(id, framework) => {
                self.frameworks_next = self.frameworks_next.max(after(id.as_str(), "-"));
                put(&mut self.frameworks, id, framework);
            }
            Record::Weight(role, weight) => put(&mut self.weights, role, weight),
            Record::InUse(agent, role, held) => self.charge(agent, role, held),
            Record::Quota(role, quota) => put(&mut self.quotas, role, quota),
            Record::Claims(agent, claims) => put(&mut self.claims, agent, claims),
            Record::Provided(agent, provided) => put(&mut self.provided, agent, provided),
            Record::Maintenance(schedule) => {
                self.schedule = schedule.clone().unwrap_or_default();
                self.machines = Planned::index(&self.schedule);
            }
        }
    }

    fn charge(&mut self, agent: &AgentId, role: &Role, held: &Option<Resources>) {
        let roles = self.in_use.entry(agent.clone()).or_default();
        put(roles, role, held);
        if roles.is_empty() {
            self.in_use.remove(agent);
        }
    }

    pub fn held(&self, agent: &AgentId, role: &Role) -> Option<&Resources> {
        self.in_use.get(agent)?.get(role)
    }

    /// All that an agent has, as it is by now.
    pub fn total(&self, agent: &AgentId) -> Cow<'_, Resources> {
        let Some(known) = self.agents.get(agent) else { return Cow::Owned(Resources::default()) };
        total(&known.info.resources, self.claims.get(agent), self.provided(agent))
    }

    pub fn provided(&self, agent: &AgentId) -> &[Provided] {
        self.provided.get(agent).map_or(&[], Vec::as_slice)
    }

    /// Unless it is away.
    pub fn provider(&self, agent: &AgentId, provider: &ProviderId) -> Option<&Provided> {
        self.provided(agent).iter().find(|one| one.id == *provider)
    }

    pub fn is_admitted(&self, agent: &AgentId) -> bool {
        self.agents.get(agent).is_some_and(|agent| agent.standing == Standing::Admitted)
    }

    pub fn duty(&self, agent: &AgentId) -> Duty {
        self.agents.get(agent).map(|agent| agent.duty).unwrap_or_default()
    }

    /// A framework that is registered and has not been torn down.
    pub fn active(&self, framework: &FrameworkId) -> Option<&Framework> {
        self.frameworks.get(framework).filter(|framework| framework.completed_at.is_none())
    }

    /// An id that no agent has had. It is taken once the agent's record is written.
    pub fn new_agent_id(&self, cluster: &str) -> AgentId {
        let ids = (self.agents_next..).map(|n| AgentId::new(format!("{cluster}-S{n}")));
        first_free(ids, &self.agents)
    }

    /// Nobody has a higher number: without its record the number would be given again.
    pub(crate) fn is_newest(&self, agent: &AgentId) -> bool {
        self.agents_next > 0 && after(agent.as_str(), "-S") == self.agents_next
    }

    /// An id that no framework has had. It is taken once the framework's record is written.
    pub fn new_framework_id(&self, cluster: &str) -> FrameworkId {
        let ids = (self.frameworks_next..).map(|n| FrameworkId::new(format!("{cluster}-{n:04}")));
        first_free(ids, &self.frameworks)
    }
}

/// What an agent has by its configuration, what became of that, and what others bring to it.
pub(crate) fn total<'a>(
    own: &'a Resources,
    claims: Option<&Resources>,
    provided: &[Provided],
) -> Cow<'a, Resources> {
    let mut all = match claims {
        Some(claims) => Cow::Owned(own.with_claims(claims)),
        None => Cow::Borrowed(own),
    };
    provided.iter().for_each(|one| all.to_mut().add(&one.total));
    all
}

fn put<K: Ord + Clone, V: Clone>(map: &mut BTreeMap<K, V>, key: &K, value: &Option<V>) {
    match value {
        Some(value) => map.insert(key.clone(), value.clone()),
        None => map.remove(key),
    };
}

/// One above the number that follows the last `mark` of an id; 0 for an id of another form.
fn after(id: &str, mark: &str) -> u64 {
    // Who comes back under an id of its own making must not use up all numbers: a larger one does not count.
    let number = id.rsplit_once(mark).and_then(|(_, number)| number.parse::<u32>().ok());
    number.map_or(0, |number| u64::from(number) + 1)
}

fn first_free<K: Ord, V>(mut ids: impl Iterator<Item = K>, taken: &BTreeMap<K, V>) -> K {
    ids.find(|id| !taken.contains_key(id)).expect("numbers do not run out")
}
