//! What those hear who follow the cluster by SUBSCRIBE.

use std::io::{self, Write};

use kernel::history::Told;
use kernel::view::View;
use mesos_v1::codec::Encoding;
use mesos_v1::lists::{Field, Lists};
use mesos_v1::master::Event;
use mesos_v1::master::event::{
    AgentAdded, AgentRemoved, FrameworkAdded, FrameworkRemoved, FrameworkUpdated, Subscribed,
    TaskAdded, TaskUpdated, Type,
};
use model::resources::Resources;

use super::{agent, framework, listing, task};
use crate::mesos::sums::sum;
use crate::mesos::v1::{agent_id, framework_id, status};

const SUBSCRIBED: Field = Field("subscribed", 2);
const GET_STATE: Field = Field("get_state", 1);

fn of(kind: Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

/// The first event, which tells all that there is.
pub fn subscribed<W: Write>(
    view: &View,
    heartbeat_seconds: f64,
    encoding: Encoding,
    out: W,
) -> io::Result<W> {
    let mut out = Lists::new(out, encoding)?;
    out.fields(&[], &of(Type::Subscribed))?;
    let head = Subscribed { get_state: None, heartbeat_interval_seconds: Some(heartbeat_seconds) };
    out.fields(&[SUBSCRIBED], &head)?;
    listing::state(&mut out, &[SUBSCRIBED, GET_STATE], view)?;
    out.end()
}

pub fn heartbeat() -> Event {
    of(Type::Heartbeat)
}

/// `None` for what Mesos has no word for. `view` is not older than what is told.
pub fn event(told: &Told, view: &View) -> Option<Event> {
    Some(match told {
        Told::TaskAdded(one) => {
            let added = TaskAdded { task: task::task(one) };
            Event { task_added: Some(added), ..of(Type::TaskAdded) }
        }
        Told::TaskUpdated(one) => {
            let updated = TaskUpdated {
                framework_id: framework_id(&one.framework),
                status: status::status(one.status.as_ref()?),
                state: status::state(one.state) as i32,
            };
            Event { task_updated: Some(updated), ..of(Type::TaskUpdated) }
        }
        Told::AgentAdded(id, seen) => {
            let added = AgentAdded { agent: agent::agent(id, seen, &Resources::default()) };
            Event { agent_added: Some(added), ..of(Type::AgentAdded) }
        }
        Told::AgentRemoved(id) => {
            let removed = AgentRemoved { agent_id: agent_id(id) };
            Event { agent_removed: Some(removed), ..of(Type::AgentRemoved) }
        }
        Told::FrameworkAdded(id, seen) => {
            let added =
                FrameworkAdded { framework: framework::framework(id, seen, &sum(view, id)) };
            Event { framework_added: Some(added), ..of(Type::FrameworkAdded) }
        }
        Told::FrameworkUpdated(id, seen) => {
            let framework = framework::framework(id, seen, &sum(view, id));
            let updated = FrameworkUpdated { framework };
            Event { framework_updated: Some(updated), ..of(Type::FrameworkUpdated) }
        }
        Told::FrameworkRemoved(id, seen) => {
            let info = framework::info(id, &seen.framework.info);
            let removed = FrameworkRemoved { framework_info: info };
            Event { framework_removed: Some(removed), ..of(Type::FrameworkRemoved) }
        }
    })
}
