//! Logins for somebody else who pulls: the same that our own pulls use.

use std::fmt;

use oci_client::secrets::RegistryAuth;

use crate::credentials::{self, Sources};
use crate::{PullError, Store, name};

/// For one image.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub registry: String,
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a login of {} at {}", self.user, self.registry)
    }
}

impl Store {
    /// An image's full name, and what its registry is shown, if anything: of the task's own `config.json`, else of the
    /// operator's.
    pub async fn login(
        &self,
        image: &str,
        own: Option<&str>,
    ) -> Result<(String, Option<Login>), PullError> {
        let config = &self.inner().config;
        let reference = name::parse(image, config)?;
        let sources = Sources { own, file: config.credentials.as_deref() };
        // Its mirrors are not for others, who have their own.
        let asked = name::sources(&reference, config);
        let host = asked.last().map_or(reference.registry(), |asked| asked.registry());
        let found = credentials::login(sources, host, reference.repository()).await;
        let refused = |cause| PullError::Unauthorized {
            image: image.to_owned(),
            registry: host.to_owned(),
            cause,
        };
        let login = match found.map_err(refused)? {
            RegistryAuth::Basic(user, password) => {
                Some(Login { registry: reference.registry().to_owned(), user, password })
            }
            RegistryAuth::Anonymous | RegistryAuth::Bearer(_) => None,
        };
        Ok((reference.whole(), login))
    }
}
