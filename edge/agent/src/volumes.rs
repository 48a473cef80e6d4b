//! Persistent volumes on the disk: as Mesos lays them out.
//!
//! `<dir>/volumes/roles/<role>/<id>`, a slash of the role as a blank; on a disk of its own that is below its path, or its
//! mount itself. What is to go is first moved to `volumes/removed`, so that its name is free at once.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use model::container::Volume;
use model::id::Uuid;
use model::resources::{DiskKind, Resource, Resources};
use node::Input;
use procfs::process::Process;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::links;
use crate::projects::Projects;
use crate::sandbox::{Owner, name};
use crate::seeds::Seeds;

/// What others may do in a volume: enter it, as in a sandbox.
const VOLUME_MODE: u32 = 0o755;

/// The volumes of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Volumes {
    dir: PathBuf,
    projects: Projects,
    /// Whether they may have no more than they are said to have.
    is_limited: bool,
}

/// What an operation wants of volumes.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) operation: Uuid,
    pub(crate) deed: Deed,
    pub(crate) volumes: Vec<Resource>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    Make,
    Remove,
}

/// Where a volume lies.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A directory made for it.
    Own { dir: PathBuf, removed: PathBuf },
    /// A file system that it has for itself: it is there before and stays.
    Mount(PathBuf),
}

impl Volumes {
    pub(crate) fn new(dir: &Path, projects: Projects, is_limited: bool) -> Self {
        Self { dir: dir.to_owned(), projects, is_limited }
    }

    /// Where a volume is that the kernel may count by itself: one that has a file system for itself is limited by that.
    pub(crate) fn counted(&self, volume: &Resource) -> Option<PathBuf> {
        match self.place(volume).ok()? {
            Place::Own { dir, .. } => Some(dir),
            Place::Mount(_) => None,
        }
    }

    fn count(&self, volume: &Resource, dir: &Path) -> anyhow::Result<()> {
        let most = self.is_limited.then(|| volume.bytes());
        self.projects.give(dir, most).map(drop)
    }

    fn place(&self, volume: &Resource) -> anyhow::Result<Place> {
        let persistence = volume.persistence().context("it is no persistent volume")?;
        let role = volume.role().context("a volume that is not reserved has no place")?;
        let source = volume.source();
        let root = self.root(volume);
        if source.is_some_and(|source| source.kind == DiskKind::Mount) {
            return Ok(Place::Mount(root));
        }
        let volumes = root.join("volumes");
        let role = role.as_str().replace('/', " ");
        let dir = volumes.join("roles").join(name(&role)?).join(name(&persistence.id)?);
        Ok(Place::Own { dir, removed: volumes.join("removed") })
    }

    /// The disk that it is on: the agent's own, or another. What is not absolute is below the agent's.
    fn root(&self, one: &Resource) -> PathBuf {
        let root = one.source().and_then(|source| source.root.as_ref());
        root.map_or_else(|| self.dir.clone(), |root| self.dir.join(root))
    }

    /// Makes the directories that are disks, and looks for those that are to be mounted. Blocks.
    pub(crate) fn prepare(&self, resources: &Resources) -> anyhow::Result<()> {
        for one in resources.iter() {
            let (Some(source), root) = (one.source(), self.root(one)) else { continue };
            let named = || format!("the disk {} of the resources", root.display());
            match source.kind {
                DiskKind::Path => fs::create_dir_all(&root).with_context(named)?,
                DiskKind::Mount => judge_mount(&root).with_context(named)?,
                DiskKind::Unknown | DiskKind::Block | DiskKind::Raw => {
                    bail!("{} is neither of type PATH nor MOUNT", named())
                }
            }
        }
        Ok(())
    }

    /// Blocks.
    fn make(&self, volume: &Resource) -> anyhow::Result<()> {
        let (dir, is_own) = match self.place(volume)? {
            Place::Own { dir, .. } => (dir, true),
            Place::Mount(root) => (root, false),
        };
        let say = || format!("making the volume {}", dir.display());
        if is_own {
            fs::create_dir_all(&dir).with_context(say)?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(VOLUME_MODE)).with_context(say)?;
            self.count(volume, &dir)?;
        }
        // A machine that loses its power must not lose what its master was promised.
        let root = self.root(volume);
        let all = dir.ancestors().take_while(|above| *above != root).chain([root.as_path()]);
        for above in all {
            File::open(above).and_then(|opened| opened.sync_all()).with_context(say)?;
        }
        if !dir.is_dir() {
            bail!("{} is not a directory", dir.display());
        }
        Ok(())
    }

    /// Blocks, for as long as it takes to remove all that is in it. Links are removed and not followed.
    fn remove(&self, volume: &Resource, trash: &str) -> anyhow::Result<()> {
        match self.place(volume)? {
            Place::Own { dir, removed } => {
                let say = || format!("removing the volume {}", dir.display());
                let trash = removed.join(trash);
                fs::create_dir_all(&removed).with_context(say)?;
                fs::set_permissions(&removed, fs::Permissions::from_mode(0o700))
                    .with_context(say)?;
                fs::rename(&dir, &trash).or_else(unless_missing).with_context(say)?;
                self.projects.release(&trash);
                remove_all(&trash).with_context(say)
            }
            Place::Mount(root) => {
                let say = || format!("emptying {}", root.display());
                for entry in fs::read_dir(&root).with_context(say)? {
                    remove_all(&entry.with_context(say)?.path()).with_context(say)?;
                }
                Ok(())
            }
        }
    }

    /// Where a task sees the volumes that it uses. Who owns the task's sandbox owns its volumes too. Blocks.
    pub(crate) fn mounts(
        &self,
        used: &Resources,
        sandbox: &Path,
        owner: Option<Owner>,
    ) -> anyhow::Result<Vec<Volume>> {
        let volumes = used.iter().filter(|one| one.is_persistent_volume());
        volumes.map(|volume| self.mount(volume, sandbox, owner)).collect()
    }

    /// Has links in the sandbox of a program that runs lead to the volumes that its tasks use by now, and to no others. It
    /// sees the machine's own files, so a link is enough. Those deeper in the sandbox stay until another takes their
    /// place. Blocks.
    pub(crate) fn link(&self, used: &Resources, sandbox: &Path) -> anyhow::Result<()> {
        let wanted = self.mounts(used, sandbox, None)?;
        let say = || format!("linking the volumes in {}", sandbox.display());
        for entry in fs::read_dir(sandbox).with_context(say)? {
            let entry = entry.with_context(say)?;
            let is_wanted = |one: &Volume| sandbox.join(&one.container_path) == entry.path();
            let leads = fs::read_link(entry.path());
            if leads.is_ok_and(|to| self.is_ours(&to)) && !wanted.iter().any(is_wanted) {
                fs::remove_file(entry.path()).or_else(unless_missing).with_context(say)?;
            }
        }
        for Volume { container_path, host_path, .. } in wanted {
            links::lead(sandbox, &container_path, Path::new(&host_path))?;
        }
        Ok(())
    }

    /// Whether a link leads to a volume of this agent.
    fn is_ours(&self, path: &Path) -> bool {
        path.starts_with(self.dir.join("volumes"))
    }

    /// The volume that all tasks of a group know by this name, among what is their executor's.
    pub(crate) fn named<'a>(all: &'a Resources, name: &str) -> Option<&'a Resource> {
        let is_it = |one: &&Resource| {
            let seen = one.disk.as_ref().and_then(|disk| disk.volume.as_ref());
            one.is_persistent_volume() && seen.is_some_and(|seen| seen.container_path == name)
        };
        all.iter().find(is_it)
    }

    pub(crate) fn mount(
        &self,
        volume: &Resource,
        sandbox: &Path,
        owner: Option<Owner>,
    ) -> anyhow::Result<Volume> {
        let (dir, is_own) = match self.place(volume)? {
            Place::Own { dir, .. } => (dir, true),
            Place::Mount(dir) => (dir, false),
        };
        let seen = volume.disk.as_ref().and_then(|disk| disk.volume.as_ref());
        let seen = seen.context("a volume says where its task sees it")?;
        let found = fs::symlink_metadata(&dir);
        let found = found.with_context(|| format!("looking for the volume {}", dir.display()))?;
        if !found.is_dir() {
            bail!("the volume {} is not a directory", dir.display());
        }
        if is_own {
            // It may have been made before anybody counted, or for another size.
            self.count(volume, &dir)?;
        }
        let of_sandbox = || fs::metadata(sandbox).map(|at| Owner { uid: at.uid(), gid: at.gid() });
        let owner = owner.map_or_else(of_sandbox, Ok).context("looking for the sandbox")?;
        // One that others may use at the same time is its first user's who is not root.
        let is_free = !volume.shared || found.uid() == 0;
        if is_free && (found.uid(), found.gid()) != (owner.uid, owner.gid) {
            chown(&dir, Some(owner.uid), Some(owner.gid))
                .context("giving the volume to its task")?;
        }
        Ok(Volume {
            container_path: seen.container_path.clone(),
            host_path: dir.display().to_string(),
            mode: seen.mode,
        })
    }

    /// Carries out what operations want, one after the other, and tells how it went.
    pub(crate) async fn work(
        self,
        mut errands: mpsc::UnboundedReceiver<Errand>,
        tell: impl Fn(Input),
        seeds: &Seeds,
    ) {
        while let Some(errand) = errands.recv().await {
            let (volumes, operation) = (self.clone(), errand.operation);
            let done = spawn_blocking(move || volumes.carry_out(&errand)).await;
            // Whoever panics has failed like any other: the operation must not be under way for ever.
            let done = done.unwrap_or_else(|cause| Err(cause.to_string()));
            if let Err(cause) = &done {
                tracing::error!(%operation, cause, "volumes cannot be made or removed");
            }
            tell(Input::Volumes { operation, done, seed: seeds.next() });
        }
    }

    fn carry_out(&self, errand: &Errand) -> Result<(), String> {
        let Errand { operation, deed, volumes } = errand;
        let mut all = volumes.iter().enumerate();
        let done = all.try_for_each(|(at, volume)| match deed {
            Deed::Make => self.make(volume),
            Deed::Remove => self.remove(volume, &format!("{operation}-{at}")),
        });
        done.map_err(|cause| format!("{cause:#}"))
    }
}

/// A volume on it would otherwise fill the disk that it is not on.
fn judge_mount(root: &Path) -> anyhow::Result<()> {
    let root = root.canonicalize().context("looking for it")?;
    let mounts =
        Process::myself().and_then(|own| own.mountinfo()).context("asking what is mounted")?;
    let is_mounted = mounts.into_iter().any(|one| one.mount_point == root);
    if !is_mounted {
        bail!("nothing is mounted there: mount a file system of its own, or give it the type PATH");
    }
    Ok(())
}

/// Whatever it is; what a link leads to stays.
fn remove_all(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(cause) => return unless_missing(cause),
        Ok(found) => found,
    };
    match found.is_dir() {
        true => fs::remove_dir_all(path).or_else(unless_missing),
        false => fs::remove_file(path).or_else(unless_missing),
    }
}

fn unless_missing(cause: io::Error) -> io::Result<()> {
    if cause.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(cause) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use model::container::VolumeMode;
    use model::id::Role;
    use model::resources::{
        Amount, DiskInfo, DiskSource, DiskVolume, Persistence, ResourceName, Scalar,
    };

    use super::*;

    fn unlimited(dir: &Path) -> Volumes {
        Volumes::new(dir, Projects::none(), false)
    }

    fn volume(role: &str, id: &str) -> Resource {
        let amount = Amount::Scalar(Scalar::whole(1));
        let persistence = Some(Persistence { id: id.to_owned(), principal: None });
        let (container_path, mode) = ("data".to_owned(), VolumeMode::ReadWrite);
        let seen = Some(DiskVolume { container_path, mode, host_path: None });
        let disk = Some(Box::new(DiskInfo { persistence, volume: seen, source: None }));
        Resource { disk, ..Resource::reserved(ResourceName::Disk, amount, Some(Role::new(role))) }
    }

    #[test]
    fn a_volume_is_made_where_mesos_has_it_and_goes_with_all_that_is_in_it_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let outside = dir.path().join("outside");
        fs::create_dir_all(outside.join("kept")).expect("made");
        let volumes = unlimited(&dir.path().join("agent"));
        fs::create_dir_all(dir.path().join("agent")).expect("made");
        let one = volume("db/eu", "a b");
        let at = dir.path().join("agent/volumes/roles/db eu/a b");
        volumes.make(&one).expect("made");
        volumes.make(&one).expect("made twice");
        fs::create_dir_all(at.join("deep/er")).expect("made");
        symlink(&outside, at.join("deep/link")).expect("a link");
        volumes.remove(&one, "x").expect("removed");
        volumes.remove(&one, "x").expect("removed twice");
        assert!(!at.exists() && outside.join("kept").exists());
        assert_eq!(
            fs::read_dir(dir.path().join("agent/volumes/removed")).expect("read").count(),
            0
        );
        symlink(&outside, &at).expect("a link");
        volumes.remove(&one, "x").expect("removed");
        assert!(!at.exists() && outside.join("kept").exists());
    }

    fn on(kind: DiskKind, root: &Path) -> Resource {
        let mut one = volume("db", "v");
        let root = Some(root.display().to_string());
        let metadata = model::resources::Labels::new();
        let source = DiskSource { kind, root, vendor: None, id: None, metadata, profile: None };
        one.disk.as_mut().expect("it is a volume").source = Some(source);
        one
    }

    #[test]
    fn a_volume_on_another_disk_lies_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let volumes = unlimited(&dir.path().join("agent"));
        fs::create_dir_all(dir.path().join("agent")).expect("made");
        for (root, at) in
            [("agent/fast", "fast"), ("other", dir.path().join("other").to_str().expect("text"))]
        {
            let one = on(DiskKind::Path, Path::new(at));
            volumes.prepare(&Resources::new([one.without_volume()])).expect("prepared");
            let lies = dir.path().join(root).join("volumes/roles/db/v");
            volumes.make(&one).expect("made");
            assert!(lies.is_dir());
            volumes.remove(&one, "x").expect("removed");
            assert!(!lies.exists());
        }
    }

    #[test]
    fn a_disk_of_its_own_must_be_mounted_and_is_emptied() {
        let dir = tempfile::tempdir().expect("a directory");
        let volumes = unlimited(dir.path());
        let one = on(DiskKind::Mount, dir.path());
        let cause =
            volumes.prepare(&Resources::new([one.without_volume()])).expect_err("a directory");
        assert!(format!("{cause:#}").contains("nothing is mounted there"), "{cause:#}");
        let proc = on(DiskKind::Mount, Path::new("/proc"));
        volumes.prepare(&Resources::new([proc.without_volume()])).expect("it is mounted");
        fs::create_dir_all(dir.path().join("deep/er")).expect("made");
        volumes.make(&one).expect("made");
        volumes.remove(&one, "x").expect("emptied");
        assert_eq!(fs::read_dir(dir.path()).expect("it stays").count(), 0);
    }

    #[test]
    fn the_links_of_a_program_lead_to_the_volumes_that_its_tasks_use() {
        let dir = tempfile::tempdir().expect("a directory");
        let (volumes, sandbox) = (unlimited(dir.path()), dir.path().join("sandbox"));
        fs::create_dir_all(&sandbox).expect("made");
        symlink("/tmp", sandbox.join("own")).expect("a link of the program's own");
        let check = |ids: &[&str], expected: Option<&str>| {
            let all = ids.iter().map(|id| volume("db", id));
            volumes.link(&Resources::new(all), &sandbox).expect("linked");
            let found = fs::read_link(sandbox.join("data")).ok();
            assert_eq!(found, expected.map(|id| dir.path().join("volumes/roles/db").join(id)));
            assert!(fs::read_link(sandbox.join("own")).is_ok());
        };
        ["a", "b"].iter().for_each(|id| volumes.make(&volume("db", id)).expect("made"));
        check(&["a"], Some("a"));
        check(&["a"], Some("a"));
        check(&["b"], Some("b"));
        check(&[], None);
        fs::create_dir(sandbox.join("data")).expect("the program's own");
        let used = Resources::new([volume("db", "a")]);
        assert!(volumes.link(&used, &sandbox).is_err(), "what is there is not replaced");
    }

    #[test]
    fn a_volume_that_is_no_directory_of_its_own_has_no_place() {
        let check = |role: &str, id: &str| {
            let volumes = unlimited(Path::new("/nowhere"));
            assert!(volumes.place(&volume(role, id)).is_err(), "{role:?} {id:?}");
        };
        check("db", "..");
        check("db", "");
        check("db", "a/b");
        check("..", "a");
    }
}
