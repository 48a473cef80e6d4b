//! A check whose result is shown and changes nothing; health checks decide over life, this one does not.

use std::time::Duration;

use minicbor::{Decode, Encode};
use model::container::Scheme;

use super::CheckPort;
use super::pod::Command;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Check {
    #[n(0)]
    pub kind: Kind,
    #[n(1)]
    pub interval: Duration,
    #[n(2)]
    pub timeout: Duration,
    #[n(3)]
    pub delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Kind {
    #[n(0)]
    Http {
        #[n(0)]
        scheme: Scheme,
        #[n(1)]
        path: Option<String>,
        /// Unset: the app's only port.
        #[n(2)]
        port: Option<CheckPort>,
    },
    #[n(1)]
    Tcp {
        #[n(0)]
        port: Option<CheckPort>,
    },
    #[n(2)]
    Command(#[n(0)] Command),
}
