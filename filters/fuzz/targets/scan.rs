//! The scanner accepts what serde_json accepts, but for limits and duplicates, and each view says what serde_json says of its text.

#![no_main]

use heliostat_filters::chat::CHAT;
use heliostat_filters::embeddings::EMBEDDINGS;
use heliostat_filters::json::{Kind, ScanError, Shape, View};
use heliostat_fuzz::serde_json::Value;
use heliostat_fuzz::{scan, stretched, value};
use libfuzzer_sys::fuzz_target;

/// Paths cost a walk over siblings each.
const PATHS: usize = 100;

static OPAQUE: Shape = Shape::Opaque;

fuzz_target!(|data: &[u8]| {
    read(data);
    read(&stretched(data));
});

fn read(data: &[u8]) {
    for shape in [&CHAT, &EMBEDDINGS, &OPAQUE] {
        let scanned = scan(data, shape);
        if matches!(scanned, Err(ScanError::Depth { .. })) {
            return;
        }
        let read = std::str::from_utf8(data).ok().and_then(|text| value(text).ok());
        match (scanned, read) {
            (Ok(document), Some(value)) => agrees(document.root(), &value, &mut 0),
            (Err(ScanError::Syntax { offset, .. }), None) => assert!(offset <= data.len()),
            (Err(ScanError::Duplicate { .. }), _) => {} // Found before the rest was read.
            (scanned, read) => panic!("{:?} but {read:?}", scanned.map(|_| ())),
        }
    }
}

fn agrees(view: View<'_>, value: &Value, seen: &mut usize) {
    assert_eq!(&heliostat_fuzz::value(view.raw()).expect("JSON"), value);
    *seen += 1;
    if *seen < PATHS {
        let _ = view.path();
    }
    match value {
        Value::Null => assert_eq!(view.kind(), Kind::Null),
        Value::Bool(flag) => assert_eq!(view.boolean(), Some(*flag)),
        Value::Number(number) => assert_eq!((view.kind(), number.as_u64().or(view.unsigned())), (Kind::Number, view.unsigned())),
        Value::String(text) => assert_eq!(view.text().as_deref(), Some(text.as_str())),
        Value::Array(array) => view.elements().zip(array).for_each(|(view, value)| agrees(view, value, seen)),
        Value::Object(object) => {
            for member in view.members() {
                let key = member.key().expect("a member");
                assert!(view.get(&key).is_some());
                // serde_json keeps the last of a name.
                let again = view
                    .members()
                    .filter(|other| other.range().start > member.range().start)
                    .any(|other| other.key().as_ref() == Some(&key));
                if !again {
                    agrees(member, &object[key.as_ref()], seen);
                }
            }
        }
    }
}
