//! Images as they arrived: decoded, sniffed, hashed.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An image, a document or a sound within a request.
#[derive(Debug)]
pub(super) struct Image {
    /// As the request said it; for a reference, the URL.
    pub(super) media_type: String,
    /// Decoded length in bytes; 0 for a reference.
    pub(super) bytes: usize,
    /// Of the decoded bytes, in hex; empty for a reference.
    pub(super) sha256: String,
}

impl Image {
    pub(super) fn new(media_type: &str, data: &[u8]) -> Self {
        Self { media_type: media_type.to_owned(), bytes: data.len(), sha256: sha256(data) }
    }

    /// One that was not sent, but pointed to.
    pub(super) fn reference(url: &str) -> Self {
        Self { media_type: url.to_owned(), bytes: 0, sha256: String::new() }
    }

    /// `image/png 68 bytes sha256:…`, or the URL.
    pub(super) fn line(&self) -> String {
        if self.sha256.is_empty() {
            return format!("url {}", self.media_type);
        }
        format!("{} {} bytes sha256:{}", self.media_type, self.bytes, self.sha256)
    }

    pub(super) fn summary(&self) -> Value {
        json!({"media_type": self.media_type, "bytes": self.bytes, "sha256": self.sha256})
    }
}

/// Decodes standard base64 with its padding; `None` where it is anything else.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// What the first bytes say an image is.
pub(super) fn sniff(data: &[u8]) -> Option<&'static str> {
    const BRANDS_OF_HEIC: &[&[u8]] = &[b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"];
    match data {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [_, _, _, _, b'f', b't', b'y', b'p', rest @ ..] if rest.get(..4).is_some_and(|brand| BRANDS_OF_HEIC.contains(&brand)) => {
            Some("image/heic")
        }
        _ => None,
    }
}

/// SHA-256 in hex.
pub(super) fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
