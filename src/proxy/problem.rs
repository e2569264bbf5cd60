//! Answers of the gateway's own that are not a success: whose fault, whether to try again, what to do. Rendered here and nowhere else.

use std::borrow::Cow;

use bytes::Bytes;
use heliostat_filters::dialect::Dialect;
use heliostat_filters::dialect::openai::ErrorText;
use heliostat_filters::json::ScanError;
use heliostat_filters::refusal::Refusal;

/// Codes of requests refused for a bound on what clients may send or hold, as `heliostat_rejected_total` counts them.
const OF_BOUNDS: &[&str] = &[
    "header_too_large",
    "request_too_large",
    "request_timeout",
    "memory_limit",
    "too_many_images",
    "image_too_large",
    "json_too_deep",
    "json_too_large",
];

/// An error with two texts: one for the client, in its dialect, one for the log.
#[derive(Debug, Clone, Default)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// A code for programs.
    pub code: Option<Cow<'static, str>>,
    /// The part of the request it speaks of.
    pub param: Option<String>,
    /// For the client: what is wrong and what to do.
    pub message: String,
    /// For the log, where that says more.
    pub log: Option<String>,
    /// `retry-after`, in seconds.
    pub retry_after_s: Option<u64>,
    /// `x-should-retry`, where we know better than the client's SDK.
    pub should_retry: Option<bool>,
    /// The connection cannot be used again (a body we did not read).
    pub close: bool,
}

impl Problem {
    /// A problem with a code and a message.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code: Some(Cow::Borrowed(code)), message: message.into(), ..Self::default() }
    }

    /// The same, of a part of the request.
    #[must_use]
    pub fn at(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// The same, and the connection is closed after it.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    /// The code, for logs and metrics.
    #[must_use]
    pub fn code(&self) -> &str {
        self.code.as_deref().unwrap_or("error")
    }

    /// The code, if it is one of the gateway's own bounds that was reached.
    #[must_use]
    pub fn of_a_bound(&self) -> Option<&'static str> {
        OF_BOUNDS.iter().find(|known| self.code.as_deref() == Some(**known)).copied()
    }

    /// The status in the client's dialect.
    #[must_use]
    pub fn status(&self, dialect: &dyn Dialect) -> u16 {
        if self.code() == "upstream_overloaded" { dialect.overloaded() } else { self.status }
    }

    /// The body in the client's dialect.
    #[must_use]
    pub fn body(&self, dialect: &dyn Dialect, request_id: &str) -> Bytes {
        let (param, code) = (self.param.as_deref(), self.code.as_deref());
        let error = ErrorText { message: &self.message, kind: openai_type(self.status), param, code, retry_after_s: self.retry_after_s };
        dialect.error(self.status(dialect), error, request_id)
    }
}

impl From<ScanError> for Problem {
    fn from(error: ScanError) -> Self {
        let text = error.to_string();
        match error {
            ScanError::Duplicate { path } => {
                let message = format!("The key {path:?} stands more than once in the request body. Send it once.");
                Self::new(400, "duplicate_key", message).at(path)
            }
            ScanError::Depth { limit } => {
                Self::new(400, "json_too_deep", format!("The request body is nested deeper than {limit} levels."))
            }
            ScanError::Nodes { limit } => {
                Self::new(400, "json_too_large", format!("The request body has more than {limit} values where the gateway must read them."))
            }
            _ => Self::new(400, "invalid_json", format!("We could not parse the JSON body of your request: {text}.")),
        }
    }
}

impl From<Refusal> for Problem {
    /// The message names the part too: many clients show nothing else.
    fn from(refusal: Refusal) -> Self {
        let Refusal { path, code, message, .. } = refusal;
        if path.is_empty() {
            return Self::new(400, code, message);
        }
        let message = if message.contains(&path) { message } else { format!("{path}: {message}").into() };
        Self::new(400, code, message).at(path)
    }
}

/// OpenAI's error types by status.
fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}
