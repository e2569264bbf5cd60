//! A line of the access log: what it says, in which order. [`FIELDS`] names its fields, which are stable. What is not known is left out.

use std::net::IpAddr;
use std::time::Instant;

use heliostat_filters::loss::Loss;
use heliostat_filters::usage::Usage;
use serde::{Serialize, Serializer};

use crate::config::LineLevel;
use crate::telemetry::event::{AttemptRecord, Blame, Labels, RequestRecord, Waits, micros};
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
    ("provider", "who answered; if nobody did, who was tried last"),
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
    ("attempts[].outcome", "the verdict"),
    ("attempts[].fault", "whose, of a failure"),
    ("attempts[].skipped", "why, if no attempt was made"),
    ("attempts[].drill", "`true` if an operator made it fail"),
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
    ("own_us", "duration: all but the waits; left out of uploads"),
    ("waits", "durations: `client_us`, `queue_us`, `image_fetch_us`, `upstream_us`"),
    ("first_content_us", "when the first content was there for the client"),
    ("total_us", "duration of all"),
];

/// Writes a request's line, without its end.
pub(super) fn write(record: &RequestRecord, level: LineLevel, out: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(out, &Line::of(record, level))
}

/// A line's fields, in their order.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Sent::is_empty")]
    labels: Sent<'a>,
    dialect: &'a str,
    endpoint: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    asked_model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_request_id: Option<&'a str>,
    status: u16,
    stream: bool,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt<'a>>,
    #[serde(skip_serializing_if = "Tokens::is_empty")]
    usage: Tokens,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    losses: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    losses_total: u64,
    request_bytes: u64,
    response_bytes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<Waited>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_content_us: Option<u64>,
    total_us: u64,
}

/// Labels as a map.
struct Sent<'a>(&'a Labels);

impl Sent<'_> {
    fn is_empty(&self) -> bool {
        self.0.sent().next().is_none()
    }
}

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.sent())
    }
}

#[derive(Serialize)]
struct Attempt<'a> {
    provider: &'a str,
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    credential: &'a str,
    dialect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    drill: bool,
    began_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_content_us: Option<u64>,
    took_us: u64,
}

/// What was waited for, in microseconds; what was not is left out.
#[derive(Serialize)]
struct Waited {
    #[serde(skip_serializing_if = "is_zero")]
    client_us: u64,
    #[serde(skip_serializing_if = "is_zero")]
    queue_us: u64,
    #[serde(skip_serializing_if = "is_zero")]
    image_fetch_us: u64,
    #[serde(skip_serializing_if = "is_zero")]
    upstream_us: u64,
}

#[derive(Serialize, Default, PartialEq, Eq)]
struct Tokens {
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
}

impl<'a> Line<'a> {
    fn of(record: &'a RequestRecord, level: LineLevel) -> Self {
        let served = record.served();
        Self {
            time: rfc3339(record.started_at + record.ended.saturating_duration_since(record.started)),
            level: level.as_str(),
            request_id: &record.request_id,
            trace_id: record.trace.as_ref().map(|trace| trace.trace_id.to_string()),
            span_id: record.trace.as_ref().map(|trace| trace.span_id.to_string()),
            client: record.client.as_deref(),
            client_address: record.client_address,
            labels: Sent(&record.labels),
            dialect: record.dialect,
            endpoint: record.endpoint,
            asked_model: cut(&record.asked_model),
            provider: served.map(|served| &*served.provider),
            model: served.map(|served| cut(&served.model)),
            credential: served.map(|served| &*served.credential),
            upstream_request_id: record.upstream_request_id.as_deref().map(cut),
            status: record.status,
            stream: record.stream,
            outcome: record.outcome.as_str(),
            fault: record.blame().map(Blame::as_str),
            error_code: record.error_code.as_deref().map(cut),
            attempts: record.attempts.iter().map(|attempt| Attempt::of(record, attempt)).collect(),
            usage: Tokens::of(&record.usage),
            losses: record.losses.iter().take(LOSSES_MAX).map(loss).collect(),
            losses_total: record.losses.len() as u64,
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            chunks: record.chunks,
            finish_reason: record.finish_reason,
            own_us: record.own_us(),
            waits: record.waits.filter(|waits| !waits.total().is_zero()).map(Waited::of),
            first_content_us: record.first_content.map(|at| record.us(at)),
            total_us: record.total_us(),
        }
    }
}

impl Waited {
    fn of(waits: Waits) -> Self {
        Self {
            client_us: micros(waits.client),
            queue_us: micros(waits.queue),
            image_fetch_us: micros(waits.image_fetch),
            upstream_us: micros(waits.upstream),
        }
    }
}

impl<'a> Attempt<'a> {
    fn of(record: &RequestRecord, attempt: &'a AttemptRecord) -> Self {
        let us = |moment: Option<Instant>| moment.map(|moment| record.us(moment));
        let times = attempt.times;
        Self {
            provider: &attempt.provider,
            model: cut(&attempt.model),
            credential: &attempt.credential,
            dialect: attempt.dialect,
            status: attempt.status,
            outcome: attempt.outcome,
            fault: attempt.blame.map(Blame::as_str),
            skipped: attempt.skipped,
            drill: times.drill,
            began_us: record.us(times.began),
            connected_us: us(times.connected),
            header_us: us(times.header),
            first_content_us: us(times.first_content),
            took_us: micros(attempt.took()),
        }
    }
}

impl Tokens {
    fn of(usage: &Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cached_tokens: usage.cached_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            reasoning_tokens: usage.reasoning_tokens,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn loss(loss: &Loss) -> String {
    let mut text = loss.to_string();
    text.truncate(cut(&text).len());
    text
}

/// At most [`NAME_BYTES_MAX`] bytes, whole characters.
fn cut(text: &str) -> &str {
    let end = (0..=NAME_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}
