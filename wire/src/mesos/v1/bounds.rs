//! The name of a container's machine, what `setrlimit` is told for its processes, and how else it is confined.

use mesos_v1::ContainerInfo as Spelled;
use mesos_v1::r_limit_info::RLimit;
use mesos_v1::r_limit_info::r_limit::Type;
use mesos_v1::tty_info::WindowSize;
use mesos_v1::{RLimitInfo, TtyInfo};
use model::confinement::Confinement;
use model::container::{Bounds, ContainerInfo, Rlimit, Rlimited, SoftHard, Window};

use super::{Fault, container, linux};

/// As the kernel has it.
const HOSTNAME_BYTES_MAX: usize = 64;

pub(super) fn read(spelled: &Spelled) -> Result<Option<Box<Bounds>>, Fault> {
    let limits = spelled.rlimit_info.iter().flat_map(|info| &info.rlimits);
    let bounds = Bounds {
        hostname: spelled.hostname.clone(),
        rlimits: limits.map(rlimit).collect::<Result<_, Fault>>()?,
        volumes: Vec::new(),
        window: spelled.tty_info.as_ref().and_then(|tty| tty.window_size.as_ref()).map(window),
        confinement: Confinement {
            net: container::net(spelled)?,
            ..linux::read(spelled.linux_info.as_ref())?
        },
    };
    let length = bounds.hostname.as_ref().map_or(1, String::len);
    if !(1..=HOSTNAME_BYTES_MAX).contains(&length) {
        return Err(Fault::new(format!(
            "'container.hostname' has {length} bytes, and has to have 1 to {HOSTNAME_BYTES_MAX}"
        )));
    }
    Ok((bounds != Bounds::default()).then(|| Box::new(bounds)))
}

/// None shows more than the kernel counts.
fn window(spelled: &WindowSize) -> Window {
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    Window { rows: side(spelled.rows), columns: side(spelled.columns) }
}

/// As it was read.
pub(crate) fn terminal(info: &ContainerInfo) -> Option<TtyInfo> {
    let window = info.bounds.as_ref().and_then(|bounds| bounds.window);
    let size = |Window { rows, columns }| WindowSize { rows: rows.into(), columns: columns.into() };
    info.tty.then(|| TtyInfo { window_size: window.map(size) })
}

fn rlimit(spelled: &RLimit) -> Result<Rlimit, Fault> {
    let kind = spelled.r#type();
    let of = limited(kind).ok_or_else(|| Fault::new("'rlimit_info.rlimits.type' is unknown"))?;
    let bad = |why: &str| Fault::new(format!("Resource limit {}: {why}", kind.as_str_name()));
    let values = match (spelled.soft, spelled.hard) {
        (None, None) => None,
        (Some(soft), Some(hard)) if soft <= hard => Some(SoftHard { soft, hard }),
        (Some(_), Some(_)) => return Err(bad("the soft limit is above the hard one")),
        (Some(_), None) | (None, Some(_)) => {
            return Err(bad("soft and hard limit have to be set, or neither"));
        }
    };
    Ok(Rlimit { of, values })
}

/// As it was read.
pub(crate) fn spell(rlimits: &[Rlimit]) -> Option<RLimitInfo> {
    let one = |one: &Rlimit| RLimit {
        r#type: Some(kind(one.of).into()),
        soft: one.values.map(|values| values.soft),
        hard: one.values.map(|values| values.hard),
    };
    (!rlimits.is_empty()).then(|| RLimitInfo { rlimits: rlimits.iter().map(one).collect() })
}

const ALL: [(Type, Rlimited); 16] = [
    (Type::RlmtAs, Rlimited::AddressSpace),
    (Type::RlmtCore, Rlimited::CoreFile),
    (Type::RlmtCpu, Rlimited::CpuTime),
    (Type::RlmtData, Rlimited::Data),
    (Type::RlmtFsize, Rlimited::FileSize),
    (Type::RlmtLocks, Rlimited::Locks),
    (Type::RlmtMemlock, Rlimited::LockedMemory),
    (Type::RlmtMsgqueue, Rlimited::MessageQueues),
    (Type::RlmtNice, Rlimited::Nice),
    (Type::RlmtNofile, Rlimited::OpenFiles),
    (Type::RlmtNproc, Rlimited::Processes),
    (Type::RlmtRss, Rlimited::ResidentSet),
    (Type::RlmtRtprio, Rlimited::RealtimePriority),
    (Type::RlmtRttime, Rlimited::RealtimeTime),
    (Type::RlmtSigpending, Rlimited::PendingSignals),
    (Type::RlmtStack, Rlimited::Stack),
];

fn limited(kind: Type) -> Option<Rlimited> {
    ALL.iter().find(|(spelled, _)| *spelled == kind).map(|(_, limited)| *limited)
}

fn kind(limited: Rlimited) -> Type {
    let known = ALL.iter().find(|(_, one)| *one == limited);
    known.expect("all are listed").0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::mesos::task;
    use crate::mesos::v1::container;

    /// What is told of it.
    fn told(spelled: &Value) -> Value {
        let bytes = serde_json::to_vec(spelled).expect("JSON");
        let spelled = mesos_v1::json::from_slice(&bytes).expect("well formed");
        task::container(&container::read(&spelled).expect("sound"))
    }

    #[test]
    fn a_terminal_and_dockers_network_are_told_as_they_were_read() {
        let size = json!({ "window_size": { "rows": 33, "columns": 101 } });
        let terminal = told(&json!({ "type": "MESOS", "tty_info": size }));
        assert_eq!(terminal["tty_info"], size);
        assert_eq!(told(&json!({ "type": "MESOS", "tty_info": {} }))["tty_info"], json!({}));
        assert_eq!(told(&json!({ "type": "MESOS" })).get("tty_info"), None);
        let network = |name: &str| {
            let docker = json!({ "image": "i", "network": name });
            told(&json!({ "type": "DOCKER", "docker": docker }))["docker"]["network"].clone()
        };
        assert_eq!([network("NONE"), network("HOST")], [json!("NONE"), json!("HOST")]);
    }
}
