#![allow(clippy::disallowed_types, reason = "serde_json is the oracle")]

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::{Document, Kind, ScanError, ScanLimits, Shape, View};

/// Opens everything below `a`, `b` and elements; other members are opaque.
static DEEP: Shape = Shape::Open { members: &[("a", &DEEP), ("b", &DEEP)], elements: Some(&DEEP) };
static FLAT: Shape = Shape::Opaque;

/// JSON text with random spelling: white space, escapes, number forms, keys that stand twice.
fn json() -> impl Strategy<Value = String> {
    let space = "[ \n\r\t]{0,2}";
    let string = r#""([ -!#-\[\]-~]|é|🌞|\\["\\/bfnrt]|\\u00[0-9a-fA-F]{2}|\\ud83d\\uDE00|\\u[a-c][0-9]{3}){0,6}""#;
    let number = r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?";
    let scalar = prop_oneof!["null|true|false", number, string];
    let key = prop_oneof![Just("\"a\"".to_owned()), Just("\"b\"".to_owned()), Just("\"\\u0061\"".to_owned()), string.prop_map(|key| key)];
    let value = scalar.prop_recursive(5, 60, 5, move |inner| {
        let padded = (space, inner, space).prop_map(|(before, value, after)| before + &value + &after);
        let member =
            (space, key.clone(), space, padded.clone()).prop_map(|(before, key, after, value)| format!("{before}{key}{after}:{value}"));
        let enclosed = |open: &'static str, close: &'static str| {
            move |(parts, space): (Vec<String>, String)| {
                let body = if parts.is_empty() { space } else { parts.join(",") };
                format!("{open}{body}{close}")
            }
        };
        prop_oneof![
            (prop::collection::vec(padded, 0..5), space).prop_map(enclosed("[", "]")),
            (prop::collection::vec(member, 0..5), space).prop_map(enclosed("{", "}")),
        ]
    });
    (space, value, space).prop_map(|(before, value, after)| before + &value + &after)
}

/// Checks each recorded value against serde_json's reading of the whole.
fn agrees(view: View<'_>, value: &Value, is_open: bool) {
    assert_eq!(&view.read::<Value>().unwrap(), value, "{}", view.path());
    match value {
        Value::Object(object) => {
            assert_eq!(view.kind(), Kind::Object);
            assert!(view.members().count() >= if is_open { object.len() } else { 0 });
            for member in view.members() {
                let key = member.key().unwrap();
                assert_eq!(view.get(&key).map(View::key), Some(Some(key.clone())));
                let is_last = view.members().filter(|other| other.key().unwrap() == key).count() == 1;
                if is_last {
                    agrees(member, &object[key.as_ref()], key == "a" || key == "b");
                }
            }
        }
        Value::Array(array) => {
            assert_eq!(view.kind(), Kind::Array);
            assert_eq!(view.elements().count(), if is_open { array.len() } else { 0 });
            view.elements().zip(array).for_each(|(element, value)| agrees(element, value, true));
        }
        Value::String(text) => assert_eq!(view.text().unwrap(), text.as_str()),
        Value::Number(number) => {
            let (ours, theirs) = (view.number().unwrap(), number.as_f64().unwrap());
            assert!((ours - theirs).abs() <= theirs.abs() * 1e-15, "{ours} {theirs}");
            if let Some(integer) = number.as_u64() {
                assert_eq!(view.unsigned(), Some(integer));
            }
        }
        Value::Bool(flag) => assert_eq!(view.boolean(), Some(*flag)),
        Value::Null => assert_eq!(view.kind(), Kind::Null),
    }
}

fn accepted_alike(text: &[u8]) -> Result<(), TestCaseError> {
    let is_valid = serde_json::from_slice::<Value>(text).is_ok();
    for shape in [&DEEP, &FLAT] {
        let as_expected = match Document::scan(Bytes::copy_from_slice(text), shape, ScanLimits::default()) {
            Ok(_) => is_valid,
            Err(ScanError::Syntax { offset, .. }) => !is_valid && offset <= text.len(),
            Err(ScanError::Duplicate { .. }) => std::ptr::eq(shape, &DEEP),
            Err(_) => false,
        };
        prop_assert!(as_expected, "serde_json accepts: {is_valid}: {}", String::from_utf8_lossy(text));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn valid_documents_are_read_as_serde_json_reads_them(text in json()) {
        accepted_alike(text.as_bytes())?;
        let value: Value = serde_json::from_str(&text).unwrap();
        if let Ok(document) = Document::scan(Bytes::from(text), &DEEP, ScanLimits::default()) {
            agrees(document.root(), &value, true);
        }
    }

    #[test]
    fn mutated_documents_are_judged_as_serde_json_judges_them(
        text in json(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), 0..3, prop_oneof![
            prop::sample::select(b"{}[]:,\"\\/untflse0123456789.eE+- \n\x00\x1f\x7f\xc3\xa9\xff".to_vec()), any::<u8>(),
        ]), 1..4),
    ) {
        let mut bytes = text.into_bytes();
        for (index, how, byte) in mutations {
            if bytes.is_empty() { break }
            let at = index.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        accepted_alike(&bytes)?;
    }

    #[test]
    fn cut_documents_are_judged_as_serde_json_judges_them(text in json(), at in any::<prop::sample::Index>()) {
        let bytes = text.as_bytes();
        accepted_alike(&bytes[..at.index(bytes.len() + 1)])?;
    }

    #[test]
    fn random_json_characters_are_judged_alike(text in r#"[\[\]{}:," \\utrue0-9.eE+-]{0,12}"#) {
        accepted_alike(text.as_bytes())?;
    }

    #[test]
    fn random_strings_and_numbers_are_judged_alike(
        string in r#""(\\u[dD][89a-fA-F][0-9a-f]{2}|\\u[0-9a-fg]{4}|\\["\\/bfnrtx]|.){0,5}""#,
        number in r"-?[0-9]{0,3}\.?[0-9]{0,3}([eE]?[+-]?[0-9]{0,3})",
    ) {
        accepted_alike(string.as_bytes())?;
        accepted_alike(number.as_bytes())?;
    }
}
