//! Why a request is not sent to a candidate.

use std::borrow::Cow;

use crate::json::View;

/// A request that cannot be sent as it is. Rendered to the client as a 400 that names the path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Refusal {
    /// The part of the request: `messages[0].content[1].image_url.url`. OpenAI's `param`.
    pub path: String,
    /// A code of OpenAI's kind: `invalid_base64_image`, `unsupported_image_media_type`, `invalid_value` …
    pub code: &'static str,
    /// What is wrong, and what to do, in words for the client.
    pub message: Cow<'static, str>,
    /// Whether another candidate may take the request as it is.
    pub scope: RefusalScope,
}

/// Whose limits a refusal speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalScope {
    /// The request is wrong for everybody: 400 at once.
    Request,
    /// This candidate cannot carry it (no URL images, no such file id): skipped; 400 if no candidate is left.
    Candidate,
}

impl Refusal {
    /// The request is wrong for everybody.
    pub fn client(path: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { path: path.into(), code: "invalid_value", message: message.into(), scope: RefusalScope::Request }
    }

    /// This candidate cannot carry the part at `view`.
    pub fn candidate(view: View<'_>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { path: view.path(), code: "unsupported_value", message: message.into(), scope: RefusalScope::Candidate }
    }

    /// The same with another code.
    #[must_use]
    pub fn with_code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }
}
