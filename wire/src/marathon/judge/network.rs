//! Which networks an app or a pod is in.

use std::collections::BTreeSet;

use services::spec::network::{Network, NetworkMode};

use super::faults::Faults;
use crate::marathon::app::Network as Written;

/// The name of a container network that is not named (`--default_network_name dcos`).
const DEFAULT_NAME: &str = "dcos";

/// None given is the network of the agent.
pub(super) fn judge(given: &[Written], faults: &mut Faults) -> Vec<Network> {
    let networks: Vec<Network> =
        given.iter().enumerate().map(|(n, one)| judge_one(n, one, faults)).collect();
    let count = |mode| networks.iter().filter(|network| network.mode == mode).count();
    let (host, bridge) = (count(NetworkMode::Host), count(NetworkMode::Bridge));
    if host + bridge > 1 || (host + bridge == 1 && networks.len() > 1) {
        faults.add(
            "/networks",
            "May specify a single host network, single bridge network, or else 1-to-n container networks",
        );
    }
    let names: Vec<_> = networks.iter().filter_map(|network| network.name.as_ref()).collect();
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        faults.add("/networks", "Duplicate networks are not allowed");
    }
    if networks.is_empty() {
        let labels = Default::default();
        return vec![Network { mode: NetworkMode::Host, name: None, labels }];
    }
    networks
}

fn judge_one(n: usize, given: &Written, faults: &mut Faults) -> Network {
    let labels = given.labels.clone().unwrap_or_default();
    let named = given.name.as_ref().is_some_and(|name| !name.is_empty());
    let (mode, name) = match given.mode.as_deref() {
        None | Some("container") => {
            let name = given.name.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned());
            if !is_name(&name) {
                faults.add(format!("/networks({n})/name"), "is not the name of a network");
            }
            (NetworkMode::Container, Some(name))
        }
        Some("container/bridge") => {
            if named {
                faults.add("/networks", "Bridge networks may not have names");
            }
            (NetworkMode::Bridge, None)
        }
        Some("host") => {
            if named || !labels.is_empty() {
                faults.add("/networks", "Host networks may not have names or labels");
            }
            (NetworkMode::Host, None)
        }
        Some(_) => {
            let message = "must be one of container, container/bridge and host";
            faults.add(format!("/networks({n})/mode"), message);
            (NetworkMode::Host, None)
        }
    };
    Network { mode, name, labels }
}

/// What the RAML calls `NetworkName`.
fn is_name(text: &str) -> bool {
    let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_".contains(&c);
    let ends = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= 63
        && text.bytes().all(legal)
        && ends(text.bytes().next())
        && ends(text.bytes().next_back())
}
