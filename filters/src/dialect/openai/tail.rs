//! The usage of a reply that is too long to be held: it stands at the end, so only the end is kept.

use serde_json::value::RawValue;

use crate::dialect::Dialect;
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
    /// are escaped there. Anthropic's, OpenAI's and Google's replies count at their end.
    #[must_use]
    pub fn usage(&self, dialect: &dyn Dialect) -> Option<Usage> {
        let (member, read) = dialect.counts();
        let quoted = format!("\"{member}\"");
        let at = memchr::memmem::rfind(&self.bytes, quoted.as_bytes())?;
        let behind = String::from_utf8_lossy(self.bytes.get(at + quoted.len()..)?);
        let value = behind.trim_start().strip_prefix(':')?;
        let counts: &RawValue = serde_json::Deserializer::from_str(value).into_iter().next()?.ok()?;
        read(counts.get())
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;
    use crate::dialect::by_name;
    use crate::dialect::openai::OpenAi;

    #[test]
    fn each_dialect_counts_in_its_own_words() {
        let cases = [
            ("anthropic", r#"{"stop_reason":"end_turn","usage":{"input_tokens":4,"cache_read_input_tokens":3,"output_tokens":2}}"#),
            ("responses", r#"{"usage":{"input_tokens":7,"output_tokens":2,"total_tokens":9},"user":null,"metadata":{}}"#),
            ("gemini", r#"{"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2},"modelVersion":"gemini"}"#),
            ("mistral", r#"{"usage":{"prompt_tokens":7,"completion_tokens":2}}"#),
        ];
        for (dialect, end) in cases {
            let mut tail = Tail::default();
            tail.push(end.as_bytes());
            let usage = tail.usage(by_name(dialect).expect("a dialect")).expect("a usage");
            assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(7), Some(2)), "{dialect}");
        }
    }

    #[test]
    fn the_last_usage_is_found_however_the_reply_is_cut() {
        let body =
            format!(r#"{{"data":["{}","\"usage\":{{}}"], "usage" : {{"prompt_tokens":7,"total_tokens":9}}, "id":"x"}}"#, "y".repeat(9000));
        for size in [1, 7, 100, 4095, 4096, 4097, body.len()] {
            let mut tail = Tail::default();
            body.as_bytes().chunks(size).for_each(|piece| tail.push(piece));
            let usage = tail.usage(&OpenAi).expect("a usage");
            assert_eq!((usage.prompt_tokens, usage.total_tokens), (Some(7), Some(9)), "{size}");
        }
    }

    #[test]
    fn an_end_without_usage_has_none() {
        for body in ["", "{}", r#"{"a":"\"usage\": {}"}"#, r#"{"usage":null}"#, r#"{"usage":{"prompt_tokens":1"#] {
            let mut tail = Tail::default();
            tail.push(body.as_bytes());
            assert!(tail.usage(&OpenAi).is_none(), "{body}");
        }
    }
}
