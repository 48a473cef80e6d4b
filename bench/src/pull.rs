//! An image of many layers from a registry on loopback: our store, beside `skopeo copy` and `umoci unpack`, and beside
//! the time that its decompression alone takes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use images::{Config, PullRequest, Store};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::Place;
use crate::registry::{OCI_MANIFEST, Registry, digest};
use crate::report::{Goal, Report};

const MIB: u64 = 1 << 20;
const BUFFER_BYTES: usize = 256 * 1024;
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// What is in the layers: programs, libraries and texts, as in images.
const CONTENTS: &str = "/usr";

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long, default_value_t = 20)]
    layers: usize,
    /// Of all layers, unpacked.
    #[arg(long, default_value_t = 1024)]
    mib: u64,
    /// Each way so often; the best time counts.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

/// As it goes over the wire.
struct Packed {
    gzip: Vec<u8>,
    /// Of what is inside.
    diff_id: String,
    bytes: u64,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let (dir, registry) = (place.dir()?, Registry::start(&place.ip.to_string()).await);
    let packed = {
        let flags = flags.clone();
        spawn_blocking(move || pack(&flags)).await??
    };
    let name = format!("{}/pulled:1", registry.address);
    push(&registry, &packed).await?;
    let mut best = [Duration::MAX; 4];
    for round in 0..flags.rounds.max(1) {
        // Nothing is removed in between: ext4 looks long for files that were not there a moment ago.
        let at = dir.path().join(round.to_string());
        fs::create_dir(&at)?;
        let ours = own(&at.join("store"), &name).await?;
        let (beside, from) = (at.clone(), name.clone());
        let others = spawn_blocking(move || rivals(&beside, &from)).await??;
        let files = on_all_processors(&packed, |layer| into_files(layer, &at))?;
        let floor = on_all_processors(&packed, inflate)?;
        for (best, took) in best.iter_mut().zip([ours, others, files, floor]) {
            *best = took.min(*best);
        }
    }
    let [ours, others, files, floor] = best;
    let title = format!("pull: {} layers, {} MiB unpacked", flags.layers, flags.mib);
    let mut report = Report::new(title)?;
    let compressed = packed.iter().map(|layer| layer.gzip.len() as u64).sum::<u64>();
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    report.add("compressed", (compressed / MIB) as f64, "MiB");
    report.add("ours, until the image is on the disk", ours.as_secs_f64(), "s");
    report.add("skopeo copy + umoci unpack, not flushed", others.as_secs_f64(), "s");
    report.add("decompression into files alone, not flushed", files.as_secs_f64(), "s");
    report.add("decompression alone, on all processors", floor.as_secs_f64(), "s");
    let ratio = ours.as_secs_f64() / others.as_secs_f64();
    report.promise("ours : skopeo copy + umoci unpack", ratio, "x", Goal::AtMost(1.0));
    let ratio = ours.as_secs_f64() / files.as_secs_f64();
    report.add("ours : decompression into files alone", ratio, "x");
    let ratio = ours.as_secs_f64() / floor.as_secs_f64();
    report.promise("ours : decompression alone", ratio, "x", Goal::AtMost(1.2));
    Ok(report)
}

/// Fills layer after layer with this machine's files, over and over until there are enough.
fn pack(flags: &Flags) -> Result<Vec<Packed>> {
    let layer_bytes = flags.mib * MIB / flags.layers.max(1) as u64;
    let mut files = Vec::new();
    list(Path::new(CONTENTS), &mut files)?;
    ensure!(!files.is_empty(), "there are no files below {CONTENTS}");
    let mut files = files.iter().cycle();
    (0..flags.layers)
        .map(|number| {
            let mut archive = tar::Builder::new(Vec::new());
            let mut bytes = 0;
            while bytes < layer_bytes {
                let path = files.next().context("a circle has no end")?;
                let Ok(mut file) = File::open(path) else { continue };
                bytes += file.metadata()?.len();
                let inside = Path::new(&number.to_string()).join(path.strip_prefix("/")?);
                archive.append_file(inside, &mut file)?;
            }
            let plain = archive.into_inner()?;
            let (diff_id, bytes) = (digest(&plain), plain.len() as u64);
            Ok(Packed { gzip: gzip(plain)?, diff_id, bytes })
        })
        .collect()
}

/// Files that are no links, the same order each time.
fn list(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// As image builders do by default.
fn gzip(plain: Vec<u8>) -> Result<Vec<u8>> {
    let mut child = Command::new("gzip")
        .args(["-6", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting gzip")?;
    let mut input = child.stdin.take().context("it was asked for")?;
    let writer = std::thread::spawn(move || input.write_all(&plain));
    let output = child.wait_with_output()?;
    writer.join().expect("writing does not panic")?;
    ensure!(output.status.success(), "gzip: {}", output.status);
    Ok(output.stdout)
}

async fn push(registry: &Registry, packed: &[Packed]) -> Result<()> {
    let mut layers = Vec::new();
    for layer in packed {
        let digest = registry.put_blob("pulled", &layer.gzip).await;
        layers.push(json!({"mediaType": LAYER_TYPE, "digest": digest, "size": layer.gzip.len()}));
    }
    let diff_ids: Vec<_> = packed.iter().map(|layer| layer.diff_id.as_str()).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = serde_json::to_vec(&config)?;
    let digest = registry.put_blob("pulled", &config).await;
    let config: Value = json!({"mediaType": CONFIG_TYPE, "digest": digest, "size": config.len()});
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    registry.put_manifest("pulled", "1", OCI_MANIFEST, &manifest).await;
    Ok(())
}

async fn own(dir: &Path, name: &str) -> Result<Duration> {
    let store = Store::open(dir, Config::default()).await?;
    let begun = Instant::now();
    let pulled = store.pull(PullRequest { name, force: true, credentials: None }).await?;
    let took = begun.elapsed();
    drop((pulled, store));
    Ok(took)
}

fn rivals(dir: &Path, name: &str) -> Result<Duration> {
    let (layout, bundle) = (dir.join("layout"), dir.join("bundle"));
    let image = format!("{}:1", layout.display());
    let begun = Instant::now();
    let source = format!("docker://{name}");
    let target = format!("oci:{image}");
    let quiet = ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"];
    let copied = Command::new("skopeo").args(quiet).args([&source, &target]).status();
    ensure!(copied.context("starting skopeo")?.success(), "skopeo copy failed");
    let unpacked = Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle).status();
    ensure!(unpacked.context("starting umoci")?.success(), "umoci unpack failed");
    Ok(begun.elapsed())
}

/// As many layers at a time as there are processors.
fn on_all_processors(
    packed: &[Packed],
    work: impl Fn(&Packed) -> Result<()> + Sync,
) -> Result<Duration> {
    let (rest, begun) = (Mutex::new(packed.iter()), Instant::now());
    let one_by_one = || -> Result<()> {
        loop {
            let next = rest.lock().expect("nobody panics while holding it").next();
            let Some(layer) = next else { return Ok(()) };
            work(layer)?;
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(one_by_one)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
    })?;
    Ok(begun.elapsed())
}

/// What a pull without a network, digests and a store would be.
fn into_files(layer: &Packed, at: &Path) -> Result<()> {
    let dir = at.join(&layer.diff_id);
    tar::Archive::new(plain(layer)).unpack(dir).context("unpacking a layer")
}

/// To nowhere.
fn inflate(layer: &Packed) -> Result<()> {
    let bytes = io::copy(&mut plain(layer), &mut io::sink())?;
    ensure!(bytes == layer.bytes, "a layer was cut short");
    Ok(())
}

fn plain(layer: &Packed) -> impl io::Read {
    io::BufReader::with_capacity(BUFFER_BYTES, flate2::read::GzDecoder::new(&layer.gzip[..]))
}
