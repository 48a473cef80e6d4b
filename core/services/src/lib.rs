//! Long-running services: apps, versions, deployments, instances. A scheduler like any other; what Marathon decides.
//!
//! Reading order: [`spec`] (what a user wants), [`state`] (what is durable), [`view`] (what can be asked), this file
//! (who may say what), [`machine`] (what follows from each input), `deploy` (an order becomes a plan), `strategy` and
//! `drive` (an app gets from what runs to what is wanted), `launch` and `status` (the kernel's side of it).

pub mod autoscale;
mod crew;
mod depend;
mod deploy;
mod draft;
mod drive;
pub mod explain;
pub mod group;
mod health;
pub mod kill;
mod lacks;
mod launch;
pub mod machine;
pub mod member;
mod memory;
mod need;
pub mod parts;
pub mod past;
mod plan;
mod pod;
mod ports;
mod probe;
mod progress;
mod queue;
mod reconcile;
mod record;
mod regroup;
pub mod resident;
pub mod spec;
pub mod state;
mod status;
mod strategy;
mod task;
mod timers;
pub mod view;

use std::sync::Arc;
use std::time::Duration;

use model::id::{AgentId, FrameworkId, Role, TaskId, Term, Uuid};
use model::resources::Scalar;
use model::scheduler::{Call, Event};
use model::task::TaskStatus;
use model::time::Time;
use placement::fit::GpuUse;

use autoscale::{Decision, Metric};
use group::{GroupId, GroupUpdate};
pub use machine::Services;
use spec::{AppHealthCheck, AppId, AppSpec};
pub use state::Record;
use state::{Action, Deployment, Instance, Version};

pub type Out = model::machine::Out<Record, Effect>;

/// What an operator can set; the defaults are those that DC/OS starts Marathon with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Role of apps that name none and lie in no group: `slave_public`.
    pub default_role: Role,
    /// Apps in a group take the top group's name as their role.
    pub enforce_group_role: bool,
    /// Instances launched per offer: 100.
    pub instances_per_offer_max: u32,
    /// An instance that was launched and not reported as starting by then is killed: 30 min.
    pub launch_confirm_timeout: Duration,
    /// An instance that is not running by then is killed: 24 h.
    pub launch_timeout: Duration,
    /// What declined offers are refused for: 5 min.
    pub decline_duration: Duration,
    /// Versions kept of each app: 50.
    pub versions_max: usize,
    /// Deployments that may run at once: 100.
    pub deployments_max: usize,
    /// Service ports are taken from here: 10000 to 20000, both included.
    pub service_ports: (u16, u16),
    /// An unanswered kill is repeated this often: 30 s.
    pub kill_retry: Duration,
    /// Of apps that do not say whose resources they accept: what nobody has reserved.
    pub accepted_by_default: AcceptedByDefault,
    /// What becomes of agents with gpus where an app needs none: they are kept for those who do.
    pub gpus: GpuUse,
    /// Where the masters are: apps that name no region or zone stay there. Unset, they run in any region.
    pub home_region: Option<String>,
    /// An agent gets nothing new so long before its maintenance: 0 s, from its beginning on.
    pub draining_time: Duration,
    /// Where it answers, as it introduces itself to the kernel: the host, and the address of its API.
    pub hostname: String,
    pub webui_url: Option<String>,
}

/// Marathon's `--accepted_resource_roles_default_behavior`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptedByDefault {
    /// What nobody has reserved.
    Unreserved,
    /// What is reserved for the app's role.
    Reserved,
    /// Both.
    Any,
}

impl Default for Config {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            default_role: Role::new("slave_public"),
            enforce_group_role: true,
            instances_per_offer_max: 100,
            launch_confirm_timeout: 30 * MINUTE,
            launch_timeout: 24 * 60 * MINUTE,
            decline_duration: 5 * MINUTE,
            versions_max: 50,
            deployments_max: 100,
            service_ports: (10_000, 20_000),
            kill_retry: Duration::from_secs(30),
            accepted_by_default: AcceptedByDefault::Unreserved,
            gpus: GpuUse::Restricted,
            home_region: None,
            draining_time: Duration::ZERO,
            hostname: String::new(),
            webui_url: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// First after recovery.
    Lead {
        term: Term,
    },
    /// `seed` is what ids of this input are made from.
    Order {
        order: Order,
        seed: u64,
    },
    /// The kernel speaks.
    Heard {
        event: Event,
        seed: u64,
    },
    /// The kernel did not take a call of ours.
    Refused {
        call: Call,
        cause: String,
    },
    Tick,
}

/// What a user may ask. Whoever computes a spec from the current one names it as `base`, so that nothing is overwritten unseen.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// All changes in one deployment, or none. It is rolled back if it takes longer than `timeout`; unset: than its apps
    /// allow.
    Deploy { changes: Vec<Change>, force: bool, timeout: Option<Duration> },
    /// How much an app is used, in a number that only those outside know: on average over its instances.
    Report { app: AppId, metric: Metric, value: Scalar },
    /// The steps that `Deploy` would take; nothing happens.
    Plan { changes: Vec<Change> },
    /// Kills these tasks; with `Kill::Scale` their apps shrink accordingly, in one deployment.
    KillTasks { tasks: Vec<TaskId>, kill: Kill, force: bool },
    /// Ends a deployment, with a deployment that goes back or as it stands.
    Cancel { deployment: Uuid, how: Cancel },
    /// Forgets the app's backoff delay.
    ResetDelay { app: AppId },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Refused if the app exists.
    Create(AppSpec),
    /// Creates or replaces. `base` is the version that the spec was computed from: refused as stale if it has moved on;
    /// `None` if there was no such app.
    Put {
        spec: AppSpec,
        base: Option<Version>,
    },
    Delete(AppId),
    /// The same spec as a new version: every instance is replaced.
    Restart(AppId),
    /// Refused if there is such a group.
    CreateGroup(GroupUpdate),
    PutGroup(GroupUpdate),
    /// With everything in it.
    DeleteGroup(GroupId),
    /// Every app in it has so many times as many instances, rounded up.
    ScaleGroup {
        group: GroupId,
        by: Scalar,
    },
    /// Everything in it is as it was at that version.
    RollBackGroup {
        group: GroupId,
        to: Version,
    },
    /// Of a top-level group; unset: as the configuration says.
    EnforceRole {
        group: GroupId,
        enforce: Option<bool>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// They are replaced.
    Replace,
    Scale,
    /// Replaced, and their volumes are given up.
    Wipe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// A new deployment leads back to where this one started.
    Rollback,
    /// It simply stops (`force=true`).
    Stop,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Done,
    Deployed {
        deployment: Uuid,
        version: Version,
    },
    /// Of a dry run.
    Planned {
        steps: Vec<Vec<Action>>,
    },
    /// The instances as they were, and the deployment if apps were scaled.
    Killed {
        instances: Vec<Arc<Instance>>,
        deployed: Option<(Uuid, Version)>,
    },
}

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("App '{0}' does not exist")]
    UnknownApp(AppId),
    #[error("An app with id [{0}] already exists.")]
    AppExists(AppId),
    #[error("A pod with id [{0}] already exists.")]
    PodExists(AppId),
    #[error("Group '{0}' does not exist")]
    UnknownGroup(GroupId),
    #[error("Group {0} is already created. Use PUT to change this group.")]
    GroupExists(GroupId),
    #[error("An app with the path {0} already exists.")]
    GroupIsApp(AppId),
    #[error("Group {0} not available in version {1}")]
    UnknownGroupVersion(GroupId, Version),
    #[error("App '{0}' is not scaled by {1:?}: put that metric into its autoscale first")]
    NotScaledBy(AppId, String),
    #[error("DeploymentPlan {0} does not exist")]
    UnknownDeployment(Uuid),
    #[error(
        "App is locked by one or more deployments. Override with the option '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'."
    )]
    Locked { apps: Vec<AppId>, deployments: Vec<Uuid> },
    #[error(
        "Max number ({0}) of running deployments is achieved. Wait for existing deployments to complete or cancel one."
    )]
    TooManyDeployments(usize),
    #[error("app {0} has changed meanwhile")]
    Stale(AppId),
    /// What can only be judged against the other apps: dependency cycles, an id inside another app, ports in use.
    #[error("Object is not valid")]
    Invalid(Vec<Fault>),
}

/// One thing wrong with what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `/0/dependencies`: a path into the body.
    pub path: String,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all effects are calls, and they live for one turn"
)]
pub enum Effect {
    /// To the kernel, in the name of this framework.
    Call(Call),
    /// For those who watch; carried at most once, shown by `/v2/events`.
    Notice(Arc<Notice>),
}

/// What happened, as told on the event stream. `at` is when.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub at: Time,
    pub what: What,
}

/// What a user did with a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    Created,
    Updated,
    Deleted,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// An app was created, changed, or removed by a user.
    AppPosted {
        app: AppId,
        spec: Option<Arc<AppSpec>>,
    },
    /// The same of a pod.
    PodPosted {
        pod: AppId,
        posted: Posted,
    },
    AppTerminated {
        app: AppId,
    },
    /// A task's status changed. The instance is as it is after the change.
    Status {
        instance: Arc<Instance>,
        status: TaskStatus,
    },
    /// The instance's condition changed.
    InstanceChanged {
        instance: Arc<Instance>,
    },
    InstanceHealthChanged {
        instance: Arc<Instance>,
        healthy: Option<bool>,
    },
    /// A health check that is judged here failed once more.
    CheckFailed {
        instance: Arc<Instance>,
        check: AppHealthCheck,
    },
    UnhealthyKill {
        instance: Arc<Instance>,
        cause: String,
    },
    /// A task of ours that no instance knows; it is killed.
    UnknownTerminated {
        task: TaskId,
        agent: Option<AgentId>,
    },
    DeploymentInfo {
        deployment: Arc<Deployment>,
    },
    DeploymentStepSuccess {
        deployment: Arc<Deployment>,
    },
    DeploymentStepFailure {
        deployment: Arc<Deployment>,
    },
    DeploymentSuccess {
        deployment: Arc<Deployment>,
    },
    DeploymentFailed {
        deployment: Arc<Deployment>,
        cause: String,
    },
    /// An app was scaled because it was used more, or less, than it is to be.
    Autoscaled {
        app: AppId,
        decision: Decision,
    },
    SchedulerRegistered {
        framework: FrameworkId,
    },
    SchedulerDisconnected,
}
