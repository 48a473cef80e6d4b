//! Sessions in containers, and looking on: what `dcos task exec` and `dcos task attach` are made of.

use std::time::{Duration, Instant};

use mesos_v1::agent::call::attach_container_input::Type as InputType;
use mesos_v1::agent::call::{
    AttachContainerInput, AttachContainerOutput, KillContainer, LaunchNestedContainerSession, Type,
    WaitContainer,
};
use mesos_v1::agent::process_io::control::Type as ControlType;
use mesos_v1::agent::process_io::data::Type as DataType;
use mesos_v1::agent::process_io::{Control, Data, Type as IoType};
use mesos_v1::agent::{Call, ProcessIo};
use mesos_v1::container_info::Type as ContainerType;
use mesos_v1::tty_info::WindowSize;
use mesos_v1::{CommandInfo, ContainerId, ContainerInfo, LinuxInfo, TtyInfo};
use model::container::{self, ContainerKind};
use model::task::{TaskInfo, TaskState};

use super::{Caller, ENCODINGS, call, id};
use crate::world::{World, shell};

/// On a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn session(own: &ContainerId, script: &str, window: Option<(u32, u32)>) -> Call {
    let tty = |(rows, columns)| TtyInfo { window_size: Some(WindowSize { rows, columns }) };
    let container = ContainerInfo {
        r#type: ContainerType::Mesos as i32,
        tty_info: window.map(tty),
        ..ContainerInfo::default()
    };
    let command = CommandInfo { value: Some(script.to_owned()), ..CommandInfo::default() };
    let launch_nested_container_session = Some(LaunchNestedContainerSession {
        container_id: own.clone(),
        command: Some(command),
        container: Some(container),
    });
    Call { launch_nested_container_session, ..call(Type::LaunchNestedContainerSession) }
}

pub(crate) fn into(container: &ContainerId) -> Call {
    let attach_container_input = Some(AttachContainerInput {
        r#type: Some(InputType::ContainerId as i32),
        container_id: Some(container.clone()),
        process_io: None,
    });
    Call { attach_container_input, ..call(Type::AttachContainerInput) }
}

fn io(process_io: ProcessIo) -> Call {
    let attach_container_input = Some(AttachContainerInput {
        r#type: Some(InputType::ProcessIo as i32),
        container_id: None,
        process_io: Some(process_io),
    });
    Call { attach_container_input, ..call(Type::AttachContainerInput) }
}

pub(crate) fn typed(bytes: &[u8]) -> Call {
    let data = Data { r#type: Some(DataType::Stdin as i32), data: Some(bytes.to_vec()) };
    io(ProcessIo { r#type: Some(IoType::Data as i32), data: Some(data), control: None })
}

fn control(kind: ControlType, window: Option<(u32, u32)>) -> Call {
    let tty = |(rows, columns)| TtyInfo { window_size: Some(WindowSize { rows, columns }) };
    let control = Control { r#type: Some(kind as i32), tty_info: window.map(tty), heartbeat: None };
    io(ProcessIo { r#type: Some(IoType::Control as i32), data: None, control: Some(control) })
}

pub(crate) fn wait(container: &ContainerId) -> Call {
    let wait_container = Some(WaitContainer { container_id: container.clone() });
    Call { wait_container, ..call(Type::WaitContainer) }
}

pub(crate) fn kill(container: &ContainerId, signal: Option<i32>) -> Call {
    let kill_container = Some(KillContainer { container_id: container.clone(), signal });
    Call { kill_container, ..call(Type::KillContainer) }
}

fn output(container: &ContainerId) -> Call {
    let attach_container_output = Some(AttachContainerOutput { container_id: container.clone() });
    Call { attach_container_output, ..call(Type::AttachContainerOutput) }
}

pub(crate) async fn exit_status(caller: &Caller, container: &ContainerId) -> Option<i32> {
    caller.answer(&wait(container)).await.wait_container.expect("it was asked for").exit_status
}

/// With a task that runs, and what it is in.
pub(crate) async fn with_task(task: TaskInfo) -> (World, ContainerId) {
    let mut world = World::open().await;
    world.run(task).await;
    let status = world.expect(TaskState::Running).await;
    let container = status.container.expect("it runs").id;
    (world, id(container.as_str(), None))
}

/// A task that has a terminal.
fn screen(script: &str) -> TaskInfo {
    let container = container::ContainerInfo {
        kind: ContainerKind::Mesos,
        image: None,
        volumes: vec![],
        privileged: false,
        tty: true,
        parameters: vec![],
        shared: vec![],
        bounds: None,
    };
    TaskInfo { container: Some(container), ..shell("t", script) }
}

async fn close(mut world: World) {
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}

/// Waits until no process of this machine was started so.
pub(crate) async fn none_runs(command: &str) {
    let deadline = Instant::now() + PATIENCE;
    let runs = || {
        let all = std::fs::read_dir("/proc").expect("readable").flatten();
        let mut commands = all.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
        let wanted = command.replace(' ', "\0");
        commands.any(|one| String::from_utf8_lossy(&one).trim_end_matches('\0') == wanted)
    };
    while runs() {
        assert!(Instant::now() < deadline, "{command:?} still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn a_session_is_typed_into_and_tells_what_it_writes_and_how_it_ends() {
    let (world, task) = with_task(shell("t", "echo mine > file; sleep 1000")).await;
    for encoding in ENCODINGS {
        let caller = Caller::new(&world, encoding);
        let own = id(&format!("s-{encoding:?}"), Some(&task));
        let script = "while ! test -s file; do sleep 0.01; done; cat; cat file >&2; exit 5";
        let written = caller.stream(&session(&own, script, None)).await.expect("it begins");
        let again = caller.stream(&session(&own, "true", None)).await.map(drop);
        assert_eq!(again.expect_err("it is there").0, 202);
        let (line, answered) = caller.line();
        let answered = tokio::spawn(answered);
        line.say(&into(&own));
        line.say(&typed(b"some "));
        line.say(&control(ControlType::Heartbeat, None));
        line.say(&typed(b"words"));
        line.say(&typed(b""));
        assert_eq!(written.rest().await, ("some words".to_owned(), "mine\n".to_owned()));
        assert_eq!(exit_status(&caller, &own).await, Some(5 << 8));
        assert_eq!(answered.await.expect("no panic").0, 200);
    }
    close(world).await;
}

pub(crate) async fn a_terminal_has_the_size_that_its_client_has() {
    let (world, task) = with_task(shell("t", "sleep 1000")).await;
    for encoding in ENCODINGS {
        let caller = Caller::new(&world, encoding);
        let own = id(&format!("s-{encoding:?}"), Some(&task));
        let script = "stty size; read line; stty size; kill -TERM $$";
        let mut written =
            caller.stream(&session(&own, script, Some((33, 99)))).await.expect("it begins");
        written.until("33 99\r\n").await;
        let (line, answered) = caller.line();
        let answered = tokio::spawn(answered);
        line.say(&into(&own));
        line.say(&control(ControlType::TtyInfo, Some((44, 111))));
        line.say(&typed(b"go\n"));
        written.until("44 111\r\n").await;
        assert_eq!(exit_status(&caller, &own).await, Some(15));
        assert_eq!(answered.await.expect("no panic").0, 200);
    }
    close(world).await;
}

pub(crate) async fn a_session_ends_with_its_connection_and_by_a_signal() {
    let (world, task) = with_task(shell("t", "sleep 1000")).await;
    for encoding in ENCODINGS {
        let caller = Caller::new(&world, encoding);
        let (gone, killed) = (id("gone", Some(&task)), id("killed", Some(&task)));
        // A shell with job control puts what is in the background in groups of their own.
        let script = "set -m; sleep 4711001 & echo begun; sleep 4711002";
        let mut written =
            caller.stream(&session(&gone, script, Some((24, 80)))).await.expect("it begins");
        written.until("begun").await;
        drop(written);
        assert_eq!(exit_status(&caller, &gone).await, Some(9));
        none_runs("sleep 4711001").await;
        none_runs("sleep 4711002").await;

        let script = "trap 'echo heard; exit 3' USR1; echo begun; while true; do sleep 0.01; done";
        let mut written = caller.stream(&session(&killed, script, None)).await.expect("it begins");
        written.until("begun").await;
        assert_eq!(caller.ask(&kill(&killed, Some(10))).await.0, 200);
        assert_eq!(written.rest().await.0, "heard\n");
        assert_eq!(exit_status(&caller, &killed).await, Some(3 << 8));
    }
    close(world).await;
}

pub(crate) async fn a_task_with_a_terminal_can_be_attached_to() {
    let script = "while read line; do echo \"heard $line\"; test \"$line\" = end && exit 7; done";
    for encoding in ENCODINGS {
        let (mut world, task) = with_task(screen(script)).await;
        let caller = Caller::new(&world, encoding);
        let mut written = caller.stream(&output(&task)).await.expect("it is there");
        let mut other = caller.stream(&output(&task)).await.expect("several can look on");
        let (line, answered) = caller.line();
        let answered = tokio::spawn(answered);
        line.say(&into(&task));
        line.say(&control(ControlType::TtyInfo, Some((44, 111))));
        line.say(&typed(b"me\n"));
        written.until("heard me\r\n").await;
        other.until("heard me\r\n").await;
        line.say(&typed(b"end\n"));
        written.until("heard end\r\n").await;
        assert_eq!(exit_status(&caller, &task).await, Some(7 << 8));
        assert_eq!(answered.await.expect("no panic").0, 200);
        world.expect(TaskState::Failed).await;
        let log = std::fs::read_to_string(world.sandbox("t").join("stdout")).expect("a log");
        assert!(log.contains("heard me") && log.contains("heard end"), "{log:?}");
        world.close().await;
    }
}

pub(crate) async fn what_a_task_writes_can_be_looked_on() {
    let script = "while ! test -e go; do sleep 0.01; done; echo out; echo err >&2; sleep 1000";
    let (world, task) = with_task(shell("t", script)).await;
    let caller = Caller::new(&world, ENCODINGS[0]);
    let mut written = caller.stream(&output(&task)).await.expect("it is there");
    std::fs::write(world.sandbox("t").join("go"), "").expect("written");
    let shown = written.until("out\n").await;
    if !shown.contains("err\n") {
        written.until("err\n").await;
    }
    let (line, answered) = caller.line();
    line.say(&into(&task));
    let (status, cause) = answered.await;
    assert!(status == 400 && cause.contains("no terminal"), "{status} {cause}");
    close(world).await;
}

pub(crate) async fn what_cannot_be_is_refused_with_its_cause() {
    let (world, task) = with_task(shell("t", "sleep 1000")).await;
    for encoding in ENCODINGS {
        let caller = Caller::new(&world, encoding);
        let begin = async |own: ContainerId, script: &str| {
            let begun = caller.stream(&session(&own, script, None)).await;
            begun.map(drop).expect_err("it cannot begin")
        };
        let (status, cause) = begin(id("s", None), "true").await;
        assert!(status == 400 && cause.contains("container_id.parent"), "{cause}");
        let (status, cause) = begin(id("s", Some(&id("none", None))), "true").await;
        assert!(status == 404 && cause.contains("none cannot be found"), "{cause}");
        let (status, cause) = begin(id("../s", Some(&task)), "true").await;
        assert!(status == 400 && cause.contains("letters"), "{cause}");
        let unknown = id("s", Some(&task));
        for (call, expected) in [
            (wait(&unknown), 404),
            (kill(&unknown, None), 404),
            (kill(&task, Some(99)), 400),
            (into(&task), 415),
            (call(Type::LaunchNestedContainerSession), 400),
            (Call::default(), 400),
        ] {
            let (status, body) = caller.ask(&call).await;
            assert_eq!(status, expected, "{call:?}: {}", String::from_utf8_lossy(&body));
        }
        let (line, answered) = caller.line();
        line.say(&typed(b"who?"));
        drop(line);
        assert_eq!(answered.await.0, 400);
        let mut apart = session(&unknown, "true", None);
        let wanted = apart.launch_nested_container_session.as_mut().expect("a session");
        let linux = LinuxInfo { share_cgroups: Some(false), ..LinuxInfo::default() };
        wanted.container.as_mut().expect("a container").linux_info = Some(linux);
        let (status, cause) = caller.stream(&apart).await.map(drop).expect_err("no such session");
        assert!(status == 400 && cause.contains("share_cgroups"), "{cause}");
        let mut missing = session(&unknown, "true", None);
        let wanted = missing.launch_nested_container_session.as_mut().expect("a session");
        let command = wanted.command.as_mut().expect("a command");
        (command.shell, command.value) = (Some(false), Some("/no/such/program".to_owned()));
        let (status, cause) = caller.stream(&missing).await.map(drop).expect_err("no program");
        assert!(status == 400 && cause.contains("/no/such/program"), "{cause}");
    }
    assert_eq!(world.get("/api/v1").await.0, 405);
    close(world).await;
}
