//! What users want of a group: the RAML type `GroupUpdate`, read and judged with everything in it.

use serde::Deserialize;
use serde_json::{Map, Value};
use services::Fault;
use services::group::{GroupId, GroupUpdate};
use services::spec::{AppId, AppSpec};
use services::state::Version;

use model::resources::Scalar;

use super::app::App;
use super::judge::{self, Rules};
use super::number::Number;
use super::reading::{self, Read, ReadPod, Unreadable};
use super::version;

/// Groups within groups; whoever nests deeper is not describing an organisation.
const DEPTH_MAX: usize = 64;

/// What a body asks for; only the first of these that it says is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Everything as it was then.
    Version(Version),
    ScaleBy(Scalar),
    Update(GroupUpdate),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Written {
    id: Option<String>,
    apps: Option<Vec<Value>>,
    pods: Option<Vec<Value>>,
    groups: Option<Vec<Value>>,
    dependencies: Option<Vec<String>>,
    scale_by: Option<Number>,
    version: Option<String>,
    enforce_role: Option<bool>,
}

/// Why a body is no update of a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Bad {
    Unreadable(Unreadable),
    Invalid(Vec<Fault>),
}

/// The body of `POST` and `PUT /v2/groups/{id}`: of which group it speaks, and what it wants of it.
pub fn read(body: &[u8], group: &GroupId, rules: &Rules) -> Result<(GroupId, Wanted), Bad> {
    let body = reading::json(body).map_err(Bad::Unreadable)?;
    let mut reader = Reader { rules, faults: Vec::new() };
    let (written, id) = reader.head(body, group, "").unwrap_or_default();
    let id = id.unwrap_or_else(|| group.clone());
    let wanted = match (&written.version, written.scale_by) {
        (Some(text), _) => version::read(text).map(|at| Wanted::Version(Version(at))),
        (None, Some(by)) => Scalar::from_f64(by.0).map(Wanted::ScaleBy),
        (None, None) => Some(Wanted::Update(reader.body(written, id.clone(), "", 0))),
    };
    if wanted.is_none() {
        reader.fault("", "/", "version must be a time, and scaleBy a number of 0 or more");
    }
    match wanted {
        Some(wanted) if reader.faults.is_empty() => Ok((id, wanted)),
        Some(_) | None => Err(Bad::Invalid(reader.faults)),
    }
}

/// The body of `PATCH /v2/groups/{id}`.
pub fn enforce_role(body: &[u8]) -> Result<Option<bool>, Unreadable> {
    let written: Written = reading::body(body)?;
    Ok(written.enforce_role)
}

struct Reader<'a> {
    rules: &'a Rules,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, at: &str, path: &str, message: impl Into<String>) {
        self.faults.push(Fault { path: format!("{at}{path}"), message: message.into() });
    }

    fn all(&mut self, at: &str, faults: Vec<Fault>) {
        let located = |fault: Fault| {
            let path = if fault.path == "/" { String::new() } else { fault.path };
            Fault { path: format!("{at}{path}"), ..fault }
        };
        self.faults.extend(faults.into_iter().map(located));
    }

    /// The fields of a group that can be read, and its id if it says one: relative to the group that it lies in.
    fn head(
        &mut self,
        value: Value,
        within: &GroupId,
        at: &str,
    ) -> Option<(Written, Option<GroupId>)> {
        let fields = self.object(value, at)?;
        let (written, faults) = reading::readable::<Written>(fields);
        self.all(at, faults);
        let id = written.id.as_deref().map(|text| resolve(text, within));
        let id = id.map(|path| path.parse().map_err(|_| path));
        match id.transpose() {
            Ok(id) => Some((written, id)),
            Err(path) => {
                self.fault(at, "/id", format!("{path:?} is not the id of a group"));
                None
            }
        }
    }

    fn object(&mut self, value: Value, at: &str) -> Option<Map<String, Value>> {
        let path = if at.is_empty() { "/" } else { at };
        let object = reading::object(value, path);
        object.map_err(|fault| self.faults.push(fault)).ok()
    }

    fn body(&mut self, written: Written, id: GroupId, at: &str, depth: usize) -> GroupUpdate {
        let Written { apps, pods, groups, dependencies, enforce_role, .. } = written;
        if DEPTH_MAX <= depth {
            self.fault(at, "/groups", format!("there are more than {DEPTH_MAX} groups in groups"));
        }
        let groups = groups.filter(|_| depth < DEPTH_MAX);
        GroupUpdate {
            apps: apps.map(|all| {
                self.each(all, &format!("{at}/apps"), |reader, value, at| {
                    reader.app(value, &id, at)
                })
            }),
            pods: pods.map(|all| {
                self.each(all, &format!("{at}/pods"), |reader, value, at| {
                    reader.pod(value, &id, at)
                })
            }),
            groups: groups.map(|all| {
                self.each(all, &format!("{at}/groups"), |reader, value, at| {
                    let (written, inner) = reader.head(value, &id, at)?;
                    let Some(inner) = inner else {
                        reader.fault(at, "/id", "undefined");
                        return None;
                    };
                    Some(reader.body(written, inner, at, depth + 1))
                })
            }),
            dependencies: dependencies.map(|all| self.dependencies(&all, &id, at)),
            enforce_role,
            id,
        }
    }

    fn each<T>(
        &mut self,
        values: Vec<Value>,
        at: &str,
        mut read: impl FnMut(&mut Self, Value, &str) -> Option<T>,
    ) -> Vec<T> {
        let numbered = values.into_iter().enumerate();
        numbered.filter_map(|(n, value)| read(self, value, &format!("{at}({n})"))).collect()
    }

    fn app(&mut self, value: Value, group: &GroupId, at: &str) -> Option<AppSpec> {
        let (app, faults) = reading::readable::<App>(self.object(value, at)?);
        let dependencies =
            app.dependencies.map(|all| all.iter().map(|text| resolve(text, group)).collect());
        let id = app.id.map(|text| resolve(&text, group));
        let read = Read { app: App { id, dependencies, ..app }, faults };
        judge::read(read, self.rules).map_err(|faults| self.all(at, faults)).ok()
    }

    fn pod(&mut self, value: Value, group: &GroupId, at: &str) -> Option<AppSpec> {
        let (mut pod, faults) = reading::readable::<super::pod::Pod>(self.object(value, at)?);
        pod.id = pod.id.map(|text| resolve(&text, group));
        let spec = judge::pod::read(ReadPod { pod, faults }, self.rules);
        spec.map_err(|faults| self.all(at, faults)).ok()
    }

    fn dependencies(&mut self, texts: &[String], group: &GroupId, at: &str) -> Vec<AppId> {
        let mut all: Vec<AppId> = Vec::new();
        for (n, text) in texts.iter().enumerate() {
            match judge::path_id(&resolve(text, group)) {
                Ok(id) if all.contains(&id) => {}
                Ok(id) => all.push(id),
                Err(message) => self.fault(at, &format!("/dependencies({n})"), message),
            }
        }
        all
    }
}

/// An absolute path stays as it is; another one begins in the group.
fn resolve(text: &str, group: &GroupId) -> String {
    if text.starts_with('/') {
        return text.to_owned();
    }
    format!("{}/{text}", group.as_str().trim_end_matches('/'))
}
