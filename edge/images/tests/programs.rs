//! Real programs in images that other tools made: built, pushed, pulled, mounted and run.

mod support;

use std::ffi::CString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use images::{Config, Prepared, PullRequest, Store};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use support::Registry;

const IP: &str = "127.50.0.5";
const ANSWER_SECS_MAX: u64 = 30;
const POLL_MS: u64 = 50;
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
        let prepared = store
            .pull(PullRequest { name: &name, force: false, credentials: None })
            .await
            .expect(image);
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
    let serves = async |image: &str, request: &str, expected: &str| {
        let name = format!("{}/{image}", registry.address);
        let prepared = store
            .pull(PullRequest { name: &name, force: false, credentials: None })
            .await
            .expect(image);
        let root = Root::mount(&dir.path().join(format!("{image}-serves")), &prepared);
        let address = support::free_address(IP);
        let _service = Service::start(&root, &address);
        let deadline = Instant::now() + Duration::from_secs(ANSWER_SECS_MAX);
        while !ask(&address, request).is_ok_and(|answer| answer.contains(expected)) {
            assert!(Instant::now() < deadline, "{image} does not answer {request:?} on {address}");
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    };
    serves("nginx", "GET / HTTP/1.0\r\n\r\n", "Welcome to nginx").await;
    serves("redis", "PING\r\nQUIT\r\n", "+PONG").await;
    serves("python", "GET / HTTP/1.0\r\n\r\n", "Directory listing").await;
    assert_eq!(store.usage().layers, 4, "the lowest layer is shared");
}

fn ask(address: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// An image's entrypoint in a process namespace of its own, which ends when this is dropped.
struct Service(Child);

impl Service {
    fn start(root: &Root, address: &str) -> Self {
        const SCRIPT: &str = r#"mount --rbind /dev "$ROOT/dev" && mount -t proc proc "$ROOT/proc" && exec chroot "$ROOT" /entrypoint"#;
        let port = address.rsplit(':').next().expect("an address has a port");
        let child = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SCRIPT])
            .env("ROOT", &root.merged)
            .env("PORT0", port)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("unshare is in Debian's util-linux"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().expect("a child that was not waited for can be killed");
        self.0.wait().expect("a killed child ends");
    }
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
