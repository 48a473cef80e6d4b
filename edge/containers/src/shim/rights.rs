//! What a container's processes may do: capabilities, user and groups. Given up for good before its program runs.
#![allow(unsafe_code)]

use std::os::fd::AsFd;

use model::confinement::Capabilities;
use nix::unistd::{Gid, Uid};
use rustix::fs::FileType;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::users::Identity;
use crate::policy::{Granted, Reach};

/// `KEYCTL_JOIN_SESSION_KEYRING`.
const JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Root is somebody like others: it has what it is given, and nothing by being root.
const SECBIT_NOROOT: libc::c_ulong = 1;

/// With these the seccomp filter is installed, and they are given up.
const TO_CONFINE: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::SETPCAP);

/// With these a process becomes another user.
const TO_BECOME: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// What a process keeps when it becomes the container's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    /// What any program of the container can ever gain.
    bounding: CapabilitySet,
    /// What its first one has.
    own: CapabilitySet,
    /// What it has must be handed on to each program, for none has it by itself.
    handed_on: bool,
    no_new_privileges: bool,
    /// Had until the filter is installed.
    lent: CapabilitySet,
    /// What root has here, and others if they have it whoever they are.
    granted: CapabilitySet,
    whoever: bool,
    /// What init may bring to bear for sessions of other users, and its programs may not. It is within bounds: nobody in the
    /// container could do with it what the container may not do.
    reserve: CapabilitySet,
}

/// Of those that the machine has given us.
pub(crate) fn rights(
    identity: &Identity,
    granted: &Granted,
    no_new_privileges: bool,
    of_machine: CapabilitySet,
) -> Rights {
    let set = |Capabilities(bits)| CapabilitySet::from_bits_retain(bits) & of_machine;
    let (effective, bounding) = (set(granted.effective), set(granted.bounding));
    let is_root = identity.uid == 0;
    let own = if is_root || granted.whoever { effective } else { CapabilitySet::empty() };
    let lent = if no_new_privileges { CapabilitySet::empty() } else { TO_CONFINE & of_machine };
    // The kernel gives root all that is within bounds, whatever it had before.
    let handed_on = if is_root { effective != bounding } else { !own.is_empty() };
    let reserve = (effective | TO_BECOME) & bounding;
    let whoever = granted.whoever;
    Rights {
        bounding,
        own,
        handed_on,
        no_new_privileges,
        lent,
        granted: effective,
        whoever,
        reserve,
    }
}

/// A user other than root gains nothing by executing programs, unless that was asked for. Root installs its filter
/// without: programs that change the user go on working.
pub(crate) fn no_new_privileges(identity: &Identity, asked: Option<bool>, reach: Reach) -> bool {
    asked.unwrap_or(identity.uid != 0 && reach == Reach::Confined)
}

impl Rights {
    /// Becomes the user. What is lent is still there.
    pub(crate) fn take(
        &self,
        identity: &Identity,
        of_machine: CapabilitySet,
    ) -> std::io::Result<()> {
        bound(of_machine.bits() & !(self.bounding | self.lent).bits())?;
        rustix::thread::clear_ambient_capability_set()?;
        leave_keyring();
        if self.handed_on && identity.uid == 0 {
            hand_on_only()?;
        }
        rustix::thread::set_keep_capabilities(true)?;
        be(identity)?;
        rustix::thread::set_keep_capabilities(false)?;
        self.have(self.own | self.lent, self.reserve)?;
        if self.handed_on {
            hand_on(self.own)?;
        }
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true)?;
        }
        Ok(())
    }

    /// Gives up what was lent.
    pub(crate) fn settle(&self) -> std::io::Result<()> {
        if self.own.contains(self.lent) {
            return Ok(());
        }
        bound(self.lent.bits() & !self.bounding.bits())?;
        self.have(self.own, self.reserve)
    }

    /// For a program that runs as whom init is.
    pub(crate) fn leave_reserve(&self) -> std::io::Result<()> {
        match self.own.contains(self.reserve) {
            true => Ok(()),
            false => self.have(self.own, CapabilitySet::empty()),
        }
    }

    /// Whether its sessions may be other users.
    pub(crate) fn can_become(&self) -> bool {
        (self.own | self.reserve).contains(TO_BECOME)
    }

    /// For a program that runs as somebody else, who has what the container grants such a user and not more.
    pub(crate) fn become_other(&self, identity: &Identity) -> std::io::Result<()> {
        let is_root = identity.uid == 0;
        let own = match is_root || self.whoever {
            true => self.granted,
            false => CapabilitySet::empty(),
        };
        let handed_on = if is_root { own != self.bounding } else { !own.is_empty() };
        self.have(self.own | self.reserve, CapabilitySet::empty())?;
        give_streams(identity);
        rustix::thread::clear_ambient_capability_set()?;
        rustix::thread::set_keep_capabilities(true)?;
        be(identity)?;
        rustix::thread::set_keep_capabilities(false)?;
        Rights { own, handed_on, ..*self }.have(own, CapabilitySet::empty())?;
        if handed_on {
            hand_on(own)?;
        }
        // Or the kernel would give root all that is within bounds.
        if is_root && handed_on {
            rustix::thread::set_no_new_privs(true)?;
        }
        Ok(())
    }

    fn have(&self, all: CapabilitySet, reserve: CapabilitySet) -> std::io::Result<()> {
        let inheritable = if self.handed_on { self.own } else { CapabilitySet::empty() };
        let sets = CapabilitySets { effective: all, permitted: all | reserve, inheritable };
        Ok(rustix::thread::set_capabilities(None, sets)?)
    }
}

fn hand_on(all: CapabilitySet) -> std::io::Result<()> {
    for one in all.iter() {
        rustix::thread::configure_capability_in_ambient_set(one, true)?;
    }
    Ok(())
}

/// Becomes it, whatever that leaves of the process's rights.
fn be(identity: &Identity) -> std::io::Result<()> {
    let groups: Vec<Gid> = identity.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    nix::unistd::setgroups(&groups)?;
    let gid = Gid::from_raw(identity.gid);
    nix::unistd::setresgid(gid, gid, gid)?;
    let uid = Uid::from_raw(identity.uid);
    Ok(nix::unistd::setresuid(uid, uid, uid)?)
}

/// Programs open their output, or their terminal, again by its name.
fn give_streams(identity: &Identity) {
    let (input, output, errors) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for stream in [input.as_fd(), output.as_fd(), errors.as_fd()] {
        let is_pipe = rustix::fs::fstat(stream)
            .is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::Fifo);
        if is_pipe || rustix::termios::isatty(stream) {
            // Who may not give files away keeps it: then only opening it again fails.
            let owner = Some(rustix::fs::Uid::from_raw(identity.uid));
            let _ = rustix::fs::fchown(stream, owner, None);
        }
    }
}

/// Who enters a namespace of users is given all capabilities there, whatever it had before.
pub(super) fn have_no_more_than(of_machine: CapabilitySet) {
    for number in Capabilities(!of_machine.bits()).numbers() {
        // The kernel does not know all of them.
        let _ = bound(1 << number);
    }
}

fn hand_on_only() -> std::io::Result<()> {
    // SAFETY: numbers are all that is handed over.
    match unsafe { libc::prctl(libc::PR_SET_SECUREBITS, SECBIT_NOROOT, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// No program will ever gain these; bit n stands for capability n.
fn bound(never: u64) -> std::io::Result<()> {
    for number in Capabilities(never).numbers() {
        let number = libc::c_ulong::from(number);
        // SAFETY: numbers are all that is handed over.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The keys of the daemon's session are not the container's.
fn leave_keyring() {
    // SAFETY: no memory is handed over; a null name asks for a ring without one. Kernels without keys have none to give.
    unsafe {
        libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::FilterOf;

    fn granted(effective: u64, bounding: u64, whoever: bool) -> Granted {
        Granted {
            effective: Capabilities(effective),
            bounding: Capabilities(bounding),
            whoever,
            filter: FilterOf::None,
            devices: Vec::new(),
            denied: Vec::new(),
            users: None,
            shm_bytes: None,
        }
    }

    #[test]
    fn users_have_what_they_are_granted() {
        let all = CapabilitySet::from_bits_retain(0x1ff_ffff_ffff);
        let check = |uid: u32, granted: &Granted, own: u64, handed_on: bool| {
            let identity = Identity { uid, gid: 0, groups: Vec::new(), home: "/".into() };
            let rights = rights(&identity, granted, false, all);
            assert_eq!(
                (rights.own.bits(), rights.handed_on),
                (own, handed_on),
                "{uid} {granted:?}"
            );
        };
        check(0, &granted(3, 3, false), 3, false);
        check(0, &granted(1, 3, true), 1, true);
        check(1000, &granted(3, 3, false), 0, false);
        check(1000, &granted(3, 3, true), 3, true);
        check(1000, &granted(0, 3, true), 0, false);
    }

    #[test]
    fn what_init_keeps_for_other_users_is_within_bounds() {
        let all = CapabilitySet::from_bits_retain(0x1ff_ffff_ffff);
        let identity = Identity { uid: 1000, gid: 0, groups: Vec::new(), home: "/".into() };
        let check = |bounding: u64, reserve: u64, can_become: bool| {
            let rights = rights(&identity, &granted(1, bounding, false), true, all);
            assert_eq!((rights.reserve.bits(), rights.can_become()), (reserve, can_become));
        };
        check(0xff, 1 | TO_BECOME.bits(), true);
        check(1, 1, false);
    }

    #[test]
    fn what_installs_the_filter_is_lent_only_where_it_is_needed() {
        let all = CapabilitySet::from_bits_retain(0x1ff_ffff_ffff);
        let identity = Identity { uid: 0, gid: 0, groups: Vec::new(), home: "/".into() };
        let lent = |no_new| rights(&identity, &granted(1, 1, false), no_new, all).lent;
        assert_eq!((lent(true), lent(false)), (CapabilitySet::empty(), TO_CONFINE));
    }
}
