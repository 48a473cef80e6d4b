//! An image of many layers from a registry on loopback: our store, beside `skopeo copy` and `umoci unpack`, and beside
//! the time that its decompression alone takes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use images::{Config, PullRequest, Store};
use libdeflater::Decompressor;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::Place;
use crate::registry::{OCI_MANIFEST, Registry, digest};
use crate::report::{Goal, Report};
use crate::usage::Cpu;

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
    /// One file in each layer, with the contents of many.
    #[arg(long)]
    big_files: bool,
    /// Each way so often; the best time counts.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

/// As it goes over the wire.
struct Packed {
    gzip: Vec<u8>,
    /// Of what is inside.
    diff_id: String,
    bytes: usize,
}

/// In seconds; of the processors, what this process has used.
#[derive(Clone, Copy)]
struct Took {
    wall: f64,
    processors: f64,
}

struct Clock {
    begun: Instant,
    before: Cpu,
}

/// Everything that is compared.
#[derive(Clone, Copy)]
struct Round {
    ours: Took,
    others: Took,
    /// Decompression into files, by the usual libraries.
    usual_files: Took,
    /// The same by the quickest way that we know, without owners, times and attributes.
    quick_files: Took,
    /// And until it is on the disk.
    flushed_files: Took,
    /// Decompression to nowhere.
    usual: Took,
    quick: Took,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let (dir, registry) = (place.dir()?, Registry::start(&place.ip.to_string()).await);
    let packed = {
        let flags = flags.clone();
        spawn_blocking(move || pack(&flags)).await??
    };
    let name = format!("{}/pulled:1", registry.address);
    push(&registry, &packed).await?;
    let mut best: Option<Round> = None;
    for number in 0..flags.rounds.max(1) {
        // Nothing is removed in between: ext4 looks long for files that were not there a moment ago.
        let at = dir.path().join(number.to_string());
        fs::create_dir(&at)?;
        let round = round(&packed, &name, &at).await?;
        best = Some(best.map_or(round, |best: Round| best.best(&round)));
    }
    let best = best.context("there is a round at least")?;
    let files = if flags.big_files { ", one file in each" } else { "" };
    let title = format!("pull: {} layers, {} MiB unpacked{files}", flags.layers, flags.mib);
    report(title, &packed, &best)
}

async fn round(packed: &[Packed], name: &str, at: &Path) -> Result<Round> {
    let ours = own(&at.join("store"), name).await?;
    let (beside, from) = (at.to_owned(), name.to_owned());
    let others = spawn_blocking(move || rivals(&beside, &from)).await??;
    let usual_files = on_all_processors(packed, |layer, _| into_files(layer, at))?;
    let clock = Clock::start()?;
    let quick_files = on_all_processors(packed, |layer, room| into_files_quickly(layer, at, room))?;
    rustix::fs::syncfs(File::open(at)?)?;
    Ok(Round {
        ours,
        others,
        usual_files,
        quick_files,
        flushed_files: clock.stop()?,
        usual: on_all_processors(packed, |layer, _| inflate(layer))?,
        quick: on_all_processors(packed, |layer, room| inflate_at_once(layer, room).map(|_| ()))?,
    })
}

fn report(title: String, packed: &[Packed], best: &Round) -> Result<Report> {
    let mut report = Report::new(title)?;
    let compressed = packed.iter().map(|layer| layer.gzip.len() as u64).sum::<u64>();
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    report.add("compressed", (compressed / MIB) as f64, "MiB");
    for (what, took) in [
        ("ours, until the image is on the disk", best.ours),
        ("decompression into files, flate2 and tar", best.usual_files),
        ("decompression into files, the quickest we know", best.quick_files),
        ("... until they are on the disk", best.flushed_files),
        ("decompression to nowhere, flate2", best.usual),
        ("decompression to nowhere, the quickest we know", best.quick),
    ] {
        report.add(what, took.wall, "s");
        report.add(format!("{what}: processor time"), took.processors, "s");
    }
    report.add("skopeo copy + umoci unpack, not flushed", best.others.wall, "s");
    let of = |other: Took| best.ours.wall / other.wall;
    let goal = Goal::AtMost(1.0);
    report.promise("ours : skopeo copy + umoci unpack", of(best.others), "x", goal);
    report.add("ours : decompression into files, flate2 and tar", of(best.usual_files), "x");
    report.add("ours : quickest files on the disk", of(best.flushed_files), "x");
    report.add("ours : decompression to nowhere, flate2", of(best.usual), "x");
    let goal = Goal::AtMost(1.2);
    report.promise("ours : quickest decompression to nowhere", of(best.quick), "x", goal);
    Ok(report)
}

impl Clock {
    fn start() -> Result<Self> {
        Ok(Self { before: Cpu::own()?, begun: Instant::now() })
    }

    fn stop(self) -> Result<Took> {
        let wall = self.begun.elapsed().as_secs_f64();
        Ok(Took { wall, processors: Cpu::own()?.since(self.before) })
    }
}

impl Took {
    fn best(self, other: Self) -> Self {
        let processors = self.processors.min(other.processors);
        Self { wall: self.wall.min(other.wall), processors }
    }
}

impl Round {
    fn best(&self, other: &Self) -> Self {
        Self {
            ours: self.ours.best(other.ours),
            others: self.others.best(other.others),
            usual_files: self.usual_files.best(other.usual_files),
            quick_files: self.quick_files.best(other.quick_files),
            flushed_files: self.flushed_files.best(other.flushed_files),
            usual: self.usual.best(other.usual),
            quick: self.quick.best(other.quick),
        }
    }
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
            let (mut bytes, mut big) = (0, Vec::new());
            while bytes < layer_bytes {
                let path = files.next().context("a circle has no end")?;
                let Ok(mut file) = File::open(path) else { continue };
                bytes += file.metadata()?.len();
                if flags.big_files {
                    file.read_to_end(&mut big)?;
                    continue;
                }
                let inside = Path::new(&number.to_string()).join(path.strip_prefix("/")?);
                archive.append_file(inside, &mut file)?;
            }
            if flags.big_files {
                let mut header = tar::Header::new_gnu();
                header.set_mode(0o644);
                header.set_size(big.len() as u64);
                archive.append_data(&mut header, number.to_string(), &big[..])?;
            }
            let plain = archive.into_inner()?;
            let (diff_id, bytes) = (digest(&plain), plain.len());
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

async fn own(dir: &Path, name: &str) -> Result<Took> {
    let store = Store::open(dir, Config::default()).await?;
    let clock = Clock::start()?;
    let pulled = store.pull(PullRequest { name, force: true, credentials: None }).await?;
    let took = clock.stop()?;
    drop((pulled, store));
    Ok(took)
}

fn rivals(dir: &Path, name: &str) -> Result<Took> {
    let (layout, bundle) = (dir.join("layout"), dir.join("bundle"));
    let image = format!("{}:1", layout.display());
    let clock = Clock::start()?;
    let source = format!("docker://{name}");
    let target = format!("oci:{image}");
    let quiet = ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"];
    let copied = Command::new("skopeo").args(quiet).args([&source, &target]).status();
    ensure!(copied.context("starting skopeo")?.success(), "skopeo copy failed");
    let unpacked = Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle).status();
    ensure!(unpacked.context("starting umoci")?.success(), "umoci unpack failed");
    clock.stop()
}

/// As many layers at a time as there are processors, each with room for what is in it.
fn on_all_processors(
    packed: &[Packed],
    work: impl Fn(&Packed, &mut Vec<u8>) -> Result<()> + Sync,
) -> Result<Took> {
    let (rest, clock) = (Mutex::new(packed.iter()), Clock::start()?);
    let one_by_one = || -> Result<()> {
        let mut room = Vec::new();
        loop {
            let next = rest.lock().expect("nobody panics while holding it").next();
            let Some(layer) = next else { return Ok(()) };
            work(layer, &mut room)?;
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(one_by_one)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
    })?;
    clock.stop()
}

/// What a pull without a network, digests and a store would be.
fn into_files(layer: &Packed, at: &Path) -> Result<()> {
    let dir = at.join(&layer.diff_id);
    tar::Archive::new(plain(layer)).unpack(dir).context("unpacking a layer")
}

/// The same with nothing but the files' contents and names.
fn into_files_quickly(layer: &Packed, at: &Path, room: &mut Vec<u8>) -> Result<()> {
    let root = at.join("quick").join(&layer.diff_id);
    let plain = inflate_at_once(layer, room)?;
    let mut last: Option<(PathBuf, OwnedFd)> = None;
    for entry in tar::Archive::new(plain).entries()? {
        let entry = entry?;
        let path = entry.path()?;
        let (above, name) = (path.parent().context("a file lies somewhere")?, path.file_name());
        if last.as_ref().is_none_or(|(known, _)| known != above) {
            let dir = root.join(above);
            fs::create_dir_all(&dir)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            last = Some((above.to_owned(), rustix::fs::openat(CWD, &dir, flags, Mode::empty())?));
        }
        let (_, dir) = last.as_ref().context("it was opened")?;
        let from = usize::try_from(entry.raw_file_position())?;
        let contents = &plain[from..from + usize::try_from(entry.size())?];
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(0o644);
        let file = rustix::fs::openat(dir, name.context("it has a name")?, flags, mode)?;
        File::from(file).write_all(contents)?;
    }
    Ok(())
}

/// To nowhere.
fn inflate(layer: &Packed) -> Result<()> {
    let bytes = io::copy(&mut plain(layer), &mut io::sink())?;
    ensure!(bytes == layer.bytes as u64, "a layer was cut short");
    Ok(())
}

fn plain(layer: &Packed) -> impl io::Read {
    io::BufReader::with_capacity(BUFFER_BYTES, flate2::read::GzDecoder::new(&layer.gzip[..]))
}

/// To nowhere but memory that is used again and again.
fn inflate_at_once<'a>(layer: &Packed, room: &'a mut Vec<u8>) -> Result<&'a [u8]> {
    room.resize(layer.bytes.max(room.len()), 0);
    let room = &mut room[..layer.bytes];
    let bytes = Decompressor::new().gzip_decompress(&layer.gzip, room)?;
    ensure!(bytes == layer.bytes, "a layer was cut short");
    Ok(room)
}
