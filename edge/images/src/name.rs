//! Image names as Docker understands them, and the registries that are asked for them.

use std::net::{IpAddr, SocketAddr};

use oci_client::Reference;

use crate::{Config, PullError, bundle};

const DOCKER_HUB: &str = "docker.io";
/// Where Docker's own registry answers.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// The name in full: registry, repository and tag or digest.
pub(crate) fn parse(name: &str, config: &Config) -> Result<Reference, PullError> {
    let bad = |cause: String| PullError::BadName { image: name.to_owned(), cause };
    let full = if has_registry(name) || config.default_registry == DOCKER_HUB {
        name.to_owned()
    } else {
        format!("{}/{name}", config.default_registry)
    };
    full.parse().map_err(|error: oci_client::ParseError| bad(error.to_string()))
}

/// What an image is known by in the store.
pub(crate) fn full(name: &str, config: &Config) -> Result<String, PullError> {
    match bundle::place(name, config) {
        Some(place) => Ok(place.whole()),
        None => parse(name, config).map(|image| image.whole()),
    }
}

/// Only a first part that looks like a host is one.
pub(crate) fn has_registry(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

/// The same image at each host that may have it, in the order in which they are asked.
pub(crate) fn sources(image: &Reference, config: &Config) -> Vec<Reference> {
    let mirrors = config.mirrors.get(image.registry()).into_iter().flatten().map(String::as_str);
    let own = if image.registry() == DOCKER_HUB { DOCKER_HUB_HOST } else { image.registry() };
    mirrors.chain([own]).map(|host| at(image, host)).collect()
}

fn at(image: &Reference, host: &str) -> Reference {
    let (host, repository) = (host.to_owned(), image.repository().to_owned());
    match (image.digest(), image.tag()) {
        (Some(digest), _) => Reference::with_digest(host, repository, digest.to_owned()),
        (None, tag) => Reference::with_tag(host, repository, tag.unwrap_or("latest").to_owned()),
    }
}

/// Whether a registry is spoken to without TLS: nobody listens in on a loopback.
pub(crate) fn is_plain(host: &str, config: &Config) -> bool {
    config.plain_http.iter().any(|plain| plain == host) || is_loopback(host)
}

fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = host.split(':').next().unwrap_or(host);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, default_registry: &str, full: &str, asked: &[&str]) {
        let mut config = Config { default_registry: default_registry.into(), ..Config::default() };
        config.mirrors.insert("docker.io".into(), vec!["mirror:5000".into()]);
        let parsed = parse(name, &config).expect(name);
        assert_eq!(parsed.whole(), full, "{name}");
        let hosts: Vec<_> =
            sources(&parsed, &config).iter().map(|source| source.registry().to_owned()).collect();
        assert_eq!(hosts, asked, "{name}");
    }

    #[test]
    fn names_are_completed_as_docker_does() {
        let hub = ["mirror:5000", "registry-1.docker.io"];
        let digest = format!("sha256:{}", "ab".repeat(32));
        check("nginx", "docker.io", "docker.io/library/nginx:latest", &hub);
        check("nginx:1.25", "docker.io", "docker.io/library/nginx:1.25", &hub);
        check("team/app", "docker.io", "docker.io/team/app:latest", &hub);
        check("index.docker.io/nginx", "own:5000", "docker.io/library/nginx:latest", &hub);
        check("nginx", "own:5000", "own:5000/nginx:latest", &["own:5000"]);
        check("team/app:2", "own.example", "own.example/team/app:2", &["own.example"]);
        check("localhost/app", "docker.io", "localhost/app:latest", &["localhost"]);
        check("r:5000/a/b/c:1", "docker.io", "r:5000/a/b/c:1", &["r:5000"]);
        check(
            &format!("r:5000/a@{digest}"),
            "docker.io",
            &format!("r:5000/a@{digest}"),
            &["r:5000"],
        );
        check(
            &format!("a:1@{digest}"),
            "docker.io",
            &format!("docker.io/library/a:1@{digest}"),
            &hub,
        );
    }

    #[test]
    fn a_name_that_cannot_be_is_refused_with_the_form_that_is_wanted() {
        for name in ["", "UPPER", "a b", "a:", "a@sha256:12", "../x", "http://r/a", "a\0"] {
            let refusal = parse(name, &Config::default()).expect_err(name).to_string();
            assert!(
                refusal.contains(&format!("{name:?}")) && refusal.contains("[:tag]"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn only_loopback_and_configured_hosts_are_spoken_to_without_tls() {
        let config = Config { plain_http: vec!["lab:5000".into()], ..Config::default() };
        for host in
            ["localhost", "localhost:5000", "127.0.0.1", "127.9.0.1:80", "[::1]:5000", "lab:5000"]
        {
            assert!(is_plain(host, &config), "{host}");
        }
        for host in [
            "registry-1.docker.io",
            "10.0.0.1:5000",
            "lab",
            "127.0.0.1.example.com",
            "localhost.example",
        ] {
            assert!(!is_plain(host, &config), "{host}");
        }
    }
}
