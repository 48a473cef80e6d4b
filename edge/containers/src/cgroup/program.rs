//! Programs for the kernel's own machine that are asked whenever a process of a group opens or makes a device: made of
//! few instructions, loaded, and attached to a group of version 2, which holds them from then on.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Kinds of devices, and what may be asked of them, as the kernel numbers them.
pub(super) const BLOCK: u32 = 1;
pub(super) const CHARACTER: u32 = 2;
pub(super) const MKNOD: u32 = 1;
pub(super) const READ: u32 = 2;
pub(super) const WRITE: u32 = 4;

/// `BPF_PROG_LOAD`, `BPF_PROG_ATTACH`.
const LOAD: libc::c_int = 5;
const ATTACH: libc::c_int = 8;
/// `BPF_PROG_TYPE_CGROUP_DEVICE`, `BPF_CGROUP_DEVICE`.
const OF_DEVICES: u32 = 15;
const ON_DEVICES: u32 = 6;
/// `BPF_F_ALLOW_MULTI`: beside those of whoever manages the groups above; all of them must agree.
const BESIDE_OTHERS: u32 = 2;

/// Operations: class, size and source are in one byte.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const COPY_32: u8 = 0xbc;
const AND_32: u8 = 0x54;
const SHIFT_RIGHT_32: u8 = 0x74;
const UNLESS_EQUAL: u8 = 0x56;
const EXIT: u8 = 0x95;

/// Registers: the answer, the question, and what is taken from it.
const ANSWER: u8 = 0;
const QUESTION: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SPARE: u8 = 6;

const KIND_MASK: i32 = 0xffff;
const ACCESS_SHIFT: i32 = 16;
const ACCESS_ALL: u32 = MKNOD | READ | WRITE;

/// One, as the kernel lays it out.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    operation: u8,
    /// Target in the lower half, source in the upper.
    registers: u8,
    jump: i16,
    value: i32,
}

fn instruction(operation: u8, target: u8, source: u8, value: i32) -> Instruction {
    Instruction { operation, registers: target | source << 4, jump: 0, value }
}

/// Numbers of devices have 20 bits at most.
fn value(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl Instruction {
    /// What is asked, taken apart: the kernel hands over kind and access in one word, then the two numbers.
    pub(super) fn questions() -> Vec<Instruction> {
        let load =
            |to, offset| Instruction { jump: offset, ..instruction(LOAD_WORD, to, QUESTION, 0) };
        vec![
            load(KIND, 0),
            instruction(COPY_32, ACCESS, KIND, 0),
            instruction(AND_32, KIND, 0, KIND_MASK),
            instruction(SHIFT_RIGHT_32, ACCESS, 0, ACCESS_SHIFT),
            load(MAJOR, 4),
            load(MINOR, 8),
        ]
    }

    pub(super) fn unless_kind(kind: u32) -> Instruction {
        instruction(UNLESS_EQUAL, KIND, 0, value(kind))
    }

    pub(super) fn unless_major(number: u32) -> Instruction {
        instruction(UNLESS_EQUAL, MAJOR, 0, value(number))
    }

    pub(super) fn unless_minor(number: u32) -> Instruction {
        instruction(UNLESS_EQUAL, MINOR, 0, value(number))
    }

    /// Unless nothing else than this is asked.
    pub(super) fn unless_within(access: u32) -> [Instruction; 3] {
        [
            instruction(COPY_32, SPARE, ACCESS, 0),
            instruction(AND_32, SPARE, 0, value(ACCESS_ALL & !access)),
            instruction(UNLESS_EQUAL, SPARE, 0, 0),
        ]
    }

    pub(super) fn answer(allowed: bool) -> [Instruction; 2] {
        [instruction(MOVE, ANSWER, 0, i32::from(allowed)), instruction(EXIT, 0, 0, 0)]
    }

    /// Lets each test that fails go on behind the last of these.
    pub(super) fn leading_out(mut all: Vec<Instruction>) -> Vec<Instruction> {
        let length = all.len();
        for (n, one) in all.iter_mut().enumerate() {
            if one.operation == UNLESS_EQUAL {
                one.jump = i16::try_from(length - n - 1).expect("rules are short");
            }
        }
        all
    }
}

/// What `bpf` is told to load a program, as far as this needs it.
#[repr(C)]
#[derive(Default)]
struct Loading {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_bytes: u32,
    log: u64,
    kernel: u32,
    flags: u32,
}

/// And to attach it.
#[repr(C)]
#[derive(Default)]
struct Attaching {
    group: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

/// Whether this kernel, and what we may do here, allow it.
pub(super) fn are_supported() -> bool {
    load(&Instruction::answer(true)).is_ok()
}

/// The group asks the program from now on.
pub(super) fn attach(group: &Path, program: &[Instruction]) -> io::Result<()> {
    let (program, group) = (load(program)?, File::open(group)?);
    let number = |fd: i32| u32::try_from(fd).expect("open descriptors are positive");
    let attaching = Attaching {
        group: number(group.as_raw_fd()),
        program: number(program.as_raw_fd()),
        kind: ON_DEVICES,
        flags: BESIDE_OTHERS,
        replaced: 0,
    };
    bpf(ATTACH, &attaching).map(drop)
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let loading = Loading {
        kind: OF_DEVICES,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        // It calls none of the functions for which the kernel asks for one of its own.
        license: c"Apache-2.0".as_ptr() as u64,
        ..Loading::default()
    };
    let loaded = bpf(LOAD, &loading)?;
    // SAFETY: the kernel has just opened it for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(loaded) })
}

fn bpf<T>(command: libc::c_int, told: &T) -> io::Result<i32> {
    // SAFETY: the kernel reads as many bytes as the structure has, and the memory that it names lives as long as the call.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *told, size_of::<T>()) };
    match i32::try_from(done) {
        Ok(done) if done >= 0 => Ok(done),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;
    use crate::cgroup::{Devices, Hierarchies};
    use crate::policy::Node;

    struct Group(PathBuf);

    impl Drop for Group {
        fn drop(&mut self) {
            // Whoever was in it has ended.
            let _ = fs::remove_dir(&self.0);
        }
    }

    fn node(major: u32, minor: u32, access: &str) -> Node {
        Node { path: "/dev/x".into(), is_block: false, major, minor, access: access.into() }
    }

    /// Also on machines where version 1 has the controllers: programs are asked in any case. Says nothing where no
    /// groups of version 2 are mounted, for there is nothing to attach to.
    #[test]
    fn processes_of_the_group_open_only_what_the_program_allows() {
        let found = Hierarchies::detect().expect("control groups");
        let Some(mount) = found.v2 else { return };
        let dir = tempfile::tempdir().expect("a directory");
        // Makes a node of its own for what is tried, wherever the device may be seen otherwise.
        let check = |devices: Devices<'_>, node: &str, command: &str, allowed: bool| {
            let name = format!("dcos-devices-{}-{}", std::process::id(), node.replace(' ', "-"));
            let group = Group(mount.join(name));
            fs::create_dir(&group.0).expect("a group");
            attach(&group.0, &devices.program()).expect("attached");
            let path = dir.path().join("node");
            let _ = fs::remove_file(&path);
            let script = format!(
                "echo 0 > {}/cgroup.procs && mknod -m 666 {path} {node} && {}",
                group.0.display(),
                command.replace("NODE", &path.display().to_string()),
                path = path.display(),
            );
            let done = Command::new("sh").args(["-c", &script]).output().expect("it runs");
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.success(), allowed, "{devices:?} {node} {command}: {said}");
            assert!(allowed || said.contains("Operation not permitted"), "{said}");
        };
        let (reading, writing) = ("head -c 1 NODE", "echo > NODE");
        check(Devices::Harmless(&[]), "c 1 3", writing, true);
        check(Devices::Harmless(&[]), "c 1 5", reading, true);
        // The machine's log.
        check(Devices::Harmless(&[]), "c 1 11", ": < NODE", false);
        check(Devices::Harmless(&[node(1, 11, "r")]), "c 1 11", ": < NODE", true);
        check(Devices::Harmless(&[node(1, 11, "r")]), "c 1 11", ": > NODE", false);
        // What shall be opened by nobody else may not be made, either.
        check(Devices::AllBut(&[node(1, 5, "rwm")]), "c 1 5", reading, false);
        check(Devices::AllBut(&[node(1, 5, "rwm")]), "c 1 7", reading, true);
        check(Devices::AllBut(&[node(1, 5, "rwm")]), "c 1 11", ": < NODE", true);
    }
}
