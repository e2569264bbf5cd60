//! One pass over a JSON body, recording where things are.

use std::borrow::Cow;

use bytes::Bytes;

/// Which parts of a document the scan records as nodes of their own.
///
/// A named member is a *policy key*: it may stand only once in its object (compared after unescaping), because two readers of a
/// duplicate would disagree about which one counts. Members not named are recorded as one opaque span each.
#[derive(Debug)]
pub enum Shape {
    /// Checked for well-formedness and depth, kept as one span.
    Opaque,
    /// If the value is an object its members are recorded (those named with their own shape); if it is an array its elements are
    /// recorded with the element shape; anything else is a scalar span.
    Open {
        /// Shapes of the named members of an object.
        members: &'static [(&'static str, &'static Shape)],
        /// The shape of an array's elements; `None` keeps an array opaque.
        elements: Option<&'static Shape>,
    },
}

/// Bounds on what a client may make us record.
#[derive(Debug, Clone, Copy)]
pub struct ScanLimits {
    /// Deepest nesting of objects and arrays.
    pub depth: usize,
    /// Most values recorded as nodes.
    pub nodes: usize,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self { depth: 128, nodes: 1 << 18 }
    }
}

/// Why a body is not a document we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// Not JSON (RFC 8259), or not UTF-8; `offset` is the byte where it stops being so.
    #[error("invalid JSON at byte {offset}: {why}")]
    Syntax {
        /// Byte offset in the body.
        offset: usize,
        /// What was expected there.
        why: &'static str,
    },
    /// Nested deeper than the limit.
    #[error("JSON nested deeper than {limit} levels")]
    Depth {
        /// The limit in force.
        limit: usize,
    },
    /// A policy key stands twice in one object.
    #[error("duplicate key {path:?}")]
    Duplicate {
        /// The member's path, such as `messages[0].role`.
        path: String,
    },
    /// More values than the limit where values are recorded one by one.
    #[error("more than {limit} JSON values")]
    Nodes {
        /// The limit in force.
        limit: usize,
    },
}

/// The kind of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the six kinds of RFC 8259")]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// A scanned body: the bytes and where its values are.
#[derive(Debug)]
pub struct Document {
    bytes: Bytes,
}

impl Document {
    /// Scans `bytes` once. O(bytes); memory O(recorded values). Strings are skipped by SIMD search, never decoded.
    ///
    /// # Errors
    /// [`ScanError`]; accepts exactly the documents `serde_json` accepts, but for the limits and duplicates.
    pub fn scan(bytes: Bytes, shape: &'static Shape, limits: ScanLimits) -> Result<Self, ScanError> {
        let _ = (shape, limits);
        Ok(Self { bytes })
    }

    /// The root value.
    #[must_use]
    pub fn root(&self) -> View<'_> {
        View { document: self, node: 0 }
    }

    /// The whole body, as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// A look at one recorded value of a document. Copy; a pair of words.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    document: &'a Document,
    node: u32,
}

#[allow(unused_variables, clippy::todo)] // SKELETON: signatures first, bodies follow
impl<'a> View<'a> {
    /// The kind of the value.
    #[must_use]
    pub fn kind(self) -> Kind {
        todo!()
    }
    /// The value's JSON text, exactly as the client wrote it (without surrounding whitespace).
    #[must_use]
    pub fn raw(self) -> &'a str {
        todo!()
    }
    /// The same as a slice that shares the body's memory.
    #[must_use]
    pub fn bytes(self) -> Bytes {
        todo!()
    }
    /// Byte range of the value in the document.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        todo!()
    }
    /// Byte range from the start of the member's key to the end of its value; `None` for elements and the root.
    #[must_use]
    pub fn member_range(self) -> Option<std::ops::Range<usize>> {
        todo!()
    }
    /// A named or unnamed member of a recorded object; the first if an unnamed one stands twice. `None` also for JSON `null`?
    /// No: a `null` member is returned; use [`View::present`] to treat it as absent.
    #[must_use]
    pub fn get(self, key: &str) -> Option<View<'a>> {
        todo!()
    }
    /// [`View::get`], with `null` as absent (OpenAI's own reading of optional fields).
    #[must_use]
    pub fn present(self, key: &str) -> Option<View<'a>> {
        todo!()
    }
    /// The member's key, unescaped; `None` for elements and the root.
    #[must_use]
    pub fn key(self) -> Option<Cow<'a, str>> {
        todo!()
    }
    /// Members of a recorded object in the client's order; empty for other kinds. An opaque object has none: see [`Shape`].
    pub fn members(self) -> impl Iterator<Item = View<'a>> {
        std::iter::empty()
    }
    /// Elements of a recorded array in order; empty for other kinds. An opaque array has none: see [`Shape`].
    pub fn elements(self) -> impl Iterator<Item = View<'a>> {
        std::iter::empty()
    }
    /// A string's decoded text (borrowed where it has no escapes).
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        todo!()
    }
    /// A string as a literal that can be emitted as it stands.
    #[must_use]
    pub fn literal(self) -> Option<super::Literal<'a>> {
        todo!()
    }
    /// A boolean.
    #[must_use]
    pub fn boolean(self) -> Option<bool> {
        todo!()
    }
    /// A non-negative integer.
    #[must_use]
    pub fn unsigned(self) -> Option<u64> {
        todo!()
    }
    /// Any number, as the nearest double.
    #[must_use]
    pub fn number(self) -> Option<f64> {
        todo!()
    }
    /// The value's path from the root, such as `messages[2].content[1].image_url.url`; empty for the root.
    #[must_use]
    pub fn path(self) -> String {
        todo!()
    }
    /// Reads the value into a typed, possibly borrowing, structure. For small values that are really translated.
    ///
    /// # Errors
    /// What `serde_json` says of the value's text.
    pub fn read<T: serde::Deserialize<'a>>(self) -> Result<T, serde_json::Error> {
        todo!()
    }
    /// Scans an opaque value as a document of its own, sharing the memory.
    ///
    /// # Errors
    /// [`ScanError`] as in [`Document::scan`]; paths are then relative to this value.
    pub fn reopen(self, shape: &'static Shape, limits: ScanLimits) -> Result<Document, ScanError> {
        todo!()
    }
}
