//! Recorded streams, cut wherever a network may cut them.

use std::collections::BTreeSet;

use crate::events::{read, read_cut};
use crate::recorded::{fixtures, streams};

/// Streams up to this length are cut in two at every byte.
const EXHAUSTIVE_BYTES: usize = 8 << 10;
/// So many random ways to cut, over all streams by turns, into about this many pieces or fewer.
const WAYS: usize = 1000;
const PIECES: usize = 12;
/// The most bytes of one stream that are read again and again.
const LONGEST_BYTES: usize = 64 << 10;

/// A fixed sequence of numbers: what fails once fails again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("a small number")
    }
}

/// Around every event's end, and within every character of several bytes.
fn delicate(body: &str) -> impl Iterator<Item = usize> {
    let ends = body.match_indices("\n\n").flat_map(|(at, _)| at..at + 4);
    let within = body.char_indices().filter(|(_, c)| c.len_utf8() > 1).flat_map(|(at, c)| at + 1..at + c.len_utf8());
    ends.chain(within).filter(|at| (1..body.len()).contains(at))
}

#[test]
fn recorded_streams_read_the_same_however_they_are_cut() {
    let Some(folder) = fixtures() else { return };
    let (mut run, mut cuts, mut exhaustive) = (0, 0, 0);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for (name, sse) in streams(&folder).into_iter().filter(|(_, sse)| sse.len() <= LONGEST_BYTES) {
        let body = sse.as_bytes();
        let whole = read(body, usize::MAX, false);
        run += 1;
        let every = body.len() <= EXHAUSTIVE_BYTES;
        exhaustive += usize::from(every);
        let places: Vec<usize> = if every { (1..body.len()).collect() } else { delicate(&sse).take(300).collect() };
        for at in places {
            assert_eq!(read_cut(body, &[at]), whole, "{name} cut at {at}");
            cuts += 1;
        }
    }
    // Seeded and random, over all streams by turns.
    let all: Vec<_> = streams(&folder).into_iter().filter(|(_, sse)| sse.len() <= LONGEST_BYTES).collect();
    for way in 0..WAYS {
        let (name, sse) = &all[way % all.len()];
        let body = sse.as_bytes();
        let at: BTreeSet<usize> = (0..1 + numbers.below(PIECES)).map(|_| 1 + numbers.below(body.len() - 1)).collect();
        let at: Vec<usize> = at.into_iter().collect();
        assert_eq!(read_cut(body, &at), read(body, usize::MAX, false), "{name} cut at {at:?}");
        cuts += 1;
    }
    eprintln!("streams: {run} run, {exhaustive} of them cut at every byte, {cuts} cuts in all");
    assert!(run >= 30, "only {run}");
}
