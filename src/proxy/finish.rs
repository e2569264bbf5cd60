//! The end of a request: told once, on every path.

use std::time::{Instant, SystemTime};

use super::Gateway;
use super::context::Context;
use super::{attributes, propagate, redact};
use crate::proxy::session::Session;
use crate::telemetry::event::{self, RequestRecord};

/// The status of a request whose client left before one was sent (nginx's convention).
const CLIENT_GONE: u16 = 499;

/// Reports a finished request. Health checks are not requests.
pub fn report(gateway: &Gateway, session: &Session<'_>, error: Option<&pingora::Error>, context: &mut Context) {
    if context.endpoint == "health" {
        return;
    }
    let status = if context.outcome.status == 0 { CLIENT_GONE } else { context.outcome.status };
    if let Some(why) = context.outcome.error_log.as_deref().or(error.map(|_| "the connection to the client broke")) {
        let clean = |text: &str| gateway.telemetry.clean(text);
        log::info!("{} ended with {status}: {}", clean(&context.request_id), clean(&redact::line(why)));
    }
    gateway.telemetry.request(record(session, error, context, status));
}

/// Moves what happened out of the context: nothing comes after this.
#[inline(never)] // So that a bench can count it.
fn record(session: &Session<'_>, error: Option<&pingora::Error>, context: &mut Context, status: u16) -> RequestRecord {
    let ended = Instant::now();
    let how = how_it_ended(context, status, error);
    let headers = &session.req_header().headers;
    let mut outcome = std::mem::take(&mut context.outcome);
    let cache = context.caching.take().map(|caching| caching.told(outcome.served_by.take()));
    let observability = &context.live.snapshot.observability;
    let answer = session.response_written().map(|answer| &answer.headers);
    attributes::at_the_end(&observability.attributes, headers, answer, &mut outcome);
    RequestRecord {
        request_id: std::mem::take(&mut context.request_id),
        started: context.started,
        started_at: SystemTime::now() - ended.saturating_duration_since(context.started),
        ended,
        trace: context.trace,
        trace_state: propagate::state(headers, context.trace),
        client: context.client.take(),
        client_address: session.client_address(),
        labels: outcome.labels,
        dialect: context.dialect.name(),
        endpoint: context.endpoint,
        asked_model: outcome.asked_model,
        status,
        stream: outcome.stream,
        outcome: how,
        error_code: outcome.error_code,
        attempts: outcome.attempts,
        counted: outcome.counted,
        upstream_request_id: outcome.upstream_request_id,
        usage: outcome.usage,
        response_model: outcome.response_model,
        prompt: outcome.prompt,
        reply: outcome.reply,
        finish_reason: outcome.finish_reason,
        losses: outcome.losses,
        request_bytes: outcome.bytes_in,
        response_bytes: session.body_bytes_sent(),
        chunks: outcome.chunks,
        first_content: outcome.first_content,
        waits: Some(outcome.waits),
        stages: outcome.stages,
        attributes: outcome.attributes,
        cache,
    }
}

fn how_it_ended(context: &Context, status: u16, error: Option<&pingora::Error>) -> event::Outcome {
    let outcome = &context.outcome;
    if outcome.client_gone || status == CLIENT_GONE {
        return event::Outcome::ClientGone;
    }
    if outcome.error_code.is_some() || status >= 400 {
        let attempted = outcome.attempts.iter().any(|attempt| attempt.skipped.is_none());
        return if attempted { event::Outcome::Error } else { event::Outcome::Refused };
    }
    if error.is_some() { event::Outcome::ClientGone } else { event::Outcome::Ok }
}
