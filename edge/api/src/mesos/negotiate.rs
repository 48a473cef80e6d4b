//! Which encoding a request has, and which its answer is to have.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use mesos_v1::codec::{Encoding, JSON, PROTOBUF, RECORDIO};

const MESSAGE_ACCEPT: &str = "message-accept";

/// How a stream of records is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) message: Encoding,
    /// It was asked for by its own name, and says so; otherwise by the encoding of its records.
    pub(super) is_named: bool,
}

/// `None` if there is no content type; the error names one that is not known.
pub(super) fn content(headers: &HeaderMap) -> Option<Result<Encoding, String>> {
    let told = headers.get(CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(Encoding::of(told).ok_or_else(|| told.to_owned()))
}

/// The encoding of an answer that is one message.
pub(super) fn answer(headers: &HeaderMap) -> Option<Encoding> {
    preferred(headers, ACCEPT.as_str())
}

/// The encoding of an answer that is a stream.
pub(super) fn stream(headers: &HeaderMap) -> Option<Stream> {
    if takes(headers, ACCEPT.as_str(), RECORDIO, Wildcards::DoNotCount) {
        let message = preferred(headers, MESSAGE_ACCEPT)?;
        return Some(Stream { message, is_named: true });
    }
    answer(headers).map(|message| Stream { message, is_named: false })
}

fn preferred(headers: &HeaderMap, name: &str) -> Option<Encoding> {
    let takes = |kind: &str| takes(headers, name, kind, Wildcards::Count);
    if takes(JSON) { Some(Encoding::Json) } else { takes(PROTOBUF).then_some(Encoding::Protobuf) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wildcards {
    Count,
    DoNotCount,
}

/// Who does not say takes all.
fn takes(headers: &HeaderMap, name: &str, kind: &str, wildcards: Wildcards) -> bool {
    let mut told = headers.get_all(name).iter().filter_map(|one| one.to_str().ok()).peekable();
    if told.peek().is_none() {
        return wildcards == Wildcards::Count;
    }
    told.flat_map(|one| one.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(is_zero));
        let wild = wildcards == Wildcards::Count && matches!(range, "*/*" | "application/*");
        !refused && (wild || range.eq_ignore_ascii_case(kind))
    })
}

fn is_zero(quality: &str) -> bool {
    quality.parse().is_ok_and(|quality: f64| quality <= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_spelled_as_its_reader_likes_it() {
        let check = |accept: &[&str], message: Option<&str>, expected: Option<Stream>| {
            let mut headers = HeaderMap::new();
            for one in accept {
                headers.append(ACCEPT, one.parse().expect("a header"));
            }
            if let Some(message) = message {
                headers.insert(MESSAGE_ACCEPT, message.parse().expect("a header"));
            }
            assert_eq!(stream(&headers), expected, "{accept:?} {message:?}");
        };
        let json = |is_named| Some(Stream { message: Encoding::Json, is_named });
        let protobuf = |is_named| Some(Stream { message: Encoding::Protobuf, is_named });
        check(&[], None, json(false));
        check(&["*/*"], None, json(false));
        check(&["application/json"], None, json(false));
        check(&["application/x-protobuf"], None, protobuf(false));
        check(&["text/html, application/X-Protobuf;q=0.5"], None, protobuf(false));
        check(&["application/json;q=0", "application/x-protobuf"], None, protobuf(false));
        check(&["text/html"], None, None);
        check(&["application/recordio"], None, json(true));
        check(&["application/recordio"], Some("application/x-protobuf"), protobuf(true));
        check(&["application/recordio"], Some("text/plain"), None);
    }
}
