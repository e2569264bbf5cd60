//! Spans of made-up records. What a collector sees of real ones is told in `tests/traces.rs`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use heliostat_filters::loss::{Loss, LossKind};
use heliostat_filters::usage::Usage;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::{keep, spans};
use crate::config::Sampling;
use crate::telemetry::event::{
    AttemptRecord, AttemptTimes, Blame, CacheResult, CacheTold, Labels, Outcome, RequestRecord, Stage, StageKind,
};
use crate::telemetry::trace::Trace;

/// One in which everything is known: a failure, a skipped candidate, an answer.
fn whole() -> RequestRecord {
    let mut record = RequestRecord::refused("req-1".to_owned(), Some([127, 0, 0, 1].into()), 200, "odd", 7);
    let now = Instant::now();
    record.started_at = SystemTime::now();
    (record.started, record.ended) = (now, now + Duration::from_millis(50));
    record.trace = Some(Trace::begin(None, &Sampling::default()));
    record.client = Some("studio".to_owned());
    record.labels = Labels { names: ["x-team".into()].into(), values: vec![Some("shoes".into())] };
    (record.endpoint, record.outcome) = ("chat", Outcome::Error);
    record.asked_model = "openai/gpt-4o".to_owned();
    record.upstream_request_id = Some("up-1".to_owned());
    let tokens = Some(3);
    record.usage = Usage {
        prompt_tokens: tokens,
        completion_tokens: tokens,
        cached_tokens: tokens,
        cache_write_tokens: tokens,
        reasoning_tokens: tokens,
        ..Usage::default()
    };
    record.response_model = Some("gpt-4o-2024".to_owned());
    (record.prompt, record.reply) = (Some("[]".to_owned()), Some("[]".to_owned()));
    record.finish_reason = Some("stop");
    record.losses = vec![Loss { path: "seed".into(), kind: LossKind::Dropped }];
    record.first_content = Some(now + Duration::from_millis(20));
    record.waits = Some(Default::default());
    record.stages = vec![Stage { kind: StageKind::Queue, began: now, ended: now + Duration::from_millis(5) }];
    record.attempts = vec![attempt(now, "overloaded", None), attempt(now, "skipped_unfit", Some("unfit")), attempt(now, "ok", None)];
    record.attempts[2].times.hedge = true;
    record
}

fn attempt(began: Instant, outcome: &'static str, skipped: Option<&'static str>) -> AttemptRecord {
    let mut times = AttemptTimes::begin(began);
    (times.connected, times.header, times.first_content) = (Some(began), Some(began), Some(began));
    AttemptRecord {
        provider: "gemini".to_owned(),
        model: "flash".to_owned(),
        credential: "PRIMARY".to_owned(),
        dialect: "gemini",
        status: Some(529),
        outcome,
        skipped,
        blame: (outcome != "ok").then_some(Blame::Provider),
        times,
        settled: began + Duration::from_millis(10),
    }
}

/// Names of attributes and events of all spans.
fn names(spans: &[Span]) -> BTreeSet<String> {
    let events = spans.iter().flat_map(|span| &span.events);
    let attributes = spans.iter().flat_map(|span| &span.attributes).chain(events.clone().flat_map(|event| &event.attributes));
    attributes.map(|attribute| attribute.key.clone()).chain(events.map(|event| event.name.clone())).collect()
}

#[test]
fn the_reference_names_what_is_written_and_nothing_else() {
    let record = whole();
    let mut written = names(&spans::of(&record, record.trace.unwrap()));
    for result in [CacheResult::Hit { age_s: 7 }, CacheResult::Bypass("no-store")] {
        written.extend(names(&spans::of(&given_again(result), record.trace.unwrap())));
    }
    assert!(written.remove("x-team"));
    let rows = include_str!("../SPANS.md").lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut told: BTreeSet<String> = rows.map(|(name, _)| name.to_owned()).collect();
    // Named in the row of its event.
    assert!(include_str!("../SPANS.md").contains("`heliostat.reason`") && told.insert("heliostat.reason".to_owned()));
    assert_eq!(written, told);
}

/// A request that the cache had something to say of, and nobody was asked for.
fn given_again(result: CacheResult) -> RequestRecord {
    let mut record = whole();
    let (began, made_by) = (record.started, Some(("openai".to_owned(), "gpt-4o".to_owned())));
    record.attempts.clear();
    record.cache = Some(Box::new(CacheTold { result, began, ended: began + Duration::from_micros(9), made_by }));
    record
}

#[test]
fn a_hit_is_a_request_with_a_look_and_no_attempt() {
    let record = given_again(CacheResult::Hit { age_s: 7 });
    let spans = spans::of(&record, record.trace.unwrap());
    let named: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(named, ["chat", "cache", "queue"]);
    assert_eq!(spans[1].parent_span_id, spans[0].span_id);
    assert_eq!(spans[1].end_time_unix_nano - spans[1].start_time_unix_nano, 9_000);
    let made_by = spans[0].attributes.iter().any(|attribute| attribute.key == "heliostat.model");
    assert!(made_by);
}

#[test]
fn a_skipped_candidate_is_no_span() {
    let record = whole();
    let spans = spans::of(&record, record.trace.unwrap());
    let named: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(named, ["chat", "queue", "chat flash", "chat flash"]);
    assert!(spans.iter().skip(1).all(|span| span.parent_span_id == spans[0].span_id));
}

#[test]
fn what_is_kept() {
    let nothing = Sampling { ratio: 0.0, parent_based: false, keep_errors: false, keep_failovers: false, slow_ms: None };
    let fine = || {
        let mut record = whole();
        record.outcome = Outcome::Ok;
        record.attempts.truncate(1);
        record.trace = Some(Trace::begin(None, &nothing));
        record
    };
    let kept = |sampling: Sampling, record: &RequestRecord| keep::kept(&sampling, record).is_some();
    assert!(!kept(nothing, &fine()) && !kept(Sampling { ratio: 0.0, ..Sampling::default() }, &fine()));
    assert!(kept(Sampling { slow_ms: Some(50), ..nothing }, &fine()) && !kept(Sampling { slow_ms: Some(51), ..nothing }, &fine()));
    let again = RequestRecord { attempts: whole().attempts, ..fine() };
    assert!(kept(Sampling { keep_failovers: true, ..nothing }, &again) && !kept(nothing, &again));
    let failed = RequestRecord { status: 502, ..fine() };
    assert!(kept(Sampling { keep_errors: true, ..nothing }, &failed) && !kept(nothing, &failed));
    // One of a configuration without a collector is never written, and one without a place begins a trace.
    let mut before = whole();
    before.trace = before.trace.map(|trace| Trace { written: false, ..trace });
    assert!(!kept(Sampling::default(), &before));
    assert!(kept(Sampling::default(), &RequestRecord { trace: None, ..fine() }));
}
