//! Figures of each framework: what it says and hears, what becomes of its offers and tasks.

use std::collections::BTreeMap;

use kernel::counts::{CallKind, EventKind, FrameworkCounts, Kind, OperationKind};
use kernel::view::{FrameworkView, View};
use model::id::FrameworkId;
use model::task::TaskState;

use super::names::{self, ACTIVE, ENDS};
use super::{Figures, whole};

/// Of those that are registered.
pub(super) fn figures(view: &View, figures: &mut Figures) {
    let active = active(view);
    for (id, framework) in &view.frameworks {
        let name = encoded(&framework.framework.info.name);
        let prefix = format!("master/frameworks/{name}/{id}");
        let mut put = |name: &str, value: f64| figures.insert(format!("{prefix}/{name}"), value);
        put("subscribed", if framework.connected { 1.0 } else { 0.0 });
        for (state, number) in ACTIVE.iter().zip(active.get(id).copied().unwrap_or_default()) {
            put(&format!("tasks/active/task_{}", state.0), whole(number));
        }
        for (role, is_suppressed) in roles(framework) {
            put(&format!("roles/{role}/suppressed"), if is_suppressed { 1.0 } else { 0.0 });
        }
        let none = FrameworkCounts::default();
        let counts = view.history.counts.frameworks.get(id).map_or(&none, |counts| counts);
        counted(counts, &mut put);
    }
}

fn counted(counts: &FrameworkCounts, put: &mut impl FnMut(&str, f64) -> Option<f64>) {
    put("calls", whole(counts.calls.sum()));
    for kind in CallKind::ALL {
        put(&format!("calls/{}", names::call(kind)), whole(counts.calls.get(kind)));
    }
    put("events", whole(counts.events.sum()));
    for kind in EventKind::ALL {
        put(&format!("events/{}", names::event(kind)), whole(counts.events.get(kind)));
    }
    put("operations", whole(counts.operations.sum()));
    for kind in OperationKind::ALL {
        let number = counts.operations.get(kind);
        put(&format!("operations/{}", names::operation(kind)), whole(number));
    }
    let offers = counts.offers;
    put("offers/sent", whole(offers.sent));
    put("offers/accepted", whole(offers.accepted));
    put("offers/declined", whole(offers.declined));
    put("offers/rescinded", whole(offers.rescinded));
    for (name, state) in ENDS {
        let number = counts.ended.get(&state).copied().unwrap_or(0);
        put(&format!("tasks/terminal/task_{name}"), whole(number));
    }
}

/// In the order of [`ACTIVE`].
fn active(view: &View) -> BTreeMap<&FrameworkId, [u64; ACTIVE.len()]> {
    let mut active = BTreeMap::<_, [u64; ACTIVE.len()]>::new();
    for (id, tasks) in &view.tasks {
        let counts = active.entry(id).or_default();
        for task in tasks.values() {
            if let Some(at) = place(task.state) {
                counts[at] += 1;
            }
        }
    }
    active
}

fn place(state: TaskState) -> Option<usize> {
    ACTIVE.iter().position(|(_, known)| *known == state)
}

fn roles(framework: &FrameworkView) -> impl Iterator<Item = (&str, bool)> {
    let suppressed = &framework.suppressed_roles;
    let roles = framework.framework.info.roles.iter();
    roles.map(move |role| (role.as_str(), suppressed.contains(role)))
}

/// As a part of a path: all but letters, digits and a few marks as `%2F`.
fn encoded(name: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    name.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for (name, shown) in [
            ("marathon", "marathon"),
            ("Jenkins Scheduler", "Jenkins%20Scheduler"),
            ("a/b.c-d_e~f", "a%2Fb.c-d_e~f"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(encoded(name), shown);
        }
    }
}
