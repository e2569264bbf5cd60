//! What an attempt's failure means: whose fault it is, what to try next, what to remember, and what the client is told when
//! nothing is left. Pure functions; the attempt loop acts on them, and only before the first byte went to the client.
//!
//! | scope | outcomes | next |
//! |---|---|---|
//! | key | 429, 401, 402, 403, no access token | another key |
//! | host | 5xx, refused, reset, DNS, TLS, timeouts, truncated or unreadable answers | a key at another host, the next candidate, another key |
//! | model | 529 | the next candidate, another key |
//! | missing | 404, a whole answer that says nothing | the next candidate |
//! | request | 400, 409, 413, 422 | to the client |
//! | stale connection | a pooled connection that died before any byte | the same key, once |

use std::time::Duration;

use heliostat_filters::fault::FaultKind;

use super::breaker::Blame;
use super::health::Cooldown;
use super::select::KeysLeft;
use crate::config::{Retry, Timeouts};

pub use self::conclusion::{Conclusion, conclude};

#[cfg(test)]
mod answers;
mod conclusion;
#[cfg(test)]
mod document;

/// How an attempt failed, or why a candidate was not attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered, and the answer is a failure: an error status, or an error before any content.
    Fault(FaultKind),
    /// TCP connect failed.
    Connect,
    /// TLS handshake failed.
    Tls,
    /// The host's name could not be resolved.
    Dns,
    /// No access token could be had for the credential.
    Token,
    /// A clock ran out.
    Timeout(Phase),
    /// The connection broke.
    Reset {
        /// Nothing of the answer had arrived.
        before_any_byte: bool,
        /// The connection came from the pool.
        reused: bool,
    },
    /// The answer ended before its end.
    Truncated,
    /// The answer could not be read.
    Malformed,
    /// The answer was whole, ended by itself, and said nothing. Only while another candidate is left: else it is the answer. Any caller
    /// can bring it about, so that it says nothing of the host.
    Empty,
    /// No attempt was made.
    Skipped(Skip),
}

/// Whose clock ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// TCP connect.
    Connect,
    /// TLS handshake.
    Tls,
    /// Sending the request.
    Send,
    /// The response header.
    Header,
    /// The first content.
    FirstContent,
    /// So much content, before the commit: it came too slowly.
    SlowStream,
    /// Between contents.
    Stall,
    /// The whole request: no attempt can follow.
    Total,
}

/// Why a candidate was not attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Its credentials are cooling down after a 429.
    RateLimited,
    /// Its model is cooling down after a 529.
    Overloaded,
    /// Its credentials are switched off, or none is meant for the model.
    NoCredential,
    /// Its concurrency limit is reached.
    Busy,
    /// It was attempted, and is not again: its budget of repeats is used up.
    RetryBudget,
    /// It was attempted, and not hedged: its budget of hedges is used up.
    HedgeBudget,
    /// It cannot carry the request (no vision, no such file).
    Unfit,
    /// The route's policy keeps the request from it.
    Policy,
}

/// Whose fault a failure is, and so what another attempt must change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This credential's.
    Key,
    /// This host's.
    Host,
    /// This model's at this provider: overloaded.
    Model,
    /// The model, or its path, is not at this provider; or what the model has to say.
    Missing,
    /// The request's: nobody else will take it.
    Request,
    /// Nobody's: the connection had been closed while it lay in the pool.
    StaleConnection,
}

/// A failed attempt, or a skipped candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptFault {
    /// What happened.
    pub outcome: Outcome,
    /// The upstream's status, if it gave one.
    pub status: Option<u16>,
    /// How long the upstream asks to wait, or how long a stated cool-down still lasts.
    pub retry_after: Option<Duration>,
}

/// What has been done at this candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Attempts beyond the first; the replay after a stale connection is none.
    pub extra: u32,
    /// A stale connection has been replayed in this request.
    pub replayed: bool,
}

/// What could still be tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Another candidate.
    pub candidates: bool,
    /// Another key of this candidate.
    pub keys: KeysLeft,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Try the same key again, after a random wait of at most `after_ms_max` (full jitter). If the deadline is nearer than the
    /// wait: as if no attempt were left at this candidate.
    SameKey {
        /// Upper end of the wait, in milliseconds; 0 is at once.
        after_ms_max: u64,
        /// It is the replay of a stale connection, which is not counted in [`History::extra`].
        replay: bool,
    },
    /// Try another key of this candidate at once.
    NextKey,
    /// Go to the next candidate.
    NextCandidate,
    /// Answer the client: see [`conclude`].
    Answer,
}

impl Outcome {
    /// Whose fault it is.
    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::Fault(kind) => scope_of(kind),
            Self::Reset { before_any_byte: true, reused: true } => Scope::StaleConnection,
            Self::Skipped(Skip::Overloaded) => Scope::Model,
            Self::Token | Self::Skipped(Skip::RateLimited | Skip::NoCredential) => Scope::Key,
            Self::Empty | Self::Skipped(Skip::Unfit | Skip::Policy) => Scope::Missing,
            Self::Connect | Self::Tls | Self::Dns | Self::Timeout(_) | Self::Reset { .. } => Scope::Host,
            Self::Truncated | Self::Malformed | Self::Skipped(Skip::Busy | Skip::RetryBudget | Skip::HedgeBudget) => Scope::Host,
        }
    }

    /// The word in logs and in the label `outcome` of `heliostat_attempts_total`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fault(kind) => label_of(kind),
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Dns => "dns",
            Self::Token => "token",
            Self::Timeout(phase) => phase.label(),
            Self::Reset { before_any_byte: true, reused: true } => "stale_connection",
            Self::Reset { .. } => "reset",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Empty => "empty",
            Self::Skipped(Skip::RateLimited) => "skipped_rate_limited",
            Self::Skipped(Skip::Overloaded) => "skipped_overloaded",
            Self::Skipped(Skip::NoCredential) => "skipped_no_credential",
            Self::Skipped(Skip::Busy) => "skipped_busy",
            Self::Skipped(Skip::RetryBudget) => "skipped_retry_budget",
            Self::Skipped(Skip::HedgeBudget) => "skipped_hedge_budget",
            Self::Skipped(Skip::Unfit) => "skipped_unfit",
            Self::Skipped(Skip::Policy) => "skipped_policy",
        }
    }
}

impl Phase {
    const fn label(self) -> &'static str {
        match self {
            Self::Connect => "timeout_connect",
            Self::Tls => "timeout_tls",
            Self::Send => "timeout_send",
            Self::Header => "timeout_header",
            Self::FirstContent => "timeout_first_content",
            Self::SlowStream => "slow_stream",
            Self::Stall => "timeout_stall",
            Self::Total => "timeout_total",
        }
    }
}

const fn scope_of(kind: FaultKind) -> Scope {
    use FaultKind as F;
    match kind {
        F::RateLimited | F::QuotaExhausted | F::Authentication | F::Billing | F::Permission => Scope::Key,
        F::Timeout | F::Server | F::Malformed => Scope::Host,
        F::Overloaded => Scope::Model,
        F::NotFound => Scope::Missing,
        F::BadRequest | F::ContextLength | F::ContentPolicy | F::TooLarge | F::Conflict => Scope::Request,
    }
}

const fn label_of(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::RateLimited => "rate_limited",
        FaultKind::QuotaExhausted => "quota_exhausted",
        FaultKind::Authentication => "authentication",
        FaultKind::Billing => "billing",
        FaultKind::Permission => "permission",
        FaultKind::NotFound => "not_found",
        FaultKind::Overloaded => "overloaded",
        FaultKind::Timeout => "upstream_timeout",
        FaultKind::Server => "server_error",
        FaultKind::Malformed => "malformed",
        FaultKind::BadRequest => "bad_request",
        FaultKind::ContextLength => "context_length",
        FaultKind::ContentPolicy => "content_policy",
        FaultKind::TooLarge => "too_large",
        FaultKind::Conflict => "conflict",
    }
}

/// What to remember of a failure, for [`super::select::Lanes::cool`].
#[must_use]
pub const fn cooldown(fault: &AttemptFault) -> Option<Cooldown> {
    match fault.outcome {
        Outcome::Fault(FaultKind::RateLimited) => Some(Cooldown::RateLimited(fault.retry_after)),
        Outcome::Fault(FaultKind::Overloaded) => Some(Cooldown::Overloaded(fault.retry_after)),
        Outcome::Fault(FaultKind::Authentication) => Some(Cooldown::Refused),
        Outcome::Fault(FaultKind::Permission) => Some(Cooldown::Forbidden),
        Outcome::Fault(FaultKind::Billing | FaultKind::QuotaExhausted) => Some(Cooldown::Unpaid),
        _ => None,
    }
}

/// What a failed attempt says of its host, for [`super::select::Lanes::blame`]; `None` where it says nothing. A time-out that the
/// caller's own impatience brought (sooner than the provider's clock, and than `fair`) says nothing: any caller could else shut a
/// provider off for all.
#[must_use]
pub fn blame(outcome: Outcome, took: Duration, clocks: Timeouts, fair: Duration) -> Option<Blame> {
    if let Outcome::Timeout(phase) = outcome {
        let own_ms = match phase {
            Phase::Connect => clocks.connect_ms,
            Phase::Tls => clocks.tls_ms,
            Phase::Send | Phase::Header => clocks.header_ms.unwrap_or(clocks.first_content_ms).min(clocks.first_content_ms),
            Phase::FirstContent => clocks.first_content_ms,
            // Its own clock in any case: the caller has no say in it.
            Phase::SlowStream => 0,
            Phase::Stall => clocks.stall_ms,
            Phase::Total => clocks.total_ms,
        };
        return (took >= Duration::from_millis(own_ms).min(fair)).then_some(Blame::Timeout);
    }
    match outcome.scope() {
        _ if matches!(outcome, Outcome::Skipped(_) | Outcome::Token) => None,
        Scope::Host => Some(Blame::Fault),
        // Overload has a cool-down of its own.
        Scope::Key | Scope::Model | Scope::Missing | Scope::Request => Some(Blame::None),
        Scope::StaleConnection => None,
    }
}

/// The step after a failed attempt. `retry` is the provider's, `left` from [`super::select::Lanes::left`] and the plan.
///
/// `max_retries` unset: each other healthy key once, where another key helps. Set: exactly so many extra attempts at this
/// candidate before the next, on another healthy key at once, on the same after the back-off, which only faults of host and model
/// get (for a key's fault the same key is of no use).
#[must_use]
pub fn next(outcome: Outcome, history: History, retry: Retry, left: Left) -> Step {
    let onward = if left.candidates { Step::NextCandidate } else { Step::Answer };
    let may_repeat = retry.max_retries.is_none_or(|most| history.extra < most);
    let other_key = may_repeat && (left.keys.elsewhere || left.keys.same_host);
    match outcome.scope() {
        _ if outcome == Outcome::Timeout(Phase::Total) => Step::Answer,
        Scope::Request => Step::Answer,
        Scope::Missing => onward,
        _ if matches!(outcome, Outcome::Skipped(_)) => onward,
        Scope::StaleConnection if !history.replayed => Step::SameKey { after_ms_max: 0, replay: true },
        Scope::Key if other_key => Step::NextKey,
        Scope::Key => onward,
        Scope::Host | Scope::Model | Scope::StaleConnection if retry.max_retries.is_some() => match (other_key, may_repeat) {
            (true, _) => Step::NextKey,
            (false, true) => Step::SameKey { after_ms_max: backoff(retry, history.extra), replay: false },
            (false, false) => onward,
        },
        Scope::Host | Scope::StaleConnection if left.keys.elsewhere => Step::NextKey,
        Scope::Host | Scope::Model | Scope::StaleConnection if other_key && !left.candidates => Step::NextKey,
        Scope::Host | Scope::Model | Scope::StaleConnection => onward,
    }
}

/// What is left once a host has said that asking it again is of no use (`x-should-retry: false`): keys and candidates elsewhere.
#[must_use]
pub const fn elsewhere(retry: Retry, left: Left) -> (Retry, Left) {
    let keys = KeysLeft { same_host: false, ..left.keys };
    let max_retries = if keys.elsewhere { retry.max_retries } else { Some(0) };
    (Retry { max_retries, ..retry }, Left { keys, ..left })
}

/// Whether a refused request may be taken all the same, by the provider's own word (`x-should-retry: true`), as after a lock that
/// somebody else held.
#[must_use]
pub fn is_transient(kind: FaultKind, should_retry: Option<&str>) -> bool {
    should_retry == Some("true") && matches!(kind, FaultKind::BadRequest | FaultKind::Conflict)
}

/// Whether a step asks again what has just failed, and so costs the budget of [`super::select::Lanes::may_repeat`]. Another key after
/// a fault of the first does not: the first rests.
#[must_use]
pub fn is_repeat(outcome: Outcome, step: Step, left: Left) -> bool {
    match (outcome.scope(), step) {
        (Scope::Host | Scope::Model | Scope::StaleConnection, Step::SameKey { replay: false, .. }) | (Scope::Model, Step::NextKey) => true,
        (Scope::Host | Scope::StaleConnection, Step::NextKey) => !left.keys.elsewhere,
        _ => false,
    }
}

/// `backoff_initial_ms` · 2ⁿ.
fn backoff(retry: Retry, extra: u32) -> u64 {
    retry.backoff_initial_ms.saturating_mul(1 << extra.min(32))
}

#[cfg(test)]
mod tests;
