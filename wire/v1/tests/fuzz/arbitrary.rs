//! Messages that nobody would write: from their descriptors, and from other inputs by changes.

#![allow(clippy::cast_possible_truncation, reason = "arbitrary numbers may be cut")]

use std::sync::LazyLock;

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    Value,
};

pub(crate) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let files = ["master/master", "agent/agent", "executor/executor", "scheduler/scheduler"]
        .map(|file| format!("mesos/v1/{file}.proto"));
    let set = protox::compile(files, ["proto"]).expect("our own files");
    DescriptorPool::from_file_descriptor_set(set).expect("our own files")
});

/// Deeper messages get only what is required.
const DEPTH_MAX: u32 = 4;

/// Numbers that decide what an arbitrary message looks like.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    pub(crate) fn below(&mut self, sides: usize) -> usize {
        self.roll(sides as u64) as usize
    }
}

pub(crate) fn arbitrary(of: &MessageDescriptor, dice: &mut Dice, depth: u32) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    if of.full_name() == "google.protobuf.Duration" {
        // The oracle refuses what is no sensible span.
        message.set_field_by_name("seconds", Value::I64(dice.roll(1000) as i64));
        return message;
    }
    for field in of.fields() {
        let required = field.cardinality() == Cardinality::Required;
        let wanted = if depth >= DEPTH_MAX { false } else { dice.roll(3) == 0 };
        if required || wanted {
            message.set_field(&field, value(&field, dice, depth));
        }
    }
    message
}

fn value(field: &FieldDescriptor, dice: &mut Dice, depth: u32) -> Value {
    if field.is_map() {
        let of = field.kind();
        let value = of.as_message().expect("a map's entry").map_entry_value_field();
        let key = MapKey::String(format!("key \"{}\"", dice.roll(100)));
        return Value::Map([(key, single(&value, dice, depth))].into());
    }
    if field.is_list() {
        let count = dice.roll(3);
        return Value::List((0..count).map(|_| single(field, dice, depth)).collect());
    }
    single(field, dice, depth)
}

fn single(field: &FieldDescriptor, dice: &mut Dice, depth: u32) -> Value {
    let big = dice.roll(u64::MAX >> 33).wrapping_mul(0x0123_4567_89ab);
    match field.kind() {
        Kind::Double => Value::F64(dice.roll(1 << 30) as f64 / 1000.0),
        Kind::Float => Value::F32(0.5),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(big as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64((big as i64).wrapping_neg()),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(big as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::MAX - big),
        Kind::Bool => Value::Bool(dice.roll(2) == 0),
        Kind::String => Value::String(format!("\u{e4}\"\\\n{}", big)),
        Kind::Bytes => Value::Bytes(big.to_be_bytes()[..(big % 8) as usize].to_vec().into()),
        Kind::Message(of) => Value::Message(arbitrary(&of, dice, depth + 1)),
        Kind::Enum(of) => {
            let values: Vec<i32> = of.values().map(|value| value.number()).collect();
            Value::EnumNumber(values[dice.below(values.len())])
        }
    }
}
