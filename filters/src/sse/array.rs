//! An event stream as one JSON array: what a client gets that did not ask for events.

use bytes::Bytes;

use super::Splitter;

/// The longest event; an image that a model made fits.
const EVENT_LIMIT_BYTES: usize = 64 << 20;

/// Frames the data of events, byte for byte, as elements of an array. An element is written when its event has ended; anything else that
/// keeps a connection alive becomes white space.
#[derive(Debug)]
pub struct Array {
    splitter: Splitter,
    begun: bool,
    /// An event could not be read: the array stays open, so that nobody takes it for whole.
    broken: bool,
}

impl Default for Array {
    fn default() -> Self {
        Self { splitter: Splitter::new(EVENT_LIMIT_BYTES), begun: false, broken: false }
    }
}

impl Array {
    /// Takes a piece of the event stream, appends what the client gets of it.
    pub fn push(&mut self, events: &Bytes, out: &mut Vec<u8>) {
        let Self { splitter, begun, broken } = self;
        if *broken {
            return;
        }
        let before = out.len();
        *broken = splitter.push(events, &mut |event| element(event.data, begun, out)).is_err();
        if out.len() == before && !splitter.is_within_event() && !events.is_empty() {
            out.push(b'\n');
        }
    }

    /// Ends the array.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        let Self { splitter, begun, broken } = self;
        *broken |= splitter.end(&mut |event| element(event.data, begun, out)).is_err();
        if !*broken {
            out.extend_from_slice(if *begun { b"\n]\n" } else { b"[]\n" });
        }
    }
}

fn element(data: &str, begun: &mut bool, out: &mut Vec<u8>) {
    if data.trim().is_empty() {
        return;
    }
    out.extend_from_slice(if std::mem::replace(begun, true) { b",\n" } else { b"[" });
    out.extend_from_slice(data.as_bytes());
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "serde_json is the oracle")]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\ndata: {\"a\":\"\u{e9}\"}\r\n\r\ndata: {\"b\":\r\ndata: 2}\r\n\r\n\n: ping\n\ndata: {\"c\":[]}\n\n";

    fn framed(pieces: &[&[u8]]) -> String {
        let (mut array, mut out) = (Array::default(), Vec::new());
        for piece in pieces {
            array.push(&Bytes::copy_from_slice(piece), &mut out);
        }
        array.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_are_elements_however_the_stream_is_cut() {
        let elements = serde_json::json!([{"a": "\u{e9}"}, {"b": 2}, {"c": []}]);
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|why| panic!("{why}: {text}"));
        let bytes = STREAM.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(read(&framed(&pieces)), elements, "cut at {first} and {second}");
            }
        }
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(read(&framed(&single)), elements);
    }

    #[test]
    fn no_event_is_an_empty_array_and_a_comment_a_sign_of_life() {
        assert_eq!(framed(&[]), "[]\n");
        assert_eq!(framed(&[b": ping\n\n"]), "\n[]\n");
    }

    #[test]
    fn what_cannot_be_read_leaves_the_array_open() {
        let (mut array, mut out) = (Array::default(), Vec::new());
        array.push(&Bytes::from_static(b"data: {}\n\ndata: \xff\n\ndata: {}\n\n"), &mut out);
        array.end(&mut out);
        assert_eq!(out, b"[{}");
    }
}
