//! Tasks from launch to end, and what the API says of them.

use model::container::Uri;
use model::task::{Reason, TaskState};

use crate::world::{World, shell};

pub(crate) async fn output_is_read_from_the_sandbox() {
    let mut world = World::open().await;
    let (status, _) =
        world.finish(shell("t", "echo hi; echo oh >&2; mkdir d; echo in > d/file")).await;
    assert_eq!(status.state, TaskState::Finished, "{status:?}");
    let run = "/frameworks/f/executors/t/runs/latest";
    let read = |path: &str, part: &str| format!("/files/read?path={run}/{path}&{part}");
    let page = world.json(&read("stdout", "offset=0&length=100")).await;
    assert_eq!(page, serde_json::json!({"data": "hi\n", "offset": 0}));
    assert_eq!(world.json(&read("stdout", "offset=-1")).await["offset"], 3);
    assert_eq!(world.json(&read("stderr", "offset=1&length=1")).await["data"], "h");
    let listed = world.json(&format!("/slave(1)/files/browse.json?path={run}")).await;
    let names: Vec<_> =
        listed.as_array().expect("an array").iter().map(|one| one["path"].clone()).collect();
    for name in ["stdout", "stderr", "d"] {
        assert!(names.contains(&format!("{run}/{name}").into()), "{names:?}");
    }
    let (status, body) = world.get(&format!("/files/download?path={run}/d/file")).await;
    assert_eq!((status, body.as_str()), (200, "in\n"));
    let (status, body) = world.get(&read("../../../../../../state.redb", "offset=0")).await;
    assert_eq!(status, 400, "{body}");
    assert_eq!(world.get(&read("none", "offset=0")).await.0, 404);
    assert_eq!(
        world.get("/files/read").await,
        (400, "Expecting 'path=value' in query.\n".to_owned())
    );
    world.close().await;
}

pub(crate) async fn output_is_followed_until_its_sandbox_is_gone() {
    let mut world = World::open().await;
    world.run(shell("t", "echo one; until [ -e go ]; do sleep 0.05; done; echo two")).await;
    world.expect(TaskState::Running).await;
    let file = "/frameworks/f/executors/t/runs/latest/stdout";
    world
        .until("its first line", |_| {
            world.sandbox("t").join("stdout").metadata().is_ok_and(|it| it.len() == 4)
        })
        .await;
    let url = world.url(&format!("/files/follow?path={file}&lines=10"));
    let mut stream = reqwest::get(url).await.expect("an answer");
    assert_eq!(stream.chunk().await.expect("readable").expect("more"), "one\n");
    std::fs::write(world.sandbox("t").join("go"), "").expect("written");
    assert_eq!(stream.chunk().await.expect("readable").expect("more"), "two\n");
    assert_eq!(world.ended().await.state, TaskState::Finished);
    std::fs::remove_dir_all(world.sandbox("t").canonicalize().expect("there")).expect("removed");
    assert_eq!(stream.chunk().await.expect("no mishap"), None);
    let follow = |asked: &str| world.url(&format!("/files/follow?path={asked}"));
    for (asked, status) in [(file, 404), ("/etc/passwd", 404), ("x&lines=1&offset=2", 400)] {
        let answer = reqwest::get(follow(asked)).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{asked}");
    }
    world.close().await;
}

pub(crate) async fn a_task_may_open_as_many_files_as_tasks_could_before_the_agent_raised_its_own_limit()
 {
    let mut world = World::prepare().await;
    world.config.containers.open_files = Some(777);
    world.start().await;
    let (_, output) = world.finish(shell("t", "ulimit -Sn")).await;
    assert_eq!(output, "777\n");
    world.close().await;
}

pub(crate) async fn a_task_knows_its_surroundings_and_nothing_of_ours() {
    let mut world = World::open().await;
    let (_, output) = world.finish(shell("t", "env; pwd")).await;
    let sandbox = world.sandbox("t").canonicalize().expect("it is there").display().to_string();
    for line in [
        "MESOS_TASK_ID=t",
        "MESOS_FRAMEWORK_ID=f",
        "HOST=here",
        &format!("MESOS_DIRECTORY={sandbox}"),
    ] {
        assert!(output.lines().any(|one| one == line), "{line} is not in {output}");
    }
    assert!(output.contains("MESOS_SANDBOX="), "{output}");
    assert!(!output.contains("CARGO"), "{output}");
    world.close().await;
}

pub(crate) async fn the_end_of_a_process_is_told() {
    let mut world = World::open().await;
    let (status, _) = world.finish(shell("a", "exit 3")).await;
    assert_eq!(status.state, TaskState::Failed);
    assert_eq!(status.message.as_deref(), Some("Command exited with status 3"));
    let (status, _) = world.finish(shell("b", "kill -9 $$")).await;
    assert_eq!(status.message.as_deref(), Some("Command terminated with signal Killed"));
    let hungry = "x=a; while true; do x=$x$x$x$x; done";
    let (status, _) = world.finish(shell("c", hungry)).await;
    assert_eq!(status.reason, Some(Reason::ContainerLimitationMemory), "{status:?}");
    world.close().await;
}

pub(crate) async fn a_task_that_cannot_start_says_why() {
    let mut world = World::open().await;
    let mut task = shell("a", "true");
    task.command.user = Some("nobody-knows-me".to_owned());
    let (status, _) = world.finish(task).await;
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Some(Reason::ContainerLaunchFailed))
    );
    assert!(status.message.expect("a cause").contains("nobody-knows-me"));
    let mut task = shell("b", "true");
    let value = "http://127.30.0.7:1/missing.tgz".to_owned();
    task.command.uris =
        vec![Uri { value, extract: true, executable: false, cache: false, output_file: None }];
    let (status, _) = world.finish(task).await;
    assert!(status.message.expect("a cause").contains("http://127.30.0.7:1/missing.tgz"));
    world.close().await;
}

pub(crate) async fn a_killed_task_was_killed() {
    let mut world = World::open().await;
    world.run(shell("t", "sleep 1000")).await;
    world.expect(TaskState::Running).await;
    world.kill("t").await;
    let status = world.expect(TaskState::Killed).await;
    assert!(status.message.expect("a cause").starts_with("Command terminated with signal"));
    world.close().await;
}

pub(crate) async fn the_api_shows_what_runs() {
    let mut world = World::open().await;
    world.run(shell("t", "sleep 1000")).await;
    let status = world.expect(TaskState::Running).await;
    let container = status.container.expect("it runs").id.to_string();
    let state = world.json("/state").await;
    assert_eq!(state["id"], "S0");
    let executor = &state["frameworks"][0]["executors"][0];
    assert_eq!(executor["container"], container.as_str());
    assert_eq!(executor["tasks"][0]["state"], "TASK_RUNNING");
    let directory = executor["directory"].as_str().expect("a path");
    assert_eq!(world.get(&format!("/files/browse?path={directory}")).await.0, 200);
    let containers = world.json("/containers").await;
    assert_eq!(containers[0]["container_id"], container.as_str());
    assert!(0 < containers[0]["statistics"]["mem_limit_bytes"].as_u64().expect("a number"));
    let jsonp = world.get("/slave(1)/state.json?jsonp=show").await.1;
    assert!(jsonp.starts_with("show({") && jsonp.ends_with("});"), "{jsonp}");
    assert_eq!(world.json("/metrics/snapshot").await["slave/tasks_running"], 1.0);
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}
