//! What `wait` returned, in Mesos' words.

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Signaled(i32),
}

impl Ended {
    pub(crate) fn of(wait_status: i32) -> Self {
        match wait_status & 0x7f {
            0 => Ended::Exited(wait_status >> 8 & 0xff),
            signal => Ended::Signaled(signal),
        }
    }

    pub(crate) fn message(self) -> String {
        match self {
            Ended::Exited(status) => format!("Command exited with status {status}"),
            Ended::Signaled(signal) => format!("Command terminated with signal {}", name(signal)),
        }
    }
}

/// What `strsignal` calls it.
fn name(signal: i32) -> String {
    let known = match signal {
        1 => "Hangup",
        2 => "Interrupt",
        3 => "Quit",
        4 => "Illegal instruction",
        5 => "Trace/breakpoint trap",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        10 => "User defined signal 1",
        11 => "Segmentation fault",
        12 => "User defined signal 2",
        13 => "Broken pipe",
        14 => "Alarm clock",
        15 => "Terminated",
        24 => "CPU time limit exceeded",
        25 => "File size limit exceeded",
        31 => "Bad system call",
        other => return other.to_string(),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_status_is_said_in_words() {
        let check = |status: i32, message: &str| assert_eq!(Ended::of(status).message(), message);
        check(0, "Command exited with status 0");
        check(1 << 8, "Command exited with status 1");
        check(255 << 8, "Command exited with status 255");
        check(9, "Command terminated with signal Killed");
        check(15, "Command terminated with signal Terminated");
        check(11 | 0x80, "Command terminated with signal Segmentation fault");
        check(35, "Command terminated with signal 35");
    }
}
