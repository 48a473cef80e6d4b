//! Images in files of this machine: OCI layouts, as directories and as archives, and what `docker save` writes.
//!
//! What `docker save` of old writes has no manifest with digests; one is made of its config, which names the digests of
//! the layers, so that from here on a bundle is read like a registry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::install::Temporary;
use crate::manifest::Blob;
use crate::{Config, Locals, PullError, layer};

const SCHEME: &str = "file://";
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
const INDEX: &str = "index.json";
/// Of `docker save`.
const LIST: &str = "manifest.json";
/// Under which a layout tells what its images are called.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// Where an image lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// Which of several.
    name: Option<String>,
    /// Whether it is the operator who says that images are there.
    is_operators: bool,
}

/// An open bundle.
pub(crate) struct Bundle {
    place: Place,
    image: String,
    files: Files,
    /// Files of digests that the layout does not tell by their names.
    blobs: BTreeMap<String, String>,
}

enum Files {
    Directory { dir: PathBuf, locals: Locals },
    Archive { file: Arc<File>, entries: BTreeMap<String, Entry> },
}

enum Entry {
    At {
        offset: u64,
        size: u64,
    },
    /// The same as another.
    Like(String),
}

/// If the name, or the default registry for it, is a file.
pub(crate) fn place(name: &str, config: &Config) -> Option<Place> {
    if let Some(path) = name.strip_prefix(SCHEME) {
        let (path, name) = path.split_once('#').map_or((path, None), |(p, n)| (p, Some(n.into())));
        return Some(Place { path: path.into(), name, is_operators: false });
    }
    let dir = config.default_registry.strip_prefix(SCHEME).unwrap_or(&config.default_registry);
    if !dir.starts_with('/') || crate::name::has_registry(name) || !is_plain(name) {
        return None;
    }
    let tagged = if name.contains([':', '@']) { name.into() } else { format!("{name}:latest") };
    let candidates = [format!("{name}.tar"), format!("{tagged}.tar"), name.into()];
    let paths = candidates.iter().map(|file| Path::new(dir).join(file));
    let path = paths.clone().find(|path| path.exists());
    let path = path.unwrap_or_else(|| Path::new(dir).join(&candidates[1]));
    Some(Place { path, name: None, is_operators: true })
}

/// A name that does not lead out of the directory.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

impl Place {
    /// What the image is known by in the store.
    pub(crate) fn whole(&self) -> String {
        let name = self.name.iter().map(|name| format!("#{name}")).collect::<String>();
        format!("{SCHEME}{}{name}", self.path.display())
    }

    fn refuse(&self, image: &str, cause: impl ToString) -> PullError {
        let (image, path) = (image.to_owned(), self.path.clone());
        PullError::File { image, path, cause: cause.to_string() }
    }
}

impl Bundle {
    /// Reads what there is, if it may be read. A compressed archive is unpacked to `aside` first, up to `bytes_max`. Blocks.
    pub(crate) fn open(
        (place, locals): (&Place, Locals),
        image: &str,
        (aside, bytes_max): (&Temporary, u64),
    ) -> Result<Self, PullError> {
        let refuse = |error: io::Error| place.refuse(image, error);
        let locals = if place.is_operators { Locals::default() } else { locals };
        let dir = locals.admit(&place.path).map_err(refuse)?;
        let files = if dir.is_dir() {
            Files::Directory { dir, locals }
        } else {
            let file = locals.open(&place.path, None).map_err(refuse)?;
            Files::archive(file, aside, bytes_max).map_err(refuse)?
        };
        let (place, image) = (place.clone(), image.to_owned());
        Ok(Self { place, image, files, blobs: BTreeMap::new() })
    }

    /// The manifest of the image that is meant, or the list of those that it may be. Blocks.
    pub(crate) fn root(&mut self) -> Result<Vec<u8>, PullError> {
        if self.files.has(INDEX) {
            return self.layout();
        }
        if self.files.has(LIST) {
            return self.saved();
        }
        let cause = "it is neither an OCI layout nor an archive that `docker save` has written";
        Err(self.refuse(cause))
    }

    /// The document of this digest. Blocks.
    pub(crate) fn document(&self, digest: &str) -> Result<Vec<u8>, PullError> {
        let bytes = self.read(&self.file_of(digest))?;
        let actual = layer::digest_of(&bytes, digest);
        if actual == digest {
            Ok(bytes)
        } else {
            Err(self.refuse(format!("{digest} is damaged: it has digest {actual}")))
        }
    }

    pub(crate) fn layer(&self, blob: &Blob) -> Result<Box<dyn Read + Send>, PullError> {
        self.files.open(&self.file_of(&blob.digest)).map_err(|error| self.refuse(error))
    }

    pub(crate) fn refuse(&self, cause: impl ToString) -> PullError {
        self.place.refuse(&self.image, cause)
    }

    fn file_of(&self, digest: &str) -> String {
        let usual = || format!("blobs/{}", digest.replace(':', "/"));
        self.blobs.get(digest).cloned().unwrap_or_else(usual)
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, PullError> {
        let refuse = |error: io::Error| self.refuse(format!("{file}: {error}"));
        let mut bytes = Vec::new();
        let reader = self.files.open(file).map_err(refuse)?;
        reader.take(DOCUMENT_BYTES_MAX).read_to_end(&mut bytes).map_err(refuse)?;
        Ok(bytes)
    }

    fn json(&self, file: &str) -> Result<Value, PullError> {
        let bytes = self.read(file)?;
        serde_json::from_slice(&bytes).map_err(|error| self.refuse(format!("{file}: {error}")))
    }

    fn layout(&self) -> Result<Vec<u8>, PullError> {
        let index = self.json(INDEX)?;
        let all = index["manifests"].as_array().cloned().unwrap_or_default();
        let names = |one: &Value| -> Vec<String> {
            let texts = NAMES.iter().filter_map(|key| one["annotations"][key].as_str());
            texts.map(str::to_owned).collect()
        };
        let chosen = self.choose(all, names)?;
        Ok(json!({"schemaVersion": 2, "manifests": chosen}).to_string().into_bytes())
    }

    fn saved(&mut self) -> Result<Vec<u8>, PullError> {
        let all = self.json(LIST)?.as_array().cloned().unwrap_or_default();
        let chosen = self.choose(all, |one| texts(&one["RepoTags"]))?;
        let chosen = chosen.first().ok_or_else(|| self.refuse("it holds no image"))?;
        let config_file = chosen["Config"].as_str().unwrap_or_default().to_owned();
        let config = self.read(&config_file)?;
        let parsed: Value = serde_json::from_slice(&config)
            .map_err(|error| self.refuse(format!("{config_file}: {error}")))?;
        let (files, digests) = (texts(&chosen["Layers"]), texts(&parsed["rootfs"]["diff_ids"]));
        if files.len() != digests.len() {
            return Err(self.refuse("its config and its list of layers do not fit together"));
        }
        let config_digest = layer::digest_of(&config, "sha256:");
        let layers: Vec<_> =
            digests.iter().map(|digest| json!({"digest": digest, "size": 0})).collect();
        self.blobs = digests.into_iter().zip(files).collect();
        let manifest = json!({
            "schemaVersion": 2, "layers": layers,
            "config": {"digest": config_digest, "size": config.len()},
        });
        self.blobs.insert(config_digest, config_file);
        Ok(manifest.to_string().into_bytes())
    }

    /// Those of the name that is asked for; all, if they are of one name.
    fn choose(
        &self,
        all: Vec<Value>,
        names: impl Fn(&Value) -> Vec<String>,
    ) -> Result<Vec<Value>, PullError> {
        let known: Vec<_> = all.iter().map(&names).collect();
        let listed = || known.concat().join(", ");
        let Some(wanted) = &self.place.name else {
            if known.iter().any(|names| Some(names) != known.first()) {
                let cause =
                    format!("it holds several images; write one of these behind a #: {}", listed());
                return Err(self.refuse(cause));
            }
            return Ok(all);
        };
        let is_it = |name: &String| name == wanted || name.ends_with(&format!("/{wanted}"));
        let chosen: Vec<_> = all.into_iter().filter(|one| names(one).iter().any(is_it)).collect();
        if chosen.is_empty() {
            return Err(self.refuse(format!("it holds no {wanted}, only: {}", listed())));
        }
        Ok(chosen)
    }
}

impl Files {
    fn archive(mut file: File, aside: &Temporary, bytes_max: u64) -> io::Result<Self> {
        if layer::is_compressed(&file)? {
            let mut plain =
                File::options().create_new(true).read(true).write(true).open(aside.path())?;
            let mut whole = layer::decompressed(&mut file)?.take(bytes_max);
            if io::copy(&mut whole, &mut plain)? == bytes_max {
                return Err(io::Error::other(format!(
                    "it has {bytes_max} bytes or more, unpacked"
                )));
            }
            drop(whole);
            io::Seek::rewind(&mut plain)?;
            file = plain;
        }
        let mut entries = BTreeMap::new();
        for entry in tar::Archive::new(&file).entries_with_seek()? {
            let entry = entry?;
            let name = plain_name(Path::new(""), &entry.path()?);
            let found = match entry.link_name()? {
                Some(target) => Entry::Like(plain_name(
                    Path::new(&name).parent().unwrap_or(Path::new("")),
                    &target,
                )),
                None => Entry::At { offset: entry.raw_file_position(), size: entry.size() },
            };
            entries.insert(name, found);
        }
        Ok(Self::Archive { file: Arc::new(file), entries })
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory { dir, .. } => dir.join(name).is_file(),
            Self::Archive { entries, .. } => entries.contains_key(name),
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let absent = || io::Error::new(io::ErrorKind::NotFound, format!("{name} is not in it"));
        match self {
            // The names are our own or made of digests; those of an archive's lists are looked up, not opened.
            // Its files may be links, as some tools make them.
            Self::Directory { dir, locals } if is_plain(name) => {
                Ok(Box::new(locals.open(&dir.join(name), None)?))
            }
            Self::Directory { .. } => Err(absent()),
            Self::Archive { file, entries } => {
                let mut entry = entries.get(&plain_name(Path::new(""), Path::new(name)));
                if let Some(Entry::Like(other)) = entry {
                    entry = entries.get(other);
                }
                let Some(Entry::At { offset, size }) = entry else { return Err(absent()) };
                let part = Part { file: Arc::clone(file), at: *offset, end: offset + size };
                Ok(Box::new(part))
            }
        }
    }
}

/// Without `.` and `..`, seen from a directory of the archive.
fn plain_name(from: &Path, path: &Path) -> String {
    let mut parts: Vec<_> = Vec::new();
    for part in from.components().chain(path.components()) {
        match part {
            std::path::Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            std::path::Component::ParentDir => drop(parts.pop()),
            std::path::Component::CurDir
            | std::path::Component::RootDir
            | std::path::Component::Prefix(_) => (),
        }
    }
    parts.join("/")
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// One file of an archive.
struct Part {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_registry_can_be_a_directory_of_archives() {
        let dir = tempfile::tempdir().expect("a directory");
        for file in ["app:1.tar", "plain.tar", "team/other:latest.tar"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().expect("in a directory")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        let registry = dir.path().display().to_string();
        let check = |name: &str, file: Option<&str>| {
            for default_registry in [registry.clone(), format!("file://{registry}")] {
                let config = Config { default_registry, ..Config::default() };
                let found = place(name, &config).map(|place| place.path);
                assert_eq!(found, file.map(|file| dir.path().join(file)), "{name}");
            }
        };
        check("app:1", Some("app:1.tar"));
        check("plain", Some("plain.tar"));
        check("team/other", Some("team/other:latest.tar"));
        check("missing", Some("missing:latest.tar"));
        check("r.example/app:1", None);
        check("../secret", None);
        let absolute = place("file:///srv/a.tar#x:1", &Config::default()).expect("a file");
        assert_eq!((absolute.path, absolute.name.as_deref()), ("/srv/a.tar".into(), Some("x:1")));
    }
}
