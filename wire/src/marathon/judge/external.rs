//! Volumes that a storage system lends: by way of docker volume drivers (`dvdi`), or of CSI.

use std::collections::{BTreeMap, BTreeSet};

use model::container::{ContainerKind, VolumeMode};
use serde_json::{Map, Value};
use services::spec::volume::{AppVolume, AppVolumeSource, Csi, CsiAccess, CsiKind, Dvdi};

use super::faults::Faults;
use crate::marathon::container::{CsiCapability, CsiOptions, ExternalVolume};

/// The one option that a docker volume needs.
const DRIVER: &str = "dvdi/driver";
/// The driver whose options Marathon knows.
const REXRAY: &str = "rexray";

/// Where a volume is mounted, and by what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mount<'a> {
    pub(super) path: &'a str,
    pub(super) mode: VolumeMode,
    pub(super) kind: ContainerKind,
}

pub(super) fn judge(
    info: &ExternalVolume,
    mount: Mount<'_>,
    faults: &mut Faults,
) -> Option<AppVolumeSource> {
    match info.provider.as_deref() {
        Some("dvdi") => {
            if [".", ".."].contains(&mount.path) {
                faults.add("/containerPath", "can not be one of (.,..)");
            }
            Some(AppVolumeSource::Dvdi(dvdi(info, mount, faults)))
        }
        Some("csi") => csi(info, mount, faults).map(AppVolumeSource::Csi),
        None => {
            faults.add("/external/provider", "undefined");
            None
        }
        Some(_) => {
            faults.add("/external/provider", "is unknown provider");
            None
        }
    }
}

/// One app uses an external volume in one place.
pub(super) fn names_differ(volumes: &[AppVolume], faults: &mut Faults) {
    let name = |volume: &AppVolume| match &volume.source {
        AppVolumeSource::Dvdi(dvdi) => Some(dvdi.name.clone()),
        AppVolumeSource::Csi(csi) => Some(csi.name.clone()),
        AppVolumeSource::Persistent(_) | AppVolumeSource::Secret(_) => None,
    };
    let mut seen = BTreeSet::new();
    if !volumes.iter().filter_map(name).all(|name| seen.insert(name)) {
        faults.add("/container/volumes", "Volume names must be unique");
    }
}

/// Whether a second instance would find the volume taken.
fn is_for_one(source: &AppVolumeSource, mode: VolumeMode) -> bool {
    match source {
        AppVolumeSource::Dvdi(_) => true,
        AppVolumeSource::Csi(csi) => match csi.access {
            CsiAccess::SingleNodeWriter | CsiAccess::SingleNodeReaderOnly => true,
            CsiAccess::MultiNodeSingleWriter => mode == VolumeMode::ReadWrite,
            CsiAccess::MultiNodeReaderOnly | CsiAccess::MultiNodeMultiWriter => false,
        },
        AppVolumeSource::Persistent(_) | AppVolumeSource::Secret(_) => false,
    }
}

/// An app with such a volume has one instance at most.
pub(super) fn fit_instances(volumes: &[AppVolume], instances: u32, faults: &mut Faults) {
    let is_for_one = |volume: &AppVolume| is_for_one(&volume.source, volume.mode);
    if 1 < instances && volumes.iter().any(is_for_one) {
        let message = format!(
            "got {instances}, expected 1 or less while an external volume is for one instance only"
        );
        faults.add("/instances", message);
    }
}

fn name(info: &ExternalVolume, faults: &mut Faults) -> String {
    let name = info.name.clone().unwrap_or_default();
    if name.is_empty() {
        faults.add("/external/name", "must not be empty");
    }
    name
}

fn dvdi(info: &ExternalVolume, mount: Mount<'_>, faults: &mut Faults) -> Dvdi {
    let options = texts(info.options.as_ref(), faults);
    match options.get(DRIVER) {
        None => faults.add("/external/options(\"dvdi/driver\")", "not defined"),
        Some(driver) if !is_label(driver) => {
            faults.add("/external/options(\"dvdi/driver\")", "is not a driver's name");
        }
        Some(driver) if driver == REXRAY => rexray(&options, faults),
        Some(_) => {}
    }
    match mount.kind {
        ContainerKind::Mesos if mount.mode != VolumeMode::ReadWrite => {
            faults.add("/mode", "must be RW with container type MESOS");
        }
        ContainerKind::Mesos => {}
        ContainerKind::Docker => {
            if options.keys().any(|key| key != DRIVER) {
                faults.add("/external/options", format!("must only contain {DRIVER}"));
            }
            if info.size.is_some() {
                faults.add("/external/size", "must be undefined for Docker containers");
            }
        }
    }
    Dvdi {
        name: name(info, faults),
        size: info.size.map(|_| faults.count("/external/size", info.size, 0).into()),
        options,
        shared: info.shared.unwrap_or(false),
    }
}

fn texts(options: Option<&Map<String, Value>>, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (key, value) in options.into_iter().flatten() {
        let path = format!("/external/options({key})");
        let parts = key.split_once('/');
        if !parts.is_some_and(|(space, name)| is_label(space) && is_label(name)) {
            faults.add(path.as_str(), "must be spelled as provider/option");
        }
        match value {
            Value::String(text) => drop(texts.insert(key.clone(), text.clone())),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => faults.add(path, "must be a string"),
        }
    }
    texts
}

fn rexray(options: &BTreeMap<String, String>, faults: &mut Faults) {
    let mut check = |name: &str, is_good: &dyn Fn(&str) -> bool, message: &str| {
        if options.get(name).is_some_and(|value| !is_good(value)) {
            faults.add(format!("/external/options(\"{name}\")"), message);
        }
    };
    check("dvdi/volumetype", &is_label, "is not a label");
    check("dvdi/newfstype", &is_label, "is not a label");
    let natural = |text: &str| text.parse::<i64>().is_ok_and(|number| number > 0);
    check("dvdi/iops", &natural, "Expected a valid, positive integer");
    let boolean = |text: &str| ["true", "false"].contains(&text.to_ascii_lowercase().as_str());
    check("dvdi/overwritefs", &boolean, "Expected a valid boolean");
}

/// Letters, digits and `-._:`, the first and the last a letter or digit.
fn is_label(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric();
    let ends = |c: Option<u8>| c.is_some_and(plain);
    text.bytes().all(|c| plain(c) || b"-._:".contains(&c))
        && ends(text.bytes().next())
        && ends(text.bytes().next_back())
}

fn csi(info: &ExternalVolume, mount: Mount<'_>, faults: &mut Faults) -> Option<Csi> {
    let name = name(info, faults);
    let given = Value::Object(info.options.clone().unwrap_or_default());
    let options: CsiOptions = match serde_json::from_value(given) {
        Ok(options) => options,
        Err(error) => {
            faults.add("/external/options", error.to_string());
            return None;
        }
    };
    let plugin = options.plugin_name.unwrap_or_default();
    if plugin.is_empty() {
        faults.add("/external/options/pluginName", "must not be empty");
    }
    let capability = options.capability.unwrap_or_default();
    let access = access(&capability, faults)?;
    let only_read =
        matches!(access, CsiAccess::SingleNodeReaderOnly | CsiAccess::MultiNodeReaderOnly);
    if only_read && mount.mode == VolumeMode::ReadWrite {
        faults.add("/mode", "CSI volume must be mounted readonly with a read-only access mode");
    }
    Some(Csi {
        name,
        plugin,
        access,
        kind: csi_kind(capability, faults)?,
        node_stage_secret: options.node_stage_secret.unwrap_or_default(),
        node_publish_secret: options.node_publish_secret.unwrap_or_default(),
        context: options.volume_context.unwrap_or_default(),
    })
}

fn access(capability: &CsiCapability, faults: &mut Faults) -> Option<CsiAccess> {
    Some(match capability.access_mode.as_deref() {
        Some("SINGLE_NODE_WRITER") => CsiAccess::SingleNodeWriter,
        Some("SINGLE_NODE_READER_ONLY") => CsiAccess::SingleNodeReaderOnly,
        Some("MULTI_NODE_READER_ONLY") => CsiAccess::MultiNodeReaderOnly,
        Some("MULTI_NODE_SINGLE_WRITER") => CsiAccess::MultiNodeSingleWriter,
        Some("MULTI_NODE_MULTI_WRITER") => CsiAccess::MultiNodeMultiWriter,
        None | Some(_) => {
            faults.add(
                "/external/options/capability/accessMode",
                "must be one of SINGLE_NODE_WRITER, SINGLE_NODE_READER_ONLY, MULTI_NODE_READER_ONLY, \
                 MULTI_NODE_SINGLE_WRITER and MULTI_NODE_MULTI_WRITER",
            );
            return None;
        }
    })
}

fn csi_kind(capability: CsiCapability, faults: &mut Faults) -> Option<CsiKind> {
    const AT: &str = "/external/options/capability";
    match (capability.access_type.as_deref(), capability.fs_type) {
        (Some("block"), _) => Some(CsiKind::Block),
        (Some("mount"), Some(file_system)) => {
            let flags = capability.mount_flags.unwrap_or_default();
            Some(CsiKind::Mount { file_system, flags })
        }
        (Some("mount"), None) => {
            faults.add(format!("{AT}/fsType"), "is needed for accessType mount");
            None
        }
        (None | Some(_), _) => {
            faults.add(format!("{AT}/accessType"), "must be block or mount");
            None
        }
    }
}
