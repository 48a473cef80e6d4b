//! `dcos task log`: the end of a file of the sandbox, and what is added to it.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::client::Client;
use crate::screen::Screen;
use crate::task::find::{Filter, tasks};
use crate::task::sandbox::Sandbox;

/// Agents answer a read with no more than this.
const PIECE_BYTES_MAX: u64 = 60_000;
/// Of one task, before others have their turn.
const PIECES_AT_ONCE_MAX: usize = 64;
/// So far back the last lines are looked for.
const TAIL_BYTES_MAX: u64 = 16 << 20;
const POLL_MS: u64 = 500;

#[derive(Debug)]
pub(crate) struct View {
    pub file: String,
    pub lines: usize,
    pub follow: bool,
}

/// A file, and how much of it has been printed.
struct Tail<'a> {
    id: &'a str,
    sandbox: Sandbox<'a>,
    offset: u64,
}

pub(crate) async fn run(
    screen: &mut Screen<'_>,
    client: &Client,
    filter: &Filter,
    view: View,
) -> Result<()> {
    let tasks = tasks(client, filter).await?;
    if tasks.is_empty() {
        return Err(filter.nothing());
    }
    let mut tails = Vec::new();
    for task in &tasks {
        let sandbox = Sandbox::of(client, task);
        let offset = sandbox.size(&view.file).await?;
        let text = end(&sandbox, &view.file, offset, view.lines).await?;
        if tasks.len() > 1 {
            title(screen, &task.id)?;
        }
        screen.bytes(text.as_bytes())?;
        tails.push(Tail { id: &task.id, sandbox, offset });
    }
    match view.follow {
        true => follow(screen, &mut tails, &view.file).await,
        false => Ok(()),
    }
}

fn title(screen: &mut Screen<'_>, id: &str) -> Result<()> {
    screen.line(format_args!("===> {id} <==="))
}

/// Until somebody ends it.
async fn follow(screen: &mut Screen<'_>, tails: &mut [Tail<'_>], file: &str) -> Result<()> {
    let several = tails.len() > 1;
    let mut last = tails.last().map_or("", |tail| tail.id);
    loop {
        sleep(Duration::from_millis(POLL_MS)).await;
        for tail in tails.iter_mut() {
            for _ in 0..PIECES_AT_ONCE_MAX {
                let text = tail.more(file).await?;
                if text.is_empty() {
                    break;
                }
                if several && last != tail.id {
                    title(screen, tail.id)?;
                    last = tail.id;
                }
                screen.bytes(text.as_bytes())?;
            }
        }
    }
}

impl Tail<'_> {
    async fn more(&mut self, file: &str) -> Result<String> {
        let size = self.sandbox.size(file).await?;
        if size < self.offset {
            // It was rotated: what it holds now is all new, and its rest is in the youngest of the old ones.
            let rest = self.rest(&format!("{file}.1")).await;
            self.offset = 0;
            if !rest.is_empty() {
                return Ok(rest);
            }
        }
        let length = (size - self.offset).min(PIECE_BYTES_MAX);
        if length == 0 {
            return Ok(String::new());
        }
        let text = self.sandbox.read(file, self.offset, length).await?;
        self.offset += length;
        Ok(text)
    }

    /// What is in an old file beyond what has been printed. It may be gone, or older than it should be: then there is
    /// nothing.
    async fn rest(&self, old: &str) -> String {
        let size = self.sandbox.size(old).await.unwrap_or(0);
        let (mut text, mut offset) = (String::new(), self.offset);
        while offset < size {
            let length = (size - offset).min(PIECE_BYTES_MAX);
            let Ok(piece) = self.sandbox.read(old, offset, length).await else { break };
            text.push_str(&piece);
            offset += length;
        }
        text
    }
}

/// The last lines before `size`, read piece by piece from the end.
async fn end(sandbox: &Sandbox<'_>, file: &str, size: u64, lines: usize) -> Result<String> {
    let mut text = String::new();
    let mut from = size;
    while from > 0 && size - from < TAIL_BYTES_MAX && breaks(&text) <= lines {
        let length = from.min(PIECE_BYTES_MAX);
        from -= length;
        text.insert_str(0, &sandbox.read(file, from, length).await?);
    }
    Ok(last_lines(&text, lines).to_owned())
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn last_lines(text: &str, lines: usize) -> &str {
    let complete = text.strip_suffix('\n').unwrap_or(text);
    if lines == 0 {
        return "";
    }
    let start = complete.rmatch_indices('\n').nth(lines - 1).map_or(0, |(at, _)| at + 1);
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a\nb\n", 5), "a\nb\n");
        assert_eq!(last_lines("a\n\n\n", 2), "\n\n");
        assert_eq!(last_lines("a\nb\n", 0), "");
        assert_eq!(last_lines("", 3), "");
    }
}
