//! What the scan knows of a payload changes nothing that is read from it.

use base64_simd::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;

use super::base64::{Base64, is_canonical};
use super::{DataUri, Text, read_base64};
use crate::json::{Document, ScanLimits, Shape};

/// Longer than two of the blocks that the scan looks at, so that it finds a stretch wherever the payload begins.
const LONG: usize = 40 * 1024;

fn is_letter(byte: &u8) -> bool {
    STANDARD.charset().contains(byte)
}

fn string(literal: &str) -> Document {
    Document::scan(Bytes::from(literal.to_owned()), &Shape::Opaque, ScanLimits::default()).unwrap()
}

/// Text, media type or code.
fn inline(text: &Text) -> Result<(Bytes, usize, String), String> {
    let read = DataUri::split(text).map_or_else(
        || Base64::read(text).map(|base64| (base64.text, base64.decoded_bytes, String::new())),
        |uri| uri?.inline().map(|inline| (inline.base64, inline.decoded_bytes, inline.media_type.into_owned())),
    );
    read.map_err(|flaw| flaw.message.into_owned())
}

#[test]
fn the_stretch_is_of_the_text_without_quotes_and_space() {
    let payload = "QUJD".repeat(LONG / 4);
    for prefix in ["", " ", "data:image/png;base64,", " data:image/png;name=\\\"a,b\\\";base64,"] {
        let document = string(&format!("{:20000}\"{prefix}{payload}\"\n", ""));
        let text = Text::of(document.root());
        let letters = text.bytes.get(text.letters.clone()).unwrap();
        assert!(letters.len() >= LONG / 4 && letters.iter().all(is_letter), "{prefix}");
        assert_eq!(text.slice(text.letters.start + 3..text.bytes.len()).letters, 0..letters.len() - 3, "{prefix}");
        assert_eq!(text.slice(0..5).letters, 5..5, "{prefix}");
    }
}

#[test]
fn a_long_payload_is_refused_for_one_byte_at_its_end() {
    let payload = "QUJD".repeat(LONG / 4);
    for (end, is_base64) in [("", true), ("QQ==", true), ("QUI=", true), ("Q", false), ("QQ=A", false), ("*", false)] {
        let document = string(&format!("\"{payload}{end}\""));
        let read = read_base64(document.root(), Some("image/png"));
        assert_eq!(read.map(|inline| inline.base64.len()).ok(), is_base64.then_some(payload.len() + end.len()), "{end}");
    }
}

proptest! {
    #[test]
    fn any_letters_may_be_known(text in "[AQgz09+/]{0,20}([=*é-]|=[AQ]|==|)[AQgz09+/]{0,10}(|=|==|A===)") {
        let text = text.as_bytes();
        let expected = STANDARD.check(text).is_ok();
        for start in 0..=text.len() {
            let known = text.get(start..).unwrap().iter().take_while(|byte| is_letter(byte)).count();
            for end in start..=start + known {
                prop_assert_eq!(is_canonical(text, &(start..end)), expected, "{}..{}", start, end);
            }
        }
    }

    #[test]
    fn long_payloads_are_read_as_if_nothing_were_known_of_them(
        prefix in prop::sample::select(vec!["", " ", "data:image/png;base64,", "data:,", "data:;base64, ", "data:;a=\\\"b\\\";base64,"]),
        length in LONG..LONG + 8,
        oddities in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec!["=", "-", "\\/", "\\n", "%2B", "é", "*", "A"])), 0..2),
        suffix in prop::sample::select(vec!["", "=", "==", "===", " ", "=\\n"]),
    ) {
        let mut payload: String = STANDARD.charset().iter().cycle().take(length).map(|letter| char::from(*letter)).collect();
        for (index, oddity) in oddities {
            let at = index.index(length);
            if payload.is_char_boundary(at) && payload.is_char_boundary(at + 1) {
                payload.replace_range(at..=at, oddity);
            }
        }
        let document = string(&format!("\"{prefix}{payload}{suffix}\""));
        let text = Text::of(document.root());
        let unknown = Text { letters: 0..0, ..text.clone() };
        prop_assert!(text.bytes.get(text.letters.clone()).unwrap().iter().all(is_letter));
        prop_assert_eq!(inline(&text), inline(&unknown));
    }
}
