//! The clusters that this user knows: `~/.dcos/clusters/<id>/dcos.toml`, and beside one of them a file `attached`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mesos_v1::authorization::Secret;
use toml::{Table, Value};

use crate::failure::Failure;

const SETTINGS_FILE: &str = "dcos.toml";
const ATTACHED_FILE: &str = "attached";

/// Tokens live in it, so it is nobody else's business.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// What the environment says; it goes before the settings file.
#[derive(Debug, Clone, Default)]
pub struct Env {
    /// `DCOS_DIR`, else `~/.dcos`.
    pub dir: PathBuf,
    /// `DCOS_URL`.
    pub url: Option<String>,
    /// `DCOS_CLUSTER`: id or name.
    pub cluster: Option<String>,
    /// `DCOS_ACS_TOKEN`.
    pub token: Option<String>,
    /// `DCOS_MESOS_PRINCIPAL`.
    pub principal: Option<String>,
    /// `DCOS_MESOS_SECRET`.
    pub secret: Option<Secret>,
    /// `DCOS_SSL_VERIFY`.
    pub ssl_verify: Option<String>,
    /// `DCOS_TIMEOUT`.
    pub timeout: Option<String>,
}

impl Env {
    pub fn of_process() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = var("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
        Self {
            dir: var("DCOS_DIR").map_or_else(|| home.join(".dcos"), PathBuf::from),
            url: var("DCOS_URL"),
            cluster: var("DCOS_CLUSTER"),
            token: var("DCOS_ACS_TOKEN"),
            principal: var("DCOS_MESOS_PRINCIPAL"),
            secret: var("DCOS_MESOS_SECRET").map(Secret),
            ssl_verify: var("DCOS_SSL_VERIFY"),
            timeout: var("DCOS_TIMEOUT"),
        }
    }

    fn clusters_dir(&self) -> PathBuf {
        self.dir.join("clusters")
    }

    /// All that are set up, by name.
    pub fn clusters(&self) -> Result<Vec<Cluster>> {
        let dir = self.clusters_dir();
        if !dir.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
        let mut clusters = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.join(SETTINGS_FILE).is_file() {
                clusters.push(Cluster::load(&path)?);
            }
        }
        clusters.sort_by_key(|cluster| (cluster.name().to_owned(), cluster.id.clone()));
        Ok(clusters)
    }

    /// The one whose id or name this is, or whose id begins so.
    pub fn find(&self, wanted: &str) -> Result<Cluster> {
        let clusters = self.clusters()?;
        let exact = |cluster: &&Cluster| cluster.id == wanted || cluster.name() == wanted;
        let begins = |cluster: &&Cluster| cluster.id.starts_with(wanted);
        let found: Vec<&Cluster> = match clusters.iter().filter(exact).collect::<Vec<_>>() {
            none if none.is_empty() => clusters.iter().filter(begins).collect(),
            some => some,
        };
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(Failure::Other(format!(
                "no cluster is called {wanted:?}; `dcos cluster list` shows those that are set up"
            ))
            .into()),
            _ => Err(Failure::Other(format!(
                "{wanted:?} is the name of several clusters; use the id that `dcos cluster list` shows"
            ))
            .into()),
        }
    }

    /// The cluster that commands talk to.
    pub fn attached(&self) -> Result<Cluster> {
        if let Some(wanted) = &self.cluster {
            return self.find(wanted);
        }
        let mut clusters = self.clusters()?;
        match clusters.iter().position(Cluster::is_attached) {
            Some(at) => Ok(clusters.swap_remove(at)),
            None if clusters.len() == 1 => Ok(clusters.remove(0)),
            None if clusters.is_empty() => Err(Failure::NotSetUp.into()),
            None => Err(Failure::Other(
                "several clusters are set up and none is attached; choose one with `dcos cluster attach NAME`"
                    .into(),
            )
            .into()),
        }
    }

    pub fn attach(&self, cluster: &Cluster) -> Result<()> {
        for other in self.clusters()?.iter().filter(|other| other.is_attached()) {
            fs::remove_file(other.dir.join(ATTACHED_FILE))?;
        }
        let mark = cluster.dir.join(ATTACHED_FILE);
        File::create(&mark).with_context(|| format!("writing {}", mark.display()))?;
        Ok(())
    }

    /// A new one, or the one of this id as it is.
    pub fn cluster_of_id(&self, id: &str) -> Result<Cluster> {
        let dir = self.clusters_dir().join(id);
        if dir.join(SETTINGS_FILE).is_file() {
            return Cluster::load(&dir);
        }
        Ok(Cluster { id: id.to_owned(), dir, settings: Table::new() })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    pub id: String,
    pub dir: PathBuf,
    settings: Table,
}

impl Cluster {
    fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(SETTINGS_FILE);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let settings = text.parse().with_context(|| format!("in {}", path.display()))?;
        let id = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { id, dir: dir.to_owned(), settings })
    }

    pub fn name(&self) -> &str {
        self.text("cluster.name").unwrap_or(&self.id)
    }

    pub fn url(&self) -> Option<&str> {
        self.text("core.dcos_url")
    }

    pub fn is_attached(&self) -> bool {
        self.dir.join(ATTACHED_FILE).exists()
    }

    /// By dotted key, such as `core.dcos_url`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let (section, name) = key.split_once('.')?;
        self.settings.get(section)?.as_table()?.get(name)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    pub fn set(&mut self, key: &str, value: &str) {
        let (section, name) = key.split_once('.').expect("known keys have a section");
        let empty = || Value::Table(Table::new());
        let section = self.settings.entry(section).or_insert_with(empty);
        if let Some(section) = section.as_table_mut() {
            section.insert(name.to_owned(), Value::String(value.to_owned()));
        }
    }

    pub fn unset(&mut self, key: &str) -> bool {
        let Some((section, name)) = key.split_once('.') else { return false };
        let section = self.settings.get_mut(section).and_then(Value::as_table_mut);
        section.is_some_and(|section| section.remove(name).is_some())
    }

    /// Every setting as `section.name` and its value, by key.
    pub fn entries(&self) -> Vec<(String, String)> {
        let mut entries = Vec::new();
        for (section, values) in &self.settings {
            for (name, value) in values.as_table().into_iter().flatten() {
                entries.push((format!("{section}.{name}"), spelled(value)));
            }
        }
        entries.sort();
        entries
    }

    /// Whole or not at all, readable by its owner only.
    pub fn save(&self) -> Result<()> {
        let make = fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(&self.dir);
        make.with_context(|| format!("creating {}", self.dir.display()))?;
        let path = self.dir.join(SETTINGS_FILE);
        let fresh = self.dir.join(format!("{SETTINGS_FILE}.new"));
        let write = || -> Result<()> {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(FILE_MODE).open(&fresh)?;
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            file.write_all(toml::to_string(&self.settings)?.as_bytes())?;
            file.sync_all()?;
            Ok(fs::rename(&fresh, &path)?)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    pub fn delete(&self) -> Result<()> {
        fs::remove_dir_all(&self.dir).with_context(|| format!("removing {}", self.dir.display()))
    }
}

/// Without the quotes of TOML: what a user typed.
pub fn spelled(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(dir: &Path) -> Env {
        Env { dir: dir.to_owned(), ..Env::default() }
    }

    fn add(env: &Env, id: &str, name: &str) -> Cluster {
        let mut cluster = env.cluster_of_id(id).expect("a new cluster needs nothing");
        cluster.set("cluster.name", name);
        cluster.save().expect("a temporary directory is writable");
        cluster
    }

    #[test]
    fn settings_are_for_their_owner_only() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let cluster = add(&env(dir.path()), "one", "first");
        let mode = |path: &Path| fs::metadata(path).expect("it was saved").permissions().mode();
        assert_eq!(mode(&cluster.dir.join(SETTINGS_FILE)) & 0o777, FILE_MODE);
        assert_eq!(mode(&cluster.dir) & 0o777, DIR_MODE);
    }

    #[test]
    fn the_attached_cluster_is_the_one_that_commands_talk_to() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut env = env(dir.path());
        let none = env.attached().expect_err("nothing is set up");
        assert!(none.to_string().contains("dcos cluster setup"), "{none}");
        let first = add(&env, "one", "first");
        assert_eq!(env.attached().expect("the only one").id, "one");
        let second = add(&env, "two", "second");
        assert!(env.attached().is_err());
        env.attach(&first).expect("it exists");
        env.attach(&second).expect("it exists");
        assert_eq!(env.attached().expect("attached").id, "two");
        env.cluster = Some("first".into());
        assert_eq!(env.attached().expect("named").id, "one");
    }

    #[test]
    fn what_was_set_is_read_back_and_can_be_unset() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let env = env(dir.path());
        let mut cluster = add(&env, "one", "first");
        cluster.set("core.dcos_url", "http://127.0.0.1");
        cluster.save().expect("a temporary directory is writable");
        let mut read = env.find("one").expect("it was saved");
        assert_eq!(read.url(), Some("http://127.0.0.1"));
        assert!(read.unset("core.dcos_url"));
        assert!(!read.unset("core.dcos_url"));
        assert_eq!(read.entries(), [("cluster.name".into(), "first".into())]);
    }
}
