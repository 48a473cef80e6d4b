//! Where the containers of a pod accept connections.

use services::spec::network::{Network, NetworkMode};
use services::spec::pod::{Endpoint, PodContainer};

use super::super::faults::Faults;
use super::{distinct, is_on_host, name};
use crate::marathon::pod as written;

pub(super) fn judge(
    container: &written::PodContainer,
    networks: &[Network],
    faults: &mut Faults,
) -> Vec<Endpoint> {
    let all = container.endpoints.iter().flatten().enumerate();
    all.map(|(n, one)| {
        faults.within(&format!("/endpoints({n})"), |faults| judge_one(one, networks, faults))
    })
    .collect()
}

fn judge_one(one: &written::Endpoint, networks: &[Network], faults: &mut Faults) -> Endpoint {
    let named = networks.iter().filter(|network| network.mode == NetworkMode::Container).count();
    let endpoint = Endpoint {
        name: name("/name", one.name.as_deref(), faults),
        container_port: one.container_port.map(|port| faults.port("/containerPort", port)),
        // Without a container network there is no other way in than through the agent.
        host_port: match one.host_port {
            Some(port) => Some(faults.port("/hostPort", port)),
            None => (named == 0).then_some(0),
        },
        protocols: protocols(one, faults),
        labels: one.labels.clone().unwrap_or_default(),
        networks: one.network_names.clone().unwrap_or_default(),
    };
    match endpoint.container_port {
        Some(_) if is_on_host(networks) => {
            faults.add("/containerPort", "is not allowed when using host-mode networking");
        }
        None if named > 0 => {
            faults.add("/containerPort", "is required when using container-mode networking");
        }
        Some(_) | None => {}
    }
    for (n, network) in endpoint.networks.iter().enumerate() {
        if !networks.iter().any(|one| one.name.as_ref() == Some(network)) {
            faults.add(format!("/networkNames({n})"), "is not one of the pod's networks");
        }
    }
    if named > 1 && one.host_port.is_some() && endpoint.networks.len() != 1 {
        let message = "networkNames must be a single item list when hostPort is specified and more than 1 container network is defined";
        faults.add("/", message);
    }
    endpoint
}

fn protocols(one: &written::Endpoint, faults: &mut Faults) -> Vec<String> {
    let given = one.protocol.clone().unwrap_or_default();
    if one.protocol.as_ref().is_some_and(Vec::is_empty) {
        return Vec::new();
    }
    for (n, protocol) in given.iter().enumerate() {
        if !["tcp", "udp"].contains(&protocol.as_str()) {
            faults.add(format!("/protocol({n})"), "must be tcp or udp");
        }
    }
    let message = "Duplicate protocols within the same endpoint are not allowed";
    distinct(given.iter(), "/protocol", message, faults);
    given
}

/// What must be unique among all containers of the pod.
pub(super) fn judge_together(containers: &[PodContainer], faults: &mut Faults) {
    let all = || containers.iter().flat_map(|container| &container.endpoints);
    let set = |port: Option<u16>| port.filter(|port| *port != 0);
    let names = all().map(|endpoint| &endpoint.name);
    distinct(names, "/", "endpoint names must be unique across all containers", faults);
    let ports = all().filter_map(|endpoint| set(endpoint.container_port));
    distinct(ports, "/", "container ports must be unique across all containers", faults);
    let ports = all().filter_map(|endpoint| set(endpoint.host_port));
    distinct(ports, "/", "host ports must be unique across all containers", faults);
}
