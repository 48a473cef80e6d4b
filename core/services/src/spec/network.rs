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
