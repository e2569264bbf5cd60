//! The end of a request: told once, on every path.

use std::time::Duration;

use pingora_proxy::Session;

use super::Gateway;
use super::attempt::AttemptRecord;
use super::context::Context;
use super::redact;
use crate::telemetry::event::{self, AttemptFinished, RequestFinished, Served};
use crate::telemetry::trace;

/// The status of a request whose client left before one was sent (nginx's convention).
const CLIENT_GONE: u16 = 499;

/// Reports a finished request. Health checks are not requests.
pub fn report(gateway: &Gateway, session: &Session, error: Option<&pingora::Error>, context: &Context) {
    if context.endpoint == "health" {
        return;
    }
    let outcome = &context.outcome;
    let attempts: Vec<AttemptFinished<'_>> = outcome.attempts.iter().map(attempt).collect();
    let traceparent = session.req_header().headers.get("traceparent").and_then(|value| value.to_str().ok());
    let trace = traceparent.and_then(trace::parse);
    let status = if outcome.status == 0 { CLIENT_GONE } else { outcome.status };
    let total = context.started.elapsed();
    gateway.telemetry.request(&RequestFinished {
        request_id: &context.request_id,
        trace: trace.as_ref(),
        client: context.client.as_deref(),
        client_address: session.client_addr().and_then(|address| Some(address.as_inet()?.ip().to_canonical())),
        dialect: context.dialect.name(),
        endpoint: context.endpoint,
        asked_model: &outcome.asked_model,
        served: outcome.attempts.iter().rfind(|record| !record.credential.is_empty()).map(served),
        status,
        stream: outcome.stream,
        outcome: how_it_ended(context, status, error),
        error_code: outcome.error_code.as_deref(),
        attempts: &attempts,
        usage: outcome.usage,
        losses: &outcome.losses,
        request_bytes: outcome.bytes_in,
        response_bytes: session.body_bytes_sent() as u64,
        own_us: micros(total.saturating_sub(outcome.upstream_wait)),
        first_content_us: outcome.first_content.map(micros),
        total_us: micros(total),
    });
    if let Some(why) = outcome.error_log.as_deref().or(error.map(|_| "the connection to the client broke")) {
        log::info!("{} ended with {status}: {}", context.request_id, redact::line(why));
    }
}

/// An attempt, as telemetry knows it.
#[must_use]
pub fn attempt(record: &AttemptRecord) -> AttemptFinished<'_> {
    AttemptFinished {
        provider: &record.provider,
        model: &record.model,
        credential: &record.credential,
        status: record.word.parse().ok(),
        outcome: record.outcome,
        took_us: micros(record.took),
    }
}

fn served(record: &AttemptRecord) -> Served<'_> {
    Served { provider: &record.provider, model: &record.model, credential: &record.credential }
}

fn how_it_ended(context: &Context, status: u16, error: Option<&pingora::Error>) -> event::Outcome {
    let outcome = &context.outcome;
    if outcome.client_gone || status == CLIENT_GONE {
        return event::Outcome::ClientGone;
    }
    if outcome.error_code.is_some() || status >= 400 {
        return event::Outcome::Error;
    }
    if error.is_some() { event::Outcome::ClientGone } else { event::Outcome::Ok }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
