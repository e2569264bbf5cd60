//! Data URIs (RFC 2397), as clients really write them: `data:[type][;param=v]*[;base64],payload`.

use std::borrow::Cow;

use super::base64::{self, Base64};
use super::flaw::{self, Flaw};
use super::{Inline, Text, sniff};

/// Names that clients use for a type, and its own.
const ALIASES: &[(&str, &str)] = &[
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/jfif", "image/jpeg"),
    ("image/x-jpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/apng", "image/png"),
    ("image/x-ms-bmp", "image/bmp"),
    ("image/x-bmp", "image/bmp"),
    ("image/tif", "image/tiff"),
    ("image/svg", "image/svg+xml"),
    ("image/ico", "image/x-icon"),
    ("image/vnd.microsoft.icon", "image/x-icon"),
    ("application/x-pdf", "application/pdf"),
];

/// Declarations that say nothing.
const UNSPECIFIC: &[&str] = &["", "*/*", "image/*", "application/octet-stream", "binary/octet-stream", "application/x-binary"];

/// Bytes of a file that are looked at.
const HEAD_BYTES: usize = 64;

/// A data URI, split at its comma.
#[derive(Debug)]
pub(super) struct DataUri {
    /// The type it declares, in canonical spelling and without parameters, if it says anything.
    declared: Option<Cow<'static, str>>,
    is_base64: bool,
    payload: Text,
}

impl DataUri {
    /// `None` if the text is no data URI at all.
    pub(super) fn split(text: &Text) -> Option<Result<Self, Flaw>> {
        if !has_scheme(&text.bytes) {
            return None;
        }
        let Some(comma) = memchr::memchr(b',', &text.bytes) else { return Some(Err(flaw::NO_COMMA)) };
        let header = text.slice(SCHEME.len()..comma);
        let header = String::from_utf8_lossy(&base64::percent_decoded(header.decoded().as_bytes())).to_ascii_lowercase();
        let words = || header.split(';').map(str::trim);
        Some(Ok(Self {
            declared: words().next().filter(|word| word.contains('/')).and_then(canonical_type),
            is_base64: words().any(|word| word == "base64"),
            payload: text.slice(comma + 1..text.bytes.len()),
        }))
    }

    /// The payload with its true type.
    pub(super) fn inline(self) -> Result<Inline, Flaw> {
        if self.is_base64 {
            return typed(Base64::read(&self.payload)?, self.declared);
        }
        // Some clients forget to say `;base64`.
        if let Some(inline) = base64::plausible(&self.payload) {
            return Ok(inline);
        }
        let plain = Base64::encode(&base64::percent_decoded(self.payload.decoded().as_bytes()))?;
        typed(plain, self.declared.or(Some(Cow::Borrowed("text/plain"))))
    }
}

const SCHEME: &[u8] = b"data:";

/// Whether the text begins with `data:` in any case.
pub(super) fn has_scheme(text: &[u8]) -> bool {
    text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

fn canonical_type(declared: &str) -> Option<Cow<'static, str>> {
    if UNSPECIFIC.contains(&declared) {
        return None;
    }
    let alias = ALIASES.iter().find(|(alias, _)| *alias == declared);
    Some(alias.map_or_else(|| Cow::Owned(declared.to_owned()), |(_, name)| Cow::Borrowed(*name)))
}

/// Base64 with its type beside it.
pub(super) fn declared(payload: &Text, declared: Option<&str>) -> Result<Inline, Flaw> {
    typed(Base64::read(payload)?, declared.and_then(|declared| canonical_type(&declared.trim().to_ascii_lowercase())))
}

/// Plain text.
pub(super) fn of_text(text: &str) -> Result<Inline, Flaw> {
    let Base64 { text, decoded_bytes } = Base64::encode(text.as_bytes())?;
    Ok(Inline { media_type: Cow::Borrowed("text/plain"), base64: text, decoded_bytes })
}

/// A file of a type that its first bytes tell.
pub(super) fn of_file(bytes: &[u8]) -> Option<Inline> {
    let head = bytes.get(..HEAD_BYTES).unwrap_or(bytes);
    let is_svg = || (sniff::text(head) == Some(sniff::Text::Svg)).then_some("image/svg+xml");
    let media_type = Cow::Borrowed(sniff::by_magic(head).or_else(is_svg)?);
    let payload = Base64::encode(bytes).ok()?;
    Some(Inline { media_type, base64: payload.text, decoded_bytes: payload.decoded_bytes })
}

/// Settles the type: the bytes' word counts more than the client's.
fn typed(payload: Base64, declared: Option<Cow<'static, str>>) -> Result<Inline, Flaw> {
    let head = payload.head();
    let is_image = declared.as_deref().is_none_or(|declared| declared.starts_with("image/"));
    let is_svg = declared.as_deref() == Some("image/svg+xml");
    let media_type = match (sniff::by_magic(&head), sniff::text(&head)) {
        (Some(actual), _) => Cow::Borrowed(actual),
        (None, Some(sniff::Text::Svg)) if is_image => Cow::Borrowed("image/svg+xml"),
        (None, Some(sniff::Text::Other)) if is_image && !is_svg => return Err(flaw::NOT_AN_IMAGE),
        _ => declared.ok_or(flaw::UNKNOWN_TYPE)?,
    };
    Ok(Inline { media_type, base64: payload.text, decoded_bytes: payload.decoded_bytes })
}
