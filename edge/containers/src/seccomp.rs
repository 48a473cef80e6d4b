//! Which system calls an image's processes may make: what ordinary programs need, as Docker's default profile has it.
//! The rest (mounting, modules, tracing the kernel, setting clocks ...) fails with EPERM.
//!
//! Compiled once, by the zygote, and by the daemon for containers that have other capabilities or a profile of their own:
//! libseccomp takes as long for it as all the rest of a launch.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read, Seek};
use std::rc::Rc;

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use model::confinement::Capabilities;
use rustix::fs::MemfdFlags;

mod profile;

pub(crate) use profile::Profile;

/// Allowed whatever the arguments. Names that libseccomp does not know are skipped.
const ALLOWED: &str = "\
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 chroot clock_adjtime \
clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep \
clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 \
epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit \
exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 \
fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat \
fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait \
futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid \
getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid \
getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt \
get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init \
inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 \
ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self \
lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek \
lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod \
mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive \
mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync \
munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open \
pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv \
preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 \
pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg \
remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction \
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 \
rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min \
sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr \
sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send \
sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups \
setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid \
setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr \
setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall \
socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo \
tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime \
timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill \
truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork \
vmsplice wait4 waitid waitpid write writev arch_prctl modify_ldt";

/// `CLONE_NEW*`: containers make no namespaces.
const CLONE_NAMESPACES: u64 = 0x7E02_0000;

/// Sockets of this family reach the hypervisor.
const AF_VSOCK: u64 = 40;

/// Linux, Linux 32 bit and their variants with the old address layout; asking for the current one.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF];

/// Allowed to containers that have the capability: without it the kernel refuses them anyway.
const OF_CAPABILITIES: [(u32, &str); 13] = [
    (2, "open_by_handle_at"),
    (16, "delete_module init_module finit_module"),
    (17, "iopl ioperm"),
    (19, "kcmp pidfd_getfd process_madvise"),
    (20, "acct"),
    (SYS_ADMIN, OF_SYS_ADMIN),
    (22, "reboot"),
    (23, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    (25, "clock_settime clock_settime64 settimeofday stime"),
    (26, "vhangup"),
    (34, "syslog"),
    (38, "perf_event_open"),
    (39, "bpf"),
];

const SYS_ADMIN: u32 = 21;

const OF_SYS_ADMIN: &str = "\
bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree \
perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare";

/// Those that make a difference to the filter.
pub(crate) fn of_capabilities() -> Capabilities {
    let all = OF_CAPABILITIES.iter().filter_map(|(number, _)| Capabilities::number(*number));
    all.fold(Capabilities::NONE, Capabilities::with)
}

fn has(capabilities: Capabilities, number: u32) -> bool {
    Capabilities::number(number).is_some_and(|one| capabilities.contains(one))
}

/// The program for a container that can have these capabilities.
pub(crate) fn compile(bounding: Capabilities) -> anyhow::Result<Vec<u8>> {
    let mut rules = ScmpFilterContext::new(ScmpAction::Errno(libc::EPERM))?;
    for architecture in architectures() {
        rules.add_arch(*architecture)?;
    }
    let of_capabilities = OF_CAPABILITIES.iter().filter(|(number, _)| has(bounding, *number));
    let lists = std::iter::once(ALLOWED).chain(of_capabilities.map(|(_, calls)| *calls));
    // Calls that this libseccomp does not know are refused.
    let calls = lists.flat_map(|list| list.split(' '));
    for call in calls.filter_map(|name| ScmpSyscall::from_name(name).ok()) {
        rules.add_rule(ScmpAction::Allow, call)?;
    }
    let mut allow_if = |name: &str, op: ScmpCompareOp, value: u64| -> anyhow::Result<()> {
        let (call, argument) = (ScmpSyscall::from_name(name)?, ScmpArgCompare::new(0, op, value));
        rules.add_rule_conditional(ScmpAction::Allow, call, &[argument])?;
        Ok(())
    };
    allow_if("socket", ScmpCompareOp::NotEqual, AF_VSOCK)?;
    for personality in PERSONALITIES {
        allow_if("personality", ScmpCompareOp::Equal, personality)?;
    }
    if !has(bounding, SYS_ADMIN) {
        allow_if("clone", ScmpCompareOp::MaskedEqual(CLONE_NAMESPACES), 0)?;
        // Its flags lie in memory where a filter cannot look: programs fall back to clone.
        rules.add_rule(ScmpAction::Errno(libc::ENOSYS), ScmpSyscall::from_name("clone3")?)?;
    }
    export(&rules)
}

/// In the kernel's form.
fn export(rules: &ScmpFilterContext) -> anyhow::Result<Vec<u8>> {
    let mut file = File::from(rustix::fs::memfd_create("filter", MemfdFlags::CLOEXEC)?);
    rules.export_bpf(&file)?;
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A program for the kernel's filter machine.
#[derive(Debug, Clone)]
pub(crate) struct Filter(Rc<[libc::sock_filter]>);

impl Filter {
    pub(crate) fn new(program: &[u8]) -> Filter {
        Filter(program.chunks_exact(size_of::<libc::sock_filter>()).map(instruction).collect())
    }

    /// For this process and all that come after. Needs CAP_SYS_ADMIN or no_new_privs.
    pub(crate) fn install(&self) -> std::io::Result<()> {
        let len = u16::try_from(self.0.len()).map_err(std::io::Error::other)?;
        let program = libc::sock_fprog { len, filter: self.0.as_ptr().cast_mut() };
        // SAFETY: the kernel copies as many instructions as are there, and changes none.
        let installed = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
        };
        if installed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }
}

/// As the kernel lays it out: code, two jumps, an operand.
fn instruction(bytes: &[u8]) -> libc::sock_filter {
    let [code0, code1, jt, jf, k0, k1, k2, k3] = *bytes else {
        unreachable!("chunks are of this size")
    };
    libc::sock_filter {
        code: u16::from_ne_bytes([code0, code1]),
        jt,
        jf,
        k: u32::from_ne_bytes([k0, k1, k2, k3]),
    }
}

/// Calls of others are refused by killing; 64-bit machines run programs of their 32-bit sisters, too.
fn architectures() -> &'static [ScmpArch] {
    if cfg!(target_arch = "x86_64") {
        &[ScmpArch::X8664, ScmpArch::X86, ScmpArch::X32]
    } else if cfg!(target_arch = "aarch64") {
        &[ScmpArch::Aarch64, ScmpArch::Arm]
    } else {
        &[ScmpArch::Native]
    }
}

#[cfg(test)]
mod answers;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_compile_to_what_the_kernel_takes() {
        /// `BPF_MAXINSNS`.
        const INSTRUCTIONS_MAX: usize = 4096;
        for bounding in [Capabilities::NONE, Capabilities::ALL] {
            let filter = Filter::new(&compile(bounding).expect("compiled"));
            assert!((1..=INSTRUCTIONS_MAX).contains(&filter.0.len()), "{}", filter.0.len());
        }
    }
}
