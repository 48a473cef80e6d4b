//! Which devices a container may open: as rules for version 1, and as a small program for version 2, which has no such
//! controller but asks programs that are attached to a group.

use super::program::{BLOCK, CHARACTER, Instruction, MKNOD, READ, WRITE};
use crate::policy::Node;

/// What a confined container may open: null, zero, full, random, urandom, tty, ptmx and terminals.
const HARMLESS: [Rule; 8] = [
    Rule::open(1, Some(3)),
    Rule::open(1, Some(5)),
    Rule::open(1, Some(7)),
    Rule::open(1, Some(8)),
    Rule::open(1, Some(9)),
    Rule::open(5, Some(0)),
    Rule::open(5, Some(2)),
    Rule::open(136, None),
];

/// It may make any: the node alone opens nothing.
const MADE: [Rule; 2] = [
    Rule { kind: CHARACTER, major: None, minor: None, access: MKNOD },
    Rule { kind: BLOCK, major: None, minor: None, access: MKNOD },
];

const ALL: u32 = READ | WRITE | MKNOD;

/// Which devices of the machine a container may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Devices<'a> {
    /// And these.
    Harmless(&'a [Node]),
    AllBut(&'a [Node]),
}

/// Unset numbers stand for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    kind: u32,
    major: Option<u32>,
    minor: Option<u32>,
    access: u32,
}

impl Rule {
    const fn open(major: u32, minor: Option<u32>) -> Rule {
        Rule { kind: CHARACTER, major: Some(major), minor, access: ALL }
    }

    fn of(node: &Node) -> Rule {
        let bit = |letter, bit| if node.access.contains(letter) { bit } else { 0 };
        Rule {
            kind: if node.is_block { BLOCK } else { CHARACTER },
            major: Some(node.major),
            minor: Some(node.minor),
            access: bit('r', READ) | bit('w', WRITE) | bit('m', MKNOD),
        }
    }

    /// As the controller of version 1 is told.
    fn text(&self) -> String {
        let kind = if self.kind == BLOCK { 'b' } else { 'c' };
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |one| one.to_string());
        let access = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
        let access = access.into_iter().filter(|(bit, _)| self.access & bit != 0);
        let access: String = access.map(|(_, letter)| letter).collect();
        format!("{kind} {}:{} {access}", number(self.major), number(self.minor))
    }
}

impl Devices<'_> {
    /// Whether there is anything that it may not.
    pub(super) fn limits(&self) -> bool {
        match self {
            Devices::Harmless(_) => true,
            Devices::AllBut(denied) => !denied.is_empty(),
        }
    }

    /// Files of the controller of version 1, and what is written to them.
    pub(super) fn orders(&self) -> Vec<(&'static str, String)> {
        match self {
            Devices::AllBut(denied) => {
                let denied = denied.iter().map(|node| Rule { access: ALL, ..Rule::of(node) });
                denied.map(|rule| ("devices.deny", rule.text())).collect()
            }
            Devices::Harmless(granted) => {
                let granted = granted.iter().map(Rule::of);
                let allowed = MADE.into_iter().chain(HARMLESS).chain(granted);
                let allowed = allowed.map(|rule| ("devices.allow", rule.text()));
                [("devices.deny", "a".to_owned())].into_iter().chain(allowed).collect()
            }
        }
    }

    /// What decides of each device that is to be opened or made.
    pub(super) fn program(&self) -> Vec<Instruction> {
        let mut program = Instruction::questions();
        match self {
            Devices::AllBut(denied) => {
                for node in *denied {
                    // Whatever is asked of it.
                    program.extend(of_rule(Rule { access: ALL, ..Rule::of(node) }, false));
                }
                program.extend(Instruction::answer(true));
            }
            Devices::Harmless(granted) => {
                for rule in MADE.into_iter().chain(HARMLESS).chain(granted.iter().map(Rule::of)) {
                    program.extend(of_rule(rule, true));
                }
                program.extend(Instruction::answer(false));
            }
        }
        program
    }
}

/// Answers if the rule is about what is asked, and goes on behind itself otherwise.
fn of_rule(rule: Rule, answer: bool) -> Vec<Instruction> {
    let mut tests = vec![Instruction::unless_kind(rule.kind)];
    if rule.access != ALL {
        tests.extend(Instruction::unless_within(rule.access));
    }
    tests.extend(rule.major.map(Instruction::unless_major));
    tests.extend(rule.minor.map(Instruction::unless_minor));
    tests.extend(Instruction::answer(answer));
    Instruction::leading_out(tests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(is_block: bool, major: u32, minor: u32, access: &str) -> Node {
        Node { path: "/dev/x".into(), is_block, major, minor, access: access.into() }
    }

    #[test]
    fn version_1_is_told_in_words() {
        let nodes = [node(false, 10, 229, "rw")];
        let orders = Devices::Harmless(&nodes).orders();
        assert_eq!(orders.first(), Some(&("devices.deny", "a".to_owned())));
        assert!(orders.contains(&("devices.allow", "c 136:* rwm".to_owned())), "{orders:?}");
        assert!(orders.contains(&("devices.allow", "b *:* m".to_owned())), "{orders:?}");
        assert_eq!(orders.last(), Some(&("devices.allow", "c 10:229 rw".to_owned())));
        assert_eq!(Devices::AllBut(&[]).orders(), []);
        let denied = Devices::AllBut(&nodes).orders();
        assert_eq!(denied, [("devices.deny", "c 10:229 rwm".to_owned())]);
    }

    #[test]
    fn only_what_forbids_something_needs_a_program() {
        let nodes = [node(true, 7, 0, "rwm")];
        let check = |devices: Devices<'_>, limits| assert_eq!(devices.limits(), limits);
        check(Devices::Harmless(&[]), true);
        check(Devices::AllBut(&nodes), true);
        check(Devices::AllBut(&[]), false);
    }
}
