//! One pass over a JSON body, recording where things are.

use bytes::Bytes;

use super::pure::Pure;
use super::{View, scan};

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
        /// Shapes of the named members of an object; at most 128, each name once.
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
    pub(super) bytes: Bytes,
    pub(super) nodes: Vec<Node>,
    pub(super) pure: Pure,
}

impl Document {
    /// Scans `bytes` once. O(bytes); memory 28 bytes a recorded value and 8 a long stretch of base64. Strings are skipped by SIMD search,
    /// never decoded.
    ///
    /// # Errors
    /// [`ScanError`]; accepts exactly the documents `serde_json` reads into a `Value`, but for the limits and duplicates. So a lone
    /// surrogate escape (`"\ud83d"`) and a number beyond every double (`1e999`) are syntax errors, wherever they stand.
    pub fn scan(bytes: Bytes, shape: &'static Shape, limits: ScanLimits) -> Result<Self, ScanError> {
        if bytes.len() >= Node::NONE as usize {
            return Err(ScanError::Syntax { offset: Node::NONE as usize, why: "documents end before 4 GiB" });
        }
        let pure = Pure::find(&bytes);
        let nodes = scan::scan(&bytes, &pure, shape, limits)?;
        Ok(Self { bytes, nodes, pure })
    }

    /// The root value.
    #[must_use]
    pub fn root(&self) -> View<'_> {
        View::new(self, 0)
    }

    /// The whole body, as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// One recorded value. Nodes stand in document order, a container before its children.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// Where the member's key is, quotes included; `0..0` for elements and the root.
    pub(super) key: Span,
    /// Where the value is.
    pub(super) value: Span,
    /// Index of the container; [`Node::NONE`] for the root.
    pub(super) parent: u32,
    /// Index after the last node of this value's subtree: its next sibling, if it has one.
    pub(super) next: u32,
    pub(super) kind: Kind,
    /// Whether the key, and whether the value if it is a string, holds a backslash.
    pub(super) key_escaped: bool,
    pub(super) escaped: bool,
}

const _: () = assert!(size_of::<Node>() <= 28, "a client chooses how many nodes there are");

impl Node {
    /// No node.
    pub(super) const NONE: u32 = u32::MAX;
}

/// A byte range of a document. Documents are shorter than 4 GiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}
