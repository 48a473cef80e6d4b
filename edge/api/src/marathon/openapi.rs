//! `GET /v2/openapi.json`: the API as a document that programs read, its schemas made of the types that are read and
//! written. [`table`] lists the endpoints; here they become OpenAPI 3.1.

mod schemas;
mod table;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use wire::marathon::error::Error;

use crate::answer;
use table::{ENDPOINTS, Endpoint, Param, Told};

/// The document, written once.
pub(super) fn answer() -> Response<Body> {
    static WRITTEN: OnceLock<Bytes> = OnceLock::new();
    let written = WRITTEN.get_or_init(|| document().to_string().into());
    answer::with_body(StatusCode::OK, answer::JSON, Body::from(written.clone()))
}

/// The document as JSON.
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    let mut schemas = settings.into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_default();
        path.insert(endpoint.method.to_lowercase(), operation(endpoint, &mut schemas));
    }
    let definitions = schemas.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Apps, pods and groups: the API of Marathon",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Marathon 1.11 as it is served here. What goes beyond it says so.",
        },
        "paths": paths,
        "components": { "schemas": definitions },
    })
}

fn operation(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Value {
    let in_path = in_path(endpoint.path).map(|name| parameter(name, "path", table::segment(name)));
    let in_query = endpoint.query.iter().map(|param| query(*param));
    let mut operation = json!({
        "summary": endpoint.summary,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": responses(endpoint, schemas),
    });
    if let Some(body) = endpoint.body {
        let schema = body(schemas);
        let content = json!({ "application/json": { "schema": schema } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    if endpoint.path == "/v2/events" {
        let accept = json!({ "type": "string", "enum": ["text/event-stream"] });
        let parameters = operation["parameters"].as_array_mut().expect("made above");
        parameters.push(json!({
            "name": "Accept", "in": "header", "required": true, "schema": accept,
        }));
    }
    operation
}

/// The names between braces.
fn in_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

fn parameter(name: &str, place: &str, schema: Value) -> Value {
    json!({ "name": name, "in": place, "required": place == "path", "schema": schema })
}

fn query(param: Param) -> Value {
    match param {
        Param::Flag(name) => parameter(name, "query", json!({ "type": "boolean" })),
        Param::Text(name) => parameter(name, "query", json!({ "type": "string" })),
        Param::Words(name, words) => {
            let items = json!({ "type": "string", "enum": words });
            parameter(name, "query", json!({ "type": "array", "items": items }))
        }
    }
}

fn responses(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Value {
    let mut all = Map::new();
    for told in endpoint.told {
        let (status, content) = match told {
            Told::Json(status, schema) => {
                (status, json!({ "application/json": { "schema": schema(schemas) } }))
            }
            Told::Text(status, kind) => {
                (status, json!({ *kind: { "schema": { "type": "string" } } }))
            }
            Told::Nothing(status) => (status, Value::Null),
        };
        let response = all.entry(status.to_string()).or_insert_with(|| described(*status));
        for (kind, schema) in content.as_object().into_iter().flatten() {
            response["content"][kind] = schema.clone();
        }
    }
    for status in endpoint.failures {
        let schema = schemas.subschema_for::<Error>();
        let response = all.entry(status.to_string()).or_insert_with(|| described(*status));
        response["content"]["application/json"] = json!({ "schema": schema });
    }
    Value::Object(all)
}

fn described(status: u16) -> Value {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    json!({ "description": reason.unwrap_or_default() })
}
