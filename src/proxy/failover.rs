//! The loop of attempts: over candidates, over credentials, until one answer may be committed or nothing is left.

mod clocks;
mod credential;
mod learn;
mod once;
mod record;
mod wait;

use std::collections::VecDeque;
use std::time::Instant;

use crate::proxy::session::Session;
use heliostat_filters::fault::FaultKind;
use heliostat_filters::refusal::{Refusal, RefusalScope};

pub use self::clocks::clocks;
use self::once::Once;
use self::record::Mark;
pub use self::record::blame;
use super::Gateway;
use super::attempt::{Ended, Failure, Interrupt};
use super::context::{Call, Context};
use super::prepare::{Prepared, Translator};
use crate::config::{Barred, Candidate, Credential, Secret};
use crate::live::Live;
use crate::telemetry::event::AttemptTimes;
use crate::upstream::breaker::Trial;
use crate::upstream::health::Probe;
use crate::upstream::verdict::{self, AttemptFault, History, Outcome, Phase, Skip, Step};

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
    pub async fn run(&mut self, session: &mut Session<'_>, context: &mut Context) -> pingora::Result<End> {
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

    /// Tries one candidate with as many credentials as its faults allow.
    async fn visit(
        &mut self,
        session: &mut Session<'_>,
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
                Ok(()) => self.attempt(session, context, Once { candidate, credential, prepared, tried: &tried }, &mut times).await?,
                // Nothing has been asked of the provider: no attempt was made.
                Err(Ended::ClientGone) => return Ok(Next::End(End::ClientGone)),
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
                    self.queue = self.onto_larger(context, candidate);
                    return Ok(Next::Candidate);
                }
            }
        }
    }

    /// Where a conversation may go that was too long for a candidate: what is configured for it and has not been asked. Nowhere, if that
    /// is not what went wrong last. Whom the route's policy bars is told.
    fn onto_larger(&self, context: &mut Context, candidate: &'a Candidate) -> VecDeque<Visit<'a>> {
        let too_long = self.exhausted.faults.last().is_some_and(|fault| fault.outcome == Outcome::Fault(FaultKind::ContextLength));
        let mut visits = VecDeque::new();
        for (larger, barred) in larger(self.call, self.live, candidate).filter(|_| too_long) {
            if self.visited.contains(&larger) {
                continue;
            }
            match barred {
                Some(why) => self.record(context, larger, Mark::skipped(Outcome::Skipped(Skip::Policy), why.word())),
                None => visits.push_back(Visit { candidate: larger, last_resort: false }),
            }
        }
        visits
    }
}

/// In which order the candidates are tried: as asked, but those that cool down come last.
#[must_use]
pub fn order<'a>(call: &'a Call, live: &Live, now: Instant) -> Vec<&'a Candidate> {
    let mut order: Vec<&Candidate> = call.candidates.iter().collect();
    order.sort_by_key(|candidate| live.lanes.is_cool(&candidate.provider, &candidate.model, now));
    order
}

/// Where a conversation may go that is too long for a candidate, each with what the route's policy says against it.
pub fn larger<'a>(call: &'a Call, live: &'a Live, candidate: &'a Candidate) -> impl Iterator<Item = (&'a Candidate, Option<Barred>)> {
    let route = live.snapshot.routes.get(&call.asked);
    let all = live.snapshot.larger_than(candidate).iter().filter(|larger| call.operation.may_stand_in(candidate, larger));
    all.map(move |larger| (larger, route.and_then(|route| route.policy.bars(larger))))
}

impl Tried {
    /// What the attempt under way is signed with.
    fn secret<'t>(&'t self, credential: &'t Credential) -> &'t Secret {
        self.token.as_ref().unwrap_or(&credential.secret)
    }
}
