//! Why an app waits, demand by demand and agent by agent: what `/v2/queue` tells beyond Marathon.

use std::sync::Arc;

use kernel::state::{Duty, Standing};
use kernel::view::{AgentView, View};
use model::id::AgentId;
use model::resources::{ResourceName, Resources, Scalar};
use placement::demand::{Demand, Lack};
use placement::{Constraint, Operator};
use schemars::JsonSchema;
use serde::Serialize;
use services::explain::{Explain, Judged};
use services::spec::AppSpec;
use services::spec::volume::DiskKind;

use super::version::Spelled;

/// Agents without an offer that are named.
const SILENT_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Account {
    /// The whole of it in plain words.
    pub summary: String,
    pub agents: Crowd,
    /// In the order in which an offer is judged.
    pub steps: Vec<Step>,
    /// Of all agents that do not fit, the one that is nearest to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Nearest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looks: Option<Vec<Look>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent: Option<Vec<Silent>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Crowd {
    /// In the cluster, the unreachable ones included.
    pub known: usize,
    /// Whose offers were looked at.
    pub looked_at: usize,
    /// Whose offers have not been looked at: they made none, or not yet.
    pub silent: usize,
    /// Offers of agents beyond the number that is kept apart.
    pub offers_unlisted: u32,
}

/// One demand of the app.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub demand: &'static str,
    /// `ssd IS true`, `512 MiB of memory`.
    pub asks: String,
    /// Agents that meet it, whatever else they lack.
    pub met_by: usize,
    /// Agents that meet all demands before it...
    pub reached: usize,
    /// ...and those of them that meet it as well.
    pub passed: usize,
    /// Of those that it stops, the one that lacks least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nearest {
    pub hostname: String,
    pub agent_id: String,
    #[serde(flatten)]
    pub lacks: Missing,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Missing {
    pub demand: &'static str,
    /// `ssd IS true`, or of what there is too little, how much: `512 MiB of memory`.
    pub lacks: String,
    /// The same as a number, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<f64>,
}

/// How the last offer of an agent was judged.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    pub hostname: String,
    pub agent_id: String,
    pub at: Spelled,
    /// All that it lacks; what stopped it is first.
    pub lacks: Vec<Missing>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Silent {
    pub hostname: String,
    pub agent_id: String,
    pub why: String,
}

/// The agents of the cluster, counted once for all apps that wait.
#[derive(Debug, Clone, Copy)]
pub struct Agents<'a> {
    view: &'a View,
    known: usize,
}

impl<'a> Agents<'a> {
    pub fn of(view: &'a View) -> Self {
        Self { view, known: view.agents.values().filter(|agent| is_here(agent)).count() }
    }
}

fn is_here(agent: &AgentView) -> bool {
    !matches!(agent.agent.standing, Standing::Gone { .. })
}

/// Whether each agent is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    Shown,
    Hidden,
}

pub fn account(explain: &Explain, agents: Agents<'_>, shown: Looks) -> Account {
    let steps: Vec<Step> = (0..explain.steps.len()).map(|nth| step(explain, nth)).collect();
    let looked_at = explain.agents.len();
    let known = agents.known.max(looked_at);
    let crowd =
        Crowd { known, looked_at, silent: known - looked_at, offers_unlisted: explain.unlisted };
    let (looks, silent) = match shown {
        Looks::Hidden => (None, None),
        Looks::Shown => (Some(looks(explain)), Some(silent(explain, agents.view))),
    };
    Account {
        summary: summary(&crowd, &steps),
        agents: crowd,
        steps,
        best: explain.best().and_then(|(id, judged)| {
            let lack = judged.lacks.first()?;
            Some(nearest(&explain.spec, id, &judged.agent.hostname, lack))
        }),
        looks,
        silent,
    }
}

fn step(explain: &Explain, nth: usize) -> Step {
    let step = explain.steps[nth];
    let all = explain.agents.len();
    let unmet = usize::try_from(step.unmet).expect("32 bits fit");
    Step {
        demand: name(step.demand),
        asks: asks(explain, step.demand),
        met_by: all - unmet,
        reached: nth.checked_sub(1).map_or(all, |before| explain.passed(before)),
        passed: explain.passed(nth),
        nearest: explain.nearest(nth).and_then(|(id, judged)| {
            let lack = judged.lacks.first()?;
            Some(nearest(&explain.spec, id, &judged.agent.hostname, lack))
        }),
    }
}

fn nearest(spec: &AppSpec, id: &AgentId, hostname: &str, lack: &Lack) -> Nearest {
    Nearest { hostname: hostname.to_owned(), agent_id: id.to_string(), lacks: missing(spec, lack) }
}

fn looks(explain: &Explain) -> Vec<Look> {
    let look = |(id, judged): (&AgentId, &Arc<Judged>)| Look {
        hostname: judged.agent.hostname.clone(),
        agent_id: id.to_string(),
        at: Spelled(judged.at),
        lacks: judged.lacks.iter().map(|lack| missing(&explain.spec, lack)).collect(),
    };
    explain.agents.iter().map(look).collect()
}

fn missing(spec: &AppSpec, lack: &Lack) -> Missing {
    let amount = (!lack.missing.is_zero()).then_some(lack.missing);
    let lacks = match (amount, lack.demand) {
        (Some(amount), demand) => quantity(demand, amount),
        (None, Demand::Constraint(nth)) => constraint(spec, nth),
        (None, Demand::Volume(nth)) => volume(spec, nth),
        (None, demand) => name(demand).to_owned(),
    };
    Missing { demand: name(lack.demand), lacks, missing: amount.map(Scalar::as_f64) }
}

pub fn name(demand: Demand) -> &'static str {
    match demand {
        Demand::Reservation => "reservation",
        Demand::Role => "role",
        Demand::Region => "region",
        Demand::Constraint(_) => "constraint",
        Demand::Stay => "maintenance",
        Demand::Cpus => "cpus",
        Demand::Mem => "mem",
        Demand::Disk => "disk",
        Demand::Gpus => "gpus",
        Demand::Ports => "ports",
        Demand::Volume(_) => "volume",
        Demand::Thrift => "scarceGpus",
    }
}

/// What the app asks for, in words.
fn asks(explain: &Explain, demand: Demand) -> String {
    let spec = &explain.spec;
    match demand {
        Demand::Reservation => "what is reserved for its volumes".to_owned(),
        Demand::Role => {
            let roles: Vec<&str> = explain.accepts.iter().map(|role| role.as_str()).collect();
            format!("resources of {}", roles.join(" or "))
        }
        Demand::Region => format!("region {}", explain.home.as_deref().unwrap_or_default()),
        Demand::Constraint(nth) => constraint(spec, nth),
        Demand::Stay => "no maintenance".to_owned(),
        Demand::Cpus => quantity(demand, spec.cpus),
        Demand::Mem => quantity(demand, spec.mem),
        Demand::Disk => quantity(demand, Scalar(spec.disk.0 + spec.volume_space().0)),
        Demand::Gpus => quantity(demand, Scalar::whole(spec.gpus.into())),
        Demand::Volume(nth) => volume(spec, nth),
        Demand::Ports => ports(spec),
        Demand::Thrift => "no gpus, which are kept for who needs them".to_owned(),
    }
}

fn quantity(demand: Demand, amount: Scalar) -> String {
    match demand {
        Demand::Cpus => format!("{amount} cpus"),
        Demand::Mem => format!("{amount} MiB of memory"),
        Demand::Disk | Demand::Volume(_) => format!("{amount} MiB of disk"),
        Demand::Gpus => format!("{amount} gpus"),
        Demand::Ports => format!("{amount} ports"),
        Demand::Reservation
        | Demand::Role
        | Demand::Region
        | Demand::Constraint(_)
        | Demand::Stay
        | Demand::Thrift => amount.to_string(),
    }
}

fn ports(spec: &AppSpec) -> String {
    let is_fixed = spec.require_ports || spec.pod.is_some();
    let fixed = spec.ports.iter().map(|port| port.port).filter(|port| is_fixed && *port != 0);
    let fixed: Vec<String> = fixed.map(|port| port.to_string()).collect();
    match (fixed.len(), spec.ports.len() - fixed.len()) {
        (0, any) => format!("any {any} ports"),
        (_, 0) => format!("ports {}", fixed.join(", ")),
        (_, any) => format!("ports {} and any {any} others", fixed.join(", ")),
    }
}

/// `a mount disk of 512 to 2048 MiB with the profile fast and path LIKE /mnt/.* for its volume data`.
fn volume(spec: &AppSpec, nth: u16) -> String {
    let Some((path, volume)) = spec.volumes_apart().nth(usize::from(nth)) else {
        return String::new();
    };
    let kind = match volume.disk_kind() {
        DiskKind::Root => "root",
        DiskKind::Path => "path",
        DiskKind::Mount => "mount",
    };
    let size = match volume.size_max {
        Some(max) => format!("{} to {max}", volume.size),
        None => volume.size.to_string(),
    };
    let profile = volume.profile.iter().map(|profile| format!("the profile {profile}"));
    let conditions: Vec<String> = profile.chain(volume.constraints.iter().map(spelled)).collect();
    let conditions = match conditions.is_empty() {
        true => String::new(),
        false => format!(" with {}", conditions.join(" and ")),
    };
    format!("a {kind} disk of {size} MiB{conditions} for its volume {path}")
}

/// `ssd IS true`.
fn constraint(spec: &AppSpec, nth: u16) -> String {
    spec.constraints.get(usize::from(nth)).map(spelled).unwrap_or_default()
}

fn spelled(constraint: &Constraint) -> String {
    let Constraint { field, operator, value } = constraint;
    match value {
        Some(value) => format!("{field} {} {value}", operator_name(*operator)),
        None => format!("{field} {}", operator_name(*operator)),
    }
}

fn operator_name(operator: Operator) -> &'static str {
    match operator {
        Operator::Unique => "UNIQUE",
        Operator::Cluster => "CLUSTER",
        Operator::GroupBy => "GROUP_BY",
        Operator::Like => "LIKE",
        Operator::Unlike => "UNLIKE",
        Operator::MaxPer => "MAX_PER",
        Operator::Is => "IS",
    }
}

/// `Of 40 agents 37 made offers. It needs ssd IS true: 3 of 37 agents; 512 MiB of memory: 1 of those 3, and ten lacks
/// 64 MiB.`
fn summary(crowd: &Crowd, steps: &[Step]) -> String {
    let offers = match (crowd.known, crowd.looked_at) {
        (0, _) => return "There are no agents.".to_owned(),
        (known, 0) => return format!("None of {known} agents has made an offer yet."),
        (known, looked_at) => format!("Of {known} agents {looked_at} made offers."),
    };
    let hurdles: Vec<String> = steps
        .iter()
        .filter(|step| step.passed < step.reached)
        .enumerate()
        .map(|(nth, step)| hurdle(nth, step))
        .collect();
    match hurdles.is_empty() {
        true => format!("{offers} All of them fit."),
        false => format!("{offers} It needs {}.", hurdles.join("; ")),
    }
}

fn hurdle(nth: usize, step: &Step) -> String {
    let Step { asks, passed, reached, .. } = step;
    let met = match nth {
        0 => format!("{asks}: {passed} of {reached} agents"),
        _ => format!("{asks}: {passed} of those {reached}"),
    };
    match step.nearest.as_ref().filter(|nearest| nearest.lacks.missing.is_some()) {
        Some(nearest) => {
            format!("{met}, and {} lacks only {}", nearest.hostname, nearest.lacks.lacks)
        }
        None => met,
    }
}

fn silent(explain: &Explain, cluster: &View) -> Vec<Silent> {
    let here = cluster.agents.iter().filter(|(_, agent)| is_here(agent));
    let unseen = here.filter(|(id, _)| !explain.agents.contains_key(*id));
    let offered = cluster.offered();
    let part = |id: &AgentId| offered.get(id).cloned().unwrap_or_default();
    unseen.take(SILENT_MAX).map(|(id, agent)| silence(id, agent, &part(id))).collect()
}

/// Why an agent may have made no offer.
fn silence(id: &AgentId, agent: &AgentView, offered: &Resources) -> Silent {
    let total = agent.total();
    let why = match agent.agent.standing {
        Standing::Unreachable { .. } => "it is unreachable".to_owned(),
        Standing::Admitted | Standing::Gone { .. } if !agent.connected => {
            "it is not connected".to_owned()
        }
        Standing::Admitted | Standing::Gone { .. } => match agent.agent.duty {
            Duty::Active => {
                let mut free = total.minus(offered);
                agent.in_use.values().for_each(|held| free.take(held));
                let offered = if offered.is_empty() { "" } else { ", and offers are out" };
                format!("free are {}{offered}", spare(&free, &total))
            }
            Duty::Deactivated => "an operator has deactivated it".to_owned(),
            Duty::Draining(_) => "an operator is draining it".to_owned(),
            Duty::Drained(_) => "an operator has drained it".to_owned(),
        },
    };
    Silent { hostname: agent.agent.info.hostname.clone(), agent_id: id.to_string(), why }
}

/// `0 of 8 cpus and 512 of 16384 MiB of memory`.
fn spare(free: &Resources, total: &Resources) -> String {
    let of = |name: &ResourceName| format!("{} of {}", free.scalar(name), total.scalar(name));
    let (cpus, mem) = (of(&ResourceName::Cpus), of(&ResourceName::Mem));
    format!("{cpus} cpus and {mem} MiB of memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(asks: &str, reached: usize, passed: usize, lacks: Option<&str>) -> Step {
        let nearest = lacks.map(|lacks| Nearest {
            hostname: "ten".to_owned(),
            agent_id: "S1".to_owned(),
            lacks: Missing { demand: "mem", lacks: lacks.to_owned(), missing: Some(1.0) },
        });
        Step { demand: "mem", asks: asks.to_owned(), met_by: passed, reached, passed, nearest }
    }

    #[test]
    fn the_whole_account_is_a_few_plain_words() {
        let check = |known: usize, looked_at: usize, steps: &[Step], expected: &str| {
            let silent = known - looked_at;
            let crowd = Crowd { known, looked_at, silent, offers_unlisted: 0 };
            assert_eq!(summary(&crowd, steps), expected);
        };
        check(0, 0, &[], "There are no agents.");
        check(3, 0, &[step("1 cpus", 0, 0, None)], "None of 3 agents has made an offer yet.");
        let fits = [step("1 cpus", 2, 2, None)];
        check(3, 2, &fits, "Of 3 agents 2 made offers. All of them fit.");
        let steps = [
            step("resources of *", 40, 40, None),
            step("ssd IS true", 40, 3, None),
            step("1024 MiB of memory", 3, 1, Some("512 MiB of memory")),
        ];
        check(
            42,
            40,
            &steps,
            "Of 42 agents 40 made offers. It needs ssd IS true: 3 of 40 agents; 1024 MiB of memory: 1 of those 3, and \
             ten lacks only 512 MiB of memory.",
        );
    }

    #[test]
    fn an_agent_that_made_no_offer_may_have_nothing_left() {
        let resources = |text: &str| text.parse::<Resources>().expect(text);
        let check = |standing, connected, in_use: &str, offered: &str, expected: &str| {
            let info = model::agent::AgentInfo {
                hostname: "ten".to_owned(),
                ip: "10.0.0.10".to_owned(),
                port: 5051,
                resources: resources("cpus:8;mem:1024"),
                attributes: Vec::new(),
                domain: None,
                version: "0.1.0".to_owned(),
                work_dir: "/".to_owned(),
            };
            let registered_at = model::time::Time(1);
            let agent = AgentView {
                agent: kernel::state::Agent {
                    info: info.into(),
                    standing,
                    registered_at,
                    duty: Duty::Active,
                },
                connected,
                recovered: false,
                in_use: [(model::id::Role::star(), resources(in_use))].into(),
                claims: Resources::default(),
                provided: Vec::new(),
                reregistered_at: None,
                answers: Vec::new(),
                executors: vec![],
                revocable: Resources::default(),
            };
            assert_eq!(silence(&AgentId::new("S1"), &agent, &resources(offered)).why, expected);
        };
        let lost = Standing::Unreachable { since: model::time::Time(1) };
        check(lost, false, "", "", "it is unreachable");
        check(Standing::Admitted, false, "", "", "it is not connected");
        let full = "free are 0 of 8 cpus and 24 of 1024 MiB of memory";
        check(Standing::Admitted, true, "cpus:8;mem:1000", "", full);
        let out = "free are 0 of 8 cpus and 0 of 1024 MiB of memory, and offers are out";
        check(Standing::Admitted, true, "cpus:4;mem:1000", "cpus:4;mem:24", out);
    }
}
