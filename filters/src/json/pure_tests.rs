#![allow(clippy::disallowed_types, reason = "serde_json is the oracle")]

use std::str;

use proptest::prelude::*;
use serde_json::Value;

use super::pure::{BLOCK_BYTES, Pure};
use super::{Document, ScanError, ScanLimits, Shape, scan};

static OPEN: Shape = Shape::Open { members: &[("a", &Shape::Opaque)], elements: Some(&Shape::Opaque) };

/// So many letters of base64, all of them in turn.
fn letters(count: usize) -> Vec<u8> {
    base64_simd::STANDARD.charset().iter().copied().cycle().take(count).collect()
}

fn is_letter(byte: u8) -> bool {
    base64_simd::STANDARD.charset().contains(&byte)
}

/// What tells one thing of a body from another: ends of strings and of UTF-8, letters of other alphabets, bytes that may stand nowhere.
fn oddity() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::sample::select(vec!["\"", "\\", "\\n", "\\\"", "\\u00e9", "\n", "\u{7f}", "=", "-", "_", " ", "é", "\u{20ac}", "🌞"]);
    prop_oneof![
        text.prop_map(|text| text.as_bytes().to_vec()),
        prop::sample::select(vec![
            b"\xff".to_vec(),
            b"\xc3".to_vec(),
            b"\xa9".to_vec(),
            b"\xf0\x9f\x8c".to_vec(),
            b"\xed\xa0\x80".to_vec()
        ]),
        any::<u8>().prop_map(|byte| vec![byte]),
    ]
}

/// A count of bytes near a few blocks, or a small one.
fn count() -> impl Strategy<Value = usize> {
    prop_oneof![0..40usize, (1..4usize, 0..12usize).prop_map(|(blocks, more)| blocks * BLOCK_BYTES - 8 + more)]
}

/// An array of strings of letters, with oddities put in near the ends of blocks and anywhere; of a third, the brackets too.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let strings = prop::collection::vec(count().prop_map(letters), 1..4);
    let near = (0..8usize, 0..9usize).prop_map(|(block, at)| (block * BLOCK_BYTES + at).saturating_sub(5));
    let place = prop_oneof![near, 0..5 * BLOCK_BYTES];
    let oddities = prop::collection::vec((place, any::<bool>(), oddity()), 0..3);
    (strings, oddities, 0..3).prop_map(|(strings, oddities, bare)| {
        let mut body = if bare == 0 { strings.concat() } else { [b"[\"", strings.join(&b"\",\""[..]).as_slice(), b"\"]"].concat() };
        for (place, replaces, oddity) in oddities {
            let place = place.min(body.len());
            let end = if replaces { (place + oddity.len()).min(body.len()) } else { place };
            body.splice(place..end, oddity);
        }
        body
    })
}

/// The scan as if no stretch had been found.
fn plainly(body: &[u8]) -> Result<String, ScanError> {
    scan::scan(body, &Pure::default(), &OPEN, ScanLimits::default()).map(|nodes| format!("{nodes:?}"))
}

fn scanned(body: &[u8]) -> Result<Document, ScanError> {
    Document::scan(body.to_vec().into(), &OPEN, ScanLimits::default())
}

/// The offset of the first byte that is not UTF-8, and that of any other fault.
fn faults(result: &Result<Document, ScanError>) -> (Option<usize>, Option<usize>) {
    match result {
        Err(ScanError::Syntax { offset, why: "not UTF-8" }) => (Some(*offset), None),
        Err(ScanError::Syntax { offset, .. }) => (None, Some(*offset)),
        _ => (None, None),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whole_blocks_of_letters_are_found_and_no_others(body in body(), at in any::<prop::sample::Index>(), length in 0..3 * BLOCK_BYTES) {
        let pure = Pure::find(&body);
        let block_is_pure = |block: usize| {
            body.get(block * BLOCK_BYTES..(block + 1) * BLOCK_BYTES).is_some_and(|block| block.iter().all(|byte| is_letter(*byte)))
        };
        let first_other = |from: usize| (from..).find(|block| !block_is_pure(*block)).unwrap();
        for at in (0..body.len()).step_by(BLOCK_BYTES / 2).chain([at.index(body.len() + 1)]) {
            let block = at / BLOCK_BYTES;
            let end = if block_is_pure(block) { first_other(block) * BLOCK_BYTES } else { at };
            prop_assert_eq!(pure.skip(at), end);

            let range = at..(at + length).min(body.len()).max(at);
            let expected = (block..=body.len() / BLOCK_BYTES).find(|block| block_is_pure(*block)).map(|first| {
                let cut = |at: usize| at.clamp(range.start, range.end);
                cut(first * BLOCK_BYTES)..cut(first_other(first) * BLOCK_BYTES)
            });
            prop_assert_eq!(pure.within(range), expected.unwrap_or(0..0));
        }
    }

    #[test]
    fn stretches_change_nothing_that_the_scan_says(body in body()) {
        let document = scanned(&body);
        prop_assert_eq!(document.as_ref().map(|document| format!("{:?}", document.nodes)).map_err(Clone::clone), plainly(&body));

        let (not_utf8, other) = faults(&document);
        prop_assert_eq!(not_utf8, str::from_utf8(&body).err().map(|error| error.valid_up_to()));
        prop_assert_eq!(serde_json::from_slice::<Value>(&body).is_ok(), document.is_ok());
        prop_assert!(other.is_none_or(|offset| offset <= body.len()));
    }
}

/// Every place about each end of a block, in strings and in the last bytes of the body, with stretches before and after.
#[test]
fn a_wrong_byte_is_found_wherever_it_stands_about_the_end_of_a_block() {
    let body = [b"[\"", letters(3 * BLOCK_BYTES + 8).as_slice(), b"\"]"].concat();
    assert_eq!(Pure::find(&body).skip(BLOCK_BYTES), 3 * BLOCK_BYTES);
    let near = (0..=3).flat_map(|block| (0..8usize).map(move |at| (block * BLOCK_BYTES + at).saturating_sub(4)));
    for (at, wrong) in near.flat_map(|at| [b"\xff".as_slice(), "é".as_bytes(), b"\xc3", b"\x80", b"\n", b"\""].map(|wrong| (at, wrong))) {
        let mut body = body.clone();
        body.splice(at..at + wrong.len(), wrong.iter().copied());
        let document = scanned(&body);
        assert_eq!(faults(&document).0, str::from_utf8(&body).err().map(|error| error.valid_up_to()), "{wrong:?} at {at}");
        assert_eq!(document.map(|document| format!("{:?}", document.nodes)), plainly(&body), "{wrong:?} at {at}");
    }
}

#[test]
fn prose_and_short_bodies_have_no_stretches() {
    for body in [letters(BLOCK_BYTES - 1), "The shadow under the shoe. ".repeat(2 * BLOCK_BYTES).into(), letters(0)] {
        assert!(Pure::find(&body).within(0..body.len()).is_empty());
    }
}
