//! Keeps credentials out of what a provider's error says (some echo the key they refused), and log lines in one piece.

use std::borrow::Cow;

use bytes::Bytes;
use heliostat_filters::fault::Fault;

use super::attempt::Failure;
use crate::config::Secret;

/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";
/// Shorter values are not looked for: they would hit ordinary words.
const SHORTEST: usize = 8;
/// The longest text of a log line, in characters.
const LINE: usize = 512;

/// A failure without the secret, in all that may be told to the client or the log.
pub fn failure(failure: &mut Failure, secret: &Secret) {
    fault(&mut failure.fault, secret);
    if let Some((_, answer)) = &mut failure.answer {
        *answer = body(answer, secret);
    }
}

/// A fault without the secret.
pub fn fault(fault: &mut Fault, secret: &Secret) {
    for text in [Some(&mut fault.message), fault.code.as_mut(), fault.param.as_mut()].into_iter().flatten() {
        if let Cow::Owned(clean) = without(text, secret) {
            *text = clean;
        }
    }
}

/// How credentials begin: providers' own, and those that people paste into prompts.
const CREDENTIALS: &[&str] = &[
    "sk-",
    "AIza",
    "AQ.",
    "gsk_",
    "xai-",
    "pplx-",
    "r8_",
    "hf_",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "ASIA",
    "ya29.",
    "eyJ",
];
/// A shorter word is none.
const CREDENTIAL_BYTES: usize = 16;

/// A text without the words that look like credentials.
#[must_use]
pub fn credentials(text: &str) -> Cow<'_, str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let looks_like_one = |word: &str| word.len() >= CREDENTIAL_BYTES && CREDENTIALS.iter().any(|start| word.starts_with(start));
    if !text.split(|letter| !is_part(letter)).any(looks_like_one) {
        return Cow::Borrowed(text);
    }
    let ends_word = text.split_inclusive(|letter| !is_part(letter));
    let clean = ends_word.map(|piece| {
        let word = piece.trim_end_matches(|letter| !is_part(letter));
        let rest = piece.get(word.len()..).unwrap_or_default();
        if looks_like_one(word) { format!("{REDACTED}{rest}") } else { piece.to_owned() }
    });
    Cow::Owned(clean.collect())
}

/// The beginning of a text, at most so many characters of it.
#[must_use]
pub fn cut(text: &str, characters: usize) -> &str {
    let end = text.char_indices().nth(characters).map(|(at, _)| at);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// A text of others for a log line: short, and without what would end the line or speak to a terminal.
#[must_use]
pub fn line(text: &str) -> String {
    cut(text, LINE).chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A text without the secret.
#[must_use]
pub fn without<'t>(text: &'t str, secret: &Secret) -> Cow<'t, str> {
    let secret = secret.expose();
    if secret.len() < SHORTEST || !text.contains(secret) { Cow::Borrowed(text) } else { Cow::Owned(text.replace(secret, REDACTED)) }
}

/// A body without the secret.
#[must_use]
pub fn body(body: &Bytes, secret: &Secret) -> Bytes {
    match without(&String::from_utf8_lossy(body), secret) {
        Cow::Owned(text) => Bytes::from(text),
        Cow::Borrowed(_) => body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_from_every_part_also_beside_bytes_that_are_no_text() {
        let secret = Secret::new("sk-0123456789");
        let mut told = Fault::new(401, Some("bad sk-0123456789"), "key sk-0123456789!");
        told.param = Some("sk-0123456789".to_owned());
        fault(&mut told, &secret);
        assert_eq!(
            (told.message.as_str(), told.code.as_deref(), told.param.as_deref()),
            ("key [redacted]!", Some("bad [redacted]"), Some("[redacted]"))
        );
        assert!(!String::from_utf8_lossy(&body(&Bytes::from_static(b"\xffsk-0123456789"), &secret)).contains("0123"));
        let other = Bytes::from_static(b"\xff as it was");
        assert_eq!(body(&other, &secret), other);
    }

    #[test]
    fn a_line_stays_one_line_and_short() {
        assert_eq!(line("a\nb\x1b[31m"), "a b [31m");
        assert_eq!(line(&"\u{e9}".repeat(2 * LINE)).chars().count(), LINE);
    }
}
