//! The checks of an app as its agent makes them: where a spec names one of the app's ports, an instance has a number.

use std::time::Duration;

use model::check::{CheckInfo, ReadinessCheck};
use model::container::{Family, HealthCheck, Probe, Run};

use crate::health::is_judged_here;
use crate::spec::check::{Check, Kind};
use crate::spec::pod::Command;
use crate::spec::{AppHealthCheck, AppSpec, CheckKind, CheckPort};

/// What is asked where a check names no path.
const ROOT: &str = "/";

/// `None` if it probes a port that the app does not have.
pub(crate) fn health_check(check: &AppHealthCheck, ports: &[u16]) -> Option<HealthCheck> {
    let probe = match &check.kind {
        CheckKind::Http { scheme, path, port, family, mesos: _ } => Probe::Http {
            scheme: *scheme,
            port: number(*port, ports)?,
            path: path.clone().unwrap_or_else(|| ROOT.to_owned()),
            family: *family,
            ignore_1xx: check.ignore_http_1xx,
        },
        CheckKind::Tcp { port, family, mesos: _ } => {
            Probe::Tcp { port: number(*port, ports)?, family: *family }
        }
        CheckKind::Command(command) => Probe::command(Run::Shell(command.clone())),
    };
    // `delaySeconds` is Mesos' own word: what Marathon would probe by itself is probed from the start, and it is
    // services who kill for it.
    let (delay, failures_max) = match is_judged_here(&check.kind) {
        true => (Duration::ZERO, 0),
        false => (check.delay, check.failures_max),
    };
    Some(HealthCheck {
        probe,
        delay,
        interval: check.interval,
        timeout: check.timeout,
        grace: check.grace,
        failures_max,
    })
}

/// Whether a task that has these ports is probed by this check.
pub(crate) fn is_probed(check: &AppHealthCheck, ports: &[u16]) -> bool {
    health_check(check, ports).is_some()
}

/// `None` if there is none, or it probes a port that the app does not have.
pub(crate) fn check(check: Option<&Check>, ports: &[u16]) -> Option<CheckInfo> {
    let Check { kind, interval, timeout, delay } = check?;
    let port = |port: &Option<CheckPort>| number(port.unwrap_or(CheckPort::Index(0)), ports);
    let family = Family::Ipv4;
    let probe = match kind {
        Kind::Http { scheme, path, port: at } => Probe::Http {
            scheme: *scheme,
            port: port(at)?,
            path: path.clone().unwrap_or_else(|| ROOT.to_owned()),
            family,
            ignore_1xx: false,
        },
        Kind::Tcp { port: at } => Probe::Tcp { port: port(at)?, family },
        Kind::Command(command) => Probe::command(run(command)),
    };
    Some(CheckInfo { probe, delay: *delay, interval: *interval, timeout: *timeout })
}

/// `None` if there is none, or it asks a port that the app does not have: then its instances are ready at once.
pub(crate) fn readiness(spec: &AppSpec, ports: &[u16]) -> Option<ReadinessCheck> {
    let check = spec.readiness.as_ref()?;
    let mut named = spec.ports.iter().zip(ports);
    let (_, port) = named.find(|(port, _)| port.name.as_ref() == Some(&check.port_name))?;
    Some(ReadinessCheck {
        probe: Probe::Http {
            scheme: check.scheme,
            port: *port,
            path: check.path.clone(),
            family: Family::Ipv4,
            ignore_1xx: false,
        },
        interval: check.interval,
        timeout: check.timeout,
        statuses: check.statuses.clone(),
        keeps_answer: check.preserve_last_response,
    })
}

pub(crate) fn run(command: &Command) -> Run {
    match command {
        Command::Shell(text) => Run::Shell(text.clone()),
        Command::Argv(argv) => Run::Exec(argv.clone()),
    }
}

fn number(port: CheckPort, ports: &[u16]) -> Option<u16> {
    match port {
        CheckPort::Index(at) => ports.get(usize::from(at)).copied(),
        CheckPort::Number(number) => Some(number),
    }
}
