//! A JSON string that is carried without being decoded.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON string literal, quotes and escapes included: `"caf\u00e9"`. Moves from document to document as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal<'a>(Cow<'a, str>);

impl<'a> Literal<'a> {
    /// Takes text that is already a string literal, as the scanner or a [`RawValue`] delivers it.
    /// `None` if it is not quoted.
    #[must_use]
    pub fn raw(text: &'a str) -> Option<Self> {
        (text.len() >= 2 && text.starts_with('"') && text.ends_with('"')).then_some(Self(Cow::Borrowed(text)))
    }

    /// Quotes and escapes plain text.
    #[must_use]
    pub fn quote(text: &str) -> Literal<'static> {
        Literal(Cow::Owned(serde_json::to_string(text).unwrap_or_default()))
    }

    /// The literal's text, quotes included: what is written into a document.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// What stands between the quotes, still escaped.
    #[must_use]
    pub fn escaped(&self) -> &str {
        self.0.get(1..self.0.len().saturating_sub(1)).unwrap_or_default()
    }

    /// The decoded text; borrowed where there is nothing to decode. Lone surrogates become U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        decode(&self.0)
    }

    /// Whether the string is `""`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.escaped().is_empty()
    }

    /// Whether the string decodes to nothing but whitespace.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.text().trim().is_empty()
    }

    /// The same literal, owning its text.
    #[must_use]
    pub fn into_owned(self) -> Literal<'static> {
        Literal(Cow::Owned(self.0.into_owned()))
    }
}

/// Appends `text` to `out`, quoted and escaped: [`Literal::quote`] without a copy of its own.
pub fn quote_into(text: &str, out: &mut Vec<u8>) {
    // Writing to memory cannot fail, and text can always be quoted.
    let _ = serde_json::to_writer(out, text);
}

/// The text a string literal stands for; borrowed where it has no escapes.
pub(super) fn decode(literal: &str) -> Cow<'_, str> {
    let escaped = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    if memchr::memchr(b'\\', escaped.as_bytes()).is_none() {
        return Cow::Borrowed(escaped);
    }
    let decoded = serde_json::from_str(literal).or_else(|_| serde_json::from_str(&without_lone_surrogates(literal)));
    Cow::Owned(decoded.unwrap_or_else(|_| escaped.to_owned()))
}

/// Writes `\ufffd` for each escape that is half of a surrogate pair without the other half.
fn without_lone_surrogates(literal: &str) -> String {
    let mut mended = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let (taken, escape) = match (code_unit(escape), escape.get(6..).and_then(code_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, escape.get(..12)),
            (Some(0xD800..=0xDFFF), _) => (6, Some("\\ufffd")),
            (Some(_), _) => (6, escape.get(..6)),
            (None, _) => (2, escape.get(..2)),
        };
        mended.push_str(escape.unwrap_or_default());
        rest = rest.get(at + taken..).unwrap_or_default();
    }
    mended + rest
}

/// The UTF-16 code unit that `text` begins with as a `\uXXXX` escape.
fn code_unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

impl<'de: 'a, 'a> Deserialize<'de> for Literal<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        Literal::raw(raw.get()).ok_or_else(|| serde::de::Error::custom("expected a string"))
    }
}
