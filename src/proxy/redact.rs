//! Keeps credentials out of what a provider's error says: some echo the key they refused.

use std::borrow::Cow;

use bytes::Bytes;

use crate::config::Secret;

/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";
/// Shorter values are not looked for: they would hit ordinary words.
const SHORTEST: usize = 8;

/// Text without the secret.
#[must_use]
pub fn secret<'t>(text: &'t str, secret: &Secret) -> Cow<'t, str> {
    let secret = secret.expose();
    if secret.len() < SHORTEST || !text.contains(secret) { Cow::Borrowed(text) } else { Cow::Owned(text.replace(secret, REDACTED)) }
}

/// A body without the secret.
#[must_use]
pub fn body(body: &Bytes, with: &Secret) -> Bytes {
    match std::str::from_utf8(body).map(|text| secret(text, with)) {
        Ok(Cow::Owned(text)) => Bytes::from(text),
        _ => body.clone(),
    }
}
