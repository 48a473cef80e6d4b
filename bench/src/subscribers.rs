//! Many readers of the event stream and one that does not read, while one app is scaled up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Place;
use crate::client::Client;
use crate::crew::Crew;
use crate::master::{Master, PATIENCE};
use crate::report::{Goal, Report};
use crate::usage::Cpu;

const BUFFER_BYTES: usize = 256 << 10;
/// Nothing more comes on a stream that has been silent for so long.
const SILENCE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    #[arg(long, default_value_t = 100)]
    subscribers: u32,
    /// Each is told of three times. They come in one burst: a reader that falls too far behind is cut off.
    #[arg(long, default_value_t = 5_000)]
    instances: u32,
    #[arg(long, default_value_t = 500)]
    agents: u32,
    #[command(flatten)]
    crew: Crew,
}

/// One that counts the statuses it is told.
struct Reader {
    running: Arc<AtomicU64>,
    events: Arc<AtomicU64>,
}

pub(crate) async fn run(flags: Flags, place: &Place) -> Result<Report> {
    let title = format!("subscribers: {} and one that does not read", flags.subscribers);
    let mut report = Report::new(title)?;
    let dir = place.dir()?;
    let master = Master::start(dir.path(), place.ip).await?;
    let crew = flags.crew.start(master.stream, flags.agents)?;
    master.until_agents(flags.agents as usize).await?;
    let mut reading = JoinSet::new();
    let mut readers = Vec::new();
    for _ in 0..flags.subscribers {
        let reader = Reader { running: Arc::default(), events: Arc::default() };
        let (running, events) = (reader.running.clone(), reader.events.clone());
        reading.spawn(count(subscribe(master.api).await?, running, events));
        readers.push(reader);
    }
    let mut silent = subscribe(master.api).await?;
    let before = (Cpu::own()?, crew.cpu()?);
    let begun = Instant::now();
    let app = json!({
        "id": "/told", "cmd": "sleep 1000", "cpus": 0.01, "mem": 16, "instances": flags.instances,
    });
    Client::new(master.api).send(Method::POST, "/v2/apps", &app).await?;
    master.until_running(flags.instances as usize).await?;
    let placed = begun.elapsed().as_secs_f64();
    let told = u64::from(flags.instances);
    while readers.iter().any(|reader| reader.running.load(Ordering::Relaxed) < told) {
        ensure!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for the readers");
        ensure!(reading.try_join_next().is_none(), "a reader that read was cut off");
        sleep(LOOK).await;
    }
    let took = begun.elapsed().as_secs_f64();
    let least = readers.iter().map(|reader| reader.events.load(Ordering::Relaxed)).min();
    let least = least.context("nobody subscribed")? as f64;
    report.promise("events a second, to each", least / took, "/s", Goal::AtLeast(10_000.0));
    report.add("events, to each", least, "");
    report.add("until all instances run", placed, "s");
    report.add("until every reader knows it", took, "s");
    report.add("processor time of master and readers", Cpu::own()?.since(before.0), "s");
    report.add("processor time of the agents", crew.cpu()?.since(before.1), "s");
    let left = drain(&mut silent).await;
    let kept = left.bytes as f64 / f64::from(1 << 20);
    report.add("what was kept for the one that did not read", kept, "MiB");
    report.add("whether that one was cut off", f64::from(u8::from(left.is_cut)), "");
    crew.stop().await?;
    master.stop().await;
    Ok(report)
}

async fn subscribe(api: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(api).await.context("connecting")?;
    // With `close`, the end of the stream is the end of the connection: a reader sees that it was cut off.
    let asked = format!(
        "GET /v2/events HTTP/1.1\r\nhost: {api}\r\naccept: text/event-stream\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).await?;
    let mut first = [0; 12];
    stream.read_exact(&mut first).await?;
    ensure!(first == *b"HTTP/1.1 200", "refused: {}", String::from_utf8_lossy(&first));
    Ok(stream)
}

/// Ends when the stream does.
async fn count(
    mut stream: TcpStream,
    running: Arc<AtomicU64>,
    events: Arc<AtomicU64>,
) -> std::io::Result<()> {
    let event = memchr::memmem::Finder::new(b"\nevent: ");
    let runs = memchr::memmem::Finder::new(br#""taskStatus":"TASK_RUNNING""#);
    let mut buffer = vec![0; BUFFER_BYTES];
    // What may be the beginning of a word stays for the next read.
    let mut kept = 0;
    let longest = runs.needle().len() - 1;
    loop {
        let read = stream.read(&mut buffer[kept..]).await?;
        if read == 0 {
            return Ok(());
        }
        let there = &buffer[..kept + read];
        let new = |finder: &memchr::memmem::Finder<'_>| {
            // A whole word that was kept has been counted.
            let from = kept.saturating_sub(finder.needle().len() - 1);
            finder.find_iter(&there[from..]).count() as u64
        };
        events.fetch_add(new(&event), Ordering::Relaxed);
        running.fetch_add(new(&runs), Ordering::Relaxed);
        let end = there.len();
        kept = longest.min(end);
        buffer.copy_within(end - kept..end, 0);
    }
}

/// What a reader finds that has not read for a long time.
struct Left {
    bytes: usize,
    /// The stream has ended.
    is_cut: bool,
}

async fn drain(stream: &mut TcpStream) -> Left {
    let (mut bytes, mut buffer) = (0, vec![0; BUFFER_BYTES]);
    loop {
        match timeout(SILENCE, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return Left { bytes, is_cut: true },
            Ok(Ok(more)) => bytes += more,
            Err(_elapsed) => return Left { bytes, is_cut: false },
        }
    }
}
