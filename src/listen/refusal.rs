//! Answers to connections that have no request yet, as bytes.

use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::Bytes;
use heliostat_filters::dialect::Dialect;
use heliostat_filters::dialect::openai::OpenAi;

use crate::proxy::problem::Problem;
use crate::telemetry::event::RequestRecord;

/// Too many connections. Asked to come back, the SDKs do.
#[must_use]
pub fn full() -> Problem {
    let problem = Problem::new(503, "too_many_connections", "The gateway has too many connections. Try again in a second.");
    Problem { retry_after_s: Some(1), ..problem }
}

/// The head took too long.
#[must_use]
pub fn slow() -> Problem {
    Problem::new(408, "request_timeout", "The head of the request did not arrive in time. Send it at once.")
}

/// The head is longer than we can read, whatever the limits allow.
#[must_use]
pub fn too_long() -> Problem {
    Problem::new(431, "header_too_large", "The request head is larger than 1048575 bytes or 256 fields.")
}

/// What is said where Pingora refuses a head by itself; `status` is what it would have said.
#[must_use]
pub fn malformed(status: Option<u16>) -> Problem {
    match status {
        Some(405) => Problem::new(405, "method_not_allowed", "The gateway is no tunnel: CONNECT is not allowed."),
        _ => Problem::new(400, "malformed_head", "The head of the request is not well-formed HTTP/1.1."),
    }
}

/// The whole answer, after which the connection is closed, to a client of which nothing is known.
#[must_use]
pub fn render(problem: &Problem, request_id: &str) -> Bytes {
    render_in(&OpenAi, problem, request_id)
}

/// The same in the client's dialect.
#[must_use]
pub fn render_in(dialect: &dyn Dialect, problem: &Problem, request_id: &str) -> Bytes {
    let body = problem.body(dialect, request_id);
    let reason = http::StatusCode::from_u16(problem.status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let retry_after = problem.retry_after_s.map_or_else(String::new, |seconds| format!("retry-after: {seconds}\r\n"));
    let mut head = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        head,
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\nx-request-id: {request_id}\r\n{retry_after}\r\n",
        problem.status,
        body.len(),
    );
    [head.as_bytes(), &body].concat().into()
}

/// What is told of it. A connection that was closed without a word is told of as if it had been answered.
#[must_use]
pub fn record(problem: &Problem, request_id: String, from: Option<IpAddr>, answer: &Bytes) -> RequestRecord {
    RequestRecord::refused(request_id, from, problem.status, problem.code(), answer.len() as u64)
}
