//! Containers that callers start: nested in those of tasks, and on their own.

use std::path::Path;

use mesos_v1::agent::Call;
use mesos_v1::agent::call::{
    GetContainers, LaunchContainer, LaunchNestedContainer, RemoveContainer, RemoveNestedContainer,
    Type, WaitNestedContainer,
};
use mesos_v1::agent::response::get_containers::Container;
use mesos_v1::codec::Encoding;
use mesos_v1::container_info::Type as ContainerType;
use mesos_v1::task_status::Reason;
use mesos_v1::value::{Scalar, Type as ValueType};
use mesos_v1::{CommandInfo, ContainerId, ContainerInfo, LinuxInfo, Resource};
use model::task::{Cgroups, TaskState};

use super::sessions::{exit_status, kill, none_runs, wait, with_task};
use super::{Caller, ENCODINGS, call, id};
use crate::groups;
use crate::world::{World, shell};

fn command(script: &str) -> Option<CommandInfo> {
    Some(CommandInfo { value: Some(script.to_owned()), ..CommandInfo::default() })
}

#[expect(deprecated, reason = "older clients say it so")]
fn launch(own: &ContainerId, script: &str, encoding: Encoding) -> Call {
    let (container_id, command) = (own.clone(), command(script));
    match encoding {
        Encoding::Json => {
            let wanted =
                LaunchNestedContainer { container_id, command, ..LaunchNestedContainer::default() };
            let kind = call(Type::LaunchNestedContainer);
            Call { launch_nested_container: Some(wanted), ..kind }
        }
        Encoding::Protobuf => {
            let wanted = LaunchContainer { container_id, command, ..LaunchContainer::default() };
            Call { launch_container: Some(wanted), ..call(Type::LaunchContainer) }
        }
    }
}

#[expect(deprecated, reason = "older clients say it so")]
fn remove(own: &ContainerId, encoding: Encoding) -> Call {
    let container_id = own.clone();
    match encoding {
        Encoding::Json => Call {
            remove_nested_container: Some(RemoveNestedContainer { container_id }),
            ..call(Type::RemoveNestedContainer)
        },
        Encoding::Protobuf => Call {
            remove_container: Some(RemoveContainer { container_id }),
            ..call(Type::RemoveContainer)
        },
    }
}

fn with_linux(own: &ContainerId, linux: LinuxInfo) -> Call {
    let container = ContainerInfo {
        r#type: ContainerType::Mesos as i32,
        linux_info: Some(linux),
        ..ContainerInfo::default()
    };
    let wanted = LaunchContainer {
        container_id: own.clone(),
        command: command("true"),
        container: Some(container),
        ..LaunchContainer::default()
    };
    Call { launch_container: Some(wanted), ..call(Type::LaunchContainer) }
}

/// With limits of its own.
fn apart(own: &ContainerId, script: &str) -> Call {
    let launch = alone(own, script).launch_container.expect("it launches one");
    let linux = LinuxInfo { share_cgroups: Some(false), ..LinuxInfo::default() };
    let container = with_linux(own, linux).launch_container.expect("it launches one").container;
    let launch = LaunchContainer { container, ..launch };
    Call { launch_container: Some(launch), ..call(Type::LaunchContainer) }
}

fn alone(own: &ContainerId, script: &str) -> Call {
    let resource = |name: &str, value| Resource {
        name: name.to_owned(),
        r#type: ValueType::Scalar as i32,
        scalar: Some(Scalar { value }),
        ..Resource::default()
    };
    let wanted = LaunchContainer {
        container_id: own.clone(),
        command: command(script),
        resources: vec![resource("cpus", 0.5), resource("mem", 32.0)],
        ..LaunchContainer::default()
    };
    Call { launch_container: Some(wanted), ..call(Type::LaunchContainer) }
}

async fn ask(caller: &Caller, call: Call) -> u16 {
    caller.ask(&call).await.0
}

async fn shown(caller: &Caller, nested: bool, standalone: bool) -> Vec<Container> {
    let asked = GetContainers { show_nested: Some(nested), show_standalone: Some(standalone) };
    let answer =
        caller.answer(&Call { get_containers: Some(asked), ..call(Type::GetContainers) }).await;
    answer.get_containers.expect("it was asked for").containers
}

fn names(containers: &[Container]) -> Vec<&str> {
    containers.iter().map(|one| one.container_id.value.as_str()).collect()
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

pub(crate) async fn a_nested_container_is_waited_for_killed_and_removed() {
    let (mut world, task) = with_task(shell("t", "sleep 1000")).await;
    for encoding in ENCODINGS {
        let caller = Caller::new(&world, encoding);
        let own = id(&format!("n-{encoding:?}"), Some(&task));
        let script = "pwd; echo $MESOS_CONTAINER_ID; exit 3";
        assert_eq!(ask(&caller, launch(&own, script, encoding)).await, 200);
        assert_eq!(exit_status(&caller, &own).await, Some(3 << 8));
        assert_eq!(ask(&caller, launch(&own, script, encoding)).await, 202, "it is there");
        let linux = LinuxInfo { share_cgroups: Some(false), ..LinuxInfo::default() };
        let apart = id(&format!("apart-{encoding:?}"), Some(&own));
        let (status, cause) = caller.ask(&with_linux(&apart, linux)).await;
        assert!(status == 400 && String::from_utf8_lossy(&cause).contains("share_cgroups"));
        let read =
            format!("/files/read?path=/containers/{}.{}/stdout&offset=0", task.value, own.value);
        let written = world.json(&read).await["data"].as_str().expect("text").to_owned();
        assert!(written.ends_with(&format!("\n{}\n", own.value)), "{written}");
        assert_eq!(ask(&caller, remove(&own, encoding)).await, 200);
        assert_eq!(ask(&caller, wait(&own)).await, 404);

        assert_eq!(ask(&caller, launch(&own, "sleep 4711003", encoding)).await, 200);
        assert_eq!(names(&shown(&caller, false, true).await), [task.value.as_str()]);
        let all = shown(&caller, true, false).await;
        assert_eq!(names(&all), [task.value.as_str(), own.value.as_str()]);
        assert_eq!(all[1].container_id, own);
        assert_eq!(all[1].framework_id.as_ref().map(|id| id.value.as_str()), Some("f"));
        assert_eq!(ask(&caller, remove(&own, encoding)).await, 409, "it runs");
        assert_eq!(ask(&caller, kill(&own, None)).await, 200);
        assert_eq!(exit_status(&caller, &own).await, Some(9));
        none_runs("sleep 4711003").await;
        assert_eq!(ask(&caller, remove(&own, encoding)).await, 200);
        assert_eq!(ask(&caller, remove(&own, encoding)).await, 200, "what is gone may be removed");
    }
    for dir in ["guests", "containers"] {
        assert_eq!(entries(&world.config.dir.join(dir)), 0, "{dir}");
    }
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}

pub(crate) async fn what_lies_in_a_task_may_be_limited_more_than_the_task() {
    let (mut world, task) = with_task(shell("t", "sleep 1000")).await;
    let caller = Caller::new(&world, Encoding::Protobuf);
    let own = id("apart", Some(&task));
    let hog = "tail -c 64M /dev/zero | tail -c 64M | wc -c; exit 5";
    let (status, cause) = caller.ask(&apart(&own, hog)).await;
    let groups = std::fs::read_to_string("/proc/self/cgroup").expect("read");
    let of_version_1 =
        |line: &str| line.split(':').nth(1).is_some_and(|all| all.contains("memory"));
    if !groups.lines().any(of_version_1) {
        let cause = String::from_utf8_lossy(&cause);
        assert!(status == 400 && cause.contains("version 2 of control groups"), "{cause}");
    } else {
        assert_eq!(status, 200);
        let ended = caller.answer(&wait(&own)).await.wait_container.expect("it was asked for");
        assert_eq!(ended.reason(), Reason::ContainerLimitationMemory, "{ended:?}");
        let lasting = id("lasting", Some(&task));
        assert_eq!(ask(&caller, apart(&lasting, "sleep 4711012")).await, 200);
        let all = shown(&caller, true, false).await;
        let of = |name: &str| all.iter().find(|one| one.container_id.value == name);
        let used = of("lasting").and_then(|one| one.resource_statistics.as_ref());
        let used = used.expect("it runs");
        assert_eq!((used.cpus_limit, used.mem_limit_bytes), (Some(0.5), Some(32 << 20)));
    }
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    none_runs("sleep 4711012").await;
    world.close().await;
}

pub(crate) async fn what_is_nested_in_a_task_of_a_group_is_limited_with_it_and_ends_before_the_others()
 {
    let mut world = World::open().await;
    let tasks = ["a", "b"].map(|name| shell(name, "exec sleep 1000"));
    groups::run_in(&world, Cgroups::Shared, tasks.into()).await;
    let running = groups::all(&mut world, 2, TaskState::Running).await;
    let status = running["a"].container.clone().expect("it runs");
    let pod = status.parent.expect("it is in a pod");
    let task = id(status.id.as_str(), Some(&id(pod.as_str(), None)));
    let caller = Caller::new(&world, Encoding::Json);
    let (lasting, brief) = (id("lasting", Some(&task)), id("brief", Some(&task)));
    assert_eq!(ask(&caller, launch(&lasting, "sleep 4711011", Encoding::Json)).await, 200);
    assert_eq!(ask(&caller, launch(&brief, "exit 3", Encoding::Json)).await, 200);
    assert_eq!(exit_status(&caller, &brief).await, Some(3 << 8));
    let is_within = |dir: &Path| dir.join(&task.value).join("lasting").is_dir();
    let pools = groups::groups_of(&world);
    let pools: Vec<_> = pools.iter().filter(|dir| dir.ends_with(pod.as_str())).collect();
    assert!(!pools.is_empty() && pools.iter().all(|dir| is_within(dir)), "{pools:?}");

    world.kill("a").await;
    let ended = [world.ended().await, world.ended().await];
    let names: Vec<_> = ended.iter().map(|status| status.task.as_str()).collect();
    assert_eq!(names, ["a", "b"], "{ended:?}");
    none_runs("sleep 4711011").await;
    world.until("no control group stays", |_| groups::groups_of(&world).is_empty()).await;
    world.close().await;
}

#[expect(deprecated, reason = "older clients say it so")]
pub(crate) async fn nested_containers_end_with_their_host_and_leave_nothing() {
    let (mut world, task) = with_task(shell("t", "sleep 1000")).await;
    let caller = Caller::new(&world, Encoding::Json);
    let (outer, inner) = (id("outer", Some(&task)), id("inner", Some(&id("outer", Some(&task)))));
    assert_eq!(ask(&caller, launch(&outer, "sleep 4711004", Encoding::Json)).await, 200);
    assert_eq!(ask(&caller, launch(&inner, "sleep 4711005", Encoding::Json)).await, 200);
    let unknown = id("x", Some(&id("none", Some(&task))));
    assert_eq!(ask(&caller, launch(&unknown, "true", Encoding::Json)).await, 404);
    let waited = Call {
        wait_nested_container: Some(WaitNestedContainer { container_id: inner.clone() }),
        ..call(Type::WaitNestedContainer)
    };
    let (waited, _) = tokio::join!(caller.answer(&waited), world.kill("t"));
    let ended = waited.wait_nested_container.expect("it was asked for");
    assert_eq!(ended.exit_status, Some(9));
    world.expect(TaskState::Killed).await;
    none_runs("sleep 4711004").await;
    none_runs("sleep 4711005").await;
    world
        .until("nothing of them is left", |config| {
            let dirs = [config.dir.join("guests"), config.dir.join("containers")];
            dirs.iter().all(|dir| entries(dir) == 0) && entries(&config.containers.run_dir) == 0
        })
        .await;
    world.close().await;
}

pub(crate) async fn containers_of_callers_outlive_the_agent() {
    let (mut world, task) = with_task(shell("t", "sleep 1000")).await;
    let caller = Caller::new(&world, Encoding::Protobuf);
    let (nested, own) = (id("nested", Some(&task)), id("own", None));
    let script = "while ! test -e go; do sleep 0.01; done; exit 6";
    assert_eq!(ask(&caller, launch(&nested, script, Encoding::Protobuf)).await, 200);
    assert_eq!(ask(&caller, alone(&own, "sleep 4711006")).await, 200);
    world.stop().await;
    let sandbox = world.config.dir.join(format!("containers/{}.nested", task.value));
    std::fs::write(sandbox.join("go"), "").expect("written");
    world.start().await;
    assert_eq!(exit_status(&caller, &nested).await, Some(6 << 8));
    let all = shown(&caller, true, true).await;
    assert_eq!(names(&all), [task.value.as_str(), "nested", "own"]);
    assert_eq!(ask(&caller, kill(&own, Some(15))).await, 200);
    assert_eq!(exit_status(&caller, &own).await, Some(15));
    for one in [&own, &nested] {
        assert_eq!(ask(&caller, remove(one, Encoding::Protobuf)).await, 200);
    }
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}

pub(crate) async fn a_container_on_its_own_has_its_resources() {
    let mut world = World::open().await;
    for encoding in ENCODINGS {
        let caller = Caller::new(&world, encoding);
        let own = id(&format!("own-{encoding:?}"), None);
        assert_eq!(ask(&caller, alone(&own, "sleep 4711007")).await, 200);
        assert!(shown(&caller, true, false).await.is_empty());
        let all = shown(&caller, false, true).await;
        let used = all[0].resource_statistics.as_ref().expect("it runs");
        assert_eq!((used.cpus_limit, used.mem_limit_bytes), (Some(0.5), Some(32 << 20)));
        assert!(used.processes.is_some_and(|processes| processes > 0));
        assert_eq!(ask(&caller, kill(&own, None)).await, 200);
        assert_eq!(exit_status(&caller, &own).await, Some(9));
        assert_eq!(ask(&caller, remove(&own, Encoding::Protobuf)).await, 200);
        let missing = id("missing", None);
        let (status, cause) = caller.ask(&alone(&missing, "true")).await;
        assert_eq!(status, 200, "{cause:?}");
        assert_eq!(exit_status(&caller, &missing).await, Some(0));
        assert_eq!(ask(&caller, remove(&missing, Encoding::Protobuf)).await, 200);
    }
    // An agent that leaves nothing behind ends them, too.
    let caller = Caller::new(&world, Encoding::Json);
    assert_eq!(ask(&caller, alone(&id("last", None), "sleep 4711008")).await, 200);
    world.stop().await;
    world.config.stop_tasks = true;
    world.start().await;
    world.stop().await;
    none_runs("sleep 4711008").await;
    assert_eq!(entries(&world.config.containers.run_dir), 0);
    world.close().await;
}
