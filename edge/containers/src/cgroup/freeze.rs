//! Groups that somebody else has frozen: whoever is in one heeds nothing before it is thawed, with version 1 not even
//! SIGKILL.

use std::path::Path;

use super::{Hierarchies, below, groups_in};

impl Hierarchies {
    /// Lets a group and those that processes in it have made go on, if they were stopped.
    pub(crate) fn thaw(&self, cgroup: &str) {
        let (mount, file, word) = match self.is_v2() {
            true => (self.v2.as_deref(), "cgroup.freeze", "0"),
            false => (self.v1("freezer"), "freezer.state", "THAWED"),
        };
        if let Some(mount) = mount {
            thaw_tree(&below(mount, cgroup), file, word);
        }
    }
}

fn thaw_tree(dir: &Path, file: &str, word: &str) {
    // A group that is gone stops nobody.
    let _ = std::fs::write(dir.join(file), word);
    groups_in(dir).iter().for_each(|below| thaw_tree(below, file, word));
}
