//! The usage of a reply that is too long to be held: it stands at the end, so only the end is kept.

use serde_json::value::RawValue;

use super::wire;
use crate::usage::Usage;

/// How much of the end is kept. What stands behind a usage is short.
const KEPT_BYTES: usize = 4096;

/// The last bytes of a reply that passes.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        let new = piece.get(piece.len().saturating_sub(KEPT_BYTES)..).unwrap_or_default();
        let surplus = (self.bytes.len() + new.len()).saturating_sub(KEPT_BYTES);
        self.bytes.drain(..surplus.min(self.bytes.len()));
        self.bytes.extend_from_slice(new);
    }

    /// The usage, once the reply is over; `None` if its end holds none. A quoted `"usage"` within a string is none: its quotes
    /// are escaped there.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let at = memchr::memmem::rfind(&self.bytes, b"\"usage\"")?;
        let behind = String::from_utf8_lossy(self.bytes.get(at + b"\"usage\"".len()..)?);
        let value = behind.trim_start().strip_prefix(':')?;
        let counts: &RawValue = serde_json::Deserializer::from_str(value).into_iter().next()?.ok()?;
        wire::usage(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;

    #[test]
    fn the_last_usage_is_found_however_the_reply_is_cut() {
        let body =
            format!(r#"{{"data":["{}","\"usage\":{{}}"], "usage" : {{"prompt_tokens":7,"total_tokens":9}}, "id":"x"}}"#, "y".repeat(9000));
        for size in [1, 7, 100, 4095, 4096, 4097, body.len()] {
            let mut tail = Tail::default();
            body.as_bytes().chunks(size).for_each(|piece| tail.push(piece));
            let usage = tail.usage().expect("a usage");
            assert_eq!((usage.prompt_tokens, usage.total_tokens), (Some(7), Some(9)), "{size}");
        }
    }

    #[test]
    fn an_end_without_usage_has_none() {
        for body in ["", "{}", r#"{"a":"\"usage\": {}"}"#, r#"{"usage":null}"#, r#"{"usage":{"prompt_tokens":1"#] {
            let mut tail = Tail::default();
            tail.push(body.as_bytes());
            assert!(tail.usage().is_none(), "{body}");
        }
    }
}
