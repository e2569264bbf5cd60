//! A second attempt beside one that is silent. Whichever may be committed first is; the other is given up, and its connection closed.
//!
//! There are never more than two. If one fails, the other goes on as the attempt under way; what the failure says of its key and host is
//! learnt at once. When both have failed, the loop goes on where it was: from the first one's failure, knowing whom the second has asked.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use super::learn::Lesson;
use super::once::{Ran, Settled, Target};
use super::record::Mark;
use super::{End, Failover, Next, Tried, Visit};
use crate::config::{Candidate, Credential, Hedge};
use crate::live::Live;
use crate::proxy::attempt::{Ended, Interrupt, Waiting};
use crate::proxy::commit;
use crate::proxy::context::Context;
use crate::proxy::prepare::Prepared;
use crate::proxy::session::Session;
use crate::telemetry::event::AttemptTimes;
use crate::upstream::select::Ask;
use crate::upstream::verdict::{Outcome, Skip};

/// Each attempt has its own clocks, and none is longer.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);

/// A hedge that failed at a candidate whose turn had not come.
pub(super) struct Failed<'a> {
    candidate: &'a Candidate,
    credential: usize,
    tried: Tried,
    lesson: Option<Lesson>,
}

/// What has been tried at a candidate, and with which credential it is tried again, where that is certain.
type Resumed<'f> = Pin<Box<dyn Future<Output = Result<(Tried, Option<usize>), Next>> + Send + 'f>>;

/// The second attempt: of whom, and what is held there.
struct Second<'a, 't> {
    who: Who<'a, 't>,
    tried: Tried,
}

enum Who<'a, 't> {
    /// The same candidate, which gets the same request, with another credential.
    Same(Target<'t>),
    /// Another, which gets it in its own form.
    Other(&'a Candidate, &'a Credential, Box<Prepared>),
}

/// What came of both.
enum Finish<'a, 't> {
    /// The first one's end is that of both; the second one's is recorded.
    First(Box<Ran>),
    /// The second one answered.
    Second { ran: Box<Ran>, second: Second<'a, 't>, first_failed: bool },
    /// The client left; the second one's end is recorded.
    ClientGone { first_failed: bool },
    /// Neither answered, and both are recorded. What the first one taught.
    Neither(Option<Lesson>),
}

/// Which of two attempts ended.
enum Came {
    First(Ran),
    Second(Ran),
}

impl<'a> Failover<'a> {
    /// Makes an attempt, and another beside it once it has been silent for too long.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub(super) async fn race(
        &mut self,
        session: &mut Session<'_>,
        context: &mut Context,
        first: Target<'_>,
        tried: &mut Tried,
        times: &mut AttemptTimes,
        hedge: Hedge,
    ) -> pingora::Result<Settled> {
        let due = Instant::now() + Duration::from_millis(hedge.after_ms);
        let finish = {
            let made = self.make(session, context, first, tried, !self.queue.is_empty(), times);
            let mut uncounted = Duration::ZERO;
            let mut running = Box::pin(made.run(unwatched(&mut uncounted)));
            match watched(session, context, due, running.as_mut()).await {
                Ok(ran) => Finish::First(Box::new(ran)),
                Err(Interrupt::ClientGone) => Finish::ClientGone { first_failed: false },
                Err(_) => match self.second(context, first, tried, hedge) {
                    // In a box: few attempts come to that.
                    Some(second) => Box::pin(self.both(session, context, (first, tried), running, second)).await,
                    None => alone(session, context, running).await,
                },
            }
        };
        let (ran, second) = match finish {
            Finish::First(ran) => (ran, None),
            Finish::Second { ran, mut second, first_failed } => {
                if !first_failed {
                    self.give_up(context, first, *times);
                }
                // The first one's place is free.
                tried.permit = second.tried.permit.take();
                (ran, Some(second))
            }
            Finish::ClientGone { first_failed: true } => return Ok(Settled::End(End::ClientGone)),
            Finish::ClientGone { first_failed: false } => return Ok(Settled::Ended(Ended::ClientGone)),
            Finish::Neither(lesson) => return Ok(Settled::Learnt(lesson)),
        };
        let target = second.as_ref().map_or(first, Second::target);
        let Ran { ended, times, began, busy: _busy } = *ran;
        let ready = match ended {
            Ok(ready) => ready,
            Err(ended) => return Ok(Settled::Ended(ended)),
        };
        let _open = self.succeeded(context, target, &ready, (began, times));
        commit::answer(session, context, ready, self.terms(target, false), &self.gateway.pool).await.map(Settled::End)
    }

    /// Makes the second attempt beside the first, which is running.
    async fn both<'t>(
        &mut self,
        session: &mut Session<'_>,
        context: &mut Context,
        (first, tried): (Target<'t>, &mut Tried),
        mut running: Pin<Box<impl Future<Output = Ran>>>,
        second: Second<'a, 't>,
    ) -> Finish<'a, 't>
    where
        'a: 't,
    {
        let mut times = AttemptTimes { hedge: true, ..AttemptTimes::begin(Instant::now()) };
        let target = second.target();
        let others = self.queue.len() > usize::from(matches!(second.who, Who::Other(..)));
        let mut made = self.make(session, context, target, &second.tried, others, &mut times);
        // The first one is left: an answer that says nothing is not taken.
        made.terms.others = true;
        let mut uncounted = Duration::ZERO;
        let mut beside = Box::pin(made.run(unwatched(&mut uncounted)));
        let came = watched(session, context, for_ever(), pin!(either(running.as_mut(), beside.as_mut()))).await;
        let lesson = match came {
            Ok(Came::First(Ran { ended: Err(ended), times, .. })) => {
                ended.failure().and_then(|failure| self.learn(context, first, tried, failure, times))
            }
            Ok(Came::First(ran)) => {
                drop(beside);
                self.give_up(context, target, times);
                return Finish::First(Box::new(ran));
            }
            Ok(Came::Second(ran)) => {
                drop(beside);
                let Err(ended) = ran.ended else { return Finish::Second { ran: Box::new(ran), second, first_failed: false } };
                self.learn_of(context, (second, times), tried, ended);
                return alone(session, context, running).await;
            }
            Err(_) => {
                drop(beside);
                self.record(context, target.candidate, Mark::client_gone(target.credential, times));
                return Finish::ClientGone { first_failed: false };
            }
        };
        drop(running);
        let ran = watched(session, context, for_ever(), beside.as_mut()).await;
        drop(beside);
        match ran {
            Ok(Ran { ended: Err(ended), .. }) => {
                self.learn_of(context, (second, times), tried, ended);
                Finish::Neither(lesson)
            }
            Ok(ran) => Finish::Second { ran: Box::new(ran), second, first_failed: true },
            Err(_) => {
                self.record(context, target.candidate, Mark::client_gone(target.credential, times));
                Finish::ClientGone { first_failed: true }
            }
        }
    }

    /// Whom a second attempt is made of, if it may be.
    fn second<'t>(&mut self, context: &mut Context, first: Target<'t>, tried: &mut Tried, hedge: Hedge) -> Option<Second<'a, 't>>
    where
        'a: 't,
    {
        let now = Instant::now();
        let second = self.same(first, tried, now).or_else(|| self.other(&context.request_id, now))?;
        if !self.live.lanes.may_hedge(&first.candidate.provider, hedge, now) {
            self.record(context, first.candidate, Mark::skipped(Outcome::Skipped(Skip::HedgeBudget), "hedge_budget"));
            return None;
        }
        if let Who::Same(target) = second.who {
            tried.credentials.extend([first.credential.index, target.credential.index]);
            tried.history.extra += 1;
        }
        Some(second)
    }

    /// The same candidate with another credential.
    fn same<'t>(&self, first: Target<'t>, tried: &Tried, now: Instant) -> Option<Second<'a, 't>> {
        let asked: Vec<usize> = tried.credentials.iter().copied().chain([first.credential.index]).collect();
        let credential = spare(self.live, first.candidate, &asked, &tried.failed_hosts, now)?;
        let tried = self.at_once(first.candidate, credential)?;
        Some(Second { who: Who::Same(Target { credential, ..first }), tried })
    }

    /// The first candidate in the queue that can be asked at once and gets the request without anything being fetched.
    fn other<'t>(&mut self, request_id: &str, now: Instant) -> Option<Second<'a, 't>> {
        let live = self.live;
        let fit: Vec<Visit<'a>> = self.queue.iter().copied().filter(|visit| !self.is_hedged(visit.candidate)).collect();
        fit.into_iter().find_map(|Visit { candidate, .. }| {
            let credential = spare(live, candidate, &[], &[], now)?;
            let prepared = self.translator.prepare(candidate, request_id).ok()?;
            let tried = self.at_once(candidate, credential)?;
            Some(Second { who: Who::Other(candidate, credential, Box::new(prepared)), tried })
        })
    }

    /// What an attempt needs beside a credential, a place and a token, if it can be had without waiting.
    fn at_once(&self, candidate: &Candidate, credential: &Credential) -> Option<Tried> {
        let token = match self.live.tokens.of(&candidate.provider, credential) {
            Some(bearer) => Some(bearer.at_hand()?),
            None => None,
        };
        let permit = match self.live.gates.of(candidate.provider.index) {
            Some(gate) => Some(gate.try_enter()?),
            None => None,
        };
        Some(Tried { token, permit, ..Tried::default() })
    }

    fn is_hedged(&self, candidate: &Candidate) -> bool {
        self.hedges.iter().any(|failed| failed.candidate == candidate)
    }

    /// Goes on from a hedge that failed at a candidate, now that its turn has come; `None` where there was none.
    pub(super) fn resume<'f>(
        &'f mut self,
        session: &'f mut Session<'_>,
        context: &'f mut Context,
        candidate: &'a Candidate,
    ) -> Option<Resumed<'f>> {
        let at = self.hedges.iter().position(|failed| failed.candidate == candidate)?;
        let Failed { mut tried, credential, lesson, .. } = self.hedges.swap_remove(at);
        Some(Box::pin(async move {
            let again = self.go_on(session, context, candidate, &mut tried, credential, lesson).await?;
            Ok((tried, again))
        }))
    }

    /// An attempt is given up since the other of the two was quicker.
    fn give_up(&self, context: &mut Context, target: Target<'_>, times: AttemptTimes) {
        self.live.lanes.outpaced(&target.used(), times.began.elapsed());
        self.record(context, target.candidate, Mark::hedged(target.credential, times));
    }

    /// The second attempt failed. Whatever that says of its candidate is known from here on.
    fn learn_of(&mut self, context: &mut Context, (second, times): (Second<'a, '_>, AttemptTimes), tried: &mut Tried, ended: Ended) {
        let Some(failure) = ended.failure() else { return };
        let Second { who, tried: mut asked } = second;
        asked.permit = None;
        match who {
            Who::Same(target) => {
                let lesson = self.learn(context, target, &mut asked, failure, times);
                tried.failed_hosts.append(&mut asked.failed_hosts);
                lesson.into_iter().for_each(|lesson| self.keep(lesson));
            }
            Who::Other(candidate, credential, prepared) => {
                let target = Target { candidate, credential, prepared: &prepared };
                let lesson = self.learn(context, target, &mut asked, failure, times);
                self.hedges.push(Failed { candidate, credential: credential.index, tried: asked, lesson });
            }
        }
    }
}

impl<'t> Second<'_, 't> {
    fn target<'s>(&'s self) -> Target<'s>
    where
        't: 's,
    {
        match &self.who {
            Who::Same(target) => *target,
            Who::Other(candidate, credential, prepared) => Target { candidate, credential, prepared },
        }
    }
}

/// The credential with which a candidate would be asked beside those `tried` of it: one that nothing speaks against.
pub fn spare<'c>(live: &Live, candidate: &'c Candidate, tried: &[usize], failed_hosts: &[usize], now: Instant) -> Option<&'c Credential> {
    let (provider, model) = (&*candidate.provider, &*candidate.model);
    let ask = Ask { provider, model, tried, failed_hosts, first: false, last_resort: false, now, deadline: now };
    candidate.provider.credentials.get(live.lanes.spare(&ask)?)
}

/// The client is watched, and the time counted, around both attempts.
fn unwatched(uncounted: &mut Duration) -> Waiting<'_, 'static> {
    Waiting { client: None, waited: uncounted }
}

async fn watched<T>(
    session: &mut Session<'_>,
    context: &mut Context,
    until: Instant,
    ends: impl Future<Output = T>,
) -> Result<T, Interrupt> {
    Waiting { client: Some(session), waited: &mut context.outcome.waits.upstream }.on(until, ends).await
}

/// Waits for the first attempt when there is no second one, or none any more.
async fn alone<'a, 't>(session: &mut Session<'_>, context: &mut Context, running: impl Future<Output = Ran>) -> Finish<'a, 't> {
    match watched(session, context, for_ever(), running).await {
        Ok(ran) => Finish::First(Box::new(ran)),
        Err(_) => Finish::ClientGone { first_failed: false },
    }
}

async fn either(first: impl Future<Output = Ran>, second: impl Future<Output = Ran>) -> Came {
    tokio::select! {
        biased;
        ran = first => Came::First(ran),
        ran = second => Came::Second(ran),
    }
}

fn for_ever() -> Instant {
    Instant::now() + FOR_EVER
}
