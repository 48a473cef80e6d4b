//! Records in a stream, whatever pieces it comes in.

use mesos_v1::recordio::{Garbled, RECORD_BYTES_MAX, Reader, record};

#[test]
fn records_are_put_together_from_any_pieces() {
    let whole = [record(b"one"), record(b""), record("zw\u{f6}lf\n".as_bytes())].concat();
    assert_eq!(&whole[..6], b"3\none0");
    for size in 1..=whole.len() {
        let mut reader = Reader::default();
        let mut found = Vec::new();
        for piece in whole.chunks(size) {
            reader.push(piece);
            while let Some(record) = reader.take().expect("well-formed") {
                found.push(record.to_vec());
            }
        }
        assert_eq!(found, [b"one".to_vec(), Vec::new(), "zw\u{f6}lf\n".into()], "pieces of {size}");
        assert!(reader.is_between_records());
    }
}

#[test]
fn what_is_no_record_is_refused() {
    let check = |text: &str, expected: Result<Option<&[u8]>, Garbled>| {
        let mut reader = Reader::default();
        reader.push(text.as_bytes());
        let found = reader.take();
        assert_eq!(found.as_ref().map(Option::as_deref), expected.as_ref().copied(), "{text}");
    };
    check("", Ok(None));
    check("12", Ok(None));
    check("2\nab", Ok(Some(b"ab")));
    check("\n", Err(Garbled::NoLength(String::new())));
    check("{\"a\"", Err(Garbled::NoLength("{\"a\"".into())));
    check("-1\n", Err(Garbled::NoLength("-1".into())));
    let digits = "9".repeat(21);
    check(&digits, Err(Garbled::NoLength(digits.clone())));
    let large = RECORD_BYTES_MAX + 1;
    check(&format!("{large}\n"), Err(Garbled::TooLarge(large as u64)));
}
