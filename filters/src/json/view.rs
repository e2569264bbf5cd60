//! Looks at the recorded values of a document.

use std::borrow::Cow;
use std::iter::successors;
use std::ops::Range;

use bytes::Bytes;

use super::document::{Document, Kind, Node, ScanError, ScanLimits, Shape};
use super::literal::{Literal, decode};
use super::path::path;

/// A look at one recorded value of a document. Copy; a pair of words.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    document: &'a Document,
    node: u32,
}

impl<'a> View<'a> {
    pub(super) fn new(document: &'a Document, node: u32) -> Self {
        Self { document, node }
    }

    /// The kind of the value.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.found().map_or(Kind::Null, |node| node.kind)
    }

    /// The value's JSON text, exactly as the client wrote it (without surrounding whitespace).
    ///
    /// Costs a look at each byte (some 30 µs a MiB): to carry a large value, use [`View::bytes`].
    #[must_use]
    pub fn raw(self) -> &'a str {
        self.slice(self.range())
    }

    /// The same as a slice that shares the body's memory. O(1).
    #[must_use]
    pub fn bytes(self) -> Bytes {
        self.document.bytes.slice(self.range())
    }

    /// Byte range of the value in the document.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.found().map_or(0..0, |node| node.value.range())
    }

    /// Byte range from the start of the member's key to the end of its value; `None` for elements and the root.
    #[must_use]
    pub fn member_range(self) -> Option<Range<usize>> {
        let node = self.member_node()?;
        Some(node.key.range().start..node.value.range().end)
    }

    /// A named or unnamed member of a recorded object; the first if an unnamed one stands twice. Compares unescaped keys.
    ///
    /// A member that is `null` is returned; [`View::present`] treats it as absent.
    #[must_use]
    pub fn get(self, key: &str) -> Option<View<'a>> {
        self.members().find(|member| member.has_key(key))
    }

    /// [`View::get`], with `null` as absent (OpenAI's own reading of optional fields).
    #[must_use]
    pub fn present(self, key: &str) -> Option<View<'a>> {
        self.get(key).filter(|member| member.kind() != Kind::Null)
    }

    /// The member's key, unescaped; `None` for elements and the root.
    #[must_use]
    pub fn key(self) -> Option<Cow<'a, str>> {
        Some(decode(self.slice(self.member_node()?.key.range())))
    }

    /// Members of a recorded object in the client's order; empty for other kinds. An opaque object has none: see [`Shape`].
    pub fn members(self) -> impl Iterator<Item = View<'a>> {
        self.children(Kind::Object)
    }

    /// Elements of a recorded array in order; empty for other kinds. An opaque array has none: see [`Shape`].
    pub fn elements(self) -> impl Iterator<Item = View<'a>> {
        self.children(Kind::Array)
    }

    /// A string's decoded text (borrowed where it has no escapes).
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        (self.kind() == Kind::String).then(|| decode(self.raw()))
    }

    /// A string as a literal that can be emitted as it stands.
    #[must_use]
    pub fn literal(self) -> Option<Literal<'a>> {
        if self.kind() == Kind::String { Literal::raw(self.raw()) } else { None }
    }

    /// A boolean.
    #[must_use]
    pub fn boolean(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == "true")
    }

    /// A non-negative integer. One spelled with a fraction or exponent (`5.0`, `1e2`) is read too where a double holds it exactly
    /// (up to 2^53), as OpenAI does; `5.5` is `None`.
    #[must_use]
    pub fn unsigned(self) -> Option<u64> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let number = self.number()?;
        self.raw().parse().ok().or_else(|| (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64))
    }

    /// Any number, as the nearest double.
    #[must_use]
    pub fn number(self) -> Option<f64> {
        if self.kind() == Kind::Number { self.raw().parse().ok() } else { None }
    }

    /// The value's path from the root, such as `messages[2].content[1].image_url.url`; empty for the root.
    ///
    /// A key that is not a plain word stands in brackets as its JSON text, `metadata["a b"]`; a long one is cut.
    #[must_use]
    pub fn path(self) -> String {
        path(&self.document.bytes, &self.document.nodes, self.node)
    }

    /// Reads the value into a typed, possibly borrowing, structure. For small values that are really translated.
    ///
    /// # Errors
    /// What `serde_json` says of the value's text.
    pub fn read<T: serde::Deserialize<'a>>(self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.raw())
    }

    /// Scans an opaque value as a document of its own, sharing the memory.
    ///
    /// # Errors
    /// [`ScanError`] as in [`Document::scan`]; paths are then relative to this value.
    pub fn reopen(self, shape: &'static Shape, limits: ScanLimits) -> Result<Document, ScanError> {
        Document::scan(self.bytes(), shape, limits)
    }

    /// Whether a string value holds escapes; `false` for other kinds.
    pub(crate) fn is_escaped(self) -> bool {
        self.found().is_some_and(|node| node.escaped)
    }

    /// Where the value's text, counted from its start, is letters of base64's standard alphabet throughout: the first long stretch that
    /// the scan found in it; empty if it found none.
    pub(crate) fn base64_stretch(self) -> Range<usize> {
        let range = self.range();
        let stretch = self.document.pure.within(range.clone());
        stretch.start.saturating_sub(range.start)..stretch.end.saturating_sub(range.start)
    }

    fn children(self, of: Kind) -> impl Iterator<Item = View<'a>> {
        let end = self.found().filter(|node| node.kind == of).map_or(0, |node| node.next);
        let first = (self.node + 1 < end).then_some(self.node + 1);
        let after = move |at: &u32| self.document.nodes.get(*at as usize).map(|node| node.next).filter(|next| *next < end);
        successors(first, after).map(move |at| View::new(self.document, at))
    }

    fn has_key(self, key: &str) -> bool {
        let Some(node) = self.member_node() else { return false };
        let literal = self.document.bytes.get(node.key.range()).unwrap_or_default();
        if node.key_escaped {
            return self.key().is_some_and(|own| own == key);
        }
        literal.get(1..literal.len().saturating_sub(1)) == Some(key.as_bytes())
    }

    fn member_node(self) -> Option<&'a Node> {
        self.found().filter(|node| node.key.end > 0)
    }

    fn found(self) -> Option<&'a Node> {
        self.document.nodes.get(self.node as usize)
    }

    /// Text of the document. The scan found it to be UTF-8 and cut it at ASCII bytes, so that this never fails.
    fn slice(self, range: Range<usize>) -> &'a str {
        let bytes = self.document.bytes.get(range).unwrap_or_default();
        simdutf8::basic::from_utf8(bytes).unwrap_or_default()
    }
}
