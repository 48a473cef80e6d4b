//! A real registry (Debian's `docker-registry`) on loopback for tests, and images to push into it.
//!
//! Tests of other rooms include it by `#[path = "../../images/tests/support/mod.rs"] mod registry;` and need
//! `hex`, `reqwest`, `serde_json`, `sha2`, `tar` and `tempfile`.
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const START_SECS_MAX: u64 = 10;
const POLL_MS: u64 = 20;
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A registry process; it ends and its images go when this is dropped.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    _dir: tempfile::TempDir,
    client: reqwest::Client,
    /// `127.x.y.z:port`, as an image's name begins.
    pub address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().expect("a child that was not waited for can be killed");
        self.child.wait().expect("a killed child ends");
    }
}

/// What is pushed: layers as they go over the wire, and the config's `config` object.
#[derive(Debug, Clone)]
pub struct Image {
    pub layers: Vec<Vec<u8>>,
    pub config: Value,
}

impl Registry {
    /// Starts one on a free port of a loopback address.
    pub async fn start(ip: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let address = free_address(ip);
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            dir.path().join("data").display(),
        );
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config).expect("writing the registry's config");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry starts; it is in Debian's package docker-registry");
        let registry = Self { child, _dir: dir, client: reqwest::Client::new(), address };
        registry.wait_until_ready().await;
        registry
    }

    async fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(START_SECS_MAX);
        while self.client.get(format!("http://{}/v2/", self.address)).send().await.is_err() {
            assert!(Instant::now() < deadline, "the registry on {} does not answer", self.address);
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }

    /// Pushes an image under a tag and tells its digest.
    pub async fn push(&self, repository: &str, tag: &str, image: &Image) -> String {
        let manifest = self.push_blobs(repository, image).await;
        self.put_manifest(repository, tag, OCI_MANIFEST, &manifest).await
    }

    /// Pushes what an image consists of and gives its manifest, which is not pushed yet.
    pub async fn push_blobs(&self, repository: &str, image: &Image) -> Value {
        for layer in &image.layers {
            self.put_blob(repository, layer).await;
        }
        self.put_blob(repository, &image.config_bytes()).await;
        image.manifest()
    }

    pub async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        manifest: &Value,
    ) -> String {
        let mut manifest = manifest.clone();
        manifest["mediaType"] = media_type.into();
        let bytes = serde_json::to_vec(&manifest).expect("a manifest is plain data");
        let url = format!("http://{}/v2/{repository}/manifests/{reference}", self.address);
        let put = self.client.put(url).header("content-type", media_type).body(bytes.clone());
        let answer = put.send().await.expect("the registry answers");
        assert!(answer.status().is_success(), "{}", answer.text().await.expect("a text"));
        digest(&bytes)
    }

    pub async fn put_blob(&self, repository: &str, blob: &[u8]) -> String {
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", self.address);
        let begun = self.client.post(url).send().await.expect("the registry answers");
        let place = begun.headers()["location"].to_str().expect("a URL").to_owned();
        let join = if place.contains('?') { '&' } else { '?' };
        let put =
            self.client.put(format!("{place}{join}digest={}", digest(blob))).body(blob.to_vec());
        let answer = put.send().await.expect("the registry answers");
        assert!(answer.status().is_success(), "{}", answer.text().await.expect("a text"));
        digest(blob)
    }
}

impl Image {
    pub fn config_bytes(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        serde_json::to_vec(&config).expect("a config is plain data")
    }

    pub fn manifest(&self) -> Value {
        let layers: Vec<_> = self.layers.iter().map(|layer| descriptor(OCI_LAYER, layer)).collect();
        let config = descriptor("application/vnd.oci.image.config.v1+json", &self.config_bytes());
        json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers})
    }
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(blob), "size": blob.len()})
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A port that was free a moment ago.
pub fn free_address(ip: &str) -> String {
    let listener = TcpListener::bind((ip, 0)).expect("a loopback address can be bound");
    listener.local_addr().expect("a bound socket has an address").to_string()
}

/// One entry of an archive.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    Dir(&'a str, u32),
    File(&'a str, u32, &'a [u8]),
    Symlink(&'a str, &'a str),
    HardLink(&'a str, &'a str),
    Character(&'a str, u32, u32),
    Fifo(&'a str),
    /// For the entry that follows.
    Pax(&'a str, &'a [u8]),
}

pub const OWNER: u32 = 1234;

/// An archive of just these entries, with names that no honest tool would write.
pub fn tar(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let (name, link, kind, mode, data): (&str, &str, tar::EntryType, u32, &[u8]) = match item {
            Item::Pax(key, value) => {
                builder.append_pax_extensions([(*key, *value)]).expect("memory can be written");
                continue;
            }
            Item::Dir(name, mode) => (name, "", tar::EntryType::Directory, *mode, b""),
            Item::File(name, mode, data) => (name, "", tar::EntryType::Regular, *mode, data),
            Item::Symlink(name, target) => (name, target, tar::EntryType::Symlink, 0o777, b""),
            Item::HardLink(name, target) => (name, target, tar::EntryType::Link, 0o644, b""),
            Item::Character(name, ..) => (name, "", tar::EntryType::Char, 0o666, b""),
            Item::Fifo(name) => (name, "", tar::EntryType::Fifo, 0o644, b""),
        };
        let mut header = tar::Header::new_gnu();
        let long = name.len() > header.as_old().name.len();
        if long {
            builder.append(&long_name(name), name.as_bytes()).expect("memory can be written");
        }
        // As bytes: the crate's own setters refuse what a hostile archive would have.
        let short = name.len().min(header.as_old().name.len());
        header.as_old_mut().name[..short].copy_from_slice(&name.as_bytes()[..short]);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(OWNER.into());
        header.set_gid(OWNER.into());
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        if let Item::Character(_, major, minor) = item {
            header.set_device_major(*major).expect("a GNU header has devices");
            header.set_device_minor(*minor).expect("a GNU header has devices");
        }
        header.set_cksum();
        builder.append(&header, data).expect("memory can be written");
    }
    builder.into_inner().expect("memory can be written")
}

fn long_name(name: &str) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(name.len() as u64);
    header.set_cksum();
    header
}
