//! What leaves with one write.

use bytes::{Bytes, BytesMut};

/// A smaller piece is copied: it would keep all the room it was read into, for as long as it waits.
const ALONE_BYTES: usize = 4096;

/// Bytes on their way to the client. A long piece alone is not copied; several are joined.
#[derive(Debug, Default)]
pub struct Gathered {
    alone: Bytes,
    joined: BytesMut,
}

impl Gathered {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.alone.len() + self.joined.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a piece of what was read.
    pub fn push(&mut self, piece: &Bytes) {
        if self.is_empty() && piece.len() >= ALONE_BYTES {
            self.alone = piece.clone();
        } else {
            self.write(piece);
        }
    }

    /// Adds what was written.
    pub fn write(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let alone = std::mem::take(&mut self.alone);
        self.joined.reserve(alone.len() + text.len());
        self.joined.extend_from_slice(&alone);
        self.joined.extend_from_slice(text);
    }

    /// Takes them all, and the room with them.
    pub fn take(&mut self) -> Bytes {
        if self.joined.is_empty() { std::mem::take(&mut self.alone) } else { std::mem::take(&mut self.joined).freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_whatever_is_copied() {
        let (long, short) = (Bytes::from(vec![b'l'; ALONE_BYTES]), Bytes::from_static(b"short"));
        for pieces in [vec![&long], vec![&long, &short], vec![&short, &long], vec![&long, &long, &short], vec![]] {
            let mut gathered = Gathered::default();
            pieces.iter().for_each(|piece| gathered.push(piece));
            gathered.write(b"");
            gathered.write(b"end");
            let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter()).chain(b"end").copied().collect();
            assert_eq!(gathered.len(), all.len());
            assert_eq!(gathered.take(), all);
            assert!(gathered.is_empty() && gathered.take().is_empty());
        }
    }

    #[test]
    fn a_long_piece_alone_stays_where_it_is() {
        let piece = Bytes::from(vec![0; ALONE_BYTES]);
        let mut gathered = Gathered::default();
        gathered.push(&piece);
        assert_eq!(gathered.take().as_ptr(), piece.as_ptr());
    }
}
