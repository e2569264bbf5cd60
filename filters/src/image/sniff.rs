//! Types told by the first bytes.

/// Base64 characters that are looked at; they decode to 18 bytes.
pub(super) const HEAD_CHARS: usize = 24;

/// Text that turns up where an image should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// An SVG, or XML in general.
    Svg,
    /// Other markup, such as a web page, or a JSON object.
    Other,
}

/// A type's signature: each of the byte strings at its offset.
struct Magic {
    media_type: &'static str,
    parts: &'static [(usize, &'static [u8])],
}

const fn magic(media_type: &'static str, parts: &'static [(usize, &'static [u8])]) -> Magic {
    Magic { media_type, parts }
}

/// Sources: WHATWG MIME Sniffing section 6; ISO 14496-12 brands for HEIC and AVIF; the BMP header's reserved words are zero.
const MAGIC: &[Magic] = &[
    magic("image/jpeg", &[(0, b"\xFF\xD8\xFF")]),
    magic("image/png", &[(0, b"\x89PNG\r\n\x1A\n")]),
    magic("image/gif", &[(0, b"GIF87a")]),
    magic("image/gif", &[(0, b"GIF89a")]),
    magic("image/webp", &[(0, b"RIFF"), (8, b"WEBP")]),
    magic("application/pdf", &[(0, b"%PDF-")]),
    magic("image/heic", &[(4, b"ftyphei")]),
    magic("image/heic", &[(4, b"ftyphev")]),
    magic("image/heif", &[(4, b"ftypmif1")]),
    magic("image/heif", &[(4, b"ftypmsf1")]),
    magic("image/avif", &[(4, b"ftypavi")]),
    magic("image/jxl", &[(0, b"\0\0\0\x0CJXL \r\n")]),
    magic("image/bmp", &[(0, b"BM"), (6, b"\0\0\0\0")]),
    magic("image/tiff", &[(0, b"II*\0")]),
    magic("image/tiff", &[(0, b"MM\0*")]),
    magic("image/x-icon", &[(0, b"\0\0\x01\0"), (5, b"\0")]),
];

/// The type whose signature the bytes carry.
pub(super) fn by_magic(head: &[u8]) -> Option<&'static str> {
    let carries = |(offset, bytes): &(usize, &[u8])| head.get(*offset..).is_some_and(|rest| rest.starts_with(bytes));
    MAGIC.iter().find(|magic| magic.parts.iter().all(carries)).map(|magic| magic.media_type)
}

/// Whether the bytes begin as text with a structure, which no image does.
pub(super) fn text(head: &[u8]) -> Option<Text> {
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start().to_ascii_lowercase();
    match text.first()? {
        b'<' if text.starts_with(b"<svg") || text.starts_with(b"<?xml") => Some(Text::Svg),
        b'<' | b'{' => Some(Text::Other),
        _ => None,
    }
}
