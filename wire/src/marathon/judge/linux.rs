//! How Linux confines a container, and how far it may go beyond what is set aside for it.

use model::limits::{Limit, Limits};
use services::spec::resource::{self, Amounts, Ipc, IpcMode, Seccomp};

use super::faults::Faults;
use super::quantity::{self, scalar};
use crate::marathon::number::Number;
use crate::marathon::shared::{self, LinuxInfo, ResourceLimits};

/// Of a pod as a whole. The paths of faults begin within `linuxInfo`.
pub(super) fn judge(info: &LinuxInfo, faults: &mut Faults) -> resource::LinuxInfo {
    resource::LinuxInfo { seccomp: None, ipc: info.ipc_info.as_ref().map(|one| ipc(one, faults)) }
}

/// Of a container.
pub(super) fn judge_whole(info: &LinuxInfo, faults: &mut Faults) -> resource::LinuxInfo {
    let seccomp = info.seccomp.as_ref().map(|given| {
        let unconfined = given.unconfined.unwrap_or(false);
        match (&given.profile_name, unconfined) {
            (Some(_), true) => {
                faults
                    .add("/seccomp", "Seccomp unconfined can NOT be true when Profile is defined");
            }
            (None, false) => {
                let message = "Seccomp unconfined must be true when Profile is NOT defined";
                faults.add("/seccomp", message);
            }
            (Some(_), false) | (None, true) => {}
        }
        Seccomp { profile: given.profile_name.clone(), unconfined }
    });
    resource::LinuxInfo { seccomp, ..judge(info, faults) }
}

fn ipc(info: &shared::IpcInfo, faults: &mut Faults) -> Ipc {
    let mode = match info.mode.as_deref() {
        Some("PRIVATE") => IpcMode::Private,
        Some("SHARE_PARENT") => IpcMode::ShareParent,
        None | Some(_) => {
            faults.add("/ipcInfo/mode", "must be PRIVATE or SHARE_PARENT");
            IpcMode::Private
        }
    };
    if mode == IpcMode::ShareParent && info.shm_size.is_some() {
        faults.add("/ipcInfo", "ipcInfo shmSize can NOT be set when mode is SHARE_PARENT");
    }
    let shm_size = info.shm_size.map(|_| faults.count("/ipcInfo/shmSize", info.shm_size, 0));
    Ipc { mode, shm_size }
}

/// No limit lies below what is set aside.
pub(super) fn limits(given: &ResourceLimits, least: Amounts, faults: &mut Faults) -> Limits {
    let mut limit = |name: &str, given: Option<shared::Limit>, least| {
        let number: Number = match given? {
            shared::Limit::Unlimited => return Some(Limit::Unlimited),
            shared::Limit::Number(number) => number,
        };
        let path = format!("/resourceLimits/{name}");
        let none = quantity::Limits { default: 0.0, min: 0.0 };
        let amount = scalar(&path, Some(number), none, faults);
        if amount < least {
            let least = least.as_f64();
            let message = format!(
                "resource limit must be greater than or equal to requested resource ({least:?})"
            );
            faults.add(path, message);
        }
        Some(Limit::Amount(amount))
    };
    Limits { cpus: limit("cpus", given.cpus, least.cpus), mem: limit("mem", given.mem, least.mem) }
}
