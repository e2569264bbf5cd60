//! Images and files in requests: data URIs, media types by magic bytes, without decoding the payload.
//!
//! A payload that is canonical base64 already is checked and passed on as the slice of the body it is; anything else that means
//! base64 to some client is rewritten once. Forms and signatures: RFC 2397, RFC 4648, WHATWG MIME Sniffing.

mod base64;
mod data_uri;
mod fetched;
mod flaw;
mod sniff;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::json::{Kind, View};
use crate::refusal::Refusal;

use data_uri::DataUri;
use flaw::Flaw;

pub use fetched::{Fetched, is_web, url_at};

/// Where an image is, as the client said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource<'a> {
    /// Inline.
    Inline(Inline),
    /// `http://`, `https://`, `gs://`, `s3://` … : a reference that the gateway has not resolved. Trimmed, else as the client wrote it;
    /// which schemes are taken is for the dialect to say.
    Url(Cow<'a, str>),
}

/// Bytes carried as base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inline {
    /// The type by the magic bytes; by the declaration where the bytes say nothing; canonical spelling (`image/jpeg`). May be none of
    /// an image: the dialect refuses by name what it does not take.
    pub media_type: Cow<'static, str>,
    /// Standard base64 with padding, ready to stand between the quotes of a JSON string. A slice of the client's body wherever that
    /// is already canonical (`\/` escapes included); else rewritten.
    pub base64: Bytes,
    /// Length of what it decodes to.
    pub decoded_bytes: usize,
}

impl Inline {
    /// Takes a file as it is, and encodes it. `None` if its first bytes do not tell its type: a web page, or nothing at all.
    #[must_use]
    pub fn of_file(bytes: &[u8]) -> Option<Self> {
        data_uri::of_file(bytes)
    }

    /// What it decodes to, if that is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let base64: Vec<u8> = self.base64.iter().copied().filter(|byte| *byte != b'\\').collect();
        String::from_utf8(base64_simd::STANDARD.decode_to_vec(base64).ok()?).ok()
    }
}

/// Reads the string at `view`: a data URI in any of its forms, bare base64 of a type that its first bytes tell, or a URL.
///
/// Serves files too: a PDF or a text comes as an [`Inline`] of its type.
///
/// # Errors
/// A [`Refusal`] of the client's fault naming the view's path: `invalid_base64_image`, `empty_image_file`, `invalid_image_url`,
/// `invalid_image_format` (an "image" that is markup or JSON such as an error page, or of a type neither declared nor recognised).
pub fn read(view: View<'_>) -> Result<ImageSource<'_>, Refusal> {
    source(view).map_err(|flaw| Refusal::client(view.path(), flaw.message).with_code(flaw.code))
}

/// Reads base64 that stands beside its media type.
///
/// # Errors
/// As [`read`].
pub fn read_base64(view: View<'_>, declared: Option<&str>) -> Result<Inline, Refusal> {
    let read = || {
        if view.kind() != Kind::String {
            return Err(flaw::NOT_A_STRING);
        }
        let text = Text::of(view);
        // Some clients put a whole data URI where its base64 belongs.
        match DataUri::split(&text) {
            Some(uri) => uri?.inline(),
            None => data_uri::declared(&text, declared),
        }
    };
    read().map_err(|flaw| Refusal::client(view.path(), flaw.message).with_code(flaw.code))
}

/// Reads plain text as a file of its type.
///
/// # Errors
/// A [`Refusal`] of the client's fault, if it is empty or no string.
pub fn of_text(view: View<'_>) -> Result<Inline, Refusal> {
    let text = view.text().unwrap_or_default();
    data_uri::of_text(&text).map_err(|flaw| Refusal::client(view.path(), flaw.message).with_code(flaw.code))
}

fn source(view: View<'_>) -> Result<ImageSource<'_>, Flaw> {
    if view.kind() != Kind::String {
        return Err(flaw::NOT_A_STRING);
    }
    let text = Text::of(view);
    if let Some(uri) = DataUri::split(&text) {
        return uri?.inline().map(ImageSource::Inline);
    }
    // Before it is looked at as a URL: no URL is base64, and base64 may be long.
    if let Some(inline) = base64::plausible(&text) {
        return Ok(ImageSource::Inline(inline));
    }
    url(view)?.map(ImageSource::Url).ok_or(flaw::NEITHER_URL_NOR_DATA)
}

/// The text at `view`, if it is a URL: a scheme and `://`.
fn url(view: View<'_>) -> Result<Option<Cow<'_, str>>, Flaw> {
    let url = match view.text().unwrap_or_default() {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else { return Ok(None) };
    match rest.strip_prefix("//") {
        None | Some("") => Err(Flaw::no_address(scheme)),
        Some(_) if url.chars().any(char::is_control) => Err(flaw::CONTROL_IN_URL),
        Some(_) => Ok(Some(url)),
    }
}

/// RFC 3986 section 3.1.
fn is_scheme(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_inner)
}

/// Text of a JSON string: a slice of the body as it stands between the quotes, or text already decoded.
#[derive(Debug, Clone)]
struct Text {
    bytes: Bytes,
    /// Whether a backslash in it is an escape of JSON.
    escaped: bool,
    /// A stretch of it that the scan found to be letters of base64; empty if it found none.
    letters: Range<usize>,
}

impl Text {
    /// The string at `view`, without space around it. Decoded only if it begins with neither `data:` nor plain text.
    fn of(view: View<'_>) -> Self {
        let quoted = Self { bytes: view.bytes(), escaped: view.is_escaped(), letters: view.base64_stretch() };
        let text = quoted.slice(1..quoted.bytes.len().saturating_sub(1)).trimmed();
        if text.escaped && !data_uri::has_scheme(&text.bytes) {
            let decoded = view.text().unwrap_or_default().trim().to_owned();
            return Self { bytes: decoded.into(), escaped: false, letters: 0..0 };
        }
        text
    }

    fn trimmed(&self) -> Self {
        let end = self.bytes.trim_ascii_end().len();
        self.slice(end - self.bytes.slice(..end).trim_ascii_start().len()..end)
    }

    fn slice(&self, range: Range<usize>) -> Self {
        let moved = |at: usize| at.clamp(range.start, range.end) - range.start;
        let letters = moved(self.letters.start)..moved(self.letters.end);
        Self { bytes: self.bytes.slice(range), escaped: self.escaped, letters }
    }

    /// What the text says, with JSON's escapes resolved.
    fn decoded(&self) -> Cow<'_, str> {
        let text = std::str::from_utf8(&self.bytes).unwrap_or_default();
        if self.escaped && text.contains('\\') {
            Cow::Owned(serde_json::from_str(&format!("\"{text}\"")).unwrap_or_default())
        } else {
            Cow::Borrowed(text)
        }
    }
}

#[cfg(test)]
mod letters_tests;
#[cfg(test)]
mod tests;
