//! Secrets that a framework sends along: they are taken, and shown to nobody.

use mesos_v1::{CommandInfo, ContainerInfo};
use model::container::VolumeSource;
use model::secret::Secret;
use serde_json::{Value, json};
use wire::mesos::v1::command::Around;
use wire::mesos::v1::{Fault, command, container};

/// `hidden`, as JSON has bytes.
const HIDDEN: &str = "aGlkZGVu";

fn value() -> Value {
    json!({ "type": "VALUE", "value": { "data": HIDDEN } })
}

fn kept() -> Value {
    json!({ "type": "REFERENCE", "reference": { "name": "db/pw" } })
}

fn command(variable: Value) -> Result<model::container::CommandInfo, Fault> {
    let spelled = json!({ "value": "true", "environment": { "variables": [variable] } });
    let spelled: CommandInfo = mesos_v1::json::from_value(spelled).expect("well-formed");
    command::read(&spelled, Around::Host)
}

fn variable(secret: Value) -> Value {
    json!({ "name": "PW", "type": "SECRET", "secret": secret })
}

fn container(with: &Value) -> Result<model::container::ContainerInfo, Fault> {
    let mut spelled = json!({ "type": "MESOS" });
    let members = with.as_object().expect("an object").clone();
    spelled.as_object_mut().expect("an object").extend(members);
    let spelled: ContainerInfo = mesos_v1::json::from_value(spelled).expect("well-formed");
    container::read(&spelled)
}

fn volume(source: Value) -> Value {
    json!({ "volumes": [{ "container_path": "pw", "mode": "RO", "source": source }] })
}

#[test]
fn a_secret_whose_value_is_said_is_taken_and_not_shown() {
    let hidden = || Secret::new(b"hidden".to_vec());
    let command = command(variable(value())).expect("sound");
    assert_eq!(command.secrets, [("PW".to_owned(), hidden())]);
    assert_eq!(command.variables().last(), Some(("PW".to_owned(), "hidden".to_owned())));
    let of = container(&volume(json!({ "type": "SECRET", "secret": value() }))).expect("sound");
    let bounds = of.bounds.as_ref().expect("it has a volume");
    assert_eq!(bounds.volumes[0].source, VolumeSource::Secret(hidden()));
    let image = json!({ "type": "DOCKER", "docker": { "name": "a", "config": value() } });
    let around = container(&json!({ "mesos": { "image": image } })).expect("sound");
    assert_eq!(around.image.as_ref().and_then(|image| image.login.clone()), Some(hidden()));
    assert!(!format!("{command:?} {of:?} {around:?}").contains("hidden"));
    for told in [of, around].map(model::container::ContainerInfo::without_secrets) {
        let bytes = minicbor::to_vec(&told).expect("memory can be written");
        assert!(!bytes.windows(6).any(|window| window == b"hidden"), "{told:?}");
    }
}

#[test]
fn a_secret_that_cannot_be_had_is_refused_with_its_name() {
    let check = |secret: Value, words: &str| {
        let source = volume(json!({ "type": "SECRET", "secret": secret }));
        let image = json!({ "type": "DOCKER", "docker": { "name": "a", "config": secret } });
        let faults = [
            command(variable(secret)).expect_err(words),
            container(&source).expect_err(words),
            container(&json!({ "mesos": { "image": image } })).expect_err(words),
        ];
        let fields =
            [".environment.variables.secret of PW", ".volumes.source.secret", ".docker.config"];
        for (fault, field) in faults.iter().zip(fields) {
            assert!(fault.0.contains(words) && fault.0.contains(field), "{}", fault.0);
        }
    };
    check(kept(), "refers to the secret 'db/pw': secrets by reference are not supported yet");
    check(json!({ "type": "REFERENCE" }), "must have the 'reference' field set");
    check(json!({ "type": "VALUE" }), "must have the 'value' field set");
    check(json!({}), "has no type");
    let both =
        json!({ "type": "VALUE", "value": { "data": HIDDEN }, "reference": { "name": "a" } });
    check(both, "must not have the 'reference' field set");
    for (data, words) in [("AA==", "null bytes"), ("/w==", "not UTF-8")] {
        let secret = json!({ "type": "VALUE", "value": { "data": data } });
        let fault = command(variable(secret)).expect_err(words);
        assert!(fault.0.contains(words) && fault.0.contains("'PW'"), "{}", fault.0);
    }
    let mut twice = variable(value());
    twice["value"] = json!("plain");
    assert!(command(twice).expect_err("two values").0.contains("must not have a value set"));
}
