//! Secrets: in the environment or in a file of the task, and nowhere else.

use std::process::Command;

use mesos_v1::agent::call::Type;
use mesos_v1::codec::Encoding;
use model::container::{
    Bounds, CommandInfo, ContainerInfo, ContainerKind, OtherVolume, VolumeMode, VolumeSource,
};
use model::secret::Secret;
use model::task::{TaskInfo, TaskState};

use crate::v1::{Caller, call};
use crate::world::{World, shell};

const USER: &str = "1234:1235";

pub(crate) async fn a_secret_is_its_tasks_and_is_shown_to_nobody() {
    let mut world = World::open().await;
    let secret = |value: &str| Secret::new(value.as_bytes().to_vec());
    let source = VolumeSource::Secret(secret("hidden-in-a-file"));
    let (container_path, mode) = ("dir/pw".to_owned(), VolumeMode::ReadOnly);
    let volumes = vec![OtherVolume { container_path, mode, source }];
    let container = ContainerInfo {
        kind: ContainerKind::Mesos,
        image: None,
        volumes: vec![],
        privileged: false,
        tty: false,
        parameters: vec![],
        shared: vec![],
        bounds: Some(Box::new(Bounds { volumes, ..Bounds::default() })),
    };
    let script = "cat dir/pw; echo; echo $PW; stat -L -c '%a %u:%g' dir/pw; echo 1 2>/dev/null > dir/pw || echo read-only; \
                  touch told; sleep 1000";
    let plain = shell("t", script);
    let command = CommandInfo {
        user: Some(USER.to_owned()),
        secrets: vec![("PW".to_owned(), secret("hidden-in-a-variable"))],
        ..plain.command.clone()
    };
    world.run(TaskInfo { container: Some(container), command, ..plain }).await;
    world.expect(TaskState::Running).await;
    let sandbox = world.sandbox("t");
    world.until("it has told all", |_| sandbox.join("told").exists()).await;
    let output = std::fs::read_to_string(sandbox.join("stdout")).expect("its output");
    let expected = format!("hidden-in-a-file\nhidden-in-a-variable\n400 {USER}\nread-only\n");
    assert_eq!(output, expected);
    std::fs::write(sandbox.join("stdout"), "").expect("emptied");
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let (status, told) = Caller::new(&world, encoding).ask(&call(Type::GetState)).await;
        assert_eq!(status, 200);
        assert!(!told.windows(6).any(|window| window == b"hidden"));
    }
    assert!(!world.get("/state").await.1.contains("hidden"));
    // What the agent keeps of it is closed to others of the machine, and nothing of it is in a file that is not.
    let found = Command::new("grep").args(["-rl", "hidden-in-a-"]).arg(world.path()).output();
    let found = String::from_utf8(found.expect("grep runs").stdout).expect("text");
    for path in found.lines() {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{path}");
    }
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}
