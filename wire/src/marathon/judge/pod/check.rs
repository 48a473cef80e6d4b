//! Health checks of a pod's containers, and checks whose result is only shown.

use model::container::Scheme;
use services::spec::pod::{Endpoint, PodCheck, PodHealthCheck, PodProbe};

use super::super::faults::Faults;
use super::{container, name, path};
use crate::marathon::pod as written;

const GRACE_SECONDS: u32 = 300;
const INTERVAL_SECONDS: u32 = 60;
const TIMEOUT_SECONDS: u32 = 20;
const DELAY_SECONDS: u32 = 15;
const FAILURES: u32 = 3;

pub(super) fn health(
    check: &written::PodCheck,
    endpoints: &[Endpoint],
    faults: &mut Faults,
) -> PodHealthCheck {
    let PodCheck { probe, interval, timeout, delay } = plain(check, endpoints, faults);
    let grace = check.grace_period_seconds;
    let failures = check.max_consecutive_failures;
    PodHealthCheck {
        probe,
        grace: faults.seconds("/gracePeriodSeconds", grace, GRACE_SECONDS),
        interval,
        timeout,
        delay,
        failures_max: faults.count("/maxConsecutiveFailures", failures, FAILURES),
    }
}

pub(super) fn plain(
    check: &written::PodCheck,
    endpoints: &[Endpoint],
    faults: &mut Faults,
) -> PodCheck {
    PodCheck {
        probe: probe(check, endpoints, faults),
        interval: faults.seconds("/intervalSeconds", check.interval_seconds, INTERVAL_SECONDS),
        timeout: faults.seconds("/timeoutSeconds", check.timeout_seconds, TIMEOUT_SECONDS),
        delay: faults.seconds("/delaySeconds", check.delay_seconds, DELAY_SECONDS),
    }
}

fn probe(check: &written::PodCheck, endpoints: &[Endpoint], faults: &mut Faults) -> PodProbe {
    let mut endpoint = |at: &str, given: &Option<String>| {
        let at = format!("{at}/endpoint");
        let name = name(&at, given.as_deref(), faults);
        if given.is_some() && !endpoints.iter().any(|endpoint| endpoint.name == name) {
            faults.add(at, "contained in the container endpoints");
        }
        name
    };
    match (&check.http, &check.tcp, &check.exec) {
        (Some(http), None, None) => {
            let endpoint = endpoint("/http", &http.endpoint);
            PodProbe::Http { endpoint, path: http_path(http, faults), scheme: scheme(http, faults) }
        }
        (None, Some(tcp), None) => PodProbe::Tcp { endpoint: endpoint("/tcp", &tcp.endpoint) },
        (None, None, Some(exec)) => {
            let command = exec.command.clone().unwrap_or_default();
            let judged =
                faults.within("/exec/command", |faults| container::judge_command(&command, faults));
            judged.map_or_else(nothing, PodProbe::Exec)
        }
        (_, _, _) => {
            faults.add("/", "Only one of http, tcp, or command may be specified");
            nothing()
        }
    }
}

/// In the place of a probe that has faults.
fn nothing() -> PodProbe {
    PodProbe::Tcp { endpoint: String::new() }
}

fn http_path(http: &written::HttpCheck, faults: &mut Faults) -> Option<String> {
    let given = http.path.clone()?;
    path("/http/path", &given, faults);
    Some(given)
}

fn scheme(http: &written::HttpCheck, faults: &mut Faults) -> Scheme {
    match http.scheme.as_deref() {
        None | Some("HTTP") => Scheme::Http,
        Some("HTTPS") => Scheme::Https,
        Some(_) => {
            faults.add("/http/scheme", "must be HTTP or HTTPS");
            Scheme::Http
        }
    }
}
