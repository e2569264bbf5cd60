//! A request, what comes of it, and what a wire format must be able to do.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

use super::asked::Asked;

/// What a wire format does. One unit struct implements it for each.
pub(super) trait Format: Send + Sync {
    /// Answers a request: checks path, credential and body in the provider's order, then makes the reply.
    fn serve(&self, call: &Call) -> Result<Page, Refusal>;

    /// The body of an error in the provider's shape.
    fn error(&self, refusal: &Refusal) -> Value;

    /// An error in the middle of a stream.
    fn error_event(&self) -> Bytes;

    /// An event without content: what a stream sends before it has anything to say.
    fn empty_event(&self) -> Bytes;

    /// What keeps a silent stream alive.
    fn ping(&self) -> &'static [u8];

    /// Headers that every reply carries; `id` differs from request to request.
    fn headers(&self, id: &str) -> Vec<(&'static str, String)>;
}

/// A request, read to its end.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    /// A header's value, if it is there and text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The token of `Authorization: Bearer …`.
    pub(super) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ").map(str::trim)
    }

    /// The value of a query parameter, as written.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

/// Whether a simulator takes a credential.
pub(super) fn is_good_key(key: &str) -> bool {
    key.starts_with("demo") || key.starts_with("sk-demo")
}

/// Why a request is not served. Each format writes it in its own shape.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    /// OpenAI's `param`.
    pub(super) param: Option<String>,
    /// OpenAI's `code`, Gemini's `reason`.
    pub(super) code: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None }
    }

    /// A 400.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(super) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}

/// A reply that is no error.
pub(super) enum Page {
    /// A list of models, a count.
    Json(Value),
    /// Embeddings, with the model, so that faults can look at it.
    Vectors(String, Value),
    /// A chat, with what was asked, so that faults can look at its model.
    Chat(Box<Asked>, Body),
}

/// A chat reply.
pub(super) enum Body {
    /// Not streamed.
    Plain(Value),
    /// Streamed, with its media type.
    Stream(&'static str, Vec<Event>),
}

/// One event of a stream, on the wire.
pub(super) struct Event {
    pub(super) part: Part,
    pub(super) bytes: Bytes,
}

impl Event {
    /// `data: …` without an event name.
    pub(super) fn data(part: Part, data: &Value) -> Self {
        Self { part, bytes: format!("data: {data}\n\n").into() }
    }
}

/// Which part of a stream an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Before anything is said: a role, `message_start`.
    Preface,
    /// Something is said.
    Content,
    /// The finish reason and all that follows it.
    Tail,
}
