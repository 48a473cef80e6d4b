//! Keeps web pages of other sites out.
//!
//! Nobody logs in here, so any page that this machine's browser shows could ask a cluster on loopback to run a command
//! as root. Browsers say where a request comes from; programs do not, and are let in.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN, UPGRADE};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What newer browsers say of any request, and no page can change.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// For all that a server answers. Reading, which changes nothing, is open to every page as it is in Mesos.
pub(crate) async fn keep_out(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        || request.headers().contains_key(UPGRADE);
    if changes && is_foreign(request.headers(), request.uri()) {
        let why = "A page of another site asks for this, which may not be what you want. Use a page of this cluster, \
                   the command line, or any program that is no browser.\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    next.run(request).await
}

fn is_foreign(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get(SITE) {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let asked = headers.get(HOST).and_then(|host| host.to_str().ok());
    let asked = asked.or_else(|| uri.authority().map(|authority| authority.as_str()));
    origin.map(|(_, host)| host) != asked
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_page_of_another_site_is_foreign() {
        let check = |headers: &[(HeaderName, &'static str)], foreign: bool| {
            let of = |(name, value): &(HeaderName, &'static str)| {
                (name.clone(), HeaderValue::from_static(value))
            };
            let all: HeaderMap = headers.iter().map(of).collect();
            assert_eq!(is_foreign(&all, &Uri::from_static("/v2/apps")), foreign, "{headers:?}");
        };
        let here = (HOST, "127.0.0.1:8080");
        check(std::slice::from_ref(&here), false);
        check(&[here.clone(), (SITE, "none")], false);
        check(&[here.clone(), (SITE, "same-origin")], false);
        check(&[here.clone(), (SITE, "same-site")], true);
        check(&[here.clone(), (SITE, "cross-site"), (ORIGIN, "http://127.0.0.1:8080")], true);
        check(&[here.clone(), (ORIGIN, "http://127.0.0.1:8080")], false);
        check(&[here.clone(), (ORIGIN, "http://127.0.0.1:3000")], true);
        check(&[here.clone(), (ORIGIN, "https://example.com")], true);
        check(&[here, (ORIGIN, "null")], true);
    }
}
