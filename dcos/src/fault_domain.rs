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
    pub(crate) master_zone: Option<String>,
}

/// Where the master is: with the first of the agents, unless it is said to be elsewhere. Of a region without a zone
/// nobody is told.
pub(crate) fn of_master(
    region: Option<String>,
    zone: Option<String>,
    first: Option<&FaultDomain>,
) -> Option<FaultDomain> {
    let region = region.or_else(|| first.map(|first| first.region.clone()))?;
    let with_agents = first.filter(|first| first.region == region).map(|first| first.zone.clone());
    Some(FaultDomain { zone: zone.or(with_agents)?, region })
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
    fn the_master_is_with_the_first_agent_unless_it_is_elsewhere() {
        let first = FaultDomain { region: "eu".to_owned(), zone: "a".to_owned() };
        let check = |region: Option<&str>, zone: Option<&str>, expected: Option<(&str, &str)>| {
            let [region, zone] = [region, zone].map(|text| text.map(str::to_owned));
            let found = of_master(region, zone, Some(&first));
            let found = found.as_ref().map(|one| (one.region.as_str(), one.zone.as_str()));
            assert_eq!(found, expected);
        };
        check(None, None, Some(("eu", "a")));
        check(Some("eu"), None, Some(("eu", "a")));
        check(None, Some("b"), Some(("eu", "b")));
        check(Some("us"), Some("b"), Some(("us", "b")));
        check(Some("us"), None, None);
        assert_eq!(of_master(None, None, None), None);
    }

    #[test]
    fn a_region_and_its_zones_are_named_together() {
        let check = |region: Option<&str>, zone: Option<&str>, expected: Result<&[&str], &str>| {
            let [region, zone] = [region, zone].map(|text| text.map(str::to_owned));
            let domains = Where { region, zone, ..Where::default() }.fault_domains();
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
