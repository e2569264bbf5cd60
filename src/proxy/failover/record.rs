//! What is written down of attempts and of skipped candidates.

use std::time::{Duration, Instant};

use heliostat_filters::fault::FaultKind;

use super::{Failover, Next};
use crate::config::{Candidate, Credential};
use crate::proxy::attempt::Failure;
use crate::proxy::context::Context;
use crate::telemetry::event::{AttemptRecord, AttemptTimes, Blame};
use crate::upstream::verdict::{self, AttemptFault, Outcome, Skip};

/// What there is to record of an attempt.
#[derive(Clone, Copy)]
pub(super) struct Mark<'m> {
    credential: &'m str,
    status: Option<u16>,
    outcome: &'static str,
    blame: Option<Blame>,
    skipped: Option<&'static str>,
    times: AttemptTimes,
}

impl Failover<'_> {
    /// Records a candidate that is not tried, and counts it among the failures.
    pub(super) fn skip(
        &mut self,
        context: &mut Context,
        candidate: &Candidate,
        skip: Skip,
        wait: Option<Duration>,
        why: &'static str,
    ) -> Next {
        let outcome = Outcome::Skipped(skip);
        self.record(context, candidate, Mark::skipped(outcome, why));
        self.exhausted.faults.push(AttemptFault { outcome, status: None, retry_after: wait });
        Next::Candidate
    }

    /// Records an attempt, or a candidate that is not tried, as settled now.
    pub(super) fn record(&self, context: &mut Context, candidate: &Candidate, mark: Mark<'_>) {
        let record = AttemptRecord {
            provider: candidate.provider.name.clone(),
            model: candidate.model.clone(),
            credential: mark.credential.to_owned(),
            dialect: candidate.speech().dialect.name(),
            status: mark.status,
            outcome: mark.outcome,
            skipped: mark.skipped,
            blame: mark.blame,
            times: mark.times,
            settled: Instant::now(),
        };
        context.outcome.attempted(record, &self.gateway.telemetry);
    }
}

impl<'m> Mark<'m> {
    pub(super) fn ok(credential: &'m Credential, status: u16, times: AttemptTimes) -> Self {
        Self { credential: &credential.name, status: Some(status), outcome: "ok", blame: None, skipped: None, times }
    }

    pub(super) fn failed(credential: &'m Credential, failure: &Failure, times: AttemptTimes) -> Self {
        let (outcome, blame) = (failure.outcome.label(), Some(blame(failure.outcome)));
        Self { credential: &credential.name, status: failure.status, outcome, blame, skipped: None, times }
    }

    pub(super) fn client_gone(credential: &'m Credential, times: AttemptTimes) -> Self {
        let (outcome, blame) = ("client_gone", Some(Blame::Client));
        Self { credential: &credential.name, status: None, outcome, blame, skipped: None, times }
    }

    /// Given up because another was quicker: nobody's fault.
    pub(super) fn hedged(credential: &'m Credential, times: AttemptTimes) -> Self {
        Self { credential: &credential.name, status: None, outcome: "hedged", blame: None, skipped: None, times }
    }

    pub(super) fn skipped(outcome: Outcome, why: &'static str) -> Self {
        let times = AttemptTimes::begin(Instant::now());
        Self { credential: "", status: None, outcome: outcome.label(), blame: Some(blame(outcome)), skipped: Some(why), times }
    }
}

/// Whose fault a failure was, as far as one attempt can tell.
#[must_use]
pub fn blame(outcome: Outcome) -> Blame {
    match outcome {
        Outcome::Skipped(Skip::Busy | Skip::NoCredential | Skip::Policy | Skip::HedgeBudget)
        | Outcome::Token
        | Outcome::Fault(FaultKind::Authentication) => Blame::Gateway,
        Outcome::Skipped(Skip::Unfit) => Blame::Client,
        _ if outcome.scope() == verdict::Scope::Request => Blame::Client,
        _ => Blame::Provider,
    }
}
