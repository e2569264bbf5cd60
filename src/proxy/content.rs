//! What was said, for spans, where `observability.content.capture` is on: the beginning of a prompt and of its reply, without media and
//! without what looks like a credential. In the form of OpenTelemetry's `gen_ai.input.messages` and `gen_ai.output.messages`.

use std::borrow::Cow;

use heliostat_filters::chat::{Message, Part, Role};
use heliostat_filters::dialect::Kind;
use serde::Serialize;

use super::context::Call;
use super::redact;

/// What each message and each part takes of the room beside its text: a prompt of many empty ones is bounded too.
const OVERHEAD_BYTES: usize = 32;

/// The beginning of a text, as far as there is room.
#[derive(Debug, Default)]
pub struct Excerpt {
    text: String,
    left: usize,
}

/// A message, as the conventions have it.
#[derive(Serialize)]
struct Said<'a> {
    role: &'a str,
    parts: Vec<Piece>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece {
    Text {
        content: String,
    },
    ToolCall {
        name: String,
        arguments: String,
    },
    ToolCallResponse {
        response: String,
    },
    /// Media: what it is, and how long it was in the request.
    Blob {
        modality: &'static str,
        bytes: usize,
    },
}

/// The beginning of a prompt; `None` of what is no conversation. Runs once, when a request is admitted.
#[must_use]
pub fn of_prompt(call: &Call, max_bytes: usize) -> Option<String> {
    if call.operation.kind != Kind::Chat {
        return None;
    }
    let request = call.operation.client.read(&call.document, &call.address).ok()?;
    let mut room = Excerpt::of(max_bytes);
    let messages = request.messages.iter().map_while(|message| room.message(message));
    serde_json::to_string(&messages.collect::<Vec<_>>()).ok()
}

impl Excerpt {
    /// With room for so many bytes.
    #[must_use]
    pub const fn of(max_bytes: usize) -> Self {
        Self { text: String::new(), left: max_bytes }
    }

    /// Adds what fits of the next piece of a text.
    pub fn add(&mut self, piece: &str) {
        let taken = self.take(piece);
        self.text.push_str(&taken);
    }

    /// All of it as a reply.
    #[must_use]
    pub fn into_reply(self, finish_reason: Option<&'static str>) -> Option<String> {
        if self.text.is_empty() {
            return None;
        }
        // Again: a credential may have come in pieces.
        let content = redact::credentials(&self.text).into_owned();
        serde_json::to_string(&[Said { role: "assistant", parts: vec![Piece::Text { content }], finish_reason }]).ok()
    }

    fn message(&mut self, message: &Message<'_>) -> Option<Said<'static>> {
        self.spend()?;
        let is_result = matches!(message.role, Role::Tool | Role::Function);
        let calls = message.tool_calls.iter().map(|call| (call.name.text().unwrap_or_default(), call.arguments));
        let mut parts: Vec<Piece> = message.content.iter().map_while(|part| self.part(part, is_result)).collect();
        for (name, arguments) in calls {
            let Some(()) = self.spend() else { break };
            let arguments = arguments.map(|arguments| self.take(arguments.view().raw())).unwrap_or_default();
            parts.push(Piece::ToolCall { name: self.take(&name), arguments });
        }
        Some(Said { role: role(message.role), parts, finish_reason: None })
    }

    fn part(&mut self, part: &Part<'_>, is_result: bool) -> Option<Piece> {
        self.spend()?;
        let blob = |modality, bytes| Piece::Blob { modality, bytes };
        Some(match part {
            Part::Text { text, .. } if is_result => Piece::ToolCallResponse { response: self.take(&text.text()) },
            Part::Text { text, .. } | Part::Refusal { text, .. } => Piece::Text { content: self.take(&text.text()) },
            Part::Image { view, .. } => blob("image", view.range().len()),
            Part::Audio { view, .. } => blob("audio", view.range().len()),
            Part::File { view, .. } => blob("file", view.range().len()),
            Part::Unknown { view } => blob("other", view.range().len()),
        })
    }

    fn spend(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(OVERHEAD_BYTES)?;
        Some(())
    }

    /// As much of a text as there is room for, without credentials. What is cut ends with `…`.
    fn take(&mut self, text: &str) -> String {
        if self.left == 0 {
            return String::new();
        }
        let clean: Cow<'_, str> = redact::credentials(redact::cut(text, self.left));
        let end = (0..=self.left.min(clean.len())).rev().find(|end| clean.is_char_boundary(*end)).unwrap_or_default();
        let kept = clean.get(..end).unwrap_or_default();
        self.left = self.left.saturating_sub(kept.len());
        let is_cut = kept.len() < clean.len() || clean.len() < text.len() && self.left == 0;
        if is_cut {
            self.left = 0;
        }
        format!("{kept}{}", if is_cut { "…" } else { "" })
    }
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool | Role::Function => "tool",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_whole_characters_and_without_credentials() {
        let mut room = Excerpt::of(10);
        assert_eq!((room.take("äöü"), room.take("ßßßßß"), room.take("x")), ("äöü".to_owned(), "ßß…".to_owned(), String::new()));
        let mut room = Excerpt::of(100);
        assert_eq!(room.take("my key is sk-proj-0123456789abcdef, keep it"), "my key is [redacted], keep it");
        assert_eq!(room.take("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"), "Bearer [redacted]");
    }

    #[test]
    fn a_reply_that_came_in_pieces_is_one_text() {
        let mut excerpt = Excerpt::of(1_000);
        ["one ", "sk-proj-0123", "456789abcdef", " two"].iter().for_each(|piece| excerpt.add(piece));
        let said = excerpt.into_reply(Some("stop")).unwrap();
        assert_eq!(said, r#"[{"role":"assistant","parts":[{"type":"text","content":"one [redacted] two"}],"finish_reason":"stop"}]"#);
        assert!(Excerpt::of(5).into_reply(None).is_none());
    }
}
