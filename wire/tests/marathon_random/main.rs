//! Bodies that nobody thought of: specs survive being printed and read, and no bytes make the reader stumble.

mod around;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::container::{
    ContainerInfo, ContainerKind, Family, Image, Scheme, Uri, Volume, VolumeMode,
};
use model::id::Role;
use model::resources::Scalar;
use placement::{Constraint, Operator};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use services::spec::environment::EnvValue;
use services::spec::{
    AppHealthCheck, AppSpec, Backoff, CheckKind, CheckPort, KillSelection, PortDefinition, Process,
    UnreachableStrategy, UpgradeStrategy,
};
use wire::marathon::judge::{self, Rules};
use wire::marathon::{print, reading};

fn rules() -> Rules {
    Rules { default_role: Role::new("slave_public"), enforce_group_role: true }
}

fn texts() -> BoxedStrategy<BTreeMap<String, String>> {
    btree_map("[A-Za-z_][ -<>-~]{0,8}", "\\PC{0,12}", 0..4).boxed()
}

fn seconds() -> BoxedStrategy<Duration> {
    (0..=2_147_483_647_u64).prop_map(Duration::from_secs).boxed()
}

fn process_and_container() -> BoxedStrategy<(Process, Option<ContainerInfo>)> {
    let process = prop_oneof![
        "\\PC{1,20}".prop_map(Process::Cmd),
        vec("\\PC{0,9}", 1..4).prop_map(Process::Args),
    ];
    let docker =
        (volumes(), any::<(bool, bool, bool)>(), vec(("env|label|user", "\\PC{0,5}"), 0..3));
    let docker = docker.prop_map(|(volumes, (bare, privileged, force_pull), parameters)| {
        let image = Some(Image { force_pull, ..Image::plain("a/b:1".to_owned()) });
        let kind = ContainerKind::Docker;
        let container = ContainerInfo {
            kind,
            image,
            volumes,
            privileged,
            tty: false,
            parameters,
            shared: vec![],
            bounds: None,
        };
        let process = if bare { Process::Image } else { Process::Cmd("run".to_owned()) };
        (process, Some(container))
    });
    let mesos = volumes().prop_map(|volumes| {
        let (kind, parameters) = (ContainerKind::Mesos, Vec::new());
        let container = ContainerInfo {
            kind,
            image: None,
            volumes,
            privileged: false,
            tty: false,
            parameters,
            shared: vec![],
            bounds: None,
        };
        (Process::Cmd("run".to_owned()), Some(container))
    });
    prop_oneof![process.prop_map(|process| (process, None)), docker, mesos].boxed()
}

fn volumes() -> BoxedStrategy<Vec<Volume>> {
    let mode = prop_oneof![Just(VolumeMode::ReadOnly), Just(VolumeMode::ReadWrite)];
    let volume = ("\\PC{1,9}", "\\PC{1,9}", mode)
        .prop_map(|(container_path, host_path, mode)| Volume { container_path, host_path, mode });
    vec(volume, 0..3).boxed()
}

/// With distinct names and numbers.
fn ports() -> BoxedStrategy<Vec<PortDefinition>> {
    let protocol = prop_oneof![Just("tcp"), Just("udp"), Just("udp,tcp")];
    let port = (any::<(bool, bool)>(), protocol, texts());
    vec(port, 0..4)
        .prop_map(|all| {
            let port =
                |(n, ((named, fixed), protocol, labels)): (usize, ((bool, bool), &str, _))| {
                    let number = u16::try_from(n).expect("at most three");
                    PortDefinition {
                        port: if fixed { 31_000 + number } else { 0 },
                        name: named.then(|| format!("port-{n}")),
                        protocol: protocol.to_owned(),
                        labels,
                        mapping: None,
                    }
                };
            all.into_iter().enumerate().map(port).collect()
        })
        .boxed()
}

/// For an app with `ports` ports.
fn health_checks(ports: u16) -> BoxedStrategy<Vec<AppHealthCheck>> {
    let number = (1..=65_535_u16).prop_map(CheckPort::Number).boxed();
    let port = match ports {
        0 => number,
        _ => prop_oneof![number, (0..ports).prop_map(CheckPort::Index)].boxed(),
    };
    let scheme = prop_oneof![Just(Scheme::Http), Just(Scheme::Https)];
    let family = Family::Ipv4;
    let http = (scheme, of("/[a-z]{0,5}"), port.clone()).prop_map(move |(scheme, path, port)| {
        CheckKind::Http { scheme, path, port, family, mesos: false }
    });
    let tcp = port.prop_map(move |port| CheckKind::Tcp { port, family, mesos: false });
    let kind = prop_oneof![http, tcp, "\\PC{1,9}".prop_map(CheckKind::Command)];
    let times = (seconds(), seconds(), seconds(), seconds());
    let check = (kind, times, 0..=9_u32, any::<bool>()).prop_map(
        |(kind, (grace, interval, timeout, delay), failures_max, ignore_http_1xx)| AppHealthCheck {
            kind,
            grace,
            interval,
            timeout,
            delay,
            failures_max,
            ignore_http_1xx,
        },
    );
    vec(check, 0..3)
        .prop_map(|mut checks| {
            checks.dedup();
            checks
        })
        .boxed()
}

fn constraints() -> BoxedStrategy<Vec<Constraint>> {
    let tail = prop_oneof![
        Just((Operator::Unique, None)),
        of("\\PC{0,9}").prop_map(|value| (Operator::Cluster, value)),
        of("[1-9]").prop_map(|value| (Operator::GroupBy, value)),
        "[a-z.*]{1,9}"
            .prop_filter("a pattern", |text| !text.starts_with('*') && !text.contains("**"))
            .prop_map(|value| (Operator::Like, Some(value))),
        "[1-9]".prop_map(|value| (Operator::MaxPer, Some(value))),
        of("[a-z0-9_/.-]{0,9}").prop_map(|value| (Operator::Is, value)),
    ];
    let one = ("\\PC{1,9}", tail).prop_map(|(field, (operator, value))| Constraint {
        field,
        operator,
        value,
    });
    vec(one, 0..3)
        .prop_map(|all| {
            let mut kept: Vec<Constraint> = Vec::new();
            all.into_iter().for_each(|one| {
                if !kept.contains(&one) {
                    kept.push(one)
                }
            });
            kept
        })
        .boxed()
}

fn strategies() -> BoxedStrategy<(UpgradeStrategy, Backoff, KillSelection, UnreachableStrategy)> {
    let upgrade = (0..=1000_u64, 0..=1000_u64).prop_map(|(health, over)| UpgradeStrategy {
        minimum_health_capacity: Scalar(health),
        maximum_over_capacity: Scalar(over),
    });
    let backoff = (seconds(), 1000..=100_000_u64, seconds())
        .prop_map(|(initial, factor, max)| Backoff { initial, factor: Scalar(factor), max });
    let selection =
        prop_oneof![Just(KillSelection::YoungestFirst), Just(KillSelection::OldestFirst)];
    let unreachable = prop_oneof![
        Just(UnreachableStrategy::Disabled),
        (0..1_000_000_u64, 0..1_000_000_u64).prop_map(|(inactive, more)| {
            UnreachableStrategy::Enabled {
                inactive_after: Duration::from_secs(inactive),
                expunge_after: Duration::from_secs(inactive + more),
            }
        }),
    ];
    (upgrade, backoff, selection, unreachable).boxed()
}

fn fetch() -> BoxedStrategy<Vec<Uri>> {
    let uri = ("[a-z]{1,9}", any::<(bool, bool, bool)>(), of("[a-z]{1,9}"));
    let uri = uri.prop_map(|(name, (extract, executable, cache), output_file)| Uri {
        value: format!("http://a/{name}"),
        extract,
        executable,
        cache,
        output_file,
    });
    vec(uri, 0..3).boxed()
}

fn spec() -> BoxedStrategy<AppSpec> {
    (plain(), around::around()).prop_map(|(spec, around)| around::surrounded(spec, around)).boxed()
}

/// On the agent's own network, with no volumes but its paths.
fn plain() -> BoxedStrategy<AppSpec> {
    let ports_and_checks = ports().prop_flat_map(|ports| {
        let count = u16::try_from(ports.len()).expect("at most three");
        (Just(ports), health_checks(count))
    });
    let id = "(/[a-z0-9]{1,5}){1,3}".prop_filter("not reserved", |id| judge::app_id(id).is_ok());
    let parts = (id, process_and_container(), texts(), ports_and_checks, constraints());
    let more = (strategies(), fetch(), 1..1_000_000_000_u64, 0..=2_147_483_647_u32);
    let most = (any::<bool>(), of(seconds()), of(any::<bool>()));
    (parts, more, most)
        .prop_map(|(parts, more, (require_ports, kill_grace, tty))| {
            let (id, (process, container), env, (ports, health_checks), constraints) = parts;
            let ((upgrade, backoff, kill_selection, unreachable), fetch, amount, instances) = more;
            let container =
                container.map(|container| ContainerInfo { tty: tty.unwrap_or(false), ..container });
            let labels = env.clone();
            let text = |(name, value): (String, String)| (name, EnvValue::Text(value));
            AppSpec {
                user: labels.keys().next().cloned(),
                env: env.into_iter().map(text).collect(),
                labels,
                cpus: Scalar(amount),
                mem: Scalar(amount / 2),
                disk: Scalar(amount / 3),
                instances,
                container,
                ports,
                require_ports,
                constraints,
                health_checks,
                upgrade,
                backoff,
                kill_selection,
                unreachable,
                kill_grace,
                fetch,
                dependencies: vec!["/other/app".parse().expect("an id")],
                accepted_roles: require_ports.then(|| vec![Role::star()]),
                tty,
                ..AppSpec::new(id.parse().expect("a generated id"), process)
            }
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_printed_spec_reads_as_itself(spec in spec()) {
        let body = serde_json::to_vec(&print::spec(&spec)).expect("JSON");
        let read = reading::app(&body).expect("an object");
        prop_assert_eq!(judge::read(read, &rules()), Ok(spec));
    }

    #[test]
    fn no_bytes_make_the_reader_stumble(bytes in vec(any::<u8>(), 0..200)) {
        let read = reading::app(&bytes).map(|read| judge::read(read, &rules()));
        prop_assert!(read.is_err() || read.is_ok_and(|spec| spec.is_err()));
    }
}

/// Numbers from a seed, for mutations that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides.max(1)
    }
}

#[test]
fn no_mutation_of_a_good_body_makes_the_reader_stumble() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/marathon");
    let files =
        fs::read_dir(folder).expect("the golden files").map(|one| one.expect("a file").path());
    let files: BTreeSet<PathBuf> = files.collect();
    let good: Vec<Vec<u8>> =
        files.iter().map(|file| fs::read(file).expect("a readable file")).collect();
    let words: [&[u8]; 10] =
        [b"null", b"-1", b"1e999", b"[]", b"{}", b"\"\"", b"true", b"\"\\ud800\"", b"\xff", b"]"];
    let mut dice = Dice(42);
    for round in 0..10_000 {
        let golden: serde_json::Value =
            serde_json::from_slice(&good[round % good.len()]).expect("JSON");
        let mut body = golden["given"].to_string().into_bytes();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(body.len());
            let word = words[dice.roll(words.len())];
            let until = (at + dice.roll(12)).min(body.len());
            body.splice(at..until, word.iter().copied());
        }
        if let Ok(read) = reading::app(&body)
            && let Ok(spec) = judge::read(read, &rules())
        {
            let printed = serde_json::to_vec(&print::spec(&spec)).expect("JSON");
            let again = judge::read(reading::app(&printed).expect("an object"), &rules());
            assert_eq!(again, Ok(spec), "{}", String::from_utf8_lossy(&body));
        }
    }
}
