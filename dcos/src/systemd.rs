//! The unit that runs a cluster as a service of systemd.

use std::env;
use std::io::{Write, stdout};

use anyhow::{Context, Result};

pub(crate) fn print_unit(flags: &[String]) -> Result<()> {
    let program = env::current_exe().context("finding out where this program is")?;
    let words = [program.display().to_string(), "up".to_owned()];
    let command = words.iter().chain(flags).map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    stdout().write_all(unit(&command).as_bytes()).context("writing the unit")
}

/// Of a unit's command line: blanks separate, `%` and `$` stand for something.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"");
    let escaped = escaped.replace('%', "%%").replace('$', "$$");
    let is_plain =
        !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "\"';\\".contains(c));
    if is_plain { escaped } else { format!("\"{escaped}\"") }
}

fn unit(command: &str) -> String {
    format!(
        "\
[Unit]
Description=DC/OS: master and agent of this machine
Wants=network-online.target
After=network-online.target local-fs.target
StartLimitIntervalSec=0

[Service]
ExecStart={command}
# Tasks live on when the service is stopped, restarted or upgraded; the next start finds them.
KillMode=process
# Control groups of tasks are not systemd's to change.
Delegate=yes
Restart=always
RestartSec=2
LimitNOFILE=1048576
LimitNPROC=infinity
TasksMax=infinity
OOMScoreAdjust=-900

[Install]
WantedBy=multi-user.target
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line_stay_what_they_are() {
        let check = |word: &str, expected: &str| assert_eq!(quoted(word), expected, "{word:?}");
        check("--agents", "--agents");
        check("cpus:4;mem:8192", "\"cpus:4;mem:8192\"");
        check("/a dir/x", "\"/a dir/x\"");
        check("50%$x", "50%%$$x");
        check("say \"so\"", "\"say \\\"so\\\"\"");
        check("", "\"\"");
    }

    #[test]
    fn tasks_outlive_the_service() {
        let unit = unit("/usr/bin/dcos up");
        for line in ["ExecStart=/usr/bin/dcos up", "KillMode=process", "Delegate=yes"] {
            assert!(unit.lines().any(|one| one == line), "{unit}");
        }
    }
}
