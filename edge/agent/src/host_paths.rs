//! Which paths of the machine tasks may have as volumes, fetch, or take as images.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use containers::spec::{Mount, Source};
use model::container::{OtherVolume, Propagation, Volume, VolumeMode};

/// What the operator says. All of them, if nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostPaths(Option<Vec<Allowed>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    root: PathBuf,
    mode: VolumeMode,
}

impl HostPaths {
    /// These and all below them; those that end with `:ro` to be read only.
    pub fn only(allowed: &[String]) -> anyhow::Result<Self> {
        let parse = |text: &String| {
            let (path, mode) = match text.strip_suffix(":ro") {
                Some(path) => (path, VolumeMode::ReadOnly),
                None => (text.strip_suffix(":rw").unwrap_or(text), VolumeMode::ReadWrite),
            };
            let root = PathBuf::from(path);
            let climbs = root.components().any(|part| part == Component::ParentDir);
            if !root.is_absolute() || climbs {
                bail!("{text:?} is no absolute path, with ':ro' or ':rw' if wanted");
            }
            Ok(Allowed { root, mode })
        };
        Ok(Self(Some(allowed.iter().map(parse).collect::<anyhow::Result<_>>()?)))
    }

    /// The same for what is fetched, and for images: those are only read.
    pub fn locals(&self) -> images::Locals {
        let roots = |allowed: &Vec<Allowed>| allowed.iter().map(|one| one.root.clone()).collect();
        self.0
            .as_ref()
            .map_or_else(images::Locals::default, |allowed| images::Locals::only(roots(allowed)))
    }

    /// Those that are the agent's own to give, and those of the machine, which need a closer look. Blocks.
    pub(crate) fn admit(
        &self,
        volumes: impl IntoIterator<Item = Volume>,
    ) -> anyhow::Result<(Vec<Volume>, Vec<Mount>)> {
        let (mut plain, mut mounts) = (Vec::new(), Vec::new());
        for volume in volumes {
            // Relative ones are in the sandbox.
            if self.0.is_none() || !Path::new(&volume.host_path).is_absolute() {
                plain.push(volume);
                continue;
            }
            let source = self.source(&volume.host_path, volume.mode, BothWays::No)?;
            let Volume { container_path, mode, .. } = volume;
            mounts.push(Mount { container_path, mode, source });
        }
        Ok((plain, mounts))
    }

    /// Of the others, the one that is a path of the machine. Blocks.
    pub(crate) fn propagated(
        &self,
        volume: &OtherVolume,
        path: &str,
        propagation: Propagation,
    ) -> anyhow::Result<Mount> {
        let both_ways = match propagation {
            Propagation::HostToContainer => BothWays::No,
            Propagation::Bidirectional => BothWays::Yes,
        };
        let source = self.source(path, volume.mode, both_ways)?;
        Ok(Mount { container_path: volume.container_path.clone(), mode: volume.mode, source })
    }

    /// Links are followed now and no more later, when a task may have put others in their place.
    fn source(&self, path: &str, mode: VolumeMode, both_ways: BothWays) -> anyhow::Result<Source> {
        if !Path::new(path).is_absolute() {
            bail!("volume {path}: to say how mounts are shared it has to be an absolute path");
        }
        let real = Path::new(path).canonicalize();
        let real = real.with_context(|| format!("volume {path}: looking for it on the host"))?;
        let root = match &self.0 {
            None => PathBuf::from("/"),
            Some(allowed) => {
                allowed_root(allowed, &real, mode).with_context(|| format!("volume {path}"))?
            }
        };
        let below = real.strip_prefix(&root).expect("the root was found by it").to_owned();
        Ok(Source::Host { root, path: below, both_ways: both_ways == BothWays::Yes })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BothWays {
    Yes,
    No,
}

/// The allowed path that it lies in.
fn allowed_root(allowed: &[Allowed], real: &Path, mode: VolumeMode) -> anyhow::Result<PathBuf> {
    // An operator may name links, too.
    let roots = allowed.iter().filter_map(|one| Some((one.root.canonicalize().ok()?, one.mode)));
    let around: Vec<_> = roots.filter(|(root, _)| real.starts_with(root)).collect();
    let fits = around.iter().find(|(_, most)| mode <= *most);
    match (fits, around.first()) {
        (Some((root, _)), _) => Ok(root.clone()),
        (None, Some((root, _))) => {
            bail!("below {} the operator allows volumes of mode RO only", root.display())
        }
        (None, None) => {
            let all: Vec<_> = allowed.iter().map(|one| one.root.display().to_string()).collect();
            let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            bail!(
                "{} is not among the paths of the machine that the operator allows (host_volumes): {all}",
                real.display()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn volume(host_path: &str, mode: VolumeMode) -> Volume {
        Volume { container_path: "/v".to_owned(), host_path: host_path.to_owned(), mode }
    }

    #[test]
    fn only_what_is_allowed_is_given_wherever_links_lead() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name).display().to_string();
        for name in ["data/deep", "certs", "other"] {
            fs::create_dir_all(at(name)).expect("made");
        }
        symlink(at("other"), at("data/out")).expect("a link");
        symlink(at("data/deep"), at("data/in")).expect("a link");
        let paths = HostPaths::only(&[at("data"), format!("{}:ro", at("certs"))]).expect("paths");
        let admit = |path: &str, mode| paths.admit([volume(path, mode)]);
        let (read, write) = (VolumeMode::ReadOnly, VolumeMode::ReadWrite);
        for (path, mode, below) in [
            ("data", write, ""),
            ("data/deep", write, "deep"),
            ("data/in", read, "deep"),
            ("certs", read, ""),
        ] {
            let (plain, mounts) = admit(&at(path), mode).expect(path);
            let Source::Host { root, path: found, both_ways: false } = &mounts[0].source else {
                panic!("{mounts:?}")
            };
            assert!(plain.is_empty() && root.is_absolute());
            assert_eq!(found, Path::new(below), "{path}");
        }
        for (path, mode, words) in [
            ("data/out", read, "not among the paths"),
            ("data/../other", read, "not among the paths"),
            ("certs", write, "of mode RO only"),
            ("nothing", read, "looking for it"),
        ] {
            let cause = format!("{:#}", admit(&at(path), mode).expect_err(path));
            assert!(cause.contains(words) && cause.contains(&at(path)), "{cause}");
        }
        let own = volume("own", write);
        assert_eq!(paths.admit([own.clone()]).expect("the sandbox's"), (vec![own], vec![]));
        let any = volume("/anything", write);
        let all = HostPaths::default().admit([any.clone()]);
        assert_eq!(all.expect("all are allowed"), (vec![any], vec![]));
    }

    #[test]
    fn an_operator_names_absolute_paths() {
        for text in ["data", "/data/../etc", ""] {
            assert!(HostPaths::only(&[text.to_owned()]).is_err(), "{text}");
        }
        let none = HostPaths::only(&[]).expect("none at all");
        assert!(none.admit([volume("/etc", VolumeMode::ReadOnly)]).is_err());
    }
}
