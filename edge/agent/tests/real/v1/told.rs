//! What the agent tells, call by call and in both encodings.

use mesos_v1::agent::Call;
use mesos_v1::agent::call::{
    AddResourceProviderConfig, ListFiles, MarkResourceProviderGone, PruneImages, ReadFile,
    RemoveResourceProviderConfig, Type,
};
use mesos_v1::{Image, ResourceProviderId, ResourceProviderInfo, image};
use model::task::TaskState;

use super::sessions::with_task;
use super::{Caller, ENCODINGS, call};
use crate::world::{LOG, World, shell};

pub(crate) async fn every_question_is_answered_in_both_encodings() {
    let (mut world, task) = with_task(shell("t", "sleep 1000")).await;
    for encoding in ENCODINGS {
        let caller = Caller::new(&world, encoding);
        let ask = async |kind: Type| caller.answer(&call(kind)).await;
        assert!(ask(Type::GetHealth).await.get_health.expect("told").healthy);
        let version = ask(Type::GetVersion).await.get_version.expect("told").version_info.version;
        assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
        let flags = ask(Type::GetFlags).await.get_flags.expect("told").flags;
        assert!(flags.iter().any(|flag| flag.name == "work_dir"), "{flags:?}");
        let metrics = ask(Type::GetMetrics).await.get_metrics.expect("told").metrics;
        let running = metrics.iter().find(|one| one.name == "slave/tasks_running");
        assert_eq!(running.and_then(|one| one.value), Some(1.0));
        let agent = ask(Type::GetAgent).await.get_agent.expect("told").agent_info.expect("told");
        assert_eq!((agent.hostname.as_str(), agent.port), ("here", Some(world.config.port.into())));
        assert!(ask(Type::GetOperations).await.get_operations.expect("told").operations.is_empty());
        let providers = ask(Type::GetResourceProviders).await.get_resource_providers;
        assert!(providers.expect("told").resource_providers.is_empty());
        let state = ask(Type::GetState).await.get_state.expect("told");
        assert_eq!(state.get_tasks, ask(Type::GetTasks).await.get_tasks);
        assert_eq!(state.get_executors, ask(Type::GetExecutors).await.get_executors);
        assert_eq!(state.get_frameworks, ask(Type::GetFrameworks).await.get_frameworks);
        let launched = state.get_tasks.expect("told").launched_tasks;
        assert_eq!(launched[0].task_id.value, "t");
        assert_eq!(launched[0].executor_id.as_ref().map(|id| id.value.as_str()), Some("t"));
        let executors = state.get_executors.expect("told").executors;
        assert_eq!(executors[0].executor_info.executor_id.value, "t");
        let frameworks = state.get_frameworks.expect("told").frameworks;
        let framework = &frameworks[0].framework_info;
        assert_eq!(framework.id.as_ref().map(|id| id.value.as_str()), Some("f"));
        let older = world.json("/state").await["frameworks"][0].clone();
        assert_eq!(older["name"], framework.name.as_str());
        assert_eq!(older["user"], framework.user.as_str());
        let containers = ask(Type::GetContainers).await.get_containers.expect("told").containers;
        assert_eq!(containers[0].container_id, task);
        let used = containers[0].resource_statistics.as_ref().expect("it runs");
        assert_eq!(used.cpus_limit, Some(0.5));
    }
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}

pub(crate) async fn endpoints_tell_of_themselves_and_of_the_log() {
    let world = World::open().await;
    let client = reqwest::Client::new();
    for one in wire::mesos::help::AGENT {
        if one.name.starts_with("/api/v1") {
            continue;
        }
        let url = world.url(&one.path());
        let refused = client.patch(url.as_str()).send().await.expect("an answer");
        assert_eq!(refused.status(), 405, "{url}");
        assert_eq!(refused.headers()["allow"], one.methods.join(", ").as_str(), "{url}");
        let told = client.get(url.as_str()).send().await.expect("an answer");
        assert!(told.status() != 404 && told.status() != 405, "{url}: {}", told.status());
    }
    let told = world.json("/help?format=json").await;
    assert!(told["processes"].as_array().is_some_and(|all| all.len() > 5), "{told}");
    assert!(world.json("/system/stats.json").await["cpus_total"].is_u64());
    let late = client.get(world.url("/metrics/snapshot?timeout=late")).send().await;
    assert_eq!(late.expect("an answer").status(), 400);
    let state = world.json("/state").await;
    assert_eq!(state["external_log_file"], LOG);
    assert_eq!(world.json("/files/debug").await["/slave/log"], LOG);
    let read = world.json("/files/read?path=/slave/log&offset=0&length=9").await;
    assert_eq!(read["data"], "[package]");
    let asked = ReadFile { path: "/slave/log".to_owned(), offset: 1, length: Some(7) };
    let asked = Call { read_file: Some(asked), ..call(Type::ReadFile) };
    let told = Caller::new(&world, ENCODINGS[0]).answer(&asked).await;
    assert_eq!(told.read_file.expect("told").data, b"package");
    world.close().await;
}

pub(crate) async fn files_are_listed_and_read_as_bytes() {
    let script = "printf '\\377abc' > file; mkdir dir; touch done; sleep 1000";
    let (mut world, _) = with_task(shell("t", script)).await;
    let done = world.sandbox("t").join("done");
    world.until("the files are there", |_| done.exists()).await;
    let path = |name: &str| format!("/frameworks/f/executors/t/runs/latest/{name}");
    for encoding in ENCODINGS {
        let caller = Caller::new(&world, encoding);
        let list = |name: &str| Call {
            list_files: Some(ListFiles { path: path(name) }),
            ..call(Type::ListFiles)
        };
        let listed = caller.answer(&list("")).await.list_files.expect("told").file_infos;
        let file = listed.iter().find(|one| one.path.ends_with("/file")).expect("it is there");
        assert_eq!((file.size, file.uid.as_deref()), (Some(4), Some("root")));
        assert_eq!(file.mode.map(|mode| mode & 0o170_000), Some(0o100_000));
        let read = |name: &str, offset, length| Call {
            read_file: Some(ReadFile { path: path(name), offset, length }),
            ..call(Type::ReadFile)
        };
        let content = caller.answer(&read("file", 0, None)).await.read_file.expect("told");
        assert_eq!((content.size, content.data), (4, b"\xffabc".to_vec()));
        let content = caller.answer(&read("file", 1, Some(2))).await.read_file.expect("told");
        assert_eq!(content.data, b"ab");
        for (call, expected) in [
            (list("none"), 404),
            (list("file"), 400),
            (read("dir", 0, None), 400),
            (read("../../../../../../state.redb", 0, None), 400),
        ] {
            assert_eq!(caller.ask(&call).await.0, expected, "{call:?}");
        }
    }
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}

pub(crate) async fn what_is_not_done_is_refused_by_name() {
    let (mut world, _) = with_task(shell("t", "sleep 1000")).await;
    for encoding in ENCODINGS {
        let caller = Caller::new(&world, encoding);
        let remove = RemoveResourceProviderConfig { r#type: "a".into(), name: "b".into() };
        let gone = MarkResourceProviderGone {
            resource_provider_id: ResourceProviderId { value: "provider".to_owned() },
        };
        let add = |id: Option<ResourceProviderId>| Call {
            add_resource_provider_config: Some(AddResourceProviderConfig {
                info: ResourceProviderInfo { id, ..ResourceProviderInfo::default() },
            }),
            ..call(Type::AddResourceProviderConfig)
        };
        for (refused, expected, word) in [
            (add(None), 500, "--resource_provider_config_dir"),
            (add(Some(ResourceProviderId::default())), 400, "info.id' to be unset"),
            (
                call(Type::UpdateResourceProviderConfig),
                400,
                "'update_resource_provider_config' to be present",
            ),
            (
                Call {
                    remove_resource_provider_config: Some(remove),
                    ..call(Type::RemoveResourceProviderConfig)
                },
                500,
                "--resource_provider_config_dir",
            ),
            (
                Call {
                    mark_resource_provider_gone: Some(gone),
                    ..call(Type::MarkResourceProviderGone)
                },
                500,
                "Resource provider provider does not exist",
            ),
        ] {
            let (status, cause) = caller.ask(&refused).await;
            let cause = String::from_utf8_lossy(&cause).into_owned();
            assert!(status == expected && cause.contains(word), "{status} {cause}");
        }
        let prune = |excluded_images| Call {
            prune_images: Some(PruneImages { excluded_images }),
            ..call(Type::PruneImages)
        };
        let docker = image::Docker { name: "nginx".to_owned(), ..image::Docker::default() };
        let kind = image::Type::Docker as i32;
        let nginx = Image { r#type: kind, docker: Some(docker), ..Image::default() };
        assert_eq!(caller.ask(&prune(vec![nginx.clone()])).await.0, 200);
        let appc = Image { r#type: image::Type::Appc as i32, ..nginx };
        assert_eq!(caller.ask(&prune(vec![appc])).await.0, 400);
    }
    world.kill("t").await;
    world.expect(TaskState::Killed).await;
    world.close().await;
}
