//! What a container's processes may do: capabilities, user and groups. Given up for good before its program runs.
#![allow(unsafe_code)]

use rustix::thread::{CapabilitySet, CapabilitySets};

use super::users::Identity;

/// `KEYCTL_JOIN_SESSION_KEYRING`.
const JOIN_SESSION_KEYRING: libc::c_long = 1;

/// What Docker leaves to root in a container.
const OF_ROOT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Of use only where the device controller says which devices may be opened, so not with version 2.
const TO_MAKE_DEVICES: CapabilitySet = CapabilitySet::MKNOD;

/// With it root installs the seccomp filter, and gives it up.
pub(crate) const TO_CONFINE: CapabilitySet = CapabilitySet::SYS_ADMIN;

/// How much of the machine a container may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Containers with an image cannot reach the host, unless they shall.
    Confined { devices_are_controlled: bool },
    /// Tasks without an image are part of the host.
    Open,
}

/// Those that a user of the container can ever have, of those that the machine has given us. Root has them at once.
pub(crate) fn capabilities(
    identity: &Identity,
    reach: Reach,
    of_machine: CapabilitySet,
) -> CapabilitySet {
    let wanted = match reach {
        Reach::Open => return of_machine,
        Reach::Confined { devices_are_controlled } => {
            let mut wanted = OF_ROOT;
            wanted.set(TO_MAKE_DEVICES, devices_are_controlled);
            wanted.set(TO_CONFINE, identity.uid == 0);
            wanted
        }
    };
    wanted & of_machine
}

/// Becomes the user, bounded by these capabilities.
pub(crate) fn become_user(
    identity: &Identity,
    reach: Reach,
    of_machine: CapabilitySet,
) -> std::io::Result<()> {
    let wanted = capabilities(identity, reach, of_machine);
    bound(of_machine.bits() & !wanted.bits())?;
    rustix::thread::clear_ambient_capability_set()?;
    leave_keyring();
    let groups: Vec<nix::unistd::Gid> =
        identity.groups.iter().map(|group| nix::unistd::Gid::from_raw(*group)).collect();
    nix::unistd::setgroups(&groups)?;
    let gid = nix::unistd::Gid::from_raw(identity.gid);
    nix::unistd::setresgid(gid, gid, gid)?;
    let uid = nix::unistd::Uid::from_raw(identity.uid);
    nix::unistd::setresuid(uid, uid, uid)?;
    // A user other than root starts without any; whatever it may gain by its files is bounded.
    let own = if identity.uid == 0 { wanted } else { CapabilitySet::empty() };
    let sets =
        CapabilitySets { effective: own, permitted: own, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)?;
    if identity.uid != 0 && reach != Reach::Open {
        // Root installs its filter without: programs that change the user go on working.
        rustix::thread::set_no_new_privs(true)?;
    }
    Ok(())
}

/// No program will ever gain these; bit n stands for capability n.
fn bound(never: u64) -> std::io::Result<()> {
    for number in (0..u64::BITS).filter(|number| never >> number & 1 == 1) {
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

    #[test]
    fn a_confined_user_is_bounded_and_only_root_can_install_its_filter() {
        let check = |uid: u32, reach: Reach, expected: u64| {
            let identity = Identity { uid, gid: 0, groups: Vec::new(), home: "/".into() };
            let all = CapabilitySet::from_bits_retain(0x1ff_ffff_ffff);
            assert_eq!(capabilities(&identity, reach, all).bits(), expected, "{uid} {reach:?}");
        };
        let confined = |devices_are_controlled| Reach::Confined { devices_are_controlled };
        check(0, confined(true), 0xa824_25fb);
        check(0, confined(false), 0xa024_25fb);
        check(1000, confined(true), 0xa804_25fb);
        check(0, Reach::Open, 0x1ff_ffff_ffff);
    }
}
