//! How resources are spelled where operators give them, and in messages.

use std::fmt;
use std::str::FromStr;

use super::{
    Amount, BadResources, DiskKind, DiskSource, Reservation, ReservationKind, Resource,
    ResourceName, Resources,
};
use crate::id::Role;

impl fmt::Display for Resources {
    /// The spelling of Mesos' `--resources`, which [`parse`](FromStr) reads back if nothing was reserved or made a
    /// volume since; what was is marked as Mesos marks it in its logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, one) in self.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { ";" })?;
            f.write_str(one.name.as_str())?;
            write_marks(f, one)?;
            match &one.amount {
                Amount::Scalar(scalar) => write!(f, ":{scalar}")?,
                Amount::Ranges(ranges) => write!(f, ":{ranges}")?,
                Amount::Set(set) => {
                    write!(f, ":{{{}}}", set.iter().cloned().collect::<Vec<_>>().join(","))?
                }
            }
        }
        Ok(())
    }
}

/// Whom it is set aside for, and what else is special about it.
fn write_marks(f: &mut fmt::Formatter<'_>, one: &Resource) -> fmt::Result {
    match one.reservations.as_slice() {
        [] => (),
        [Reservation { kind: ReservationKind::Static, role, .. }] => write!(f, "({role})")?,
        stack => {
            let spelled: Vec<String> = stack.iter().map(reservation).collect();
            write!(f, "(reservations: [{}])", spelled.join(","))?;
        }
    }
    if let Some(disk) = &one.disk {
        let source = disk.source.as_ref().map(source);
        let id = disk.persistence.as_ref().map(|persistence| persistence.id.clone());
        let path = disk.volume.as_ref().map(|volume| volume.container_path.clone());
        let volume = id.map(|id| [Some(id), path].into_iter().flatten().collect::<Vec<_>>());
        let parts = source.into_iter().chain(volume.map(|volume| volume.join(":")));
        write!(f, "[{}]", parts.collect::<Vec<_>>().join(","))?;
    }
    f.write_str(if one.revocable { "{REV}" } else { "" })?;
    f.write_str(if one.shared { "<SHARED>" } else { "" })
}

fn reservation(one: &Reservation) -> String {
    let kind = match one.kind {
        ReservationKind::Static => "STATIC",
        ReservationKind::Dynamic => "DYNAMIC",
    };
    let principal = one.principal.iter().map(|principal| format!(",{principal}"));
    format!("({kind},{}{})", one.role, principal.collect::<String>())
}

fn source(source: &DiskSource) -> String {
    let kind = match source.kind {
        DiskKind::Unknown => "UNKNOWN",
        DiskKind::Path => "PATH",
        DiskKind::Mount => "MOUNT",
        DiskKind::Block => "BLOCK",
        DiskKind::Raw => "RAW",
    };
    [Some(kind), source.root.as_deref(), source.id.as_deref()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(":")
}

impl FromStr for Resources {
    type Err = BadResources;

    /// `cpus:4;mem:8192;ports:[31000-32000];cpus(slave_public):2;zones:{a,b}`.
    fn from_str(text: &str) -> Result<Self, BadResources> {
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        let mut bag = Self::default();
        for part in parts {
            let one = parse_one(part)?;
            if bag.iter().any(|other| other.name == one.name && other.role() == one.role()) {
                return Err(BadResources::new(part, "is given twice"));
            }
            bag.add_one(&one);
        }
        Ok(bag)
    }
}

fn parse_one(text: &str) -> Result<Resource, BadResources> {
    let bad = |cause| BadResources::new(text, cause);
    let (name, amount) =
        text.split_once(':').ok_or_else(|| bad("is not of the form name:amount"))?;
    let (name, reserved) = match name.split_once('(') {
        None => (name, None),
        Some((name, role)) => {
            let role = role
                .trim_end()
                .strip_suffix(')')
                .ok_or_else(|| bad("lacks a closing parenthesis"))?;
            (name, (role != "*").then(|| Role::new(role)))
        }
    };
    let (name, amount) = (ResourceName::from(name.trim()), amount.trim());
    let amount = if amount.starts_with('[') {
        Amount::Ranges(amount.parse()?)
    } else if let Some(inner) = amount.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Amount::Set(
            inner
                .split(',')
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect(),
        )
    } else {
        Amount::Scalar(amount.parse()?)
    };
    let fits = match (&name, &amount) {
        (ResourceName::Ports, Amount::Ranges(_)) => true,
        (ResourceName::Ports, Amount::Scalar(_) | Amount::Set(_)) => false,
        (
            ResourceName::Cpus | ResourceName::Mem | ResourceName::Disk | ResourceName::Gpus,
            given,
        ) => {
            matches!(given, Amount::Scalar(_))
        }
        (ResourceName::Other(_), _) => true,
    };
    if !fits {
        return Err(bad(
            "has the wrong type: cpus, mem, disk and gpus are numbers, ports are ranges",
        ));
    }
    Ok(Resource::reserved(name, amount, reserved))
}
