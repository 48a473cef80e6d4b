//! What a library that works by reflection says of the same bytes, for every message there is.

#[path = "fuzz/arbitrary.rs"]
mod arbitrary;

use mesos_v1::codec::{Encoding, Unreadable};
use mesos_v1::json::{self, Message};
use prost_reflect::{DeserializeOptions, DynamicMessage, SerializeOptions};

use arbitrary::{Dice, POOL, arbitrary};

/// Bytes, our message, bytes, our JSON, the oracle's message: all the same.
fn agrees<M: Message>(name: &str, seed: u64) -> Result<(), String> {
    let of = POOL.get_message_by_name(name).expect("a message of ours");
    let bytes = prost::Message::encode_to_vec(&arbitrary(&of, &mut Dice(seed), 0));
    let told = DynamicMessage::decode(of.clone(), &*bytes).map_err(|error| error.to_string())?;
    let ours: M = Encoding::Protobuf.decode(&bytes).map_err(|error| error.to_string())?;
    let again = DynamicMessage::decode(of.clone(), &*Encoding::Protobuf.encode(&ours));
    let again = again.map_err(|error| error.to_string())?;
    if again != told {
        return Err(format!("protobuf differs: {told:?} is not {again:?}"));
    }
    let text = Encoding::Json.encode(&ours);
    let back: M = Encoding::Json.decode(&text).map_err(|error| error.to_string())?;
    if Encoding::Json.encode(&back) != text {
        return Err("our JSON is not read as it was written".to_owned());
    }
    let options =
        SerializeOptions::new().stringify_64_bit_integers(false).use_proto_field_name(true);
    let mut theirs = serde_json::Serializer::new(Vec::new());
    told.serialize_with_options(&mut theirs, &options).map_err(|error| error.to_string())?;
    // What they wrote is read by us, but for the standard's own spelling of a duration.
    let theirs = theirs.into_inner();
    if !String::from_utf8_lossy(&theirs).contains("max_grace_period") {
        let read: M = Encoding::Json.decode(&theirs).map_err(|error| format!("theirs: {error}"))?;
        let same = DynamicMessage::decode(of.clone(), &*read.encode_to_vec());
        if same.map_err(|error| error.to_string())? != told {
            return Err("their JSON is read differently".to_owned());
        }
        // And the other way round; defaults that we spell out are set there.
        let mut input = serde_json::Deserializer::from_slice(&text);
        let options = DeserializeOptions::new();
        let read = DynamicMessage::deserialize_with_options(of.clone(), &mut input, &options);
        let read = read.map_err(|error| format!("ours: {error}"))?;
        let ours = M::decode(&*prost::Message::encode_to_vec(&read)).map_err(|e| e.to_string())?;
        if Encoding::Json.encode(&ours) != text {
            return Err("our JSON is read differently".to_owned());
        }
    }
    Ok(())
}

fn agrees_always<M: Message>(name: &str) {
    for seed in 0..400 {
        if let Err(cause) = agrees::<M>(name, seed) {
            panic!("{name}, seed {seed}: {cause}");
        }
    }
}

#[test]
fn every_message_is_spelled_as_the_oracle_spells_it() {
    agrees_always::<mesos_v1::scheduler::Call>("mesos.v1.scheduler.Call");
    agrees_always::<mesos_v1::scheduler::Event>("mesos.v1.scheduler.Event");
    agrees_always::<mesos_v1::executor::Call>("mesos.v1.executor.Call");
    agrees_always::<mesos_v1::executor::Event>("mesos.v1.executor.Event");
    agrees_always::<mesos_v1::master::Call>("mesos.v1.master.Call");
    agrees_always::<mesos_v1::master::Response>("mesos.v1.master.Response");
    agrees_always::<mesos_v1::master::Event>("mesos.v1.master.Event");
    agrees_always::<mesos_v1::agent::Call>("mesos.v1.agent.Call");
    agrees_always::<mesos_v1::agent::Response>("mesos.v1.agent.Response");
}

#[test]
fn what_is_required_is_asked_for_by_its_path() {
    let check = |text: &str, cause: &str| {
        let read = Encoding::Json.decode::<mesos_v1::scheduler::Call>(text.as_bytes());
        assert_eq!(read.expect_err("not valid").to_string(), cause, "{text}");
    };
    check(r#"{"subscribe":{}}"#, "'subscribe.framework_info' is required and missing");
    check(
        r#"{"subscribe":{"framework_info":{"user":"root","name":null}}}"#,
        "'subscribe.framework_info.name' is required and missing",
    );
    check(
        r#"{"accept":{"operations":[{"type":"LAUNCH","launch":{"task_infos":[{"name":"a"}]}}]}}"#,
        "'accept.operations[0].launch.task_infos[0].task_id' is required and missing",
    );
    check(
        r#"{"decline":{"filters":{"refuse_seconds":"soon"}}}"#,
        "'decline.filters.refuse_seconds' is to be a number, not \"soon\"",
    );
    check("[]", "is not an object");
    // Field 6, a message of no bytes.
    let missing = Encoding::Protobuf.decode::<mesos_v1::scheduler::Call>(&[6 << 3 | 2, 0]);
    let missing: Unreadable = missing.expect_err("not valid");
    assert_eq!(missing.to_string(), "'kill.task_id' is required and missing");
    // A task id of "a", and state 127.
    let bytes = [0x0a, 0x03, 0x0a, 0x01, b'a', 0x10, 0x7f];
    let unknown = Encoding::Protobuf.decode::<mesos_v1::TaskStatus>(&bytes);
    assert_eq!(unknown.expect_err("not valid").to_string(), "'state' does not know 127");
}

#[test]
fn what_clients_write_is_read_and_what_they_insist_on_is_written() {
    let text = r#"{
        "type": "SUBSCRIBE", "unknown": {"a": [1]}, "framework_id": null,
        "subscribe": {"framework_info": {
            "user": "root", "name": "a", "failover_timeout": 100, "checkpoint": true,
            "capabilities": [{"type": "MULTI_ROLE"}, {"type": "OF_A_LATER_RELEASE"}]
        }}
    }"#;
    let call: mesos_v1::scheduler::Call = Encoding::Json.decode(text.as_bytes()).expect("valid");
    assert_eq!(call.r#type(), mesos_v1::scheduler::call::Type::Subscribe);
    let info = call.subscribe.expect("given").framework_info;
    assert_eq!((info.failover_timeout(), info.capabilities.len()), (100.0, 2));
    assert_eq!(info.capabilities[1].r#type, None);
    let status = mesos_v1::TaskStatus {
        task_id: mesos_v1::TaskId { value: "a".into() },
        state: mesos_v1::TaskState::TaskRunning as i32,
        uuid: Some(vec![0xff; 3]),
        timestamp: Some(1.0),
        ..Default::default()
    };
    let text = String::from_utf8(json::to_vec(&status)).expect("JSON is UTF-8");
    assert_eq!(
        text,
        r#"{"task_id":{"value":"a"},"state":"TASK_RUNNING","timestamp":1.0,"uuid":"////"}"#
    );
}
