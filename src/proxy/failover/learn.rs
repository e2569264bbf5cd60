//! What a failed attempt teaches, and what is done next.

use std::time::{Duration, Instant};

use super::once::Target;
use super::record::Mark;
use super::{Failover, Tried};
use crate::config::{Candidate, Retry};
use crate::proxy::attempt::Failure;
use crate::proxy::context::Context;
use crate::proxy::redact;
use crate::telemetry::event::AttemptTimes;
use crate::upstream::verdict::{self, AttemptFault, Left, Outcome, Phase, Skip, Step};

/// A failure that has been recorded and remembered; what it leads to is still to be decided.
pub(super) struct Lesson {
    failure: Box<Failure>,
    same_dialect: bool,
}

impl Failover<'_> {
    /// Records a failure, and remembers what it says of its credential and model. `None` where it was a token's, which is renewed: then
    /// the same credential is tried again.
    pub(super) fn learn(
        &self,
        context: &mut Context,
        target: Target<'_>,
        tried: &mut Tried,
        mut failure: Box<Failure>,
        times: AttemptTimes,
    ) -> Option<Lesson> {
        let Target { candidate, credential, prepared } = target;
        if self.renew(context, candidate, credential, tried, &failure, times) {
            return None;
        }
        let now = Instant::now();
        redact::failure(&mut failure, tried.secret(credential));
        let fault = failure.attempt_fault();
        self.record(context, candidate, Mark::failed(credential, &failure, times));
        let clean = |text: &str| self.gateway.telemetry.clean(text);
        log::info!(
            "{} {}/{} with {}: {}: {}",
            clean(&context.request_id),
            candidate.provider.name,
            clean(&redact::line(&candidate.model)),
            credential.name,
            failure.status.map_or_else(|| failure.outcome.label().to_owned(), |status| status.to_string()),
            clean(&redact::line(failure.for_log()))
        );
        let used = target.used();
        if let Some(cooldown) = verdict::cooldown(&fault) {
            if times.drill {
                self.live.lanes.practise(&used, cooldown, now);
            } else {
                self.live.lanes.cool(&used, cooldown, fastrand::f64(), now);
            }
            self.gateway.telemetry.cooldown(&candidate.provider.name, &credential.name, fault.outcome.label());
        }
        let fair = Duration::from_millis(candidate.provider.breaker.fair_ms);
        if let Some(blame) = verdict::blame(fault.outcome, now.saturating_duration_since(times.began), candidate.timeouts, fair) {
            self.live.lanes.blame(&used, blame, times.began, now);
        }
        if !tried.credentials.contains(&credential.index) {
            tried.credentials.push(credential.index);
        }
        if fault.outcome.scope() == verdict::Scope::Host {
            tried.failed_hosts.push(credential.index);
        }
        Some(Lesson { failure, same_dialect: prepared.same_dialect })
    }

    /// Decides what a failure leads to.
    pub(super) fn decide(&mut self, context: &mut Context, candidate: &Candidate, tried: &Tried, lesson: Lesson) -> Step {
        let now = Instant::now();
        let fault = lesson.failure.attempt_fault();
        let ask = self.ask(candidate, tried, self.queue.is_empty(), now);
        let left = Left { candidates: !self.queue.is_empty(), keys: self.live.lanes.left(&ask) };
        let too_late = now >= self.call.clocks.first_byte;
        let outcome = if too_late { Outcome::Timeout(Phase::Total) } else { fault.outcome };
        let (retry, left) = match fault.outcome.scope() {
            verdict::Scope::Host | verdict::Scope::Model if lesson.failure.is_final() => verdict::elsewhere(candidate.provider.retry, left),
            _ => (candidate.provider.retry, left),
        };
        let step = verdict::next(outcome, tried.history, retry, left);
        if matches!(step, Step::SameKey { replay: true, .. }) {
            // The pool's staleness says nothing of the provider: what the replay brings is the attempt that counts.
            return step;
        }
        self.count(AttemptFault { outcome, ..fault }, lesson);
        if !verdict::is_repeat(outcome, step, left) || self.live.lanes.may_repeat(&candidate.provider, now) {
            return step;
        }
        self.skip(context, candidate, Skip::RetryBudget, None, "retry_budget");
        verdict::next(outcome, tried.history, Retry { max_retries: Some(0), ..retry }, left)
    }

    /// Counts a failure among those that the client is told of when nothing is left.
    pub(super) fn keep(&mut self, lesson: Lesson) {
        self.count(lesson.failure.attempt_fault(), lesson);
    }

    fn count(&mut self, fault: AttemptFault, lesson: Lesson) {
        self.exhausted.faults.push(fault);
        self.exhausted.last = Some(*lesson.failure);
        self.exhausted.last_same_dialect = lesson.same_dialect;
    }
}

impl Failure {
    /// What the log may say of it. What a provider says of a wrong request may repeat the request: then no more than its code.
    #[must_use]
    pub fn for_log(&self) -> &str {
        match self.outcome.scope() {
            verdict::Scope::Request => self.fault.code.as_deref().unwrap_or(self.outcome.label()),
            _ => &self.fault.message,
        }
    }

    /// Whether the provider says that asking it again is of no use.
    fn is_final(&self) -> bool {
        self.answer.as_ref().is_some_and(|(head, _)| head.text("x-should-retry") == Some("false"))
    }

    /// What the verdict works on.
    #[must_use]
    pub fn attempt_fault(&self) -> AttemptFault {
        AttemptFault { outcome: self.outcome, status: self.status, retry_after: self.retry_after }
    }
}
