//! The laws of the turn loop, tried with the smallest machine that can break them.

use super::*;

/// Adds up what it is told under a name; refuses zero.
#[derive(Debug, Default, Clone, PartialEq)]
struct Sums(BTreeMap<u8, u64>);

#[derive(Debug, Clone, PartialEq)]
struct Sum(u8, Option<u64>);

impl Record for Sum {
    fn key(&self) -> Vec<u8> {
        vec![self.0]
    }
    fn value(&self) -> Option<Vec<u8>> {
        self.1.map(|sum| sum.to_be_bytes().to_vec())
    }
    fn read(key: &[u8], value: &[u8]) -> Result<Self, BadRecord> {
        let sum = value.try_into().map_err(|cause| BadRecord::new(key, cause))?;
        Ok(Sum(key[0], Some(u64::from_be_bytes(sum))))
    }
}

impl Machine for Sums {
    type Input = (u8, u64);
    type Reply = (Time, u64);
    type Refusal = ();
    type Record = Sum;
    type Effect = u8;

    fn step(
        &mut self,
        now: Time,
        (name, more): (u8, u64),
        out: &mut Out<Sum, u8>,
    ) -> Result<(Time, u64), ()> {
        if more == 0 {
            return Err(());
        }
        let sum = self.0.get(&name).copied().unwrap_or_default() + more;
        let record = Sum(name, (sum < 100).then_some(sum));
        self.apply(&record);
        out.records.push(record);
        out.effects.push(name);
        Ok((now, sum))
    }
    fn apply(&mut self, record: &Sum) {
        match record.1 {
            Some(sum) => self.0.insert(record.0, sum),
            None => self.0.remove(&record.0),
        };
    }
    fn wake_at(&self) -> Option<Time> {
        None
    }
}

type Loop = TurnLoop<Sums, usize, Sums>;

fn loop_of(inputs: &[(u8, u64)]) -> Loop {
    let mut turns = Loop::new(Sums::default());
    for (token, input) in inputs.iter().enumerate() {
        turns.push(token, *input);
    }
    turns
}

fn decide(turns: &mut Loop, now: u64) -> Vec<Write> {
    turns.decide(Time(now), |_| (), Clone::clone)
}

#[test]
fn a_batch_writes_the_last_value_of_each_key_in_key_order() {
    let check = |inputs: &[(u8, u64)], expected: &[(u8, Option<u64>)]| {
        let expected: Vec<Write> = expected
            .iter()
            .map(|(key, sum)| (vec![*key], sum.map(|s| s.to_be_bytes().to_vec())))
            .collect();
        assert_eq!(decide(&mut loop_of(inputs), 0), expected, "{inputs:?}");
    };
    check(&[], &[]);
    check(&[(7, 0)], &[]);
    check(&[(7, 1), (3, 1), (7, 2)], &[(3, Some(1)), (7, Some(3))]);
    check(&[(7, 1), (7, 99)], &[(7, None)]);
    check(&[(7, 99), (7, 1), (7, 5)], &[(7, Some(5))]);
}

#[test]
fn answers_and_effects_leave_in_the_order_of_their_inputs() {
    let mut turns = loop_of(&[(2, 5), (1, 0), (1, 4)]);
    decide(&mut turns, 9);
    let released = turns.committed();
    assert_eq!(released.answers, [(0, Ok((Time(9), 5))), (1, Err(())), (2, Ok((Time(9), 4)))]);
    assert_eq!(released.effects, [2, 1]);
}

#[test]
fn a_snapshot_shows_its_own_batch_and_nothing_later() {
    let mut turns = loop_of(&[(1, 1)]);
    decide(&mut turns, 0);
    turns.push(1, (1, 1));
    decide(&mut turns, 0);
    assert_eq!(turns.committed().view.0[&1], 1);
    assert_eq!(turns.committed().view.0[&1], 2);
}

#[test]
fn no_more_than_two_batches_are_uncommitted() {
    let mut turns = loop_of(&[(1, 1)]);
    decide(&mut turns, 0);
    turns.push(1, (1, 1));
    assert!(turns.is_ready());
    decide(&mut turns, 0);
    turns.push(2, (1, 1));
    assert!(!turns.is_ready());
    turns.committed();
    assert!(turns.is_ready());
}

#[test]
fn a_batch_is_bounded_and_the_rest_waits() {
    let many: Vec<_> = (0..TURN_INPUTS_MAX + 5).map(|_| (1, 1)).collect();
    let mut turns = loop_of(&many);
    decide(&mut turns, 0);
    assert_eq!((turns.waiting(), turns.committed().answers.len()), (5, TURN_INPUTS_MAX));
}

#[test]
fn time_does_not_go_back() {
    let mut turns = loop_of(&[(1, 1)]);
    decide(&mut turns, 50);
    turns.push(1, (1, 1));
    decide(&mut turns, 40);
    turns.committed();
    assert_eq!(turns.committed().answers, [(1, Ok((Time(50), 2)))]);
}

#[test]
fn a_failed_commit_names_everyone_who_waited() {
    let mut turns = loop_of(&[(1, 1), (1, 0)]);
    decide(&mut turns, 0);
    turns.push(2, (1, 1));
    assert_eq!(turns.failed(), [0, 1, 2]);
}

#[test]
fn what_was_written_is_what_is_recovered() {
    let mut turns = loop_of(&[(1, 4), (2, 99), (2, 1), (9, 1)]);
    let mut recovered = Sums::default();
    for (key, value) in decide(&mut turns, 0) {
        if let Some(value) = value {
            remember(&mut recovered, &key, &value).expect("its own record");
        }
    }
    assert_eq!(recovered, *turns.machine());
}
