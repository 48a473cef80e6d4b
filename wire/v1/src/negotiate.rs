//! Which encoding a request has, and which its answer is to have.

use crate::codec::{Encoding, JSON, PROTOBUF, RECORDIO};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

const MESSAGE_ACCEPT: &str = "message-accept";
/// Names the encoding of the records, where the content type names only that there are some.
pub const MESSAGE_CONTENT_TYPE: &str = "message-content-type";

/// How a stream of records is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    pub message: Encoding,
    /// It was asked for by its own name, and says so; otherwise by the encoding of its records.
    pub is_named: bool,
}

/// What a body that is sent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Message(Encoding),
    /// Many of them, one after another.
    Records(Encoding),
}

/// Of calls that may go on for as long as they like; as [`content`] otherwise.
pub fn content_or_records(headers: &HeaderMap) -> Option<Result<Content, String>> {
    let told = headers.get(CONTENT_TYPE)?.to_str().unwrap_or_default();
    let name = told.split(';').next().unwrap_or_default().trim();
    if !name.eq_ignore_ascii_case(RECORDIO) {
        return Some(content(headers)?.map(Content::Message));
    }
    let each = headers.get(MESSAGE_CONTENT_TYPE).and_then(|each| each.to_str().ok());
    let each = each.unwrap_or_default();
    let encoding = Encoding::of(each).map(Content::Records);
    Some(encoding.ok_or_else(|| format!("{told} of {each:?}")))
}

/// `None` if there is no content type; the error names one that is not known.
pub fn content(headers: &HeaderMap) -> Option<Result<Encoding, String>> {
    let told = headers.get(CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(Encoding::of(told).ok_or_else(|| told.to_owned()))
}

/// The encoding of an answer that is one message.
pub fn answer(headers: &HeaderMap) -> Option<Encoding> {
    preferred(headers, ACCEPT.as_str())
}

/// The encoding of an answer that is a stream.
pub fn stream(headers: &HeaderMap) -> Option<Stream> {
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
    fn what_is_sent_may_be_one_message_or_many() {
        let check = |kind: &str, each: Option<&str>, expected: Result<Content, &str>| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().expect("a header"));
            if let Some(each) = each {
                headers.insert(MESSAGE_CONTENT_TYPE, each.parse().expect("a header"));
            }
            let told = content_or_records(&headers).expect("it was told");
            assert_eq!(told, expected.map_err(str::to_owned), "{kind} {each:?}");
        };
        check("application/json", None, Ok(Content::Message(Encoding::Json)));
        let json = "application/json; charset=utf-8";
        check("application/recordio", Some(json), Ok(Content::Records(Encoding::Json)));
        let protobuf = "application/x-protobuf";
        check("Application/RecordIO", Some(protobuf), Ok(Content::Records(Encoding::Protobuf)));
        check("application/recordio", None, Err("application/recordio of \"\""));
        check("text/plain", None, Err("text/plain"));
    }

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
