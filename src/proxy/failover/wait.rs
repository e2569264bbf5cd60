//! What a request waits for beside providers: its images, a place, a pause. A client that leaves ends each.

use std::time::{Duration, Instant};

use super::{End, Failover, Next};
use crate::config::Candidate;
use crate::proxy::attempt::{Interrupt, Waiting};
use crate::proxy::context::Context;
use crate::proxy::session::Session;
use crate::telemetry::event::StageKind;
use crate::upstream::limit::Permit;
use crate::upstream::verdict::Skip;

impl<'a> Failover<'a> {
    /// Fetches what the candidate needs inline. While another candidate is left it may take half of the time to the first byte.
    pub(super) async fn fetch_images(
        &mut self,
        session: &mut Session<'_>,
        context: &mut Context,
        candidate: &Candidate,
    ) -> Result<(), Interrupt> {
        let now = Instant::now();
        let remaining = self.call.clocks.first_byte.saturating_duration_since(now);
        let deadline = now + if self.queue.is_empty() { remaining } else { remaining / 2 };
        let Some(fetch) = self.translator.images.missing(candidate, self.gateway, deadline) else { return Ok(()) };
        let mut waiting = Waiting { client: Some(session), waited: &mut context.outcome.waits.image_fetch };
        let found = waiting.on(self.call.clocks.total, fetch).await;
        context.outcome.waited(StageKind::ImageFetch, now);
        let found = found?;
        self.translator.images.learn(found, &self.gateway.telemetry.clean(&context.request_id));
        Ok(())
    }

    /// Takes a place at a bounded provider, waiting for one while the client does.
    pub(super) async fn enter(
        &mut self,
        session: &mut Session<'_>,
        context: &mut Context,
        candidate: &'a Candidate,
    ) -> Result<Option<Permit>, Next> {
        let Some(gate) = self.live.gates.of(candidate.provider.index) else { return Ok(None) };
        let (began, deadline) = (Instant::now(), self.call.clocks.first_byte);
        let mut waiting = Waiting { client: Some(session), waited: &mut context.outcome.waits.queue };
        let entered = waiting.on(deadline, gate.enter(deadline)).await;
        context.outcome.waited(StageKind::Queue, began);
        match entered {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Err(Interrupt::ClientGone) => Err(Next::End(End::ClientGone)),
            Ok(Err(_)) | Err(Interrupt::Deadline | Interrupt::Stopping) => Err(self.skip(context, candidate, Skip::Busy, None, "busy")),
        }
    }

    /// Waits before the same credential is tried again. A wait that would outlast the deadline is none: the candidate is left, since an
    /// attempt after the deadline could only cost the provider.
    pub(super) async fn back_off(&self, session: &mut Session<'_>, context: &mut Context, after_ms_max: u64) -> Result<(), Next> {
        if after_ms_max == 0 {
            return Ok(());
        }
        let began = Instant::now();
        let until = began + Duration::from_millis(fastrand::u64(0..=after_ms_max));
        if until >= self.call.clocks.first_byte {
            return Err(Next::Candidate);
        }
        let mut waiting = Waiting { client: Some(session), waited: &mut context.outcome.waits.queue };
        let ended = waiting.on(until, std::future::pending::<()>()).await;
        context.outcome.waited(StageKind::BackOff, began);
        match ended {
            Err(Interrupt::ClientGone) => Err(Next::End(End::ClientGone)),
            _ => Ok(()),
        }
    }
}
