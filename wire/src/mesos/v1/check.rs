//! Checks: those that kill, and those that are only shown.

use mesos_v1::check_info::Type as CheckType;
use mesos_v1::environment::Variable;
use mesos_v1::health_check::{HttpCheckInfo, TcpCheckInfo, Type};
use mesos_v1::network_info::Protocol;
use mesos_v1::{CheckInfo as SpelledCheck, CommandInfo, Environment, HealthCheck as Spelled};
use model::check::CheckInfo;
use model::container::{Apart, Family, HealthCheck, Probe, Scheme};

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

/// As it was read.
pub(crate) fn spell(check: &HealthCheck) -> Spelled {
    let seconds = |span: std::time::Duration| Some(span.as_secs_f64());
    let spelled = Spelled {
        delay_seconds: seconds(check.delay),
        interval_seconds: seconds(check.interval),
        timeout_seconds: seconds(check.timeout),
        consecutive_failures: Some(check.failures_max),
        grace_period_seconds: seconds(check.grace),
        ..Spelled::default()
    };
    match &check.probe {
        Probe::Http { scheme, port, path, family, .. } => {
            let scheme = match scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            };
            let http = HttpCheckInfo {
                port: u32::from(*port),
                path: Some(path.clone()),
                scheme: Some(scheme.to_owned()),
                protocol: Some(protocol(*family)),
                ..HttpCheckInfo::default()
            };
            Spelled { r#type: Some(Type::Http.into()), http: Some(http), ..spelled }
        }
        Probe::Tcp { port, family } => {
            let tcp = TcpCheckInfo { port: u32::from(*port), protocol: Some(protocol(*family)) };
            Spelled { r#type: Some(Type::Tcp.into()), tcp: Some(tcp), ..spelled }
        }
        Probe::Command(run, Apart { environment, user }) => {
            let variable = |(name, value): &(String, String)| Variable {
                name: name.clone(),
                value: Some(value.clone()),
                ..Variable::default()
            };
            let variables = environment.iter().map(variable).collect();
            let environment = (!environment.is_empty()).then_some(Environment { variables });
            let (user, spelled_run) = (user.clone(), command::spell_run(run));
            let command = Some(CommandInfo { environment, user, ..spelled_run });
            Spelled { r#type: Some(Type::Command.into()), command, ..spelled }
        }
    }
}

fn protocol(family: Family) -> i32 {
    match family {
        Family::Ipv4 => Protocol::IPv4.into(),
        Family::Ipv6 => Protocol::IPv6.into(),
    }
}

pub fn read_shown(spelled: &SpelledCheck, around: Around) -> Result<CheckInfo, Fault> {
    let absent = |field: &str, kind: &str| {
        Fault::new(format!("Expecting '{field}' to be set for {kind} check"))
    };
    let probe = match spelled.r#type() {
        CheckType::Unknown => return Err(Fault::new("CheckInfo must specify 'type'")),
        CheckType::Command => {
            let command = spelled.command.as_ref().ok_or_else(|| absent("command", "COMMAND"))?;
            command_probe("check.command", "Command check", &command.command, around)?
        }
        CheckType::Http => {
            let http = spelled.http.as_ref().ok_or_else(|| absent("http", "HTTP"))?;
            let path = http.path.clone().unwrap_or_else(|| "/".to_owned());
            Probe::Http {
                scheme: Scheme::Http,
                port: port(http.port)?,
                path: absolute(path, "HTTP check")?,
                family: Family::Ipv4,
                ignore_1xx: false,
            }
        }
        CheckType::Tcp => {
            let tcp = spelled.tcp.as_ref().ok_or_else(|| absent("tcp", "TCP"))?;
            Probe::Tcp { port: port(tcp.port)?, family: Family::Ipv4 }
        }
    };
    Ok(CheckInfo {
        probe,
        delay: seconds("delay_seconds", spelled.delay_seconds())?,
        interval: seconds("interval_seconds", spelled.interval_seconds())?,
        timeout: seconds("timeout_seconds", spelled.timeout_seconds())?,
    })
}

fn command_probe(
    field: &str,
    of: &str,
    command: &CommandInfo,
    around: Around,
) -> Result<Probe, Fault> {
    if command.value.is_none() {
        let what = if command.shell() { "'shell command'" } else { "'executable path'" };
        return Err(Fault::new(format!("{of} must contain {what}")));
    }
    super::empty(&format!("{field}.uris"), &command.uris)?;
    // It is a program inside the container, whatever the image says of its own.
    let around = if around == Around::Docker { Around::Image } else { around };
    let model::container::CommandInfo { run, environment, secrets, user, uris: _ } =
        command::read(command, around)?;
    super::empty(&format!("{field}.environment.variables.secret"), &secrets)?;
    Ok(Probe::Command(run, Apart { environment, user }))
}

fn absolute(path: String, of: &str) -> Result<String, Fault> {
    if path.starts_with('/') {
        return Ok(path);
    }
    Err(Fault::new(format!("The path '{path}' of {of} must start with '/'")))
}

fn probe(spelled: &Spelled, around: Around) -> Result<Probe, Fault> {
    let absent = |field: &str, kind: &str| {
        Fault::new(format!("Expecting '{field}' to be set for {kind} health check"))
    };
    // Before there were types, there was one of these.
    let kind = match (spelled.r#type, &spelled.command, &spelled.http) {
        (None, Some(_), None) => Type::Command,
        (None, None, Some(_)) => Type::Http,
        _ => spelled.r#type(),
    };
    match kind {
        Type::Unknown => Err(Fault::new("HealthCheck must specify 'type'")),
        Type::Command => {
            let command = spelled.command.as_ref().ok_or_else(|| absent("command", "COMMAND"))?;
            command_probe("health_check.command", "Command health check", command, around)
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
    Ok(Probe::Http {
        scheme,
        port: port(http.port)?,
        path: absolute(path, "HTTP health check")?,
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

#[cfg(test)]
mod tests {
    use mesos_v1::codec::Encoding;
    use model::container::Run;
    use serde_json::{Value, json};

    use super::*;

    /// Of a health check, and the same of one that is only shown.
    fn check(command: &Value, expected: Result<Probe, &str>) {
        let health = json!({ "type": "COMMAND", "command": command }).to_string();
        let health: Spelled = Encoding::Json.decode(health.as_bytes()).expect("a health check");
        let shown = json!({ "type": "COMMAND", "command": { "command": command } }).to_string();
        let shown: SpelledCheck = Encoding::Json.decode(shown.as_bytes()).expect("a check");
        let found = [
            read(&health, Around::Host).map(|one| one.probe),
            read_shown(&shown, Around::Host).map(|one| one.probe),
        ];
        if let Ok(one) = read(&health, Around::Host) {
            assert_eq!(read(&spell(&one), Around::Host), Ok(one), "as it is shown");
        }
        for found in found {
            match (found, &expected) {
                (Ok(found), expected) => assert_eq!(Ok(&found), expected.as_ref(), "{command}"),
                (Err(Fault(cause)), Err(part)) => assert!(cause.contains(part), "{cause}"),
                (Err(Fault(cause)), Ok(_)) => panic!("{command}: {cause}"),
            }
        }
    }

    #[test]
    fn a_command_may_have_an_environment_and_a_user_of_its_own() {
        let run = || Run::Shell("true".to_owned());
        check(&json!({ "value": "true" }), Ok(Probe::command(run())));
        let variables = json!([{ "name": "PORT", "value": "80" }]);
        let own =
            json!({ "value": "true", "user": "nobody", "environment": { "variables": variables } });
        let environment = vec![("PORT".to_owned(), "80".to_owned())];
        let apart = Apart { environment, user: Some("nobody".to_owned()) };
        check(&own, Ok(Probe::Command(run(), apart)));
        let fetches = json!({ "value": "true", "uris": [{ "value": "http://h/x" }] });
        check(&fetches, Err("command.uris"));
        let bare = json!([{ "name": "PORT" }]);
        let bare = json!({ "value": "true", "environment": { "variables": bare } });
        check(&bare, Err("must have a value set"));
        check(&json!({ "shell": true }), Err("must contain 'shell command'"));
    }
}
