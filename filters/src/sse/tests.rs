use bytes::Bytes;
use proptest::prelude::*;

use super::{Event, SplitError, Splitter};

type Events = Vec<(String, String)>;

fn split<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Events, SplitError> {
    let mut events = Events::new();
    let mut each = |event: Event<'_>| events.push((event.name.to_owned(), event.data.to_owned()));
    let mut splitter = Splitter::new(1 << 20);
    for chunk in chunks {
        splitter.push(&Bytes::copy_from_slice(chunk), &mut each)?;
    }
    splitter.end(&mut each)?;
    Ok(events)
}

fn whole(text: &str) -> Events {
    split([text.as_bytes()]).unwrap()
}

fn events(expected: &[(&str, &str)]) -> Events {
    expected.iter().map(|(name, data)| ((*name).into(), (*data).into())).collect()
}

const SAMPLE: &str = "\u{FEFF}: hello\n\nevent: message_start\r\ndata: {\"type\":\"é🌞\"}\r\n\r\ndata:one\rdata:  two\rdata\r\rid: 7\nretry:1\n\
    event:ping\n\n\n\n\r\n: a\n: b\ndata: {\"a\":1}\n\ndata: [DONE]\n\ndata: last";

fn sample_events() -> Events {
    events(&[
        ("", ""),
        ("message_start", "{\"type\":\"é🌞\"}"),
        ("", "one\n two\n"),
        ("ping", ""),
        ("", "{\"a\":1}"),
        ("", "[DONE]"),
        ("", "last"),
    ])
}

#[test]
fn splits_the_sample_whole_and_byte_by_byte() {
    assert_eq!(whole(SAMPLE), sample_events());
    assert_eq!(split(SAMPLE.as_bytes().chunks(1)).unwrap(), sample_events());
}

#[test]
fn every_cut_gives_the_same_events() {
    for line_end in ["\n", "\r\n", "\r"] {
        let text = SAMPLE.replace("\r\n", "\n").replace('\r', "\n").replace('\n', line_end);
        for cut in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            assert_eq!(split([head, tail]).unwrap(), sample_events(), "{line_end:?} cut at {cut}");
        }
    }
}

#[test]
fn each_form_of_a_block() {
    for (text, expected) in [
        ("", &[][..]),
        ("\n\r\n\r\n\n", &[]),
        ("\u{FEFF}", &[]),
        ("\u{FEFF}\n\ndata: x\n\n", &[("", "x")]),
        ("data: a\n\n\u{FEFF}data: b\n\n", &[("", "a"), ("", "")]),
        ("data\n\n", &[("", "")]),
        ("data:\ndata:\n\n", &[("", "\n")]),
        ("data: a:b: c\n\n", &[("", "a:b: c")]),
        ("data:\ta \n\n", &[("", "\ta ")]),
        (" data: a\n\n", &[("", "")]),
        ("event: a\nevent: b\ndata: c\n\n", &[("b", "c")]),
        ("data: a\nevent: b", &[("b", "a")]),
        ("data: a\n", &[("", "a")]),
        ("data: a\r\n\r", &[("", "a")]),
        ("data: a\u{2028}b\u{85}c\n\n", &[("", "a\u{2028}b\u{85}c")]),
    ] {
        assert_eq!(whole(text), events(expected), "{text:?}");
    }
}

#[test]
fn events_come_as_soon_as_they_are_whole() {
    let mut splitter = Splitter::new(100);
    let mut seen = 0;
    for (chunk, expected) in [("data: a\n", 0), ("\n", 1), ("data: b\r\n\r", 2), ("\ndata: c\r\r", 3), ("\ndata: d\n", 3), ("\n", 4)] {
        splitter.push(&Bytes::from_static(chunk.as_bytes()), &mut |_| seen += 1).unwrap();
        assert_eq!(seen, expected, "{chunk:?}");
    }
}

#[test]
fn lends_what_stands_whole_in_a_chunk() {
    let chunk = Bytes::from_static(b"data: one\n\nevent: e\ndata: two\n\n");
    let mut lent = Vec::new();
    Splitter::new(100).push(&chunk, &mut |event| lent.push(event.data.as_ptr())).unwrap();
    assert_eq!(lent, [chunk[6..].as_ptr(), chunk[26..].as_ptr()]);

    let chunk = Bytes::from_static(b"data: one\r\n\r\n");
    let mut splitter = Splitter::new(100);
    for _ in 0..3 {
        splitter.push(&chunk, &mut |event| assert_eq!(event.data.as_ptr(), chunk[6..].as_ptr())).unwrap();
    }
}

#[test]
fn whole_events_can_be_left_out_without_a_trace() {
    let middle = "data: {\"a\":\"é\"}\n\nevent: e\r\ndata: b\r\n\r\n: c\n\n";
    let mut splitter = Splitter::new(100);
    let mut seen = Vec::new();
    let mut each = |event: Event<'_>| seen.push(event.data.to_owned());
    assert_eq!(splitter.whole_events(middle.as_bytes()), 0, "a byte order mark may come");
    splitter.push(&Bytes::from_static(b"data: first\n\n"), &mut each).unwrap();
    let rest = format!("{middle}data: la");
    let whole = splitter.whole_events(rest.as_bytes());
    assert_eq!(whole, middle.len());
    assert_eq!(splitter.push_one(&rest.as_bytes()[whole..], &mut each), Ok("data: la".len()));
    assert_eq!(splitter.whole_events(b"st\n\ndata: x\n\n"), 0, "an event has begun");
    splitter.push(&Bytes::from_static(b"st\r"), &mut each).unwrap();
    splitter.push(&Bytes::from_static(b"\n\r"), &mut each).unwrap();
    assert_eq!(splitter.whole_events(b"\ndata: x\n\n"), 0, "a line feed may belong to the last event");
    splitter.push(&Bytes::from_static(b"\n"), &mut each).unwrap();
    assert_eq!(splitter.whole_events(b"data: \xff\n\n"), 0, "no UTF-8");
    assert_eq!(splitter.whole_events(b"data: x"), 0, "no event ends");
    assert_eq!(seen, ["first", "last"]);
}

#[test]
fn bytes_that_are_not_utf8_are_an_error() {
    assert_eq!(split([&b"data: a\n\ndata: \xff\n\n"[..]]), Err(SplitError::NotUtf8));
    assert_eq!(split([&b"data: caf\xc3"[..]]), Err(SplitError::NotUtf8));
    assert_eq!(split([&b"data: caf\xc3"[..], b"\xa9\n\n"]).unwrap(), events(&[("", "café")]));
}

#[test]
fn the_limit_holds_for_any_chunks() {
    let text = b"data: 0123456789\n\n";
    for size in 1..=text.len() {
        let push = |limit| {
            let mut splitter = Splitter::new(limit);
            text.chunks(size).try_for_each(|chunk| splitter.push(&Bytes::copy_from_slice(chunk), &mut |_| ()))
        };
        assert_eq!(push(text.len()), Ok(()), "chunks of {size}");
        assert_eq!(push(text.len() - 1), Err(SplitError::TooLong { limit_bytes: text.len() - 1 }), "chunks of {size}");
    }
}

#[test]
fn a_long_line_in_small_chunks_is_searched_once() {
    let mut splitter = Splitter::new(6 << 20);
    let chunk = Bytes::from(vec![b'x'; 64]);
    let mut lengths = Vec::new();
    let mut each = |event: Event<'_>| lengths.push(event.data.len());
    splitter.push(&Bytes::from_static(b"data: "), &mut each).unwrap();
    // Searching from the start on each push would look at 200 GB here, and this test would not end.
    for _ in 0..(5 << 20) / 64 {
        splitter.push(&chunk, &mut each).unwrap();
    }
    splitter.push(&Bytes::from_static(b"\n\n"), &mut each).unwrap();
    assert_eq!(lengths, [5 << 20]);
    assert!(splitter.held.capacity() <= super::split::KEPT_BYTES);
}

proptest! {
    #[test]
    fn random_cuts_equal_the_whole(text in "(data|event|:| |: |é|\n|\r|\r\n|\n\n|x){0,40}", cuts in prop::collection::vec(1usize..9, 1..20)) {
        let mut chunks = Vec::new();
        let mut rest = text.as_bytes();
        for size in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (head, tail) = rest.split_at((*size).min(rest.len()));
            chunks.push(head);
            rest = tail;
        }
        prop_assert_eq!(split(chunks).unwrap(), whole(&text));
    }

    #[test]
    fn written_events_are_read_back(sent in prop::collection::vec(("[a-z_]{0,8}", "[a-zé🌞 :{}\"]{1,30}"), 0..8), line_end in "\n|\r|\r\n") {
        let text: String = sent.iter().map(|(name, data)| format!("event: {name}{line_end}data: {data}{line_end}{line_end}")).collect();
        prop_assert_eq!(whole(&text), sent);
    }
}
