//! A record as spans: one for the request, one for each attempt, one for each wait beside providers, one for the cache. Names are those of OpenTelemetry's
//! conventions for generative AI where they have one, else our own (`heliostat.…`); all of them stand in `SPANS.md`.

use std::time::{Duration, Instant, UNIX_EPOCH};

use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::attribute::Attributes;
use crate::telemetry::event::{AttemptRecord, CacheResult, CacheTold, Outcome, RequestRecord, Stage};
use crate::telemetry::gen_ai;
use crate::telemetry::trace::{SpanId, Trace, new_span};

/// The flags of a span that was kept: sampled, and it is known whether its parent is elsewhere.
const KEPT: u32 = 0x101;
/// Its parent is elsewhere.
const REMOTE_PARENT: u32 = 0x200;
/// So many losses are told.
const LOSSES: usize = 32;

/// The spans of a request, whose place in a trace is `trace`.
pub(super) fn of(record: &RequestRecord, trace: Trace) -> Vec<Span> {
    let writer = Writer { record, trace, common: common(record) };
    let attempts = record.attempts.iter().enumerate().filter(|(_, attempt)| attempt.skipped.is_none());
    let attempts = attempts.map(|(index, attempt)| writer.attempt(index, attempt));
    let stages = record.stages.iter().map(|stage| writer.stage(stage));
    let cache = record.cache.as_ref().map(|told| writer.cache(told));
    std::iter::once(writer.request()).chain(cache).chain(stages).chain(attempts).collect()
}

struct Writer<'r> {
    record: &'r RequestRecord,
    trace: Trace,
    /// On every span.
    common: Attributes,
}

/// What one span has of its own.
struct Own {
    id: SpanId,
    name: String,
    kind: SpanKind,
    began: Instant,
    ended: Instant,
    attributes: Attributes,
    events: Vec<Event>,
    /// What went wrong; `None` leaves the status unset.
    error: Option<String>,
}

impl Writer<'_> {
    fn request(&self) -> Span {
        let record = self.record;
        let mut attributes = Attributes::default();
        self.answer(&mut attributes);
        attributes.some("gen_ai.request.model", Some(&record.asked_model));
        attributes.some("gen_ai.input.messages", record.prompt.as_deref());
        attributes.some("gen_ai.output.messages", record.reply.as_deref());
        attributes.text("heliostat.endpoint", record.endpoint);
        attributes.text("heliostat.dialect", record.dialect);
        attributes.text("heliostat.outcome", record.outcome.as_str());
        attributes.some("heliostat.blame", record.blame().map(|blame| blame.as_str()));
        attributes.count("http.response.status_code", Some(record.status.into()));
        attributes.some("error.type", self.error_type());
        attributes.some("client.address", record.client_address.map(|address| address.to_string()));
        attributes.count("http.request.body.size", Some(record.request_bytes));
        attributes.count("http.response.body.size", Some(record.response_bytes));
        attributes.count("heliostat.attempts", Some(record.attempts.iter().filter(|attempt| attempt.skipped.is_none()).count() as u64));
        attributes.count("heliostat.own_us", record.own_us());
        if let Some(served) = record.served() {
            self.who(&mut attributes, served);
            attributes.text("heliostat.verdict", served.outcome);
        }
        if let Some((provider, model)) = record.given_again() {
            attributes.text("heliostat.provider", provider);
            attributes.some("heliostat.model", Some(model));
        }
        let losses = record.losses.iter().take(LOSSES).map(ToString::to_string);
        attributes.texts("heliostat.losses", losses);
        let is_error = matches!(record.outcome, Outcome::Error) || (record.outcome == Outcome::Refused && record.status >= 500);
        self.span(Own {
            id: self.trace.span_id,
            name: record.endpoint.to_owned(),
            kind: SpanKind::Server,
            began: record.started,
            ended: record.ended,
            attributes,
            events: self.skipped(),
            error: is_error.then(|| self.error_type().unwrap_or_default()),
        })
    }

    fn attempt(&self, index: usize, attempt: &AttemptRecord) -> Span {
        let record = self.record;
        let mut attributes = Attributes::default();
        let serves = attempt.outcome == "ok" && record.served().is_some_and(|served| std::ptr::eq(served, attempt));
        if serves {
            self.answer(&mut attributes);
        } else {
            attributes.some("gen_ai.operation.name", gen_ai::operation(record.endpoint));
        }
        attributes.some("gen_ai.request.model", Some(&attempt.model));
        self.who(&mut attributes, attempt);
        attributes.text("heliostat.verdict", attempt.outcome);
        attributes.count("heliostat.attempt", Some(index as u64 + 1));
        attributes.text("heliostat.upstream_dialect", attempt.dialect);
        attributes.some("heliostat.blame", attempt.blame.map(|blame| blame.as_str()));
        attributes.count("http.response.status_code", attempt.status.map(Into::into));
        if attempt.times.hedge {
            attributes.boolean("heliostat.hedge", true);
        }
        // One that was given up for another is nobody's fault.
        let failed = attempt.blame.map(|_| attempt.outcome.to_owned());
        let error = if serves { record.error_code.clone() } else { failed };
        attributes.some("error.type", error.clone());
        let times = attempt.times;
        let moments = [("connected", times.connected), ("header", times.header), ("first_content", times.first_content)];
        let events = moments.iter().filter_map(|(name, at)| Some(self.event(&format!("heliostat.{name}"), (*at)?, Attributes::default())));
        self.span(Own {
            id: times.span,
            name: name(record.endpoint, &attempt.model),
            kind: SpanKind::Client,
            began: times.began,
            ended: if serves { record.ended } else { attempt.settled },
            attributes,
            events: events.collect(),
            error,
        })
    }

    fn stage(&self, stage: &Stage) -> Span {
        self.span(Own {
            id: new_span(),
            name: stage.kind.as_str().to_owned(),
            kind: SpanKind::Internal,
            began: stage.began,
            ended: stage.ended,
            attributes: Attributes::default(),
            events: Vec::new(),
            error: None,
        })
    }

    fn cache(&self, told: &CacheTold) -> Span {
        let mut attributes = Attributes::default();
        attributes.text("heliostat.cache.result", told.result.as_str());
        match told.result {
            CacheResult::Hit { age_s } => attributes.count("heliostat.cache.age_s", Some(age_s)),
            CacheResult::Bypass(why) => attributes.text("heliostat.cache.reason", why),
            CacheResult::Miss => {}
        }
        self.span(Own {
            id: new_span(),
            name: "cache".to_owned(),
            kind: SpanKind::Internal,
            began: told.began,
            ended: told.ended,
            attributes,
            events: Vec::new(),
            error: None,
        })
    }

    /// What is known of the answer: on the request, and on the attempt that gave it.
    fn answer(&self, attributes: &mut Attributes) {
        let record = self.record;
        attributes.some("gen_ai.operation.name", gen_ai::operation(record.endpoint));
        if gen_ai::operation(record.endpoint) == Some("chat") {
            attributes.boolean("gen_ai.request.stream", record.stream);
        }
        attributes.some("gen_ai.response.model", record.response_model.as_deref());
        attributes.texts("gen_ai.response.finish_reasons", record.finish_reason.into_iter().map(str::to_owned));
        let usage = &record.usage;
        attributes.count("gen_ai.usage.input_tokens", usage.prompt_tokens);
        attributes.count("gen_ai.usage.output_tokens", usage.completion_tokens);
        attributes.count("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens);
        attributes.count("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens);
        attributes.count("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens);
        if let Some(at) = record.first_content {
            attributes.seconds("gen_ai.response.time_to_first_chunk", at.saturating_duration_since(record.started));
        }
        attributes.some("heliostat.upstream_request_id", record.upstream_request_id.as_deref());
    }

    fn who(&self, attributes: &mut Attributes, attempt: &AttemptRecord) {
        attributes.text("gen_ai.provider.name", gen_ai::provider(&attempt.provider));
        attributes.text("heliostat.provider", &*attempt.provider);
        attributes.some("heliostat.model", Some(&attempt.model));
        attributes.some("heliostat.credential", Some(&attempt.credential));
    }

    fn skipped(&self) -> Vec<Event> {
        let skipped = self.record.attempts.iter().filter_map(|attempt| Some((attempt, attempt.skipped?)));
        let event = |(attempt, why): (&AttemptRecord, &str)| {
            let mut attributes = Attributes::default();
            attributes.text("heliostat.provider", &*attempt.provider);
            attributes.some("heliostat.model", Some(&attempt.model));
            attributes.text("heliostat.reason", why);
            self.event("heliostat.skipped", attempt.times.began, attributes)
        };
        skipped.map(event).collect()
    }

    fn error_type(&self) -> Option<String> {
        let record = self.record;
        let of_attempt = || record.served().map(|attempt| attempt.outcome.to_owned()).filter(|outcome| outcome != "ok");
        let status = || (record.status >= 400).then(|| record.status.to_string());
        record.error_code.clone().or_else(|| (record.status >= 400).then(of_attempt).flatten()).or_else(status)
    }

    fn event(&self, name: &str, at: Instant, attributes: Attributes) -> Event {
        let attributes = attributes.into_inner();
        Event { time_unix_nano: self.nanos(at), name: name.to_owned(), attributes, dropped_attributes_count: 0 }
    }

    fn span(&self, mut own: Own) -> Span {
        own.attributes.extend(&self.common);
        let is_root = own.id == self.trace.span_id;
        let parent = if is_root { self.trace.parent } else { Some(self.trace.span_id) };
        let remote = if is_root && parent.is_some() { REMOTE_PARENT } else { 0 };
        let began = self.nanos(own.began);
        Span {
            trace_id: self.trace.trace_id.to_bytes().to_vec(),
            span_id: own.id.to_bytes().to_vec(),
            trace_state: self.record.trace_state.clone(),
            parent_span_id: parent.map(|parent| parent.to_bytes().to_vec()).unwrap_or_default(),
            flags: KEPT | remote,
            name: own.name,
            kind: own.kind.into(),
            start_time_unix_nano: began,
            end_time_unix_nano: self.nanos(own.ended).max(began),
            attributes: own.attributes.into_inner(),
            events: own.events,
            status: own.error.map(|message| Status { message, code: StatusCode::Error.into() }),
            ..Span::default()
        }
    }

    /// By the clock on the wall, as it was when the request began.
    fn nanos(&self, moment: Instant) -> u64 {
        let began = self.record.started_at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at = began + moment.saturating_duration_since(self.record.started);
        u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn common(record: &RequestRecord) -> Attributes {
    let mut common = Attributes::default();
    common.text("heliostat.request_id", &*record.request_id);
    common.some("heliostat.client", record.client.as_deref());
    for (name, value) in record.labels.sent() {
        common.text(name, value);
    }
    for (name, value) in &record.attributes {
        common.value(name, value);
    }
    common
}

fn name(endpoint: &str, model: &str) -> String {
    if model.is_empty() { endpoint.to_owned() } else { format!("{endpoint} {model}") }
}
