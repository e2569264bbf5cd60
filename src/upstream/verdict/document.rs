//! `src/upstream/VERDICTS.md`, written from the verdicts themselves, and a test that it is not stale.

use std::fmt::Write as _;

use heliostat_filters::dialect::{self, DIALECTS};

use super::answers::ANSWERS;
use super::*;
use FaultKind as F;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/upstream/VERDICTS.md");
const PHASES: [Phase; 8] =
    [Phase::Connect, Phase::Tls, Phase::Send, Phase::Header, Phase::FirstContent, Phase::SlowStream, Phase::Stall, Phase::Total];
const HEAD: &str = "\
# Verdicts

What a failed attempt leads to, before the first byte went to the client. Written from `verdict.rs` by a test; after a change:
`HELIOSTAT_WRITE_VERDICTS=1 cargo test --lib verdict::document`. Which answer of a provider is which outcome stands below, by dialect.

Next, with `max_retries` unset: while another candidate and another key at the same host are left; and while only the key is. A key
at another host is tried before the next candidate. Breaker: `opens` once the wait was fair (`fair_ms`, or the provider's clock),
`counts` as a fault, or the host `answered`. Client: after one attempt that was not in the client's own dialect; a request's fault
keeps the provider's status and code. What is remembered of a model is forgotten where a request of a provider's own API names none:
a 403 to `GET /openai/v1/models` leads to the next key, and switches none off.

Beside these an attempt is `ok`, `client_gone`, or `hedged`: given up because the other of two was quicker (`network.hedge`). That is
nobody's fault: nothing is remembered of it but that its first content would have taken longer.

| outcome | scope | next | next, no candidate | remembered | breaker | client |
|---|---|---|---|---|---|---|
";

const DIALECTS_HEAD: &str = "
## By dialect

What each dialect's own errors are taken for. The same holds for an error inside a 200. The tables behind it, with every code and text:
`filters/src/fault.rs` and `filters/src/dialect/*/error.rs`.

| dialect | status | body | outcome | scope |
|---|---|---|---|---|
";

/// Every kind, in the order of the document. A new one does not compile here until it has its place.
fn kinds() -> impl Iterator<Item = F> {
    let after = |kind: &F| {
        Some(match kind {
            F::RateLimited => F::QuotaExhausted,
            F::QuotaExhausted => F::Overloaded,
            F::Overloaded => F::Authentication,
            F::Authentication => F::Billing,
            F::Billing => F::Permission,
            F::Permission => F::NotFound,
            F::NotFound => F::ContextLength,
            F::ContextLength => F::ContentPolicy,
            F::ContentPolicy => F::BadRequest,
            F::BadRequest => F::TooLarge,
            F::TooLarge => F::Conflict,
            F::Conflict => F::Timeout,
            F::Timeout => F::Server,
            F::Server => F::Malformed,
            F::Malformed => return None,
        })
    };
    std::iter::successors(Some(F::RateLimited), after)
}

fn outcomes() -> impl Iterator<Item = Outcome> {
    let transport = [
        Outcome::Dns,
        Outcome::Connect,
        Outcome::Tls,
        Outcome::Token,
        Outcome::Reset { before_any_byte: true, reused: true },
        Outcome::Reset { before_any_byte: false, reused: false },
        Outcome::Truncated,
        Outcome::Empty,
    ];
    kinds().map(Outcome::Fault).chain(PHASES.into_iter().map(Outcome::Timeout)).chain(transport)
}

fn written() -> String {
    verdicts() + DIALECTS_HEAD + &answers()
}

/// What each answer of [`ANSWERS`] is taken for.
fn answers() -> String {
    ANSWERS.iter().fold(String::new(), |mut text, (name, status, body)| {
        let fault = dialect::by_name(name).unwrap().fault(*status, body.as_bytes());
        let outcome = Outcome::Fault(fault.kind);
        let body = if body.is_empty() { "nothing".to_owned() } else { format!("`{body}`") };
        let _ = writeln!(text, "| {name} | {status} | {body} | `{}` | {:?} |", outcome.label(), outcome.scope());
        text
    })
}

#[test]
fn every_dialect_tells_its_errors() {
    for dialect in DIALECTS {
        assert!(ANSWERS.iter().any(|(name, ..)| *name == dialect.name()), "{} has no row in ANSWERS", dialect.name());
    }
}

fn verdicts() -> String {
    outcomes().fold(HEAD.to_owned(), |mut text, outcome| {
        let fault = AttemptFault { outcome, status: None, retry_after: None };
        let keys = KeysLeft { elsewhere: false, same_host: true };
        let step = |left| told(next(outcome, History::default(), Retry::default(), left));
        let (many, one) = (Left { candidates: true, keys }, Left { candidates: false, keys });
        let client = conclude(&[fault]);
        let _ = writeln!(
            text,
            "| `{}` | {:?} | {} | {} | {} | {} | {} `{}` |",
            outcome.label(),
            outcome.scope(),
            step(many),
            step(one),
            remembered(&fault),
            blamed(outcome),
            client.status,
            client.code
        );
        text
    })
}

fn told(step: Step) -> &'static str {
    match step {
        Step::SameKey { .. } => "the same key, once",
        Step::NextKey => "another key",
        Step::NextCandidate => "the next candidate",
        Step::Answer => "the client",
    }
}

fn remembered(fault: &AttemptFault) -> &'static str {
    match cooldown(fault) {
        None => "",
        Some(Cooldown::RateLimited(_)) => "key: as stated, at most 1 h; else 2 s, doubling to 60 s, less up to a quarter",
        Some(Cooldown::Overloaded(_)) => "model: as stated, at most 1 h; else 2 s, doubling to 60 s, less up to a quarter",
        Some(Cooldown::Refused) => "key: off until reload",
        Some(Cooldown::Forbidden) => "key, for this model: off until reload",
        Some(Cooldown::Unpaid) => "key: off for 10 min",
    }
}

fn blamed(outcome: Outcome) -> &'static str {
    match blame(outcome, Duration::MAX, Timeouts::default(), Duration::from_secs(3)) {
        Some(Blame::Fault) => "counts",
        Some(Blame::Timeout) => "opens",
        Some(Blame::None) => "answered",
        None => "",
    }
}

#[test]
fn the_file_is_what_the_code_says() {
    let written = written();
    if std::env::var_os("HELIOSTAT_WRITE_VERDICTS").is_some() {
        std::fs::write(FILE, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(FILE).unwrap(), written, "stale: see the file's head for how to write it anew");
}
