//! A client of the Responses API: what is read of its request becomes JSON in each dialect, or a refusal; and whatever an upstream of any
//! dialect streams becomes numbered events that are whole, with one end.

#![no_main]

use bytes::Bytes;
use heliostat_filters::dialect::Address;
use heliostat_filters::dialect::responses::Responses;
use heliostat_filters::sse::{Event, Splitter};
use heliostat_fuzz::{dialects, names, pieces, request, translate, written};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    request(&Responses, &Address::default(), data);
    let (head, stream) = data.split_at(data.len().min(4));
    let options = head.first().copied().unwrap_or_default();
    for dialect in dialects() {
        let mut reader = dialect.chat_stream(names(options));
        let out = translate(&Responses, reader.as_mut(), options, pieces(head, stream));
        events_are_numbered(&out);
    }
});

fn events_are_numbered(out: &[u8]) {
    let (mut next, mut ends) = (0, 0);
    let mut splitter = Splitter::new(usize::MAX / 2);
    let each = &mut |event: Event<'_>| {
        if event.data.is_empty() {
            return;
        }
        let data = written(event.data.as_bytes());
        assert_eq!(data["type"], event.name);
        assert_eq!(data["sequence_number"], next);
        next += 1;
        assert!(ends == 0 || event.name == "response.failed", "something follows the end");
        ends += usize::from(matches!(event.name, "response.completed" | "response.incomplete" | "error"));
    };
    splitter.push(&Bytes::copy_from_slice(out), each).expect("frames");
    assert!(splitter.end(&mut |_| panic!("a frame without an end")).is_ok());
    assert_eq!(ends, 1, "a stream ends once");
}
