//! Marathon's older spellings, rewritten to today's before anything else is judged: `uris`, `ports`, `ipAddress`,
//! `container.docker.network` and `container.docker.portMappings`. Contradictions between old and new are faults.

use services::Fault;

use super::faults::Faults;
use crate::marathon::app::{App, Artifact, Network, PortDefinition};
use crate::marathon::container::Container;
use crate::marathon::network::{IpAddress, IpDiscoveryPort, PortMapping};
use crate::marathon::number::Whole;

/// What Marathon unpacks if it came as one of the old `uris`.
const ARCHIVES: [&str; 9] =
    [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip"];
/// An `ipAddress` with this network meant the bridge (`--mesos_bridge_name`).
const BRIDGE_NAME: &str = "mesos-bridge";

const HOST: &str = "host";
const BRIDGE: &str = "container/bridge";
const CONTAINER: &str = "container";

/// Which old spellings a body uses, so that faults are told where its author looks for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spelling {
    uris: bool,
    ports: bool,
    docker_mappings: bool,
}

impl Spelling {
    pub(super) fn of(app: &App) -> Self {
        let docker = app.container.as_ref().and_then(|container| container.docker.as_ref());
        Self {
            uris: app.uris.as_ref().is_some_and(|uris| !uris.is_empty()),
            ports: app.ports.is_some() && app.port_definitions.is_none(),
            docker_mappings: docker.is_some_and(|docker| docker.port_mappings.is_some()),
        }
    }

    pub(super) fn locate(self, faults: Vec<Fault>) -> Vec<Fault> {
        faults
            .into_iter()
            .map(|Fault { path, message }| Fault { path: self.path(path), message })
            .collect()
    }

    /// `/fetch(1)/uri` is `/uris(1)` to who wrote `uris`.
    fn path(self, path: String) -> String {
        let moved = |from: &str, field: &str, to: &str| {
            let index = path.strip_prefix(from)?.strip_suffix(field)?;
            index.starts_with('(').then(|| format!("{to}{index}"))
        };
        let docker = "/container/docker/portMappings";
        let moved = match path.strip_prefix("/container/portMappings") {
            Some(rest) if self.docker_mappings => Some(format!("{docker}{rest}")),
            Some(_) => None,
            None if self.uris && path.starts_with("/fetch") => moved("/fetch", "/uri", "/uris"),
            None if self.ports => moved("/portDefinitions", "/port", "/ports"),
            None => None,
        };
        moved.unwrap_or(path)
    }
}

/// A definition in today's spelling, with the ports that Marathon adds where nothing is said of them.
pub(super) fn rewrite(app: App, faults: &mut Faults) -> App {
    let mut app = translate(app, faults);
    if !is_elsewhere(&app) {
        if let Some(container) = &mut app.container {
            container.port_mappings = None;
        }
        app.port_definitions = Some(app.port_definitions.unwrap_or_else(|| vec![one_definition()]));
        return app;
    }
    let wanted = app.port_definitions.take().map_or(0, |all| all.len());
    let bridge = app.networks.iter().flatten().any(|network| mode(network) == BRIDGE);
    let container = app.container.get_or_insert_with(mesos);
    let mappings = container.port_mappings.get_or_insert_with(|| vec![one_mapping()]);
    // There are as many mappings as ports were asked for, at least.
    mappings.resize_with(wanted.max(mappings.len()), PortMapping::default);
    if bridge {
        for mapping in mappings {
            mapping.host_port.get_or_insert(Whole(0));
        }
    }
    app.require_ports = None;
    app
}

/// An update in today's spelling. Nothing is added to what it says: that is judged with the app that it changes.
pub(super) fn translate(app: App, faults: &mut Faults) -> App {
    let fetch = fetch(&app, faults);
    let networks = networks(&app, faults);
    let container = container(&app, faults);
    let port_definitions = port_definitions(&app, faults);
    App {
        fetch,
        uris: None,
        networks,
        ip_address: None,
        container,
        port_definitions,
        ports: None,
        ..app
    }
}

/// Whether the app has networks other than the agent's own.
fn is_elsewhere(app: &App) -> bool {
    app.networks.iter().flatten().any(|network| mode(network) != HOST)
}

fn mode(network: &Network) -> &str {
    network.mode.as_deref().unwrap_or(CONTAINER)
}

fn one_definition() -> PortDefinition {
    PortDefinition { name: Some("default".to_owned()), ..PortDefinition::default() }
}

fn one_mapping() -> PortMapping {
    PortMapping { name: Some("default".to_owned()), ..PortMapping::default() }
}

fn mesos() -> Container {
    Container { kind: Some("MESOS".to_owned()), ..Container::default() }
}

fn fetch(app: &App, faults: &mut Faults) -> Option<Vec<Artifact>> {
    let uris = app.uris.as_deref().unwrap_or_default();
    if uris.is_empty() {
        return app.fetch.clone();
    }
    if app.fetch.as_ref().is_some_and(|fetch| !fetch.is_empty()) {
        faults.add("/uris", "may not be set in conjunction with fetch");
    }
    let artifact = |uri: &String| Artifact {
        uri: uri.clone(),
        extract: Some(is_archive(uri)),
        ..Artifact::default()
    };
    Some(uris.iter().map(artifact).collect())
}

fn is_archive(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    ARCHIVES.iter().any(|ending| path.ends_with(ending))
}

fn networks(app: &App, faults: &mut Faults) -> Option<Vec<Network>> {
    let docker = app.container.as_ref().and_then(|container| container.docker.as_ref());
    let word = docker.and_then(|docker| docker.network.as_deref());
    let named = app.networks.as_ref().is_some_and(|all| !all.is_empty());
    if named && word.is_some() {
        faults.add("/", "must not specify both container.docker.network and networks");
    }
    if named && app.ip_address.is_some() {
        faults.add("/", "must not specify both networks and ipAddress");
    }
    let labels = app.ip_address.as_ref().and_then(|address| address.labels.clone());
    let network = |mode: &str, name| {
        let labels = labels.clone().filter(|_| mode != HOST);
        Some(vec![Network { mode: Some(mode.to_owned()), name, labels }])
    };
    let name = app.ip_address.as_ref().and_then(|address| address.network_name.clone());
    match (word, &app.ip_address) {
        (None, None) => app.networks.clone(),
        (Some("HOST"), _) => network(HOST, None),
        (Some("BRIDGE"), _) => network(BRIDGE, None),
        (None, Some(_)) if name.as_deref() == Some(BRIDGE_NAME) => network(BRIDGE, None),
        (Some("USER"), _) | (None, Some(_)) => network(CONTAINER, name),
        (Some("NONE"), _) => {
            faults.add("/container/docker/network", "unsupported docker network type NONE");
            None
        }
        (Some(_), _) => {
            let message = "must be one of BRIDGE, HOST, NONE and USER";
            faults.add("/container/docker/network", message);
            None
        }
    }
}

fn container(app: &App, faults: &mut Faults) -> Option<Container> {
    let written = app.container.clone();
    // Who asks for an address without a container asks for a container that has one.
    let mut container = written.or_else(|| app.ip_address.as_ref().map(|_| mesos()))?;
    if let Some(docker) = &mut container.docker {
        if container.kind.as_deref() == Some("MESOS") {
            not_for_mesos("network", docker.network.is_some(), faults);
            let mappings = docker.port_mappings.as_ref().is_some_and(|all| !all.is_empty());
            not_for_mesos("portMappings", mappings, faults);
        }
        docker.network = None;
        if let Some(mappings) = docker.port_mappings.take() {
            match &container.port_mappings {
                Some(_) if !mappings.is_empty() => faults
                    .add("/container", "cannot specify both portMappings and docker.portMappings"),
                Some(_) => {}
                None => container.port_mappings = Some(mappings),
            }
        }
    }
    discovery(app, &mut container, faults);
    Some(container)
}

fn not_for_mesos(name: &str, given: bool, faults: &mut Faults) {
    if given {
        faults.add(format!("/container/docker/{name}"), "must be empty");
    }
}

/// The ports of `ipAddress.discovery`, which have no ports on the agent.
fn discovery(app: &App, container: &mut Container, faults: &mut Faults) {
    let Some(IpAddress { discovery: Some(discovery), .. }) = &app.ip_address else { return };
    if container.kind.as_deref() != Some("MESOS") {
        faults.add("/ipAddress", "ipAddress/discovery is not allowed for Docker containers");
    }
    let ports = discovery.ports.as_deref().unwrap_or_default();
    if ports.is_empty() {
        return;
    }
    if container.port_mappings.is_some() {
        let message = "container.portMappings and ipAddress.discovery.ports must not both be set";
        faults.add("/", message);
    }
    let mapping = |port: &IpDiscoveryPort| PortMapping {
        container_port: Some(port.number.unwrap_or_default()),
        name: port.name.clone(),
        protocol: port.protocol.clone(),
        labels: port.labels.clone(),
        ..PortMapping::default()
    };
    container.port_mappings = Some(ports.iter().map(mapping).collect());
}

/// Both spellings may be given if they say the same.
fn port_definitions(app: &App, faults: &mut Faults) -> Option<Vec<PortDefinition>> {
    let ports = app.ports.as_deref();
    let some = |given: usize| given > 0;
    let count = app.port_definitions.as_ref().map_or(0, Vec::len);
    if app.ip_address.is_some() && (some(count) || some(ports.unwrap_or_default().len())) {
        faults.add("/", "cannot specify both an IP address and port");
    }
    let Some(definitions) = app.port_definitions.clone() else {
        let definition = |port: &Whole| PortDefinition { port: Some(*port), ..Default::default() };
        return ports.map(|ports| ports.iter().map(definition).collect());
    };
    let numbers = definitions.iter().map(|one| one.port.unwrap_or_default());
    if ports.is_some_and(|ports| !numbers.eq(ports.iter().copied())) {
        faults.add("/", "cannot specify both ports and port definitions");
    }
    Some(definitions)
}
