//! What is offered to whom: the part of the settings that the Mesos master had as flags of its allocator.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kernel::{Fairness, Gpus, OfferRules, Sorter};
use model::framework::Minima;
use model::resources::{ResourceName, Scalar};
use serde::Deserialize;

const OFFER_TIMEOUT_SECS_DEFAULT: u64 = 120;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Allocator {
    /// An offer that nobody has answered by then is taken back.
    offer_timeout_seconds: u64,
    /// Less is not offered: all of `cpus:0.01;mem:32;ports:1`, or all of another such set after a `|`.
    min_allocatable_resources: Option<String>,
    role_sorter: Order,
    framework_sorter: Order,
    /// Agents with gpus are only for frameworks that know what to do with them, and gpus are nobody's share.
    gpus_are_scarce: bool,
    /// What was held counts beside what is held: what is so old counts half.
    fairness_over_seconds: Option<u64>,
}

/// Who is served first: whoever holds the smallest share, or as the lot falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Drf,
    Random,
}

impl Order {
    fn sorter(self) -> Sorter {
        match self {
            Order::Drf => Sorter::Drf,
            Order::Random => Sorter::Random,
        }
    }
}

impl Default for Allocator {
    fn default() -> Self {
        Self {
            offer_timeout_seconds: OFFER_TIMEOUT_SECS_DEFAULT,
            min_allocatable_resources: None,
            role_sorter: Order::Drf,
            framework_sorter: Order::Drf,
            gpus_are_scarce: true,
            fairness_over_seconds: None,
        }
    }
}

impl Allocator {
    /// `region`: where the master is.
    pub(crate) fn config(&self, region: Option<String>) -> Result<kernel::Config> {
        if self.offer_timeout_seconds == 0 {
            bail!("allocator: offer_timeout_seconds is at least 1");
        }
        if self.fairness_over_seconds == Some(0) {
            bail!("allocator: fairness_over_seconds is at least 1, or not set");
        }
        let minima = self.min_allocatable_resources.as_deref().map(minima).transpose()?;
        let gpus = if self.gpus_are_scarce { Gpus::Scarce } else { Gpus::Plenty };
        let rules = OfferRules::default();
        let minima = minima.unwrap_or(rules.minima);
        Ok(kernel::Config {
            offer_timeout: Duration::from_secs(self.offer_timeout_seconds),
            offers: OfferRules { region, gpus, minima },
            fairness: Fairness {
                roles: self.role_sorter.sorter(),
                frameworks: self.framework_sorter.sorter(),
                over: self.fairness_over_seconds.map(Duration::from_secs),
            },
            ..kernel::Config::default()
        })
    }
}

fn minima(text: &str) -> Result<Minima> {
    let sets = text.split('|').filter(|set| !set.trim().is_empty()).map(|set| {
        let amounts = set.split(';').filter(|one| !one.trim().is_empty()).map(amount);
        amounts.collect::<Result<BTreeMap<_, _>>>()
    });
    let all: Result<Minima> = sets.collect();
    all.with_context(|| format!("allocator: min_allocatable_resources: {text:?}"))
}

fn amount(text: &str) -> Result<(ResourceName, Scalar)> {
    let (name, amount) = text.split_once(':').with_context(|| format!("{text:?} has no ':'"))?;
    let amount = amount.trim().parse().with_context(|| format!("{amount:?} is no number"))?;
    Ok((ResourceName::from(name.trim()), amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<kernel::Config> {
        serde_saphyr::from_str::<Allocator>(text).expect(text).config(None)
    }

    #[test]
    fn mesos_flags_have_the_defaults_of_dcos() {
        assert_eq!(config("{}").expect("the defaults"), kernel::Config::default());
        let all = config(
            "{offer_timeout_seconds: 30, role_sorter: random, gpus_are_scarce: false, fairness_over_seconds: 3600, \
             min_allocatable_resources: 'cpus:0.5;mem:64 | disk:100'}",
        );
        let all = all.expect("it makes sense");
        assert_eq!((all.offer_timeout.as_secs(), all.offers.gpus), (30, Gpus::Plenty));
        let over = Some(Duration::from_secs(3_600));
        let fairness = Fairness { roles: Sorter::Random, frameworks: Sorter::Drf, over };
        assert_eq!(all.fairness, fairness);
        let expected = [
            BTreeMap::from([
                (ResourceName::Cpus, Scalar(500)),
                (ResourceName::Mem, Scalar::whole(64)),
            ]),
            BTreeMap::from([(ResourceName::Disk, Scalar::whole(100))]),
        ];
        assert_eq!(all.offers.minima, expected);
        let none = config("{min_allocatable_resources: ''}").expect("no minimum");
        assert_eq!(none.offers.minima, Minima::new());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        let check = |text: &str, words: &str| {
            let refused = format!("{:#}", config(text).expect_err(text));
            assert!(refused.contains("allocator") && refused.contains(words), "{refused}");
        };
        check("{offer_timeout_seconds: 0}", "offer_timeout_seconds");
        check("{fairness_over_seconds: 0}", "fairness_over_seconds");
        check("{min_allocatable_resources: 'cpus'}", "cpus");
        check("{min_allocatable_resources: 'cpus:many'}", "many");
    }
}
