//! A provider's HTTP/1 answer, cut anywhere, gives the head and the body of the whole.

#![no_main]

use bytes::BytesMut;
use heliostat_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the gateway uses the rest")]
#[path = "../../../src/upstream/framing.rs"]
mod framing;
#[allow(dead_code, reason = "the gateway uses the rest")]
#[path = "../../../src/upstream/head.rs"]
mod head;

use framing::Framing;
use head::Head;

/// Status and body; `None` for what is no answer, or not all of one.
type Seen = Option<(u16, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    let (sizes, answer) = data.split_at(data.len().min(4));
    let _ = Head::is_early_failure(&BytesMut::from(answer));
    let whole = read([answer].into_iter());
    assert_eq!(read(pieces(sizes, answer)), whole);
    assert!(whole.is_none_or(|(_, body)| body.len() <= answer.len()));
});

fn read<'d>(mut pieces: impl Iterator<Item = &'d [u8]>) -> Seen {
    let mut buffer = BytesMut::new();
    let head = loop {
        buffer.extend_from_slice(pieces.next()?);
        if let Some(head) = Head::take(&mut buffer).ok()? {
            break head;
        }
    };
    let mut body = Framing::of(&head).ok()?.body;
    let mut taken = Vec::new();
    loop {
        while let Some(piece) = body.take(&mut buffer).ok()? {
            assert!(!piece.is_empty(), "no progress");
            taken.extend_from_slice(&piece);
        }
        match pieces.next() {
            _ if body.is_finished() => break,
            Some(piece) => buffer.extend_from_slice(piece),
            None => break body.end_of_stream().ok()?,
        }
    }
    Some((head.status, taken))
}
