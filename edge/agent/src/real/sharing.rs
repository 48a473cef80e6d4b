//! Namespaces that tasks of a group have in common.

use containers::spec::Shares;
use model::confinement::{Confinement, Namespaces, Sharing};
use node::Group;

/// What a task has of its parent it shares with the others of its group that do, unless the parent has it of the machine.
///
/// Who does not say whose shared memory it has gets that of its group, if anything was said of that.
pub(super) fn of_group(group: Option<&Group>, asked: Confinement) -> (Confinement, Option<Shares>) {
    let Some(group) = group.filter(|group| group.executor.program.is_none()) else {
        return (asked, None);
    };
    let Namespaces { pid, ipc, shm_bytes } = group.executor.namespaces;
    let is_said = ipc.is_some() || shm_bytes.is_some();
    let usual = (is_said && asked.shm_bytes.is_none()).then_some(Sharing::Parent);
    let asked = Confinement { ipc: asked.ipc.or(usual), ..asked };
    let parent = Some(Sharing::Parent);
    let (pid, ipc) = (asked.pid == parent && pid != parent, asked.ipc == parent && ipc != parent);
    let group = group.container.clone();
    let shares = (pid || ipc).then_some(Shares { group, pid, ipc, shm_bytes, net: false });
    (asked, shares)
}
