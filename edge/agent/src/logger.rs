//! Where the output of tasks goes: what the operator says for all, and over it what a task says in its environment, in the
//! words of DC/OS' container logger.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use containers::spec::{Journal, LogFiles, Logs};

/// Variables of tasks that begin so are for us.
const PREFIX: &str = "CONTAINER_LOGGER_";
/// Where systemd's journal listens.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
/// As in Mesos: a page.
const FILE_BYTES_MIN: u64 = 4096;
const OLD_FILES_MAX: u32 = 1000;
/// What labels may add to each line in the journal; those for which there is no room are left out.
const FIELDS_BYTES_MAX: usize = 32 * 1024;
/// The journal takes no longer names.
const FIELD_NAME_BYTES_MAX: usize = 64;

/// Words for `logrotate` that say what is done anyhow, or nothing to who rotates by size.
const ROTATE_WORDS: [&str; 12] = [
    "copytruncate",
    "create",
    "ifempty",
    "missingok",
    "nocompress",
    "nocopytruncate",
    "nodateext",
    "nodelaycompress",
    "nomail",
    "nomissingok",
    "notifempty",
    "size",
];

/// What becomes of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPolicy {
    in_files: bool,
    in_journal: bool,
    stdout: LogFiles,
    stderr: LogFiles,
    labels: BTreeMap<String, String>,
    /// Where the journal listens.
    pub journal: PathBuf,
}

impl Default for LogPolicy {
    /// As DC/OS ships it.
    fn default() -> Self {
        Self {
            in_files: true,
            in_journal: false,
            stdout: LogFiles::default(),
            stderr: LogFiles::default(),
            labels: BTreeMap::new(),
            journal: JOURNAL_SOCKET.into(),
        }
    }
}

/// Whose output it is, for the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) agent: &'a str,
    pub(crate) framework: Option<&'a str>,
    pub(crate) executor: Option<&'a str>,
    pub(crate) container: &'a str,
    pub(crate) labels: &'a [(String, String)],
}

impl LogPolicy {
    /// Changed by the variables of this environment. The last of one name counts, as it does for the program.
    pub fn changed_by(&self, environment: &[(String, String)]) -> anyhow::Result<Self> {
        let mut changed = self.clone();
        let ours = environment.iter().filter_map(|(name, value)| {
            name.strip_prefix(PREFIX).map(|setting| (setting, value.trim()))
        });
        for (setting, value) in ours.collect::<BTreeMap<_, _>>() {
            changed.change(setting, value).with_context(|| format!("{PREFIX}{setting}={value}"))?;
        }
        Ok(changed)
    }

    fn change(&mut self, setting: &str, value: &str) -> anyhow::Result<()> {
        match setting {
            "DESTINATION_TYPE" => {
                (self.in_files, self.in_journal) = match value {
                    "logrotate" => (true, false),
                    "journald" => (false, true),
                    "journald+logrotate" => (true, true),
                    "fluentbit" | "fluentbit+logrotate" => {
                        bail!(
                            "Fluent Bit is not there yet: take logrotate, journald or journald+logrotate"
                        )
                    }
                    _ => bail!("it is one of logrotate, journald and journald+logrotate"),
                };
            }
            "LOGROTATE_MAX_STDOUT_SIZE" => self.stdout.file_bytes_max = size(value)?,
            "LOGROTATE_MAX_STDERR_SIZE" => self.stderr.file_bytes_max = size(value)?,
            "LOGROTATE_STDOUT_OPTIONS" => rotate(value, &mut self.stdout)?,
            "LOGROTATE_STDERR_OPTIONS" => rotate(value, &mut self.stderr)?,
            "EXTRA_LABELS" => {
                let labels = serde_json::from_str(value);
                self.labels = labels.context("it is a JSON object of texts")?;
            }
            _ => bail!(
                "there is no such setting: those are DESTINATION_TYPE, LOGROTATE_MAX_STDOUT_SIZE, \
                 LOGROTATE_STDOUT_OPTIONS, the same two for STDERR, and EXTRA_LABELS"
            ),
        }
        Ok(())
    }

    /// For one container. Where there is no journal its lines are in files, or they would be nowhere.
    pub(crate) fn logs(&self, origin: &Origin<'_>) -> Logs {
        let journal = (self.in_journal && self.journal.exists())
            .then(|| Journal { socket: self.journal.clone(), fields: self.fields(origin) });
        let in_files = self.in_files || journal.is_none();
        let files = |files: &LogFiles| in_files.then(|| files.clone());
        Logs { stdout: files(&self.stdout), stderr: files(&self.stderr), journal }
    }

    fn fields(&self, origin: &Origin<'_>) -> Vec<(String, String)> {
        let Origin { agent, framework, executor, container, labels } = origin;
        let own = [
            ("AGENT_ID", Some(*agent)),
            ("FRAMEWORK_ID", *framework),
            ("EXECUTOR_ID", *executor),
            ("CONTAINER_ID", Some(*container)),
            ("SYSLOG_IDENTIFIER", executor.or(Some(container))),
        ];
        let taken = |name: &String| own.iter().any(|(own, _)| own == name);
        let of_task = labels.iter().map(|(name, value)| (name, value));
        let mut room = FIELDS_BYTES_MAX;
        let said = self.labels.iter().chain(of_task).filter_map(|(name, value)| {
            let name = field_name(name)?;
            let bytes = name.len() + value.len();
            let fits = bytes <= room && !taken(&name);
            fits.then(|| {
                room -= bytes;
                (name, value.clone())
            })
        });
        let said: Vec<_> = said.collect();
        let own =
            own.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned())));
        own.chain(said).collect()
    }
}

/// As the journal wants names: capitals, digits and underscores, a capital first.
fn field_name(label: &str) -> Option<String> {
    let spell = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = label.chars().map(spell).collect();
    let begins = name.starts_with(|c: char| c.is_ascii_uppercase());
    // These are ours to say.
    let is_own = ["MESSAGE", "STREAM", "PRIORITY"].contains(&name.as_str());
    (begins && !is_own && name.len() <= FIELD_NAME_BYTES_MAX).then_some(name)
}

/// As Mesos spells amounts: `2MB`.
fn size(text: &str) -> anyhow::Result<u64> {
    const UNITS: [(&str, u32); 5] = [("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10), ("B", 0)];
    let found = UNITS.iter().find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, bits)));
    let number = found.and_then(|(number, bits)| Some((number.trim().parse::<u64>().ok()?, bits)));
    let bytes = number.and_then(|(number, bits)| number.checked_mul(1 << bits));
    let bytes = bytes.context("it is a whole number and a unit, such as 512KB, 2MB or 1GB")?;
    if bytes < FILE_BYTES_MIN {
        bail!("it is at least {FILE_BYTES_MIN}B");
    }
    Ok(bytes)
}

/// What is said to `logrotate`: how many old files are kept.
fn rotate(text: &str, files: &mut LogFiles) -> anyhow::Result<()> {
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        match (words.next().unwrap_or_default(), words.next()) {
            ("rotate", Some(count)) => {
                let count = count.parse().ok().filter(|count| *count <= OLD_FILES_MAX);
                files.old_files_max = count
                    .with_context(|| format!("rotate takes a number from 0 to {OLD_FILES_MAX}"))?;
            }
            (word, _) if ROTATE_WORDS.contains(&word) => {}
            _ => bail!("of logrotate's words only 'rotate <count>' is obeyed, not {line:?}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(settings: &[(&str, &str)]) -> anyhow::Result<LogPolicy> {
        let own = |(name, value): &(&str, &str)| (format!("{PREFIX}{name}"), (*value).to_owned());
        let mut all: Vec<_> = settings.iter().map(own).collect();
        all.push(("PATH".to_owned(), "/bin".to_owned()));
        LogPolicy::default().changed_by(&all)
    }

    #[test]
    fn a_task_says_how_much_is_kept_of_each_stream() {
        let policy = changed(&[
            ("LOGROTATE_MAX_STDOUT_SIZE", "1GB"),
            ("LOGROTATE_STDOUT_OPTIONS", "missingok\n rotate 3\n"),
            ("LOGROTATE_MAX_STDERR_SIZE", "4096B"),
            ("LOGROTATE_STDERR_OPTIONS", "rotate 5"),
            ("LOGROTATE_STDERR_OPTIONS", "rotate 0"),
        ]);
        let policy = policy.expect("understood");
        let logs = policy.logs(&origin(&[]));
        assert_eq!(logs.stdout, Some(LogFiles { file_bytes_max: 1 << 30, old_files_max: 3 }));
        assert_eq!(logs.stderr, Some(LogFiles { file_bytes_max: 4096, old_files_max: 0 }));
        assert_eq!(logs.journal, None);
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused_by_its_name() {
        let check = |name: &str, value: &str, words: &str| {
            let cause = changed(&[(name, value)]).expect_err(value);
            let cause = format!("{cause:#}");
            assert!(cause.starts_with(&format!("{PREFIX}{name}={value}: ")), "{cause}");
            assert!(cause.contains(words), "{cause}");
        };
        check("DESTINATION_TYPE", "syslog", "one of logrotate, journald");
        check("DESTINATION_TYPE", "fluentbit", "not there yet");
        check("LOGROTATE_MAX_STDOUT_SIZE", "2", "a unit");
        check("LOGROTATE_MAX_STDOUT_SIZE", "1KB", "at least 4096B");
        check("LOGROTATE_MAX_STDOUT_SIZE", "99999999999TB", "a whole number");
        check("LOGROTATE_STDOUT_OPTIONS", "postrotate", "\"postrotate\"");
        check("LOGROTATE_STDOUT_OPTIONS", "rotate -1", "a number from 0");
        check("EXTRA_LABELS", "[1]", "a JSON object");
        check("MAX_SIZE", "2MB", "no such setting");
    }

    fn origin(labels: &[(String, String)]) -> Origin<'_> {
        let (agent, framework, executor, container) = ("S0", Some("f"), Some("e"), "c");
        Origin { agent, framework, executor, container, labels }
    }

    #[test]
    fn the_journal_is_told_whose_line_it_is_with_all_labels_for_which_there_is_room() {
        let dir = tempfile::tempdir().expect("a directory");
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let labels = [
            own("team.name", "a"),
            own("_hidden", "b"),
            own("agent_id", "c"),
            own("huge", &"x".repeat(FIELDS_BYTES_MAX)),
        ];
        for (destination, in_files) in [("journald", false), ("journald+logrotate", true)] {
            let policy =
                changed(&[("DESTINATION_TYPE", destination), ("EXTRA_LABELS", r#"{"x": "1"}"#)]);
            let mut policy = policy.expect("understood");
            policy.journal = dir.path().join("nothing");
            let logs = policy.logs(&origin(&labels));
            assert!(logs.stdout.is_some() && logs.journal.is_none(), "there is no journal");
            policy.journal = dir.path().to_owned();
            let logs = policy.logs(&origin(&labels));
            assert_eq!((logs.stdout.is_some(), logs.stderr.is_some()), (in_files, in_files));
            let fields = logs.journal.expect("it is there").fields;
            let expected = [
                ("AGENT_ID", "S0"),
                ("FRAMEWORK_ID", "f"),
                ("EXECUTOR_ID", "e"),
                ("CONTAINER_ID", "c"),
                ("SYSLOG_IDENTIFIER", "e"),
                ("X", "1"),
                ("TEAM_NAME", "a"),
            ];
            assert_eq!(fields, expected.map(|(name, value)| own(name, value)));
        }
    }
}
