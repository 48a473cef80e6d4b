//! What a filter answers, found out by running its program as the kernel would.

use libseccomp::ScmpSyscall;
use model::confinement::Capabilities;

use super::{AF_VSOCK, CLONE_NAMESPACES, Filter, PERSONALITIES, compile};

/// What Docker's default profile allows to nobody, or has forgotten to allow, which comes to the same.
const NEVER: &str = "\
_sysctl add_key afs_syscall create_module get_kernel_syms getpmsg io_uring_enter io_uring_register io_uring_setup \
kexec_file_load kexec_load keyctl migrate_pages move_pages nfsservctl pivot_root putpmsg query_module request_key \
security swapoff swapon sysfs tuxcall uselib userfaultfd ustat vserver";

/// What it allows only to those that have a capability, by its number. `chroot` is one as well, which the kernel refuses by
/// itself to those that lack it.
const WITH: [(u32, &str); 13] = [
    (2, "open_by_handle_at"),
    (16, "delete_module init_module finit_module"),
    (17, "iopl ioperm"),
    (19, "kcmp pidfd_getfd process_madvise"),
    (20, "acct"),
    (
        21,
        "bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree \
         perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount2 unshare",
    ),
    (22, "reboot"),
    (23, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    (25, "clock_settime settimeofday"),
    (26, "vhangup"),
    (34, "syslog"),
    (38, "perf_event_open"),
    (39, "bpf"),
];

const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// As the kernel numbers machines.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xC000_003E } else { 0xC000_00B7 };

/// Runs the program on what the kernel shows it of a call: number, machine, place, arguments.
fn answer(filter: &Filter, call: i32, argument: u64) -> u32 {
    let mut shown = [0_u32; 16];
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("it is cut to size");
    let halves = [half(argument), half(argument >> 32)];
    [shown[0], shown[1], shown[4], shown[5]] =
        [call.cast_unsigned(), ARCHITECTURE, halves[0], halves[1]];
    let (mut at, mut held) = (0, 0_u32);
    loop {
        let one = filter.0[at];
        at += 1;
        let holds = match u32::from(one.code) {
            // Load a word that is shown, keep some of its bits, give the answer.
            0x20 => {
                held = shown[one.k as usize / 4];
                continue;
            }
            0x54 => {
                held &= one.k;
                continue;
            }
            0x06 => return one.k,
            // Jumps: always, if equal, if greater, if not less, if a bit is set.
            0x05 => {
                at += one.k as usize;
                continue;
            }
            0x15 => held == one.k,
            0x25 => held > one.k,
            0x35 => held >= one.k,
            0x45 => held & one.k != 0,
            code => panic!("no such instruction: {code:#x}"),
        };
        at += usize::from(if holds { one.jt } else { one.jf });
    }
}

/// Those that this machine has.
fn numbers(names: &str) -> impl Iterator<Item = (&str, i32)> {
    let number = |name| Some((name, i32::from(ScmpSyscall::from_name(name).ok()?)));
    names.split(' ').filter_map(number).filter(|(_, number)| *number >= 0)
}

fn filter(bounding: Capabilities) -> Filter {
    Filter::new(&compile(bounding).expect("compiled"))
}

fn number(name: &str) -> i32 {
    numbers(name).next().expect("all machines have it").1
}

#[test]
fn what_dockers_profile_refuses_is_refused() {
    let (nothing, everything) = (filter(Capabilities::NONE), filter(Capabilities::ALL));
    for (name, call) in numbers(NEVER) {
        for filter in [&nothing, &everything] {
            assert_eq!(answer(filter, call, 0), REFUSED, "{name}");
        }
    }
    for (capability, names) in WITH {
        let one = Capabilities::number(capability).expect("there is one");
        let others = Capabilities::ALL.without(one);
        let (with, without) = (filter(one), filter(others));
        for (name, call) in numbers(names) {
            let refused = if name == "clone3" { UNKNOWN } else { REFUSED };
            assert_eq!(answer(&nothing, call, 0), refused, "{name}");
            assert_eq!(answer(&with, call, 0), ALLOWED, "{name} with {capability}");
            // Some are allowed for more than one reason.
            let reasons = WITH.iter().filter(|(_, all)| all.split(' ').any(|one| one == name));
            if reasons.count() == 1 {
                assert_eq!(answer(&without, call, 0), refused, "{name} without {capability}");
            }
        }
    }
}

#[test]
fn some_calls_are_allowed_with_some_arguments_only() {
    let usual = filter(Capabilities::NONE);
    let check = |name: &str, argument: u64, expected: u32| {
        assert_eq!(answer(&usual, number(name), argument), expected, "{name} {argument:#x}");
    };
    check("socket", 2, ALLOWED);
    check("socket", AF_VSOCK, REFUSED);
    check("clone", 0x11, ALLOWED);
    for bit in (0..u64::BITS).map(|bit| 1_u64 << bit).filter(|bit| bit & CLONE_NAMESPACES != 0) {
        check("clone", bit | 0x11, REFUSED);
    }
    PERSONALITIES.iter().for_each(|one| check("personality", *one, ALLOWED));
    // ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC.
    [0x4_0000, 0x40_0000].iter().for_each(|one| check("personality", *one, REFUSED));
    check("openat", 0, ALLOWED);
}
