//! What each process of a container may use at most: `setrlimit`. Its init is limited first, and all else is born so.

use model::container::{Rlimit, Rlimited, SoftHard};
use rustix::process::{Resource, Rlimit as Values, setrlimit};

/// While we may still raise them.
pub(super) fn set(all: &[Rlimit]) -> Result<(), String> {
    for Rlimit { of, values } in all {
        let told = match values {
            // All ones are no limit to the kernel either.
            Some(SoftHard { soft, hard }) => Values { current: some(*soft), maximum: some(*hard) },
            None => Values { current: None, maximum: None },
        };
        setrlimit(resource(*of), told)
            .map_err(|e| format!("limiting a process's {of:?} to {values:?}: {e}"))?;
    }
    Ok(())
}

fn some(value: u64) -> Option<u64> {
    (value != u64::MAX).then_some(value)
}

fn resource(of: Rlimited) -> Resource {
    match of {
        Rlimited::AddressSpace => Resource::As,
        Rlimited::CoreFile => Resource::Core,
        Rlimited::CpuTime => Resource::Cpu,
        Rlimited::Data => Resource::Data,
        Rlimited::FileSize => Resource::Fsize,
        Rlimited::Locks => Resource::Locks,
        Rlimited::LockedMemory => Resource::Memlock,
        Rlimited::MessageQueues => Resource::Msgqueue,
        Rlimited::Nice => Resource::Nice,
        Rlimited::OpenFiles => Resource::Nofile,
        Rlimited::Processes => Resource::Nproc,
        Rlimited::ResidentSet => Resource::Rss,
        Rlimited::RealtimePriority => Resource::Rtprio,
        Rlimited::RealtimeTime => Resource::Rttime,
        Rlimited::PendingSignals => Resource::Sigpending,
        Rlimited::Stack => Resource::Stack,
    }
}
