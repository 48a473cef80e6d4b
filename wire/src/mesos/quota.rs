//! Quotas and weights: what operators send, and what `/quota` and the v1 API tell.

use std::collections::BTreeMap;

use kernel::operator::Order;
use kernel::quota::{Quantities, Quota};
use kernel::view::View;
use mesos_v1::quota::{QuotaConfig, QuotaInfo, QuotaRequest, QuotaStatus};
use mesos_v1::{Resource, WeightInfo, value};
use model::id::Role;
use model::resources::{ResourceName, Scalar};

/// Everything that is wrong with a request.
pub type Faults = Vec<String>;

/// The body of `POST /quota`, and of the call SET_QUOTA.
pub fn set(request: QuotaRequest) -> Result<Order, Faults> {
    let mut faults = Vec::new();
    if request.role.as_deref().is_none_or(str::is_empty) {
        faults.push("the role is missing".to_owned());
    }
    if request.guarantee.is_empty() {
        faults.push("guarantee names no resource".to_owned());
    }
    let mut guarantees = BTreeMap::new();
    for resource in &request.guarantee {
        match guarantee(resource) {
            Ok((name, amount)) => {
                if guarantees.insert(name.clone(), amount).is_some() {
                    faults.push(format!("{name} is named twice"));
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Order::SetQuota {
        role: Role::new(request.role.unwrap_or_default()),
        guarantees: guarantees.into_iter().collect(),
        force: request.force.unwrap_or_default(),
    })
}

fn guarantee(resource: &Resource) -> Result<(ResourceName, Scalar), String> {
    let name = &resource.name;
    let Some(scalar) = &resource.scalar else {
        return Err(format!("{name} is not a number: only scalars can be guaranteed"));
    };
    let reserved = !resource.reservations.is_empty() || !matches!(resource.role(), "" | "*");
    if reserved || resource.disk.is_some() || resource.revocable.is_some() {
        return Err(format!("{name} is reserved, a volume or revocable: name plain resources"));
    }
    Ok((ResourceName::from(name.as_str()), quantity(name, scalar.value)?))
}

fn quantity(name: &str, value: f64) -> Result<Scalar, String> {
    Scalar::from_f64(value).ok_or_else(|| format!("{value} is no amount of {name}"))
}

/// The call UPDATE_QUOTA.
pub fn update(configs: Vec<QuotaConfig>, force: bool) -> Result<Order, Faults> {
    let mut faults = Vec::new();
    let mut quotas = Vec::new();
    for config in configs {
        let limits = quantities(config.limits, &mut faults);
        let guarantees = quantities(config.guarantees, &mut faults);
        quotas.push((Role::new(config.role), Quota { limits, guarantees }));
    }
    if faults.is_empty() { Ok(Order::UpdateQuota { quotas, force }) } else { Err(faults) }
}

fn quantities(
    all: impl IntoIterator<Item = (String, value::Scalar)>,
    faults: &mut Faults,
) -> Quantities {
    let mut read = BTreeMap::new();
    for (name, scalar) in all {
        match quantity(&name, scalar.value) {
            Ok(amount) => drop(read.insert(ResourceName::from(name.as_str()), amount)),
            Err(fault) => faults.push(fault),
        }
    }
    read.into_iter().collect()
}

/// The body of `PUT /weights`, and the call UPDATE_WEIGHTS.
pub fn weights(infos: Vec<WeightInfo>) -> Result<Order, Faults> {
    let mut faults = Vec::new();
    let mut weights = Vec::new();
    for info in infos {
        let role = info.role.unwrap_or_default();
        match Scalar::from_f64(info.weight) {
            Some(weight) => weights.push((Role::new(role), weight)),
            None => faults.push(format!("{} is no weight of role {role}", info.weight)),
        }
    }
    if faults.is_empty() { Ok(Order::UpdateWeights(weights)) } else { Err(faults) }
}

/// What `GET /quota` and GET_QUOTA tell.
pub fn status(view: &View) -> QuotaStatus {
    let (infos, configs) =
        view.quotas.iter().map(|(role, quota)| (info(role, quota), config(role, quota))).unzip();
    #[expect(deprecated, reason = "older clients read nothing else")]
    QuotaStatus { infos, configs }
}

fn info(role: &Role, quota: &Quota) -> QuotaInfo {
    let resource = |(name, amount): (&ResourceName, Scalar)| Resource {
        name: name.to_string(),
        r#type: mesos_v1::value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value: amount.as_f64() }),
        ..Resource::default()
    };
    QuotaInfo {
        role: Some(role.to_string()),
        principal: None,
        guarantee: quota.guarantees.iter().map(resource).collect(),
    }
}

fn config(role: &Role, quota: &Quota) -> QuotaConfig {
    let scalar = |(name, amount): (&ResourceName, Scalar)| {
        (name.to_string(), value::Scalar { value: amount.as_f64() })
    };
    QuotaConfig {
        role: role.to_string(),
        guarantees: quota.guarantees.iter().map(scalar).collect(),
        limits: quota.limits.iter().map(scalar).collect(),
    }
}

/// What GET_WEIGHTS tells.
pub fn weight_infos(view: &View) -> Vec<WeightInfo> {
    let info = |(role, weight): (&Role, &Scalar)| WeightInfo {
        role: Some(role.to_string()),
        weight: weight.as_f64(),
    };
    view.weights.iter().map(info).collect()
}
