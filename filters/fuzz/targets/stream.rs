//! Whatever an upstream streams becomes chunks in OpenAI's shape and one end: `[DONE]`, or an error.

#![no_main]

use bytes::Bytes;
use heliostat_filters::chat::{StreamEvent, StreamReader, StreamWriter as _};
use heliostat_filters::dialect::openai::ChunkWriter;
use heliostat_filters::fault::Fault;
use heliostat_filters::sse::{Event, Splitter};
use heliostat_fuzz::{bounded, context, dialects, names, pieces, written};
use libfuzzer_sys::fuzz_target;

const LIMIT_BYTES: usize = 1 << 20;

/// Bit of the options: the reader turns quiet once content was seen.
const QUIET: u8 = 8;

fuzz_target!(|data: &[u8]| {
    let (head, stream) = data.split_at(data.len().min(4));
    let options = head.first().copied().unwrap_or_default();
    for dialect in dialects() {
        let mut reader = dialect.chat_stream(names(options));
        let out = translate(reader.as_mut(), options, pieces(head, stream));
        frames_are_whole(&out);
        bounded(out.len(), data.len());
    }
});

/// Reads and writes as the gateway does: the first failure or end mark is the last thing written.
fn translate<'d>(reader: &mut dyn StreamReader, options: u8, mut pieces: impl Iterator<Item = &'d [u8]>) -> Vec<u8> {
    let mut splitter = Splitter::new(LIMIT_BYTES);
    let mut sink = Sink { writer: ChunkWriter::new(context(options)), out: Vec::new(), ended: false };
    let mut each = |event: Event<'_>| {
        let mut content = false;
        reader.read(event, &mut |event| content |= sink.take(&event));
        reader.quiet(content && options & QUIET != 0);
    };
    let split = pieces.try_for_each(|piece| splitter.push(&Bytes::copy_from_slice(piece), &mut each));
    let split = split.and_then(|()| splitter.end(&mut each));
    reader.end(&mut |event| {
        sink.take(&event);
    });
    if !sink.ended && reader.is_complete() && split.is_ok() {
        sink.writer.finish(&mut sink.out);
    } else if !sink.ended {
        sink.writer.fail(&Fault::new(502, None, "cut"), &mut sink.out);
    }
    sink.out
}

struct Sink {
    writer: ChunkWriter,
    out: Vec<u8>,
    ended: bool,
}

impl Sink {
    /// Writes an event; says whether it was content.
    fn take(&mut self, event: &StreamEvent<'_>) -> bool {
        match event {
            _ if self.ended => {}
            StreamEvent::Failed(fault) => self.writer.fail(fault, &mut self.out),
            StreamEvent::Done => self.writer.finish(&mut self.out),
            event => self.writer.write(event, &mut self.out),
        }
        self.ended |= matches!(event, StreamEvent::Failed(_) | StreamEvent::Done);
        event.is_content()
    }
}

fn frames_are_whole(out: &[u8]) {
    let mut ends = 0;
    let mut splitter = Splitter::new(usize::MAX / 2);
    let each = &mut |event: Event<'_>| {
        let is_comment = event.data.is_empty();
        assert!(ends == 0, "something follows the end");
        ends += usize::from(
            event.data == "[DONE]" || (!is_comment && event.data != "[DONE]" && !written(event.data.as_bytes())["error"].is_null()),
        );
    };
    splitter.push(&Bytes::copy_from_slice(out), each).expect("frames");
    assert!(splitter.end(&mut |_| panic!("a frame without an end")).is_ok());
    assert_eq!(ends, 1, "a stream ends once");
}
