//! A container's id as Mesos has it: its own name and those of the containers that it lies in.

use containers::spec::WITHIN;
use mesos_v1::ContainerId as Spelled;
use model::id::ContainerId;
use serde::{Deserialize, Serialize};

/// Containers in each other, tasks' own included.
const DEPTH_MAX: usize = 8;
/// Of one name. A name of ours has 36.
const NAME_BYTES_MAX: usize = 64;

/// The outermost first; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Lineage(Vec<String>);

impl Lineage {
    /// Refuses what could not name directories.
    pub(crate) fn read(spelled: &Spelled) -> Result<Self, String> {
        let mut names = Vec::new();
        let mut next = Some(spelled);
        while let Some(one) = next {
            if names.len() == DEPTH_MAX {
                return Err(format!("'container_id' has more than {DEPTH_MAX} names"));
            }
            if !is_name(&one.value) {
                let rule = format!("1 to {NAME_BYTES_MAX} letters, digits, '-' or '_'");
                return Err(format!("'container_id.value' {:?} is not {rule}", one.value));
            }
            names.push(one.value.clone());
            next = one.parent.as_deref();
        }
        names.reverse();
        Ok(Self(names))
    }

    pub(crate) fn of_task(container: &ContainerId, executor: Option<&ContainerId>) -> Self {
        Self(executor.into_iter().chain([container]).map(ToString::to_string).collect())
    }

    pub(crate) fn spelled(&self) -> Spelled {
        let mut spelled = Spelled { value: self.0[0].clone(), parent: None };
        for name in &self.0[1..] {
            spelled = Spelled { value: name.clone(), parent: Some(Box::new(spelled)) };
        }
        spelled
    }

    /// Its own name.
    pub(crate) fn name(&self) -> &str {
        self.0.last().expect("there is at least one")
    }

    /// What it lies in.
    pub(crate) fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last().expect("there is at least one");
        (!above.is_empty()).then(|| Self(above.to_vec()))
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }

    /// What the runtime may call it: an executor that tasks share is no container there.
    pub(crate) fn runtime_names(&self) -> (ContainerId, Option<ContainerId>) {
        let named = |names: &[String]| ContainerId::new(names.join(&WITHIN.to_string()));
        (named(&self.0), (self.0.len() > 1).then(|| named(&self.0[1..])))
    }
}

impl std::fmt::Display for Lineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// What the runtime calls a container that lies in another.
pub(crate) fn within(host: &ContainerId, name: &str) -> ContainerId {
    ContainerId::new(format!("{host}{WITHIN}{name}"))
}

fn is_name(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    plain && (1..=NAME_BYTES_MAX).contains(&text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_with_all_that_it_lies_in() {
        let check = |names: &[&str], shown: Option<&str>| {
            let first = Spelled { value: names[0].to_owned(), parent: None };
            let spelled = names[1..].iter().fold(first, |outer, name| Spelled {
                value: (*name).to_owned(),
                parent: Some(Box::new(outer)),
            });
            let read = Lineage::read(&spelled);
            assert!(
                read.as_ref().is_err() || read.as_ref().is_ok_and(|one| one.spelled() == spelled)
            );
            assert_eq!(read.as_ref().ok().map(ToString::to_string).as_deref(), shown, "{names:?}");
        };
        check(&["a"], Some("a"));
        check(&["a", "b", "c"], Some("a.b.c"));
        check(&["a", ""], None);
        check(&["a.b"], None);
        check(&["../a"], None);
        check(&["a", "b c"], None);
        check(&["a"; 9], None);
        check(&[&"x".repeat(65)], None);
    }
}
