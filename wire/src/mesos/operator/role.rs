//! GET_ROLES.

use kernel::view::View;
use mesos_v1::Role as Spelled;
use mesos_v1::master::Response;
use mesos_v1::master::response::{GetRoles, Type};
use model::id::Role;

use super::master::of;
use crate::mesos::roles::{Share, shares, weight};
use crate::mesos::v1::framework_id;
use crate::mesos::v1::resource::shown;

pub fn roles(view: &View) -> Response {
    let spell = |(role, share): (&Role, &Share<'_>)| Spelled {
        name: role.as_str().to_owned(),
        weight: weight(view, role),
        frameworks: share.frameworks.iter().map(|id| framework_id(id)).collect(),
        resources: shown(&share.held(), None),
    };
    let roles = shares(view).iter().map(spell).collect();
    Response { get_roles: Some(GetRoles { roles }), ..of(Type::GetRoles) }
}
