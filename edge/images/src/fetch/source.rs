//! What a URI of a task's `fetch` means.

use std::path::{Path, PathBuf};

use model::container::Uri;
use reqwest::Url;

use crate::FetchError;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Web(Url),
    Local(PathBuf),
    /// By a program of this machine.
    Client(By, String),
}

/// Algorithms of checksums, and how many digits theirs have.
const SUMS: [(&str, usize); 2] = [("sha256", 64), ("sha512", 128)];
const BROKEN_SUMS: [&str; 2] = ["md5", "sha1"];

/// The programs that read URIs of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// What Hadoop has a file system for; as Mesos does, we leave to it whatever we do not know.
    Hadoop,
    S3,
    Ftp,
}

/// Stands for the URI among a program's words.
pub(super) const URI: &str = "{}";

/// A program's name and what it is told.
type Program = (&'static str, &'static [&'static str]);

const AWS: Program = ("aws", &["s3", "cp", "--only-show-errors", URI, "-"]);
const CURL: Program =
    ("curl", &["--silent", "--show-error", "--fail", "--location", "--globoff", "--", URI]);
const HADOOP: Program = ("hadoop", &["fs", "-cat", URI]);

impl By {
    /// The one that is preferred first.
    pub(super) fn programs(self) -> &'static [Program] {
        match self {
            By::Hadoop => &[HADOOP],
            By::S3 => &[AWS, HADOOP],
            By::Ftp => &[CURL],
        }
    }

    /// What to do if none of them is there.
    pub(super) fn missing(self) -> String {
        match self {
            By::Hadoop => "that takes the program hadoop, which is not on the agent's machine: install it there, or say \
                           by fetcher.hadoop_home where it is"
                .into(),
            By::S3 => "that takes the program aws or hadoop, and neither is on the agent's machine: install one there"
                .into(),
            By::Ftp => {
                "that takes the program curl, which is not on the agent's machine: install it there".into()
            }
        }
    }
}

/// A URI that has been understood.
#[derive(Debug)]
pub(super) struct Order {
    /// The URI as it was given.
    pub(super) value: String,
    pub(super) source: Source,
    /// The digest of what is there, as its end says it.
    pub(super) sum: Option<String>,
    /// For messages: without a password.
    pub(super) shown: String,
    /// Relative to the sandbox.
    pub(super) output: String,
}

pub(super) fn parse(uri: &Uri) -> Result<Order, FetchError> {
    let value = uri.value.trim();
    let shown = without_password(value);
    let refuse = |cause: String| FetchError::Refused { uri: shown.clone(), cause };
    let (place, sum) = sum(value).map_err(refuse)?;
    let source = source(place).map_err(refuse)?;
    let output = match &uri.output_file {
        Some(output) => output.clone(),
        None => last_part(&source)
            .ok_or_else(|| refuse("it names no file; say how to call it by output_file".into()))?,
    };
    let leads_out = output.starts_with('/') || output.split('/').any(|part| part == "..");
    if leads_out || output.is_empty() || output.ends_with('/') || output.contains('\0') {
        return Err(refuse(format!("output_file {output:?} must be a path inside the sandbox")));
    }
    Ok(Order { value: value.to_owned(), source, sum, output, shown })
}

/// What is before `#sha256=...`, and the digest that this says, as images' digests are written.
fn sum(value: &str) -> Result<(&str, Option<String>), String> {
    let said =
        value.rsplit_once('#').and_then(|(place, said)| Some((place, said.split_once('=')?)));
    let Some((place, (algorithm, digits))) = said else { return Ok((value, None)) };
    if BROKEN_SUMS.contains(&algorithm) {
        return Err(format!("#{algorithm}= proves nothing any more: take #sha256= or #sha512="));
    }
    let known = SUMS.iter().find(|(name, _)| *name == algorithm);
    let Some((_, length)) = known else { return Ok((value, None)) };
    if digits.len() != *length || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!("behind #{algorithm}= there have to be {length} hexadecimal digits"));
    }
    Ok((place, Some(format!("{algorithm}:{}", digits.to_ascii_lowercase()))))
}

fn source(value: &str) -> Result<Source, String> {
    let Some((scheme, rest)) = value.split_once("://") else {
        let local = Path::new(value);
        return if local.is_absolute() {
            Ok(Source::Local(local.to_owned()))
        } else {
            Err("it is neither an absolute path nor does it begin with http://, https:// or file://".into())
        };
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => match Url::parse(value) {
            Ok(url) if url.has_host() => Ok(Source::Web(url)),
            Ok(_) => Err("it names no host".into()),
            Err(error) => Err(error.to_string()),
        },
        "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
            path if path.starts_with('/') => Ok(Source::Local(path.into())),
            _ => Err("a file URI is file:// and an absolute path of the agent's machine".into()),
        },
        "docker" => {
            Err("images are named by container.docker.image, not fetched into the sandbox".into())
        }
        "s3" => Ok(Source::Client(By::S3, value.to_owned())),
        "ftp" | "ftps" => Ok(Source::Client(By::Ftp, value.to_owned())),
        other if is_scheme(other) => Ok(Source::Client(By::Hadoop, value.to_owned())),
        other => Err(format!("{other:?} is no scheme of a URI")),
    }
}

fn is_scheme(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    begins && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn last_part(source: &Source) -> Option<String> {
    let name = match source {
        Source::Web(url) => url.path_segments()?.next_back()?.to_owned(),
        Source::Local(path) => path.file_name()?.to_str()?.to_owned(),
        // It is no file if it ends with its host.
        Source::Client(_, uri) => {
            uri.split_once("://")?.1.split_once('/')?.1.rsplit('/').next()?.to_owned()
        }
    };
    (!name.is_empty()).then_some(name)
}

/// Messages are read by more people than the URI is written by.
pub(super) fn without_password(value: &str) -> String {
    match Url::parse(value) {
        Ok(mut url) if url.password().is_some() => {
            // It fails for URLs that can have no password, and this one has.
            let _ = url.set_password(Some("..."));
            url.into()
        }
        Ok(_) | Err(_) => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(value: &str, output_file: Option<&str>) -> Uri {
        let output_file = output_file.map(Into::into);
        Uri { value: value.into(), extract: false, executable: false, cache: false, output_file }
    }

    #[test]
    fn a_uri_names_a_file_on_the_web_or_on_this_machine() {
        let web = |url: &str| Source::Web(Url::parse(url).expect("a URL"));
        let check = |value: &str, output: Option<&str>, source: Source, expected: &str| {
            let order = parse(&uri(value, output)).expect(value);
            assert_eq!((order.source, order.output.as_str()), (source, expected), "{value}");
        };
        check("http://h/a/b.tgz?token=1#x", None, web("http://h/a/b.tgz?token=1#x"), "b.tgz");
        check(" HTTPS://h/a", None, web("https://h/a"), "a");
        check("file:///opt/a.jar", None, Source::Local("/opt/a.jar".into()), "a.jar");
        check("file://localhost/opt/a.jar", None, Source::Local("/opt/a.jar".into()), "a.jar");
        let by = |by, uri: &str| Source::Client(by, uri.to_owned());
        check("hdfs://h:9000/d/a.jar", None, by(By::Hadoop, "hdfs://h:9000/d/a.jar"), "a.jar");
        check("s3n://b/a.jar", None, by(By::Hadoop, "s3n://b/a.jar"), "a.jar");
        check("s3://bucket/d/a", None, by(By::S3, "s3://bucket/d/a"), "a");
        check("ftp://h/a", Some("b"), by(By::Ftp, "ftp://h/a"), "b");
        check("/opt/a.jar", Some("lib/b.jar"), Source::Local("/opt/a.jar".into()), "lib/b.jar");
    }

    #[test]
    fn a_uri_that_cannot_be_fetched_is_refused_with_what_to_do() {
        let check = |value: &str, output: Option<&str>, cause: &str| {
            let refusal = parse(&uri(value, output)).expect_err(value).to_string();
            assert!(refusal.contains(cause) && refusal.starts_with(value.trim()), "{refusal}");
        };
        check("hdfs://h/", None, "output_file");
        check("hdfs://h", None, "output_file");
        check("-x://h/a", None, "no scheme");
        check("docker://nginx", None, "container.docker.image");
        check("a/b.tgz", None, "neither an absolute path");
        check("file://host/a", None, "an absolute path of the agent's machine");
        check("http://h/", None, "output_file");
        check("http://h", None, "output_file");
        check("http://h/a", Some("../a"), "inside the sandbox");
        check("http://h/a", Some("/etc/a"), "inside the sandbox");
        check("http://h/a", Some("a/../../b"), "inside the sandbox");
        check("http://h/a", Some(""), "inside the sandbox");
    }

    #[test]
    fn the_end_of_a_uri_may_say_what_is_there() {
        let (short, long) = ("aB".repeat(32), "0".repeat(128));
        let check = |value: String, expected: Option<String>| {
            let order = parse(&uri(&value, None)).expect(&value);
            assert_eq!(order.sum, expected, "{value}");
            assert_eq!(order.output, "a.tgz", "{value}");
            order.source
        };
        let sum = Some(format!("sha256:{}", "ab".repeat(32)));
        let file = check(format!("file:///opt/a.tgz#sha256={short}"), sum.clone());
        assert_eq!(file, Source::Local("/opt/a.tgz".into()));
        let web = check(format!("http://h/a.tgz?b=1#sha256={short}"), sum.clone());
        assert_eq!(web, Source::Web(Url::parse("http://h/a.tgz?b=1").expect("a URL")));
        check(format!("s3://bucket/a.tgz#sha256={short}"), sum);
        check(format!("http://h/a.tgz#sha512={long}"), Some(format!("sha512:{long}")));
        check("http://h/a.tgz#part=1".to_owned(), None);
        for (said, cause) in [("sha256=ab", "64 hexadecimal"), ("md5=ab", "take #sha256=")] {
            let value = format!("http://h/a.tgz#{said}");
            let refusal = parse(&uri(&value, None)).expect_err(said).to_string();
            assert!(refusal.contains(cause) && refusal.starts_with(&value), "{refusal}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(without_password("http://u:secret@h/a"), "http://u:...@h/a");
    }
}
