//! The contract's lines, as tables.

use super::*;
use FaultKind as F;
use Outcome::Fault;

const RESET: Outcome = Outcome::Reset { before_any_byte: false, reused: true };
const FRESH_RESET: Outcome = Outcome::Reset { before_any_byte: true, reused: false };
const STALE: Outcome = Outcome::Reset { before_any_byte: true, reused: true };

const NONE: KeysLeft = KeysLeft { elsewhere: false, same_host: false };
const SAME: KeysLeft = KeysLeft { elsewhere: false, same_host: true };
const ELSE: KeysLeft = KeysLeft { elsewhere: true, same_host: true };

fn step(outcome: Outcome, keys: KeysLeft, candidates: bool) -> Step {
    next(outcome, History::default(), Retry::default(), Left { candidates, keys })
}

fn retried(outcome: Outcome, extra: u32, keys: KeysLeft) -> Step {
    let retry = Retry { max_retries: Some(2), backoff_initial_ms: 100 };
    next(outcome, History { extra, replayed: true }, retry, Left { candidates: true, keys })
}

#[test]
fn a_keys_fault_takes_the_next_key_then_the_next_candidate() {
    for kind in [F::RateLimited, F::QuotaExhausted, F::Authentication, F::Billing, F::Permission] {
        assert_eq!(step(Fault(kind), ELSE, true), Step::NextKey, "{kind:?}");
        assert_eq!(step(Fault(kind), SAME, true), Step::NextKey, "{kind:?}");
        assert_eq!(step(Fault(kind), NONE, true), Step::NextCandidate, "{kind:?}");
        assert_eq!(step(Fault(kind), NONE, false), Step::Answer, "{kind:?}");
    }
}

#[test]
fn a_hosts_fault_takes_another_host_then_the_next_candidate_then_another_key() {
    let timeouts = [Phase::Connect, Phase::Tls, Phase::Send, Phase::Header, Phase::FirstContent, Phase::Stall].map(Outcome::Timeout);
    let others = [Fault(F::Server), Fault(F::Timeout), Outcome::Connect, Outcome::Tls, Outcome::Dns, RESET, FRESH_RESET];
    for outcome in others.into_iter().chain(timeouts).chain([Outcome::Truncated, Outcome::Malformed]) {
        assert_eq!(step(outcome, ELSE, true), Step::NextKey, "{outcome:?}");
        assert_eq!(step(outcome, SAME, true), Step::NextCandidate, "{outcome:?}");
        assert_eq!(step(outcome, SAME, false), Step::NextKey, "{outcome:?}");
        assert_eq!(step(outcome, NONE, false), Step::Answer, "{outcome:?}");
    }
}

#[test]
fn an_overload_takes_the_next_candidate_then_another_key() {
    assert_eq!(step(Fault(F::Overloaded), ELSE, true), Step::NextCandidate);
    assert_eq!(step(Fault(F::Overloaded), SAME, false), Step::NextKey);
    assert_eq!(step(Fault(F::Overloaded), NONE, false), Step::Answer);
}

#[test]
fn a_wrong_request_goes_to_the_client_and_a_missing_model_to_the_next_candidate() {
    for kind in [F::BadRequest, F::ContextLength, F::ContentPolicy, F::TooLarge, F::Conflict] {
        assert_eq!(step(Fault(kind), ELSE, true), Step::Answer, "{kind:?}");
        assert_eq!(retried(Fault(kind), 0, ELSE), Step::Answer, "{kind:?}");
    }
    assert_eq!(step(Fault(F::NotFound), ELSE, true), Step::NextCandidate);
    assert_eq!(step(Fault(F::NotFound), ELSE, false), Step::Answer);
    assert_eq!(step(Outcome::Skipped(Skip::Busy), ELSE, true), Step::NextCandidate);
}

#[test]
fn a_stale_connection_is_replayed_once_and_then_a_hosts_fault() {
    assert_eq!(step(STALE, NONE, true), Step::SameKey { after_ms_max: 0, replay: true });
    let again = History { extra: 0, replayed: true };
    assert_eq!(next(STALE, again, Retry::default(), Left { candidates: true, keys: SAME }), Step::NextCandidate);
    assert_eq!(next(STALE, again, Retry::default(), Left { candidates: false, keys: SAME }), Step::NextKey);
}

#[test]
fn max_retries_is_exactly_so_many() {
    for outcome in [Fault(F::Server), Fault(F::Overloaded), Outcome::Connect, Outcome::Timeout(Phase::Header)] {
        assert_eq!(retried(outcome, 0, SAME), Step::NextKey);
        assert_eq!(retried(outcome, 0, NONE), Step::SameKey { after_ms_max: 100, replay: false });
        assert_eq!(retried(outcome, 1, NONE), Step::SameKey { after_ms_max: 200, replay: false });
        assert_eq!(retried(outcome, 2, ELSE), Step::NextCandidate);
    }
    assert_eq!(retried(Fault(F::RateLimited), 1, SAME), Step::NextKey);
    assert_eq!(retried(Fault(F::RateLimited), 1, NONE), Step::NextCandidate);
    assert_eq!(retried(Fault(F::RateLimited), 2, ELSE), Step::NextCandidate);
    assert_eq!(retried(Fault(F::NotFound), 0, ELSE), Step::NextCandidate);
    let never = Retry { max_retries: Some(0), backoff_initial_ms: 100 };
    assert_eq!(next(Outcome::Connect, History::default(), never, Left { candidates: false, keys: ELSE }), Step::Answer);
    assert_eq!(backoff(Retry { max_retries: None, backoff_initial_ms: u64::MAX }, u32::MAX), u64::MAX);
}

#[test]
fn a_spent_deadline_ends_it() {
    assert_eq!(step(Outcome::Timeout(Phase::Total), ELSE, true), Step::Answer);
}

#[test]
fn what_is_remembered() {
    let wait = Some(Duration::from_secs(3));
    let remembered = |outcome| cooldown(&AttemptFault { outcome, status: None, retry_after: wait });
    assert_eq!(remembered(Fault(F::RateLimited)), Some(Cooldown::RateLimited(wait)));
    assert_eq!(remembered(Fault(F::Overloaded)), Some(Cooldown::Overloaded(wait)));
    assert_eq!(remembered(Fault(F::Authentication)), Some(Cooldown::Refused));
    assert_eq!(remembered(Fault(F::Permission)), Some(Cooldown::Forbidden));
    assert_eq!(remembered(Fault(F::Billing)), Some(Cooldown::Unpaid));
    assert_eq!(remembered(Fault(F::QuotaExhausted)), Some(Cooldown::Unpaid));
    assert_eq!(remembered(Fault(F::Server)), None);
    assert_eq!(remembered(Outcome::Connect), None);
}

fn fault(outcome: Outcome) -> AttemptFault {
    AttemptFault { outcome, status: None, retry_after: None }
}

fn after(seconds: u64, outcome: Outcome) -> AttemptFault {
    AttemptFault { retry_after: Some(Duration::from_secs(seconds)), ..fault(outcome) }
}

#[test]
fn the_final_status() {
    let skipped = |skip| fault(Outcome::Skipped(skip));
    let limited = Fault(F::RateLimited);
    type Row<'a> = (&'a [AttemptFault], u16, &'static str, Option<u64>, bool);
    let table: &[Row<'_>] = &[
        (&[after(9, limited), after(4, limited)], 429, "rate_limit_exceeded", Some(4), true),
        (&[after(90, limited)], 429, "rate_limit_exceeded", Some(90), false),
        (&[fault(limited)], 429, "rate_limit_exceeded", None, false),
        (&[fault(limited), after(7, Outcome::Skipped(Skip::RateLimited))], 429, "rate_limit_exceeded", Some(7), true),
        (&[fault(Fault(F::QuotaExhausted))], 429, "insufficient_quota", None, false),
        (&[fault(limited), fault(Outcome::Timeout(Phase::Header))], 504, "upstream_timeout", None, false),
        (&[fault(Outcome::Connect), fault(Outcome::Timeout(Phase::Total))], 504, "deadline_exceeded", None, false),
        (&[fault(Fault(F::Server)), fault(Fault(F::Timeout))], 504, "upstream_timeout", None, false),
        (&[fault(Fault(F::Server)), fault(Fault(F::Overloaded))], 503, "upstream_overloaded", None, false),
        (&[fault(Fault(F::Overloaded)), skipped(Skip::RateLimited)], 503, "upstream_overloaded", None, false),
        (&[fault(Fault(F::Server)), skipped(Skip::Busy)], 503, "concurrency_limit", Some(1), true),
        (&[fault(limited), fault(Fault(F::Authentication))], 502, "upstream_authentication", None, false),
        (&[skipped(Skip::NoCredential)], 502, "upstream_authentication", None, false),
        (&[after(5, limited), fault(Fault(F::Server))], 502, "upstream_error", Some(5), true),
        (&[fault(Outcome::Connect), fault(Outcome::Tls)], 502, "upstream_error", None, false),
        (&[fault(Fault(F::NotFound))], 404, "model_not_found", None, false),
        (&[fault(Fault(F::NotFound)), fault(Fault(F::NotFound))], 502, "upstream_error", None, false),
        (&[skipped(Skip::Unfit), skipped(Skip::Unfit)], 400, "unsupported_value", None, false),
        (&[skipped(Skip::Unfit), fault(Outcome::Connect)], 502, "upstream_error", None, false),
        (&[], 502, "upstream_error", None, false),
    ];
    for (attempts, status, code, retry_after_s, should_retry) in table {
        let expected = Conclusion { status: *status, code, retry_after_s: *retry_after_s, should_retry: *should_retry };
        assert_eq!(conclude(attempts), expected, "{attempts:?}");
    }
    let refused = AttemptFault { status: Some(413), ..fault(Fault(F::TooLarge)) };
    assert_eq!(conclude(&[after(3, limited), refused]).status, 413);
    assert_eq!(conclude(&[after(3, limited), refused]).retry_after_s, None);
}

#[test]
fn the_host_is_to_blame_for_what_it_did_not_do_and_never_for_the_request() {
    let fair = Duration::from_secs(3);
    let cases = [
        (Outcome::Fault(FaultKind::Server), Duration::ZERO, Some(Blame::Fault)),
        (Outcome::Connect, Duration::ZERO, Some(Blame::Fault)),
        (Outcome::Truncated, Duration::ZERO, Some(Blame::Fault)),
        (Outcome::Fault(FaultKind::BadRequest), Duration::ZERO, Some(Blame::None)),
        (Outcome::Fault(FaultKind::RateLimited), Duration::ZERO, Some(Blame::None)),
        (Outcome::Fault(FaultKind::Overloaded), Duration::ZERO, Some(Blame::None)),
        (Outcome::Timeout(Phase::Header), fair, Some(Blame::Timeout)),
        (Outcome::Timeout(Phase::Header), fair / 2, None),
        (Outcome::Timeout(Phase::Connect), Duration::from_millis(1_500), Some(Blame::Timeout)),
        (Outcome::Skipped(Skip::Busy), fair, None),
        (Outcome::Token, fair, None),
    ];
    for (outcome, took, expected) in cases {
        assert_eq!(blame(outcome, took, Timeouts::default(), fair), expected, "{outcome:?} after {took:?}");
    }
}
