//! What is kept is readable for the releases that follow.

mod stage;

use minicbor::{Decoder, Encoder};
use model::machine::Record as _;
use services::Record;
use stage::{ROOMY, Stage, app};

/// Fields that the first release had: of a spec, and of an instance.
const SPEC_FIELDS: u64 = 27;
const INSTANCE_FIELDS: u64 = 15;

/// The entities in a key.
const VERSION: u8 = 2;
const INSTANCE: u8 = 3;

/// The value with the first so many fields only, as it was written when there were no others.
fn cut(value: &[u8], fields: u64) -> Vec<u8> {
    let (format, body) = value.split_first().expect("a value begins with its format");
    let mut decoder = Decoder::new(body);
    let all = decoder.array().expect("an entity is an array").expect("of a known length");
    assert!(fields < all, "the latest release has more fields");
    let from = decoder.position();
    (0..fields).for_each(|_| decoder.skip().expect("a field"));
    let mut before = vec![*format];
    Encoder::new(&mut before).array(fields).expect("writing to memory does not fail");
    before.extend_from_slice(&body[from..decoder.position()]);
    before
}

#[test]
fn what_the_first_release_wrote_is_read() {
    let mut stage = Stage::new();
    stage.agents(1, ROOMY);
    stage.create(app("/a", 2));
    stage.calm();
    let check = |entity: u8, fields: u64| {
        let mut found = 0;
        for (key, value) in stage.store.iter().filter(|(key, _)| key[1] == entity) {
            let now = Record::read(key, value).expect("what is written is read");
            let before = Record::read(key, &cut(value, fields)).expect("and what was");
            assert_eq!(before, now);
            found += 1;
        }
        assert!(found > 0, "there is something of entity {entity}");
    };
    check(VERSION, SPEC_FIELDS);
    check(INSTANCE, INSTANCE_FIELDS);
}
