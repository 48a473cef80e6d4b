//! Where a task's files are: as Mesos lays them out.
//!
//! `<dir>/slaves/<agent>/frameworks/<framework>/executors/<task>/runs/<container>`, and `latest` beside the container.
//! The tasks of a group lie in the sandbox of their executor, `executors/<executor>/runs/<its container>`: each in
//! `containers/<container>`, which `tasks/<task>` leads to. What they share is in `volumes/<name>`. Those of an executor that is a program have no directories of their own.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use images::Recipient;
use model::id::{AgentId, ContainerId, FrameworkId, TaskId};
use nix::unistd::User;
use node::{Executor, Group, Held};

/// What others may do in a sandbox: enter it, because the image's user may be another than the task's.
const SANDBOX_MODE: u32 = 0o755;

const CONTAINERS: &str = "containers";
const TASKS: &str = "tasks";
const VOLUMES: &str = "volumes";
const VOLUMES_MODE: u32 = 0o700;
const VOLUME_MODE: u32 = 0o777;

/// The sandboxes of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Sandboxes {
    dir: PathBuf,
}

/// Whose sandbox it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tenant<'a> {
    pub(crate) agent: &'a AgentId,
    pub(crate) framework: &'a FrameworkId,
    pub(crate) task: &'a TaskId,
    pub(crate) container: &'a ContainerId,
    pub(crate) group: Option<&'a Group>,
}

impl<'a> Tenant<'a> {
    pub(crate) fn of(container: &'a ContainerId, held: &'a Held) -> Self {
        Self {
            agent: &held.info.agent,
            framework: &held.framework,
            task: &held.info.id,
            container,
            group: held.group.as_ref(),
        }
    }

    /// The executor's own sandbox, which is the task's unless it has been launched in a group.
    pub(crate) fn run(self) -> Run<'a> {
        let Tenant { agent, framework, task, container, group } = self;
        match group {
            None => Run { agent, framework, executor: task.as_str(), container },
            Some(group) => Run::of(agent, framework, group),
        }
    }
}

/// One life of an executor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    agent: &'a AgentId,
    framework: &'a FrameworkId,
    executor: &'a str,
    container: &'a ContainerId,
}

impl<'a> Run<'a> {
    /// Of an executor that is a program.
    pub(crate) fn of_program(container: &'a ContainerId, executor: &'a Executor) -> Self {
        let (agent, framework) = (&executor.agent, executor.framework());
        Self { agent, framework, executor: executor.info.id.as_str(), container }
    }

    pub(crate) fn of(agent: &'a AgentId, framework: &'a FrameworkId, group: &'a Group) -> Self {
        let (executor, container) = (group.executor.id.as_str(), &group.container);
        Self { agent, framework, executor, container }
    }
}

/// A Linux user and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Sandboxes {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Refuses names that are no names of directories.
    pub(crate) fn path(&self, tenant: Tenant<'_>) -> anyhow::Result<PathBuf> {
        let run = self.run(tenant.run())?;
        if tenant.group.is_none_or(|group| group.executor.program.is_some()) {
            return Ok(run);
        }
        Ok(run.join(CONTAINERS).join(name(tenant.container.as_str())?))
    }

    pub(crate) fn run(&self, run: Run<'_>) -> anyhow::Result<PathBuf> {
        let Run { agent, framework, executor, container } = run;
        Ok(self
            .dir
            .join("slaves")
            .join(name(agent.as_str())?)
            .join("frameworks")
            .join(name(framework.as_str())?)
            .join("executors")
            .join(name(executor)?)
            .join("runs")
            .join(name(container.as_str())?))
    }

    /// Makes the directory and the link that leads to it. Blocks.
    pub(crate) fn make(&self, tenant: Tenant<'_>, owner: Option<Owner>) -> anyhow::Result<PathBuf> {
        let run = self.run(tenant.run())?;
        let path = self.path(tenant)?;
        let say = || format!("making the sandbox {}", path.display());
        make_dir(&run, SANDBOX_MODE).with_context(say)?;
        let latest = run.with_file_name("latest");
        let target = run.file_name().expect("a run has a name");
        link(Path::new(target), &latest).with_context(say)?;
        if tenant.group.is_some() {
            let tasks = run.join(TASKS);
            make_dir(&path, SANDBOX_MODE).with_context(say)?;
            make_dir(&tasks, SANDBOX_MODE).with_context(say)?;
            let target = Path::new("..").join(CONTAINERS).join(tenant.container.as_str());
            link(&target, &tasks.join(name(tenant.task.as_str())?)).with_context(say)?;
        }
        if let Some(Owner { uid, gid }) = owner {
            chown(&path, Some(uid), Some(gid)).with_context(say)?;
        }
        Ok(path)
    }

    /// Makes a directory that the tasks of a group share. They may be of several users, so it is open to all; what it
    /// lies in is closed to others of this machine. Blocks.
    pub(crate) fn share(&self, run: Run<'_>, volume: &str) -> anyhow::Result<PathBuf> {
        let volumes = self.run(run)?.join(VOLUMES);
        let path = volumes.join(name(volume)?);
        let say = || format!("making the volume {}", path.display());
        make_dir(&volumes, VOLUMES_MODE).with_context(say)?;
        make_dir(&path, VOLUME_MODE).with_context(say)?;
        Ok(path)
    }

    /// The sandboxes of the tasks of groups. Blocks.
    pub(crate) fn nested(&self) -> Vec<PathBuf> {
        self.all().iter().flat_map(|run| directories(&run.join(CONTAINERS))).collect()
    }

    /// Every sandbox that there is, nested ones aside. Blocks.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        let below = |dirs: Vec<PathBuf>, name: &str| -> Vec<PathBuf> {
            dirs.iter().flat_map(|dir| directories(&dir.join(name))).collect()
        };
        let agents = directories(&self.dir.join("slaves"));
        let executors = below(below(agents, "frameworks"), "executors");
        below(executors, "runs")
    }
}

/// Refuses what is no name of a directory.
pub(crate) fn name(name: &str) -> anyhow::Result<&str> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        bail!(
            "{name:?} cannot be the name of a directory, and so not of a task, framework or volume"
        );
    }
    Ok(name)
}

/// With all above it. Its mode is what is said, whatever the process masks.
fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// In place of a link that is there already.
fn link(target: &Path, at: &Path) -> io::Result<()> {
    loop {
        fs::remove_file(at).or_else(unless_missing)?;
        match symlink(target, at) {
            // Another of its group has been quicker.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => (),
            done => return done,
        }
    }
}

/// Removes a sandbox, the link that led there, and the directories above it that are empty now. Blocks.
pub(crate) fn remove(sandbox: &Path) -> io::Result<()> {
    fs::remove_dir_all(sandbox).or_else(unless_missing)?;
    if let Some(run) = executor_of(sandbox) {
        return remove_links(run, sandbox);
    }
    let latest = sandbox.with_file_name("latest");
    if fs::read_link(&latest).is_ok_and(|target| Some(target.as_os_str()) == sandbox.file_name()) {
        fs::remove_file(&latest).or_else(unless_missing)?;
    }
    // runs, the executor, executors, the framework; the first that is not empty ends it.
    for above in sandbox.ancestors().skip(1).take(4) {
        if fs::remove_dir(above).is_err() {
            break;
        }
    }
    Ok(())
}

/// The sandbox of the executor, if this one is nested.
fn executor_of(sandbox: &Path) -> Option<&Path> {
    let containers = sandbox.parent()?;
    // A task's own sandbox lies right below `runs`.
    containers.file_name().filter(|name| *name == CONTAINERS)?;
    containers.parent()
}

/// The tasks that led to a nested sandbox.
fn remove_links(run: &Path, sandbox: &Path) -> io::Result<()> {
    let target = Path::new("..").join(CONTAINERS).join(sandbox.file_name().unwrap_or_default());
    for entry in fs::read_dir(run.join(TASKS)).into_iter().flatten().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|to| to == target) {
            fs::remove_file(entry.path()).or_else(unless_missing)?;
        }
    }
    Ok(())
}

fn unless_missing(cause: io::Error) -> io::Result<()> {
    if cause.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(cause) }
}

/// Those in `dir`, links aside; none if there is no `dir`.
fn directories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    real.map(|entry| entry.path()).collect()
}

/// Nobody in particular: whom a user that this machine does not know is to it.
const NOBODY: Owner = Owner { uid: 65_534, gid: 65_534 };

/// Whom something is fetched for, where the user has been looked for on this machine. One that only an image knows has no
/// rights here.
pub(crate) fn recipient(user: Option<&str>, found: Option<Owner>) -> Recipient {
    let numbers = |Owner { uid, gid }| (uid, gid);
    let reader = found.or_else(|| user.map(|_| NOBODY));
    Recipient { owner: found.map(numbers), reader: reader.map(numbers), bytes_max: None }
}

/// Whom `name` or `name:group`, each perhaps a number, stands for on this machine.
pub(crate) fn owner(user: &str) -> anyhow::Result<Owner> {
    let (name, group) =
        user.split_once(':').map_or((user, None), |(name, group)| (name, Some(group)));
    let known = match name.parse::<u32>() {
        Ok(uid) => User::from_uid(uid.into()).context("looking up a user")?,
        Err(_) => Some(
            User::from_name(name)
                .context("looking up a user")?
                .with_context(|| format!("user {name:?} does not exist on this machine"))?,
        ),
    };
    let uid = known.as_ref().map_or_else(|| name.parse(), |user| Ok(user.uid.as_raw()))?;
    let gid = match group {
        None => known.map_or(uid, |user| user.gid.as_raw()),
        Some(group) => group_id(group)?,
    };
    Ok(Owner { uid, gid })
}

fn group_id(group: &str) -> anyhow::Result<u32> {
    if let Ok(gid) = group.parse() {
        return Ok(gid);
    }
    let known = nix::unistd::Group::from_name(group).context("looking up a group")?;
    let known = known.with_context(|| format!("group {group:?} does not exist on this machine"))?;
    Ok(known.gid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(dir: &Path, task: &str, container: &str) -> anyhow::Result<PathBuf> {
        let ids = (
            AgentId::new("S0"),
            FrameworkId::new("f"),
            TaskId::new(task),
            ContainerId::new(container),
        );
        let tenant = Tenant {
            agent: &ids.0,
            framework: &ids.1,
            task: &ids.2,
            container: &ids.3,
            group: None,
        };
        Sandboxes::new(dir).make(tenant, None)
    }

    #[test]
    fn a_sandbox_lies_where_mesos_has_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = made(dir.path(), "t", "c1").expect("made");
        let expected = dir.path().join("slaves/S0/frameworks/f/executors/t/runs/c1");
        assert_eq!(path, expected);
        made(dir.path(), "t", "c2").expect("made");
        let latest = expected.with_file_name("latest");
        assert_eq!(fs::read_link(&latest).expect("a link"), Path::new("c2"));
        let mut all = Sandboxes::new(dir.path()).all();
        all.sort();
        assert_eq!(all, [expected.clone(), expected.with_file_name("c2")]);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        for task in ["..", ".", "", "a/b", "/etc", "../../x"] {
            let cause = made(dir.path(), task, "c").expect_err(task).to_string();
            assert!(cause.contains("cannot be the name"), "{cause}");
        }
    }

    #[test]
    fn with_the_last_sandbox_its_empty_directories_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = made(dir.path(), "t", "c1").expect("made");
        let second = made(dir.path(), "t", "c2").expect("made");
        fs::write(first.join("stdout"), "x").expect("written");
        remove(&first).expect("removed");
        assert!(!first.exists() && second.with_file_name("latest").exists());
        remove(&second).expect("removed");
        assert!(!dir.path().join("slaves/S0/frameworks/f").exists());
        assert!(dir.path().join("slaves/S0/frameworks").exists());
        remove(&second).expect("what is gone may be removed");
    }

    #[test]
    fn who_is_not_known_here_reads_as_nobody() {
        let root = Owner { uid: 0, gid: 0 };
        for (user, found, expected) in [
            (None, None, None),
            (Some("root"), Some(root), Some((0, 0))),
            (Some("of-the-image"), None, Some((65_534, 65_534))),
        ] {
            let recipient = recipient(user, found);
            assert_eq!(recipient.reader, expected, "{user:?}");
            assert_eq!(recipient.owner, found.map(|one| (one.uid, one.gid)), "{user:?}");
        }
    }

    #[test]
    fn users_are_names_or_numbers() {
        let check = |user: &str, uid: u32, gid: u32| {
            assert_eq!(owner(user).expect(user), Owner { uid, gid }, "{user}");
        };
        check("root", 0, 0);
        check("0:0", 0, 0);
        check("123456", 123_456, 123_456);
        check("root:7", 0, 7);
        let cause = owner("nobody-knows-me").expect_err("unknown").to_string();
        assert!(cause.contains("\"nobody-knows-me\" does not exist"), "{cause}");
    }
}
