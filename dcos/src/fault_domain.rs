//! Where agents are: a region and a zone of it. Of several zones the agents of one machine take turns, for trying out.

use anyhow::{Result, bail};
use model::attributes::FaultDomain;
use serde::Deserialize;

/// As it is said: on the command line, in the environment or in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Where {
    pub(crate) region: Option<String>,
    /// One, or several between commas.
    pub(crate) zone: Option<String>,
    /// Of the master, if that is elsewhere than the agents.
    pub(crate) master_region: Option<String>,
}

impl Where {
    /// One for each zone; none if nothing is said.
    pub(crate) fn fault_domains(self) -> Result<Vec<FaultDomain>> {
        let (region, zones) = match (self.region, self.zone) {
            (None, None) => return Ok(Vec::new()),
            (Some(region), Some(zones)) => (region, zones),
            (Some(_), None) => bail!("fault_domain: a region without a zone; give --zone as well"),
            (None, Some(_)) => {
                bail!("fault_domain: a zone without a region; give --region as well")
            }
        };
        let of = |zone: &str| FaultDomain { region: region.clone(), zone: zone.to_owned() };
        let domains: Vec<FaultDomain> = zones.split(',').map(|zone| of(zone.trim())).collect();
        if region.is_empty() || domains.iter().any(|domain| domain.zone.is_empty()) {
            bail!("fault_domain: region {region:?} and zone {zones:?} must have names");
        }
        Ok(domains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_and_its_zones_are_named_together() {
        let check = |region: Option<&str>, zone: Option<&str>, expected: Result<&[&str], &str>| {
            let [region, zone] = [region, zone].map(|text| text.map(str::to_owned));
            let domains = Where { region, zone, master_region: None }.fault_domains();
            match (domains, expected) {
                (Ok(domains), Ok(expected)) => {
                    assert!(domains.iter().all(|domain| domain.region == "eu"));
                    let zones: Vec<&str> = domains.iter().map(|one| one.zone.as_str()).collect();
                    assert_eq!(zones, expected);
                }
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (domains, expected) => panic!("{domains:?}, not {expected:?}"),
            }
        };
        check(None, None, Ok(&[]));
        check(Some("eu"), Some("a"), Ok(&["a"]));
        check(Some("eu"), Some("a, b"), Ok(&["a", "b"]));
        check(Some("eu"), None, Err("--zone"));
        check(None, Some("a"), Err("--region"));
        check(Some("eu"), Some("a,,b"), Err("must have names"));
        check(Some(""), Some("a"), Err("must have names"));
    }
}
