//! `dcos task ls` and `dcos task download`: the files of a sandbox.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use futures::StreamExt;
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;

use crate::client::Client;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::table::Table;
use crate::task::find::{Filter, Task, tasks};
use crate::task::sandbox::{Entry, Sandbox};

#[derive(Debug, Clone, Copy)]
pub(super) enum Show {
    Names,
    Long,
    Json,
}

impl Show {
    pub(super) fn of(long: bool, json: bool) -> Self {
        match (long, json) {
            (_, true) => Self::Json,
            (true, false) => Self::Long,
            (false, false) => Self::Names,
        }
    }
}

pub(super) async fn list(
    screen: &mut Screen<'_>,
    client: &Client,
    filter: &Filter,
    dir: &str,
    show: Show,
) -> Result<()> {
    let tasks = tasks(client, filter).await?;
    if tasks.is_empty() {
        return Err(filter.nothing());
    }
    for task in &tasks {
        if tasks.len() > 1 {
            screen.line(format_args!("===> {} <===", task.id))?;
        }
        let sandbox = Sandbox::of(client, task);
        match show {
            Show::Json => screen.json(&sandbox.list_raw(dir).await?)?,
            Show::Long => screen.table(&table(&sandbox.list(dir).await?))?,
            Show::Names => {
                let entries = sandbox.list(dir).await?;
                let names: Vec<&str> = entries.iter().map(Entry::name).collect();
                screen.line(names.join("  "))?;
            }
        }
    }
    Ok(())
}

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new(&["MODE", "LINKS", "UID", "GID", "SIZE", "DATE", "NAME"]);
    for entry in entries {
        table.row([
            entry.mode.clone(),
            entry.nlink.to_string(),
            entry.uid.clone(),
            entry.gid.clone(),
            entry.size.to_string(),
            date(entry.mtime),
            entry.name().to_owned(),
        ]);
    }
    table
}

#[expect(clippy::cast_possible_truncation, reason = "fractions of a second are not shown")]
fn date(mtime: f64) -> String {
    let time = Timestamp::from_second(mtime as i64).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%d %b %y %H:%M UTC").to_string()
}

/// A file, or a directory with all that is in it.
pub(super) async fn download(
    screen: &mut Screen<'_>,
    client: &Client,
    task: &Task,
    path: Option<&str>,
    target: &Path,
) -> Result<()> {
    let sandbox = Sandbox::of(client, task);
    let path = path.unwrap_or(".").trim_matches('/');
    let mut todo = vec![(path.to_owned(), target.to_owned())];
    if let Some(entry) = entry(&sandbox, path).await? {
        let name = safe_name(&entry)?;
        if entry.is_file() {
            return save(screen, &sandbox, path, &target.join(name)).await;
        }
        todo = vec![(path.to_owned(), target.join(name))];
    }
    while let Some((dir, target)) = todo.pop() {
        create(&target)?;
        for entry in sandbox.list(&dir).await? {
            let name = safe_name(&entry)?;
            let (inside, outside) = (format!("{dir}/{name}"), target.join(name));
            match (entry.is_dir(), entry.is_file()) {
                (true, _) => todo.push((inside, outside)),
                (false, true) => save(screen, &sandbox, &inside, &outside).await?,
                (false, false) => {
                    screen.remark(format_args!("skipped {inside}: neither file nor directory"))?;
                }
            }
        }
    }
    Ok(())
}

/// What the path names, found in its directory; `None` for the sandbox itself.
async fn entry(sandbox: &Sandbox<'_>, path: &str) -> Result<Option<Entry>> {
    if path.is_empty() || path == "." {
        return Ok(None);
    }
    let (dir, name) = path.rsplit_once('/').unwrap_or((".", path));
    let found = sandbox.list(dir).await?.into_iter().find(|entry| entry.name() == name);
    let missing = || Failure::Other(format!("cannot access '{path}': no such file or directory"));
    Ok(Some(found.ok_or_else(missing)?))
}

/// What a cluster sends is not trusted with paths on this machine.
fn safe_name(entry: &Entry) -> Result<&str> {
    match entry.name() {
        "" | "." | ".." => {
            Err(Failure::Other(format!("{:?} is not the path of a file", entry.path)).into())
        }
        name => Ok(name),
    }
}

fn create(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))
}

async fn save(
    screen: &mut Screen<'_>,
    sandbox: &Sandbox<'_>,
    path: &str,
    target: &PathBuf,
) -> Result<()> {
    if let Some(dir) = target.parent() {
        create(dir)?;
    }
    let mut pieces = sandbox.open(path).await?.bytes_stream();
    let write = async {
        let mut file = tokio::fs::File::create(target).await?;
        while let Some(piece) = pieces.next().await {
            file.write_all(&piece?).await?;
        }
        file.flush().await?;
        anyhow::Ok(())
    };
    write.await.with_context(|| format!("downloading {}", target.display()))?;
    screen.line(target.display())
}
