//! The keys by which a terminal is left: Ctrl-P, then Ctrl-Q.

const FIRST: u8 = 0x10;
const SECOND: u8 = 0x11;

/// What has been typed of them.
#[derive(Debug, Default)]
pub(super) struct Keys {
    first: bool,
}

/// What is to be passed on, and whether the user leaves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) bytes: Vec<u8>,
    pub(super) leaves: bool,
}

impl Keys {
    /// The first key waits for what follows it; what follows the second is for nobody.
    pub(super) fn typed(&mut self, bytes: &[u8]) -> Typed {
        let mut passed = Vec::with_capacity(bytes.len() + 1);
        for byte in bytes {
            match (std::mem::replace(&mut self.first, *byte == FIRST), *byte) {
                (true, SECOND) => return Typed { bytes: passed, leaves: true },
                (true, FIRST) => passed.push(FIRST),
                (false, FIRST) => (),
                (true, other) => passed.extend([FIRST, other]),
                (false, other) => passed.push(other),
            }
        }
        Typed { bytes: passed, leaves: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_in_a_row_leave_and_all_others_are_passed_on() {
        let check = |pieces: &[&[u8]], passed: &[u8], leaves: bool| {
            let mut keys = Keys::default();
            let typed: Vec<Typed> = pieces.iter().map(|piece| keys.typed(piece)).collect();
            let all: Vec<u8> = typed.iter().flat_map(|one| one.bytes.clone()).collect();
            let left = typed.iter().any(|one| one.leaves);
            assert_eq!((all.as_slice(), left), (passed, leaves), "{pieces:?}");
        };
        check(&[b"ls\n"], b"ls\n", false);
        check(&[b"a\x10\x11b"], b"a", true);
        check(&[b"a\x10", b"\x11"], b"a", true);
        check(&[b"\x10", b"x"], b"\x10x", false);
        check(&[b"\x10\x10\x11"], b"\x10", true);
        check(&[b"\x11"], b"\x11", false);
    }
}
