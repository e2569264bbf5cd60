//! An attempt that an operator wants to fail: the gateway fails it itself, as the provider would. Nothing is sent, nothing is billed, and
//! everything after it (verdict, cool-down, breaker, the next candidate) is the real thing.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heliostat_filters::dialect::openai::ErrorText;
use http::{HeaderMap, StatusCode};

use super::attempt::{self, AttemptClocks, Ended, Failure, Interrupt, Waiting};
use super::problem::Problem;
use crate::config::Candidate;
use crate::upstream::connect::ConnectError;
use crate::upstream::head::Head;
use crate::upstream::intervention::DrillFault;
use crate::upstream::verdict::{Outcome, Phase, conclude};

const WORDS: &str = "A drill: this provider fails on purpose until its operator's time is over.";

/// Fails an attempt at `candidate`. A status says with it when the drill, which lasts until `until`, will be over.
pub async fn fail(fault: DrillFault, until: Instant, candidate: &Candidate, clocks: AttemptClocks, mut waiting: Waiting<'_, '_>) -> Ended {
    match fault {
        DrillFault::Timeout => match waiting.on(clocks.header, std::future::pending::<()>()).await {
            Ok(()) => attempt::no_token(WORDS),
            Err(interrupt) => interrupt.ended(Phase::Header),
        },
        other => at_once(other, until, candidate),
    }
}

/// The same where nobody could notice that the client leaves: without the wait of a provider that is silent.
pub fn at_once(fault: DrillFault, until: Instant, candidate: &Candidate) -> Ended {
    match fault {
        DrillFault::Status(status) => answered(status, until.saturating_duration_since(Instant::now()), candidate),
        DrillFault::Refused => attempt::unreachable(&ConnectError::Connect("refused, by a drill".to_owned())),
        DrillFault::Reset => attempt::broken(&io::Error::new(io::ErrorKind::ConnectionReset, "a drill"), false, false),
        DrillFault::Timeout => Interrupt::Deadline.ended(Phase::Header),
    }
}

/// What a client is told whose upload fails so.
pub fn problem(failure: &Failure) -> Problem {
    let conclusion = conclude(&[failure.attempt_fault()]);
    Problem {
        retry_after_s: conclusion.retry_after_s,
        should_retry: Some(conclusion.should_retry),
        ..Problem::new(failure.status.unwrap_or(conclusion.status), conclusion.code, WORDS)
    }
}

/// An error status with a body in the provider's own dialect, read as any other.
fn answered(status: u16, left: Duration, candidate: &Candidate) -> Ended {
    let dialect = candidate.speech().dialect;
    let (kind, code) = if status == 429 { ("rate_limit_error", "rate_limit_exceeded") } else { ("server_error", "server_error") };
    let body: Bytes =
        dialect.error(status, ErrorText { message: WORDS, kind, param: None, code: Some(code), retry_after_s: None }, "drill");
    let fault = dialect.fault(status, &body);
    // A guessed cool-down may outlast the drill; one that was stated ends with it.
    let retry_after = matches!(status, 429 | 503 | 529).then_some(left);
    let head = Head::from_parts(StatusCode::from_u16(status).unwrap_or_default(), &HeaderMap::new());
    let (outcome, status) = (Outcome::Fault(fault.kind), Some(status));
    Ended::Failed(Box::new(Failure { outcome, fault, status, retry_after, answer: Some((head, body)) }))
}
