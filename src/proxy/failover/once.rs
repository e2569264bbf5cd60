//! One attempt, from the choice of its credential to the client's answer or to what went wrong.

use std::time::Instant;

use super::learn::Lesson;
use super::record::Mark;
use super::{Chosen, End, Failover, Tried, clocks};
use crate::config::{Candidate, Credential, Hedge};
use crate::proxy::attempt::{Attempt, AttemptClocks, Ended, Ready, Waiting};
use crate::proxy::context::Context;
use crate::proxy::outgoing::Outgoing;
use crate::proxy::prepare::Prepared;
use crate::proxy::propagate::Carried;
use crate::proxy::pump::Pump;
use crate::proxy::session::Session;
use crate::proxy::{commit, drill};
use crate::telemetry::StreamOpen;
use crate::telemetry::event::AttemptTimes;
use crate::upstream::intervention::DrillFault;
use crate::upstream::pace::Busy;
use crate::upstream::pool::Pool;
use crate::upstream::select::Used;

/// What is asked, of whom, with which credential.
#[derive(Clone, Copy)]
pub(super) struct Target<'t> {
    pub(super) candidate: &'t Candidate,
    pub(super) credential: &'t Credential,
    pub(super) prepared: &'t Prepared,
}

/// An attempt before it is made.
pub(super) struct Made<'t> {
    target: Target<'t>,
    pool: &'t Pool,
    began: Instant,
    head: Vec<u8>,
    /// Never a pooled connection.
    fresh: bool,
    clocks: AttemptClocks,
    pub(super) terms: commit::Terms<'t>,
    pump: Option<Box<Pump>>,
    drill: Option<(DrillFault, Instant)>,
    times: &'t mut AttemptTimes,
    /// Under way, until dropped.
    busy: Option<Busy>,
}

/// An attempt that has come to its end.
pub(super) struct Ran {
    pub(super) ended: Result<Ready, Ended>,
    pub(super) times: AttemptTimes,
    pub(super) began: Instant,
    /// Under way, until dropped.
    pub(super) busy: Option<Busy>,
}

/// What an attempt came to.
pub(super) enum Settled {
    /// The request is over.
    End(End),
    /// Nothing: the client has seen nothing of it.
    Ended(Ended),
    /// The same, and it has been learnt from already.
    Learnt(Option<Lesson>),
}

impl Failover<'_> {
    /// Makes one attempt, or two side by side, and answers the client if one succeeds.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub(super) async fn attempt(
        &mut self,
        session: &mut Session<'_>,
        context: &mut Context,
        target: Target<'_>,
        (chosen, tried): (&Chosen, &mut Tried),
        times: &mut AttemptTimes,
    ) -> pingora::Result<Settled> {
        if let Some(hedge) = self.hedge(target.candidate, chosen) {
            // In a box: only those who hedge need that room.
            return Box::pin(self.race(session, context, target, tried, times, hedge)).await;
        }
        let mut made = self.make(session, context, target, tried, !self.queue.is_empty(), times);
        let waiting = Waiting { client: Some(session), waited: &mut context.outcome.waits.upstream };
        // In a box: a stream would else hold its room to the end.
        let ready = match Box::pin(made.end(waiting)).await {
            Ok(ready) => ready,
            Err(ended) => return Ok(Settled::Ended(ended)),
        };
        let _open = self.succeeded(context, target, &ready, (made.began, *made.times));
        commit::answer(session, context, ready, made.terms, &self.gateway.pool).await.map(Settled::End)
    }

    /// How an attempt with this credential is hedged, if it is. Never one that tries out what has failed: its outcome is wanted. Nor a
    /// request whose answer is stored, or worked at in the background.
    fn hedge(&self, candidate: &Candidate, chosen: &Chosen) -> Option<Hedge> {
        let hedge = candidate.timeouts.hedge?;
        let tries_out = chosen.probe.is_some() || chosen.trial.is_some();
        (!tries_out && !self.call.operation.client.is_stored(&self.call.document)).then_some(hedge)
    }

    /// Notes who answers. What is returned counts a stream as open until it is dropped.
    pub(super) fn succeeded(
        &self,
        context: &mut Context,
        target: Target<'_>,
        ready: &Ready,
        (began, times): (Instant, AttemptTimes),
    ) -> Option<StreamOpen> {
        let Target { candidate, credential, prepared } = target;
        self.live.lanes.success(&target.used(), began, Instant::now());
        self.record(context, candidate, Mark::ok(credential, ready.head().status, times));
        context.outcome.served_by = Some((candidate.provider.name.clone(), candidate.model.clone()));
        context.outcome.losses.clone_from(&prepared.translated.losses);
        matches!(ready, Ready::Stream(_)).then(|| self.gateway.telemetry.stream())
    }

    pub(super) fn clocks(&self, candidate: &Candidate, now: Instant) -> AttemptClocks {
        clocks(self.call, candidate, !self.queue.is_empty(), now)
    }
}

impl<'a> Failover<'a> {
    /// Prepares an attempt. Whether there are `others` to be asked after it bounds its time.
    pub(super) fn make<'t>(
        &self,
        session: &Session<'_>,
        context: &Context,
        target: Target<'t>,
        tried: &Tried,
        others: bool,
        times: &'t mut AttemptTimes,
    ) -> Made<'t>
    where
        'a: 't,
    {
        let head = self.head(session, context, target, tried, times);
        let began = Instant::now();
        let used = target.used();
        Made {
            target,
            pool: &self.gateway.pool,
            began,
            head,
            fresh: tried.history.replayed,
            clocks: clocks(self.call, target.candidate, others, began),
            terms: self.terms(target, others),
            pump: self.call.stream.then(|| Box::new(self.pump(target, tried))),
            drill: self.live.lanes.drilled(&used),
            times,
            busy: self.live.lanes.enter(&used),
        }
    }

    /// The head on the wire.
    fn head(&self, session: &Session<'_>, context: &Context, target: Target<'_>, tried: &Tried, times: &AttemptTimes) -> Vec<u8> {
        let Target { candidate, credential, prepared } = target;
        let client = &session.req_header().headers;
        Outgoing {
            candidate,
            credential,
            token: tried.token.as_ref(),
            path: &prepared.path,
            same_dialect: prepared.same_dialect,
            stream: self.call.stream,
            body_bytes: prepared.translated.body.len_bytes,
            client,
            trace: Carried::new(client, context.trace, times.span, &self.live.snapshot.observability),
        }
        .write()
    }

    /// What reads the answer's stream.
    fn pump(&self, target: Target<'_>, tried: &Tried) -> Pump {
        let Target { candidate, credential, prepared } = target;
        let reader = candidate.speech().dialect.chat_stream(prepared.translated.names.clone());
        let writer = (!prepared.same_dialect).then(|| self.call.operation.client.stream_writer(prepared.reply.clone()));
        Pump::new(reader, writer, tried.secret(credential).clone()).capturing(self.live.snapshot.observability.content_bytes)
    }

    pub(super) fn terms<'t>(&self, target: Target<'t>, others: bool) -> commit::Terms<'t> {
        commit::Terms {
            candidate: target.candidate,
            names: &target.prepared.translated.names,
            reply: &target.prepared.reply,
            operation: self.call.operation,
            wanted: target.prepared.wanted.as_ref(),
            same_dialect: target.prepared.same_dialect,
            stream: self.call.stream,
            others,
            total: self.call.clocks.total,
            content_bytes: self.live.snapshot.observability.content_bytes,
        }
    }
}

impl Made<'_> {
    /// Makes it, up to where its answer may be committed.
    pub(super) async fn run(mut self, waiting: Waiting<'_, '_>) -> Ran {
        let ended = self.end(waiting).await;
        Ran { ended, times: *self.times, began: self.began, busy: self.busy }
    }

    async fn end(&mut self, waiting: Waiting<'_, '_>) -> Result<Ready, Ended> {
        let Target { candidate, credential, prepared } = self.target;
        if let Some((fault, until)) = self.drill {
            self.times.drill = true;
            return Err(drill::fail(fault, until, candidate, self.clocks, waiting).await);
        }
        let attempt = Attempt {
            pool: self.pool,
            candidate,
            credential,
            head: &self.head,
            body: &prepared.translated.body,
            same_dialect: prepared.same_dialect,
            fresh: self.fresh,
            upgrade: false,
            others: self.terms.others,
            clocks: self.clocks,
        };
        let ready = attempt.run(waiting, self.pump.take(), self.times).await?;
        commit::inspect(ready, self.terms)
    }
}

impl<'t> Target<'t> {
    pub(super) fn used(self) -> Used<'t> {
        Used { provider: &self.candidate.provider, credential: self.credential.index, model: &self.candidate.model }
    }
}
