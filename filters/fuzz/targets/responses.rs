//! A client of the Responses API: what is read of its request becomes JSON in each dialect, or a refusal; and whatever an upstream of any
//! dialect streams becomes numbered events that are whole, with one end.

#![no_main]

use bytes::Bytes;
use heliostat_filters::chat::{StreamEvent, StreamReader, StreamWriter};
use heliostat_filters::dialect::responses::Responses;
use heliostat_filters::dialect::{Address, Client, Target};
use heliostat_filters::fault::Fault;
use heliostat_filters::image::Fetched;
use heliostat_filters::sse::{Event, Splitter};
use heliostat_fuzz::{MODELS, bounded, context, dialects, names, pieces, scan, surfaces, written};
use libfuzzer_sys::fuzz_target;

const LIMIT_BYTES: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    request(data);
    let (head, stream) = data.split_at(data.len().min(4));
    let options = head.first().copied().unwrap_or_default();
    for dialect in dialects() {
        let mut reader = dialect.chat_stream(names(options));
        let out = translate(reader.as_mut(), options, pieces(head, stream));
        events_are_numbered(&out);
    }
});

fn request(data: &[u8]) {
    let Ok(document) = scan(data, Responses.shape()) else { return };
    let address = Address::default();
    let _ = (Responses.peek(&document, &address), Responses.images(&document), Responses.links(&document), Responses.files(&document));
    let Ok(request) = Responses.read(&document, &address) else { return };
    for dialect in dialects() {
        for surface in &surfaces() {
            for model in MODELS {
                let target = Target { model, surface, fetched: Fetched::NONE };
                assert!(written(&Responses.rewrite(&document, &target).join()).is_object());
                let Ok(translated) = dialect.chat_request(&request, &target) else { continue };
                let body = translated.body.join();
                assert_eq!(translated.body.len_bytes, body.len());
                assert!(written(&body).is_object());
                bounded(body.len(), data.len());
            }
        }
    }
}

/// Reads and writes as the gateway does: the first failure or end mark is the last thing written.
fn translate<'d>(reader: &mut dyn StreamReader, options: u8, mut pieces: impl Iterator<Item = &'d [u8]>) -> Vec<u8> {
    let mut writer = Responses.stream_writer(context(options));
    let (mut splitter, mut out, mut ended) = (Splitter::new(LIMIT_BYTES), Vec::new(), false);
    let mut take = |event: StreamEvent<'_>| {
        if !ended {
            ended = write(writer.as_mut(), &event, &mut out);
        }
    };
    let each = &mut |event: Event<'_>| reader.read(event, &mut take);
    let split = pieces.try_for_each(|piece| splitter.push(&Bytes::copy_from_slice(piece), each));
    let split = split.and_then(|()| splitter.end(each));
    reader.end(&mut take);
    if !ended && reader.is_complete() && split.is_ok() {
        writer.finish(&mut out);
    } else if !ended {
        writer.fail(&Fault::new(502, None, "cut"), &mut out);
    }
    out
}

/// Whether it was the last.
fn write(writer: &mut dyn StreamWriter, event: &StreamEvent<'_>, out: &mut Vec<u8>) -> bool {
    match event {
        StreamEvent::Failed(fault) => writer.fail(fault, out),
        StreamEvent::Done => writer.finish(out),
        event => writer.write(event, out),
    }
    matches!(event, StreamEvent::Failed(_) | StreamEvent::Done)
}

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
