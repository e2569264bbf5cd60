//! A JSON body made of slices of another and of new text.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Literal, View};

/// Kept slices at least this long stay separate; smaller ones are joined, so that few writes leave the process.
const SEPARATE_BYTES: usize = 16 * 1024;

/// A finished body: pieces to be written in order.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    /// The pieces, none empty.
    pub pieces: Vec<Bytes>,
    /// Their lengths added up.
    pub len_bytes: usize,
}

impl Pieces {
    /// A body of one piece.
    #[must_use]
    pub fn one(bytes: Bytes) -> Self {
        Self { len_bytes: bytes.len(), pieces: if bytes.is_empty() { Vec::new() } else { vec![bytes] } }
    }

    /// All pieces joined; copies unless there is one.
    #[must_use]
    pub fn join(&self) -> Bytes {
        match self.pieces.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => {
                let mut joined = BytesMut::with_capacity(self.len_bytes);
                many.iter().for_each(|piece| joined.extend_from_slice(piece));
                joined.freeze()
            }
        }
    }
}

/// Room that a document begins with: most of those that are written, and all of an event, fit.
const FIRST_BYTES: usize = 512;

/// Writes a JSON document piece by piece. Commas are placed by [`Splice::key`] and [`Splice::element`]: each puts one where the
/// text written last was a complete value.
#[derive(Debug, Default)]
pub struct Splice {
    pieces: Vec<Bytes>,
    tail: BytesMut,
    len_bytes: usize,
    /// The last byte written that is not white space; 0 if there is none.
    last: u8,
}

impl Splice {
    /// An empty document.
    #[must_use]
    pub fn new() -> Self {
        Self { tail: BytesMut::with_capacity(FIRST_BYTES), ..Self::default() }
    }

    /// Writes JSON text as it stands: punctuation, a number, a whole value.
    pub fn raw(&mut self, text: &str) -> &mut Self {
        self.note_last(text.as_bytes());
        self.tail.extend_from_slice(text.as_bytes());
        self
    }

    /// Begins an object as the next value. Close it with [`Splice::end_object`].
    pub fn object(&mut self) -> &mut Self {
        self.raw("{")
    }

    /// Ends an object.
    pub fn end_object(&mut self) -> &mut Self {
        self.raw("}")
    }

    /// Begins an array as the next value. Close it with [`Splice::end_array`].
    pub fn array(&mut self) -> &mut Self {
        self.raw("[")
    }

    /// Ends an array.
    pub fn end_array(&mut self) -> &mut Self {
        self.raw("]")
    }

    /// Writes a member's key (plain ASCII that needs no escaping), after a comma where one is due.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.element();
        self.raw("\"").raw(key).raw("\":")
    }

    /// Writes a member's key that a document came with, after a comma where one is due.
    pub fn key_literal(&mut self, key: &Literal<'_>) -> &mut Self {
        self.element().literal(key).raw(":")
    }

    /// Announces the next element of an array: writes a comma where one is due.
    pub fn element(&mut self) -> &mut Self {
        if !matches!(self.last, 0 | b'{' | b'[' | b':' | b',') {
            self.raw(",");
        }
        self
    }

    /// Writes plain text as a string, escaped.
    pub fn string(&mut self, text: &str) -> &mut Self {
        // Writing to memory cannot fail, and text can always be quoted.
        let _ = serde_json::to_writer((&mut self.tail).writer(), text);
        self.last = b'"';
        self
    }

    /// Writes a string literal as it stands.
    pub fn literal(&mut self, literal: &Literal<'_>) -> &mut Self {
        self.raw(literal.as_json())
    }

    /// Writes an integer.
    pub fn integer(&mut self, value: u64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(value))
    }

    /// Writes a value of the client's document, as it stands; one of 16 KiB or more is not copied.
    pub fn view(&mut self, view: View<'_>) -> &mut Self {
        self.kept(view.bytes())
    }

    /// Writes a slice of another body, as it stands; one of 16 KiB or more is not copied.
    pub fn kept(&mut self, bytes: Bytes) -> &mut Self {
        self.note_last(&bytes);
        if bytes.len() < SEPARATE_BYTES {
            self.tail.extend_from_slice(&bytes);
        } else {
            self.flush_tail();
            self.len_bytes += bytes.len();
            self.pieces.push(bytes);
        }
        self
    }

    /// The finished body.
    #[must_use]
    pub fn finish(mut self) -> Pieces {
        self.flush_tail();
        Pieces { pieces: self.pieces, len_bytes: self.len_bytes }
    }

    /// White space does not count: what stands before it decides whether a comma is due.
    fn note_last(&mut self, written: &[u8]) {
        self.last = written.iter().copied().rfind(|byte| !byte.is_ascii_whitespace()).unwrap_or(self.last);
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.len_bytes += self.tail.len();
            self.pieces.push(self.tail.split().freeze());
        }
    }
}
