//! Port definitions and networks: host networking, with the old spellings rewritten.

use std::collections::BTreeSet;

use services::spec::PortDefinition;

use super::faults::Faults;
use crate::marathon::app::{App, Network, PortDefinition as Written};
use crate::marathon::number::Whole;

const PROTOCOLS: [&str; 3] = ["tcp", "udp", "udp,tcp"];

/// The ports of an app on the host network; one, if nothing is said of them.
pub(super) fn judge(app: &App, faults: &mut Faults) -> Vec<PortDefinition> {
    networks(app, faults);
    let definitions = match (&app.port_definitions, &app.ports) {
        (Some(definitions), ports) => {
            agree(definitions, ports.as_deref(), faults);
            all(definitions, faults)
        }
        (None, Some(ports)) => from_numbers(ports, faults),
        (None, None) => vec![default_port()],
    };
    let distinct =
        |numbers: Vec<u16>| numbers.iter().collect::<BTreeSet<_>>().len() == numbers.len();
    if !distinct(definitions.iter().map(|one| one.port).filter(|port| *port != 0).collect()) {
        faults.add("/portDefinitions", "Ports must be unique.");
    }
    let names: Vec<&String> = definitions.iter().filter_map(|one| one.name.as_ref()).collect();
    if names.iter().collect::<BTreeSet<_>>().len() != names.len() {
        faults.add("/portDefinitions", "Port names must be unique.");
    }
    definitions
}

fn default_port() -> PortDefinition {
    PortDefinition {
        port: 0,
        name: Some("default".to_owned()),
        protocol: "tcp".to_owned(),
        labels: Default::default(),
        mapping: None,
    }
}

/// Both spellings may be given if they say the same.
fn agree(definitions: &[Written], ports: Option<&[Whole]>, faults: &mut Faults) {
    let Some(ports) = ports else { return };
    let numbers = definitions.iter().map(|one| one.port.unwrap_or_default());
    if !numbers.eq(ports.iter().copied()) {
        faults.add("/", "cannot specify both ports and port definitions");
    }
}

fn from_numbers(ports: &[Whole], faults: &mut Faults) -> Vec<PortDefinition> {
    let definition = |(n, port): (usize, &Whole)| PortDefinition {
        port: faults.port(&format!("/ports({n})"), *port),
        name: None,
        ..default_port()
    };
    ports.iter().enumerate().map(definition).collect()
}

fn all(definitions: &[Written], faults: &mut Faults) -> Vec<PortDefinition> {
    let mut ports = Vec::with_capacity(definitions.len());
    for (n, written) in definitions.iter().enumerate() {
        let path = format!("/portDefinitions({n})");
        if written.name.as_deref().is_some_and(|name| !is_name(name)) {
            faults.add(
                format!("{path}/name"),
                "must consist of lower-case letters, digits and dashes, and neither begin nor end with a dash",
            );
        }
        let protocol = written.protocol.as_deref().unwrap_or("tcp");
        if !PROTOCOLS.contains(&protocol) {
            faults.add(format!("{path}/protocol"), "must be one of tcp, udp and udp,tcp");
        }
        ports.push(PortDefinition {
            port: faults.port(&format!("{path}/port"), written.port.unwrap_or_default()),
            name: written.name.clone(),
            protocol: protocol.to_owned(),
            labels: written.labels.clone().unwrap_or_default(),
            mapping: None,
        });
    }
    ports
}

fn is_name(text: &str) -> bool {
    let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.bytes().all(legal) && !text.starts_with('-') && !text.ends_with('-')
}

fn networks(app: &App, faults: &mut Faults) {
    let networks = app.networks.as_deref().unwrap_or_default();
    for (n, network) in networks.iter().enumerate() {
        judge_network(&format!("/networks({n})"), network, faults);
    }
    if networks.len() > 1 {
        faults.add(
            "/networks",
            "May specify a single host network, single bridge network, or else 1-to-n container networks",
        );
    }
    let docker = app.container.as_ref().and_then(|container| container.docker.as_ref());
    match docker.and_then(|docker| docker.network.as_deref()) {
        None => {}
        Some(_) if !networks.is_empty() => {
            faults.add("/", "must not specify both container.docker.network and networks");
        }
        Some("HOST") => {}
        Some(other @ ("BRIDGE" | "USER" | "NONE")) => {
            faults.add(
                "/container/docker/network",
                format!("{other} is not supported yet: use HOST"),
            );
        }
        Some(_) => {
            faults.add("/container/docker/network", "must be one of BRIDGE, HOST, NONE and USER");
        }
    }
}

fn judge_network(path: &str, network: &Network, faults: &mut Faults) {
    match network.mode.as_deref().unwrap_or("container") {
        "host" => {
            let named = network.name.as_ref().is_some_and(|name| !name.is_empty());
            if named || network.labels.as_ref().is_some_and(|labels| !labels.is_empty()) {
                faults.add("/networks", "Host networks may not have names or labels");
            }
        }
        mode @ ("container" | "container/bridge") => {
            faults.add(format!("{path}/mode"), format!("{mode} is not supported yet: use host"));
        }
        _ => faults
            .add(format!("{path}/mode"), "must be one of container, container/bridge and host"),
    }
}
