//! Regular expressions of frameworks: written for RE2, as Mesos takes them, and bounded as there.
//!
//! Both engines take linear time, and nearly the same words. What differs is put into words that both understand: RE2's
//! `\d`, `\s` and `\w` are of ASCII, and within brackets it knows no brackets and no set operations.

use regex::{Regex, RegexBuilder};

/// A longer one would not have fitted into Mesos' 4 KiB of memory.
const PATTERN_BYTES_MAX: usize = 1_024;

/// About what the 100 instructions are here that Mesos allows a program.
const PROGRAM_BYTES_MAX: usize = 16 * 1_024;

/// What a search may remember.
const CACHE_BYTES_MAX: usize = 64 * 1_024;

/// Matches from beginning to end.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("a regex of {} bytes is too complex", pattern.len()));
    }
    let words = translated(pattern);
    let build = |words: &str| {
        let built = RegexBuilder::new(words)
            .size_limit(PROGRAM_BYTES_MAX)
            .dfa_size_limit(CACHE_BYTES_MAX)
            .build();
        built.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!("regex '{pattern}' is too complex"),
            regex::Error::Syntax(_) | _ => {
                format!("failed to construct regex from pattern '{pattern}': {error}")
            }
        })
    };
    // By itself first, or one that closes the bracket around it would pass.
    build(&words)?;
    build(&format!(r"\A(?:{words})\z"))
}

/// The same in the words of the engine that is used here.
fn translated(pattern: &str) -> String {
    let mut words = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        rest = match next {
            '\\' => escape(rest, Where::Outside, &mut words),
            '[' => class(rest, &mut words),
            next => {
                words.push(next);
                &rest[next.len_utf8()..]
            }
        };
    }
    words
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Outside,
    Inside,
}

/// A backslash and what belongs to it. Returns what follows.
fn escape<'a>(text: &'a str, at: Where, words: &mut String) -> &'a str {
    let Some(named) = text[1..].chars().next() else {
        words.push('\\');
        return "";
    };
    let rest = &text[1 + named.len_utf8()..];
    let same = match (named, at) {
        ('d', _) => "[0-9]",
        ('D', _) => "[^0-9]",
        ('s', _) => r"[\t\n\f\r ]",
        ('S', _) => r"[^\t\n\f\r ]",
        ('w', _) => "[0-9A-Za-z_]",
        ('W', _) => "[^0-9A-Za-z_]",
        ('b', Where::Outside) => r"(?-u:\b)",
        ('Q', Where::Outside) => {
            let (quoted, rest) = rest.split_once(r"\E").unwrap_or((rest, ""));
            words.push_str(&regex::escape(quoted));
            return rest;
        }
        (named, _) => {
            words.extend(['\\', named]);
            return rest;
        }
    };
    words.push_str(same);
    rest
}

/// A class from its opening bracket on. Returns what follows it.
fn class<'a>(text: &'a str, words: &mut String) -> &'a str {
    words.push('[');
    let mut rest = &text[1..];
    if let Some(after) = rest.strip_prefix('^') {
        words.push('^');
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(']') {
        words.push_str(r"\]");
        rest = after;
    }
    while let Some(next) = rest.chars().next() {
        rest = match next {
            ']' => {
                words.push(']');
                return &rest[1..];
            }
            '\\' => escape(rest, Where::Inside, words),
            '[' => match rest.find(":]").filter(|_| rest.starts_with("[:")) {
                Some(end) => {
                    words.push_str(&rest[..end + 2]);
                    &rest[end + 2..]
                }
                None => plain(rest, next, words),
            },
            '&' | '~' => plain(rest, next, words),
            next => {
                words.push(next);
                &rest[next.len_utf8()..]
            }
        };
    }
    rest
}

/// A character that means itself.
fn plain<'a>(text: &'a str, one: char, words: &mut String) -> &'a str {
    words.extend(['\\', one]);
    &text[one.len_utf8()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_means_to_re2() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            for text in yes {
                assert!(regex.is_match(text), "{pattern} should match {text:?}");
            }
            for text in no {
                assert!(!regex.is_match(text), "{pattern} should not match {text:?}");
            }
        };
        check("a", &["a"], &["ba", "ab", "a\n", ""]);
        check("a|b", &["a", "b"], &["ab"]);
        check(r"node-\d+", &["node-1"], &["node-", "node-١"]);
        check(r"\w\W\s\S", &["a- b"], &["ä- b", "a-\u{a0}b"]);
        check(r"[\d.]+", &["1.2"], &["1a"]);
        check(r"[^\s]+", &["a"], &["a b"]);
        check(r"[[a]", &["[", "a"], &["b"]);
        check(r"[a&&b]", &["a", "&", "b"], &["c"]);
        check(r"[]a]", &["]", "a"], &["b"]);
        check(r"[^]a]", &["b"], &["]", "a"]);
        check("[[:alpha:]]+", &["abc"], &["ab1"]);
        check(r"\Qa.b\E+", &["a.b", "a.bb"], &["axb"]);
        check(r"a\Q[", &["a["], &["a"]);
        check("(?i)rack", &["RACK"], &["rick"]);
        check(".*", &["", "äöü", "x y"], &["a\nb"]);
        check("...", &["äöü"], &["ab"]);
        check(r".*\bx\b.*", &["a x b", "äx"], &["ax"]);
        check("(?P<zone>[a-c])", &["a"], &["d"]);
    }

    #[test]
    fn what_is_wrong_or_too_much_is_refused() {
        let check = |pattern: &str, words: &str| {
            let refused = compile(pattern).map(|_| ()).expect_err(pattern);
            assert!(refused.contains(words), "{refused}");
        };
        for wrong in ["(", "a)|(b", "[a", r"(a)\1", "(?=a)", "*", "\\"] {
            check(wrong, "failed to construct");
        }
        check(&"a".repeat(PATTERN_BYTES_MAX + 1), "too complex");
        check("a{1,999}", "too complex");
        check(r"(\pL{9}){9}", "too complex");
        for fine in ["a{90}", "(a|b|c){20}", r"[a-z0-9-]{1,40}\.rack[0-9]{2}\.example\.com"] {
            assert_eq!(compile(fine).map(|_| ()), Ok(()));
        }
    }
}
