//! What is put into containers: images, secrets, paths of the machine with what is mounted below them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use containers::spec::{Mount, Source, Spec};
use model::container::VolumeMode;
use model::secret::Secret;

use crate::image::{image, layers};
use crate::world::{World, shell, wait_until};

const VALUE: &str = "correct horse battery staple";

fn mount(path: &str, source: Source) -> Mount {
    Mount { container_path: path.into(), mode: VolumeMode::ReadWrite, source }
}

fn of_host(path: &str, root: &Path, below: &str, both_ways: bool) -> Mount {
    let (root, path_below) = (root.to_owned(), PathBuf::from(below));
    mount(path, Source::Host { root, path: path_below, both_ways })
}

#[tokio::test]
async fn an_image_can_be_a_volume_and_keeps_what_it_is() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let mut on_host =
        world.spec(shell("cat vol/etc/layer; echo new > vol/etc/layer; cat vol/etc/layer"));
    on_host.mounts = vec![mount("vol", Source::Layers(layers.clone()))];
    let command = "cat /vol/etc/layer; echo new > /vol/etc/layer || echo no";
    let mut in_image = image(&mut world, &layers, shell(command));
    let source = Source::Layers(layers[1..].to_vec());
    let read_only = Mount { mode: VolumeMode::ReadOnly, ..mount("/vol", source) };
    in_image.mounts = vec![read_only];
    for (spec, output) in [(on_host, "uppernew\n"), (in_image, "upperno\n")] {
        assert_eq!(world.run(&spec).await.wait_status, 0, "{}", world.log(&spec, "stderr"));
        assert_eq!(world.log(&spec, "stdout"), output);
    }
    assert_eq!(std::fs::read_to_string(layers[1].join("etc/layer")).expect("it is there"), "upper");
    world.check_nothing_is_left().await;
}

/// Files below that have the text in them.
fn holding(text: &str, dir: &Path) -> Vec<PathBuf> {
    let found = Command::new("grep").arg("-rlFs").arg(text).arg(dir).output().expect("grep runs");
    String::from_utf8(found.stdout).expect("text").lines().map(PathBuf::from).collect()
}

#[tokio::test]
async fn a_secret_is_a_file_in_memory_that_only_its_container_has() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let secret = Secret::new(VALUE.as_bytes().to_vec());
    assert!(!format!("{secret:?}").contains("horse"));
    let script = |path: &str| {
        format!(
            "cat {path}; echo x > {path} || echo no; echo; until [ -e end ]; do sleep 0.02; done"
        )
    };
    let mut on_host = world.spec(shell(&script("token")));
    on_host.user = Some("65534".into());
    let nobody = Some(65534);
    std::os::unix::fs::chown(&on_host.sandbox, nobody, nobody).expect("owned");
    on_host.mounts = vec![mount("token", Source::Secret(secret.clone()))];
    let in_sandbox = script("/run/token").replace("-e end", "-e /mnt/mesos/sandbox/end");
    let mut in_image = image(&mut world, &layers, shell(&in_sandbox));
    in_image.mounts =
        vec![Mount { mode: VolumeMode::ReadOnly, ..mount("/run/token", Source::Secret(secret)) }];
    for spec in [on_host, in_image] {
        world.launch(&spec).await;
        world.wait_for_output(&spec, &format!("{VALUE}no\n\n")).await;
        assert_eq!(holding(VALUE, world.path()), [spec.sandbox.join("stdout")], "on the disk");
        std::fs::write(spec.sandbox.join("end"), "").expect("written");
        assert_eq!(world.end_of(&spec).await.wait_status, 0);
        world.containers().remove(&spec.container).await.expect("removed");
        std::fs::remove_file(spec.sandbox.join("stdout")).expect("removed");
    }
    world.check_nothing_is_left().await;
}

/// Unmounted at the end, however that comes.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, words: &[&str]) -> Self {
        std::fs::create_dir_all(at).expect("made");
        run("mount", words, at);
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-R", "-l"], &self.0);
    }
}

fn run(program: &str, words: &[&str], at: &Path) {
    let done = Command::new(program).args(words).arg(at).status().expect("it runs");
    assert!(done.success(), "{program} {words:?} {}", at.display());
}

fn wait_for(path: &Path) -> String {
    format!("until [ -e {} ]; do sleep 0.02; done;", path.display())
}

#[tokio::test]
async fn mounts_reach_a_container_and_come_from_it_only_if_that_is_asked_for() {
    let mut world = World::open().await;
    world.config.allow_privileged = true;
    world.reopen().await;
    let at = world.path().join("shared");
    let _mounted = Mounted::new(&at, &["-t", "tmpfs", "none"]);
    run("mount", &["--make-shared"], &at);
    for name in ["in", "out"] {
        std::fs::create_dir(at.join(name)).expect("made");
    }
    for both_ways in [false, true] {
        let script = format!(
            "mount -t tmpfs none vol/out && touch vol/out/here && touch ready; {} ls vol/in",
            wait_for(Path::new("vol/in/here"))
        );
        let mut spec = world.spec(shell(&script));
        spec.privileged = true;
        spec.mounts = vec![of_host("vol", world.path(), "shared", both_ways)];
        world.launch(&spec).await;
        let ready = spec.sandbox.join("ready");
        wait_until("it has mounted", || ready.exists(), || world.log(&spec, "stderr")).await;
        assert_eq!(at.join("out/here").exists(), both_ways);
        let below = Mounted::new(&at.join("in"), &["-t", "tmpfs", "none"]);
        std::fs::write(at.join("in/here"), "").expect("written");
        assert_eq!(world.end_of(&spec).await.wait_status, 0);
        assert_eq!(world.log(&spec, "stdout"), "here\n");
        world.containers().remove(&spec.container).await.expect("removed");
        drop(below);
    }
    run("mount", &["--make-private"], &at);
    let mut spec = world.spec(shell("true"));
    spec.mounts = vec![of_host("vol", world.path(), "shared", true)];
    refused(&world, &spec, "in no shared mount").await;
}

async fn refused(world: &World, spec: &Spec, words: &str) {
    let cause = world.containers().launch(spec.clone()).await.expect_err(words).cause;
    assert!(cause.contains(words), "{words:?} is not in {cause}");
}

#[tokio::test]
async fn a_link_below_an_allowed_path_leads_nowhere() {
    let mut world = World::open().await;
    let root = world.path().join("allowed");
    std::fs::create_dir_all(root.join("real/deep")).expect("made");
    std::fs::write(root.join("real/deep/file"), "yes").expect("written");
    symlink("real", root.join("link")).expect("a link");
    symlink("/etc", root.join("out")).expect("a link");
    let mut spec = world.spec(shell("cat vol/file"));
    spec.mounts = vec![of_host("vol", &root, "real/deep", false)];
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout"), "yes");
    for (path, words) in [
        ("link/deep", "has become a link"),
        ("out", "has become a link"),
        ("../allowed/real", "has become a link"),
        ("nothing", "does not exist on the host"),
    ] {
        let mut spec = world.spec(shell("true"));
        spec.mounts = vec![of_host("vol", &root, path, false)];
        refused(&world, &spec, words).await;
    }
    world.check_nothing_is_left().await;
}
