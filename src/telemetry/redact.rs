//! The last look at what leaves: what is a secret of the configuration, or looks like a key, does not. Runs on the sinks' own threads, and
//! where a series is made.

use std::borrow::Cow;
use std::sync::Arc;

use aho_corasick::packed::Searcher;
use arc_swap::ArcSwap;
use memchr::memmem::Finder;

/// What stands in a secret's place.
const REDACTED: &[u8] = b"[redacted]";
/// Shorter secrets are not looked for: they would hit ordinary words.
const SHORTEST: usize = 8;
/// How keys and tokens of well-known makes begin, and how much more there must be of one.
const MARKS: &[&str] = &["sk-", "AIza", "gsk_", "xai-", "ya29.", "AKIA", "Bearer "];
const TOKEN_BYTES: usize = 16;

/// The one in force.
pub(super) type InForce = Arc<ArcSwap<Redactor>>;

/// Knows the secrets of the configuration.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    /// All that is looked for, in one pass of many bytes at once: hardly any text holds some of it. `None` where that is too much for it.
    any: Option<Searcher>,
    secrets: Vec<Finder<'static>>,
    marks: Vec<Finder<'static>>,
}

impl Redactor {
    /// Of these secrets, as they are and as they would stand in JSON.
    pub(super) fn new<'s>(secrets: impl Iterator<Item = &'s str>) -> Self {
        let written = |secret: &str| serde_json::to_string(secret).map(|text| text.trim_matches('"').to_owned()).unwrap_or_default();
        let finder = |text: &str| Finder::new(text).into_owned();
        let secrets: Vec<_> = secrets
            .filter(|secret| secret.len() >= SHORTEST)
            .flat_map(|secret| [Some(written(secret)).filter(|written| written != secret), Some(secret.to_owned())])
            .flatten()
            .collect();
        Self {
            any: Searcher::new(secrets.iter().map(String::as_str).chain(MARKS.iter().copied())),
            secrets: secrets.iter().map(|secret| finder(secret)).collect(),
            marks: MARKS.iter().map(|mark| finder(mark)).collect(),
        }
    }

    /// A text, without what must not leave.
    pub(super) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.len() < SHORTEST || self.is_clean(text.as_bytes()) {
            return text.into();
        }
        let mut bytes = text.as_bytes().to_vec();
        self.clean(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned().into()
    }

    /// Takes out of a line what must not be in it.
    pub(super) fn clean(&self, line: &mut Vec<u8>) {
        if self.is_clean(line) {
            return;
        }
        for secret in &self.secrets {
            let length = secret.needle().len();
            let mut from = 0;
            while let Some(at) = line.get(from..).and_then(|rest| secret.find(rest)) {
                line.splice(from + at..from + at + length, REDACTED.iter().copied());
                from += at + REDACTED.len();
            }
        }
        for mark in &self.marks {
            let length = mark.needle().len();
            let mut from = 0;
            while let Some(at) = line.get(from..).and_then(|rest| mark.find(rest)) {
                let begin = from + at;
                let token = line.iter().skip(begin + length).take_while(|byte| is_of_token(**byte)).count();
                let alone = begin.checked_sub(1).and_then(|before| line.get(before)).is_none_or(|before| !is_of_token(*before));
                from = begin + length;
                if alone && token >= TOKEN_BYTES {
                    line.splice(begin..begin + length + token, REDACTED.iter().copied());
                    from = begin + REDACTED.len();
                }
            }
        }
    }

    fn is_clean(&self, text: &[u8]) -> bool {
        self.any.as_ref().is_some_and(|any| any.find(text).is_none())
    }
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_what_looks_like_one_are_taken_out() {
        let redactor = Redactor::new(["pl\"anted-secret", "short"].into_iter());
        for (line, clean) in [
            (r#"{"a":"x pl\"anted-secret y pl\"anted-secret"}"#, r#"{"a":"x [redacted] y [redacted]"}"#),
            (r#"{"model":"sk-ant-api03-0123456789abcdef"}"#, r#"{"model":"[redacted]"}"#),
            (r#"{"a":"Bearer abcdefghijklmnop.q"}"#, r#"{"a":"[redacted]"}"#),
            (r#"{"request_id":"task-0123456789abcdef0"}"#, r#"{"request_id":"task-0123456789abcdef0"}"#),
            ("pl\"anted-secret", "[redacted]"),
            (r#"{"a":"short sk-learn AIza"}"#, r#"{"a":"short sk-learn AIza"}"#),
        ] {
            assert_eq!(redactor.text(line), clean);
        }
    }
}
