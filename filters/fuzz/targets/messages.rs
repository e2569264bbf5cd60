//! A client of Anthropic's Messages API: what is read of its request becomes JSON in each dialect, or a refusal; and whatever an upstream
//! of any dialect streams becomes events in Anthropic's order: blocks one after another, each closed before the next, one end.

#![no_main]

use bytes::Bytes;
use heliostat_filters::dialect::{Address, Anthropic};
use heliostat_filters::sse::{Event, Splitter};
use heliostat_fuzz::{dialects, names, pieces, request, translate, written};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    request(&Anthropic, &Address::default(), data);
    let (head, stream) = data.split_at(data.len().min(4));
    let options = head.first().copied().unwrap_or_default();
    for dialect in dialects() {
        let mut reader = dialect.chat_stream(names(options));
        let out = translate(&Anthropic, reader.as_mut(), options, pieces(head, stream));
        blocks_are_in_order(&out);
    }
});

fn blocks_are_in_order(out: &[u8]) {
    let (mut begun, mut open, mut blocks, mut ends) = (false, None, 0, 0);
    let mut splitter = Splitter::new(usize::MAX / 2);
    let each = &mut |event: Event<'_>| {
        if event.data.is_empty() {
            return;
        }
        let data = written(event.data.as_bytes());
        assert_eq!(data["type"], event.name);
        assert_eq!(ends, 0, "{} follows the end", event.name);
        match event.name {
            "message_start" => assert!(!std::mem::replace(&mut begun, true)),
            "content_block_start" => {
                assert!(begun && open.is_none() && data["index"] == blocks);
                open = Some(blocks);
                blocks += 1;
            }
            "content_block_delta" => assert_eq!(data["index"].as_u64(), open),
            "content_block_stop" => assert_eq!(data["index"].as_u64(), open.take()),
            "message_delta" => assert!(begun && open.is_none()),
            "message_stop" | "error" => ends += 1,
            other => assert_eq!(other, "ping"),
        }
    };
    splitter.push(&Bytes::copy_from_slice(out), each).expect("frames");
    assert!(splitter.end(&mut |_| panic!("a frame without an end")).is_ok());
    assert_eq!(ends, 1, "a stream ends once");
}
