//! Writes, for every message, its schema and how each of its fields is read and written as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet,
};

use crate::names;

pub(crate) fn generate(set: &FileDescriptorSet) -> String {
    let mut out =
        String::from("use crate::json::{Enum, Message, Named, Nested, Object, Plain, self};\n");
    out.push_str("use crate::schema::{Rule, Schema};\n");
    for file in &set.file {
        let scope = format!(".{}", file.package());
        file.enum_type.iter().for_each(|one| enumeration(&mut out, &scope, one));
        let around = Around { proto3: is_proto3(file), defaults: BTreeMap::new() };
        file.message_type.iter().for_each(|one| message(&mut out, &scope, one, &around));
    }
    out
}

fn is_proto3(file: &FileDescriptorProto) -> bool {
    file.syntax() == "proto3"
}

struct Around {
    /// Single fields are plain values, and always there.
    proto3: bool,
    /// Of map entries: by the full name of the entry, its value.
    defaults: BTreeMap<String, FieldDescriptorProto>,
}

/// How a field occurs.
enum Shape {
    Required,
    /// One that has a default of its own is always written.
    Optional {
        has_default: bool,
    },
    Repeated,
    Map(FieldDescriptorProto),
    OneOf(usize),
}

fn message(out: &mut String, scope: &str, one: &DescriptorProto, around: &Around) {
    let name = format!("{scope}.{}", one.name());
    let is_entry =
        |nested: &&DescriptorProto| nested.options.as_ref().is_some_and(|it| it.map_entry());
    let entries = one.nested_type.iter().filter(is_entry);
    let defaults =
        entries.map(|entry| (format!("{name}.{}", entry.name()), entry.field[1].clone())).collect();
    let around = Around { proto3: around.proto3, defaults };
    one.enum_type.iter().for_each(|nested| enumeration(out, &name, nested));
    for nested in one.nested_type.iter().filter(|nested| !is_entry(nested)) {
        message(out, &name, nested, &around);
    }
    let rust = names::path(&name);
    schema(out, &name, one, &around);
    let (mut read, mut write) = (String::new(), String::new());
    for field in &one.field {
        arms(&mut read, &mut write, &name, one, field, &around);
    }
    write!(
        out,
        "impl Message for {rust} {{\n\
         fn schema() -> &'static Schema {{ &{} }}\n\
         fn set(&mut self, key: &str, value: json::Value, at: &json::At<'_>) -> Result<(), json::Fault> {{\n\
         match key {{\n{read}_ => Ok(()),\n}}\n}}\n\
         fn write(&self, out: &mut Object<'_>) {{\n{write}}}\n}}\n",
        constant(&name)
    )
    .expect("strings grow");
}

/// The name of a message's schema.
fn constant(name: &str) -> String {
    name.trim_start_matches('.').replace('.', "_").to_uppercase()
}

fn schema(out: &mut String, name: &str, one: &DescriptorProto, around: &Around) {
    let rules: String = one
        .field
        .iter()
        .map(|field| {
            let nested = match shape(field, around) {
                // To protobuf a map is its entries, and the value of one is its second field.
                Shape::Map(value) if value.r#type() == Type::Message => format!(
                    "Some(&Schema {{ rules: &[Rule {{ tag: 2, name: \"value\", required: false, nested: Some(&{}), named: None }}] }})",
                    constant(value.type_name())
                ),
                Shape::Map(_) => "None".to_owned(),
                _ if field.r#type() == Type::Message => {
                    format!("Some(&{})", constant(field.type_name()))
                }
                Shape::Required | Shape::Optional { .. } | Shape::Repeated | Shape::OneOf(_) => {
                    "None".to_owned()
                }
            };
            let required = field.label() == Label::Required;
            let named = match field.r#type() == Type::Enum {
                true => format!("Some(<{} as Named>::name)", names::path(field.type_name())),
                false => "None".to_owned(),
            };
            format!(
                "Rule {{ tag: {}, name: \"{}\", required: {required}, nested: {nested}, named: {named} }},\n",
                field.number(),
                field.name()
            )
        })
        .collect();
    writeln!(out, "static {}: Schema = Schema {{ rules: &[\n{rules}] }};", constant(name))
        .expect("strings grow");
}

fn shape(field: &FieldDescriptorProto, around: &Around) -> Shape {
    if let Some(index) = field.oneof_index {
        return Shape::OneOf(usize::try_from(index).expect("an index"));
    }
    match field.label() {
        Label::Repeated => match around.defaults.get(field.type_name()) {
            Some(value) => Shape::Map(value.clone()),
            None => Shape::Repeated,
        },
        Label::Required => Shape::Required,
        Label::Optional if around.proto3 => Shape::Required,
        Label::Optional => {
            let deprecated = field.options.as_ref().is_some_and(|it| it.deprecated());
            Shape::Optional { has_default: field.default_value.is_some() && !deprecated }
        }
    }
}

fn codec(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message => "Nested".to_owned(),
        Type::Enum => format!("Enum<{}>", names::path(field.type_name())),
        Type::Double
        | Type::Float
        | Type::Int64
        | Type::Uint64
        | Type::Int32
        | Type::Fixed64
        | Type::Fixed32
        | Type::Bool
        | Type::String
        | Type::Group
        | Type::Bytes
        | Type::Uint32
        | Type::Sfixed32
        | Type::Sfixed64
        | Type::Sint32
        | Type::Sint64 => "Plain".to_owned(),
    }
}

fn arms(
    read: &mut String,
    write: &mut String,
    message: &str,
    one: &DescriptorProto,
    field: &FieldDescriptorProto,
    around: &Around,
) {
    let (name, rust, codec_name) = (field.name(), names::field(field.name()), codec(field));
    let (reads, writes) = match shape(field, around) {
        Shape::Required => (
            format!("json::required::<{codec_name}, _>(&mut self.{rust}, value, at)"),
            format!("out.required::<{codec_name}, _>(\"{name}\", &self.{rust});"),
        ),
        Shape::Optional { has_default: false } => (
            format!("json::optional::<{codec_name}, _>(&mut self.{rust}, value, at)"),
            format!("out.optional::<{codec_name}, _>(\"{name}\", self.{rust}.as_ref());"),
        ),
        Shape::Optional { has_default: true } => {
            let is = |kind: Type| field.r#type() == kind;
            let value = if is(Type::Enum) {
                format!("&(self.{rust}() as i32)")
            } else if is(Type::String) {
                format!("&self.{rust}().to_owned()")
            } else {
                format!("&self.{rust}()")
            };
            (
                format!("json::optional::<{codec_name}, _>(&mut self.{rust}, value, at)"),
                format!("out.required::<{codec_name}, _>(\"{name}\", {value});"),
            )
        }
        Shape::Repeated => (
            format!("json::repeated::<{codec_name}, _>(&mut self.{rust}, value, at)"),
            format!("out.repeated::<{codec_name}, _>(\"{name}\", &self.{rust});"),
        ),
        Shape::Map(value) => {
            let codec_name = codec(&value);
            (
                format!("json::map::<{codec_name}, _>(&mut self.{rust}, value, at)"),
                format!("out.map::<{codec_name}, _>(\"{name}\", &self.{rust});"),
            )
        }
        Shape::OneOf(index) => {
            let oneof = one.oneof_decl[index].name();
            let slot = names::field(oneof);
            let variant = format!("{}::{}", names::oneof(message, oneof), names::variant(name));
            (
                format!(
                    "{{ let mut one = None; json::optional::<{codec_name}, _>(&mut one, value, at)?; \
                     if let Some(one) = one {{ self.{slot} = Some({variant}(one)); }} Ok(()) }}"
                ),
                format!(
                    "if let Some({variant}(one)) = &self.{slot} {{ out.required::<{codec_name}, _>(\"{name}\", one); }}"
                ),
            )
        }
    };
    writeln!(read, "\"{name}\" => {reads},").expect("strings grow");
    writeln!(write, "{writes}").expect("strings grow");
}

fn enumeration(out: &mut String, scope: &str, one: &EnumDescriptorProto) {
    let mut seen = Vec::new();
    let (mut to_name, mut to_number) = (String::new(), String::new());
    for value in &one.value {
        let (name, number) = (value.name(), value.number());
        if !seen.contains(&number) {
            seen.push(number);
            to_name.push_str(&format!("{number} => Some(\"{name}\"),\n"));
        }
        to_number.push_str(&format!("\"{name}\" => Some({number}),\n"));
    }
    let rust = names::path(&format!("{scope}.{}", one.name()));
    writeln!(
        out,
        "impl Named for {rust} {{\n\
         fn name(number: i32) -> Option<&'static str> {{ match number {{\n{to_name}_ => None,\n}} }}\n\
         fn number(name: &str) -> Option<i32> {{ match name {{\n{to_number}_ => None,\n}} }}\n}}"
    )
    .expect("strings grow");
}
