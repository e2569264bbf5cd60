//! Splits a byte stream into events.

use bytes::Bytes;

/// Memory for unfinished events is given back after one longer than this.
pub(super) const KEPT_BYTES: usize = 64 * 1024;

/// One event: what a blank line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event:` field; empty if there was none.
    pub name: &'a str,
    /// The `data:` lines joined by `\n`; empty for a block without any, such as a comment that keeps the connection alive.
    pub data: &'a str,
}

/// Why a stream cannot be split further. The upstream's fault; what came before was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// An event grew beyond the limit without ending.
    #[error("an event of the stream is longer than {limit_bytes} bytes")]
    TooLong {
        /// The limit in force.
        limit_bytes: usize,
    },
    /// An event is not UTF-8: replacing the bytes would alter an answer in silence.
    #[error("an event of the stream is not UTF-8")]
    NotUtf8,
}

/// Splits any sequence of chunks into the same events. Holds at most one unfinished event.
///
/// Understands LF, CRLF and CR line ends, comments, a leading byte order mark, several `data:` lines, and fields without a space after
/// the colon. The data of an event that stands whole in one chunk on one line is lent without a copy. Each byte is searched once,
/// however small the chunks.
#[derive(Debug)]
pub struct Splitter {
    pub(super) held: Vec<u8>,
    limit_bytes: usize,
    blank_line: BlankLine,
    blocks: Blocks,
}

impl Splitter {
    /// A splitter that refuses events longer than `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { held: Vec::new(), limit_bytes, blank_line: BlankLine::default(), blocks: Blocks::default() }
    }

    /// Takes the next chunk and hands over each event it completes, in order.
    ///
    /// # Errors
    /// [`SplitError`]; the splitter is then of no further use.
    pub fn push(&mut self, chunk: &Bytes, each: &mut dyn FnMut(Event<'_>)) -> Result<(), SplitError> {
        let mut rest: &[u8] = chunk;
        while !rest.is_empty() {
            let taken = self.push_one(rest, each)?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Takes bytes up to the end of the next event, which it hands over, or all of them where none ends. Says how many it took.
    ///
    /// # Errors
    /// As [`Splitter::push`].
    pub fn push_one(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) -> Result<usize, SplitError> {
        let Some((block, _)) = self.blank_line.find(bytes).and_then(|end| bytes.split_at_checked(end)) else {
            self.check_length(bytes)?;
            self.held.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        self.check_length(block)?;
        if self.held.is_empty() {
            self.blocks.deliver(block, each)?;
        } else {
            self.held.extend_from_slice(block);
            self.blocks.deliver(&self.held, each)?;
            self.release();
        }
        Ok(block.len())
    }

    /// How many bytes at the front of `bytes`, which are the next, are whole events, as far as a glance can tell: up to the last empty
    /// line, where all before that is UTF-8. They may then be left out of what is pushed: between two events the splitter remembers
    /// nothing. None where an event has begun, or at the start of the stream.
    #[must_use]
    pub fn whole_events(&self, bytes: &[u8]) -> usize {
        let between = self.held.is_empty() && self.blocks.begun && self.blank_line.is_between();
        let length = if between { behind_last_empty_line(bytes) } else { 0 };
        let is_text = || bytes.get(..length).is_some_and(|events| simdutf8::basic::from_utf8(events).is_ok());
        if (1..=self.limit_bytes).contains(&length) && is_text() { length } else { 0 }
    }

    /// The body ended: hands over an event that lacked only its final blank line (many servers end so).
    ///
    /// # Errors
    /// [`SplitError::NotUtf8`], for instance when the body ended within a character.
    pub fn end(&mut self, each: &mut dyn FnMut(Event<'_>)) -> Result<(), SplitError> {
        let held = std::mem::take(&mut self.held);
        self.blocks.deliver(&held, each)
    }

    /// Whether an event has begun and not ended.
    #[must_use]
    pub fn is_within_event(&self) -> bool {
        !self.held.is_empty()
    }

    fn check_length(&self, more: &[u8]) -> Result<(), SplitError> {
        let fits = self.held.len() + more.len() <= self.limit_bytes;
        if fits { Ok(()) } else { Err(SplitError::TooLong { limit_bytes: self.limit_bytes }) }
    }

    fn release(&mut self) {
        self.held.clear();
        self.held.shrink_to(KEPT_BYTES);
    }
}

/// The index after the last empty line that an LF ends, and another before it; 0 if there is none.
fn behind_last_empty_line(bytes: &[u8]) -> usize {
    let is_empty = |end: &usize| {
        let line = bytes.get(..*end).unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line).ends_with(b"\n")
    };
    memchr::memrchr_iter(b'\n', bytes).find(is_empty).map_or(0, |end| end + 1)
}

/// Finds the blank line that ends an event, across chunks.
#[derive(Debug)]
struct BlankLine {
    /// Nothing stands in the current line yet.
    at_line_start: bool,
    /// The last byte was a CR, which ended a line: an LF now belongs to it.
    after_cr: bool,
}

impl Default for BlankLine {
    fn default() -> Self {
        Self { at_line_start: true, after_cr: false }
    }
}

impl BlankLine {
    /// Whether the last event has ended, and no LF can belong to its end.
    fn is_between(&self) -> bool {
        self.at_line_start && !self.after_cr
    }

    /// The index after the next blank line in `bytes`, which follow what was searched before. Where a chunk ends within a CRLF the
    /// LF is left to the next block: there it is an empty line before the first field and means nothing.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(first) = bytes.get(at) {
            at += usize::from(std::mem::take(&mut self.after_cr) && *first == b'\n');
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(stop) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.at_line_start &= rest.is_empty();
                return None;
            };
            let is_blank = self.at_line_start && stop == 0;
            self.at_line_start = true;
            self.after_cr = rest.get(stop) == Some(&b'\r');
            at += stop + 1;
            if is_blank {
                let takes_lf = self.after_cr && bytes.get(at) == Some(&b'\n');
                self.after_cr &= !takes_lf;
                return Some(at + usize::from(takes_lf));
            }
        }
        None
    }
}

/// Reads the blocks between blank lines.
#[derive(Debug, Default)]
struct Blocks {
    /// Whether the start of the stream, where a byte order mark may stand, is behind.
    begun: bool,
    /// Several `data:` lines of one event, joined.
    joined: String,
}

impl Blocks {
    /// Hands over the event a block stands for, if it holds anything at all.
    fn deliver(&mut self, block: &[u8], each: &mut dyn FnMut(Event<'_>)) -> Result<(), SplitError> {
        let text = simdutf8::basic::from_utf8(block).map_err(|_| SplitError::NotUtf8)?;
        let is_first = !std::mem::replace(&mut self.begun, true);
        let text = text.strip_prefix('\u{FEFF}').filter(|_| is_first).unwrap_or(text);
        self.joined.clear();
        let (mut name, mut data, mut is_joined, mut holds_lines) = ("", None, false, false);
        for line in lines(text) {
            holds_lines = true;
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match (field, data) {
                ("event", _) => name = value,
                ("data", None) => data = Some(value),
                ("data", Some(first)) => {
                    if !std::mem::replace(&mut is_joined, true) {
                        self.joined.push_str(first);
                    }
                    self.joined.push('\n');
                    self.joined.push_str(value);
                }
                _ => {} // A comment, `id`, `retry`, or a field of tomorrow.
            }
        }
        if holds_lines {
            each(Event { name, data: if is_joined { &self.joined } else { data.unwrap_or_default() } });
        }
        Ok(())
    }
}

/// The lines of a block that are not empty. That a CRLF counts as two ends changes nothing but the number of empty lines.
fn lines(block: &str) -> impl Iterator<Item = &str> {
    let mut rest = block;
    let all = std::iter::from_fn(move || {
        let stop = memchr::memchr2(b'\n', b'\r', rest.as_bytes()).unwrap_or(rest.len());
        let line = rest.get(..stop)?;
        if rest.is_empty() {
            return None;
        }
        rest = rest.get(stop + 1..).unwrap_or_default();
        Some(line)
    });
    all.filter(|line| !line.is_empty())
}
