//! What stands after the `?`.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::failure::Failure;

/// The parameters in their order; a name may come several times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Self(pairs.map(pair).collect())
    }

    pub(crate) fn first(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `true` and `True` say yes, and so does the bare name; everything else says no.
    pub(crate) fn flag(&self, name: &'static str) -> Option<bool> {
        self.first(name).map(|value| value.is_empty() || value.eq_ignore_ascii_case("true"))
    }

    /// A whole number of seconds, at least one.
    pub(crate) fn seconds(&self, name: &'static str) -> Result<Option<Duration>, Failure> {
        let Some(text) = self.first(name) else { return Ok(None) };
        match text.parse() {
            Ok(seconds @ 1..) => Ok(Some(Duration::from_secs(seconds))),
            Ok(0) | Err(_) => Err(Failure::BadRequest(format!(
                "{name} is {text:?}, and has to be a whole number of seconds, at least 1"
            ))),
        }
    }

    pub(crate) fn is_set(&self, name: &'static str) -> bool {
        self.flag(name) == Some(true)
    }
}

/// Percent signs and plus signs as browsers write them.
fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_said_in_the_ways_that_clients_say_them() {
        let check = |text: &str, said: Option<bool>| {
            assert_eq!(Query::parse(text).flag("force"), said, "{text}");
        };
        check("force=true", Some(true));
        check("force=True", Some(true));
        check("force", Some(true));
        check("a=b&force=", Some(true));
        check("force=False", Some(false));
        check("force=no", Some(false));
        check("forced=true", None);
        check("", None);
    }

    #[test]
    fn seconds_are_whole_numbers_that_leave_some_time() {
        let check = |text: &str, said: Result<Option<u64>, ()>| {
            let seconds = Query::parse(text).seconds("wait");
            let seconds = seconds.map(|one| one.map(|one| one.as_secs())).map_err(drop);
            assert_eq!(seconds, said, "{text}");
        };
        check("", Ok(None));
        check("wait=90", Ok(Some(90)));
        for bad in ["wait", "wait=0", "wait=-1", "wait=1.5", "wait=1m"] {
            check(bad, Err(()));
        }
    }

    #[test]
    fn values_are_decoded_and_may_repeat() {
        let query = Query::parse("embed=apps.tasks&label=a%3D%3Db+c&embed=apps.counts&&x=%ff");
        assert_eq!(query.all("embed").collect::<Vec<_>>(), ["apps.tasks", "apps.counts"]);
        assert_eq!(query.first("label"), Some("a==b c"));
        assert_eq!(query.first("x"), Some("\u{fffd}"));
    }
}
