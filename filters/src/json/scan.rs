//! The scanner: one pass, no recursion, no decoding.

use super::document::{Kind, Node, ScanError, ScanLimits, Shape, Span};
use super::literal::decode;
use super::path::path;
use super::pure::{BLOCK_BYTES, Pure};

/// Records the values of `bytes`, shorter than 4 GiB, that `shape` opens. The first node is the root. `pure` is what [`Pure::find`] found
/// in them: it spares looks, and changes nothing else.
pub(super) fn scan(bytes: &[u8], pure: &Pure, shape: &'static Shape, limits: ScanLimits) -> Result<Vec<Node>, ScanError> {
    if let Some(offset) = pure.utf8_error(bytes) {
        return Err(ScanError::Syntax { offset, why: "not UTF-8" });
    }
    let mut scanner = Scanner { bytes, pure, at: 0, limits, nodes: Vec::with_capacity(32), open: Vec::with_capacity(8) };
    scanner.document(shape)?;
    Ok(scanner.nodes)
}

struct Scanner<'b> {
    bytes: &'b [u8],
    pure: &'b Pure,
    at: usize,
    limits: ScanLimits,
    nodes: Vec<Node>,
    /// The containers around the current place, outermost first.
    open: Vec<Container>,
}

/// An object or array that has begun and not ended.
struct Container {
    /// Its node; [`Node::NONE`] inside a value that is recorded as one span.
    node: u32,
    /// Its shape, if its children are recorded.
    shape: Option<&'static Shape>,
    is_object: bool,
    is_empty: bool,
    /// Bit `i`: the `i`th member named by the shape has been seen.
    seen: u128,
}

/// A value about to begin.
struct Slot {
    /// Its shape, if it is recorded.
    shape: Option<&'static Shape>,
    parent: u32,
    key: Span,
    key_escaped: bool,
}

impl Scanner<'_> {
    fn document(&mut self, shape: &'static Shape) -> Result<(), ScanError> {
        self.skip_space();
        if self.bytes.starts_with(b"\xEF\xBB\xBF") {
            return self.syntax("a byte order mark is no part of JSON");
        }
        self.value(&Slot { shape: Some(shape), parent: Node::NONE, key: Span::default(), key_escaped: false })?;
        while !self.open.is_empty() {
            self.skip_space();
            self.next_child()?;
        }
        self.skip_space();
        if self.at < self.bytes.len() { self.syntax("expected the end of the document") } else { Ok(()) }
    }

    /// Reads one member or element of the innermost container, or its end.
    fn next_child(&mut self) -> Result<(), ScanError> {
        let Some(container) = self.open.last_mut() else { return Ok(()) };
        let (is_object, was_empty) = (container.is_object, container.is_empty);
        container.is_empty = false;
        match (self.bytes.get(self.at), is_object) {
            (Some(b'}'), true) | (Some(b']'), false) => {
                self.at += 1;
                self.close();
                return Ok(());
            }
            (Some(b','), _) if !was_empty => {
                self.at += 1;
                self.skip_space();
            }
            (Some(_), _) if was_empty => {}
            (Some(_), true) => return self.syntax("expected `,` or `}`"),
            (Some(_), false) => return self.syntax("expected `,` or `]`"),
            (None, _) => return self.syntax("the document ends inside an object or array"),
        }
        let slot = if is_object { self.member()? } else { self.element() };
        self.value(&slot)
    }

    /// Reads a member's key and colon.
    fn member(&mut self) -> Result<Slot, ScanError> {
        let start = self.at;
        if self.bytes.get(start) != Some(&b'"') {
            return self.syntax("expected a key in quotes");
        }
        let key_escaped = self.string()?;
        let key = self.span_from(start);
        self.skip_space();
        if self.bytes.get(self.at) != Some(&b':') {
            return self.syntax("expected `:`");
        }
        self.at += 1;
        self.skip_space();
        self.member_slot(key, key_escaped)
    }

    /// Finds the shape of a member, and refuses the second of a name.
    fn member_slot(&mut self, key: Span, key_escaped: bool) -> Result<Slot, ScanError> {
        let bytes = self.bytes;
        let Some(Container { node, shape: Some(Shape::Open { members, .. }), seen, .. }) = self.open.last_mut() else {
            return Ok(Slot { shape: None, parent: Node::NONE, key, key_escaped });
        };
        let mut slot = Slot { shape: Some(&Shape::Opaque), parent: *node, key, key_escaped };
        let Some((index, shape)) = named(members, bytes.get(key.range()).unwrap_or_default(), key_escaped) else { return Ok(slot) };
        debug_assert!(members.len() <= 128, "a shape names at most 128 members");
        let bit = 1u128.checked_shl(index).unwrap_or(0);
        if *seen & bit != 0 {
            let at = self.record(&slot, Kind::Null, Span::default(), false)?;
            return Err(ScanError::Duplicate { path: path(bytes, &self.nodes, at) });
        }
        *seen |= bit;
        slot.shape = Some(shape);
        Ok(slot)
    }

    fn element(&self) -> Slot {
        let (shape, parent) = match self.open.last() {
            Some(Container { node, shape: Some(Shape::Open { elements: Some(shape), .. }), .. }) => (Some(*shape), *node),
            _ => (None, Node::NONE),
        };
        Slot { shape, parent, key: Span::default(), key_escaped: false }
    }

    /// Reads a scalar, or begins a container.
    fn value(&mut self, slot: &Slot) -> Result<(), ScanError> {
        let start = self.at;
        let mut escaped = false;
        let kind = match self.bytes.get(start) {
            Some(b'"') => {
                escaped = self.string()?;
                Kind::String
            }
            Some(b'{') => return self.begin(slot, Kind::Object),
            Some(b'[') => return self.begin(slot, Kind::Array),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Kind::Bool)?,
            Some(b'f') => self.word("false", Kind::Bool)?,
            Some(b'n') => self.word("null", Kind::Null)?,
            Some(_) => return self.syntax("expected a value"),
            None => return self.syntax("expected a value, found the end of the document"),
        };
        if slot.shape.is_some() {
            let span = self.span_from(start);
            self.record(slot, kind, span, escaped)?;
        }
        Ok(())
    }

    fn begin(&mut self, slot: &Slot, kind: Kind) -> Result<(), ScanError> {
        if self.open.len() >= self.limits.depth {
            return Err(ScanError::Depth { limit: self.limits.depth });
        }
        let is_object = kind == Kind::Object;
        let node = match slot.shape {
            Some(_) => self.record(slot, kind, self.span_from(self.at), false)?,
            None => Node::NONE,
        };
        let shape = slot.shape.filter(|shape| match shape {
            Shape::Opaque => false,
            Shape::Open { elements, .. } => is_object || elements.is_some(),
        });
        self.at += 1;
        self.open.push(Container { node, shape, is_object, is_empty: true, seen: 0 });
        Ok(())
    }

    fn close(&mut self) {
        let next = self.nodes.len() as u32;
        let end = self.at as u32;
        if let Some(container) = self.open.pop()
            && let Some(node) = self.nodes.get_mut(container.node as usize)
        {
            node.value.end = end;
            node.next = next;
        }
    }

    fn record(&mut self, slot: &Slot, kind: Kind, value: Span, escaped: bool) -> Result<u32, ScanError> {
        let at = self.nodes.len();
        if at >= self.limits.nodes {
            return Err(ScanError::Nodes { limit: self.limits.nodes });
        }
        let next = at as u32 + 1;
        self.nodes.push(Node { key: slot.key, value, parent: slot.parent, next, kind, key_escaped: slot.key_escaped, escaped });
        Ok(at as u32)
    }

    /// Skips a string, from its opening quote; says whether it holds a backslash.
    fn string(&mut self) -> Result<bool, ScanError> {
        let mut escaped = false;
        self.at += 1;
        loop {
            match self.skip_plain() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.syntax("a control character in a string must be escaped"),
                None => return self.syntax("the document ends inside a string"),
            }
        }
    }

    /// Skips what stands for itself in a string, up to a quote, a backslash or a control character, which it tells.
    fn skip_plain(&mut self) -> Option<u8> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if let Some(length) = short_plain(rest) {
            self.at += length;
            return rest.get(length).copied();
        }
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let block = rest.get(..BLOCK_BYTES).unwrap_or(rest);
            let stop = memchr::memchr2(b'"', b'\\', block);
            let plain = block.get(..stop.unwrap_or(block.len())).unwrap_or_default();
            // A fold without an early exit, so that it is compiled to vector instructions.
            if plain.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' ' {
                self.at += plain.iter().position(|byte| *byte < b' ').unwrap_or_default();
                return self.bytes.get(self.at).copied();
            }
            self.at += plain.len();
            match stop {
                Some(stop) => return block.get(stop).copied(),
                None if block.is_empty() => return None,
                None => self.at = self.pure.skip(self.at),
            }
        }
    }

    /// Skips an escape, from its backslash; a surrogate pair is one.
    fn escape(&mut self) -> Result<(), ScanError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match (self.code_unit(self.at), self.code_unit(self.at + 6)) {
                (None, _) => self.syntax("expected four hexadecimal digits"),
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => {
                    self.at += 12;
                    Ok(())
                }
                (Some(0xD800..=0xDFFF), _) => self.syntax("half of a surrogate pair"),
                (Some(_), _) => {
                    self.at += 6;
                    Ok(())
                }
            },
            Some(_) => self.syntax("no such escape"),
            None => self.syntax("the document ends inside a string"),
        }
    }

    /// The UTF-16 code unit written as `\uXXXX` at `at`.
    fn code_unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }

    /// Skips a number, as RFC 8259 section 6 writes it.
    fn number(&mut self) -> Result<Kind, ScanError> {
        let start = self.at;
        self.at += usize::from(self.bytes.get(start) == Some(&b'-'));
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        let has_exponent = matches!(self.bytes.get(self.at), Some(b'e' | b'E'));
        if has_exponent {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        // Only these can be beyond every double; of such a number some readers make an error and others infinity.
        let may_overflow = has_exponent || self.at - start > 300;
        let text = self.bytes.get(start..self.at).unwrap_or_default();
        if may_overflow && serde_json::from_slice::<f64>(text).is_err() {
            self.at = start;
            return self.syntax("a number beyond the range of a double");
        }
        Ok(Kind::Number)
    }

    fn digits(&mut self) -> Result<(), ScanError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { self.syntax("expected a digit") } else { Ok(()) }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, ScanError> {
        if !self.bytes.get(self.at..).unwrap_or_default().starts_with(word.as_bytes()) {
            return self.syntax("expected a value");
        }
        self.at += word.len();
        Ok(kind)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// Fits: documents are shorter than 4 GiB.
    fn span_from(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.at as u32 }
    }

    fn syntax<T>(&self, why: &'static str) -> Result<T, ScanError> {
        Err(ScanError::Syntax { offset: self.at, why })
    }
}

/// How many bytes come before the first quote, backslash or control character, if that is one of the first few: to begin a search costs
/// more than to skip a key.
fn short_plain(text: &[u8]) -> Option<usize> {
    const SHORT_WORDS: usize = 4;
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    // The high bit of each byte that is below `limit`. A borrow spoils only bytes behind the first of them.
    let below = |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit)) & !word & HIGH;
    let (words, _) = text.as_chunks::<8>();
    (0..).step_by(8).zip(words.iter().take(SHORT_WORDS)).find_map(|(at, bytes)| {
        let word = u64::from_le_bytes(*bytes);
        let equal = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
        let stops = below(word, b' ') | equal(b'"') | equal(b'\\');
        (stops != 0).then(|| at + (stops.trailing_zeros() / 8) as usize)
    })
}

/// The place and shape of a key among the named ones.
fn named(members: &[(&'static str, &'static Shape)], literal: &[u8], escaped: bool) -> Option<(u32, &'static Shape)> {
    let decoded;
    let key = if escaped {
        decoded = decode(std::str::from_utf8(literal).ok()?);
        decoded.as_bytes()
    } else {
        literal.get(1..literal.len().saturating_sub(1))?
    };
    (0..).zip(members).find(|(_, (name, _))| name.as_bytes() == key).map(|(index, (_, shape))| (index, *shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_stretch_ends_where_a_byte_does_not_stand_for_itself() {
        for stop in 0..=u8::MAX {
            for before in 0..40 {
                for filler in [b' ', b'!', b'#', b'[', b']', b'a', 0x7F, 0x80, 0xFF] {
                    let text: Vec<u8> =
                        std::iter::repeat_n(filler, before).chain([stop]).chain([b'"', 0, b'\\', filler].repeat(4)).collect();
                    let naive = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '));
                    assert_eq!(short_plain(&text), naive.filter(|at| *at < 32), "{text:?}");
                }
            }
        }
        assert_eq!(short_plain(b"short\""), None, "less than a word is left to the search");
    }
}
