//! The loop of attempts: over candidates, over credentials, until one answer may be committed or nothing is left.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use heliostat_filters::fault::FaultKind;
use heliostat_filters::refusal::{Refusal, RefusalScope};
use pingora_proxy::Session;

use super::attempt::{self, Attempt, AttemptClocks, Ended, Failure, Interrupt, Waiting};
use super::context::{Call, Context};
use super::outgoing::Outgoing;
use super::prepare::{Prepared, Translator};
use super::propagate::Carried;
use super::pump::Pump;
use super::{Gateway, commit, drill, redact};
use crate::config::{Candidate, Credential, Retry, Secret};
use crate::live::Live;
use crate::telemetry::event::{AttemptRecord, AttemptTimes, Blame, StageKind};
use crate::upstream::breaker::Trial;
use crate::upstream::health::Probe;
use crate::upstream::limit::Permit;
use crate::upstream::select::{Ask, Pick, Used};
use crate::upstream::verdict::{self, AttemptFault, History, Left, Outcome, Phase, Skip, Step};

/// How the loop ended.
pub enum End {
    /// The client has been answered by a provider.
    Served,
    /// The client left.
    ClientGone,
    /// Nothing is left to try.
    Exhausted(Box<Exhausted>),
}

/// What is known when nothing is left.
#[derive(Debug, Default)]
pub struct Exhausted {
    /// Every attempt and every skipped candidate, in order.
    pub faults: Vec<AttemptFault>,
    /// The last failure that a provider, or the way to it, gave.
    pub last: Option<Failure>,
    /// Whether the last failure came in the client's own dialect.
    pub last_same_dialect: bool,
    /// Why candidates could not carry the request.
    pub refusals: Vec<Refusal>,
}

/// A request on its way through its candidates.
pub struct Failover<'a> {
    gateway: &'a Gateway,
    live: &'a Live,
    call: &'a Call,
    queue: VecDeque<Visit<'a>>,
    /// Those it has come to.
    visited: Vec<&'a Candidate>,
    translator: Translator<'a>,
    exhausted: Exhausted,
}

/// A candidate to be tried.
#[derive(Debug, Clone, Copy)]
struct Visit<'a> {
    candidate: &'a Candidate,
    /// Nothing else is left: what cools down may be probed, or waited for.
    last_resort: bool,
}

/// What has been done at one candidate.
#[derive(Debug, Default)]
struct Tried {
    credentials: Vec<usize>,
    failed_hosts: Vec<usize>,
    history: History,
    /// The access token of the attempt under way.
    token: Option<Secret>,
    /// The credential whose token was renewed because the provider refused it: that helps once.
    renewed: Option<usize>,
}

/// A credential chosen for an attempt, and what it holds of probes.
struct Chosen {
    credential: usize,
    /// Dropped when the outcome has been reported.
    _probe: Option<Probe>,
    _trial: Option<Trial>,
}

/// What there is to record of an attempt.
#[derive(Clone, Copy)]
struct Mark<'m> {
    credential: &'m str,
    status: Option<u16>,
    outcome: &'static str,
    blame: Option<Blame>,
    skipped: Option<&'static str>,
    times: AttemptTimes,
}

enum Next {
    Candidate,
    End(End),
}

impl<'a> Failover<'a> {
    /// A request before its first attempt. Candidates that cool down come last.
    #[must_use]
    pub fn new(gateway: &'a Gateway, live: &'a Live, call: &'a Call) -> Self {
        let queue = order(call, live, Instant::now()).into_iter().map(|candidate| Visit { candidate, last_resort: false }).collect();
        Self {
            gateway,
            live,
            call,
            queue,
            visited: Vec::new(),
            translator: Translator::new(call, &live.snapshot),
            exhausted: Exhausted::default(),
        }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub async fn run(&mut self, session: &mut Session, context: &mut Context) -> pingora::Result<End> {
        while let Some(visit) = self.queue.pop_front() {
            let candidate = visit.candidate;
            self.visited.push(candidate);
            if Box::pin(self.fetch_images(session, context, candidate)).await == Err(Interrupt::ClientGone) {
                return Ok(End::ClientGone);
            }
            let prepared = match self.translator.prepare(candidate, &context.request_id) {
                Ok(prepared) => prepared,
                Err(refusal) if refusal.scope == RefusalScope::Request => {
                    self.exhausted.refusals = vec![refusal];
                    self.exhausted.faults.clear();
                    break;
                }
                Err(refusal) => {
                    self.skip(context, candidate, Skip::Unfit, None, refusal.code);
                    self.exhausted.refusals.push(refusal);
                    continue;
                }
            };
            match self.visit(session, context, visit, candidate, &prepared).await? {
                Next::Candidate => {}
                Next::End(end) => return Ok(end),
            }
        }
        self.refuse_to_leave(context);
        Ok(End::Exhausted(Box::new(std::mem::take(&mut self.exhausted))))
    }

    /// Says whom a failover would have gone to next, had the route's policy let it.
    fn refuse_to_leave(&self, context: &mut Context) {
        let last = self.exhausted.faults.last().map(|fault| fault.outcome);
        let ended = |outcome: Outcome| outcome.scope() == verdict::Scope::Request || outcome == Outcome::Timeout(Phase::Total);
        if last.is_none_or(ended) {
            return;
        }
        for (candidate, why) in &self.call.barred {
            self.record(context, candidate, Mark::skipped(Outcome::Skipped(Skip::Policy), why.word()));
        }
    }

    /// Fetches what the candidate needs inline. While another candidate is left it may take half of the time to the first byte.
    async fn fetch_images(&mut self, session: &mut Session, context: &mut Context, candidate: &Candidate) -> Result<(), Interrupt> {
        let now = Instant::now();
        let remaining = self.call.clocks.first_byte.saturating_duration_since(now);
        let deadline = now + if self.queue.is_empty() { remaining } else { remaining / 2 };
        let Some(fetch) = self.translator.images.missing(candidate, self.gateway, deadline) else { return Ok(()) };
        let mut waiting = Waiting { session, waited: &mut context.outcome.waits.image_fetch };
        let found = waiting.on(self.call.clocks.total, fetch).await;
        context.outcome.waited(StageKind::ImageFetch, now);
        let found = found?;
        self.translator.images.learn(found, &context.request_id);
        Ok(())
    }

    /// Tries one candidate with as many credentials as its faults allow.
    async fn visit(
        &mut self,
        session: &mut Session,
        context: &mut Context,
        visit: Visit<'a>,
        candidate: &'a Candidate,
        prepared: &Prepared,
    ) -> pingora::Result<Next> {
        let _permit = match self.enter(session, context, candidate).await {
            Ok(permit) => permit,
            Err(next) => return Ok(next),
        };
        let mut tried = Tried::default();
        let mut again = None;
        loop {
            let chosen = match again.take() {
                Some(credential) => Chosen { credential, _probe: None, _trial: None },
                None => match self.choose(session, context, visit, candidate, &tried).await {
                    Ok(chosen) => chosen,
                    Err(next) => return Ok(next),
                },
            };
            let Some(credential) = candidate.provider.credentials.get(chosen.credential) else { return Ok(Next::Candidate) };
            let mut times = AttemptTimes::begin(Instant::now());
            tried.token = None;
            let ended = match Box::pin(self.authorise(session, context, candidate, credential, &mut tried)).await {
                Ok(()) => self.attempt(session, context, candidate, credential, prepared, &tried, &mut times).await?,
                Err(ended) => Err(ended),
            };
            let failure = match ended {
                Ok(end) => return Ok(Next::End(end)),
                Err(Ended::ClientGone) => {
                    self.record(context, candidate, Mark::client_gone(credential, times));
                    return Ok(Next::End(End::ClientGone));
                }
                Err(Ended::Failed(failure)) => *failure,
            };
            if self.renew(context, candidate, credential, &mut tried, &failure, times) {
                again = Some(credential.index);
                continue;
            }
            let step = self.learn(context, candidate, credential, &mut tried, failure, times, prepared.same_dialect);
            drop(chosen);
            match step {
                Step::SameKey { after_ms_max, replay } => {
                    if let Err(next) = self.back_off(session, context, after_ms_max).await {
                        return Ok(next);
                    }
                    tried.history.extra += u32::from(!replay);
                    tried.history.replayed |= replay;
                    again = Some(credential.index);
                }
                Step::NextKey => tried.history.extra += 1,
                Step::NextCandidate => return Ok(Next::Candidate),
                Step::Answer => {
                    self.queue = self.larger(context, candidate);
                    return Ok(Next::Candidate);
                }
            }
        }
    }

    /// Where a conversation may go that was too long for a candidate: what is configured for it and has not been asked. Nowhere, if that
    /// is not what went wrong last. Whom the route's policy bars is told.
    fn larger(&self, context: &mut Context, candidate: &Candidate) -> VecDeque<Visit<'a>> {
        let too_long = self.exhausted.faults.last().is_some_and(|fault| fault.outcome == Outcome::Fault(FaultKind::ContextLength));
        let route = self.live.snapshot.routes.get(&self.call.asked);
        let mut visits = VecDeque::new();
        for larger in self.live.snapshot.larger_than(candidate).iter().filter(|_| too_long) {
            if !self.call.operation.may_stand_in(candidate, larger) || self.visited.contains(&larger) {
                continue;
            }
            match route.and_then(|route| route.policy.bars(larger)) {
                Some(why) => self.record(context, larger, Mark::skipped(Outcome::Skipped(Skip::Policy), why.word())),
                None => visits.push_back(Visit { candidate: larger, last_resort: false }),
            }
        }
        visits
    }

    /// Takes a place at a bounded provider, waiting for one while the client does.
    async fn enter(&mut self, session: &mut Session, context: &mut Context, candidate: &'a Candidate) -> Result<Option<Permit>, Next> {
        let Some(gate) = self.live.gates.of(candidate.provider.index) else { return Ok(None) };
        let (began, deadline) = (Instant::now(), self.call.clocks.first_byte);
        let mut waiting = Waiting { session, waited: &mut context.outcome.waits.queue };
        let entered = waiting.on(deadline, gate.enter(deadline)).await;
        context.outcome.waited(StageKind::Queue, began);
        match entered {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Err(Interrupt::ClientGone) => Err(Next::End(End::ClientGone)),
            Ok(Err(_)) | Err(Interrupt::Deadline | Interrupt::Stopping) => Err(self.skip(context, candidate, Skip::Busy, None, "busy")),
        }
    }

    /// Chooses a credential, waiting for a stated cool-down where nothing else is left and it ends in time.
    async fn choose(
        &mut self,
        session: &mut Session,
        context: &mut Context,
        visit: Visit<'a>,
        candidate: &'a Candidate,
        tried: &Tried,
    ) -> Result<Chosen, Next> {
        loop {
            let now = Instant::now();
            let last_resort = visit.last_resort || (self.queue.is_empty() && self.call.candidates.len() == 1);
            let ask = self.ask(candidate, tried, last_resort, now);
            match self.live.lanes.select(&ask) {
                Pick::Use { credential, probe, trial } => return Ok(Chosen { credential, _probe: probe, _trial: trial }),
                Pick::Broken => {
                    if !last_resort && tried.credentials.is_empty() {
                        self.queue.push_back(Visit { last_resort: true, ..visit });
                    }
                    return Err(Next::Candidate);
                }
                Pick::Cooling { until, stated: true, in_time: true, .. } if last_resort => {
                    let mut waiting = Waiting { session, waited: &mut context.outcome.waits.queue };
                    let ended = waiting.on(until, std::future::pending::<()>()).await;
                    context.outcome.waited(StageKind::CoolDown, now);
                    if ended == Err(Interrupt::ClientGone) {
                        return Err(Next::End(End::ClientGone));
                    }
                }
                Pick::Cooling { until, stated, overloaded, .. } => {
                    if !last_resort && tried.credentials.is_empty() {
                        self.queue.push_back(Visit { last_resort: true, ..visit });
                        return Err(Next::Candidate);
                    }
                    let skip = if overloaded { Skip::Overloaded } else { Skip::RateLimited };
                    let wait = stated.then(|| until.saturating_duration_since(now));
                    return Err(self.skip(context, candidate, skip, wait, "cooling"));
                }
                Pick::Off | Pick::None if tried.credentials.is_empty() => {
                    return Err(self.skip(context, candidate, Skip::NoCredential, None, "no_credential"));
                }
                Pick::Off | Pick::None => return Err(Next::Candidate),
            }
        }
    }

    /// Gets the access token for an attempt, where the credential is a service account.
    async fn authorise(
        &self,
        session: &mut Session,
        context: &mut Context,
        candidate: &Candidate,
        credential: &Credential,
        tried: &mut Tried,
    ) -> Result<(), Ended> {
        let Some(bearer) = self.live.tokens.of(&candidate.provider, credential) else { return Ok(()) };
        let began = Instant::now();
        let until = self.clocks(candidate, began).header;
        let mut waiting = Waiting { session, waited: &mut context.outcome.waits.upstream };
        let token = waiting.on(until, bearer.token(&self.gateway.pool)).await;
        context.outcome.waited(StageKind::Token, began);
        match token {
            Ok(Ok(token)) => {
                tried.token = Some(token);
                Ok(())
            }
            Ok(Err(denied)) => Err(attempt::no_token(&denied.to_string())),
            Err(Interrupt::ClientGone) => Err(Ended::ClientGone),
            Err(Interrupt::Deadline | Interrupt::Stopping) => Err(attempt::no_token("it did not come in time")),
        }
    }

    /// Whether a failure is a token that the provider refuses: then another is asked for, and the same credential tried again, once.
    fn renew(
        &self,
        context: &mut Context,
        candidate: &Candidate,
        credential: &Credential,
        tried: &mut Tried,
        failure: &Failure,
        times: AttemptTimes,
    ) -> bool {
        let (Some(bearer), Some(token)) = (self.live.tokens.of(&candidate.provider, credential), &tried.token) else { return false };
        if failure.outcome != Outcome::Fault(FaultKind::Authentication) || tried.renewed == Some(credential.index) {
            return false;
        }
        bearer.refused(token);
        tried.renewed = Some(credential.index);
        self.record(context, candidate, Mark::failed(credential, failure, times));
        true
    }

    #[allow(clippy::too_many_arguments, reason = "everything an attempt needs meets here")]
    async fn attempt(
        &mut self,
        session: &mut Session,
        context: &mut Context,
        candidate: &'a Candidate,
        credential: &'a Credential,
        prepared: &Prepared,
        tried: &Tried,
        times: &mut AttemptTimes,
    ) -> pingora::Result<Result<End, Ended>> {
        let head = Outgoing {
            candidate,
            credential,
            token: tried.token.as_ref(),
            path: &prepared.path,
            same_dialect: prepared.same_dialect,
            stream: self.call.stream,
            body_bytes: prepared.translated.body.len_bytes,
            client: &session.req_header().headers,
            trace: Carried::new(&session.req_header().headers, context.trace, times.span, &self.live.snapshot.observability),
        }
        .write();
        let began = Instant::now();
        let attempt = Attempt {
            pool: &self.gateway.pool,
            candidate,
            credential,
            head: &head,
            body: &prepared.translated.body,
            same_dialect: prepared.same_dialect,
            fresh: tried.history.replayed,
            upgrade: false,
            clocks: self.clocks(candidate, began),
        };
        let content_bytes = self.live.snapshot.observability.content_bytes;
        let pump = self.call.stream.then(|| Box::new(pump(self.call, candidate, tried.secret(credential), prepared, content_bytes)));
        let used = Used { provider: &candidate.provider, credential: credential.index, model: &candidate.model };
        let _busy = self.live.lanes.enter(&used);
        let waiting = Waiting { session, waited: &mut context.outcome.waits.upstream };
        if let Some((fault, until)) = self.live.lanes.drilled(&used) {
            times.drill = true;
            return Ok(Err(drill::fail(fault, until, candidate, attempt.clocks, waiting).await));
        }
        // In a box: a stream would else hold its room to the end.
        let ready = match Box::pin(attempt.run(waiting, pump, times)).await {
            Ok(ready) => ready,
            Err(ended) => return Ok(Err(ended)),
        };
        let terms = commit::Terms {
            candidate,
            names: &prepared.translated.names,
            reply: &prepared.reply,
            operation: self.call.operation,
            wanted: prepared.wanted.as_ref(),
            same_dialect: prepared.same_dialect,
            stream: self.call.stream,
            total: self.call.clocks.total,
            content_bytes,
        };
        let ready = match commit::inspect(ready, terms) {
            Ok(ready) => ready,
            Err(ended) => return Ok(Err(ended)),
        };
        self.live.lanes.success(&used, began, Instant::now());
        self.record(context, candidate, Mark::ok(credential, ready.head().status, *times));
        context.outcome.served_by = Some((candidate.provider.name.clone(), candidate.model.clone()));
        context.outcome.losses.clone_from(&prepared.translated.losses);
        let _open = matches!(ready, attempt::Ready::Stream(_)).then(|| self.gateway.telemetry.stream());
        commit::answer(session, context, ready, terms, &self.gateway.pool).await.map(Ok)
    }

    /// Records a failure, remembers what it says of its credential and model, and decides what is next.
    #[allow(clippy::too_many_arguments, reason = "everything an attempt leaves behind meets here")]
    fn learn(
        &mut self,
        context: &mut Context,
        candidate: &'a Candidate,
        credential: &'a Credential,
        tried: &mut Tried,
        mut failure: Failure,
        times: AttemptTimes,
        same_dialect: bool,
    ) -> Step {
        let (began, now) = (times.began, Instant::now());
        redact::failure(&mut failure, tried.secret(credential));
        let fault = failure.attempt_fault();
        self.record(context, candidate, Mark::failed(credential, &failure, times));
        log::info!(
            "{} {}/{} with {}: {}: {}",
            context.request_id,
            candidate.provider.name,
            self.gateway.telemetry.clean(&redact::line(&candidate.model)),
            credential.name,
            failure.status.map_or_else(|| failure.outcome.label().to_owned(), |status| status.to_string()),
            redact::line(failure.for_log())
        );
        let used = Used { provider: &candidate.provider, credential: credential.index, model: &candidate.model };
        if let Some(cooldown) = verdict::cooldown(&fault) {
            self.live.lanes.cool(&used, cooldown, fastrand::f64(), now);
            self.gateway.telemetry.cooldown(&candidate.provider.name, &credential.name, fault.outcome.label());
        }
        let fair = Duration::from_millis(candidate.provider.breaker.fair_ms);
        if let Some(blame) = verdict::blame(fault.outcome, now.saturating_duration_since(began), candidate.timeouts, fair) {
            self.live.lanes.blame(&used, blame, began, now);
        }
        if !tried.credentials.contains(&credential.index) {
            tried.credentials.push(credential.index);
        }
        if fault.outcome.scope() == verdict::Scope::Host {
            tried.failed_hosts.push(credential.index);
        }
        let ask = self.ask(candidate, tried, self.queue.is_empty(), now);
        let left = Left { candidates: !self.queue.is_empty(), keys: self.live.lanes.left(&ask) };
        let too_late = now >= self.call.clocks.first_byte;
        let outcome = if too_late { Outcome::Timeout(Phase::Total) } else { fault.outcome };
        let step = verdict::next(outcome, tried.history, candidate.provider.retry, left);
        if matches!(step, Step::SameKey { replay: true, .. }) {
            // The pool's staleness says nothing of the provider: what the replay brings is the attempt that counts.
            return step;
        }
        self.exhausted.faults.push(AttemptFault { outcome, ..fault });
        self.exhausted.last = Some(failure);
        self.exhausted.last_same_dialect = same_dialect;
        if !verdict::is_repeat(outcome, step, left) || self.live.lanes.may_repeat(&candidate.provider, now) {
            return step;
        }
        self.skip(context, candidate, Skip::RetryBudget, None, "retry_budget");
        verdict::next(outcome, tried.history, Retry { max_retries: Some(0), ..candidate.provider.retry }, left)
    }

    fn ask<'t>(&self, candidate: &'t Candidate, tried: &'t Tried, last_resort: bool, now: Instant) -> Ask<'t> {
        Ask {
            provider: &candidate.provider,
            model: &candidate.model,
            tried: &tried.credentials,
            failed_hosts: &tried.failed_hosts,
            first: tried.credentials.is_empty(),
            last_resort,
            now,
            deadline: self.call.clocks.first_byte,
        }
    }

    fn clocks(&self, candidate: &Candidate, now: Instant) -> AttemptClocks {
        clocks(self.call, candidate, !self.queue.is_empty(), now)
    }

    /// Waits before the same credential is tried again. A wait that would outlast the deadline is none: the candidate is left, since an
    /// attempt after the deadline could only cost the provider.
    async fn back_off(&self, session: &mut Session, context: &mut Context, after_ms_max: u64) -> Result<(), Next> {
        if after_ms_max == 0 {
            return Ok(());
        }
        let began = Instant::now();
        let until = began + Duration::from_millis(fastrand::u64(0..=after_ms_max));
        if until >= self.call.clocks.first_byte {
            return Err(Next::Candidate);
        }
        let mut waiting = Waiting { session, waited: &mut context.outcome.waits.queue };
        let ended = waiting.on(until, std::future::pending::<()>()).await;
        context.outcome.waited(StageKind::BackOff, began);
        match ended {
            Err(Interrupt::ClientGone) => Err(Next::End(End::ClientGone)),
            _ => Ok(()),
        }
    }

    fn skip(&mut self, context: &mut Context, candidate: &Candidate, skip: Skip, wait: Option<Duration>, why: &'static str) -> Next {
        let outcome = Outcome::Skipped(skip);
        self.record(context, candidate, Mark::skipped(outcome, why));
        self.exhausted.faults.push(AttemptFault { outcome, status: None, retry_after: wait });
        Next::Candidate
    }

    fn record(&self, context: &mut Context, candidate: &Candidate, mark: Mark<'_>) {
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
        context.outcome.attempts.push(record);
    }
}

/// In which order the candidates are tried: as asked, but those that cool down come last.
#[must_use]
pub fn order<'a>(call: &'a Call, live: &Live, now: Instant) -> Vec<&'a Candidate> {
    let mut order: Vec<&Candidate> = call.candidates.iter().collect();
    order.sort_by_key(|candidate| live.lanes.is_cool(&candidate.provider, &candidate.model, now));
    order
}

/// The clocks of an attempt. While another candidate is left an attempt may use at most half of what remains of the time to the first byte.
#[must_use]
pub fn clocks(call: &Call, candidate: &Candidate, others: bool, now: Instant) -> AttemptClocks {
    let timeouts = &candidate.timeouts;
    let remaining = call.clocks.first_byte.saturating_duration_since(now);
    let share = now + if others { remaining / 2 } else { remaining };
    let within = |ms: Option<u64>| ms.map_or(share, |ms| share.min(now + Duration::from_millis(ms)));
    let stall = Duration::from_millis(timeouts.stall_ms);
    if !call.stream {
        return AttemptClocks { header: within(timeouts.header_ms), first_content: share, stall, slow_stream: None };
    }
    let content = call.clocks.first_content.unwrap_or(Duration::from_millis(timeouts.first_content_ms));
    let header = within(Some(timeouts.header_ms.unwrap_or(crate::config::Timeouts::STREAM_HEADER_MS)));
    // A slow answer is better than none.
    let slow_stream = timeouts.slow_stream.filter(|_| others);
    AttemptClocks { header: header.min(now + content), first_content: share.min(now + content), stall, slow_stream }
}

fn pump(call: &Call, candidate: &Candidate, secret: &Secret, prepared: &Prepared, content_bytes: Option<usize>) -> Pump {
    let reader = candidate.speech().dialect.chat_stream(prepared.translated.names.clone());
    let writer = (!prepared.same_dialect).then(|| call.operation.client.stream_writer(prepared.reply.clone()));
    Pump::new(reader, writer, secret.clone()).capturing(content_bytes)
}

impl Tried {
    /// What the attempt under way is signed with.
    fn secret<'t>(&'t self, credential: &'t Credential) -> &'t Secret {
        self.token.as_ref().unwrap_or(&credential.secret)
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

    /// What the verdict works on.
    #[must_use]
    pub fn attempt_fault(&self) -> AttemptFault {
        AttemptFault { outcome: self.outcome, status: self.status, retry_after: self.retry_after }
    }
}

impl<'m> Mark<'m> {
    fn ok(credential: &'m Credential, status: u16, times: AttemptTimes) -> Self {
        Self { credential: &credential.name, status: Some(status), outcome: "ok", blame: None, skipped: None, times }
    }

    fn failed(credential: &'m Credential, failure: &Failure, times: AttemptTimes) -> Self {
        let (outcome, blame) = (failure.outcome.label(), Some(blame(failure.outcome)));
        Self { credential: &credential.name, status: failure.status, outcome, blame, skipped: None, times }
    }

    fn client_gone(credential: &'m Credential, times: AttemptTimes) -> Self {
        let (outcome, blame) = ("client_gone", Some(Blame::Client));
        Self { credential: &credential.name, status: None, outcome, blame, skipped: None, times }
    }

    fn skipped(outcome: Outcome, why: &'static str) -> Self {
        let times = AttemptTimes::begin(Instant::now());
        Self { credential: "", status: None, outcome: outcome.label(), blame: Some(blame(outcome)), skipped: Some(why), times }
    }
}

/// Whose fault a failure was, as far as one attempt can tell.
#[must_use]
pub fn blame(outcome: Outcome) -> Blame {
    match outcome {
        Outcome::Skipped(Skip::Busy | Skip::NoCredential | Skip::Policy) | Outcome::Token | Outcome::Fault(FaultKind::Authentication) => {
            Blame::Gateway
        }
        Outcome::Skipped(Skip::Unfit) => Blame::Client,
        _ if outcome.scope() == verdict::Scope::Request => Blame::Client,
        _ => Blame::Provider,
    }
}
