//! `dcos task log`: the end of a file of the sandbox, and what is added to it.

use anyhow::Result;
use futures::StreamExt;
use futures::stream::SelectAll;

use crate::client::Client;
use crate::screen::Screen;
use crate::task::find::{Filter, Task, tasks};
use crate::task::sandbox::Sandbox;

/// Agents answer a read with no more than this.
const PIECE_BYTES_MAX: u64 = 60_000;
/// So far back the last lines are looked for.
const TAIL_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug)]
pub(crate) struct View {
    pub file: String,
    pub lines: usize,
    pub follow: bool,
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
    if view.follow {
        return follow(screen, &client.patient()?, &tasks, &view).await;
    }
    for task in &tasks {
        let sandbox = Sandbox::of(client, task);
        let size = sandbox.size(&view.file).await?;
        let text = end(&sandbox, &view.file, size, view.lines).await?;
        if tasks.len() > 1 {
            title(screen, &task.id)?;
        }
        screen.bytes(text.as_bytes())?;
    }
    Ok(())
}

fn title(screen: &mut Screen<'_>, id: &str) -> Result<()> {
    screen.line(format_args!("===> {id} <==="))
}

/// Until somebody ends it, or all sandboxes are gone.
async fn follow(
    screen: &mut Screen<'_>,
    client: &Client,
    tasks: &[Task],
    view: &View,
) -> Result<()> {
    let mut all = SelectAll::new();
    for task in tasks {
        let stream = Sandbox::of(client, task).follow(&view.file, view.lines).await?;
        all.push(stream.bytes_stream().map(|piece| (task.id.as_str(), piece)));
    }
    let mut last = "";
    while let Some((id, piece)) = all.next().await {
        let piece = piece.map_err(|cause| client.unreachable(&cause))?;
        if tasks.len() > 1 && last != id {
            title(screen, id)?;
            last = id;
        }
        screen.bytes(&piece)?;
    }
    screen.remark("Nothing more will come: what was followed is gone.")
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
