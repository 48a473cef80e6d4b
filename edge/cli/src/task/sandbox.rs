//! A task's sandbox, seen through the files API of its agent.

use anyhow::Result;
use reqwest::Response;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::task::find::Task;

/// Where DC/OS agents keep their work; the files API knows sandboxes by paths below it.
const WORK_DIR: &str = "/var/lib/mesos/slave";

const STATUS_NOT_FOUND: u16 = 404;

#[derive(Debug)]
pub(super) struct Sandbox<'a> {
    client: &'a Client,
    agent: &'a str,
    root: String,
}

/// An entry of a directory.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub path: String,
    pub mode: String,
    pub nlink: u64,
    pub uid: String,
    pub gid: String,
    pub size: u64,
    pub mtime: f64,
}

impl Entry {
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    pub(super) fn is_dir(&self) -> bool {
        self.mode.starts_with('d')
    }

    pub(super) fn is_file(&self) -> bool {
        self.mode.starts_with('-')
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Piece {
    #[serde(default)]
    pub data: String,
    pub offset: u64,
}

impl<'a> Sandbox<'a> {
    pub(super) fn of(client: &'a Client, task: &'a Task) -> Self {
        let executor = match task.executor_id.is_empty() {
            true => &task.id,
            false => &task.executor_id,
        };
        let (agent, framework) = (&task.slave_id, &task.framework_id);
        let run = task.outer_container().or(task.inner_container()).unwrap_or("latest");
        let mut root = format!(
            "{WORK_DIR}/slaves/{agent}/frameworks/{framework}/executors/{executor}/runs/{run}"
        );
        if task.outer_container().is_some() {
            root = format!("{root}/tasks/{}", task.id);
        }
        Self { client, agent, root }
    }

    fn path(&self, inside: &str) -> String {
        let inside: Vec<&str> =
            inside.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        match inside.is_empty() {
            true => self.root.clone(),
            false => format!("{}/{}", self.root, inside.join("/")),
        }
    }

    fn request(&self, verb: &str, inside: &str) -> reqwest::RequestBuilder {
        let path = format!("/agent/{}/files/{verb}", segment(self.agent));
        self.client.get(&path).query(&[("path", self.path(inside))])
    }

    pub(super) async fn list(&self, dir: &str) -> Result<Vec<Entry>> {
        self.client.json(self.request("browse", dir)).await.map_err(|error| missing(error, dir))
    }

    pub(super) async fn list_raw(&self, dir: &str) -> Result<Value> {
        self.client.json(self.request("browse", dir)).await.map_err(|error| missing(error, dir))
    }

    pub(super) async fn size(&self, file: &str) -> Result<u64> {
        let request = self.request("read", file).query(&[("offset", "-1")]);
        let piece: Piece = self.client.json(request).await.map_err(|error| missing(error, file))?;
        Ok(piece.offset)
    }

    pub(super) async fn read(&self, file: &str, offset: u64, length: u64) -> Result<String> {
        let request = self.request("read", file).query(&[("offset", offset), ("length", length)]);
        let piece: Piece = self.client.json(request).await.map_err(|error| missing(error, file))?;
        Ok(piece.data)
    }

    /// The last lines of a file and what is added to it, for as long as there is a sandbox.
    pub(super) async fn follow(&self, file: &str, lines: usize) -> Result<Response> {
        let request = self.request("follow", file).query(&[("lines", lines)]);
        self.client.open(request).await.map_err(|error| missing(error, file))
    }

    pub(super) async fn open(&self, file: &str) -> Result<Response> {
        let opened = self.client.open(self.request("download", file)).await;
        opened.map_err(|error| missing(error, file))
    }
}

fn missing(error: anyhow::Error, path: &str) -> anyhow::Error {
    match error.downcast_ref::<Failure>() {
        Some(Failure::Refused { status: STATUS_NOT_FOUND, .. }) => Failure::Other(format!(
            "cannot access '{path}': the sandbox has no such file or directory, or is gone"
        ))
        .into(),
        Some(_) | None => error,
    }
}
