//! OpenAI's error envelope, read in the many forms its imitators send, and written.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::wire::{string, text};
use crate::fault::{Fault, FaultKind};

/// The four fields of an error in OpenAI's shape.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ErrorText<'a> {
    /// What is wrong and what to do.
    pub message: &'a str,
    /// `invalid_request_error`, `rate_limit_error`, …
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The part of the request it speaks of.
    pub param: Option<&'a str>,
    /// A code for programs.
    pub code: Option<&'a str>,
    /// How long to wait, in seconds, for dialects whose errors say it.
    #[serde(skip)]
    pub retry_after_s: Option<u64>,
}

/// `{"error":{"message","type","param","code"}}`, absent ones as `null`.
#[must_use]
pub fn error_body(error: ErrorText<'_>) -> Bytes {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: ErrorText<'a>,
    }
    serde_json::to_vec(&Envelope { error }).unwrap_or_default().into()
}

/// The body that tells a client of OpenAI's dialect what an upstream reported.
#[must_use]
pub fn fault_body(fault: &Fault) -> Bytes {
    let code = fault.code.as_deref().or(default_code(fault.kind));
    error_body(ErrorText {
        message: &fault.message,
        kind: error_type(fault.kind),
        param: fault.param.as_deref(),
        code,
        retry_after_s: None,
    })
}

/// OpenAI's `type` for a kind of failure.
#[must_use]
pub fn error_type(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::RateLimited => "rate_limit_error",
        FaultKind::QuotaExhausted => "insufficient_quota",
        FaultKind::Authentication => "authentication_error",
        FaultKind::Billing => "billing_error",
        FaultKind::Permission => "permission_error",
        FaultKind::Overloaded => "overloaded_error",
        FaultKind::Timeout => "timeout_error",
        FaultKind::Server | FaultKind::Malformed => "server_error",
        FaultKind::Conflict => "conflict_error",
        FaultKind::NotFound | FaultKind::BadRequest | FaultKind::ContextLength | FaultKind::ContentPolicy | FaultKind::TooLarge => {
            "invalid_request_error"
        }
    }
}

pub(in crate::dialect) fn default_code(kind: FaultKind) -> Option<&'static str> {
    match kind {
        FaultKind::ContextLength => Some("context_length_exceeded"),
        FaultKind::ContentPolicy => Some("content_policy_violation"),
        FaultKind::RateLimited => Some("rate_limit_exceeded"),
        FaultKind::QuotaExhausted => Some("insufficient_quota"),
        _ => None,
    }
}

/// Reads an error status with its body.
pub(super) fn fault(status: u16, body: &[u8]) -> Fault {
    let body = String::from_utf8_lossy(body);
    if let Some(said) = Said::read(&body) {
        return said.fault(status);
    }
    let body = body.trim();
    if body.is_empty() || body.starts_with(['<', '{', '[']) {
        return Fault::new(status, None, &format!("the upstream answered with HTTP {status} and no readable explanation"));
    }
    Fault::new(status, None, body)
}

/// Reads an error that came with a 200: a reply or a chunk that holds `error`, or is one. `None` if it is neither.
pub(super) fn fault_within(body: &str) -> Option<Fault> {
    let said = Said::read(body).filter(|said| said.is_error)?;
    let status = said.status();
    Some(said.fault(status))
}

/// What an error body says, wherever it says it. Kept raw where imitators differ in kind (`code` is a number at some).
#[derive(Default)]
struct Said<'a> {
    /// It says of itself that it is an error: `error`, or `object: error`.
    is_error: bool,
    message: Cow<'a, str>,
    kind: Option<Cow<'a, str>>,
    param: Option<Cow<'a, str>>,
    code: Option<Cow<'a, str>>,
    status_code: Option<u16>,
}

/// The envelope and the error object in one: OpenAI nests (`error: {…}`), xAI (`error: "…"`), vLLM and Mistral do not.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    param: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    status_code: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

impl<'a> Said<'a> {
    fn read(body: &'a str) -> Option<Self> {
        let mut wire: Wire<'a> = serde_json::from_str(body).or_else(|_| first_element(body)).ok()?;
        let mut said = Self { is_error: wire.object.and_then(string).is_some_and(|object| object == "error"), ..Self::default() };
        if let Some(error) = wire.error.take() {
            said.is_error = true;
            match serde_json::from_str::<Wire<'a>>(error.get()) {
                Ok(inner) => wire = inner,
                Err(_) => wire.message = Some(error),
            }
        }
        let message = wire.message.or(wire.detail)?;
        said.message = explanation(message, wire.metadata);
        [said.kind, said.param, said.code] = [wire.kind, wire.param, wire.code].map(|field| field.and_then(scalar));
        said.status_code = wire.status_code.and_then(|code| code.get().parse().ok());
        Some(said)
    }

    fn fault(self, status: u16) -> Fault {
        // A number says no more than the status (Azure, OpenRouter, Perplexity).
        let words = [self.code.as_deref(), self.kind.as_deref()].into_iter().flatten();
        let code = words.into_iter().find(|word| word.parse::<u16>().is_err());
        let fault = Fault::new(status, code, &self.message);
        let kind = FaultKind::of_status(status).refine(self.kind.as_deref(), &self.message).refine(self.code.as_deref(), "");
        Fault { kind, param: self.param.map(Cow::into_owned), ..fault }
    }

    /// The status that an error without one stands for: a numeric code (OpenRouter, vLLM), else by code or type, else 502.
    fn status(&self) -> u16 {
        let words = [self.code.as_deref(), self.kind.as_deref()];
        let numbers = words.iter().flatten().filter_map(|word| word.parse().ok()).chain(self.status_code);
        let by_word = words.iter().flatten().find_map(|word| status_of(word));
        numbers.into_iter().find(|status| (400..600).contains(status)).or(by_word).unwrap_or(502)
    }
}

/// The statuses that errors have outside streams. Source: OpenAI's guide to error codes, Anthropic's types at gateways.
static STATUSES: &[(&str, u16)] = &[
    ("invalid_request_error", 400),
    ("context_length_exceeded", 400),
    ("content_filter", 400),
    ("content_policy_violation", 400),
    ("tool_use_failed", 400),
    ("invalid_api_key", 401),
    ("authentication_error", 401),
    ("permission_error", 403),
    ("model_not_found", 404),
    ("not_found_error", 404),
    ("rate_limit_exceeded", 429),
    ("rate_limit_error", 429),
    ("insufficient_quota", 429),
    ("server_error", 500),
    ("api_error", 500),
    ("internal_server_error", 500),
    ("timeout_error", 504),
    ("overloaded", 529),
    ("overloaded_error", 529),
];

/// The status that an error of this code or type has outside streams.
pub(in crate::dialect) fn status_of(word: &str) -> Option<u16> {
    STATUSES.iter().find(|(known, _)| *known == word).map(|(_, status)| *status)
}

/// Google's OpenAI surface wraps its error in an array.
fn first_element(body: &str) -> Result<Wire<'_>, serde_json::Error> {
    let [first]: [Wire<'_>; 1] = serde_json::from_str(body)?;
    Ok(first)
}

/// A message is a string, or FastAPI's list of what is invalid; OpenRouter hides the provider's own words in `metadata.raw`.
fn explanation<'a>(message: &'a RawValue, metadata: Option<&'a RawValue>) -> Cow<'a, str> {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow)]
        raw: Option<&'a RawValue>,
    }
    let message = text(message);
    let metadata = metadata.and_then(|metadata| serde_json::from_str::<Metadata<'a>>(metadata.get()).ok());
    match metadata.and_then(|metadata| metadata.raw).map(text) {
        Some(raw) => format!("{message}: {raw}").into(),
        None => message,
    }
}

/// A string or a number, as text.
fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    string(value).or_else(|| value.get().parse::<f64>().is_ok().then(|| Cow::Borrowed(value.get())))
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, fault, fault_within};

    #[test]
    fn every_form_of_error_body_is_read() {
        let cases: &[(u16, &str, FaultKind, &str, Option<&str>)] = &[
            (
                429,
                r#"{"error":{"message":"m","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
                FaultKind::QuotaExhausted,
                "m",
                Some("insufficient_quota"),
            ),
            (
                400,
                r#"{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
                FaultKind::ContextLength,
                "m",
                Some("context_length_exceeded"),
            ),
            (400, r#"{"error":"prompt is too long"}"#, FaultKind::ContextLength, "prompt is too long", None),
            (
                400,
                r#"{"code":"Client specified an invalid argument","error":"no"}"#,
                FaultKind::BadRequest,
                "no",
                Some("Client specified an invalid argument"),
            ),
            (422, r#"{"detail":[{"msg":"Extra"}]}"#, FaultKind::BadRequest, r#"[{"msg":"Extra"}]"#, None),
            (401, r#"{"detail":"Unauthorized"}"#, FaultKind::Authentication, "Unauthorized", None),
            (
                400,
                r#"{"object":"error","message":"Invalid model: x","type":"invalid_model","param":null,"code":"1500"}"#,
                FaultKind::NotFound,
                "Invalid model: x",
                Some("invalid_model"),
            ),
            (
                429,
                r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"slow","provider_name":"p"}}}"#,
                FaultKind::RateLimited,
                "Provider returned error: slow",
                None,
            ),
            (400, r#"[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]"#, FaultKind::BadRequest, "bad", None),
            (
                503,
                r#"{"error":{"message":"The engine is currently overloaded","type":"server_error"}}"#,
                FaultKind::Overloaded,
                "The engine is currently overloaded",
                Some("server_error"),
            ),
            (502, "<html>overloaded</html>", FaultKind::Server, "the upstream answered with HTTP 502 and no readable explanation", None),
            (500, "", FaultKind::Server, "the upstream answered with HTTP 500 and no readable explanation", None),
            (404, "404 page not found\n", FaultKind::NotFound, "404 page not found", None),
        ];
        for (status, body, kind, message, code) in cases {
            let fault = fault(*status, body.as_bytes());
            assert_eq!((fault.kind, fault.message.as_str(), fault.code.as_deref()), (*kind, *message, *code), "{body}");
        }
    }

    #[test]
    fn an_error_inside_a_200_gets_its_status() {
        let status = |body| fault_within(body).map(|fault| fault.status);
        assert_eq!(status(r#"{"error":{"code":402,"message":"Insufficient credits"}}"#), Some(402));
        assert_eq!(status(r#"{"error":{"type":"overloaded_error","message":"m"}}"#), Some(529));
        assert_eq!(status(r#"{"error":"boom"}"#), Some(502));
        assert_eq!(status(r#"{"object":"error","message":"m","code":400}"#), Some(400));
        assert_eq!(status(r#"{"error":{"message":"m","status_code":498}}"#), Some(498));
        assert_eq!(status(r#"{"error":null,"choices":[]}"#), None);
        assert_eq!(status(r#"{"id":"x","choices":[]}"#), None);
    }
}
