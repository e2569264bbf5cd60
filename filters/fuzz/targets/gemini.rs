//! A client of Google's API: what is read of its path and request becomes JSON in each dialect, or a refusal; and whatever an upstream of
//! any dialect streams becomes lines of data and nothing else, the same as one JSON array.

#![no_main]

use bytes::Bytes;
use heliostat_filters::dialect::{Address, Client, Gemini};
use heliostat_filters::sse::{Array, Event, Splitter};
use heliostat_fuzz::{bounded, dialects, names, pieces, request, translate, written};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    address(data);
    let address = Address { model: Some("m".to_owned()), stream: Some(true), array: false };
    request(&Gemini, &address, data);
    let (head, stream) = data.split_at(data.len().min(4));
    let options = head.first().copied().unwrap_or_default();
    for dialect in dialects() {
        let mut reader = dialect.chat_stream(names(options));
        let out = translate(&Gemini, reader.as_mut(), options, pieces(head, stream));
        assert_eq!(elements(&out), events(&out));
    }
});

fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if let Some((_, address)) = Gemini.address(path, query) {
        let model = address.model.expect("a path that is Google's names a model");
        assert!(!model.is_empty());
        bounded(model.len(), path.len());
    }
}

fn events(out: &[u8]) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    let mut splitter = Splitter::new(usize::MAX / 2);
    let text = std::str::from_utf8(out).expect("UTF-8");
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with("data: {")), "{text}");
    let each = &mut |event: Event<'_>| {
        if !event.data.is_empty() {
            found.push(written(event.data.as_bytes()));
        }
    };
    splitter.push(&Bytes::copy_from_slice(out), each).expect("frames");
    splitter.end(each).expect("frames");
    found
}

fn elements(out: &[u8]) -> Vec<serde_json::Value> {
    let (mut array, mut text) = (Array::default(), Vec::new());
    out.chunks(7).for_each(|piece| array.push(&Bytes::copy_from_slice(piece), &mut text));
    array.end(&mut text);
    let serde_json::Value::Array(elements) = written(&text) else { panic!("an array") };
    elements
}
