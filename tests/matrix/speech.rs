//! What providers of two dialects say, so that a fault can be written once for both: one whose bytes pass untouched, one whose answers
//! are translated.

use crate::support::{Value, json, native};

/// A provider's dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    OpenAi,
    Anthropic,
}

impl Speech {
    /// Its name in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// A whole reply.
    pub fn reply(self, text: &str) -> Vec<u8> {
        match self {
            Self::OpenAi => native::openai(text),
            Self::Anthropic => native::anthropic(text),
        }
        .to_string()
        .into_bytes()
    }

    /// What a stream says before any content.
    pub fn opening(self) -> Vec<u8> {
        match self {
            Self::OpenAi => native::chunk(json!({"role": "assistant", "content": ""}), None),
            Self::Anthropic => native::anthropic_opening().concat(),
        }
        .into_bytes()
    }

    /// An event with text.
    pub fn text(self, text: &str) -> Vec<u8> {
        match self {
            Self::OpenAi => native::chunk_text(text),
            Self::Anthropic => native::anthropic_text(text),
        }
        .into_bytes()
    }

    /// What a stream says at its end.
    pub fn closing(self) -> Vec<u8> {
        match self {
            Self::OpenAi => native::openai_stream(&[]).split_off(1).concat(),
            Self::Anthropic => native::anthropic_closing("end_turn").concat(),
        }
        .into_bytes()
    }

    /// A sign of life without content.
    pub fn ping(self) -> Vec<u8> {
        match self {
            Self::OpenAi => ": keep-alive\n\n".into(),
            Self::Anthropic => native::named(json!({"type": "ping"})),
        }
        .into_bytes()
    }

    /// An error as a body.
    pub fn error(self, status: u16) -> Value {
        match self {
            Self::OpenAi => json!({"error": {"message": "fake trouble", "type": "server_error", "param": null, "code": null}}),
            Self::Anthropic => json!({"type": "error", "error": {"type": anthropic_type(status), "message": "fake trouble"}}),
        }
    }

    /// An error as an event.
    pub fn error_event(self) -> Vec<u8> {
        match self {
            Self::OpenAi => format!("data: {}\n\n", self.error(500)),
            Self::Anthropic => native::named(self.error(529)),
        }
        .into_bytes()
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    }
}
