//! The bodies of requests and answers, where a wire type alone does not say it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use wire::marathon::app::App;
use wire::marathon::app_info::AppInfo;
use wire::marathon::deployment::{DeploymentResult, Planned};
use wire::marathon::pod::Pod;
use wire::marathon::queue::Item;
use wire::marathon::task::Task;
use wire::marathon::version::Spelled;

/// A schema, and those that it refers to as definitions of the generator.
pub(super) type Make = fn(&mut SchemaGenerator) -> Schema;

pub(super) fn of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<T>()
}

pub(super) fn array<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<Vec<T>>()
}

/// An object with this one field.
fn within(field: &str, schema: &Schema) -> Schema {
    json_schema!({ "type": "object", "required": [field], "properties": { field: schema } })
}

pub(super) fn app(schemas: &mut SchemaGenerator) -> Schema {
    within("app", &of::<AppInfo<'static>>(schemas))
}

pub(super) fn apps(schemas: &mut SchemaGenerator) -> Schema {
    within("apps", &array::<AppInfo<'static>>(schemas))
}

pub(super) fn tasks(schemas: &mut SchemaGenerator) -> Schema {
    within("tasks", &array::<Task<'static>>(schemas))
}

/// The tasks that were killed, or the deployment that scaled their apps.
pub(super) fn killed(schemas: &mut SchemaGenerator) -> Schema {
    let (tasks, result) = (tasks(schemas), of::<DeploymentResult>(schemas));
    json_schema!({ "anyOf": [tasks, result] })
}

pub(super) fn killed_one(schemas: &mut SchemaGenerator) -> Schema {
    let (task, result) =
        (within("task", &of::<Task<'static>>(schemas)), of::<DeploymentResult>(schemas));
    json_schema!({ "anyOf": [task, result] })
}

pub(super) fn versions(schemas: &mut SchemaGenerator) -> Schema {
    within("versions", &array::<Spelled>(schemas))
}

pub(super) fn queue(schemas: &mut SchemaGenerator) -> Schema {
    within("queue", &array::<Item>(schemas))
}

/// A deployment, or what one would do.
pub(super) fn deployed_or_planned(schemas: &mut SchemaGenerator) -> Schema {
    let (result, planned) = (of::<DeploymentResult>(schemas), of::<Planned>(schemas));
    json_schema!({ "anyOf": [result, planned] })
}

/// Apps and groups lie in groups; ids may be relative to the group.
pub(super) fn group_update(schemas: &mut SchemaGenerator) -> Schema {
    let (apps, pods) = (array::<App>(schemas), array::<Pod>(schemas));
    json_schema!({
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "apps": apps,
            "pods": pods,
            "groups": { "type": "array", "items": { "type": "object" } },
            "dependencies": { "type": "array", "items": { "type": "string" } },
            "scaleBy": { "type": "number", "minimum": 0 },
            "version": { "type": "string", "format": "date-time" },
            "enforceRole": { "type": "boolean" },
        },
    })
}

pub(super) fn enforce_role(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "properties": { "enforceRole": { "type": "boolean" } } })
}

pub(super) fn ids(_: &mut SchemaGenerator) -> Schema {
    within("ids", &json_schema!({ "type": "array", "items": { "type": "string" } }))
}

pub(super) fn leader(_: &mut SchemaGenerator) -> Schema {
    within("leader", &json_schema!({ "type": "string" }))
}

pub(super) fn message(_: &mut SchemaGenerator) -> Schema {
    within("message", &json_schema!({ "type": "string" }))
}

/// Levels by name.
pub(super) fn loggers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "type": "string" } })
}

pub(super) fn plugins(_: &mut SchemaGenerator) -> Schema {
    within("plugins", &json_schema!({ "type": "array" }))
}

pub(super) fn info(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["name", "version", "elected", "marathon_config", "http_config"],
        "properties": {
            "name": { "type": "string" },
            "version": { "type": "string" },
            "elected": { "type": "boolean" },
            "leader": { "type": "string" },
            "marathon_config": { "type": "object" },
            "http_config": { "type": "object" },
        },
    })
}

pub(super) fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}
