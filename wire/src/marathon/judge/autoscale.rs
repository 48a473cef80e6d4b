//! Between how many instances, by which metric, and how patiently an app is scaled.

use model::resources::Scalar;
use services::autoscale::{Autoscale, Metric};

use super::faults::Faults;
use super::quantity::{Limits, scalar};
use crate::marathon::autoscale::{self, Autoscale as Written};
use crate::marathon::number::Whole;

const INSTANCES_MIN: Whole = Whole(1);
/// A peak is answered soon, and outlived by what it brought.
const UP_SECONDS: u32 = 60;
const DOWN_SECONDS: u32 = 300;
const METRIC_CHARS_MAX: usize = 63;
/// The smallest value that can be counted.
const TARGET_MIN: f64 = 0.001;

/// The paths of faults begin within `autoscale`.
pub(super) fn judge(written: &Written, faults: &mut Faults) -> Autoscale {
    let min = count("/min", Some(written.min.unwrap_or(INSTANCES_MIN)), faults);
    let max = count("/max", written.max, faults);
    if max.is_some_and(|max| min.is_some_and(|min| max < min)) {
        faults.add("/max", "must not be less than min");
    }
    let up = written.scale_up_delay_seconds;
    let down = written.scale_down_delay_seconds;
    Autoscale {
        min: min.unwrap_or_default(),
        max: max.unwrap_or_default(),
        metric: metric(written.metric.as_deref(), faults),
        target: target(written, faults),
        scale_up_delay: faults.seconds("/scaleUpDelaySeconds", up, UP_SECONDS),
        scale_down_delay: faults.seconds("/scaleDownDelaySeconds", down, DOWN_SECONDS),
    }
}

/// One or more.
fn count(path: &str, given: Option<Whole>, faults: &mut Faults) -> Option<u32> {
    let Some(Whole(value)) = given else {
        faults.add(path, "undefined");
        return None;
    };
    if value < 1 {
        faults.add(path, "must be 1 or more");
        return None;
    }
    Some(faults.count(path, given, 0))
}

fn metric(given: Option<&str>, faults: &mut Faults) -> Metric {
    let Some(name) = given else {
        faults.add("/metric", "undefined");
        return Metric::Cpu;
    };
    let legal = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    if name.is_empty() || METRIC_CHARS_MAX < name.len() || !name.bytes().all(legal) {
        faults.add(
            "/metric",
            format!(
                "must be cpu, mem, requestsPerInstance, or a name of up to {METRIC_CHARS_MAX} letters, digits, \
                 dashes, dots and underscores"
            ),
        );
    }
    autoscale::metric(name)
}

fn target(written: &Written, faults: &mut Faults) -> Scalar {
    if written.target.is_none() {
        faults.add("/target", "undefined");
        return Scalar::default();
    }
    scalar("/target", written.target, Limits { default: 0.0, min: TARGET_MIN }, faults)
}
