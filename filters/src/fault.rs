//! What an upstream's failure means, whatever its dialect.

/// A failure an upstream reported: an error status with its body, or an error inside a 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The HTTP status it came with, or the one an error inside a stream stands for.
    pub status: u16,
    /// What kind of failure it is.
    pub kind: FaultKind,
    /// The provider's message; empty if it gave none. Never trusted to be short: cut to 4 KiB.
    pub message: String,
    /// The provider's own code or type, such as `rate_limit_exceeded`.
    pub code: Option<String>,
    /// The provider's `param`, where it names one.
    pub param: Option<String>,
    /// How long the provider asks to wait, if the body says so (Google's `RetryInfo`); headers are read by the caller.
    pub retry_after_ms: Option<u64>,
}

/// Kinds of failure, as the selection of the next attempt needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// 429: this credential for now.
    RateLimited,
    /// 429 that waiting does not cure (`insufficient_quota`): this credential until it is paid.
    QuotaExhausted,
    /// 401, or Google's 400 `API_KEY_INVALID`: this credential is wrong.
    Authentication,
    /// 402.
    Billing,
    /// 403.
    Permission,
    /// 404: the model (or the path) is not there.
    NotFound,
    /// 529, or an overload inside a stream.
    Overloaded,
    /// 408, 504.
    Timeout,
    /// Other 5xx.
    Server,
    /// 400 and 422: the request is wrong.
    BadRequest,
    /// 400: the conversation is longer than the model's context.
    ContextLength,
    /// 400: refused by a content policy.
    ContentPolicy,
    /// 413.
    TooLarge,
    /// 409.
    Conflict,
}
