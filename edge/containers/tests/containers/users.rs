//! Containers with users of their own: root in them is nobody of weight outside.

use std::os::unix::fs::MetadataExt;

use containers::policy::{IdMap, Policy};
use containers::spec::{Mount, Source, Spec};
use model::confinement::{Confinement, Sharing};
use model::container::{Volume, VolumeMode};
use model::secret::Secret;

use crate::image::{image, layers};
use crate::world::{World, shell};

const FIRST: u32 = 200_000;

async fn open() -> World {
    let mut world = World::open().await;
    let user_ids = Some(IdMap { first: FIRST, count: 65_536 });
    world.config.policy = Policy { user_ids, map_users: true, ..Policy::default() };
    world.reopen().await;
    world
}

/// As the kernel tells it: real, effective, saved and of files.
fn users_of(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap_or_default().into()
}

#[tokio::test]
async fn root_inside_is_somebody_else_outside() {
    let mut world = open().await;
    let layers = layers(&world);
    let spec = image(&mut world, &layers, shell("id -u; echo ready; sleep 600"));
    let pid = world.launch(&spec).await;
    world.wait_for_output(&spec, "0\nready\n").await;
    assert_eq!(users_of(pid), format!("{FIRST}\t{FIRST}\t{FIRST}\t{FIRST}"));
    world.kill(&spec).await;
    let mut spec = image(&mut world, &layers, shell("id -u; id -g"));
    spec.user = Some("web".into());
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout"), "1000\n1001\n");
    spec = image(&mut world, &layers, shell("true"));
    spec.user = Some("70000".into());
    let refused = world.containers().launch(spec).await.expect_err("there are not so many");
    assert!(refused.cause.contains("65536 users"), "{}", refused.cause);
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn files_are_roots_inside_and_keep_their_owners_on_the_machine() {
    let mut world = open().await;
    let layers = layers(&world);
    let data = world.path().join("data");
    std::fs::create_dir(&data).expect("made");
    let commands = [
        (
            "ls -ldn /etc/layer / /dev /mnt/mesos/sandbox /data | cut -d' ' -f3,4",
            "0 0\n0 0\n0 0\n0 0\n0 0",
        ),
        ("echo new > /etc/new && echo more >> /etc/layer && cat /etc/new", "new"),
        ("echo kept > /mnt/mesos/sandbox/kept && echo kept > /data/kept && echo ok", "ok"),
        ("echo said > /dev/stdout", "said"),
        ("cat /run/deep/secret", "hidden"),
        ("mkdir /srv/own && chmod 4755 /srv/own && echo ok", "ok"),
        ("cat /proc/sys/kernel/hostname > /dev/null && echo ok", "ok"),
        ("mount -t tmpfs none /srv 2> /dev/null || echo refused", "refused"),
        ("mknod /srv/disk b 8 0 2> /dev/null || echo refused", "refused"),
        ("echo 1 2> /dev/null > /proc/sys/vm/drop_caches || echo refused", "refused"),
        ("touch /run/deep/other && echo ok", "ok"),
    ];
    let script = commands.map(|(command, _)| format!("({command})")).join("\n");
    let mut spec = image(&mut world, &layers, shell(&script));
    let host_path = data.display().to_string();
    let mode = VolumeMode::ReadWrite;
    spec.volumes = vec![Volume { container_path: "/data".into(), host_path, mode }];
    spec.mounts = vec![Mount {
        container_path: "/run/deep/secret".into(),
        mode: VolumeMode::ReadOnly,
        source: Source::Secret(Secret::new(b"hidden\n".to_vec())),
    }];
    world.run(&spec).await;
    let expected = commands.map(|(_, output)| format!("{output}\n")).concat();
    let errors = world.log(&spec, "stderr");
    assert_eq!(world.log(&spec, "stdout"), expected, "{errors}");
    for kept in [data.join("kept"), spec.sandbox.join("kept")] {
        assert_eq!(std::fs::metadata(&kept).expect("it is there").uid(), 0, "{}", kept.display());
    }
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn who_cannot_have_users_of_its_own_is_told_and_who_does_not_want_them_has_the_machines() {
    let mut world = open().await;
    let layers = layers(&world);
    let asked = |users| Confinement { users: Some(users), ..Confinement::default() };
    let host = Spec { confinement: asked(Sharing::Private), ..world.spec(shell("true")) };
    let failed = world.containers().launch(host).await.expect_err("it has no image");
    assert!(failed.cause.contains("need an image"), "{}", failed.cause);
    let spec = image(&mut world, &layers, shell("cut -c 1-10 /proc/self/uid_map"));
    let spec = Spec { confinement: asked(Sharing::Parent), ..spec };
    world.run(&spec).await;
    assert_eq!(world.log(&spec, "stdout").trim(), "0");
    world.config.policy = Policy::default();
    world.reopen().await;
    let spec = image(&mut world, &layers, shell("true"));
    let spec = Spec { confinement: asked(Sharing::Private), ..spec };
    let failed = world.containers().launch(spec).await.expect_err("no users are set aside");
    assert!(failed.cause.contains("isolation.user_namespaces"), "{}", failed.cause);
    world.check_nothing_is_left().await;
}
