//! Where the body of a provider's answer ends (RFC 9112 §6 and §7).

use std::io;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use super::head::Head;

/// The longest chunk-size or trailer line we accept.
const LINE_LIMIT_BYTES: usize = 8 * 1024;
/// The longest trailer section we accept, in bytes. It is dropped, but reading it costs all the same.
const TRAILER_LIMIT_BYTES: usize = 16 * 1024;
/// The most digits of a chunk's size.
const SIZE_DIGITS: usize = 15;
/// Chunks are joined up to this length.
const JOIN_BYTES: usize = 64 * 1024;

/// What a head says of its body and of the connection.
#[derive(Debug)]
pub struct Framing {
    /// The body to come.
    pub body: Body,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
}

/// A body being read.
#[derive(Debug)]
pub enum Body {
    /// So many bytes are left.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Everything until the connection closes.
    UntilClose,
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// Before a size line.
    Size,
    /// So many bytes are left of a chunk.
    Data(u64),
    /// Before the line end that follows a chunk.
    DataEnd,
    /// So many bytes into the trailer, which is dropped.
    Trailer(usize),
    /// At the end.
    End,
}

impl Framing {
    /// Reads it off a final head.
    ///
    /// # Errors
    /// `InvalidData`: lengths that disagree, or a transfer coding we did not ask for.
    pub fn of(head: &Head) -> io::Result<Self> {
        let said_close = head.lists("connection", "close");
        let said_keep = head.lists("connection", "keep-alive");
        let keep_alive = !said_close && (head.http_1_1 || said_keep);
        let length = content_length(head)?;
        if head.status == 101 {
            return Ok(Self { body: Body::UntilClose, keep_alive: false });
        }
        if matches!(head.status, 204 | 304) {
            return Ok(Self { body: Body::finished(), keep_alive });
        }
        if head.get("transfer-encoding").is_some() {
            if !head.lists("transfer-encoding", "chunked") {
                return Err(invalid("unknown transfer coding"));
            }
            // Both length and coding: the coding counts, and the connection is not trusted any further.
            return Ok(Self { body: Body::Chunked(Chunk::Size), keep_alive: keep_alive && length.is_none() });
        }
        match length {
            Some(length) => Ok(Self { body: Body::Length(length), keep_alive }),
            None => Ok(Self { body: Body::UntilClose, keep_alive: false }),
        }
    }
}

impl Body {
    /// A body of which nothing is left.
    #[must_use]
    pub fn finished() -> Self {
        Self::Length(0)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::End))
    }

    /// Takes the next piece out of what has arrived; `None` if that needs more bytes, or at the end.
    ///
    /// # Errors
    /// `InvalidData` for a chunk that is not one.
    pub fn take(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
        match self {
            Self::Length(left) => Ok(take_upto(buffer, left)),
            Self::UntilClose => Ok((!buffer.is_empty()).then(|| buffer.split().freeze())),
            Self::Chunked(chunk) => take_chunk(chunk, buffer),
        }
    }

    /// The connection ended.
    ///
    /// # Errors
    /// `UnexpectedEof` if the body had not.
    pub fn end_of_stream(&mut self) -> io::Result<()> {
        match self {
            Self::UntilClose => {
                *self = Self::finished();
                Ok(())
            }
            body if body.is_finished() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn take_upto(buffer: &mut BytesMut, left: &mut u64) -> Option<Bytes> {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    if count == 0 {
        return None;
    }
    *left -= count as u64;
    Some(buffer.split_to(count).freeze())
}

/// Takes all the data that has arrived, as one piece: many providers send an event a chunk, and what is done a piece at a time costs.
/// Data of one chunk alone stays where it is; that of more is moved together.
fn take_chunk(chunk: &mut Chunk, buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let mut at = 0;
    let first = next_data(chunk, buffer, &mut at)?;
    let Range { start, mut end } = first;
    while end > start && end - start < JOIN_BYTES {
        let next = next_data(chunk, buffer, &mut at)?;
        if next.is_empty() {
            break;
        }
        let length = next.len();
        buffer.copy_within(next, end);
        end += length;
    }
    buffer.advance(start);
    let piece = buffer.split_to(end - start).freeze();
    buffer.advance(at - end);
    Ok((!piece.is_empty()).then_some(piece))
}

/// Reads from `at` up to the end of the next data, which is where it stands; empty if more must arrive, or at the end.
fn next_data(chunk: &mut Chunk, bytes: &[u8], at: &mut usize) -> io::Result<Range<usize>> {
    loop {
        let rest = bytes.get(*at..).unwrap_or_default();
        match chunk {
            Chunk::End => return Ok(*at..*at),
            Chunk::Data(0) => *chunk = Chunk::DataEnd,
            _ if rest.is_empty() => return Ok(*at..*at),
            Chunk::Data(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= count as u64;
                let data = *at..*at + count;
                *at = data.end;
                return Ok(data);
            }
            Chunk::Size => match plain_size(rest) {
                Some((size, length)) => {
                    *at += length;
                    *chunk = after_size(size);
                }
                None => match take_line(rest, at)? {
                    Some(line) => *chunk = after_size(chunk_size(line)?),
                    None => return Ok(*at..*at),
                },
            },
            Chunk::DataEnd if rest.starts_with(b"\r\n") => {
                *at += 2;
                *chunk = Chunk::Size;
            }
            Chunk::DataEnd => match take_line(rest, at)? {
                Some([]) => *chunk = Chunk::Size,
                Some(_) => return Err(invalid("a chunk is longer than its size")),
                None => return Ok(*at..*at),
            },
            Chunk::Trailer(read) => match take_line(rest, at)? {
                Some([]) => *chunk = Chunk::End,
                Some(line) => {
                    *read += line.len() + b"\r\n".len();
                    if *read > TRAILER_LIMIT_BYTES {
                        return Err(invalid("a trailer longer than 16 KiB"));
                    }
                }
                None => return Ok(*at..*at),
            },
        }
    }
}

fn after_size(size: u64) -> Chunk {
    if size == 0 { Chunk::Trailer(0) } else { Chunk::Data(size) }
}

/// The line at the front, without its CRLF, and `at` behind it; `None` if it has not all arrived.
fn take_line<'b>(bytes: &'b [u8], at: &mut usize) -> io::Result<Option<&'b [u8]>> {
    let searched = bytes.get(..LINE_LIMIT_BYTES.min(bytes.len())).unwrap_or_default();
    let Some(end) = memchr::memchr(b'\n', searched) else {
        return if bytes.len() >= LINE_LIMIT_BYTES { Err(invalid("chunk line too long")) } else { Ok(None) };
    };
    *at += end + 1;
    match searched.get(..end).and_then(<[u8]>::split_last) {
        Some((b'\r', line)) => Ok(Some(line)),
        _ => Err(invalid("chunk line without CR")),
    }
}

/// The size at the front where nothing but digits and CRLF says it, as nearly always, and the length of that line. `None` for any other
/// line, and for one that has not all arrived: [`chunk_size`] judges those.
fn plain_size(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut size = 0;
    for (at, byte) in bytes.iter().take(SIZE_DIGITS + 1).enumerate() {
        if *byte == b'\r' {
            return (at > 0 && bytes.get(at + 1) == Some(&b'\n')).then_some((size, at + 2));
        }
        size = size << 4 | u64::from(char::from(*byte).to_digit(16)?);
    }
    None
}

fn chunk_size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let text = std::str::from_utf8(digits).unwrap_or_default();
    if digits.is_empty() || digits.len() > SIZE_DIGITS || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(invalid("not a chunk size"));
    }
    u64::from_str_radix(text, 16).map_err(|_| invalid("not a chunk size"))
}

fn content_length(head: &Head) -> io::Result<Option<u64>> {
    let mut lengths = head.all("content-length").flat_map(|value| value.split(|byte| *byte == b',')).map(|value| {
        let digits = value.trim_ascii();
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok())
    });
    let Some(first) = lengths.next() else { return Ok(None) };
    let first: u64 = first.ok_or_else(|| invalid("not a content length"))?;
    if lengths.all(|other| other == Some(first)) { Ok(Some(first)) } else { Err(invalid("content lengths disagree")) }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in_steps(wire: &[u8], step: usize) -> (u16, Vec<u8>, bool) {
        let mut buffer = BytesMut::new();
        let mut chunks = wire.chunks(step);
        let head = loop {
            if let Some(head) = Head::take(&mut buffer).unwrap() {
                break head;
            }
            buffer.extend_from_slice(chunks.next().unwrap());
        };
        let mut body = Framing::of(&head).unwrap().body;
        let mut out = Vec::new();
        loop {
            while let Some(piece) = body.take(&mut buffer).unwrap() {
                out.extend_from_slice(&piece);
            }
            if body.is_finished() {
                return (head.status, out, buffer.is_empty());
            }
            match chunks.next() {
                Some(chunk) => buffer.extend_from_slice(chunk),
                None => {
                    body.end_of_stream().unwrap();
                    return (head.status, out, true);
                }
            }
        }
    }

    #[test]
    fn every_framing_reads_the_same_for_any_split() {
        let wires: [(&str, &[u8]); 3] = [
            ("length", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            ("chunked", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nx-t: 1\r\n\r\n"),
            ("close", b"HTTP/1.0 200 OK\r\n\r\nhello"),
        ];
        for (name, wire) in wires {
            for step in 1..wire.len() {
                assert_eq!(read_in_steps(wire, step), (200, b"hello".to_vec(), true), "{name} in steps of {step}");
            }
        }
    }

    #[test]
    fn a_trailer_is_bounded_for_any_split() {
        let line = format!("x-t: {}\r\n", "a".repeat(1_017));
        for (lines, good) in [(16, true), (17, false)] {
            let wire = format!("0\r\n{}\r\n", line.repeat(lines));
            for step in [1, 700, 4_096, wire.len()] {
                let mut chunk = Chunk::Size;
                let mut buffer = BytesMut::new();
                let read = wire.as_bytes().chunks(step).try_for_each(|piece| {
                    buffer.extend_from_slice(piece);
                    take_chunk(&mut chunk, &mut buffer).map(|data| assert_eq!(data, None))
                });
                assert_eq!((read.is_ok(), chunk == Chunk::End), (good, good), "{lines} lines in steps of {step}");
            }
        }
    }

    #[test]
    fn disagreeing_lengths_and_bad_chunks_are_refused() {
        let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"[..]);
        let head = Head::take(&mut buffer).unwrap().unwrap();
        assert!(Framing::of(&head).is_err());
        for bad in [&b"zz\r\n"[..], b"2\r\nabc\r\n", b"2\nab\n", b"-1\r\n", b"\r\n"] {
            let mut chunk = Chunk::Size;
            let mut buffer = BytesMut::from(bad);
            let outcome = std::iter::from_fn(|| take_chunk(&mut chunk, &mut buffer).transpose()).find(Result::is_err);
            assert!(outcome.is_some(), "{bad:?}");
        }
    }
}
