//! What stands after the `?`.

use percent_encoding::percent_decode_str;

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
    fn values_are_decoded_and_may_repeat() {
        let query = Query::parse("embed=apps.tasks&label=a%3D%3Db+c&embed=apps.counts&&x=%ff");
        assert_eq!(query.all("embed").collect::<Vec<_>>(), ["apps.tasks", "apps.counts"]);
        assert_eq!(query.first("label"), Some("a==b c"));
        assert_eq!(query.first("x"), Some("\u{fffd}"));
    }
}
