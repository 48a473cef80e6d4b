//! Real containers on this machine. Needs root.

mod world;

use std::time::Duration;

use model::container::Run;
use model::task::Reason;
use world::World;

const EXITED_3: i32 = 3 << 8;
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

fn shell(text: &str) -> Run {
    Run::Shell(text.into())
}

#[tokio::test]
async fn a_command_runs_and_its_output_is_kept() {
    let mut world = World::open().await;
    let spec = world.spec(shell("echo hello; echo oops >&2"));
    let ended = world.run(spec.clone()).await;
    assert_eq!((ended.wait_status, ended.limitation), (0, None));
    assert_eq!(world.log(&spec, "stdout"), "hello\n");
    assert_eq!(world.log(&spec, "stderr"), "oops\n");
    world.check_nothing_is_left().await;
}
