//! What other programs fetch: they are found, told the URI, run as the task's user, and never waited for in vain.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use images::{Clients, FetchError, FetchLimits, Fetcher, Locals, Recipient, Sources};
use model::container::Uri;

const STALL_MS: u64 = 1000;
const OWNER: (u32, u32) = (1234, 1235);
/// What a machine that is busy may take for what takes no time.
const PATIENCE: Duration = Duration::from_secs(60);

struct Fixture {
    fetcher: Fetcher,
    sandbox: PathBuf,
    dir: tempfile::TempDir,
}

impl Fixture {
    /// With these programs, as shell scripts, and no others.
    fn new(programs: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let (bin, sandbox) = (dir.path().join("bin"), dir.path().join("sandbox"));
        for made in [&bin, &sandbox] {
            fs::create_dir(made).expect("a directory");
        }
        for (name, script) in programs {
            fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).expect("a script");
            let runs = fs::Permissions::from_mode(0o755);
            fs::set_permissions(bin.join(name), runs).expect("permissions");
        }
        let environment = [("PATH", "/usr/bin:/bin"), ("AWS_PROFILE", "ours")];
        let environment = environment.map(|(name, value)| (name.into(), value.into())).into();
        let clients = Clients { dirs: vec![dir.path().join("nothing"), bin], environment };
        let stall_timeout = Duration::from_millis(STALL_MS);
        let limits = FetchLimits { stall_timeout, ..FetchLimits::default() };
        let sources = Sources { clients, locals: Locals::default() };
        let fetcher = Fetcher::new(&dir.path().join("cache"), limits, sources).expect("a cache");
        Self { fetcher, sandbox, dir }
    }

    async fn fetch(&self, value: &str) -> Result<String, FetchError> {
        let value = value.to_owned();
        let uri = Uri { value, extract: true, executable: false, cache: false, output_file: None };
        let recipient =
            Recipient { owner: Some(OWNER), reader: Some(OWNER), ..Recipient::default() };
        self.fetcher.fetch(std::slice::from_ref(&uri), &self.sandbox, recipient).await?;
        let name = uri.value.rsplit('/').next().expect("a name");
        let file = self.sandbox.join(name);
        let found = fs::metadata(&file).expect("it is in the sandbox");
        assert_eq!((found.uid(), found.gid()), OWNER);
        Ok(fs::read_to_string(&file).expect("text"))
    }

    async fn fails(&self, value: &str, words: &[&str]) {
        let failure = self.fetch(value).await.expect_err(value).to_string();
        for word in words {
            assert!(failure.contains(word), "{word:?} is not in {failure}");
        }
        let held = fs::read_dir(self.dir.path().join("cache")).expect("the cache").count();
        assert_eq!(held, 0, "nothing stays of what has failed");
    }
}

const TELLS: &str = r#"echo "$0 $*" | sed 's:.*/bin/::'; id -u; id -G; echo "${AWS_PROFILE-}""#;

#[tokio::test(flavor = "multi_thread")]
async fn a_uri_is_read_by_the_program_that_knows_its_scheme_as_the_user_of_the_task() {
    let all = Fixture::new(&[("hadoop", TELLS), ("aws", TELLS), ("curl", TELLS)]);
    let no_aws = Fixture::new(&[("hadoop", TELLS)]);
    let curl = "curl --silent --show-error --fail --location --globoff --";
    for (fixture, uri, told) in [
        (&all, "hdfs://h:9000/d/a", "hadoop fs -cat"),
        (&all, "s3a://b/a", "hadoop fs -cat"),
        (&all, "whatever://b/a", "hadoop fs -cat"),
        (&all, "s3://b/d/a", "aws s3 cp --only-show-errors"),
        (&all, "ftp://h/a", curl),
        (&no_aws, "s3://b/d/a", "hadoop fs -cat"),
    ] {
        let output = if told.starts_with("aws") { " -" } else { "" };
        let expected = format!("{told} {uri}{output}\n1234\n1235\nours\n");
        assert_eq!(fixture.fetch(uri).await.expect(uri), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_missing_or_fails_is_named_with_its_complaint() {
    let none = Fixture::new(&[]);
    none.fails("hdfs://h/a", &["hdfs://h/a", "hadoop", "fetcher.hadoop_home"]).await;
    none.fails("s3://b/a", &["s3://b/a", "aws or hadoop"]).await;
    none.fails("ftp://h/a", &["ftp://h/a", "curl"]).await;
    let complains = "echo part; echo \"no such key $*\" >&2; exit 3";
    let fails = Fixture::new(&[("hadoop", complains)]);
    fails
        .fails("hdfs://me:secret@h/a", &["/bin/hadoop ended with", "3", "no such key", "me:...@h"])
        .await;
    let failure = fails.fetch("hdfs://me:secret@h/a").await.expect_err("it fails").to_string();
    assert!(!failure.contains("secret"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_program_is_given_up_with_all_that_it_has_started() {
    let fixture = Fixture::new(&[]);
    let bin = fixture.dir.path().join("bin/hadoop");
    let pids = fixture.dir.path().join("pids");
    fs::write(&pids, "").expect("a file");
    fs::set_permissions(&pids, fs::Permissions::from_mode(0o666)).expect("permissions");
    let note = |what: &str| format!("echo {what} >> {}", pids.display());
    let (own, child) = (note("$$"), note("$!"));
    let script = format!("#!/bin/sh\n{own}\nsleep 1000 &\n{child}\necho part\nwait\n");
    fs::write(&bin, script).expect("a script");
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).expect("permissions");
    fixture.fails("hdfs://h/a", &["silent for 1 s"]).await;
    let started = fs::read_to_string(&pids).expect("pids");
    let deadline = Instant::now() + PATIENCE;
    for pid in started.lines() {
        // A zombie is nobody's; whoever adopted it may be slow to look.
        let lives = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
        };
        while lives() {
            assert!(Instant::now() < deadline, "{pid} lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(started.lines().count(), 2);
}
