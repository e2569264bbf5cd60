//! What the fuzz targets share: readings of JSON to compare with, candidates to translate for, a bound on what comes out.

use bytes::Bytes;
use heliostat_filters::chat::{ReplyContext, StreamEvent, StreamReader, StreamWriter};
use heliostat_filters::dialect::{Address, Client, DIALECTS, Dialect, Names, Surface, Target};
use heliostat_filters::fault::Fault;
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanError, ScanLimits, Shape};
use heliostat_filters::sse::{Event, Splitter};
use serde::Deserialize as _;
use serde_json::Value;

pub use serde_json;

/// Two blocks of the scan, so that one of them lies within, wherever the stretch begins.
const STRETCH_BYTES: usize = 2 * 16 * 1024;

/// The longest event.
const LIMIT_BYTES: usize = 1 << 20;

/// Models of each generation whose translations differ, for any dialect: a name that a dialect does not know is a model like others.
pub const MODELS: &[&str] =
    &["claude-3-5-haiku", "claude-sonnet-4-5", "claude-opus-4-7", "gemini-2.0-flash", "gemini-2.5-pro", "gemini-3-pro", "o3"];

/// serde_json's reading, without its limit on depth: only for text that the scan found to be no deeper than its own.
pub fn value(text: &str) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let value = Value::deserialize(&mut reader)?;
    reader.end().map(|()| value)
}

/// What we wrote, read by somebody else.
///
/// # Panics
/// If it is no JSON.
pub fn written(json: &[u8]) -> Value {
    let text = std::str::from_utf8(json).expect("UTF-8");
    value(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

/// Scans with the limits of the gateway.
///
/// # Errors
/// [`ScanError`] as the scanner says.
pub fn scan(data: &[u8], shape: &'static Shape) -> Result<Document, ScanError> {
    Document::scan(Bytes::copy_from_slice(data), shape, ScanLimits::default())
}

/// `data` with base64 in its middle, long enough for the scan to look at it but once.
#[must_use]
pub fn stretched(data: &[u8]) -> Vec<u8> {
    let (head, tail) = data.split_at(data.len() / 2);
    [head, &[b'A'; STRETCH_BYTES], tail].concat()
}

/// Checks that `output_bytes` are within a multiple of what they were made of: nobody buys much memory with few bytes.
///
/// # Panics
/// If they are not.
pub fn bounded(output_bytes: usize, input_bytes: usize) {
    assert!(output_bytes <= 64 * input_bytes + 64 * 1024, "{output_bytes} bytes of {input_bytes}");
}

/// A provider that takes everything, and one that takes little.
pub fn surfaces() -> [Surface; 2] {
    let plain =
        Surface { image_urls: false, tool_ids: false, native_schema: false, body_version: Some("v".to_owned()), ..Surface::default() };
    [Surface::default(), plain]
}

/// Each dialect that differs from the client's, and the client's own.
pub fn dialects() -> impl Iterator<Item = &'static dyn Dialect> {
    DIALECTS.iter().copied()
}

/// What a reply must change back: a renamed tool, and where bit 0 of `options` is set a tool that stands for the answer.
pub fn names(options: u8) -> Names {
    Names {
        renamed_tools: vec![("sent".to_owned(), "declared \"name\"".to_owned())],
        id_seed: "seed".to_owned(),
        answer_tool: (options & 1 != 0).then(|| "answer".to_owned()),
    }
}

/// A client's wishes, by bits 1 and 2 of `options`.
pub fn context(options: u8) -> ReplyContext {
    ReplyContext { created_s: 1, id: "chatcmpl-1".to_owned(), legacy_functions: options & 2 != 0, include_usage: options & 4 != 0, ..ReplyContext::default() }
}

/// Cuts `data` into pieces whose sizes `sizes` gives in turn.
pub fn pieces<'d>(sizes: &'d [u8], mut data: &'d [u8]) -> impl Iterator<Item = &'d [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = sizes.next().map_or(1, |size| usize::from(*size % 32) + 1);
        let (piece, rest) = data.split_at(size.min(data.len()));
        data = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Reads a client's request as the gateway does, and writes it for each dialect.
///
/// # Panics
/// If what is written is no JSON object, or much more than what was read.
pub fn request(client: &dyn Client, address: &Address, data: &[u8]) {
    let Ok(document) = scan(data, client.shape()) else { return };
    let _ = (client.peek(&document, address), client.images(&document), client.links(&document), client.files(&document));
    let Ok(request) = client.read(&document, address) else { return };
    for dialect in dialects() {
        for surface in &surfaces() {
            for model in MODELS {
                let target = Target { model, surface, fetched: Fetched::NONE };
                assert!(written(&client.rewrite(&document, &target).join()).is_object());
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
pub fn translate<'d>(
    client: &dyn Client,
    reader: &mut dyn StreamReader,
    options: u8,
    mut pieces: impl Iterator<Item = &'d [u8]>,
) -> Vec<u8> {
    let mut writer = client.stream_writer(context(options));
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
