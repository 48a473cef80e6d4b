//! Which door a path leads to.

/// Segments of a service's name: `/service/data/kafka/...` may be served by `data/kafka`.
const NAME_SEGMENTS_MAX: usize = 10;

/// Where a request goes. `rest` is the path as the one behind the door sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Home,
    Marathon {
        rest: &'a str,
    },
    Mesos {
        rest: &'a str,
    },
    Agent {
        id: &'a str,
        rest: &'a str,
    },
    /// What follows `/service/`.
    Service {
        path: &'a str,
    },
    Metadata,
    Version,
    /// Asked by `dcos cluster setup`: 200 says that no login is needed.
    BuildInfo,
    LoginProviders,
    Certificate,
    /// Asked by `dcos node list`: the address of a name of the cluster.
    Host {
        name: &'a str,
    },
    /// To the same path with a slash at its end.
    AddSlash,
    Unknown,
}

pub(crate) fn route(path: &str) -> Route<'_> {
    match path {
        "/" => return Route::Home,
        "/metadata" | "/metadata/" => return Route::Metadata,
        "/dcos-metadata/dcos-version.json" => return Route::Version,
        "/pkgpanda/active.buildinfo.full.json" => return Route::BuildInfo,
        "/acs/api/v1/auth/providers" => return Route::LoginProviders,
        "/ca/dcos-ca.crt" => return Route::Certificate,
        "/service/marathon" | "/marathon" | "/mesos" => return Route::AddSlash,
        _ => (),
    }
    for door in ["/service/marathon", "/marathon"] {
        if let Some(rest) = within(path, door) {
            return Route::Marathon { rest };
        }
    }
    if let Some(rest) = within(path, "/mesos") {
        return Route::Mesos { rest };
    }
    for door in ["/agent", "/slave"] {
        if let Some(rest) = within(path, door) {
            return agent(&rest[1..]);
        }
    }
    if let Some(name) = path.strip_prefix("/mesos_dns/v1/hosts/") {
        return Route::Host { name };
    }
    match path.strip_prefix("/service/") {
        Some("") | None => Route::Unknown,
        Some(name) if !name.contains('/') => Route::AddSlash,
        Some(path) => Route::Service { path },
    }
}

/// The rest of `path` below `door`, with its leading slash.
fn within<'a>(path: &'a str, door: &str) -> Option<&'a str> {
    path.strip_prefix(door).filter(|rest| rest.starts_with('/'))
}

fn agent(path: &str) -> Route<'_> {
    let (id, rest) = path.find('/').map_or((path, "/"), |slash| path.split_at(slash));
    if id.is_empty() { Route::Unknown } else { Route::Agent { id, rest } }
}

/// The names that `path` may begin with and what follows each, shortest first.
pub(crate) fn names(path: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.take(NAME_SEGMENTS_MAX)
        .map(|end| path.split_at(end))
        .filter(|(name, _)| !name.is_empty() && !name.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_leads_to_one_door() {
        let check = |path, expected| assert_eq!(route(path), expected, "{path}");
        check("/", Route::Home);
        check("/metadata", Route::Metadata);
        check("/dcos-metadata/dcos-version.json", Route::Version);
        check("/pkgpanda/active.buildinfo.full.json", Route::BuildInfo);
        check("/acs/api/v1/auth/providers", Route::LoginProviders);
        check("/ca/dcos-ca.crt", Route::Certificate);
        check("/mesos_dns/v1/hosts/leader.mesos", Route::Host { name: "leader.mesos" });
        check("/mesos_dns/v1/hosts", Route::Unknown);
        check("/service/marathon", Route::AddSlash);
        check("/service/marathon/", Route::Marathon { rest: "/" });
        check("/service/marathon/v2/apps//a", Route::Marathon { rest: "/v2/apps//a" });
        check("/marathon/ping", Route::Marathon { rest: "/ping" });
        check("/marathonish", Route::Unknown);
        check("/mesos", Route::AddSlash);
        check("/mesos/master/state", Route::Mesos { rest: "/master/state" });
        check("/agent/x-S1/files/browse", Route::Agent { id: "x-S1", rest: "/files/browse" });
        check("/slave/x-S1", Route::Agent { id: "x-S1", rest: "/" });
        check("/agent/", Route::Unknown);
        check("/service/kafka", Route::AddSlash);
        check("/service/kafka/v1", Route::Service { path: "kafka/v1" });
        check("/service/", Route::Unknown);
        check("/nowhere", Route::Unknown);
    }

    #[test]
    fn a_service_may_have_a_name_of_several_segments() {
        let check = |path, expected: &[(&str, &str)]| {
            assert_eq!(names(path).collect::<Vec<_>>(), expected, "{path}");
        };
        check("kafka/", &[("kafka", "/")]);
        check("a/b/c", &[("a", "/b/c"), ("a/b", "/c"), ("a/b/c", "")]);
        assert_eq!(names(&"x/".repeat(50)).count(), NAME_SEGMENTS_MAX);
    }
}
