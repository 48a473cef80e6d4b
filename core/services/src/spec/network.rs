//! Which networks an app's or pod's containers are in.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Network {
    #[n(0)]
    pub mode: NetworkMode,
    /// Of a container network.
    #[n(1)]
    pub name: Option<String>,
    #[n(2)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum NetworkMode {
    /// The agent's own.
    #[n(0)]
    Host,
    #[n(1)]
    Bridge,
    #[n(2)]
    Container,
}

/// How a port of a container with an address of its own is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct PortMapping {
    /// 0: the same number as the host port.
    #[n(0)]
    pub container_port: u16,
    /// 0: chosen by us. Unset: it has none.
    #[n(1)]
    pub host_port: Option<u16>,
    /// Container networks that it belongs to; none named: all.
    #[n(2)]
    pub networks: Vec<String>,
}
