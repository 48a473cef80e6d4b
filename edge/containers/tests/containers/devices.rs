//! Devices that are handed out to one container at a time, with what finishes the root of who has one. They are fakes: nodes
//! of a number that is kept for experiments, behind which no driver is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use containers::policy::Policy;
use containers::spec::{Hook, Spec};
use model::confinement::{Confinement, Device};
use rustix::fs::{CWD, FileType, Mode};

use crate::image::{image, layers};
use crate::world::{World, shell};

/// `LOCAL/EXPERIMENTAL USE`, as the kernel documents it.
const MAJOR: u32 = 60;

const NO_DRIVER: &str = "No such device or address";
const FORBIDDEN: &str = "Operation not permitted";

fn fakes(dir: &Path) -> Vec<PathBuf> {
    let fake = |minor: u32| {
        let path = dir.join(format!("fake{minor}"));
        let number = rustix::fs::makedev(MAJOR, minor);
        let kind = FileType::CharacterDevice;
        rustix::fs::mknodat(CWD, &path, kind, Mode::from(0o666), number).expect("a node");
        path
    };
    vec![fake(0), fake(1)]
}

fn device(path: &Path, within: &str) -> Device {
    Device {
        host_path: path.display().to_string(),
        container_path: within.into(),
        access: "rwm".into(),
    }
}

async fn says(world: &mut World, spec: &Spec, expected: &str) {
    world.run(spec).await;
    let (output, errors) = (world.log(spec, "stdout"), world.log(spec, "stderr"));
    assert!(output.contains(expected) || errors.contains(expected), "{expected}: {output}{errors}");
}

#[tokio::test]
async fn only_its_holder_opens_a_device_that_is_handed_out() {
    let mut world = World::open().await;
    let layers = layers(&world);
    let all = fakes(world.path());
    world.config.policy = Policy { handed_out: all.clone(), ..Policy::default() };
    world.reopen().await;
    // In containers that see the machine's own nodes.
    for (held, tried, expected) in
        [(None, 0, FORBIDDEN), (Some(0), 0, NO_DRIVER), (Some(0), 1, FORBIDDEN)]
    {
        let mut spec = world.spec(shell(&format!("cat {}", all[tried].display())));
        spec.devices = held.into_iter().map(|n: usize| device(&all[n], "/dev/gpu")).collect();
        says(&mut world, &spec, expected).await;
    }
    // In those with an image, where the node is made for the holder, and by whoever may make some.
    let mut holder = image(&mut world, &layers, shell("cat /dev/own/gpu"));
    holder.devices = vec![device(&all[0], "/dev/own/gpu")];
    says(&mut world, &holder, NO_DRIVER).await;
    let script = format!("mknod /tmp-node c {MAJOR} 0 && cat /tmp-node");
    let other = image(&mut world, &layers, shell(&script));
    says(&mut world, &other, "denied").await;
    let mut asking = image(&mut world, &layers, shell("true"));
    asking.confinement =
        Confinement { devices: vec![device(&all[0], "/dev/gpu")], ..Confinement::default() };
    let refused = world.containers().launch(asking).await.expect_err("it is not to be asked for");
    assert!(refused.cause.contains("ask for it with the task's gpus"), "{}", refused.cause);
    world.check_nothing_is_left().await;
}

#[tokio::test]
async fn a_hook_finishes_the_root_and_one_that_fails_is_told() {
    let mut world = World::open().await;
    let layers = layers(&world);
    // As a vendor's does, it finds the root by the bundle that the state names.
    let script = "#!/bin/sh
read state
bundle=${state##*'\"bundle\":\"'}; bundle=${bundle%%'\"'*}
root=$(sed 's/.*\"path\":\"\\([^\"]*\\)\".*/\\1/' \"$bundle/config.json\")
echo \"$0 $1 $GREETING\" > \"$root/etc/hooked\" || exit 3
[ \"$1\" != fail ] || { echo 'no driver here' >&2; exit 7; }
";
    let program = world.path().join("hook");
    std::fs::write(&program, script).expect("written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, executable).expect("it can be run");
    let hook = |word: &str| Hook {
        program: program.clone(),
        arguments: vec!["hook".into(), word.into()],
        environment: vec!["GREETING=hello".into(), "PATH=/usr/bin:/bin".into()],
    };
    let mut spec = image(&mut world, &layers, shell("cat /etc/hooked"));
    spec.hooks = vec![hook("go")];
    says(&mut world, &spec, "go hello").await;
    let mut spec = image(&mut world, &layers, shell("true"));
    spec.hooks = vec![hook("fail")];
    let refused = world.containers().launch(spec).await.expect_err("it fails");
    assert!(refused.cause.contains("no driver here"), "{}", refused.cause);
    world.check_nothing_is_left().await;
}
