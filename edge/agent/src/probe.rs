//! Checks as deeds: ask a port, ask a page, run a command in the container. As Mesos' checker does it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use containers::Containers;
use containers::session::Streams;
use containers::spec::Exec;
use model::check::PageAnswer;
use model::container::{Apart, Family, Probe, Run, Scheme};
use model::id::ContainerId;
use node::{Answer, Finding, Look};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use tokio::io::{AsyncRead, sink};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::docker::Engine;

/// Probes under way; others wait for their turn.
const PROBES_MAX: usize = 256;
/// Of a page that is shown.
const BODY_BYTES_MAX: usize = 4096;

/// A probe that is not for health.
pub(crate) struct Glance {
    pub(crate) container: ContainerId,
    pub(crate) look: Look,
    pub(crate) probe: Probe,
    pub(crate) within: Duration,
}

pub(crate) struct Prober {
    asker: Asker,
    turns: Semaphore,
    /// Has some of the containers.
    engine: Option<Engine>,
}

/// Asks ports and pages. A clone is the same.
#[derive(Debug, Clone)]
struct Asker {
    /// The agent's, where tasks in the machine's network listen. In a network of a container's own only the loopback is sure
    /// to be there.
    ip: Option<IpAddr>,
    client: reqwest::Client,
    /// Does not go where a page leads to: for readiness counts what the page itself says.
    literal: reqwest::Client,
}

impl Prober {
    pub(crate) fn new(ip: IpAddr, engine: Option<Engine>) -> anyhow::Result<Self> {
        // Each probe knocks anew, and a certificate that nobody vouches for says nothing about health.
        let client = || {
            reqwest::Client::builder()
                .danger_accept_invalid_certs(true)
                .pool_max_idle_per_host(0)
                .no_proxy()
                .user_agent("dcos-health-check")
        };
        let literal = client().redirect(Policy::none()).build()?;
        let turns = Semaphore::new(PROBES_MAX);
        let asker = Asker { ip: Some(ip), client: client().build()?, literal };
        Ok(Self { asker, turns, engine })
    }

    pub(crate) async fn probe(
        &self,
        containers: &Containers,
        container: &ContainerId,
        probe: &Probe,
        within: Duration,
    ) -> Answer {
        let answered = self.answer(containers, container, probe, within).await;
        answered.unwrap_or_else(Answer::Failed)
    }

    /// `Err` says in what way it failed.
    async fn answer(
        &self,
        containers: &Containers,
        container: &ContainerId,
        probe: &Probe,
        within: Duration,
    ) -> Result<Answer, String> {
        let _turn = self.turns.acquire().await.map_err(|cause| cause.to_string())?;
        if let Probe::Command(run, apart) = probe {
            return match self.command(containers, container, exec(run, apart), within).await? {
                0 => Ok(Answer::Passed),
                status => Err(format!("the command ended with {}", how(status))),
            };
        }
        let probe = probe.clone();
        let ask = |asker: Asker| async move { asker.answer(&probe, within).await };
        self.asked_from(containers, container, ask).await
    }

    /// From where the container itself would reach it.
    async fn asked_from<T: Send + 'static, F>(
        &self,
        containers: &Containers,
        container: &ContainerId,
        ask: impl FnOnce(Asker) -> F,
    ) -> Result<T, String>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        let told = |cause: anyhow::Error| format!("{cause:#}");
        let asker = self.asker.clone();
        match containers.network(container).await.map_err(told)? {
            None => ask(asker).await,
            Some(network) => network.run(ask(Asker { ip: None, ..asker })).await.map_err(told)?,
        }
    }

    /// The same for those who want to know what there is, and not whether it is well.
    pub(crate) async fn look(&self, containers: &Containers, glance: Glance) -> Finding {
        let found = self.find(containers, &glance).await;
        found.unwrap_or_else(Finding::Nothing)
    }

    async fn find(&self, containers: &Containers, glance: &Glance) -> Result<Finding, String> {
        let Glance { container, look, probe, within } = glance;
        let _turn = self.turns.acquire().await.map_err(|cause| cause.to_string())?;
        if let Probe::Command(run, apart) = probe {
            return match self.command(containers, container, exec(run, apart), *within).await? {
                status if status & 0x7f == 0 => Ok(Finding::Exited(status >> 8 & 0xff)),
                status => Err(format!("the command ended with {}", how(status))),
            };
        }
        let (probe, look, within) = (probe.clone(), *look, *within);
        let ask = |asker: Asker| async move { asker.find(&probe, look, within).await };
        self.asked_from(containers, container, ask).await
    }

    /// How it ended, as `wait` tells it.
    async fn command(
        &self,
        containers: &Containers,
        container: &ContainerId,
        exec: Exec,
        within: Duration,
    ) -> Result<i32, String> {
        let Some(engine) = self.engine.as_ref().filter(|engine| engine.has(container)) else {
            return command(containers, container, exec, within).await;
        };
        let ran = timeout(within, engine.run(container, exec)).await;
        ran.unwrap_or_else(|_| Err(format!("the command ran for {} s", within.as_secs_f64())))
    }
}

impl Asker {
    async fn answer(&self, probe: &Probe, within: Duration) -> Result<Answer, String> {
        let late = || Err(format!("no answer within {} s", within.as_secs_f64()));
        match probe {
            Probe::Tcp { port, family } => {
                let reached = timeout(within, self.tcp(*port, *family)).await;
                reached.unwrap_or_else(|_| late().map(drop)).map(|()| Answer::Passed)
            }
            Probe::Http { scheme, port, path, family, ignore_1xx } => {
                let page = Page { scheme: *scheme, port: *port, path, ignore_1xx: *ignore_1xx };
                timeout(within, self.http(page, *family)).await.unwrap_or_else(|_| late())
            }
            Probe::Command(..) => unreachable!("commands run in the container"),
        }
    }

    async fn find(&self, probe: &Probe, look: Look, within: Duration) -> Result<Finding, String> {
        let late = |at: &str| format!("{at}: no answer within {} s", within.as_secs_f64());
        match probe {
            Probe::Tcp { port, family } => {
                let reached = timeout(within, self.tcp(*port, *family)).await;
                let reached = reached.unwrap_or_else(|_| Err(late(&format!("port {port}"))));
                reached.map(|()| Finding::Connected)
            }
            Probe::Http { scheme, port, path, family, ignore_1xx } => {
                let page = Page { scheme: *scheme, port: *port, path, ignore_1xx: *ignore_1xx };
                let read = timeout(within, self.page(page, *family, look)).await;
                let url = || page.url(addresses(self.ip, *family)[0]);
                read.unwrap_or_else(|_| Err(late(&url()))).map(Finding::Page)
            }
            Probe::Command(..) => unreachable!("commands run in the container"),
        }
    }

    /// What the page says.
    async fn page(&self, page: Page<'_>, family: Family, look: Look) -> Result<PageAnswer, String> {
        let client = match look {
            Look::Check => &self.client,
            Look::Readiness => &self.literal,
        };
        let mut failure = String::new();
        for ip in addresses(self.ip, family) {
            let url = page.url(ip);
            match client.get(&url).send().await {
                Ok(answer) => return read(answer).await.map_err(|cause| format!("{url}: {cause}")),
                Err(cause) => failure = format!("{url}: {}", innermost(&cause)),
            }
        }
        Err(failure)
    }

    async fn tcp(&self, port: u16, family: Family) -> Result<(), String> {
        let mut failure = String::new();
        for ip in addresses(self.ip, family) {
            let at = SocketAddr::new(ip, port);
            match TcpStream::connect(at).await {
                Ok(_) => return Ok(()),
                Err(cause) => failure = format!("connecting to {at}: {cause}"),
            }
        }
        Err(failure)
    }

    async fn http(&self, page: Page<'_>, family: Family) -> Result<Answer, String> {
        let mut failure = String::new();
        for ip in addresses(self.ip, family) {
            let url = page.url(ip);
            match self.client.get(&url).send().await {
                Ok(answer) => return page.judge(&url, answer.status().as_u16()),
                Err(cause) => failure = format!("{url}: {}", innermost(&cause)),
            }
        }
        Err(failure)
    }
}

#[derive(Debug, Clone, Copy)]
struct Page<'a> {
    scheme: Scheme,
    port: u16,
    path: &'a str,
    ignore_1xx: bool,
}

impl Page<'_> {
    fn url(self, ip: IpAddr) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        format!("{scheme}://{}{slash}{}", SocketAddr::new(ip, self.port), self.path)
    }

    fn judge(self, url: &str, status: u16) -> Result<Answer, String> {
        match status {
            200..=399 => Ok(Answer::Passed),
            100..=199 if self.ignore_1xx => Ok(Answer::Ignored),
            _ => Err(format!("{url} answered with status {status}")),
        }
    }
}

/// Where a task of this machine may listen: the agent's own address, or loopback only.
fn addresses(own: Option<IpAddr>, family: Family) -> Vec<IpAddr> {
    let loopback = match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    match own.filter(|own| own.is_ipv4() == loopback.is_ipv4()) {
        // Several clusters may live on loopback: there, another's task is not ours.
        Some(own) if own.is_loopback() => vec![own],
        Some(own) => vec![own, loopback],
        None => vec![loopback],
    }
}

/// What was at the bottom of it, as in "connection refused".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// The beginning of it, as far as anybody reads it.
async fn read(mut answer: reqwest::Response) -> Result<PageAnswer, String> {
    let status = answer.status().as_u16();
    let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let mut body = Vec::new();
    while body.len() < BODY_BYTES_MAX {
        let piece = answer.chunk().await.map_err(|cause| innermost(&cause))?;
        let Some(piece) = piece else { break };
        body.extend_from_slice(&piece);
    }
    body.truncate(BODY_BYTES_MAX);
    Ok(PageAnswer { status, content_type, body: String::from_utf8_lossy(&body).into_owned() })
}

/// What `wait` returned for it.
async fn command(
    containers: &Containers,
    container: &ContainerId,
    exec: Exec,
    within: Duration,
) -> Result<i32, String> {
    // Without its control the process is killed.
    let ended = timeout(within, run_in(containers, container, exec)).await;
    ended.unwrap_or_else(|_| {
        Err(format!("the command did not end within {} s", within.as_secs_f64()))
    })
}

/// With what the task has, but for what is said apart.
fn exec(run: &Run, apart: &Apart) -> Exec {
    Exec {
        run: run.clone(),
        environment: apart.environment.clone(),
        user: apart.user.clone(),
        working_dir: None,
        terminal: None,
    }
}

async fn run_in(
    containers: &Containers,
    container: &ContainerId,
    exec: Exec,
) -> Result<i32, String> {
    let session = containers.exec(container, exec).await;
    let session = session.map_err(|cause| format!("running the command: {cause:#}"))?;
    let Streams::Pipes { stdin, stdout, stderr } = session.streams else {
        return Err("running the command: it got a terminal that nobody asked for".to_owned());
    };
    drop(stdin);
    let mut control = session.control;
    let drained = async {
        tokio::join!(drain(stdout), drain(stderr));
        // What it left behind may hold the pipes open, or close them early: only its end counts.
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = control.wait() => ended,
        () = drained => return Err("its output ended before it did".to_owned()),
    };
    ended.map_err(|cause| format!("running the command: {cause:#}"))
}

fn how(wait_status: i32) -> String {
    match wait_status & 0x7f {
        0 => format!("status {}", wait_status >> 8 & 0xff),
        signal => format!("signal {signal}"),
    }
}

async fn drain(mut from: impl AsyncRead + Unpin) {
    if let Err(cause) = tokio::io::copy(&mut from, &mut sink()).await {
        tracing::debug!(%cause, "the output of a health check is lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_listen_at_the_agents_address_or_on_loopback() {
        let check = |own: &str, family: Family, expected: &[&str]| {
            let own = own.parse().ok();
            let found: Vec<_> = addresses(own, family).iter().map(IpAddr::to_string).collect();
            assert_eq!(found, expected, "{own:?}");
        };
        check("none", Family::Ipv4, &["127.0.0.1"]);
        check("10.0.0.1", Family::Ipv4, &["10.0.0.1", "127.0.0.1"]);
        check("127.0.0.9", Family::Ipv4, &["127.0.0.9"]);
        check("127.0.0.9", Family::Ipv6, &["::1"]);
    }

    #[test]
    fn a_page_has_an_address_whatever_its_path() {
        let check = |path: &str, ip: &str, url: &str| {
            let page = Page { scheme: Scheme::Http, port: 80, path, ignore_1xx: false };
            assert_eq!(page.url(ip.parse().expect("an ip")), url);
        };
        check("/a?b=c", "127.0.0.1", "http://127.0.0.1:80/a?b=c");
        check("a", "::1", "http://[::1]:80/a");
        check("", "127.0.0.1", "http://127.0.0.1:80/");
    }

    #[test]
    fn success_and_redirection_are_healthy() {
        let check = |status: u16, ignore_1xx: bool, answer: Option<Answer>| {
            let page = Page { scheme: Scheme::Http, port: 80, path: "/", ignore_1xx };
            assert_eq!(page.judge("u", status).ok(), answer, "{status}");
        };
        check(200, false, Some(Answer::Passed));
        check(302, false, Some(Answer::Passed));
        check(404, false, None);
        check(503, false, None);
        check(101, false, None);
        check(101, true, Some(Answer::Ignored));
    }
}
