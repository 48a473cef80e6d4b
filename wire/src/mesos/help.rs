//! `/help`: which endpoints there are besides the v1 calls, with which methods, and what each is for.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Who answers, in Mesos' words: what its path may begin with.
    pub process: &'static str,
    pub name: &'static str,
    pub methods: &'static [&'static str],
    pub text: &'static str,
}

const GET: &[&str] = &["GET"];
const POST: &[&str] = &["POST"];
const BOTH: &[&str] = &["GET", "POST"];

const fn of(
    process: &'static str,
    name: &'static str,
    methods: &'static [&'static str],
    text: &'static str,
) -> Endpoint {
    Endpoint { process, name, methods, text }
}

const M: &str = "master";
const S: &str = "slave(1)";

pub const MASTER: [Endpoint; 32] = [
    of(M, "/api/v1", POST, "The operator API: a call of mesos.v1.master, in JSON or protobuf."),
    of(M, "/api/v1/scheduler", POST, "The scheduler API: a call of mesos.v1.scheduler."),
    of(
        M,
        "/create-volumes",
        POST,
        "Creates persistent volumes: the form slaveId=...&volumes=[...].",
    ),
    of(M, "/destroy-volumes", POST, "Destroys them: the form slaveId=...&volumes=[...]."),
    of(M, "/flags", GET, "How the master was started, in Mesos' words."),
    of(M, "/frameworks", GET, "Frameworks, or one: framework_id."),
    of(M, "/health", GET, "200 while the master answers."),
    of(M, "/machine/down", POST, "Machines of the schedule go down: a list of their ids."),
    of(M, "/machine/up", POST, "They are up again: a list of their ids."),
    of(M, "/maintenance/schedule", BOTH, "The maintenance schedule; POST sets it."),
    of(
        M,
        "/maintenance/status",
        GET,
        "Machines that drain, with what frameworks said, and those that are down.",
    ),
    of(M, "/quota", BOTH, "Quotas; POST sets one, DELETE /quota/<role> removes it."),
    of(M, "/redirect", GET, "Redirects to the leading master."),
    of(M, "/reserve", POST, "Reserves resources: the form slaveId=...&resources=[...]."),
    of(M, "/roles", GET, "Roles, with their weights, quotas, resources and frameworks."),
    of(M, "/slaves", GET, "Agents, or one: slave_id."),
    of(M, "/state", GET, "All there is."),
    of(M, "/state-summary", GET, "Agents and frameworks, with how many tasks are in which state."),
    of(M, "/tasks", GET, "Tasks: limit, offset, order=asc|des, framework_id, task_id."),
    of(M, "/teardown", POST, "Ends a framework and its tasks: the form frameworkId=..."),
    of(
        M,
        "/unreserve",
        POST,
        "Gives reserved resources back: the form slaveId=...&resources=[...].",
    ),
    of(M, "/weights", &["GET", "PUT"], "Weights of roles; PUT changes them."),
    of("files", "/browse", GET, "What is in a directory that the master shows: path."),
    of("files", "/debug", GET, "Which files are shown, by the names to ask for."),
    of("files", "/download", GET, "A whole file: path."),
    of("files", "/read", GET, "A part of a file: path, offset, length."),
    of("help", "", GET, "This list; format=json for programs."),
    of(
        "logging",
        "/toggle",
        BOTH,
        "How much is logged: level=0..3 and duration=5mins change it for a while.",
    ),
    of("metrics", "/snapshot", GET, "Figures: timeout is taken, and never needed."),
    of("system", "/stats", GET, "Load, processors and memory of the machine."),
    of("version", "", GET, "Which version of Mesos' API this is."),
    of("redirect", "", GET, "Redirects to the leading master."),
];

pub const AGENT: [Endpoint; 19] = [
    of(S, "/api/v1", POST, "The agent's API: a call of mesos.v1.agent, in JSON or protobuf."),
    of(S, "/api/v1/executor", POST, "The executor API: a call of mesos.v1.executor."),
    of(
        S,
        "/api/v1/resource_provider",
        POST,
        "The resource provider API: a call of mesos.v1.resource_provider.",
    ),
    of(S, "/containerizer/debug", GET, "Which containers are about to be launched."),
    of(
        S,
        "/containers",
        GET,
        "Containers and what they use: container_id, framework_id, executor_id.",
    ),
    of(S, "/flags", GET, "How the agent was started, in Mesos' words."),
    of(S, "/health", GET, "200 while the agent answers."),
    of(S, "/monitor/statistics", GET, "What containers use."),
    of(S, "/state", GET, "The agent, its frameworks, their executors and tasks."),
    of("files", "/browse", GET, "What is in a directory of a sandbox: path."),
    of("files", "/debug", GET, "Which paths are shown."),
    of("files", "/download", GET, "A whole file: path."),
    of("files", "/follow", GET, "A file as it grows: path, offset or lines."),
    of("files", "/read", GET, "A part of a file: path, offset, length."),
    of("help", "", GET, "This list; format=json for programs."),
    of(
        "logging",
        "/toggle",
        BOTH,
        "How much is logged: level=0..3 and duration=5mins change it for a while.",
    ),
    of("metrics", "/snapshot", GET, "Figures: timeout is taken, and never needed."),
    of("system", "/stats", GET, "Load, processors and memory of the machine."),
    of("version", "", GET, "Which version of Mesos' API this is."),
];

impl Endpoint {
    pub fn path(&self) -> String {
        format!("/{}{}", self.process, self.name)
    }

    /// With what it may be asked; Mesos tells it in Markdown.
    fn page(&self) -> String {
        let Self { methods, text, .. } = self;
        format!(
            "### USAGE ###\n>        {}\n\n{text}\n\nMethods: {}\n",
            self.path(),
            methods.join(", ")
        )
    }
}

/// Of the endpoint at this path, `process` left out where it is `own`.
pub fn methods(all: &[Endpoint], own: &str, path: &str) -> Option<&'static [&'static str]> {
    let is_it = |one: &&Endpoint| match one.process == own {
        true => one.name == path,
        false => path.strip_prefix('/').is_some_and(|rest| {
            rest.strip_prefix(one.process).is_some_and(|name| name == one.name)
        }),
    };
    all.iter().find(is_it).map(|one| one.methods)
}

fn by_process(all: &[Endpoint]) -> BTreeMap<&'static str, Vec<&Endpoint>> {
    let mut processes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for one in all {
        processes.entry(one.process).or_default().push(one);
    }
    processes
}

/// `/help?format=json`.
pub fn json(all: &[Endpoint]) -> Value {
    let endpoint = |one: &&Endpoint| json!({ "name": one.name, "text": one.page() });
    let process = |(id, endpoints): (&str, Vec<&Endpoint>)| json!({ "id": id, "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>() });
    json!({ "processes": by_process(all).into_iter().map(process).collect::<Vec<_>>() })
}

/// `/help`, `/help/<process>` or `/help/<process>/<name>`, in Markdown; nothing if there is no such thing.
pub fn page(all: &[Endpoint], asked: &[&str]) -> Option<String> {
    let Some((process, name)) = asked.split_first() else {
        let mut text = "## HELP\n".to_owned();
        for (id, endpoints) in by_process(all) {
            let _ = writeln!(text, "> /{id}");
            for one in endpoints {
                let _ = writeln!(text, ">     {}: {}", one.path(), one.text);
            }
        }
        return Some(text);
    };
    let of_it: Vec<_> = all.iter().filter(|one| one.process == *process).collect();
    if name.is_empty() {
        let pages = of_it.iter().map(|one| one.page()).collect::<Vec<_>>();
        return (!pages.is_empty()).then(|| format!("## `/{process}` ##\n{}", pages.join("\n")));
    }
    let name = format!("/{}", name.join("/"));
    of_it.iter().find(|one| one.name == name).map(|one| one.page())
}

/// For browsers.
pub fn html(page: &str) -> String {
    let text = page.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!DOCTYPE html>\n<html><head><title>Help</title></head><body><pre>{text}</pre></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_found_by_its_path() {
        for (all, own) in [(&MASTER[..], M), (&AGENT[..], S)] {
            for one in all {
                let path = if one.process == own { one.name.to_owned() } else { one.path() };
                assert_eq!(methods(all, own, &path), Some(one.methods), "{path}");
            }
            assert_eq!(methods(all, own, "/nothing"), None);
        }
    }

    #[test]
    fn help_is_there_for_all_for_a_process_and_for_one() {
        let text = |asked: &[&str]| page(&MASTER, asked);
        assert!(text(&[]).is_some_and(|text| text.contains("/master/state-summary")));
        assert!(text(&["files"]).is_some_and(|text| text.contains("/files/browse")));
        let one = text(&["master", "maintenance", "schedule"]);
        assert!(one.is_some_and(|text| text.contains("Methods: GET, POST")));
        assert_eq!((text(&["nobody"]), text(&["master", "nothing"])), (None, None));
        assert!(html("<b>").contains("&lt;b&gt;"));
        let told = json(&AGENT);
        let processes = told["processes"].as_array().expect("a list");
        assert!(processes.iter().any(|one| one["id"] == "slave(1)"), "{told}");
    }
}
