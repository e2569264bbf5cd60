//! What the gateway writes where Google would sign: clients replay a part with its signature as they received it, so that another
//! vendor's signature survives the turn there. Google itself would refuse it: it never gets one.
//!
//! A signature of Google's is bytes, and some clients decode and encode them: a mark is base64 of a text that says what it is.

use crate::json::{Kind, View};

/// Base64 of `heliostat:`, without its last bits.
const HEAD: &[u8] = b"\"aGVsaW9zdGF0O";
const SIGNED: &str = "heliostat:signed:";
const DATA: &str = "heliostat:data:";

/// What a mark says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Another vendor's signature of a thought.
    Signed(String),
    /// Another vendor's opaque reasoning.
    Data(String),
}

impl Mark {
    /// As it stands in a reply.
    pub(super) fn written(&self) -> String {
        let text = match self {
            Self::Signed(signature) => format!("{SIGNED}{signature}"),
            Self::Data(data) => format!("{DATA}{data}"),
        };
        base64_simd::STANDARD.encode_to_string(text)
    }
}

/// Whether a signature is a mark. O(1).
pub(super) fn is_one(signature: View<'_>) -> bool {
    signature.kind() == Kind::String && signature.bytes().starts_with(HEAD)
}

/// Reads a signature; `None` if the gateway did not write it.
pub(super) fn read(signature: View<'_>) -> Option<Mark> {
    if !is_one(signature) {
        return None;
    }
    let text = signature.text()?;
    let standard = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let chars: Vec<u8> = text.trim_end_matches('=').bytes().map(standard).collect();
    let said = String::from_utf8(base64_simd::STANDARD_NO_PAD.decode_to_vec(chars).ok()?).ok()?;
    let signed = said.strip_prefix(SIGNED).map(|signature| Mark::Signed(signature.to_owned()));
    signed.or_else(|| said.strip_prefix(DATA).map(|data| Mark::Data(data.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, ScanLimits, Shape};

    #[test]
    fn what_is_written_is_read_however_it_was_encoded() {
        for text in ["EqQBCkgIARABGAIiQL+/4A==", "", "x", "ß?>"] {
            for mark in [Mark::Signed(text.to_owned()), Mark::Data(text.to_owned())] {
                let written = mark.written();
                for form in [written.clone(), written.replace('+', "-").replace('/', "_"), written.trim_end_matches('=').to_owned()] {
                    let document = Document::scan(format!("\"{form}\"").into(), &Shape::Opaque, ScanLimits::default()).unwrap();
                    assert_eq!(read(document.root()).as_ref(), Some(&mark), "{form}");
                }
            }
        }
        let document = Document::scan("\"EqQBCkgIARAB\"".into(), &Shape::Opaque, ScanLimits::default()).unwrap();
        assert_eq!(read(document.root()), None);
    }
}
