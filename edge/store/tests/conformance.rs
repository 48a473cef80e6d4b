//! What every backend promises, tried on each.

use std::cell::RefCell;

use model::id::Term;
use model::turn::Write;
use proptest::prelude::*;
use store::{Embedded, Memory, Store, StoreError};
use tempfile::TempDir;

/// A backend that can be closed and opened again.
struct Backend {
    name: &'static str,
    open: Box<dyn FnMut() -> Box<dyn Store>>,
}

fn backends() -> Vec<Backend> {
    let memory = Memory::default();
    let dir = TempDir::new().expect("a temporary directory");
    vec![
        Backend { name: "memory", open: Box::new(move || Box::new(memory.clone())) },
        Backend {
            name: "embedded",
            open: Box::new(move || {
                Box::new(Embedded::open(dir.path()).expect("a store of our own"))
            }),
        },
    ]
}

fn content(store: &mut dyn Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut content = Vec::new();
    let read = store.load(&mut |key, value| {
        content.push((key.to_vec(), value.to_vec()));
        Ok(())
    });
    read.expect("a readable store");
    content
}

fn write(key: &str, value: Option<&str>) -> Write {
    (key.into(), value.map(Into::into))
}

fn entry(key: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (key.into(), value.into())
}

#[test]
fn a_new_store_is_empty_and_its_first_term_is_one() {
    for mut backend in backends() {
        let mut store = (backend.open)();
        assert_eq!(content(store.as_mut()), [], "{}", backend.name);
        assert_eq!(store.lead().expect("lead"), Term(1), "{}", backend.name);
    }
}

#[test]
fn a_load_gives_the_latest_values_in_key_order() {
    for mut backend in backends() {
        let mut store = (backend.open)();
        let term = store.lead().expect("lead");
        let first = [write("b", Some("1")), write("a", Some("2")), write("c", Some("3"))];
        store.commit(term, &first).expect("commit");
        store.commit(term, &[write("b", Some("4")), write("c", None)]).expect("commit");
        assert_eq!(content(store.as_mut()), [entry("a", "2"), entry("b", "4")], "{}", backend.name);
    }
}

#[test]
fn what_was_committed_is_there_after_closing() {
    for mut backend in backends() {
        let mut store = (backend.open)();
        let term = store.lead().expect("lead");
        store.commit(term, &[write("a", Some("1"))]).expect("commit");
        store.set_meta("cluster", b"x").expect("meta");
        drop(store);
        let mut store = (backend.open)();
        assert_eq!(content(store.as_mut()), [entry("a", "1")], "{}", backend.name);
        assert_eq!(store.meta("cluster").expect("meta"), Some(b"x".to_vec()), "{}", backend.name);
        assert_eq!(store.meta("other").expect("meta"), None, "{}", backend.name);
        assert_eq!(store.lead().expect("lead"), Term(2), "{}", backend.name);
    }
}

#[test]
fn a_leader_that_was_succeeded_writes_no_more() {
    for mut backend in backends() {
        let mut store = (backend.open)();
        let old = store.lead().expect("lead");
        let new = store.lead().expect("lead");
        let refused = store.commit(old, &[write("a", Some("1"))]);
        assert!(
            matches!(refused, Err(StoreError::Fenced { term, by }) if (term, by) == (old, new)),
            "{}: {refused:?}",
            backend.name
        );
        assert_eq!(content(store.as_mut()), [], "{}", backend.name);
        store.commit(new, &[write("a", Some("2"))]).expect("commit of the leader");
    }
}

#[test]
fn a_load_ends_with_the_first_record_that_cannot_be_read() {
    for mut backend in backends() {
        let mut store = (backend.open)();
        let term = store.lead().expect("lead");
        store.commit(term, &[write("a", Some("1")), write("b", Some("2"))]).expect("commit");
        let seen = RefCell::new(0);
        let ended = store.load(&mut |key, _| {
            *seen.borrow_mut() += 1;
            Err(model::machine::BadRecord::new(key, "not ours"))
        });
        assert!(matches!(ended, Err(StoreError::Bad(_))), "{}: {ended:?}", backend.name);
        assert_eq!(*seen.borrow(), 1, "{}", backend.name);
    }
}

#[test]
fn there_is_room_to_go_on_where_nothing_is_full() {
    for mut backend in backends() {
        (backend.open)().probe().unwrap_or_else(|cause| panic!("{}: {cause}", backend.name));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn all_backends_agree(batches in proptest::collection::vec(
        proptest::collection::vec((0..20_u8, proptest::option::of(0..9_u8)), 0..12), 0..12)
    ) {
        let mut contents = Vec::new();
        for mut backend in backends() {
            let mut store = (backend.open)();
            let term = store.lead().expect("lead");
            for batch in &batches {
                let writes: Vec<Write> =
                    batch.iter().map(|(key, value)| (vec![*key], value.map(|v| vec![v]))).collect();
                store.commit(term, &writes).expect("commit");
            }
            contents.push(content(store.as_mut()));
        }
        prop_assert_eq!(&contents[0], &contents[1]);
    }
}
