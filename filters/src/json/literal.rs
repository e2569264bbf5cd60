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
        if !self.escaped().contains('\\') {
            return Cow::Borrowed(self.escaped());
        }
        match serde_json::from_str::<String>(&self.0) {
            Ok(text) => Cow::Owned(text),
            Err(_) => Cow::Owned(String::from_utf8_lossy(self.escaped().as_bytes()).into_owned()),
        }
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

impl<'de: 'a, 'a> Deserialize<'de> for Literal<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        Literal::raw(raw.get()).ok_or_else(|| serde::de::Error::custom("expected a string"))
    }
}
