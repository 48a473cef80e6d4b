//! A container without image: what its processes see, what is kept of them, and what is refused.

use containers::spec::{Limits, LogFiles, Logs, WindowSize};
use model::container::{Rlimit, Rlimited, Run, SoftHard, Volume, VolumeMode};
use model::task::Reason;

use crate::world::{World, exec, shell};

const EXITED: i32 = 1 << 8;

#[tokio::test]
async fn output_is_kept_and_the_end_is_told() {
    let mut world = World::open().await;
    let spec = world.spec(shell("echo hello; echo oops >&2"));
    let ended = world.run(&spec).await;
    assert_eq!((ended.wait_status, ended.limitation), (0, None));
    assert_eq!(world.log(&spec, "stdout"), "hello\n");
    assert_eq!(world.log(&spec, "stderr"), "oops\n");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn the_wait_status_is_the_programs_own() {
    let mut world = World::open().await;
    for (run, wait_status) in [
        (shell("exit 3"), 3 * EXITED),
        (shell("kill -9 $$"), 9),
        (shell("kill -TERM $$"), 15),
        (shell("sleep 600 & exit 0"), 0),
        (exec(&["/bin/false"]), EXITED),
        (exec(&["true"]), 0),
    ] {
        let spec = world.spec(run.clone());
        assert_eq!(world.run(&spec).await.wait_status, wait_status, "{run:?}");
    }
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_process_sees_its_environment_and_the_hosts_files() {
    let mut world = World::open().await;
    let marker = world.path().join("marker");
    std::fs::write(&marker, "host").expect("written");
    let marker = marker.display().to_string();
    let cases = [
        ("printf '%s' \"$COLOUR\"", "green".to_string()),
        (
            "env | cut -d= -f1 | sort | tr '\\n' ' '",
            "COLOUR HOME MESOS_SANDBOX PATH PWD ".to_string(),
        ),
        (
            "[ \"$PWD\" = \"$MESOS_SANDBOX\" ] && touch here && ls",
            "here\nstderr\nstdout\n".to_string(),
        ),
        ("cat \"$MARKER\"", "host".to_string()),
        // Process 1 is init, 2 the shell.
        ("echo $$; set -- /proc/[0-9]*; echo $#", "2\n2\n".to_string()),
        ("ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 ".to_string()),
        (
            "grep -E '^Sig(Ign|Blk)' /proc/self/status | cut -f2 | sort -u",
            "0000000000000000\n".to_string(),
        ),
        ("yes | head -1", "y\n".to_string()),
        ("[ -c /dev/null ] && [ -d /dev/pts ] && ls /dev/shm | wc -l", "0\n".to_string()),
        ("id -u", "0\n".to_string()),
    ];
    for (command, output) in cases {
        let mut spec = world.spec(shell(command));
        if command.contains("MARKER") {
            spec.environment.push(("MARKER".into(), marker.clone()));
        } else {
            spec.environment.push(("COLOUR".into(), "green".into()));
        }
        world.run(&spec).await;
        assert_eq!(world.log(&spec, "stdout"), output, "{command}: {}", world.log(&spec, "stderr"));
    }
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn another_user_has_no_capabilities_and_its_own_groups() {
    let mut world = World::open().await;
    for (user, output) in [
        ("nobody", "65534 65534 0000000000000000\n"),
        ("nobody:daemon", "65534 1 0000000000000000\n"),
        ("12345", "12345 0 0000000000000000\n"),
    ] {
        let mut spec =
            world.spec(shell("echo $(id -u) $(id -g) $(grep CapEff /proc/self/status | cut -f2)"));
        spec.user = Some(user.into());
        world.run(&spec).await;
        assert_eq!(world.log(&spec, "stdout"), output, "{user}");
    }
}

#[tokio::test]
async fn logs_are_rotated() {
    let mut world = World::open().await;
    let mut spec = world.spec(shell("for n in 1 2 3 4 5 6 7 8; do echo $n; sleep 0.05; done"));
    spec.logs = Logs::in_files(LogFiles { file_bytes_max: 4, old_files_max: 2 });
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout"), "7\n8\n");
    assert_eq!(world.log(&spec, "stdout.1"), "5\n6\n");
    assert_eq!(world.log(&spec, "stdout.2"), "3\n4\n");
    assert!(!spec.sandbox.join("stdout.3").exists());
}

#[tokio::test]
async fn output_larger_than_every_buffer_arrives_whole() {
    const LENGTH: usize = 3_000_000;
    let mut world = World::open().await;
    let mut spec = world.spec(shell(&format!("head -c {LENGTH} /dev/zero")));
    spec.logs = Logs::in_files(LogFiles { file_bytes_max: 10_000_000, old_files_max: 1 });
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout").len(), LENGTH);
}

#[tokio::test]
async fn a_terminal_has_its_size_and_its_output_is_kept() {
    let mut world = World::open().await;
    let mut spec = world.spec(shell("stty size; tty; [ -t 2 ] && echo yes"));
    spec.terminal = Some(WindowSize { rows: 33, columns: 101 });
    world.run(&spec).await;
    let output = world.log(&spec, "stdout");
    assert!(output.starts_with("33 101\r\n/dev/pts/"), "{output:?}");
    assert!(output.ends_with("yes\r\n"), "{output:?}");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn limits_are_set_and_what_is_used_can_be_read() {
    let mut world = World::open().await;
    let spec = world.spec(exec(&["sleep", "600"]));
    world.launch(&spec).await;
    let usage = world.containers().usage(&spec.container).expect("read");
    assert_eq!(usage.cpu_millis_max, spec.limits.cpu_millis_max);
    assert_eq!(usage.memory_bytes_max, spec.limits.memory_bytes_max);
    assert!(usage.memory_bytes > 0 && usage.processes == 2, "{usage:?}");
    let resized = |limits: &Limits| {
        world.containers().resize(&spec.container, limits).expect("resized");
        let usage = world.containers().usage(&spec.container).expect("read");
        (usage.cpu_millis_max, usage.memory_bytes_max)
    };
    let unlimited = Limits { cpu_millis_max: None, memory_bytes_max: None, ..spec.limits };
    assert_eq!(resized(&unlimited), (None, None));
    let before = (spec.limits.cpu_millis_max, spec.limits.memory_bytes_max);
    assert_eq!(resized(&spec.limits), before);
    world.kill(&spec).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn memory_beyond_the_limit_is_the_reason_of_the_end() {
    let mut world = World::open().await;
    let spec = world.spec(shell("head -c 300m /dev/zero | tail"));
    let ended = world.run(&spec).await;
    let (reason, cause) = ended.limitation.expect("a reason");
    assert_eq!(reason, Reason::ContainerLimitationMemory);
    assert!(cause.contains("Memory limit exceeded") && cause.contains("64MB"), "{cause}");
    assert_ne!(ended.wait_status, 0);
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn volumes_are_mounted_in_the_sandbox() {
    let mut world = World::open().await;
    let shared = world.path().join("shared");
    std::fs::create_dir(&shared).expect("made");
    std::fs::write(shared.join("file"), "shared").expect("written");
    let volume = |mode, container_path: &str| Volume {
        container_path: container_path.into(),
        host_path: shared.display().to_string(),
        mode,
    };
    let mut spec = world.spec(shell("cat ro/file; touch ro/new; touch rw/new; ls own"));
    spec.volumes = vec![
        volume(VolumeMode::ReadOnly, "ro"),
        volume(VolumeMode::ReadWrite, "rw"),
        Volume {
            container_path: "own".into(),
            host_path: "data".into(),
            mode: VolumeMode::ReadWrite,
        },
    ];
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout"), "shared");
    assert!(world.log(&spec, "stderr").contains("Read-only"));
    assert!(shared.join("new").exists());
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_container_that_cannot_be_started_leaves_nothing_but_the_cause() {
    let mut world = World::open().await;
    let volume = |container_path: &str, host_path: &str| Volume {
        container_path: container_path.into(),
        host_path: host_path.into(),
        mode: VolumeMode::ReadWrite,
    };
    type Change<'a> = &'a dyn Fn(&mut containers::spec::Spec);
    let cases: [(&str, Change<'_>); 8] = [
        ("no-such-program", &|spec| spec.run = exec(&["no-such-program"])),
        ("Permission denied", &|spec| spec.run = exec(&["/etc/passwd"])),
        ("no-such-user", &|spec| spec.user = Some("no-such-user".into())),
        ("/no/such/source", &|spec| spec.volumes = vec![volume("data", "/no/such/source")]),
        ("/no/such/target", &|spec| spec.volumes = vec![volume("/no/such/target", "/tmp")]),
        ("`..`", &|spec| spec.volumes = vec![volume("../out", "/tmp")]),
        ("privileged", &|spec| spec.privileged = true),
        ("nothing to run", &|spec| spec.run = Run::Image(Vec::new())),
    ];
    for (named, change) in cases {
        let mut spec = world.spec(shell("true"));
        change(&mut spec);
        let refused = world.containers().launch(spec).await.expect_err(named);
        assert!(refused.cause.contains(named), "{named}: {}", refused.cause);
        assert_eq!(refused.reason, Reason::ContainerLaunchFailed);
        world.check_nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_name_is_used_once_and_never_leads_elsewhere() {
    let mut world = World::open().await;
    let spec = world.spec(shell("sleep 600"));
    world.launch(&spec).await;
    world.containers().launch(spec.clone()).await.expect_err("it runs");
    assert!(world.containers().usage(&spec.container).is_ok(), "the first one is untouched");
    for name in ["", "..", "a/b", ".hidden", "a b"] {
        let mut other = world.spec(shell("true"));
        other.container = model::id::ContainerId::new(name);
        world.containers().launch(other).await.expect_err(name);
    }
    world.kill(&spec).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn many_start_at_once() {
    const AT_ONCE: usize = 12;
    let mut world = World::open().await;
    let specs: Vec<_> = (0..AT_ONCE).map(|n| world.spec(shell(&format!("echo {n}")))).collect();
    let launches = specs.iter().map(|spec| {
        let (containers, spec) = (world.containers().clone(), spec.clone());
        tokio::spawn(async move { containers.launch(spec).await })
    });
    for launch in launches.collect::<Vec<_>>() {
        launch.await.expect("no panic").expect("launched");
    }
    for _ in &specs {
        world.next_event().await;
    }
    for (n, spec) in specs.iter().enumerate() {
        assert_eq!(world.log(spec, "stdout"), format!("{n}\n"));
        world.containers().remove(&spec.container).await.expect("removed");
    }
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn processes_are_limited_and_the_machine_has_the_name_that_was_asked_for() {
    let mut world = World::open().await;
    let mut spec = world.spec(shell("ulimit -Sn; ulimit -Hn; ulimit -c; hostname || uname -n"));
    let values = |soft, hard| Some(SoftHard { soft, hard });
    spec.rlimits = vec![
        Rlimit { of: Rlimited::OpenFiles, values: values(100, 200) },
        Rlimit { of: Rlimited::CoreFile, values: values(0, 0) },
    ];
    spec.hostname = Some("box".to_owned());
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout"), "100\n200\n0\nbox\n");
    spec = world.spec(shell("true"));
    spec.rlimits = vec![Rlimit { of: Rlimited::OpenFiles, values: None }];
    let refused =
        world.containers().launch(spec.clone()).await.expect_err("more than there can be");
    assert!(refused.cause.contains("OpenFiles"), "{}", refused.cause);
    world.check_nothing_is_left().await;
}
