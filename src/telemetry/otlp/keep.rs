//! Which traces are kept: what was decided at the beginning, and what turned out to be worth it.

use crate::config::Sampling;
use crate::telemetry::event::{Outcome, RequestRecord};
use crate::telemetry::trace::Trace;

/// The place in a trace of a request whose spans are sent; `None` of one whose are not.
pub(super) fn kept(sampling: &Sampling, record: &RequestRecord) -> Option<Trace> {
    // One that was refused before its head had been read has no place yet: a trace begins with it.
    let trace = record.trace.unwrap_or_else(|| Trace::begin(None, sampling));
    let failed = record.status >= 400 || record.outcome == Outcome::Error;
    let attempts = record.attempts.iter().filter(|attempt| attempt.skipped.is_none()).count();
    let slow = |limit_ms: u64| record.total_us() >= limit_ms.saturating_mul(1_000);
    let worth_it = (sampling.keep_errors && failed) || (sampling.keep_failovers && attempts > 1) || sampling.slow_ms.is_some_and(slow);
    (trace.written && (trace.sampled || worth_it)).then_some(trace)
}

/// Whether somebody has spans of this trace of a request's, for one who looks it up: we, or its caller.
pub(in crate::telemetry) fn known(sampling: Option<&Sampling>, record: &RequestRecord, trace: &Trace) -> bool {
    if trace.written { sampling.is_some_and(|sampling| kept(sampling, record).is_some()) } else { trace.sampled }
}
