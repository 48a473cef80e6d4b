//! Services that run from an image of a registry.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::attach::agent;
use crate::cluster::{Agents, Cluster, Tasks, urls};
use crate::fake::{Fake, Fault};
use crate::registry::{self, Image, Item, Registry, tar};

pub(crate) const MAKE_IMAGES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/images/make-images.sh");

#[tokio::test(flavor = "multi_thread")]
async fn nginx_serves_from_an_image_of_a_registry() {
    let registry = Registry::start("127.80.14.1").await;
    let made = Command::new("sh")
        .arg(MAKE_IMAGES)
        .arg(&registry.address)
        .arg("nginx")
        .output()
        .expect("sh");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut cluster = Cluster::start("127.80.14.2", &[]).await;
    let app = json!({
        "id": "/nginx", "instances": 2, "cpus": 0.1, "mem": 64,
        "container": {"type": "DOCKER", "docker": {"image": format!("{}/nginx", registry.address)}},
        "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0, "gracePeriodSeconds": 30,
            "delaySeconds": 0, "intervalSeconds": 1}],
    });
    let created = cluster.ask("POST", "/v2/apps", app.to_string()).await;
    assert_eq!(created.status, 201, "{created:?}");
    let app = cluster.app_when("nginx", |app| app["tasksHealthy"] == 2).await;
    for (task, url) in urls(&app) {
        let page = cluster.fetch(&url).await.unwrap_or_default();
        assert!(page.contains("Welcome to nginx"), "{task}: {page}");
    }
    let inside = cluster.told(&["task", "exec", &urls(&app)[0].0, "cat", "/proc/1/comm"]).await;
    assert!(!inside.is_empty(), "the container has a process 1 of its own");

    // Another container in the task's has a root of its own, and nothing that is in use is pruned.
    let state = cluster.fetch(&format!("http://{}/mesos/state", cluster.ip)).await;
    let state: Value = serde_json::from_str(&state.expect("a state")).expect("JSON");
    let task = &state["frameworks"][0]["tasks"][0];
    let id = task["slave_id"].as_str().expect("an id");
    let own = json!({"value": "own",
        "parent": task["statuses"][0]["container_status"]["container_id"]});
    let image =
        json!({"type": "DOCKER", "docker": {"name": format!("{}/nginx", registry.address)}});
    let launch = json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": {
        "container_id": own, "container": {"type": "MESOS", "mesos": {"image": image}},
        "command": {"value": "test -d /mnt/mesos/sandbox && exit 4"}}});
    let (status, cause) = agent(&cluster, id, &launch).await;
    assert_eq!(status, 200, "{cause}");
    let wait = json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": own}});
    let (_, ended) = agent(&cluster, id, &wait).await;
    assert_eq!(ended["wait_container"]["exit_status"], 4 << 8, "{ended}");
    cluster.kill();
    cluster.run(Tasks::RunOn).await;
    assert_eq!(agent(&cluster, id, &json!({"type": "PRUNE_IMAGES"})).await.0, 200);
    let words = ["task", "exec", &urls(&app)[0].0, "ls", "/etc/nginx"];
    assert!(cluster.told(&words).await.contains("mime.types"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_told_as_the_last_failure() {
    let registry = Registry::start("127.80.14.3").await;
    let cluster = Cluster::start("127.80.14.4", &[]).await;
    let image = format!("{}/nothing:1", registry.address);
    let app = json!({"id": "/missing", "cpus": 0.1, "mem": 32,
        "container": {"type": "MESOS", "docker": {"image": image}}});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    let app = cluster.app_when("missing", |app| app["lastTaskFailure"].is_object()).await;
    let message = app["lastTaskFailure"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("nothing"), "{app:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_layers_from_another_one() {
    let fake = Fake::start("127.80.14.5").await;
    let layers = ["lower", "upper"].map(|name| tar(&[Item::File(name, 0o644, name.as_bytes())]));
    let digests = layers.each_ref().map(|layer| registry::digest(layer));
    let image = Image { layers: layers.into(), config: json!({}) };
    let (_, paths) = fake.image("shared", "1", &image);
    let settings = "layer_sharing: {enabled: true}\n";
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("one.yaml");
    std::fs::write(&file, settings).expect("written");
    let file = file.to_str().expect("text");
    let flags = ["--config", file, "--attributes", "which:one"];
    let cluster = Cluster::start("127.80.14.6", &flags).await;
    let others = format!("{settings}ports: {{agent: 5061}}\nattributes: 'which:two'\n");
    let _others = Agents::start(&cluster.ip, &others);
    for which in ["one", "two"] {
        // What runs is the machine's own.
        let volume = |path: &str| json!({"containerPath": path, "hostPath": path, "mode": "RO"});
        let volumes = ["/bin", "/lib", "/lib64", "/usr"].map(volume);
        let app = json!({
            "id": format!("/{which}"), "cpus": 0.1, "mem": 32,
            "cmd": "test -f /lower && test -f /upper && exec sleep 1000",
            "constraints": [["which", "IS", which]],
            "container": {"type": "MESOS", "docker": {"image": format!("{}/shared:1", fake.address)},
                "volumes": volumes},
        });
        assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
        cluster.settled(which, 1).await;
    }
    let asked = |path: &str| fake.count(path);
    assert_eq!(
        paths.iter().map(|path| asked(path)).collect::<Vec<_>>(),
        [1, 1],
        "{:?}",
        fake.asked()
    );
    assert_eq!(asked("/v2/shared/manifests/1"), 2, "each is let in by the registry");
    let url = format!("http://{}:5051/layers/{}", cluster.ip, digests[0]);
    let stranger = reqwest::get(url).await.expect("an answer");
    assert_eq!(stranger.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_pull_says_how_far_it_is() {
    let fake = Fake::start("127.80.14.7").await;
    let layer = tar(&[Item::File("noise", 0o644, &vec![7; 3_000_000])]);
    let image = Image { layers: vec![layer], config: json!({}) };
    let (_, paths) = fake.image("slow", "1", &image);
    fake.fault(&paths[0], Fault::HangAfter(1_100_000));
    let cluster = Cluster::start("127.80.14.8", &[]).await;
    let name = format!("{}/slow:1", fake.address);
    let app = json!({"id": "/slow", "cpus": 0.1, "mem": 32, "cmd": "true",
        "container": {"type": "MESOS", "docker": {"image": name}}});
    assert_eq!(cluster.ask("POST", "/v2/apps", app.to_string()).await.status, 201);
    let told = async || -> String {
        let state = cluster.fetch(&format!("http://{}/mesos/state", cluster.ip)).await;
        let state: Value = serde_json::from_str(&state.expect("a state")).expect("JSON");
        let status = &state["frameworks"][0]["tasks"][0]["statuses"][0];
        format!("{} {}", status["state"], status["message"])
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let expected = format!("Pulling image {name}: 0 of 1 layers, ");
    loop {
        let told = told().await;
        if told.starts_with("\"TASK_STARTING\"") && told.contains(&expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
