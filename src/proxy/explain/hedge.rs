//! Who would be asked beside a candidate that is silent.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use crate::config::Candidate;
use crate::live::Live;
use crate::proxy::context::Call;
use crate::proxy::failover::spare;
use crate::proxy::prepare::Translator;

/// How an attempt at a candidate is hedged, while the budget lasts.
#[derive(Debug, Serialize)]
pub struct Hedging {
    /// When it has been silent for so long.
    pub after_ms: u64,
    /// Who is asked: `openai/gpt-4o`, which is the candidate itself where it has another key.
    pub asks: Option<String>,
    /// Why nobody is.
    pub why_not: Option<&'static str>,
}

/// How attempts at `candidate` are hedged, with those `later` in its order; `None` where they are not meant to be.
pub fn hedging(
    live: &Live,
    call: &Call,
    translator: &mut Translator<'_>,
    candidate: &Candidate,
    later: &[&Candidate],
    now: Instant,
) -> Option<Hedging> {
    let after_ms = candidate.timeouts.hedge?.after_ms;
    if call.operation.client.is_stored(&call.document) {
        return Some(Hedging { after_ms, asks: None, why_not: Some("its answer is stored at the provider, and would be twice") });
    }
    let first = spare(live, candidate, &[], &[], now).map(|key| key.index);
    let itself = first.and_then(|first| spare(live, candidate, &[first], &[], now)).map(|_| candidate);
    let mut others = later.iter().copied();
    let other = || others.find(|other| spare(live, other, &[], &[], now).is_some() && translator.prepare(other, "explain").is_ok());
    let asked = itself.or_else(other);
    let asks = asked.map(|asked| format!("{}/{}", asked.provider.name, asked.model));
    let why_not = asks.is_none().then_some("nobody else is healthy and can carry it");
    Some(Hedging { after_ms, asks, why_not })
}

impl fmt::Display for Hedging {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.asks, self.why_not) {
            (Some(asks), _) => write!(f, "silent for {} ms: {asks} is asked beside it", self.after_ms),
            (None, why) => write!(f, "silent for {} ms: nobody is asked beside it ({})", self.after_ms, why.unwrap_or_default()),
        }
    }
}
