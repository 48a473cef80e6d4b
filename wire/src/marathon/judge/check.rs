//! Checks whose result is shown, and readiness checks, which deployments wait for.

use model::container::Scheme;
use services::spec::check::{Check, Kind};
use services::spec::pod::Command;
use services::spec::{CheckPort, PortDefinition, ReadinessCheck};

use super::faults::Faults;
use super::ports;
use crate::marathon::app::App;
use crate::marathon::check::{Check as Written, ReadinessCheck as WrittenReadiness};
use crate::marathon::number::Whole;
use crate::marathon::pod::CommandCheck;

const INTERVAL_SECONDS: u32 = 60;
const TIMEOUT_SECONDS: u32 = 20;
const DELAY_SECONDS: u32 = 15;
const READY_INTERVAL_SECONDS: u32 = 30;
const READY_TIMEOUT_SECONDS: u32 = 10;
const READY_STATUSES: [u16; 1] = [200];
const PATH_CHARS_MAX: usize = 1024;

/// `ports` is how many the app has.
pub(super) fn check(written: &Written, ports: usize, faults: &mut Faults) -> Check {
    Check {
        kind: kind(written, ports, faults),
        interval: faults.seconds("/intervalSeconds", written.interval_seconds, INTERVAL_SECONDS),
        timeout: faults.seconds("/timeoutSeconds", written.timeout_seconds, TIMEOUT_SECONDS),
        delay: faults.seconds("/delaySeconds", written.delay_seconds, DELAY_SECONDS),
    }
}

fn kind(written: &Written, ports: usize, faults: &mut Faults) -> Kind {
    match (&written.http, &written.tcp, &written.exec) {
        (Some(http), None, None) => {
            path("/http/path", http.path.as_deref(), faults);
            Kind::Http {
                scheme: scheme("/http/scheme", http.scheme.as_deref(), faults),
                path: http.path.clone(),
                port: port("/http", (http.port_index, http.port), ports, faults),
            }
        }
        (None, Some(tcp), None) => {
            Kind::Tcp { port: port("/tcp", (tcp.port_index, tcp.port), ports, faults) }
        }
        (None, None, Some(exec)) => Kind::Command(command(exec, faults)),
        (_, _, _) => {
            faults.add("/", "must have one of http, tcp and exec");
            Kind::Tcp { port: None }
        }
    }
}

fn port(
    at: &str,
    (index, port): (Option<Whole>, Option<Whole>),
    ports: usize,
    faults: &mut Faults,
) -> Option<CheckPort> {
    let within = match (index, port) {
        (Some(index), _) => usize::try_from(index.0).is_ok_and(|index| index < ports),
        (None, Some(_)) => true,
        (None, None) => ports == 1,
    };
    if !within {
        faults.add(
            "/",
            "check port index must address an element of the ports array or container port mappings.",
        );
    }
    match (index, port) {
        (Some(index), _) => Some(CheckPort::Index(faults.port(&format!("{at}/portIndex"), index))),
        (None, Some(port)) => Some(CheckPort::Number(faults.port(&format!("{at}/port"), port))),
        (None, None) => None,
    }
}

fn command(exec: &CommandCheck, faults: &mut Faults) -> Command {
    let command = exec.command.clone().unwrap_or_default();
    match (command.shell, command.argv) {
        (Some(shell), None) if !shell.is_empty() => Command::Shell(shell),
        (None, Some(argv)) if !argv.is_empty() => Command::Argv(argv),
        (_, _) => {
            faults.add("/exec/command", "must have one of shell and argv, which is not empty");
            Command::Shell(String::new())
        }
    }
}

fn scheme(at: &str, given: Option<&str>, faults: &mut Faults) -> Scheme {
    match given {
        None | Some("HTTP") => Scheme::Http,
        Some("HTTPS") => Scheme::Https,
        Some(_) => {
            faults.add(at, "must be HTTP or HTTPS");
            Scheme::Http
        }
    }
}

fn path(at: &str, given: Option<&str>, faults: &mut Faults) {
    if given.is_some_and(|path| path.is_empty() || PATH_CHARS_MAX < path.len()) {
        faults.add(at, format!("must have 1 to {PATH_CHARS_MAX} characters"));
    }
}

/// At most one, as in Marathon.
pub(super) fn readiness(
    app: &App,
    known: &[PortDefinition],
    faults: &mut Faults,
) -> Option<ReadinessCheck> {
    let written = app.readiness_checks.as_deref().unwrap_or_default();
    if written.len() > 1 {
        let message = format!("got {}, expected 1 or less", written.len());
        faults.add("/readinessChecks", message);
    }
    let mut judged = written.iter().enumerate().map(|(n, one)| {
        let at = format!("/readinessChecks({n})");
        faults.within(&at, |faults| judge_readiness(one, known, faults))
    });
    let first = judged.next();
    judged.for_each(drop);
    first
}

fn judge_readiness(
    written: &WrittenReadiness,
    known: &[PortDefinition],
    faults: &mut Faults,
) -> ReadinessCheck {
    let text = |given: &Option<String>, usual: &str| given.clone().unwrap_or(usual.to_owned());
    let name = text(&written.name, "readinessCheck");
    if name.is_empty() {
        faults.add("/name", "must not be empty");
    }
    path("/path", written.path.as_deref(), faults);
    let port_name = text(&written.port_name, "http-api");
    if !ports::is_name(&port_name) {
        faults.add("/portName", "must consist of lower-case letters, digits and dashes");
    } else if known.iter().all(|port| port.name.as_ref() != Some(&port_name)) {
        faults.add("/portName", format!("No port definition reference for portName {port_name}"));
    }
    let interval = written.interval_seconds;
    let interval = faults.seconds("/intervalSeconds", interval, READY_INTERVAL_SECONDS);
    let timeout = written.timeout_seconds;
    let timeout = faults.seconds("/timeoutSeconds", timeout, READY_TIMEOUT_SECONDS);
    if interval <= timeout {
        let (timeout, interval) = (timeout.as_secs(), interval.as_secs());
        faults.add("/timeoutSeconds", format!("got {timeout}, expected less than {interval}"));
    } else if timeout.is_zero() {
        faults.add("/timeoutSeconds", "must be 1 or more");
    }
    ReadinessCheck {
        name,
        scheme: scheme("/protocol", written.protocol.as_deref(), faults),
        path: text(&written.path, "/"),
        port_name,
        interval,
        timeout,
        statuses: statuses(written, faults),
        preserve_last_response: written.preserve_last_response.unwrap_or(false),
    }
}

fn statuses(written: &WrittenReadiness, faults: &mut Faults) -> Vec<u16> {
    // An empty list says as much as none.
    let given = written.http_status_codes_for_ready.as_ref().filter(|all| !all.is_empty());
    let Some(given) = given else { return READY_STATUSES.to_vec() };
    let mut statuses = Vec::with_capacity(given.len());
    for (n, Whole(code)) in given.iter().enumerate() {
        match u16::try_from(*code) {
            Ok(code) if (100..=999).contains(&code) && !statuses.contains(&code) => {
                statuses.push(code);
            }
            Ok(code) if statuses.contains(&code) => {}
            Ok(_) | Err(_) => {
                faults.add(format!("/httpStatusCodesForReady({n})"), "must be from 100 to 999");
            }
        }
    }
    statuses
}
