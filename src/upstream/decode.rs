//! Content codings of answers, undone piece by piece as they arrive.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{DeflateDecoder, GzDecoder, ZlibDecoder};

use super::head::Head;

/// A body may grow this much, and by this factor: text compresses ten- to fiftyfold, a bomb a thousandfold.
const GROWTH_BYTES: usize = 1 << 20;
const GROWTH_FACTOR: usize = 200;
/// How much coded input is taken at once: what it can grow to before the bound is checked again stays small.
const STEP_BYTES: usize = 4 * 1024;

/// A content coding we cannot undo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer is coded as `{0}`, which was not asked for")]
pub struct Unknown(pub String);

/// Undoes a content coding. What has arrived is decoded as far as it goes: nothing waits for more.
#[derive(Debug)]
pub struct Decoder {
    coding: Coding,
    taken: usize,
    given: usize,
    /// The coded data has ended; what follows is dropped.
    ended: bool,
    finished: bool,
}

#[derive(Debug)]
enum Coding {
    Gzip(GzDecoder<Vec<u8>>),
    /// `deflate`, before its first two bytes show whether it has zlib's frame, as it should, or none.
    Unseen(Vec<u8>),
    Zlib(ZlibDecoder<Vec<u8>>),
    Raw(DeflateDecoder<Vec<u8>>),
}

impl Decoder {
    /// A decoder for the body of this head, if it is coded. The head then no longer says so, nor how long the coded body is.
    ///
    /// # Errors
    /// The coding, if it is one we do not know.
    pub fn of(head: &mut Head) -> Result<Option<Self>, Unknown> {
        let codings: Vec<u8> = head.all("content-encoding").collect::<Vec<_>>().join(&b","[..]).to_ascii_lowercase();
        let mut codings =
            codings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|coding| !matches!(*coding, b"" | b"identity"));
        let Some(coding) = codings.next() else { return Ok(None) };
        let unknown = |coding: &[u8]| Err(Unknown(String::from_utf8_lossy(coding).chars().take(32).collect()));
        if let Some(second) = codings.next() {
            return unknown(second);
        }
        let coding = match coding {
            b"gzip" | b"x-gzip" => Coding::Gzip(GzDecoder::new(Vec::new())),
            b"deflate" => Coding::Unseen(Vec::new()),
            other => return unknown(other),
        };
        head.remove("content-encoding");
        head.remove("content-length");
        Ok(Some(Self { coding, taken: 0, given: 0, ended: false, finished: false }))
    }

    /// Takes a piece of the coded body, or its end, and gives what it holds; `None` if that is nothing.
    ///
    /// # Errors
    /// `InvalidData`: not so coded, or it grows beyond all bounds. `UnexpectedEof`: it ended before its end.
    pub fn step(&mut self, piece: Option<Bytes>) -> io::Result<Option<Bytes>> {
        let mut decoded = Vec::new();
        match piece {
            Some(piece) => {
                for part in piece.chunks(STEP_BYTES) {
                    self.take(part, &mut decoded)?;
                }
            }
            None if !self.finished => {
                self.finished = true;
                if self.taken > 0 && !self.ended {
                    self.coding.finish().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
                    self.coding.drain(&mut decoded);
                }
            }
            None => {}
        }
        Ok((!decoded.is_empty()).then(|| decoded.into()))
    }

    /// Whether the end was read.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    fn take(&mut self, part: &[u8], decoded: &mut Vec<u8>) -> io::Result<()> {
        let wrong =
            |error: io::Error| io::Error::new(io::ErrorKind::InvalidData, format!("the answer's content coding is broken: {error}"));
        let mut left = part;
        while !left.is_empty() && !self.ended {
            let count = self.coding.write(left).map_err(wrong)?;
            self.ended = count == 0;
            left = left.get(count..).unwrap_or_default();
        }
        if !self.ended {
            self.coding.flush().map_err(wrong)?;
        }
        self.taken += part.len();
        self.given += self.coding.drain(decoded);
        if self.given > GROWTH_BYTES.saturating_add(self.taken.saturating_mul(GROWTH_FACTOR)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer grows too much when it is decompressed"));
        }
        Ok(())
    }
}

impl Coding {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.write(bytes),
            Self::Zlib(decoder) => decoder.write(bytes),
            Self::Raw(decoder) => decoder.write(bytes),
            Self::Unseen(first) => {
                first.extend_from_slice(bytes);
                self.see().map(|()| bytes.len())
            }
        }
    }

    /// Decides by the first two bytes (RFC 1950 §2.2).
    fn see(&mut self) -> io::Result<()> {
        let Self::Unseen(first) = self else { return Ok(()) };
        let [method, flags, ..] = first[..] else { return Ok(()) };
        let first = std::mem::take(first);
        let framed = method & 0x0f == 8 && u16::from_be_bytes([method, flags]) % 31 == 0;
        *self = if framed { Self::Zlib(ZlibDecoder::new(Vec::new())) } else { Self::Raw(DeflateDecoder::new(Vec::new())) };
        let mut left = &first[..];
        while !left.is_empty() {
            match self.write(left)? {
                0 => return Ok(()),
                count => left = left.get(count..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(decoder) => decoder.flush(),
            Self::Zlib(decoder) => decoder.flush(),
            Self::Raw(decoder) => decoder.flush(),
            Self::Unseen(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zlib(decoder) => decoder.try_finish(),
            Self::Raw(decoder) => decoder.try_finish(),
            Self::Unseen(first) if first.is_empty() => Ok(()),
            Self::Unseen(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Moves what has been decoded to `out`, and says how much that was.
    fn drain(&mut self, out: &mut Vec<u8>) -> usize {
        let decoded = match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Raw(decoder) => decoder.get_mut(),
            Self::Unseen(_) => return 0,
        };
        let count = decoded.len();
        out.append(decoded);
        count
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use bytes::BytesMut;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn head(coding: &str) -> Head {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: 9\r\n\r\n");
        Head::take(&mut BytesMut::from(text.as_bytes())).unwrap().unwrap()
    }

    fn decoder(coding: &str) -> Decoder {
        Decoder::of(&mut head(coding)).unwrap().unwrap()
    }

    fn coded(coding: &str, text: &[u8]) -> Vec<u8> {
        match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            "deflate" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            _ => {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn read(decoder: &mut Decoder, pieces: impl Iterator<Item = Vec<u8>>) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        for piece in pieces.map(|piece| Some(Bytes::from(piece))).chain([None]) {
            out.extend_from_slice(&decoder.step(piece)?.unwrap_or_default());
        }
        Ok(out)
    }

    #[test]
    fn every_coding_reads_the_same_for_any_split() {
        let mut text = String::new();
        (0..200).for_each(|number| write!(text, "{{\"n\":{number}}}").unwrap());
        for coding in ["gzip", "deflate", "raw"] {
            let wire = coded(coding, text.as_bytes());
            for step in [1, 2, 3, 7, 100, wire.len()] {
                let mut decoder = decoder(if coding == "gzip" { "GZIP" } else { "deflate" });
                let read = read(&mut decoder, wire.chunks(step).map(<[u8]>::to_vec)).unwrap();
                assert_eq!(read, text.as_bytes(), "{coding} in steps of {step}");
                assert!(decoder.is_finished());
            }
        }
    }

    #[test]
    fn what_was_flushed_is_given_without_more() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut decoder = decoder("gzip");
        for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
            encoder.write_all(event.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let piece = std::mem::take(encoder.get_mut());
            assert_eq!(decoder.step(Some(piece.into())).unwrap().unwrap(), event);
        }
    }

    #[test]
    fn a_bomb_is_stopped_early() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 64 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        let mut given = 0;
        let mut decoder = decoder("gzip");
        let stopped = bomb.chunks(16 << 10).find_map(|piece| match decoder.step(Some(Bytes::copy_from_slice(piece))) {
            Ok(decoded) => {
                given += decoded.map_or(0, |decoded| decoded.len());
                None
            }
            Err(error) => Some(error),
        });
        assert_eq!(stopped.unwrap().kind(), io::ErrorKind::InvalidData);
        assert!(given < 16 << 20, "{given}");
    }

    #[test]
    fn broken_and_cut_bodies_are_told_apart() {
        let wire = coded("gzip", b"a text of some length, so that there is something to cut");
        let cut = read(&mut decoder("gzip"), [wire[..wire.len() / 2].to_vec()].into_iter()).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        let broken = read(&mut decoder("gzip"), [b"{\"plain\":\"json\"}".to_vec()].into_iter()).unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::InvalidData);
        assert!(read(&mut decoder("gzip"), std::iter::empty()).unwrap().is_empty(), "no body at all");
    }

    #[test]
    fn the_head_no_longer_tells_of_what_was_undone() {
        let mut coded = head("gzip");
        assert!(Decoder::of(&mut coded).unwrap().is_some());
        assert_eq!((coded.get("content-encoding"), coded.get("content-length")), (None, None));
        let mut plain = head("identity");
        assert!(Decoder::of(&mut plain).unwrap().is_none());
        assert_eq!(plain.text("content-length"), Some("9"));
        assert_eq!(Decoder::of(&mut head("br")).unwrap_err(), Unknown("br".to_owned()));
        assert_eq!(Decoder::of(&mut head("gzip, zstd")).unwrap_err(), Unknown("zstd".to_owned()));
    }
}
