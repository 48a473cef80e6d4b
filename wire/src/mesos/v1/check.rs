//! Health checks.

use mesos_v1::HealthCheck as Spelled;
use mesos_v1::health_check::{HttpCheckInfo, Type};
use mesos_v1::network_info::Protocol;
use model::container::{Family, HealthCheck, Probe, Scheme};

use super::command::{self, Around};
use super::{Fault, seconds};

pub fn read(spelled: &Spelled, around: Around) -> Result<HealthCheck, Fault> {
    Ok(HealthCheck {
        probe: probe(spelled, around)?,
        delay: seconds("delay_seconds", spelled.delay_seconds())?,
        interval: seconds("interval_seconds", spelled.interval_seconds())?,
        timeout: seconds("timeout_seconds", spelled.timeout_seconds())?,
        grace: seconds("grace_period_seconds", spelled.grace_period_seconds())?,
        failures_max: spelled.consecutive_failures(),
    })
}

fn probe(spelled: &Spelled, around: Around) -> Result<Probe, Fault> {
    let absent = |field: &str, kind: &str| {
        Fault::new(format!("Expecting '{field}' to be set for {kind} health check"))
    };
    match spelled.r#type() {
        Type::Unknown => Err(Fault::new("HealthCheck must specify 'type'")),
        Type::Command => {
            let command = spelled.command.as_ref().ok_or_else(|| absent("command", "COMMAND"))?;
            if command.value.is_none() {
                let what = if command.shell() { "'shell command'" } else { "'executable path'" };
                return Err(Fault::new(format!("Command health check must contain {what}")));
            }
            super::unset("health_check.command.environment", command.environment.as_ref())?;
            super::unset("health_check.command.user", command.user.as_ref())?;
            super::empty("health_check.command.uris", &command.uris)?;
            // It is a program inside the container, whatever the image says of its own.
            let around = if around == Around::Docker { Around::Image } else { around };
            command::run(command, around).map(Probe::Command)
        }
        Type::Http => {
            let http = spelled.http.as_ref().ok_or_else(|| absent("http", "HTTP"))?;
            http_probe(http)
        }
        Type::Tcp => {
            let tcp = spelled.tcp.as_ref().ok_or_else(|| absent("tcp", "TCP"))?;
            Ok(Probe::Tcp { port: port(tcp.port)?, family: family(tcp.protocol()) })
        }
    }
}

fn http_probe(http: &HttpCheckInfo) -> Result<Probe, Fault> {
    let scheme = match http.scheme.as_deref() {
        None | Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => {
            return Err(Fault::new(format!("Unsupported HTTP health check scheme: '{other}'")));
        }
    };
    let path = http.path.clone().unwrap_or_else(|| "/".to_owned());
    if !path.starts_with('/') {
        return Err(Fault::new(format!(
            "The path '{path}' of HTTP health check must start with '/'"
        )));
    }
    Ok(Probe::Http {
        scheme,
        port: port(http.port)?,
        path,
        family: family(http.protocol()),
        ignore_1xx: false,
    })
}

pub(super) fn port(number: u32) -> Result<u16, Fault> {
    u16::try_from(number).map_err(|_| Fault::new(format!("{number} is no port")))
}

fn family(protocol: Protocol) -> Family {
    match protocol {
        Protocol::IPv4 => Family::Ipv4,
        Protocol::IPv6 => Family::Ipv6,
    }
}
