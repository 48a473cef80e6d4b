//! Who a request says it is from, in its header `Authorization`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Whoever has proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal(pub String);

/// What nobody is to read in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Secrets by principal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials(pub BTreeMap<String, Secret>);

impl Credentials {
    /// Whoever has proved by HTTP's basic authentication to be one of them.
    pub fn principal(&self, headers: &HeaderMap) -> Option<Principal> {
        let coded = said(headers, "basic")?;
        let plain = String::from_utf8(STANDARD.decode(coded).ok()?).ok()?;
        let (principal, secret) = plain.split_once(':')?;
        let known = self.0.get(principal)?;
        is_same(known.0.as_bytes(), secret.as_bytes()).then(|| Principal(principal.to_owned()))
    }
}

/// The token that whoever bears it was given.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    said(headers, "bearer")
}

fn said<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let (scheme, said) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| said.trim())
}

/// In a time that does not tell how much of it is right.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |sum, (one, other)| sum | (one ^ other));
    one.len() == other.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_secret_is_let_in() {
        let known = BTreeMap::from([("spark".to_owned(), Secret("a:b".to_owned()))]);
        let check = |said: &str, expected: Option<&str>| {
            let headers = [(AUTHORIZATION, said.parse().expect("a header"))].into_iter().collect();
            let principal = Credentials(known.clone()).principal(&headers);
            assert_eq!(principal, expected.map(|name| Principal(name.to_owned())), "{said}");
        };
        let basic = |plain: &str| format!("Basic {}", STANDARD.encode(plain));
        check(&basic("spark:a:b"), Some("spark"));
        check(&basic("spark:a:c"), None);
        check(&basic("spark:a:"), None);
        check(&basic("other:a:b"), None);
        check(&basic("spark"), None);
        check("Basic ?", None);
        check("Bearer spark:a:b", None);
    }

    #[test]
    fn a_token_follows_its_scheme() {
        let check = |said: &str, expected: Option<&str>| {
            let headers = [(AUTHORIZATION, said.parse().expect("a header"))].into_iter().collect();
            assert_eq!(bearer(&headers), expected, "{said}");
        };
        check("Bearer a.b.c", Some("a.b.c"));
        check("bearer  a.b.c ", Some("a.b.c"));
        check("a.b.c", None);
        check("token=a.b.c", None);
    }
}
