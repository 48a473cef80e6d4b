//! A container with an image: its root, its confinement, its config.

use std::path::{Path, PathBuf};
use std::process::Command;

use containers::spec::{Exec, ImageConfig, Root, Spec, WindowSize};
use model::confinement::Confinement;
use model::container::{Run, Volume, VolumeMode};

use crate::world::{World, exec, shell};

/// Enough of a system for the tests: programs of this machine with what they are linked to.
const PROGRAMS: [&str; 21] = [
    "/bin/sh",
    "/bin/cat",
    "/bin/dd",
    "/bin/echo",
    "/bin/false",
    "/bin/grep",
    "/bin/ls",
    "/bin/mkdir",
    "/bin/mknod",
    "/bin/mount",
    "/bin/mv",
    "/bin/rm",
    "/bin/sleep",
    "/bin/stty",
    "/bin/touch",
    "/usr/bin/cut",
    "/usr/bin/id",
    "/usr/bin/tail",
    "/usr/bin/tty",
    "/usr/bin/unshare",
    "/bin/chmod",
];

/// Two layers: a system, and what is laid over it.
pub(crate) fn layers(world: &World) -> Vec<PathBuf> {
    let lower = world.path().join("store/lower");
    let upper = world.path().join("store/up:per");
    for program in PROGRAMS {
        copy_with_libraries(program, &lower);
    }
    for (path, text) in [
        ("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n"),
        ("etc/group", "root:x:0:\nweb:x:1001:\nlogs:x:4:web\n"),
        ("etc/layer", "lower"),
        ("etc/below", "lower"),
    ] {
        write(&lower.join(path), text);
    }
    write(&upper.join("etc/layer"), "upper");
    std::fs::create_dir_all(upper.join("srv")).expect("made");
    vec![lower, upper]
}

/// The capabilities of root. It may make devices, for control groups of either version say which of them may be opened.
fn of_root() -> &'static str {
    "00000000a80425fb"
}

fn copy_with_libraries(program: &str, root: &Path) {
    let linked = Command::new("ldd").arg(program).output().expect("ldd runs");
    let linked = String::from_utf8(linked.stdout).expect("text");
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain([program]) {
        let target = root.join(file.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("made");
        std::fs::copy(file, target).expect("copied");
    }
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(path, text).expect("written");
}

pub(crate) fn image(world: &mut World, layers: &[PathBuf], run: Run) -> Spec {
    let config = ImageConfig {
        entrypoint: vec!["/bin/echo".into(), "entry".into()],
        command: vec!["command".into()],
        environment: vec![("COLOUR".into(), "green".into()), ("SHAPE".into(), "round".into())],
        working_dir: Some("/srv".into()),
        user: None,
        stop_signal: Some(12),
    };
    Spec { root: Root::Image { layers: layers.to_vec(), config }, ..world.spec(run) }
}

#[tokio::test]
async fn a_working_directory_that_the_image_lacks_is_made() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let check = async |world: &mut World, dir: &str, read_only_root: bool| {
        let mut spec = image(world, &layers, shell("pwd"));
        spec.confinement = Confinement {
            working_dir: Some(dir.to_owned()),
            read_only_root,
            ..Confinement::default()
        };
        assert_eq!(world.run(&spec).await.wait_status, 0, "{}", world.log(&spec, "stderr"));
        assert_eq!(world.log(&spec, "stdout"), format!("{dir}\n"));
    };
    check(&mut world, "/new/and/deep", false).await;
    check(&mut world, "/new/read-only", true).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn an_image_says_how_it_is_run() {
    let mut world = World::open().await;
    let layers = layers(&world);
    for (run, output) in [
        (Run::Image(Vec::new()), "entry command\n"),
        (Run::Image(vec!["other".into()]), "entry other\n"),
        (exec(&["echo", "plain"]), "plain\n"),
        (
            shell("echo $COLOUR $SHAPE $HOME $PWD $MESOS_SANDBOX"),
            "green square /root /srv /mnt/mesos/sandbox\n",
        ),
        (shell("cat /etc/layer /etc/below"), "upperlower"),
        (shell("echo kept > /mnt/mesos/sandbox/file; cat /mnt/mesos/sandbox/file"), "kept\n"),
        (shell("echo new > /etc/layer; mkdir /new; cat /etc/layer"), "new\n"),
        (
            shell(
                "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max",
            ),
            "67108864\n",
        ),
        (
            shell("ls /dev"),
            "console\ncore\nfd\nfull\nkcore\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n",
        ),
    ] {
        let mut spec = image(&mut world, &layers, run.clone());
        spec.environment.push(("SHAPE".into(), "square".into()));
        world.run(&spec).await;
        let devices = |text: String| text.replace("console\ncore\n", "").replace("kcore\n", "");
        assert_eq!(
            devices(world.log(&spec, "stdout")),
            devices(output.into()),
            "{run:?}: {}",
            world.log(&spec, "stderr")
        );
    }
    assert_eq!(std::fs::read_to_string(layers[1].join("etc/layer")).expect("read"), "upper");
    assert!(!layers[0].join("new").exists() && !layers[1].join("new").exists());
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn an_image_cannot_reach_the_host() {
    let mut world = World::open().await;
    let layers = layers(&world);
    for (command, output) in [
        ("mount -t tmpfs x /srv || echo refused", "refused\n"),
        ("unshare -m true || echo refused", "refused\n"),
        ("echo 1 > /proc/sysrq-trigger || echo refused", "refused\n"),
        ("cat /proc/kcore | tail -c 1 || echo refused", ""),
        ("echo x > /sys/fs/cgroup/memory/memory.limit_in_bytes || echo refused", "refused\n"),
        ("mknod /srv/disk b 254 0; cat /srv/disk || echo refused", "refused\n"),
        ("mknod own c 1 3; cat own && echo opened || echo refused", "refused\n"),
        ("grep CapEff /proc/self/status | cut -f2", &format!("{}\n", of_root())),
        ("grep Seccomp: /proc/self/status | cut -f2", "2\n"),
        ("ls /proc/self/fd", "0\n1\n2\n3\n"),
        ("cat /proc/1/exe || echo refused", "refused\n"),
        ("cat /proc/1/environ || echo refused", "refused\n"),
    ] {
        let spec = image(&mut world, &layers, shell(command));
        world.run(&spec).await;
        assert_eq!(world.log(&spec, "stdout"), output, "{command}: {}", world.log(&spec, "stderr"));
    }
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn the_images_users_count() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let status = "echo $(id -u) $(id -g) $(id -G) $HOME $(grep -E '^(NoNewPrivs|CapEff)' /proc/self/status | cut -f2)";
    for (of_image, given, output) in [
        (None, None, &*format!("0 0 0 /root {} 0\n", of_root())),
        (Some("web"), None, "1000 1001 1001 4 /home/web 0000000000000000 1\n"),
        (Some("web"), Some("root"), &*format!("0 0 0 /root {} 0\n", of_root())),
        (None, Some("web:logs"), "1000 4 4 /home/web 0000000000000000 1\n"),
    ] {
        let mut spec = image(&mut world, &layers, shell(status));
        let Root::Image { config, .. } = &mut spec.root else { panic!("an image") };
        config.user = of_image.map(String::from);
        spec.user = given.map(String::from);
        world.run(&spec).await;
        assert_eq!(world.log(&spec, "stdout"), output, "{of_image:?} {given:?}");
    }
}

#[tokio::test]
async fn sessions_are_confined_like_the_container() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let spec = image(&mut world, &layers, exec(&["sleep", "600"]));
    world.launch(&spec).await;
    let status = "grep -E '^(CapEff|Seccomp:)' /proc/self/status | cut -f2; cat /etc/layer; tty";
    let exec = Exec {
        run: shell(status),
        environment: Vec::new(),
        user: None,
        working_dir: None,
        terminal: Some(WindowSize { rows: 24, columns: 80 }),
    };
    let mut session = world.containers().exec(&spec.container, exec).await.expect("started");
    let containers::session::Streams::Terminal(terminal) = &mut session.streams else {
        panic!("a terminal was asked for")
    };
    let mut shown = String::new();
    tokio::io::AsyncReadExt::read_to_string(terminal, &mut shown).await.expect("read");
    assert_eq!(shown, format!("{}\r\n2\r\nupper/dev/pts/0\r\n", of_root()));
    world.kill(&spec).await;
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn volumes_and_a_name_of_its_own_are_mounted() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let shared = world.path().join("shared");
    write(&shared.join("file"), "shared");
    let volume = |container_path: &str| Volume {
        container_path: container_path.into(),
        host_path: shared.display().to_string(),
        mode: VolumeMode::ReadOnly,
    };
    let command = "cat /new/place/file file /etc/hostname; touch /new/place/x || echo refused";
    let mut spec =
        image(&mut world, &layers, shell(&format!("cd /mnt/mesos/sandbox/here && {command}")));
    spec.volumes = vec![volume("/new/place"), volume("here")];
    spec.hostname = Some("own-name".into());
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout"), "sharedsharedown-name\nrefused\n");
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn an_image_that_cannot_be_mounted_leaves_nothing() {
    let mut world = World::open().await;
    for layers in [vec![], vec![PathBuf::from("/no/such/layer")]] {
        let spec = image(&mut world, &layers, shell("true"));
        let refused = world.containers().launch(spec).await.expect_err("no root");
        assert!(refused.cause.contains("layer"), "{}", refused.cause);
        world.check_nothing_is_left().await;
    }
}
