//! What the proxy reports. Plain data, borrowed from the request that ends.

use std::net::IpAddr;

use heliostat_filters::loss::Loss;
use heliostat_filters::usage::Usage;
use opentelemetry::trace::SpanContext;

/// A request ended.
#[derive(Debug, Clone)]
pub struct RequestFinished<'a> {
    /// As in `x-request-id`.
    pub request_id: &'a str,
    /// The caller's trace, from `traceparent`.
    pub trace: Option<&'a SpanContext>,
    /// The name of the client key it came with.
    pub client: Option<&'a str>,
    /// Where it came from; behind a configured balancer, what that says.
    pub client_address: Option<IpAddr>,
    /// The client's dialect: `openai`.
    pub dialect: &'static str,
    /// The endpoint's pattern: `/v1/chat/completions`. Never the raw path.
    pub endpoint: &'static str,
    /// What the client asked for, as it wrote it; empty if it was not read.
    pub asked_model: &'a str,
    /// Who answered; if nobody did, who was tried last.
    pub served: Option<Served<'a>>,
    /// HTTP status sent to the client; 499 if it left before one was.
    pub status: u16,
    /// Whether it was a stream.
    pub stream: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The `code` of the error the client got.
    pub error_code: Option<&'a str>,
    /// Every attempt, in order.
    pub attempts: &'a [AttemptFinished<'a>],
    /// Tokens, as far as the upstream said.
    pub usage: Usage,
    /// What a translation could not carry, of request and reply.
    pub losses: &'a [Loss],
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
    /// Time spent in Heliostat itself, in microseconds.
    pub own_us: u64,
    /// From the request's start to the first content sent to the client, in microseconds.
    pub first_content_us: Option<u64>,
    /// From the request's start to its end, in microseconds.
    pub total_us: u64,
}

/// Who answered.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The model's name at the provider.
    pub model: &'a str,
    /// The credential's name.
    pub credential: &'a str,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered in full.
    Ok,
    /// Answered with an error, or broken off by one.
    Error,
    /// The client left before the end.
    ClientGone,
}

/// An attempt ended.
#[derive(Debug, Clone, Copy)]
pub struct AttemptFinished<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The model's name at the provider.
    pub model: &'a str,
    /// The credential's name; empty if the candidate was skipped.
    pub credential: &'a str,
    /// The upstream's status, if it gave one.
    pub status: Option<u16>,
    /// `ok`, `client_gone`, or the failure's label.
    pub outcome: &'static str,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// How a credential stands, for the gauge `heliostat_credential_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialState {
    /// In use: 0.
    Healthy,
    /// Cooling down: 1.
    Cooling,
    /// Switched off: 2.
    Off,
}

impl Outcome {
    /// The word in the access log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::ClientGone => "client_gone",
        }
    }
}

impl CredentialState {
    /// The gauge's value.
    #[must_use]
    pub const fn as_gauge(self) -> i64 {
        match self {
            Self::Healthy => 0,
            Self::Cooling => 1,
            Self::Off => 2,
        }
    }
}
