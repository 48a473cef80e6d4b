//! Health checks: which endpoint, how often, how patient.

use model::container::{Family, Scheme};
use services::spec::{AppHealthCheck, CheckKind, CheckPort};

use super::faults::Faults;
use crate::marathon::app::App;
use crate::marathon::health::HealthCheck;

const GRACE_SECONDS: u32 = 300;
const INTERVAL_SECONDS: u32 = 60;
const TIMEOUT_SECONDS: u32 = 20;
const DELAY_SECONDS: u32 = 15;
const FAILURES: u32 = 3;

/// `ports` is how many the app has: what `portIndex` may point at.
pub(super) fn judge(app: &App, ports: usize, faults: &mut Faults) -> Vec<AppHealthCheck> {
    let written = app.health_checks.as_deref().unwrap_or_default();
    let docker = app
        .container
        .as_ref()
        .is_some_and(|container| matches!(container.kind.as_deref(), None | Some("DOCKER")));
    let mut checks: Vec<AppHealthCheck> = Vec::new();
    for (n, check) in written.iter().enumerate() {
        let one = Judged { check, path: format!("/healthChecks({n})"), ports, docker };
        let check = one.judge(faults);
        if !checks.contains(&check) {
            checks.push(check);
        }
    }
    let by_mesos = |check: &&AppHealthCheck| match check.kind {
        CheckKind::Http { mesos, .. } | CheckKind::Tcp { mesos, .. } => mesos,
        CheckKind::Command(_) => false,
    };
    if checks.iter().filter(by_mesos).count() > 1 {
        faults.add("/", "AppDefinition can contain at most one Mesos health check");
    }
    checks
}

struct Judged<'a> {
    check: &'a HealthCheck,
    path: String,
    ports: usize,
    docker: bool,
}

impl Judged<'_> {
    fn judge(&self, faults: &mut Faults) -> AppHealthCheck {
        let (check, path) = (self.check, &self.path);
        let at = |name: &str| format!("{path}/{name}");
        AppHealthCheck {
            kind: self.kind(faults),
            grace: faults.seconds(
                &at("gracePeriodSeconds"),
                check.grace_period_seconds,
                GRACE_SECONDS,
            ),
            interval: faults.seconds(
                &at("intervalSeconds"),
                check.interval_seconds,
                INTERVAL_SECONDS,
            ),
            timeout: faults.seconds(&at("timeoutSeconds"), check.timeout_seconds, TIMEOUT_SECONDS),
            delay: faults.seconds(&at("delaySeconds"), check.delay_seconds, DELAY_SECONDS),
            failures_max: faults.count(
                &at("maxConsecutiveFailures"),
                check.max_consecutive_failures,
                FAILURES,
            ),
            ignore_http_1xx: check.ignore_http1xx(),
        }
    }

    fn kind(&self, faults: &mut Faults) -> CheckKind {
        let protocol = self.check.protocol.as_deref().unwrap_or("HTTP");
        if self.check.command.is_some() && protocol != "COMMAND" {
            faults.add(
                format!("{}/command", self.path),
                format!("is only for protocol COMMAND, not {protocol}"),
            );
        }
        match protocol {
            "HTTP" | "MESOS_HTTP" => self.http(Scheme::Http, protocol == "MESOS_HTTP", faults),
            "HTTPS" | "MESOS_HTTPS" => self.http(Scheme::Https, protocol == "MESOS_HTTPS", faults),
            "TCP" | "MESOS_TCP" => self.tcp(protocol == "MESOS_TCP", faults),
            "COMMAND" => self.command(faults),
            _ => {
                faults.add(
                    format!("{}/protocol", self.path),
                    "must be one of HTTP, HTTPS, TCP, COMMAND, MESOS_TCP, MESOS_HTTP and MESOS_HTTPS",
                );
                CheckKind::Command(String::new())
            }
        }
    }

    fn http(&self, scheme: Scheme, mesos: bool, faults: &mut Faults) -> CheckKind {
        let family = self.family(mesos, faults);
        let path = self.check.path.clone();
        CheckKind::Http { scheme, path, port: self.port(faults), family, mesos }
    }

    fn tcp(&self, mesos: bool, faults: &mut Faults) -> CheckKind {
        if self.check.path.is_some() {
            faults.add(format!("{}/path", self.path), "is only for HTTP and HTTPS checks");
        }
        CheckKind::Tcp { port: self.port(faults), family: self.family(mesos, faults), mesos }
    }

    /// A port index is tolerated, as Marathon does.
    fn command(&self, faults: &mut Faults) -> CheckKind {
        for (name, given) in
            [("path", self.check.path.is_some()), ("port", self.check.port.is_some())]
        {
            if given {
                faults.add(format!("{}/{name}", self.path), "is not for protocol COMMAND");
            }
        }
        let command = self.check.command.as_ref().map(|command| command.value.clone());
        if command.as_ref().is_none_or(String::is_empty) {
            faults.add(format!("{}/command", self.path), "is needed for protocol COMMAND");
        }
        self.family(false, faults);
        CheckKind::Command(command.unwrap_or_default())
    }

    fn port(&self, faults: &mut Faults) -> CheckPort {
        match (self.check.port_index, self.check.port) {
            (Some(index), _) => {
                let index = faults.port(&format!("{}/portIndex", self.path), index);
                self.within(index, faults);
                CheckPort::Index(index)
            }
            (None, Some(port)) => {
                CheckPort::Number(faults.port(&format!("{}/port", self.path), port))
            }
            (None, None) => {
                self.within(0, faults);
                CheckPort::Index(0)
            }
        }
    }

    fn within(&self, index: u16, faults: &mut Faults) {
        if usize::from(index) >= self.ports {
            faults.add(
                self.path.as_str(),
                "Health check port indices must address an element of the ports array or container port mappings.",
            );
        }
    }

    fn family(&self, mesos: bool, faults: &mut Faults) -> Family {
        match self.check.ip_protocol.as_deref() {
            None | Some("IPv4") => Family::Ipv4,
            Some("IPv6") if mesos && self.docker => Family::Ipv6,
            Some("IPv6") => {
                faults.add(
                    self.path.as_str(),
                    "IPv6 can only be used for container type DOCKER and Mesos http/https/tcp health checks",
                );
                Family::Ipv6
            }
            Some(_) => {
                faults.add(format!("{}/ipProtocol", self.path), "must be IPv4 or IPv6");
                Family::Ipv4
            }
        }
    }
}

impl HealthCheck {
    fn ignore_http1xx(&self) -> bool {
        self.ignore_http_1xx.unwrap_or(false)
    }
}
