//! What an app may have around it, at random: networks, volumes, secrets, limits, checks, autoscaling.

use std::collections::BTreeMap;
use std::time::Duration;

use model::container::{ContainerKind, Scheme, VolumeMode};
use model::limits::{Limit, Limits};
use model::resources::Scalar;
use placement::{Constraint, Operator};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use services::autoscale::{Autoscale, Metric};
use services::spec::check::{Check, Kind};
use services::spec::environment::EnvValue;
use services::spec::network::{Network, NetworkMode, PortMapping};
use services::spec::pod::Command;
use services::spec::resource::{Amounts, Ipc, IpcMode, LinuxInfo, Seccomp};
use services::spec::volume::{
    AppVolume, AppVolumeSource, Csi, CsiAccess, CsiKind, DiskKind, Dvdi, PersistentVolume,
};
use services::spec::{AppSpec, CheckPort, PortDefinition, UnreachableStrategy, UpgradeStrategy};

use super::seconds;

/// What an app has around it: networks, volumes, secrets, limits, checks. Each is in or out.
pub(crate) fn around() -> BoxedStrategy<Around> {
    let texts = btree_map("[a-z]{1,5}", "[a-z]{1,5}", 0..3);
    let network = prop_oneof![
        Just(Vec::new()),
        texts.clone().prop_map(|labels| vec![(NetworkMode::Bridge, None, labels)]),
        btree_map("[a-z]{1,5}", texts.clone(), 1..3).prop_map(|all| {
            let network = |(name, labels)| (NetworkMode::Container, Some(name), labels);
            all.into_iter().map(network).collect()
        }),
    ];
    let networks = network.prop_map(|all: Vec<_>| {
        let network = |(mode, name, labels)| Network { mode, name, labels };
        all.into_iter().map(network).collect()
    });
    let limit = prop_oneof![
        Just(Limit::Unlimited),
        (1_000_000_000..2_000_000_000_u64).prop_map(|amount| Limit::Amount(Scalar(amount))),
    ];
    let limits = (of(limit.clone()), of(limit)).prop_map(|(cpus, mem)| Limits { cpus, mem });
    let seccomp = of("[a-z]{1,9}")
        .prop_map(|profile| Some(Seccomp { unconfined: profile.is_none(), profile }));
    let ipc = of((0..9_u32).prop_map(|mib| Ipc { mode: IpcMode::Private, shm_size: Some(mib) }));
    let linux = (seccomp, ipc).prop_map(|(seccomp, ipc)| LinuxInfo { seccomp, ipc });
    let executor = (100..900_u64).prop_map(|cpus| Amounts {
        cpus: Scalar(cpus),
        mem: Scalar::whole(64),
        disk: Scalar::whole(10),
        gpus: 0,
    });
    let metric = prop_oneof![
        Just(Metric::Cpu),
        Just(Metric::RequestsPerInstance),
        "[a-b]{1,9}".prop_map(Metric::Custom)
    ];
    let autoscale = (metric, 1..9_u32, seconds()).prop_map(|(metric, min, delay)| Autoscale {
        min,
        max: 9,
        metric,
        target: Scalar(700),
        scale_up_delay: delay,
        scale_down_delay: delay,
    });
    let outside = (networks, btree_map("[a-z]{1,5}", "\\PC{1,9}", 0..3), vec(source(), 0..3));
    let inside = (of(limits), of(linux), of(executor), of(autoscale), of(check()), of(seconds()));
    (outside, inside)
        .prop_map(|((networks, secrets, sources), inside)| {
            let (limits, linux, executor_resources, autoscale, check, deployment_timeout) = inside;
            Around {
                networks,
                secrets,
                sources,
                limits,
                linux,
                executor_resources,
                autoscale,
                check,
                deployment_timeout,
            }
        })
        .boxed()
}

#[derive(Debug, Clone)]
pub(crate) struct Around {
    networks: Vec<Network>,
    secrets: BTreeMap<String, String>,
    sources: Vec<AppVolumeSource>,
    limits: Option<Limits>,
    linux: Option<LinuxInfo>,
    executor_resources: Option<Amounts>,
    autoscale: Option<Autoscale>,
    check: Option<Check>,
    deployment_timeout: Option<Duration>,
}

fn source() -> BoxedStrategy<AppVolumeSource> {
    let persistent = (1..9_u64, of("[a-z]{1,5}")).prop_map(|(size, profile)| {
        let rule = Constraint {
            field: "path".to_owned(),
            operator: Operator::Like,
            value: Some("/ssd.*".to_owned()),
        };
        AppVolumeSource::Persistent(PersistentVolume {
            kind: Some(DiskKind::Mount),
            size,
            size_max: profile.as_ref().map(|_| size + 1),
            profile,
            constraints: vec![rule],
        })
    });
    let dvdi = any::<bool>().prop_map(|shared| {
        let options = BTreeMap::from([("dvdi/driver".to_owned(), "pxd".to_owned())]);
        AppVolumeSource::Dvdi(Dvdi { name: "disk".to_owned(), size: None, options, shared })
    });
    let kind = prop_oneof![
        Just(CsiKind::Block),
        vec("[a-z]{1,5}", 0..3)
            .prop_map(|flags| CsiKind::Mount { file_system: "ext4".to_owned(), flags }),
    ];
    let csi = (kind, btree_map("[a-z]{1,5}", "[a-z]{1,5}", 0..3)).prop_map(|(kind, context)| {
        AppVolumeSource::Csi(Csi {
            name: "other-disk".to_owned(),
            plugin: "nfs".to_owned(),
            access: CsiAccess::MultiNodeMultiWriter,
            kind,
            node_stage_secret: context.clone(),
            node_publish_secret: BTreeMap::new(),
            context,
        })
    });
    prop_oneof![persistent, dvdi, csi].boxed()
}

fn check() -> BoxedStrategy<Check> {
    let command = prop_oneof![
        "\\PC{1,9}".prop_map(Command::Shell),
        vec("\\PC{0,5}", 1..3).prop_map(Command::Argv),
    ];
    let port = (1..=65_535_u16).prop_map(CheckPort::Number);
    let http = (of("/[a-z]{0,5}"), port.clone()).prop_map(|(path, port)| Kind::Http {
        scheme: Scheme::Http,
        path,
        port: Some(port),
    });
    let kind = prop_oneof![
        command.prop_map(Kind::Command),
        http,
        port.prop_map(|port| Kind::Tcp { port: Some(port) }),
    ];
    (kind, seconds())
        .prop_map(|(kind, span)| Check { kind, interval: span, timeout: span, delay: span })
        .boxed()
}

/// `spec` with all that agrees with it.
pub(crate) fn surrounded(spec: AppSpec, around: Around) -> AppSpec {
    let Around { networks, secrets, mut sources, limits, linux, check, .. } = around;
    let docker = spec.container.as_ref().map(|one| one.kind == ContainerKind::Docker);
    let networks = if docker == Some(false) { networks } else { Vec::new() };
    let mut seen: Vec<AppVolumeSource> = Vec::new();
    sources.retain(|one| {
        let kind = std::mem::discriminant(one);
        let new = seen.iter().all(|other| std::mem::discriminant(other) != kind);
        seen.push(one.clone());
        new && docker.is_some()
    });
    let persistent = |one: &AppVolumeSource| matches!(one, AppVolumeSource::Persistent(_));
    let dvdi = |one: &AppVolumeSource| matches!(one, AppVolumeSource::Dvdi(_));
    let (stays, alone) = (sources.iter().any(persistent), sources.iter().any(dvdi));
    let volume = |(n, source): (usize, AppVolumeSource)| AppVolume {
        at: u32::try_from(n).expect("few"),
        container_path: format!("data-{n}"),
        mode: VolumeMode::ReadWrite,
        source,
    };
    let secret = |(alias, _): (&String, &String)| (alias.clone(), EnvValue::Secret(alias.clone()));
    let spec = AppSpec {
        env: spec.env.into_iter().chain(secrets.iter().map(secret)).collect(),
        ports: spec.ports.into_iter().map(|port| mapped(port, &networks)).collect(),
        require_ports: spec.require_ports && networks.is_empty(),
        instances: if alone { 1 } else { spec.instances },
        upgrade: UpgradeStrategy {
            maximum_over_capacity: match stays || alone {
                true => Scalar::default(),
                false => spec.upgrade.maximum_over_capacity,
            },
            ..spec.upgrade
        },
        unreachable: if stays { UnreachableStrategy::Disabled } else { spec.unreachable },
        volumes: sources.into_iter().enumerate().map(volume).collect(),
        linux: linux.filter(|_| docker == Some(false)),
        check: check.filter(|_| docker != Some(true)),
        networks,
        limits,
        executor_resources: around.executor_resources,
        autoscale: around.autoscale,
        deployment_timeout: around.deployment_timeout.filter(|span| !span.is_zero()),
        ..spec
    };
    AppSpec { secrets, ..spec }
}

fn mapped(port: PortDefinition, networks: &[Network]) -> PortDefinition {
    let mapping = networks.first().map(|network| PortMapping {
        container_port: port.port,
        host_port: (port.port > 0 || network.mode == NetworkMode::Bridge).then_some(port.port),
        networks: network.name.iter().cloned().collect(),
    });
    PortDefinition { mapping, ..port }
}
