//! Which apps a list shows: `?cmd=`, `?id=` and label selectors such as `env==prod, tier in (web, api), public`.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

use services::spec::{AppSpec, Process};

use crate::failure::Failure;
use crate::query::Query;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Filters {
    cmd: Option<String>,
    id: Option<String>,
    labels: Vec<Selector>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Selector {
    label: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
}

impl Filters {
    pub(super) fn read(query: &Query) -> Result<Self, Failure> {
        let lower = |name: &'static str| query.first(name).map(str::to_lowercase);
        let labels = query.first("label").map_or(Ok(Vec::new()), selectors);
        let labels = labels.map_err(|cause| {
            let given = query.first("label").unwrap_or_default();
            Failure::BadRequest(format!("Can not parse label selector {given}. Reason: {cause}"))
        })?;
        Ok(Self { cmd: lower("cmd"), id: lower("id"), labels })
    }

    pub(super) fn admit(&self, spec: &AppSpec) -> bool {
        let has = |part: &Option<String>, text: &str| {
            part.as_ref().is_none_or(|part| text.to_lowercase().contains(part))
        };
        let cmd = match &spec.process {
            Process::Cmd(cmd) => has(&self.cmd, cmd),
            Process::Args(_) | Process::Image => self.cmd.is_none(),
        };
        cmd && has(&self.id, spec.id.as_str())
            && self.labels.iter().all(|selector| selector.admits(&spec.labels))
    }
}

impl Selector {
    /// Every test demands that the label is there.
    fn admits(&self, labels: &BTreeMap<String, String>) -> bool {
        let Some(value) = labels.get(&self.label) else { return false };
        match &self.test {
            Test::Exists => true,
            Test::In(values) => values.contains(value),
            Test::NotIn(values) => !values.contains(value),
        }
    }
}

fn selectors(text: &str) -> Result<Vec<Selector>, String> {
    let mut reader = Reader { rest: text.chars().peekable() };
    let mut all = Vec::new();
    reader.skip_spaces();
    if reader.rest.peek().is_none() {
        return Ok(all);
    }
    loop {
        all.push(reader.selector()?);
        match reader.next() {
            None => return Ok(all),
            Some(',') => {}
            Some(other) => return Err(format!("',' expected but '{other}' found")),
        }
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn skip_spaces(&mut self) {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn next(&mut self) -> Option<char> {
        self.skip_spaces();
        self.rest.next()
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_spaces();
        self.rest.peek().copied()
    }

    fn selector(&mut self) -> Result<Selector, String> {
        let label = self.term()?;
        let test = match self.peek() {
            Some('=' | '!') => self.comparison()?,
            Some('i' | 'n') => self.membership()?,
            Some(_) | None => Test::Exists,
        };
        Ok(Selector { label, test })
    }

    fn comparison(&mut self) -> Result<Test, String> {
        let operator = (self.rest.next(), self.rest.next());
        let value = BTreeSet::from([self.term()?]);
        match operator {
            (Some('='), Some('=')) => Ok(Test::In(value)),
            (Some('!'), Some('=')) => Ok(Test::NotIn(value)),
            (_, _) => Err("'==' or '!=' expected".to_owned()),
        }
    }

    fn membership(&mut self) -> Result<Test, String> {
        let operator = self.term()?;
        let values = self.set()?;
        match operator.as_str() {
            "in" => Ok(Test::In(values)),
            "notin" => Ok(Test::NotIn(values)),
            _ => Err(format!("'in' or 'notin' expected but '{operator}' found")),
        }
    }

    fn set(&mut self) -> Result<BTreeSet<String>, String> {
        let mut values = BTreeSet::new();
        if self.next() != Some('(') {
            return Err("'(' expected".to_owned());
        }
        if self.peek() == Some(')') {
            self.next();
            return Ok(values);
        }
        loop {
            values.insert(self.term()?);
            match self.next() {
                Some(',') => {}
                Some(')') => return Ok(values),
                Some(_) | None => return Err("',' or ')' expected".to_owned()),
            }
        }
    }

    /// Letters, digits, `-`, `_`, `.`, and anything behind a backslash.
    fn term(&mut self) -> Result<String, String> {
        self.skip_spaces();
        let mut term = String::new();
        loop {
            match self.rest.peek() {
                Some('\\') => {
                    self.rest.next();
                    term.push(self.rest.next().ok_or("a character expected after '\\'")?);
                }
                Some(c) if c.is_ascii_alphanumeric() || "-_.".contains(*c) => {
                    term.extend(self.rest.next());
                }
                Some(c) if term.is_empty() => {
                    return Err(format!("a label expected but '{c}' found"));
                }
                None if term.is_empty() => return Err("a label expected".to_owned()),
                Some(_) | None => return Ok(term),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> BTreeMap<String, String> {
        let pairs = [("env", "prod"), ("tier", "web"), ("a!", "x y")];
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn label_selectors_mean_what_marathon_means_by_them() {
        let check = |text: &str, admitted: bool| {
            let selectors = selectors(text).expect("well formed");
            let admits = selectors.iter().all(|selector| selector.admits(&labels()));
            assert_eq!(admits, admitted, "{text}");
        };
        check("", true);
        check("env", true);
        check("absent", false);
        check("env==prod", true);
        check("env == test", false);
        check("env!=test", true);
        check("absent!=test", false);
        check("tier in (web,api)", true);
        check("tier in ()", false);
        check("tier notin (web, api)", false);
        check("tier notin (db)", true);
        check("env==prod, tier in (web), tier", true);
        check("env==prod,absent", false);
        check(r"a\! in (x\ y)", true);
    }

    #[test]
    fn malformed_selectors_are_refused() {
        let check = |text: &str| assert!(selectors(text).is_err(), "{text}");
        check("env=prod");
        check("env==");
        check("env in web");
        check("env in (web");
        check("env within (web)");
        check("env,,tier");
        check("(");
        check("env\\");
    }
}
