//! Output: kept as its task says.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use model::task::{TaskInfo, TaskState};

use crate::world::{World, shell};

/// What is sent is there.
const PATIENCE: Duration = Duration::from_secs(20);

fn told(id: &str, command: &str, settings: &[(&str, &str)]) -> TaskInfo {
    let mut task = shell(id, command);
    task.labels = vec![("team".to_owned(), "shop".to_owned())];
    let spell =
        |(name, value): &(&str, &str)| (format!("CONTAINER_LOGGER_{name}"), (*value).to_owned());
    task.command.environment = settings.iter().map(spell).collect();
    task
}

pub(crate) async fn a_task_says_where_its_output_goes() {
    let mut world = World::prepare().await;
    let socket = world.path().join("journal");
    let journal = UnixDatagram::bind(&socket).expect("bound");
    journal.set_read_timeout(Some(PATIENCE)).expect("set");
    world.config.logs.journal = socket;
    world.start().await;
    let small = [("LOGROTATE_MAX_STDOUT_SIZE", "4KB"), ("LOGROTATE_STDOUT_OPTIONS", "rotate 1")];
    let lots = "for n in $(seq 30); do head -c 1000 /dev/zero | tr '\\0' x; sleep 0.01; done";
    let (status, left) = world.finish(told("small", lots, &small)).await;
    assert_eq!(status.state, TaskState::Finished);
    let sandbox = world.sandbox("small");
    let old = std::fs::metadata(sandbox.join("stdout.1")).expect("one old file").len();
    assert!(old <= 4096 && left.len() <= 4096, "{old} {}", left.len());
    assert!(!sandbox.join("stdout.2").exists());
    let speak = "echo one; echo two >&2; printf three";
    let entries = |count: usize| {
        let mut all = Vec::new();
        for _ in 0..count {
            let mut buffer = vec![0; 1 << 16];
            let length = journal.recv(&mut buffer).expect("an entry");
            all.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        all
    };
    for (destination, in_files) in [("journald", false), ("journald+logrotate", true)] {
        let task = told(destination, speak, &[("DESTINATION_TYPE", destination)]);
        let (status, output) = world.finish(task).await;
        assert_eq!(status.state, TaskState::Finished);
        assert_eq!(output, if in_files { "one\nthree" } else { "" });
        assert_eq!(world.sandbox(destination).join("stdout").exists(), in_files);
        let all = entries(3);
        for (line, stream) in [("one", "STDOUT"), ("two", "STDERR"), ("three", "STDOUT")] {
            let entry = all.iter().find(|entry| entry.ends_with(&format!("{line}\n")));
            let entry = entry.unwrap_or_else(|| panic!("{line} is not in {all:?}"));
            for said in [stream, "AGENT_ID", "S0", "FRAMEWORK_ID", "TEAM", "shop", destination] {
                assert!(entry.contains(said), "{said} is not in {entry:?}");
            }
        }
    }
    // Where there is no journal, nothing is lost.
    world.stop().await;
    world.config.logs.journal = world.path().join("nothing");
    world.start().await;
    let task = told("nowhere", speak, &[("DESTINATION_TYPE", "journald")]);
    assert_eq!(world.finish(task).await.1, "one\nthree");
    world.close().await;
}

pub(crate) async fn a_word_for_the_logger_that_cannot_be_obeyed_fails_the_task() {
    let mut world = World::open().await;
    let task = told("bad", "true", &[("LOGROTATE_STDERR_OPTIONS", "compress")]);
    let (status, _) = world.finish(task).await;
    assert_eq!(status.state, TaskState::Failed);
    let message = status.message.expect("it says why");
    assert!(message.contains("CONTAINER_LOGGER_LOGROTATE_STDERR_OPTIONS=compress"), "{message}");
    world.close().await;
}
