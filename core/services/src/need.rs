//! What an app's instances ask of an agent: its spec, and the configuration where the spec says nothing.

use model::id::Role;
use model::resources::Scalar;
use placement::disk::{DiskNeed, Share};
use placement::fit::{GpuUse, Need, Port};
use placement::rule::Rule;

use crate::memory::rules;
use crate::spec::volume::{DiskKind, PersistentVolume};
use crate::spec::{AppSpec, PortDefinition};
use crate::{AcceptedByDefault, Config};

/// Overrides the configuration for one app.
const GPU_LABEL: &str = "GPU_SCHEDULING_BEHAVIOR";

pub(crate) fn need(spec: &AppSpec, config: &Config) -> Need {
    let disk = Scalar(spec.disk.0 + spec.volume_space().0);
    Need {
        disks: disks(spec),
        scalars: [spec.cpus, spec.mem, disk, Scalar::whole(spec.gpus.into())],
        ports: spec.ports.iter().map(|port| host_port(spec, port)).collect(),
        accepts: accepts(spec, config),
        rules: rules(spec),
        home: config.home_region.clone(),
        instances: spec.instances,
        resident: spec.is_resident(),
        gpus: spec.labels.get(GPU_LABEL).and_then(|word| gpu_use(word)).unwrap_or(config.gpus),
    }
}

fn disks(spec: &AppSpec) -> Vec<DiskNeed> {
    let disk = |volume: &PersistentVolume| {
        let max = volume.size_max.map(Scalar::whole);
        let share = match volume.disk_kind() {
            DiskKind::Root => return None,
            DiskKind::Path => Share::Part,
            DiskKind::Mount => Share::Whole { max },
        };
        Some(DiskNeed {
            share,
            size: Scalar::whole(volume.size),
            profile: volume.profile.clone(),
            rules: volume.constraints.iter().filter_map(|one| Rule::new(one).ok()).collect(),
        })
    };
    spec.persistent_volumes().filter_map(|(_, volume)| disk(volume)).collect()
}

/// An app's port is only what load balancers know it as unless the app requires it; a pod has none of these.
fn host_port(spec: &AppSpec, port: &PortDefinition) -> Port {
    match port.port {
        0 => Port::Any,
        number if spec.require_ports || spec.pod.is_some() => Port::Exactly(number),
        _ => Port::Any,
    }
}

fn accepts(spec: &AppSpec, config: &Config) -> Vec<Role> {
    // What a resident takes is set aside for it, and only what nobody has set aside can be.
    if spec.is_resident() {
        return vec![Role::star()];
    }
    spec.accepted_roles.clone().unwrap_or_else(|| accepted_by_default(spec, config))
}

fn accepted_by_default(spec: &AppSpec, config: &Config) -> Vec<Role> {
    let own = spec.role.clone();
    match config.accepted_by_default {
        AcceptedByDefault::Unreserved => vec![Role::star()],
        AcceptedByDefault::Reserved => own.into_iter().collect(),
        AcceptedByDefault::Any => own.into_iter().chain([Role::star()]).collect(),
    }
}

/// `undefined` was the default of older releases of Marathon: nothing is kept back. What nobody knows says nothing.
fn gpu_use(word: &str) -> Option<GpuUse> {
    match word {
        "restricted" => Some(GpuUse::Restricted),
        "unrestricted" | "undefined" => Some(GpuUse::Unrestricted),
        _ => None,
    }
}
