//! What the client is told when every candidate failed.

use std::time::Duration;

use heliostat_filters::fault::FaultKind;

use super::{AttemptFault, Outcome, Phase, Scope, Skip};

/// A wait up to this long is worth a client's own retry.
const WORTH_RETRYING: Duration = Duration::from_secs(60);
/// How soon a place at a provider is likely to be free again.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// The answer when nothing is left. One attempt in the client's own dialect is answered with the upstream's status and body
/// instead: the caller's job, as is 529 in place of 503 for Anthropic clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conclusion {
    /// HTTP status.
    pub status: u16,
    /// OpenAI's `code`.
    pub code: &'static str,
    /// `Retry-After`, in whole seconds, at least 1.
    pub retry_after_s: Option<u64>,
    /// `x-should-retry`: whether the client's own retry can help. Ours are used up.
    pub should_retry: bool,
}

/// Concludes from all attempts and skipped candidates, in their order. Skipped ones count where nothing was attempted, or where the
/// last one was: a full concurrency limit.
#[must_use]
pub fn conclude(attempts: &[AttemptFault]) -> Conclusion {
    let (status, code) = status(attempts);
    let busy = attempts.last().filter(|last| is(last, Skip::Busy)).map(|_| BUSY_WAIT);
    let wait = attempts.iter().filter_map(|attempt| attempt.retry_after).chain(busy).min();
    // A wait helps against nothing else: a request that is wrong stays wrong.
    let wait = wait.filter(|_| !matches!(status, 400..=428));
    Conclusion {
        status,
        code,
        retry_after_s: wait.map(|wait| wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)),
        should_retry: wait.is_some_and(|wait| wait <= WORTH_RETRYING),
    }
}

fn status(attempts: &[AttemptFault]) -> (u16, &'static str) {
    let made = |attempt: &&AttemptFault| !matches!(attempt.outcome, Outcome::Skipped(_));
    let deciding = match attempts.last() {
        Some(last) if is(last, Skip::Busy) => Some(last),
        last => attempts.iter().rfind(made).or(last),
    };
    let Some(deciding) = deciding else { return (502, "upstream_error") };
    if attempts.iter().all(|attempt| attempt.outcome == Outcome::Fault(FaultKind::QuotaExhausted)) {
        return (429, "insufficient_quota");
    }
    if attempts.iter().all(is_rate_limited) {
        return (429, "rate_limit_exceeded");
    }
    match deciding.outcome {
        Outcome::Fault(FaultKind::Timeout) | Outcome::Timeout(_) => (504, timeout_code(deciding.outcome)),
        Outcome::Fault(FaultKind::Overloaded) | Outcome::Skipped(Skip::Overloaded) => (503, "upstream_overloaded"),
        Outcome::Skipped(Skip::Busy) => (503, "concurrency_limit"),
        Outcome::Skipped(Skip::Unfit) => (400, "unsupported_value"),
        Outcome::Fault(FaultKind::NotFound) if attempts.len() == 1 => (404, "model_not_found"),
        Outcome::Token | Outcome::Skipped(Skip::NoCredential) => (502, "upstream_authentication"),
        outcome if outcome.scope() == Scope::Request => (deciding.status.unwrap_or(400), "invalid_request"),
        Outcome::Fault(FaultKind::Authentication | FaultKind::Permission | FaultKind::Billing) => (502, "upstream_authentication"),
        _ => (502, "upstream_error"),
    }
}

const fn timeout_code(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Timeout(Phase::Total) => "deadline_exceeded",
        _ => "upstream_timeout",
    }
}

fn is(attempt: &AttemptFault, skip: Skip) -> bool {
    attempt.outcome == Outcome::Skipped(skip)
}

fn is_rate_limited(attempt: &AttemptFault) -> bool {
    use FaultKind::{QuotaExhausted, RateLimited};
    matches!(attempt.outcome, Outcome::Fault(RateLimited | QuotaExhausted) | Outcome::Skipped(Skip::RateLimited))
}
