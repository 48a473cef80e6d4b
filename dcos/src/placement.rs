//! Where apps go that do not say it themselves: the part of the settings that Marathon had as flags.

use std::time::Duration;

use placement::fit::GpuUse;
use serde::Deserialize;
use services::AcceptedByDefault;

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Placement {
    /// Apps that name no region or zone stay here. Unset, they run in any region.
    home_region: Option<String>,
    gpu_scheduling_behavior: Gpus,
    accepted_resource_roles_default_behavior: Accepted,
    /// An agent gets nothing new so long before its maintenance.
    draining_seconds: u64,
}

/// What becomes of agents with gpus where an app needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Gpus {
    /// They are kept for those who do.
    #[default]
    Restricted,
    #[serde(alias = "undefined")]
    Unrestricted,
}

/// Whose resources an app takes that does not say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Accepted {
    #[default]
    Unreserved,
    Reserved,
    Any,
}

impl Placement {
    pub(crate) fn config(&self) -> services::Config {
        services::Config {
            home_region: self.home_region.clone(),
            gpus: match self.gpu_scheduling_behavior {
                Gpus::Restricted => GpuUse::Restricted,
                Gpus::Unrestricted => GpuUse::Unrestricted,
            },
            accepted_by_default: match self.accepted_resource_roles_default_behavior {
                Accepted::Unreserved => AcceptedByDefault::Unreserved,
                Accepted::Reserved => AcceptedByDefault::Reserved,
                Accepted::Any => AcceptedByDefault::Any,
            },
            draining_time: Duration::from_secs(self.draining_seconds),
            ..services::Config::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> services::Config {
        serde_saphyr::from_str::<Placement>(text).expect(text).config()
    }

    #[test]
    fn marathons_flags_have_marathons_defaults() {
        assert_eq!(config("{}"), services::Config::default());
        let all = config(
            "{home_region: eu, gpu_scheduling_behavior: unrestricted, draining_seconds: 60, \
             accepted_resource_roles_default_behavior: any}",
        );
        assert_eq!((all.home_region.as_deref(), all.gpus), (Some("eu"), GpuUse::Unrestricted));
        assert_eq!(all.accepted_by_default, AcceptedByDefault::Any);
        assert_eq!(all.draining_time, Duration::from_secs(60));
        let reserved = config("{accepted_resource_roles_default_behavior: reserved}");
        assert_eq!(reserved.accepted_by_default, AcceptedByDefault::Reserved);
        assert_eq!(config("{gpu_scheduling_behavior: undefined}").gpus, GpuUse::Unrestricted);
    }
}
