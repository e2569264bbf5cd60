//! With which credential an attempt is made, and what signs it.

use std::time::Instant;

use heliostat_filters::fault::FaultKind;

use super::record::Mark;
use super::{Chosen, End, Failover, Next, Tried, Visit};
use crate::config::{Candidate, Credential};
use crate::proxy::attempt::{self, Ended, Failure, Interrupt, Waiting};
use crate::proxy::context::Context;
use crate::proxy::session::Session;
use crate::telemetry::event::{AttemptTimes, StageKind};
use crate::upstream::select::{Ask, Pick};
use crate::upstream::verdict::{Outcome, Skip};

impl<'a> Failover<'a> {
    /// Chooses a credential, waiting for a stated cool-down where nothing else is left and it ends in time.
    pub(super) async fn choose(
        &mut self,
        session: &mut Session<'_>,
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
                Pick::Use { credential, probe, trial } => return Ok(Chosen { credential, probe, trial }),
                Pick::Broken => {
                    if !last_resort && tried.credentials.is_empty() {
                        self.queue.push_back(Visit { last_resort: true, ..visit });
                    }
                    return Err(Next::Candidate);
                }
                Pick::Cooling { until, stated: true, in_time: true, .. } if last_resort => {
                    let mut waiting = Waiting { client: Some(session), waited: &mut context.outcome.waits.queue };
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

    pub(super) fn ask<'t>(&self, candidate: &'t Candidate, tried: &'t Tried, last_resort: bool, now: Instant) -> Ask<'t> {
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

    /// Gets the access token for an attempt, where the credential is a service account.
    pub(super) async fn authorise(
        &self,
        session: &mut Session<'_>,
        context: &mut Context,
        candidate: &Candidate,
        credential: &Credential,
        tried: &mut Tried,
    ) -> Result<(), Ended> {
        let Some(bearer) = self.live.tokens.of(&candidate.provider, credential) else { return Ok(()) };
        let began = Instant::now();
        let until = self.clocks(candidate, began).header;
        let mut waiting = Waiting { client: Some(session), waited: &mut context.outcome.waits.upstream };
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
    pub(super) fn renew(
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
}
