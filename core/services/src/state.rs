//! What services must not forget.

use std::fmt;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use model::attributes::{Attribute, FaultDomain};
use model::check::CheckStatus;
use model::id::{AgentId, Role, Serial, TaskId, Uuid};
use model::resources::Resources;
use model::task::{Address, TaskState};
use model::time::Time;

use crate::autoscale::Autoscaled;
use crate::group::{Group, GroupId};
use crate::kill::Doom;
use crate::parts::{Head, Part};
use crate::past::{Past, PastGroup};
use crate::spec::{AppId, AppSpec};

/// When an app's spec was accepted, to the millisecond; unique within the app and ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Version(#[n(0)] pub Time);

impl Version {
    pub const MAX: Version = Version(Time(u64::MAX));
}

impl fmt::Display for Version {
    /// As Marathon spells it: `2015-06-12T23:28:27.949Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0;
        let (days, rest) = (millis / DAY_MS, millis % DAY_MS);
        let (year, month, day) = civil(days);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, part) = (rest / 1000 % 60, rest % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{part:03}Z")
    }
}

const DAY_MS: u64 = 86_400_000;

/// The Gregorian date that is so many days after 1970-01-01. Years are counted from March, so that the leap day is a
/// year's last, and in eras of 400 years, which all have the same length.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / ERA_DAYS, shifted % ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The new value of one entity; `None` says that it is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    App(AppId, Option<Arc<App>>),
    /// A spec that an app has or had.
    Version(AppId, Version, Option<Arc<AppSpec>>),
    Instance(Serial, Option<Arc<Instance>>),
    Deployment(Serial, Option<Arc<Head>>),
    /// A piece of a deployment's plan.
    Part(Serial, u32, Option<Arc<Part>>),
    /// Instances that somebody wants killed, more than a turn has room for.
    Doom(Serial, Option<Arc<Doom>>),
    /// How an app was scaled by its use.
    Autoscaled(AppId, Option<Arc<Autoscaled>>),
    /// How instances of a pod ended.
    History(AppId, Option<Arc<History>>),
    Group(GroupId, Option<Arc<Group>>),
    /// What a deployment changed in a top-level group.
    Past(GroupId, Version, Option<Arc<Past>>),
}

/// An app and which of its versions is wanted.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct App {
    #[cbor(n(0), with = "model::shared")]
    pub spec: Arc<AppSpec>,
    #[n(1)]
    pub version: Version,
    #[n(2)]
    pub last_scaling_at: Version,
    #[n(3)]
    pub last_config_change_at: Version,
    #[n(4)]
    pub last_failure: Option<TaskFailure>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct TaskFailure {
    #[n(0)]
    pub task: TaskId,
    #[n(1)]
    pub host: String,
    #[n(2)]
    pub agent: Option<AgentId>,
    #[n(3)]
    pub state: TaskState,
    #[n(4)]
    pub message: String,
    #[n(5)]
    pub at: Time,
    #[n(6)]
    pub version: Version,
}

/// A resident is launched again and again; everybody else only once.
pub const FIRST_INCARNATION: u32 = 1;

/// One launch of an app, or of a resident all of its launches. Its task is `<app>.instance-<uuid>._app.<incarnation>`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Instance {
    #[n(0)]
    pub serial: Serial,
    #[n(1)]
    pub app: AppId,
    #[n(2)]
    pub version: Version,
    #[n(3)]
    pub uuid: Uuid,
    #[n(4)]
    pub incarnation: u32,
    #[n(5)]
    pub task: TaskId,
    #[cbor(n(6), with = "model::shared")]
    pub place: Arc<Place>,
    /// Host ports, one for each port definition.
    #[n(7)]
    pub ports: Vec<u16>,
    #[n(8)]
    pub role: Role,
    #[n(9)]
    pub goal: Goal,
    #[n(10)]
    pub state: TaskState,
    #[n(11)]
    pub staged_at: Time,
    #[n(12)]
    pub started_at: Option<Time>,
    #[n(13)]
    pub healthy: Option<bool>,
    #[n(14)]
    pub unreachable_since: Option<Time>,
    #[n(15)]
    pub addresses: Vec<Address>,
    /// Passed its readiness check, or has none.
    #[n(16)]
    pub ready: bool,
    /// Of a pod: its containers, in the order of the spec. Then `task` is the first one's, `ports` are those of all, and
    /// state, health and times are what follows from the members.
    #[cbor(n(17), default)]
    pub members: Vec<Member>,
    /// What its check has found, if it has one. Of a pod nothing: no answer of Marathon's shows it.
    #[n(18)]
    pub check: Option<CheckStatus>,
    /// Of a resident: all that is set aside for it on its agent, its volumes among it. It outlives the task.
    #[cbor(n(19), with = "model::shared::option", has_nil)]
    pub claim: Option<Arc<Resources>>,
}

impl Instance {
    /// Its task is over, and what is set aside for it waits for the next one.
    pub fn is_resting(&self) -> bool {
        self.claim.is_some() && self.state.is_terminal()
    }

    /// Nobody waits for what is set aside for it: it is to be given back.
    pub(crate) fn is_litter(&self) -> bool {
        self.is_resting() && self.goal == Goal::Decommissioned
    }

    /// `prod_web.instance-<uuid>`.
    pub fn id(&self) -> String {
        format!("{}.instance-{}", self.app.underscored(), self.uuid)
    }

    /// All tasks of it: one, or one for each member of a pod.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        let alone = self.members.is_empty().then_some(&self.task);
        alone.into_iter().chain(self.members.iter().map(|member| &member.task))
    }

    /// `prod_web.instance-<uuid>.<container>`, and from the second launch on `prod_web.instance-<uuid>.<container>.2`.
    pub fn member_task_id(app: &AppId, uuid: Uuid, container: &str, incarnation: u32) -> TaskId {
        let first = format!("{}.instance-{uuid}.{container}", app.underscored());
        TaskId::new(match incarnation {
            FIRST_INCARNATION => first,
            _ => format!("{first}.{incarnation}"),
        })
    }

    /// `prod_web.instance-<uuid>._app.1`.
    pub fn task_id(app: &AppId, uuid: Uuid, incarnation: u32) -> TaskId {
        TaskId::new(format!("{}.instance-{uuid}._app.{incarnation}", app.underscored()))
    }
}

/// One container of a pod's instance.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Member {
    /// As the pod's spec names it.
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub task: TaskId,
    #[n(2)]
    pub state: TaskState,
    /// Since when it is in this state.
    #[n(3)]
    pub since: Time,
    #[n(4)]
    pub started_at: Option<Time>,
    #[n(5)]
    pub healthy: Option<bool>,
    /// Host ports of its endpoints that have one, in their order.
    #[n(6)]
    pub ports: Vec<u16>,
    #[n(7)]
    pub addresses: Vec<Address>,
    /// What its agent said last.
    #[n(8)]
    pub message: Option<String>,
    /// When anything of this last changed.
    #[n(9)]
    pub changed_at: Time,
    /// How it ended, once its state is terminal.
    #[n(10)]
    pub termination: Option<Termination>,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Termination {
    #[n(0)]
    pub at: Time,
    /// Unset where no process has ended by itself.
    #[n(1)]
    pub exit_code: Option<i32>,
    #[n(2)]
    pub message: Option<String>,
}

/// The instances of a pod that ended last, the latest last.
#[derive(Debug, Clone, PartialEq, Default, Encode, Decode)]
pub struct History {
    #[n(0)]
    pub ended: Vec<Ended>,
}

/// A pod's instance that is no more.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Ended {
    /// `prod_web.instance-<uuid>`.
    #[n(0)]
    pub instance: String,
    #[n(1)]
    pub version: Version,
    #[n(2)]
    pub host: String,
    #[n(3)]
    pub agent: AgentId,
    #[n(4)]
    pub state: TaskState,
    /// When it was launched.
    #[n(5)]
    pub staged_at: Time,
    #[n(6)]
    pub started_at: Option<Time>,
    #[n(7)]
    pub at: Time,
    #[n(8)]
    pub message: Option<String>,
    #[n(9)]
    pub members: Vec<Member>,
}

/// Where an instance runs.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Place {
    #[n(0)]
    pub agent: AgentId,
    #[n(1)]
    pub host: String,
    #[n(2)]
    pub domain: Option<FaultDomain>,
    /// Those that the app's constraints ask for.
    #[n(3)]
    pub attributes: Vec<Attribute>,
}

/// They only move forward, but for a stopped resident that is launched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Goal {
    #[n(0)]
    Running,
    /// Of a resident: its task is to be killed, and what is set aside for it to be kept for the next one.
    #[n(2)]
    Stopped,
    /// To be killed, and not to be replaced by itself; what is set aside for it is given back.
    #[n(1)]
    Decommissioned,
}

/// A change of the set of apps under way: the plan as data. How it is kept: [`crate::parts`].
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    pub serial: Serial,
    pub id: Uuid,
    pub version: Version,
    /// Run one after another; the actions of a step run together.
    pub steps: Arc<Vec<Vec<Action>>>,
    /// The step under way.
    pub step: u32,
    /// What each affected app was, for the way back.
    pub before: Arc<Vec<Before>>,
    /// The same of each affected group.
    pub groups_before: Arc<Vec<PastGroup>>,
    pub cause: Cause,
    pub started_at: Time,
    /// Rolled back if it is not over by then.
    pub deadline: Option<Time>,
    /// Records that keep the plan.
    pub(crate) parts: u32,
}

impl Deployment {
    /// Why it is rolled back when its time is up.
    pub(crate) fn out_of_time(&self) -> String {
        let end = self.deadline.unwrap_or(self.started_at);
        let seconds = end.since(self.started_at).as_secs();
        format!("it was not over after {seconds} s, which is its time-out, and is rolled back")
    }

    /// What is under way now.
    pub fn current_actions(&self) -> &[Action] {
        let step = usize::try_from(self.step).expect("32 bits fit");
        self.steps.get(step).map_or(&[], Vec::as_slice)
    }
}

/// Why a deployment was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub enum Cause {
    /// Somebody asked for it.
    #[default]
    #[n(0)]
    Order,
    /// Somebody cancelled that one.
    #[n(1)]
    Rollback {
        #[n(0)]
        of: Uuid,
    },
    /// That one's time was up.
    #[n(2)]
    Timeout {
        #[n(0)]
        of: Uuid,
    },
    /// The app was used more, or less, than it is to be.
    #[n(3)]
    Autoscale,
}

/// An app as it was before a deployment; `None` if there was no such app.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Before {
    #[n(0)]
    pub app: AppId,
    #[cbor(n(1), with = "model::shared::option", has_nil)]
    pub was: Option<Arc<App>>,
}

impl Before {
    /// The spec that it had.
    pub(crate) fn spec(&self) -> Option<(AppId, Version)> {
        self.was.as_ref().map(|was| (self.app.clone(), was.version))
    }
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Action {
    #[n(0)]
    pub kind: ActionKind,
    #[n(1)]
    pub app: AppId,
    /// Whether `app` is a pod.
    #[cbor(n(2), default)]
    pub pod: bool,
}

impl Action {
    /// As Marathon names it: `ScaleApplication`, `StartPod`.
    pub fn name(&self) -> &'static str {
        match (&self.kind, self.pod) {
            (ActionKind::Start, false) => "StartApplication",
            (ActionKind::Stop, false) => "StopApplication",
            (ActionKind::Scale, false) => "ScaleApplication",
            (ActionKind::Restart, false) => "RestartApplication",
            (ActionKind::Start, true) => "StartPod",
            (ActionKind::Stop, true) => "StopPod",
            (ActionKind::Scale, true) => "ScalePod",
            (ActionKind::Restart, true) => "RestartPod",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum ActionKind {
    #[n(0)]
    Start,
    #[n(1)]
    Stop,
    #[n(2)]
    Scale,
    #[n(3)]
    Restart,
}
