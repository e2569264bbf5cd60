//! The loop of attempts: over candidates, over credentials, until one answer may be committed or nothing is left.

mod clocks;
mod credential;
mod hedge;
mod larger;
mod learn;
mod once;
mod record;
mod wait;

use std::collections::VecDeque;
use std::time::Instant;

use heliostat_filters::refusal::{Refusal, RefusalScope};

pub use self::clocks::clocks;
use self::hedge::Failed;
pub use self::hedge::spare;
pub use self::larger::larger;
use self::learn::Lesson;
use self::once::{Settled, Target};
use self::record::Mark;
pub use self::record::blame;
use super::Gateway;
use super::attempt::{Ended, Failure, Interrupt};
use super::context::{Call, Context};
use super::prepare::{Prepared, Translator};
use crate::config::{Candidate, Credential, Secret};
use crate::live::Live;
use crate::proxy::session::Session;
use crate::telemetry::event::AttemptTimes;
use crate::upstream::breaker::Trial;
use crate::upstream::health::Probe;
use crate::upstream::limit::Permit;
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
    /// Hedges that failed at candidates whose turn has not come.
    hedges: Vec<Failed<'a>>,
    exhausted: Exhausted,
}

/// A candidate to be tried.
#[derive(Debug, Clone, Copy)]
struct Visit<'a> {
    candidate: &'a Candidate,
    /// Nothing else is left: what cools down may be probed, or waited for.
    last_resort: bool,
}

/// What has been done at one candidate, and what is held there.
#[derive(Debug, Default)]
struct Tried {
    credentials: Vec<usize>,
    failed_hosts: Vec<usize>,
    history: History,
    /// The access token of the attempt under way.
    token: Option<Secret>,
    /// The credential whose token was renewed because the provider refused it: that helps once.
    renewed: Option<usize>,
    /// The place of the attempt under way, where their number is bounded.
    permit: Option<Permit>,
}

/// A credential chosen for an attempt, and what it holds of probes.
struct Chosen {
    credential: usize,
    /// Dropped when the outcome has been reported.
    probe: Option<Probe>,
    trial: Option<Trial>,
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
            hedges: Vec::new(),
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
            match self.visit(session, context, visit, &prepared).await? {
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
        prepared: &Prepared,
    ) -> pingora::Result<Next> {
        let candidate = visit.candidate;
        let (mut tried, mut again) = match self.resume(session, context, candidate) {
            None => Default::default(),
            Some(resumed) => match resumed.await {
                Ok(resumed) => resumed,
                Err(next) => return Ok(next),
            },
        };
        tried.permit = match self.enter(session, context, candidate).await {
            Ok(permit) => permit,
            Err(next) => return Ok(next),
        };
        loop {
            let chosen = match again.take() {
                Some(credential) => Chosen { credential, probe: None, trial: None },
                None => match self.choose(session, context, visit, candidate, &tried).await {
                    Ok(chosen) => chosen,
                    Err(next) => return Ok(next),
                },
            };
            let Some(credential) = candidate.provider.credentials.get(chosen.credential) else { return Ok(Next::Candidate) };
            let target = Target { candidate, credential, prepared };
            let mut times = AttemptTimes::begin(Instant::now());
            tried.token = None;
            let settled = match Box::pin(self.authorise(session, context, candidate, credential, &mut tried)).await {
                Ok(()) => self.attempt(session, context, target, (&chosen, &mut tried), &mut times).await?,
                // Nothing has been asked of the provider: no attempt was made.
                Err(Ended::ClientGone) => return Ok(Next::End(End::ClientGone)),
                Err(ended) => Settled::Ended(ended),
            };
            let lesson = match settled {
                Settled::End(end) => return Ok(Next::End(end)),
                Settled::Ended(Ended::ClientGone) => {
                    self.record(context, candidate, Mark::client_gone(credential, times));
                    return Ok(Next::End(End::ClientGone));
                }
                Settled::Ended(Ended::Failed(failure)) => self.learn(context, target, &mut tried, failure, times),
                Settled::Learnt(lesson) => lesson,
            };
            drop(chosen);
            match self.go_on(session, context, candidate, &mut tried, credential.index, lesson).await {
                Ok(known) => again = known,
                Err(next) => return Ok(next),
            }
        }
    }

    /// Does what follows from a failure, up to the next attempt at the same candidate: with which credential, where that is certain.
    async fn go_on(
        &mut self,
        session: &mut Session<'_>,
        context: &mut Context,
        candidate: &'a Candidate,
        tried: &mut Tried,
        credential: usize,
        lesson: Option<Lesson>,
    ) -> Result<Option<usize>, Next> {
        // With a new token.
        let Some(lesson) = lesson else { return Ok(Some(credential)) };
        match self.decide(context, candidate, tried, lesson) {
            Step::SameKey { after_ms_max, replay } => {
                self.back_off(session, context, after_ms_max).await?;
                tried.history.extra += u32::from(!replay);
                tried.history.replayed |= replay;
                Ok(Some(credential))
            }
            Step::NextKey => {
                tried.history.extra += 1;
                Ok(None)
            }
            Step::NextCandidate => Err(Next::Candidate),
            Step::Answer => {
                self.queue = self.onto_larger(context, candidate);
                Err(Next::Candidate)
            }
        }
    }
}

/// In which order the candidates are tried: as asked, but those that cool down come last.
#[must_use]
pub fn order<'a>(call: &'a Call, live: &Live, now: Instant) -> Vec<&'a Candidate> {
    let mut order: Vec<&Candidate> = call.candidates.iter().collect();
    order.sort_by_key(|candidate| live.lanes.is_cool(&candidate.provider, &candidate.model, now));
    order
}

impl Tried {
    /// What the attempt under way is signed with.
    fn secret<'t>(&'t self, credential: &'t Credential) -> &'t Secret {
        self.token.as_ref().unwrap_or(&credential.secret)
    }
}
