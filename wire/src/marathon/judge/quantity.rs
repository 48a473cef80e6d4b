//! How much of everything an instance gets, and how many there are.

use std::time::Duration;

use model::limits;
use model::resources::Scalar;
use services::spec::resource::Amounts;

use super::faults::Faults;
use super::{linux, pod};
use crate::marathon::app::App;
use crate::marathon::number::Number;

/// The smallest share of a processor that can be counted.
const CPUS_MIN: f64 = 0.001;

pub(super) struct Quantities {
    pub(super) cpus: Scalar,
    pub(super) mem: Scalar,
    pub(super) disk: Scalar,
    pub(super) gpus: u32,
    pub(super) instances: u32,
    pub(super) kill_grace: Option<Duration>,
    pub(super) limits: Option<limits::Limits>,
    pub(super) executor: Option<Amounts>,
    pub(super) deployment_timeout: Option<Duration>,
}

pub(super) fn judge(app: &App, faults: &mut Faults) -> Quantities {
    let grace = app.task_kill_grace_period_seconds;
    let cpus = scalar("/cpus", app.cpus, Limits { default: 1.0, min: CPUS_MIN }, faults);
    let mem = scalar("/mem", app.mem, Limits { default: 128.0, min: 0.0 }, faults);
    let least = Amounts { cpus, mem, ..Amounts::default() };
    let executor = app.executor_resources.as_ref();
    Quantities {
        cpus,
        mem,
        limits: app.resource_limits.as_ref().map(|given| linux::limits(given, least, faults)),
        executor: executor.map(|given| pod::executor(Some(given), faults)),
        disk: scalar("/disk", app.disk, Limits { default: 0.0, min: 0.0 }, faults),
        gpus: faults.count("/gpus", app.gpus, 0),
        deployment_timeout: deployment_timeout(app, faults),
        instances: faults.count("/instances", app.instances, 1),
        kill_grace: grace.map(|_| faults.seconds("/taskKillGracePeriodSeconds", grace, 0)),
    }
}

fn deployment_timeout(app: &App, faults: &mut Faults) -> Option<Duration> {
    const PATH: &str = "/deploymentTimeoutSeconds";
    let given = app.deployment_timeout_seconds;
    if given?.0 == 0 {
        faults.add(PATH, "must be 1 or more");
    }
    Some(faults.seconds(PATH, given, 0))
}

#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) default: f64,
    pub(super) min: f64,
}

/// A quantity in thousandths, no less than the minimum.
pub(super) fn scalar(
    path: &str,
    given: Option<Number>,
    limits: Limits,
    faults: &mut Faults,
) -> Scalar {
    let value = given.map_or(limits.default, |number| number.0);
    if value < limits.min {
        faults.add(path, format!("must be {} or more", limits.min));
        return Scalar::default();
    }
    Scalar::from_f64(value).unwrap_or_else(|| {
        faults.add(path, "is too large");
        Scalar::default()
    })
}
