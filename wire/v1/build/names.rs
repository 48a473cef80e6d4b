//! What prost calls things in Rust.

use heck::{ToSnakeCase, ToUpperCamelCase};

/// Of those that a field of ours is called.
const KEYWORDS: [&str; 6] = ["type", "ref", "use", "move", "match", "static"];

pub(crate) fn field(name: &str) -> String {
    let name = name.to_snake_case();
    if KEYWORDS.contains(&name.as_str()) { format!("r#{name}") } else { name }
}

/// Of a variant of a `oneof`.
pub(crate) fn variant(name: &str) -> String {
    name.to_upper_camel_case()
}

/// `.mesos.v1.Offer.Operation` is `crate::tree::mesos::v1::offer::Operation`.
pub(crate) fn path(full: &str) -> String {
    let parts: Vec<&str> = full.trim_start_matches('.').split('.').collect();
    let (last, outer) = parts.split_last().expect("a name has a part");
    let outer: String = outer.iter().map(|part| format!("{}::", module(part))).collect();
    format!("crate::tree::{outer}{}", last.to_upper_camel_case())
}

/// The enum of a `oneof` lies in its message's module.
pub(crate) fn oneof(message: &str, name: &str) -> String {
    path(&format!("{message}.{name}"))
}

fn module(part: &str) -> String {
    field(part)
}
