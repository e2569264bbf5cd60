//! A line of the access log: what it says, in which order. [`FIELDS`] names its fields, which are stable. What is not known is left out.

use std::time::Instant;

use heliostat_filters::usage::Usage;

use super::object::{Object, Value as _};
use crate::config::LineLevel;
use crate::telemetry::event::{AttemptRecord, Blame, RequestRecord, Waits, micros};
use crate::telemetry::timestamp::rfc3339;

/// Names come from clients: longer ones are cut.
const NAME_BYTES_MAX: usize = 256;
/// So many losses are listed; `losses_total` counts all.
const LOSSES_MAX: usize = 32;

/// A line's fields, in their order, and what they mean.
#[cfg(test)]
pub(crate) const FIELDS: &[(&str, &str)] = &[
    ("time", "of the end, RFC 3339"),
    ("level", "`info`; `warn` where it was the client's fault, `error` where it was the gateway's or a provider's"),
    ("request_id", "as in `x-request-id`"),
    ("trace_id", "of the trace"),
    ("span_id", "of the caller's span"),
    ("client", "the name of the client's key"),
    ("client_address", "where it came from; behind a configured balancer, what that says"),
    ("labels", "what the headers of `observability.prometheus_labels` said"),
    ("dialect", "the client's"),
    ("endpoint", "its name"),
    ("asked_model", "as the client wrote it"),
    ("cache", "as in `x-cache`, where there is a cache: `hit-exact; age=12`, `miss`, `bypass; reason=no-store`"),
    ("provider", "who answered; if nobody did, who was tried last; of a hit in the cache, who made the answer"),
    ("model", "its name there"),
    ("credential", "the name of the key used there"),
    ("upstream_request_id", "the provider's own id of the request"),
    ("status", "sent to the client; 499 if it left before"),
    ("stream", "whether it was one"),
    ("outcome", "`ok`, `error`, `refused` (without an attempt), `client_gone`"),
    ("fault", "whose: `client`, `gateway`, `provider`"),
    ("error_code", "the `code` the client got"),
    ("attempts", "in order, skipped candidates too"),
    ("attempts[].provider", "as above; also `model`, `credential`"),
    ("attempts[].dialect", "the provider's for this model"),
    ("attempts[].status", "the provider's, if it gave one"),
    ("attempts[].outcome", "the verdict; `hedged` was given up, for another was quicker"),
    ("attempts[].fault", "whose, of a failure"),
    ("attempts[].skipped", "why, if no attempt was made"),
    ("attempts[].drill", "`true` if an operator made it fail"),
    ("attempts[].hedge", "`true` if it was made beside one that was silent"),
    ("attempts[].began_us", "when it began"),
    ("attempts[].connected_us", "when it had a connection"),
    ("attempts[].header_us", "when the answer's head was there"),
    ("attempts[].first_content_us", "when the first content was there; of a whole reply, all of it"),
    ("attempts[].took_us", "duration until it was known how it went"),
    ("usage", "`prompt_tokens`, `completion_tokens`, `cached_tokens`, `cache_write_tokens`, `reasoning_tokens`"),
    ("losses", "what translations could not carry: kind and path"),
    ("losses_total", "how many there are; at most 32 are listed"),
    ("request_bytes", "of the body from the client"),
    ("response_bytes", "of the body to the client"),
    ("chunks", "pieces that a stream came in from the provider"),
    ("finish_reason", "why the model stopped, in OpenAI's words"),
    ("own_us", "duration: all but the waits"),
    ("waits", "durations: `client_us`, `queue_us`, `image_fetch_us`, `upstream_us`"),
    ("first_content_us", "when the first content was there for the client"),
    ("total_us", "duration of all"),
];

/// Writes a request's line, without its end.
pub(super) fn write(record: &RequestRecord, level: LineLevel, out: &mut Vec<u8>) {
    Object::write(out, |line| {
        whose(record, level, line);
        answer(record, line);
        numbers(record, line);
    });
}

/// When, who, and what was asked for.
fn whose(record: &RequestRecord, level: LineLevel, line: &mut Object<'_>) {
    let trace = record.trace.as_ref();
    line.member("time", &*rfc3339(record.started_at + record.ended.saturating_duration_since(record.started)))
        .member("level", level.as_str())
        .member("request_id", &*record.request_id)
        .known("trace_id", trace.map(|trace| trace.trace_id.to_string()).as_deref())
        .known("span_id", trace.map(|trace| trace.span_id.to_string()).as_deref())
        .known("client", record.client.as_deref())
        .known("client_address", record.client_address.map(|address| address.to_string()).as_deref());
    if record.labels.sent().next().is_some() {
        line.object("labels", |labels| labels.members(record.labels.sent()));
    }
    line.member("dialect", record.dialect).member("endpoint", record.endpoint);
    line.known("asked_model", said(cut(&record.asked_model)));
}

/// Who answered, and how it went.
fn answer(record: &RequestRecord, line: &mut Object<'_>) {
    let served = record.served();
    let (provider, model) = served.map(|served| (&*served.provider, &*served.model)).or_else(|| record.given_again()).unzip();
    line.known("cache", record.cache.as_ref().map(|told| told.result.to_string()).as_deref())
        .known("provider", provider)
        .known("model", model.map(cut))
        .known("credential", served.map(|served| &*served.credential))
        .known("upstream_request_id", record.upstream_request_id.as_deref().map(cut))
        .member("status", u64::from(record.status))
        .member("stream", record.stream)
        .member("outcome", record.outcome.as_str())
        .known("fault", record.blame().map(Blame::as_str))
        .known("error_code", record.error_code.as_deref().map(cut))
        .list("attempts", record.attempts.iter(), |made, out| attempt(record, made, out));
    if record.usage != Usage::default() {
        line.object("usage", |tokens| usage(&record.usage, tokens));
    }
    line.list("losses", record.losses.iter().take(LOSSES_MAX), |loss, out| cut(&loss.to_string()).write(out))
        .known("losses_total", some(record.losses.len() as u64));
}

/// How much, and how long.
fn numbers(record: &RequestRecord, line: &mut Object<'_>) {
    line.member("request_bytes", record.request_bytes)
        .member("response_bytes", record.response_bytes)
        .known("chunks", some(record.chunks))
        .known("finish_reason", record.finish_reason)
        .known("own_us", record.own_us());
    if let Some(waited) = record.waits.filter(|waits| !waits.total().is_zero()) {
        line.object("waits", |out| waits(waited, out));
    }
    line.known("first_content_us", record.first_content.map(|at| record.us(at))).member("total_us", record.total_us());
}

fn attempt(record: &RequestRecord, attempt: &AttemptRecord, out: &mut Vec<u8>) {
    let us = |moment: Option<Instant>| moment.map(|moment| record.us(moment));
    let times = attempt.times;
    Object::write(out, |made| {
        made.member("provider", &*attempt.provider)
            .member("model", cut(&attempt.model))
            .known("credential", said(&attempt.credential))
            .member("dialect", attempt.dialect)
            .known("status", attempt.status.map(u64::from))
            .member("outcome", attempt.outcome)
            .known("fault", attempt.blame.map(Blame::as_str))
            .known("skipped", attempt.skipped)
            .known("drill", times.drill.then_some(true))
            .known("hedge", times.hedge.then_some(true))
            .member("began_us", record.us(times.began))
            .known("connected_us", us(times.connected))
            .known("header_us", us(times.header))
            .known("first_content_us", us(times.first_content))
            .member("took_us", micros(attempt.took()));
    });
}

/// What was waited for; what was not is left out.
fn waits(waits: Waits, out: &mut Object<'_>) {
    out.known("client_us", some(micros(waits.client)))
        .known("queue_us", some(micros(waits.queue)))
        .known("image_fetch_us", some(micros(waits.image_fetch)))
        .known("upstream_us", some(micros(waits.upstream)));
}

fn usage(usage: &Usage, tokens: &mut Object<'_>) {
    tokens
        .known("prompt_tokens", usage.prompt_tokens)
        .known("completion_tokens", usage.completion_tokens)
        .known("cached_tokens", usage.cached_tokens)
        .known("cache_write_tokens", usage.cache_write_tokens)
        .known("reasoning_tokens", usage.reasoning_tokens);
}

fn some(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

fn said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// At most [`NAME_BYTES_MAX`] bytes, whole characters.
fn cut(text: &str) -> &str {
    let end = (0..=NAME_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}
