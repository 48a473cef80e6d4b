//! Checks of all kinds: of health, of readiness, and those that are only shown.

use model::container::{Family, Scheme};
use services::spec::check::{self, Kind};
use services::spec::{self, AppHealthCheck, CheckKind, CheckPort};

use super::super::print_pod;
use super::seconds;
use crate::marathon::check::{Check, HttpCheck, ReadinessCheck, TcpCheck};
use crate::marathon::health::{CommandCheck, HealthCheck};
use crate::marathon::number::Whole;
use crate::marathon::pod;

/// As events and answers show it.
pub fn health_check(check: &AppHealthCheck) -> HealthCheck {
    let common = HealthCheck {
        grace_period_seconds: Some(seconds(check.grace)),
        interval_seconds: Some(seconds(check.interval)),
        max_consecutive_failures: Some(Whole(check.failures_max.into())),
        timeout_seconds: Some(seconds(check.timeout)),
        delay_seconds: Some(seconds(check.delay)),
        ip_protocol: Some("IPv4".to_owned()),
        ignore_http_1xx: check.ignore_http_1xx.then_some(true),
        ..HealthCheck::default()
    };
    match &check.kind {
        CheckKind::Http { scheme, path, port, family, mesos } => HealthCheck {
            protocol: Some(http_protocol(*scheme, *mesos).to_owned()),
            path: path.clone(),
            ip_protocol: Some(spell_family(*family).to_owned()),
            ignore_http_1xx: (!mesos || check.ignore_http_1xx).then_some(check.ignore_http_1xx),
            ..with_port(common, *port)
        },
        CheckKind::Tcp { port, family, mesos } => HealthCheck {
            protocol: Some(if *mesos { "MESOS_TCP" } else { "TCP" }.to_owned()),
            ip_protocol: Some(spell_family(*family).to_owned()),
            ..with_port(common, *port)
        },
        CheckKind::Command(value) => HealthCheck {
            protocol: Some("COMMAND".to_owned()),
            command: Some(CommandCheck { value: value.clone() }),
            ..common
        },
    }
}

fn http_protocol(scheme: Scheme, mesos: bool) -> &'static str {
    match (scheme, mesos) {
        (Scheme::Http, false) => "HTTP",
        (Scheme::Https, false) => "HTTPS",
        (Scheme::Http, true) => "MESOS_HTTP",
        (Scheme::Https, true) => "MESOS_HTTPS",
    }
}

fn spell_family(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

fn with_port(check: HealthCheck, port: CheckPort) -> HealthCheck {
    match port {
        CheckPort::Index(index) => HealthCheck { port_index: Some(Whole(index.into())), ..check },
        CheckPort::Number(number) => HealthCheck { port: Some(Whole(number.into())), ..check },
    }
}

pub(super) fn check(one: &check::Check) -> Check {
    let times = Check {
        interval_seconds: Some(seconds(one.interval)),
        timeout_seconds: Some(seconds(one.timeout)),
        delay_seconds: Some(seconds(one.delay)),
        ..Check::default()
    };
    match &one.kind {
        Kind::Http { scheme, path, port } => {
            let (port_index, port) = split(*port);
            let scheme = Some(spell_scheme(*scheme).to_owned());
            let http = HttpCheck { port_index, port, path: path.clone(), scheme };
            Check { http: Some(http), ..times }
        }
        Kind::Tcp { port } => {
            let (port_index, port) = split(*port);
            Check { tcp: Some(TcpCheck { port_index, port }), ..times }
        }
        Kind::Command(command) => {
            let command = Some(print_pod::command(command));
            Check { exec: Some(pod::CommandCheck { command }), ..times }
        }
    }
}

/// By index or by number.
fn split(port: Option<CheckPort>) -> (Option<Whole>, Option<Whole>) {
    match port {
        None => (None, None),
        Some(CheckPort::Index(index)) => (Some(Whole(index.into())), None),
        Some(CheckPort::Number(number)) => (None, Some(Whole(number.into()))),
    }
}

fn spell_scheme(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "HTTP",
        Scheme::Https => "HTTPS",
    }
}

pub(super) fn readiness(check: &spec::ReadinessCheck) -> ReadinessCheck {
    ReadinessCheck {
        name: Some(check.name.clone()),
        protocol: Some(spell_scheme(check.scheme).to_owned()),
        path: Some(check.path.clone()),
        port_name: Some(check.port_name.clone()),
        interval_seconds: Some(seconds(check.interval)),
        timeout_seconds: Some(seconds(check.timeout)),
        http_status_codes_for_ready: Some(
            check.statuses.iter().map(|code| Whole((*code).into())).collect(),
        ),
        preserve_last_response: Some(check.preserve_last_response),
    }
}
