//! Ports of the agent, or of containers with addresses of their own. Old spellings were rewritten before.

use std::collections::BTreeSet;

use services::spec::PortDefinition;
use services::spec::network::{Network, NetworkMode, PortMapping};

use super::faults::Faults;
use crate::marathon::app::{App, PortDefinition as Written};
use crate::marathon::network::PortMapping as Mapping;

const PROTOCOLS: [&str; 3] = ["tcp", "udp", "udp,tcp"];

/// The ports that an app has: `networks` says which of the two kinds.
pub(super) fn judge(app: &App, networks: &[Network], faults: &mut Faults) -> Vec<PortDefinition> {
    if networks.iter().all(|network| network.mode == NetworkMode::Host) {
        let written = app.port_definitions.iter().flatten().enumerate();
        let ports: Vec<_> = written.map(|(n, one)| definition(n, one, faults)).collect();
        let numbers = ports.iter().map(|one| one.port).filter(|port| *port != 0);
        distinct(numbers, "/portDefinitions", "Ports must be unique.", faults);
        names_differ(&ports, "/portDefinitions", faults);
        return ports;
    }
    let container = app.container.as_ref();
    let written = container.and_then(|container| container.port_mappings.as_ref());
    let written = written.into_iter().flatten().enumerate();
    let ports: Vec<_> = written.map(|(n, one)| mapping(n, one, networks, faults)).collect();
    names_differ(&ports, "/container/portMappings", faults);
    ports
}

fn names_differ(ports: &[PortDefinition], path: &str, faults: &mut Faults) {
    let names = ports.iter().filter_map(|one| one.name.as_ref());
    distinct(names, path, "Port names must be unique.", faults);
}

fn distinct<T: Ord>(
    mut values: impl Iterator<Item = T>,
    path: &str,
    message: &str,
    faults: &mut Faults,
) {
    let mut seen = BTreeSet::new();
    if !values.all(|value| seen.insert(value)) {
        faults.add(path, message);
    }
}

fn definition(n: usize, written: &Written, faults: &mut Faults) -> PortDefinition {
    let at = format!("/portDefinitions({n})");
    PortDefinition {
        port: faults.port(&format!("{at}/port"), written.port.unwrap_or_default()),
        name: name(&at, written.name.as_ref(), faults),
        protocol: protocol(&at, written.protocol.as_deref(), faults),
        labels: written.labels.clone().unwrap_or_default(),
        mapping: None,
    }
}

fn mapping(n: usize, written: &Mapping, all: &[Network], faults: &mut Faults) -> PortDefinition {
    let at = format!("/container/portMappings({n})");
    let networks = written.network_names.clone().unwrap_or_default();
    let known: Vec<&str> = all.iter().filter_map(|network| network.name.as_deref()).collect();
    for (n, name) in networks.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let message = format!("is not one of ({})", known.join(","));
            faults.add(format!("{at}/networkNames({n})"), message);
        }
    }
    let several = 1 < all.iter().filter(|one| one.mode == NetworkMode::Container).count();
    if several && written.host_port.is_some() && networks.len() != 1 {
        faults.add(
            at.as_str(),
            "networkNames must be a single item list when hostPort is specified and more than 1 container network is \
             defined",
        );
    }
    let mut port = |name: &str, given| faults.port(&format!("{at}/{name}"), given);
    let mapping = PortMapping {
        container_port: port("containerPort", written.container_port.unwrap_or_default()),
        host_port: written.host_port.map(|given| port("hostPort", given)),
        networks,
    };
    PortDefinition {
        port: port("servicePort", written.service_port.unwrap_or_default()),
        name: name(&at, written.name.as_ref(), faults),
        protocol: protocol(&at, written.protocol.as_deref(), faults),
        labels: written.labels.clone().unwrap_or_default(),
        mapping: Some(mapping),
    }
}

fn name(at: &str, given: Option<&String>, faults: &mut Faults) -> Option<String> {
    if given.is_some_and(|name| !is_name(name)) {
        faults.add(
            format!("{at}/name"),
            "must consist of lower-case letters, digits and dashes, and neither begin nor end with a dash",
        );
    }
    given.cloned()
}

/// What the RAML calls `LegacyName`.
pub(super) fn is_name(text: &str) -> bool {
    let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.bytes().all(legal) && !text.starts_with('-') && !text.ends_with('-')
}

fn protocol(at: &str, given: Option<&str>, faults: &mut Faults) -> String {
    let protocol = given.unwrap_or("tcp");
    if !PROTOCOLS.contains(&protocol) {
        faults.add(format!("{at}/protocol"), "must be one of tcp, udp and udp,tcp");
    }
    protocol.to_owned()
}
