//! A stream cut anywhere gives the events, and the end, of the whole.

#![no_main]

use bytes::Bytes;
use heliostat_filters::sse::{SplitError, Splitter};
use heliostat_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

const LIMIT_BYTES: usize = 1024;

type Seen = (Vec<(String, String)>, Result<(), SplitError>);

fuzz_target!(|data: &[u8]| {
    let (sizes, stream) = data.split_at(data.len().min(4));
    let whole = split([stream].into_iter());
    assert_eq!(split(pieces(sizes, stream)), whole);
    assert_eq!(split(stream.chunks(1)), whole);
    let longest = whole.0.iter().map(|(name, data)| name.len() + data.len()).max();
    assert!(longest.unwrap_or_default() <= LIMIT_BYTES);
});

fn split<'d>(mut pieces: impl Iterator<Item = &'d [u8]>) -> Seen {
    let mut splitter = Splitter::new(LIMIT_BYTES);
    let mut events = Vec::new();
    let mut each = |event: heliostat_filters::sse::Event<'_>| events.push((event.name.to_owned(), event.data.to_owned()));
    let pushed = pieces.try_for_each(|piece| splitter.push(&Bytes::copy_from_slice(piece), &mut each));
    let ended = pushed.and_then(|()| splitter.end(&mut each));
    (events, ended)
}
