//! One attempt, from the choice of its credential to the client's answer or to what went wrong.

use std::time::Instant;

use crate::proxy::session::Session;

use super::record::Mark;
use super::{End, Failover, Tried, clocks};
use crate::config::{Candidate, Credential};
use crate::proxy::attempt::{Attempt, AttemptClocks, Ended, Ready, Waiting};
use crate::proxy::context::Context;
use crate::proxy::outgoing::Outgoing;
use crate::proxy::prepare::Prepared;
use crate::proxy::propagate::Carried;
use crate::proxy::pump::Pump;
use crate::proxy::{commit, drill};
use crate::telemetry::event::AttemptTimes;
use crate::upstream::select::Used;

/// What an attempt is made of.
#[derive(Clone, Copy)]
pub(super) struct Once<'t> {
    pub(super) candidate: &'t Candidate,
    pub(super) credential: &'t Credential,
    pub(super) prepared: &'t Prepared,
    pub(super) tried: &'t Tried,
}

impl Failover<'_> {
    /// Makes one attempt, and answers the client if it succeeds.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub(super) async fn attempt(
        &self,
        session: &mut Session<'_>,
        context: &mut Context,
        once: Once<'_>,
        times: &mut AttemptTimes,
    ) -> pingora::Result<Result<End, Ended>> {
        let Once { candidate, credential, prepared, tried } = once;
        let head = self.head(session, context, once, times);
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
            others: !self.queue.is_empty(),
            clocks: self.clocks(candidate, began),
        };
        let pump = self.call.stream.then(|| Box::new(self.pump(once)));
        let used = once.used();
        let _busy = self.live.lanes.enter(&used);
        let waiting = Waiting { session, waited: &mut context.outcome.waits.upstream };
        if let Some((fault, until)) = self.live.lanes.drilled(&used) {
            times.drill = true;
            return Ok(Err(drill::fail(fault, until, candidate, attempt.clocks, waiting).await));
        }
        let terms = self.terms(once);
        // In a box: a stream would else hold its room to the end.
        let ready = match Box::pin(attempt.run(waiting, pump, times)).await.and_then(|ready| commit::inspect(ready, terms)) {
            Ok(ready) => ready,
            Err(ended) => return Ok(Err(ended)),
        };
        self.live.lanes.success(&used, began, Instant::now());
        self.record(context, candidate, Mark::ok(credential, ready.head().status, *times));
        context.outcome.served_by = Some((candidate.provider.name.clone(), candidate.model.clone()));
        context.outcome.losses.clone_from(&prepared.translated.losses);
        let _open = matches!(ready, Ready::Stream(_)).then(|| self.gateway.telemetry.stream());
        commit::answer(session, context, ready, terms, &self.gateway.pool).await.map(Ok)
    }

    pub(super) fn clocks(&self, candidate: &Candidate, now: Instant) -> AttemptClocks {
        clocks(self.call, candidate, !self.queue.is_empty(), now)
    }

    /// The head on the wire.
    fn head(&self, session: &Session<'_>, context: &Context, once: Once<'_>, times: &AttemptTimes) -> Vec<u8> {
        let client = &session.req_header().headers;
        Outgoing {
            candidate: once.candidate,
            credential: once.credential,
            token: once.tried.token.as_ref(),
            path: &once.prepared.path,
            same_dialect: once.prepared.same_dialect,
            stream: self.call.stream,
            body_bytes: once.prepared.translated.body.len_bytes,
            client,
            trace: Carried::new(client, context.trace, times.span, &self.live.snapshot.observability),
        }
        .write()
    }

    /// What reads the answer's stream.
    fn pump(&self, once: Once<'_>) -> Pump {
        let Once { candidate, credential, prepared, tried } = once;
        let reader = candidate.speech().dialect.chat_stream(prepared.translated.names.clone());
        let writer = (!prepared.same_dialect).then(|| self.call.operation.client.stream_writer(prepared.reply.clone()));
        Pump::new(reader, writer, tried.secret(credential).clone()).capturing(self.live.snapshot.observability.content_bytes)
    }

    fn terms<'t>(&self, once: Once<'t>) -> commit::Terms<'t> {
        commit::Terms {
            candidate: once.candidate,
            names: &once.prepared.translated.names,
            reply: &once.prepared.reply,
            operation: self.call.operation,
            wanted: once.prepared.wanted.as_ref(),
            same_dialect: once.prepared.same_dialect,
            stream: self.call.stream,
            others: !self.queue.is_empty(),
            total: self.call.clocks.total,
            content_bytes: self.live.snapshot.observability.content_bytes,
        }
    }
}

impl<'t> Once<'t> {
    fn used(self) -> Used<'t> {
        Used { provider: &self.candidate.provider, credential: self.credential.index, model: &self.candidate.model }
    }
}
