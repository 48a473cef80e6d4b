//! What a container is asked to be, from all places where a task may say it: its limits, its confinement, its log.

use anyhow::{anyhow, bail};
use containers::spec::{Limits, LogFiles, Logs};
use model::confinement::Confinement;
use model::container::{ContainerInfo, ContainerKind, Rlimit, Volume};
use model::docker::{self, Most};

/// Beyond the command, the image and what every task has.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) hostname: Option<String>,
    pub(crate) privileged: bool,
    pub(crate) rlimits: Vec<Rlimit>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) confinement: Confinement,
    limits: docker::Limits,
    logs: docker::Logs,
}

impl Asked {
    /// Words for `docker run` were judged when they came; those of tasks of an earlier release were not.
    pub(crate) fn read(around: Option<&ContainerInfo>) -> anyhow::Result<Asked> {
        let Some(around) = around else { return Ok(Asked::default()) };
        let words = match around.kind {
            ContainerKind::Docker => docker::read(&around.parameters),
            ContainerKind::Mesos => Ok(docker::Asked::default()),
        };
        let words = words.map_err(|unfit| {
            let all: Vec<String> = unfit.iter().map(ToString::to_string).collect();
            anyhow!("{}", all.join("; "))
        })?;
        let mut words = words;
        let mut bounds = around.bounds.as_deref().cloned().unwrap_or_default();
        let net = bounds.confinement.net.take().or(words.confinement.net.take());
        let unsaid = Confinement::default();
        let confinement = match (words.confinement == unsaid, bounds.confinement == unsaid) {
            (true, _) => bounds.confinement,
            (false, true) => words.confinement,
            (false, false) => bail!(
                "'linux_info' and 'docker.parameters' both say how the container is confined: say it in one place"
            ),
        };
        Ok(Asked {
            hostname: words.hostname.or(bounds.hostname),
            privileged: words.privileged || around.privileged,
            rlimits: bounds.rlimits.into_iter().chain(words.rlimits).collect(),
            volumes: words.volumes,
            confinement: Confinement { net, ..confinement },
            limits: words.limits,
            logs: words.logs,
        })
    }

    /// What was said with the word wins over what follows from the task's resources.
    pub(crate) fn limits(&self, usual: Limits) -> Limits {
        let docker::Limits {
            cpu_shares,
            cpu_millis_max,
            memory_bytes,
            memory_swap,
            memory_reservation_bytes,
            processes,
        } = self.limits;
        let memory_bytes_max = memory_bytes.or(usual.memory_bytes_max);
        // Docker counts memory and swap together.
        let swap = memory_swap.map(|most| match most {
            Most::Unlimited => u64::MAX,
            Most::Amount(both) => both.saturating_sub(memory_bytes_max.unwrap_or(0)),
        });
        Limits {
            cpu_shares: cpu_shares.or(usual.cpu_shares),
            cpu_millis_max: cpu_millis_max.or(usual.cpu_millis_max),
            memory_bytes_max,
            swap_bytes_max: swap.or(usual.swap_bytes_max),
            memory_bytes_kept: memory_reservation_bytes.or(usual.memory_bytes_kept),
            processes_max: match processes {
                None => usual.processes_max,
                Some(Most::Unlimited) => None,
                Some(Most::Amount(most)) => Some(most),
            },
            ..usual
        }
    }

    /// Of the files in the sandbox, if any are kept.
    pub(crate) fn logs(&self, usual: Logs) -> Logs {
        let change = |files: LogFiles| LogFiles {
            file_bytes_max: self.logs.file_bytes_max.unwrap_or(files.file_bytes_max),
            old_files_max: self.logs.files_max.map_or(files.old_files_max, |all| all - 1),
        };
        Logs { stdout: usual.stdout.map(change), stderr: usual.stderr.map(change), ..usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[(&str, &str)]) -> anyhow::Result<Asked> {
        let word = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Asked::read(Some(&ContainerInfo {
            kind: ContainerKind::Docker,
            image: None,
            volumes: Vec::new(),
            privileged: false,
            tty: false,
            parameters: words.iter().map(word).collect(),
            shared: Vec::new(),
            bounds: None,
        }))
    }

    #[test]
    fn words_win_over_what_follows_from_resources() {
        let usual = Limits {
            cpu_millis: 500,
            cpu_millis_max: Some(500),
            memory_bytes_max: Some(64 << 20),
            processes_max: Some(100),
            ..Limits::default()
        };
        let check = |words: &[(&str, &str)], expected: Limits| {
            let limits = asked(words).expect("sound").limits(usual.clone());
            assert_eq!(limits, expected, "{words:?}");
        };
        check(&[], usual.clone());
        check(&[("cpus", "2")], Limits { cpu_millis_max: Some(2000), ..usual.clone() });
        check(&[("pids-limit", "-1")], Limits { processes_max: None, ..usual.clone() });
        let swap = |swap| Limits { swap_bytes_max: Some(swap), ..usual.clone() };
        check(&[("memory-swap", "96m")], swap(32 << 20));
        check(&[("memory-swap", "-1")], swap(u64::MAX));
    }

    #[test]
    fn the_log_has_as_many_files_as_are_asked_for() {
        let logs = asked(&[("log-opt", "max-file=1")]).expect("sound").logs(Logs::default());
        assert_eq!(logs, Logs::in_files(LogFiles { old_files_max: 0, ..LogFiles::default() }));
    }

    #[test]
    fn words_of_an_earlier_release_that_are_not_obeyed_are_told() {
        let refused = asked(&[("publish", "80:80")]).expect_err("not obeyed");
        assert!(refused.to_string().contains("publish=80:80"), "{refused}");
    }
}
