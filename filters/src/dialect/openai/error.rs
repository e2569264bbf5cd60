//! OpenAI's error envelope, read and written.

use bytes::Bytes;

use crate::fault::{Fault, FaultKind};

/// The four fields of an error in OpenAI's shape.
#[derive(Debug, Clone, Copy)]
pub struct ErrorText<'a> {
    /// What is wrong and what to do.
    pub message: &'a str,
    /// `invalid_request_error`, `rate_limit_error`, …
    pub kind: &'a str,
    /// The part of the request it speaks of.
    pub param: Option<&'a str>,
    /// A code for programs.
    pub code: Option<&'a str>,
}

/// `{"error":{"message","type","param","code"}}`
#[must_use]
pub fn error_body(error: ErrorText<'_>) -> Bytes {
    let _ = error;
    Bytes::new()
}

pub(super) fn fault(status: u16, _body: &[u8]) -> Fault {
    Fault { status, kind: FaultKind::Server, message: String::new(), code: None, param: None, retry_after_ms: None }
}
