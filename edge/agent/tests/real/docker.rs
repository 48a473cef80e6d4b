//! Tasks under a Docker Engine of the test's own: a `dockerd` that meets nobody's images and rules.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agent::DockerConfig;
use bollard::Docker;
use bollard::query_parameters::{CreateImageOptions, ListContainersOptions};
use futures::StreamExt;
use model::container::{
    ContainerInfo, ContainerKind, HealthCheck, Image, Probe, Run, Volume, VolumeMode,
};
use model::task::{Reason, TaskInfo, TaskState};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, shell};

const BUSYBOX: &str = "/bin/busybox";
const IMAGE: &str = "here/busybox:1";
const START_MAX: Duration = Duration::from_secs(30);

struct Engine {
    docker: Docker,
    config: DockerConfig,
    _daemon: Daemon,
    _data: tempfile::TempDir,
}

struct Daemon {
    process: Child,
    run: tempfile::TempDir,
}

impl Engine {
    async fn start() -> Self {
        // Sockets have short names only.
        let run = tempfile::Builder::new().prefix("agent-docker").tempdir_in("/run");
        let (run, data) = (run.expect("made"), tempfile::tempdir().expect("made"));
        let socket = run.path().join("docker.sock");
        let log = std::fs::File::create(run.path().join("log")).expect("made");
        let process = Command::new("dockerd")
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .args(["--storage-driver=vfs", "--host", &format!("unix://{}", socket.display())])
            .arg("--data-root")
            .arg(data.path())
            .arg("--exec-root")
            .arg(run.path().join("exec"))
            .arg("--pidfile")
            .arg(run.path().join("pid"))
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("dockerd starts; it is in the package docker.io");
        let attendant = std::env::current_exe().expect("this program");
        let mut daemon = Daemon { process, run };
        let docker = daemon.until_answered(&socket).await;
        let engine = Self {
            docker,
            config: DockerConfig { socket, attendant },
            _daemon: daemon,
            _data: data,
        };
        engine.import().await;
        engine
    }

    /// An image of one program.
    async fn import(&self) {
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_path_with_name(BUSYBOX, "bin/busybox").expect("from busybox-static");
        for name in ["sh", "sleep", "cat", "ls", "tail", "head"] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            let path = format!("bin/{name}");
            archive.append_link(&mut header, path, "busybox").expect("appended");
        }
        let layer = bollard::body_full(archive.into_inner().expect("complete").into());
        let (repo, tag) = IMAGE.split_once(':').expect("a tag");
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repo.to_owned()),
            tag: Some(tag.to_owned()),
            ..Default::default()
        };
        let mut importing = self.docker.create_image(Some(options), Some(layer), None);
        while let Some(step) = importing.next().await {
            step.expect("imported");
        }
    }

    async fn containers(&self) -> usize {
        let options = ListContainersOptions { all: true, ..Default::default() };
        self.docker.list_containers(Some(options)).await.expect("listed").len()
    }

    async fn until_empty(&self) {
        let begun = Instant::now();
        while 0 < self.containers().await {
            assert!(begun.elapsed() < START_MAX, "a container stays");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Daemon {
    async fn until_answered(&mut self, socket: &Path) -> Docker {
        let (begun, socket) = (Instant::now(), socket.display().to_string());
        loop {
            let client = Docker::connect_with_socket(&socket, 60, bollard::API_DEFAULT_VERSION);
            if let Ok(client) = client
                && let Ok(client) = client.negotiate_version().await
            {
                return client;
            }
            let is_gone = self.process.try_wait().expect("a child").is_some();
            if is_gone || START_MAX < begun.elapsed() {
                let log = std::fs::read_to_string(self.run.path().join("log"));
                panic!("dockerd does not answer:\n{}", log.unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        // It may be gone already.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let _ = self.process.wait();
        unmount_below(self.run.path());
    }
}

/// What it leaves mounted keeps its directories from going.
fn unmount_below(dir: &Path) {
    for mounted in ["exec/netns/default", "exec"] {
        let _ = unmount(dir.join(mounted), UnmountFlags::DETACH);
    }
}

async fn world(engine: &Engine) -> World {
    let mut world = World::prepare().await;
    world.config.docker = Some(engine.config.clone());
    world.start().await;
    world
}

fn docker(id: &str, command: &str) -> TaskInfo {
    let container = ContainerInfo {
        kind: ContainerKind::Docker,
        image: Some(Image::plain(IMAGE.to_owned())),
        volumes: vec![],
        privileged: false,
        tty: false,
        parameters: vec![],
        shared: vec![],
        bounds: None,
    };
    TaskInfo { container: Some(container), ..shell(id, command) }
}

pub(crate) async fn a_task_for_docker_runs_there_and_ends_as_it_ends_there() {
    let engine = Engine::start().await;
    let mut world = world(&engine).await;
    let said = "echo \"$MESOS_SANDBOX $MESOS_TASK_ID $A\"; ls /; ls /data; echo oh >&2; exit 3";
    let mut task = docker("t", said);
    task.command.environment.push(("A".to_owned(), "b c".to_owned()));
    let container = task.container.as_mut().expect("it has one");
    container.volumes.push(Volume {
        container_path: "/data".to_owned(),
        host_path: "kept".to_owned(),
        mode: VolumeMode::ReadWrite,
    });
    let (status, output) = world.finish(task).await;
    assert_eq!(status.state, TaskState::Failed);
    assert_eq!(status.message.as_deref(), Some("Command exited with status 3"));
    assert!(output.starts_with("/mnt/mesos/sandbox t b c\n"), "{output}");
    assert!(output.lines().any(|line| line == "data") && !output.contains("home"), "{output}");
    let errors = std::fs::read_to_string(world.sandbox("t").join("stderr")).expect("there");
    assert_eq!(errors, "oh\n");
    let (status, _) = world.finish(docker("memory", "exec tail /dev/zero")).await;
    assert_eq!(status.reason, Some(Reason::ContainerLimitationMemory), "{status:?}");
    let (status, _) = world.finish(docker("good", "cat /proc/1/comm")).await;
    assert_eq!(status.state, TaskState::Finished);
    let mut none = docker("none", "true");
    none.container.as_mut().expect("it has one").image =
        Some(Image::plain("127.30.0.7:9/nothing:1".to_owned()));
    let (status, _) = world.finish(none).await;
    let message = status.message.unwrap_or_default();
    assert!(message.contains("cannot pull image 127.30.0.7:9/nothing:1"), "{message}");
    let mut bad = docker("bad", "");
    bad.command.run = Run::Exec(vec!["/bin/missing".to_owned()]);
    let (status, _) = world.finish(bad).await;
    assert_eq!(status.message.as_deref(), Some("Command exited with status 127"), "{status:?}");
    let errors = std::fs::read_to_string(world.sandbox("bad").join("stderr")).expect("there");
    assert!(errors.contains("/bin/missing"), "{errors}");
    let mut greedy = docker("greedy", "true");
    greedy.container.as_mut().expect("it has one").parameters =
        vec![("pid".to_owned(), "host".to_owned())];
    let (status, _) = world.finish(greedy).await;
    let message = status.message.unwrap_or_default();
    assert!(message.contains("isolation.share_pid"), "{message}");
    let mut odd = docker("odd", "true");
    odd.command.user = Some("nobody-knows".to_owned());
    let (status, _) = world.finish(odd).await;
    let message = status.message.unwrap_or_default();
    assert!(message.contains("nobody-knows"), "{message}");
    engine.until_empty().await;
    world.close().await;
}

pub(crate) async fn a_task_under_docker_outlives_its_agent_and_is_killed_by_it() {
    let engine = Engine::start().await;
    let mut world = world(&engine).await;
    let waits = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done";
    world.run(docker("t", waits)).await;
    world.run(docker("short", "until [ -e $MESOS_SANDBOX/go ]; do sleep 0.1; done; exit 4")).await;
    world.expect(TaskState::Running).await;
    world.expect(TaskState::Running).await;
    world.stop().await;
    std::fs::write(world.sandbox("short").join("go"), "").expect("written");
    let begun = Instant::now();
    while 1 < running(&engine).await {
        assert!(begun.elapsed() < START_MAX, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.start().await;
    let status = world.ended().await;
    assert_eq!(status.message.as_deref(), Some("Command exited with status 4"), "{status:?}");
    let up = |world: &World| std::fs::read_to_string(world.sandbox("t").join("stdout"));
    world.until("its first line", |_| up(&world).is_ok_and(|text| text == "up\n")).await;
    world.kill("t").await;
    assert_eq!(world.ended().await.state, TaskState::Killed);
    assert_eq!(up(&world).expect("there"), "up\nbye\n");
    engine.until_empty().await;
    world.close().await;
}

pub(crate) async fn a_task_under_docker_is_probed_inside_and_may_be_killed_there() {
    let engine = Engine::start().await;
    let mut world = world(&engine).await;
    let probe = "[ -e /bin/busybox ] && [ ! -e /home ]";
    let health = HealthCheck {
        probe: Probe::command(Run::Shell(probe.to_owned())),
        delay: Duration::ZERO,
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(20),
        grace: Duration::ZERO,
        failures_max: 0,
    };
    world.run(TaskInfo { health_checks: vec![health], ..docker("t", "exec sleep 1000") }).await;
    let mut status = world.expect(TaskState::Running).await;
    while status.healthy.is_none() {
        status = world.update().await;
    }
    assert_eq!(status.healthy, Some(true), "{status:?}");
    let container = status.container.expect("it runs").id.to_string();
    let listed = world.json("/containers").await;
    let memory = listed[0]["statistics"]["mem_limit_bytes"].as_u64();
    assert_eq!(memory, Some(64 << 20), "the engine's group: {listed}");
    let session = serde_json::json!({
        "type": "LAUNCH_NESTED_CONTAINER_SESSION",
        "launch_nested_container_session": {
            "container_id": {"value": "s", "parent": {"value": container}},
            "command": {"value": "true"},
        },
    });
    let client = reqwest::Client::new();
    let refused = client.post(world.url("/api/v1")).json(&session).send().await.expect("sent");
    assert_eq!(refused.status().as_u16(), 400);
    let cause = refused.text().await.expect("text");
    assert!(cause.contains("docker exec -it mesos-"), "{cause}");
    engine.docker.kill_container(&format!("mesos-{container}"), None).await.expect("killed");
    let status = world.ended().await;
    assert_eq!(status.message.as_deref(), Some("Command exited with status 137"), "{status:?}");
    engine.until_empty().await;
    world.close().await;
}

async fn running(engine: &Engine) -> usize {
    engine.docker.list_containers(None::<ListContainersOptions>).await.expect("listed").len()
}
