//! Who made a piece of opaque reasoning. Its maker alone can read it, others refuse it, and clients replay whatever a conversation holds:
//! after a failover that is another's.
//!
//! Told by shape, as seen in recorded traffic and documented by no vendor: OpenAI's is a Fernet token, whose version and time begin it;
//! Anthropic's is a message whose second field comes first; Google's begins with its version. What nobody is known to make
//! (xAI's is noise from the first byte on) passes. What is misjudged is told as lost.

use super::gemini::signature::looks_like_googles;

/// A vendor whose reasoning is told by its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    Anthropic,
    Google,
    OpenAi,
}

/// Who made it; `None` is anybody.
pub(super) fn of(data: &str) -> Option<Maker> {
    /// Base64 of the byte 0x80 and the first three of a time in seconds, 64 bits wide.
    const FERNET: &str = "gAAAA";
    /// Base64 of the byte 0x12: one letter, and the range of the next.
    const FIELD_TWO: (u8, std::ops::RangeInclusive<u8>) = (b'E', b'g'..=b'v');
    if data.starts_with(FERNET) {
        return Some(Maker::OpenAi);
    }
    if looks_like_googles(data) {
        return Some(Maker::Google);
    }
    match data.as_bytes() {
        [first, second, ..] if *first == FIELD_TWO.0 && FIELD_TWO.1.contains(second) => Some(Maker::Anthropic),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Maker, of};

    #[test]
    fn the_first_bytes_tell() {
        for (data, maker) in [
            ("gAAAAABqZW5jcnlwdGVk", Some(Maker::OpenAi)),
            ("EmwKAhgBEgy3va3pzix", Some(Maker::Anthropic)),
            ("EtoBCkgIDhABGAIqQLKq2DhhKi8e", Some(Maker::Anthropic)),
            ("EsoBCscBARFNMg87ZmsM", Some(Maker::Google)),
            ("4WwEQ2SDa29rYW5hbWU", None),
            ("ZGF0YQ==", None),
            ("E", None),
            ("", None),
        ] {
            assert_eq!(of(data), maker, "{data}");
        }
    }
}
