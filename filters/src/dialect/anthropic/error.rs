//! Errors: `{"type":"error","error":{"type","message","details":{"error_code"}},"request_id"}`.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, FaultKind};

/// The object at `error`. Anything missing is empty: a body may be cut, or HTML.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorBody<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    details: Option<Details>,
}

#[derive(Debug, Deserialize)]
struct Details {
    #[serde(default)]
    error_code: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: ErrorBody<'a>,
}

/// Anthropic's error types: the status each stands for where an error has none of its own (in a stream), and its kind.
/// Source: the error types of Anthropic's Python SDK 2.11.0.
static TYPES: &[(&str, u16, FaultKind)] = &[
    ("invalid_request_error", 400, FaultKind::BadRequest),
    ("authentication_error", 401, FaultKind::Authentication),
    ("billing_error", 402, FaultKind::Billing),
    ("permission_error", 403, FaultKind::Permission),
    ("not_found_error", 404, FaultKind::NotFound),
    ("conflict_error", 409, FaultKind::Conflict),
    ("request_too_large", 413, FaultKind::TooLarge),
    ("rate_limit_error", 429, FaultKind::RateLimited),
    ("api_error", 500, FaultKind::Server),
    ("timeout_error", 504, FaultKind::Timeout),
    ("overloaded_error", 529, FaultKind::Overloaded),
];

/// Reads an error status with its body.
pub(super) fn fault(status: u16, body: &[u8]) -> Fault {
    match serde_json::from_slice::<Envelope<'_>>(body) {
        Ok(envelope) => of(Some(status), &envelope.error),
        // HTML of an edge, an empty body, a cut one: the status alone speaks. The text goes to the log.
        Err(_) => Fault::new(status, None, &String::from_utf8_lossy(body)),
    }
}

/// The fault an error object stands for; without a status of its own (inside a 200) its type gives one.
pub(super) fn of(status: Option<u16>, error: &ErrorBody<'_>) -> Fault {
    let message = error.message.as_deref().unwrap_or_default();
    let row = TYPES.iter().find(|(name, _, _)| Some(*name) == error.kind.as_deref());
    let status = status.or(row.map(|(_, status, _)| *status)).unwrap_or(500);
    let kind = row.map_or_else(|| FaultKind::of_status(status), |(_, _, kind)| *kind);
    let code = error.details.as_ref().and_then(|details| details.error_code.as_deref());
    Fault { kind: kind.refine(code, message), ..Fault::new(status, code.or(error.kind.as_deref()), message) }
}

/// An error of the gateway's own: `{"type":"error","error":{"type","message"},"request_id"}`. The type is the status's, else its class's.
pub(super) fn write(status: u16, message: &str, request_id: &str) -> Bytes {
    #[derive(Serialize)]
    struct Out<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        message: &'a str,
    }
    #[derive(Serialize)]
    struct Envelope<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        error: Out<'a>,
        request_id: &'a str,
    }
    let of_class = if status >= 500 { "api_error" } else { "invalid_request_error" };
    let kind = TYPES.iter().find(|(_, known, _)| *known == status).map_or(of_class, |(name, _, _)| name);
    serde_json::to_vec(&Envelope { kind: "error", error: Out { kind, message }, request_id }).unwrap_or_default().into()
}

/// What an upstream reported, in the middle of a stream. A key of ours that it refuses is no fault of the client's.
pub(super) fn write_fault(fault: &Fault, request_id: &str) -> Bytes {
    let status = match fault.kind {
        FaultKind::Authentication | FaultKind::Billing | FaultKind::Permission | FaultKind::QuotaExhausted => 500,
        FaultKind::Server | FaultKind::Malformed => 500,
        FaultKind::Overloaded => 529,
        FaultKind::Timeout => 504,
        FaultKind::RateLimited => 429,
        FaultKind::NotFound => 404,
        FaultKind::Conflict => 409,
        FaultKind::TooLarge => 413,
        FaultKind::BadRequest | FaultKind::ContextLength | FaultKind::ContentPolicy => 400,
    };
    let long = fault.kind == FaultKind::ContextLength;
    write(status, &if long { too_long(&fault.message) } else { fault.message.as_str().into() }, request_id)
}

/// How Anthropic says that a conversation is longer than the model's context: its clients shorten one on these words.
pub(super) fn too_long(message: &str) -> Cow<'_, str> {
    const WORDS: &str = "prompt is too long";
    if message.contains(WORDS) { message.into() } else { format!("{WORDS}: {message}").into() }
}

/// A body or an event that is not what the API documents.
pub(super) fn unreadable(what: &str) -> Fault {
    Fault::malformed(&format!("The provider's answer cannot be read: {what}"))
}

#[cfg(test)]
mod tests {
    use super::{fault, write};
    use crate::fault::FaultKind;

    #[test]
    fn our_own_errors_are_read_as_what_they_are() {
        for (status, kind) in
            [(401, FaultKind::Authentication), (429, FaultKind::RateLimited), (418, FaultKind::BadRequest), (502, FaultKind::Server)]
        {
            let read = fault(status, &write(status, "It is \"so\".", "req_1"));
            assert_eq!((read.kind, read.message.as_str()), (kind, "It is \"so\"."));
        }
    }

    #[test]
    fn type_status_code_and_text_tell_the_kind() {
        let body = |kind: &str, message: &str, code: &str| {
            format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}","details":{{"error_code":{code}}}}}}}"#)
        };
        let cases = [
            (529, body("overloaded_error", "Overloaded", "null"), FaultKind::Overloaded),
            (429, body("rate_limit_error", "slow down", "null"), FaultKind::RateLimited),
            (429, body("rate_limit_error", "limit", "\"enforced_spend_limit_reached\""), FaultKind::QuotaExhausted),
            (400, body("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum", "null"), FaultKind::ContextLength),
            (400, body("invalid_request_error", "max_tokens: Field required", "null"), FaultKind::BadRequest),
            (400, body("invalid_request_error", "Your credit balance is too low to access the Anthropic API.", "null"), FaultKind::Billing),
            (413, body("request_too_large", "Request exceeds the maximum size", "null"), FaultKind::TooLarge),
            (401, body("authentication_error", "invalid x-api-key", "null"), FaultKind::Authentication),
            (502, "<html><h1>Bad gateway</h1>".to_owned(), FaultKind::Server),
            (500, String::new(), FaultKind::Server),
            (503, r#"{"error":"busy"}"#.to_owned(), FaultKind::Server),
        ];
        for (status, body, kind) in cases {
            let fault = fault(status, body.as_bytes());
            assert_eq!((fault.status, fault.kind), (status, kind), "{body}");
        }
    }
}
