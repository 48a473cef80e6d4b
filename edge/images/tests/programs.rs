//! Real programs in images that other tools made: built, pushed, pulled, mounted and run.

mod support;

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use images::{Config, Prepared, PullRequest, Store};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use support::Registry;

const IP: &str = "127.50.0.5";
const MAKE_IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/images/make-images.sh");

#[tokio::test(flavor = "multi_thread")]
async fn programs_run_in_the_images_that_we_pull() {
    let registry = Registry::start(IP).await;
    let made =
        Command::new("sh").arg(MAKE_IMAGES).arg(&registry.address).output().expect("a shell");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store =
        Store::open(&dir.path().join("store"), Config::default()).await.expect("a new store");
    let check = async |image: &str, command: &[&str], expected: &str| {
        let name = format!("{}/{image}", registry.address);
        let prepared = store.pull(PullRequest { name: &name, force: false }).await.expect(image);
        assert_eq!(prepared.config.entrypoint, ["/entrypoint"], "{image}");
        let root = Root::mount(&dir.path().join(image), &prepared);
        let run = Command::new("chroot").arg(&root.merged).args(command).output().expect("chroot");
        let output = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
        assert!(run.status.success() && output.contains(expected), "{image}: {output}");
    };
    check("nginx", &["/usr/sbin/nginx", "-v"], "nginx/").await;
    check("redis", &["/usr/bin/redis-server", "--version"], "Redis server").await;
    let python = "import http.server, ssl, json; print('imported')";
    check("python", &["/usr/bin/python3", "-c", python], "imported").await;
    check("python", &["/bin/sh", "-c", "echo hello from $(id -un)"], "hello from root").await;
    assert_eq!(store.usage().layers, 4, "the lowest layer is shared");
}

/// An image's root with a writable layer above; unmounted when dropped.
struct Root {
    merged: PathBuf,
}

impl Root {
    fn mount(dir: &Path, image: &Prepared) -> Self {
        let at = |name: &str| dir.join(name);
        for name in ["upper", "work", "merged"] {
            fs::create_dir_all(at(name)).expect("a directory");
        }
        let lower: Vec<_> =
            image.layers.iter().rev().map(|layer| layer.display().to_string()).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            at("upper").display(),
            at("work").display()
        );
        let options = CString::new(options).expect("paths have no zero bytes");
        mount("overlay", at("merged"), "overlay", MountFlags::empty(), options.as_c_str())
            .expect("root may mount");
        Self { merged: at("merged") }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        unmount(&self.merged, UnmountFlags::DETACH).expect("it was mounted");
    }
}
