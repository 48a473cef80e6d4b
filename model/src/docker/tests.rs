//! What each word comes to, and what is refused.

use super::*;
use crate::confinement::{Tmpfs, TmpfsFlags};
use crate::container::{Rlimited, SoftHard, VolumeMode};

fn words(all: &[(&str, &str)]) -> Vec<Word> {
    all.iter().map(|(word, value)| ((*word).to_owned(), (*value).to_owned())).collect()
}

fn asked(all: &[(&str, &str)]) -> Asked {
    read(&words(all)).unwrap_or_else(|unfit| panic!("{all:?}: {unfit:?}"))
}

#[test]
fn words_say_how_a_process_is_run() {
    let all = asked(&[
        ("user", "web:www"),
        ("e", "A=B=C"),
        ("env", "BARE"),
        ("label", "a=b"),
        ("workdir", "/srv"),
        ("entrypoint", "/bin/run"),
        ("hostname", "db"),
        ("group-add", "video"),
        ("stop-signal", "SIGQUIT"),
        ("stop-timeout", "90"),
        ("init", "true"),
    ]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(all.user.as_deref(), Some("web:www"));
    assert_eq!(all.environment, [pair("A", "B=C"), pair("BARE", "")]);
    assert_eq!(all.hostname.as_deref(), Some("db"));
    assert_eq!(all.stop_timeout, Some(Duration::from_secs(90)));
    let expected = Confinement {
        working_dir: Some("/srv".into()),
        entrypoint: Some(vec!["/bin/run".into()]),
        groups: vec!["video".into()],
        stop_signal: Some(3),
        ..Confinement::default()
    };
    assert_eq!(all.confinement, expected);
}

#[test]
fn words_say_how_a_container_is_confined() {
    let all = asked(&[
        ("cap-add", "NET_ADMIN"),
        ("cap-add", "cap_sys_time"),
        ("cap-drop", "ALL"),
        ("security-opt", "seccomp=strict"),
        ("security-opt", "no-new-privileges:true"),
        ("security-opt", "label=disable"),
        ("read-only", "true"),
        ("ipc", "host"),
        ("pid", "host"),
        ("network", "none"),
        ("shm-size", "1g"),
        ("tmpfs", "/run:size=64m,mode=755,exec"),
        ("device", "/dev/fuse"),
        ("privileged", "true"),
        ("oom-score-adj", "500"),
    ]);
    let expected = Confinement {
        rights: Rights::Changed { add: Capabilities(1 << 12 | 1 << 25), drop: Capabilities::ALL },
        seccomp: Some(Seccomp::Profile("strict".into())),
        no_new_privileges: Some(true),
        read_only_root: true,
        ipc: Some(Sharing::Parent),
        pid: Some(Sharing::Parent),
        net: Some(Sharing::Private),
        shm_bytes: Some(1 << 30),
        tmpfs: vec![Tmpfs {
            path: "/run".into(),
            bytes_max: Some(64 << 20),
            mode: Some(0o755),
            flags: TmpfsFlags { executable: true, read_only: false },
        }],
        devices: vec![Device {
            host_path: "/dev/fuse".into(),
            container_path: "/dev/fuse".into(),
            access: "rwm".into(),
        }],
        oom_score: Some(500),
        ..Confinement::default()
    };
    assert_eq!((all.confinement, all.privileged), (expected, true));
}

#[test]
fn words_say_what_is_used_at_most() {
    let check = |all: &[(&str, &str)], expected: Limits| assert_eq!(asked(all).limits, expected);
    let none = Limits::default();
    check(&[("cpus", "1.5")], Limits { cpu_millis_max: Some(1500), ..none });
    let half = Limits { cpu_millis_max: Some(500), ..none };
    check(&[("cpu-quota", "25000"), ("cpu-period", "50000")], half);
    check(&[("cpu-shares", "512")], Limits { cpu_shares: Some(512), ..none });
    check(&[("memory", "1.5g")], Limits { memory_bytes: Some(3 << 29), ..none });
    check(&[("memory-swap", "-1")], Limits { memory_swap: Some(Most::Unlimited), ..none });
    check(&[("pids-limit", "100")], Limits { processes: Some(Most::Amount(100)), ..none });
    check(&[("pids-limit", "0")], Limits { processes: Some(Most::Unlimited), ..none });
    let files = asked(&[("log-opt", "max-size=10m"), ("log-opt", "max-file=3")]).logs;
    assert_eq!(files, Logs { file_bytes_max: Some(10 << 20), files_max: Some(3) });
    let limit = asked(&[("ulimit", "nofile=1024:4096")]).rlimits;
    let values = Some(SoftHard { soft: 1024, hard: 4096 });
    assert_eq!(limit, [Rlimit { of: Rlimited::OpenFiles, values }]);
}

#[test]
fn words_bring_in_files_and_names() {
    let all = asked(&[
        ("volume", "/data:/srv/data:ro,z"),
        ("mount", "type=bind,source=/etc/ssl,target=/ssl,readonly"),
        ("mount", "type=tmpfs,target=/cache,tmpfs-size=1m"),
        ("add-host", "db:10.0.0.1"),
        ("add-host", "six=[::1]"),
        ("dns", "10.0.0.2"),
        ("dns-search", "example.org"),
        ("sysctl", "kernel.shmmax=1000"),
    ]);
    let paths = |volume: &Volume| (volume.host_path.clone(), volume.container_path.clone());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [pair("/data", "/srv/data"), pair("/etc/ssl", "/ssl")];
    assert_eq!(all.volumes.iter().map(paths).collect::<Vec<_>>(), expected);
    assert!(all.volumes.iter().all(|volume| volume.mode == VolumeMode::ReadOnly));
    assert_eq!(all.confinement.tmpfs[0].path, "/cache");
    assert_eq!(all.confinement.hosts, [pair("db", "10.0.0.1"), pair("six", "::1")]);
    assert_eq!(all.confinement.resolver, ["nameserver 10.0.0.2", "search example.org"]);
    assert_eq!(all.confinement.sysctls, [pair("kernel.shmmax", "1000")]);
}

#[test]
fn what_has_no_meaning_here_is_refused_with_what_to_say_instead() {
    let check = |word: &str, value: &str, why: &str| {
        let refused = read(&words(&[("label", "fine"), (word, value)])).expect_err(word);
        let [one] = &refused[..] else { panic!("{refused:?}") };
        assert_eq!((one.at, one.word.as_str()), (1, word));
        assert!(one.why.contains(why), "{word}={value}: {}", one.why);
    };
    check("network", "mynet", "networks");
    check("publish", "80:80", "portMappings");
    check("restart", "always", "launched again");
    check("volume", "data:/data", "persistent");
    check("volume", "/a:/b:shared", "neither ro nor rw");
    check("log-driver", "syslog", "sandbox");
    check("cap-add", "FLY", "no capability");
    check("security-opt", "apparmor=mine", "AppArmor");
    check("sysctl", "net.core.somaxconn=1", "whole machine's");
    check("device", "/etc/passwd", "below /dev");
    check("device", "/dev/../etc/passwd", "below /dev");
    check("tmpfs", "/a/../..", "without ..");
    check("ulimit", "nofile=2:1", "above the hard one");
    check("shm-size", "much", "64m");
    check("pid", "container:x", "make a pod");
    check("frobnicate", "yes", "no such word");
    check("oom-score-adj", "-1000", "0 to 1000");
}
