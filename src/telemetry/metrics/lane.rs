//! The series of requests that have everything a label tells in common, and those of attempts: found once, then only counted.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use heliostat_filters::usage::Usage;

use super::families::Families;
use super::keep::{Child as _, Counter as _, CounterOf, HistogramOf, Keep, Observer as _};
use crate::telemetry::event::{AttemptRecord, Outcome, RequestRecord, Waits};
use crate::telemetry::gen_ai;

/// What a label stands for, and where it is read.
type Read<R, T> = (&'static str, fn(&R) -> T);

/// What is counted of usage, as [`tokens_total`](Families::tokens) names it.
const KINDS: [Read<Usage, Option<u64>>; 6] = [
    ("prompt", |usage| usage.prompt_tokens),
    ("completion", |usage| usage.completion_tokens),
    ("cached", |usage| usage.cached_tokens),
    ("cache_write", |usage| usage.cache_write_tokens),
    ("reasoning", |usage| usage.reasoning_tokens),
    ("prompt_audio", |usage| usage.prompt_audio_tokens),
];
/// The same as the conventions have it.
const TYPES: [Read<Usage, Option<u64>>; 2] = [("input", |usage| usage.prompt_tokens), ("output", |usage| usage.completion_tokens)];
const WAITS: [Read<Waits, Duration>; 4] = [
    ("client", |waits| waits.client),
    ("queue", |waits| waits.queue),
    ("image_fetch", |waits| waits.image_fetch),
    ("upstream", |waits| waits.upstream),
];
const DIRECTIONS: [Read<RequestRecord, u64>; 2] =
    [("from_client", |record| record.request_bytes), ("to_client", |record| record.response_bytes)];

/// What the labels say; each bounded.
#[derive(Debug, Clone)]
pub(super) struct Values {
    pub(super) endpoint: &'static str,
    pub(super) provider: Box<str>,
    pub(super) model: Box<str>,
    pub(super) client: Box<str>,
    pub(super) status: Box<str>,
    pub(super) stream: &'static str,
    pub(super) outcome: &'static str,
    pub(super) fault: &'static str,
    pub(super) reason: Box<str>,
    pub(super) operators: Box<[Box<str>]>,
}

/// The series of such requests.
pub(super) struct RequestLane<K: Keep> {
    values: Values,
    requests: CounterOf<K>,
    duration: HistogramOf<K>,
    own_time: OnceCell<HistogramOf<K>>,
    waits: [OnceCell<HistogramOf<K>>; WAITS.len()],
    bytes: [OnceCell<CounterOf<K>>; DIRECTIONS.len()],
    errors: OnceCell<CounterOf<K>>,
    tokens: [OnceCell<CounterOf<K>>; KINDS.len()],
    gen_ai: Option<GenAi<K>>,
}

/// Those of the conventions.
struct GenAi<K: Keep> {
    operation: &'static str,
    duration: HistogramOf<K>,
    first_token: OnceCell<HistogramOf<K>>,
    per_token: OnceCell<HistogramOf<K>>,
    usage: [OnceCell<HistogramOf<K>>; TYPES.len()],
}

impl<K: Keep> RequestLane<K> {
    pub(super) fn new(families: &Families<K>, values: Values) -> Self {
        let v = &values;
        let request = [v.endpoint, &v.provider, &v.model, &v.client, &v.status, v.stream, v.outcome];
        Self {
            requests: families.requests.series(&request, &v.operators),
            duration: families.duration.series(&[v.endpoint, v.outcome], &v.operators),
            own_time: OnceCell::new(),
            waits: Default::default(),
            bytes: Default::default(),
            errors: OnceCell::new(),
            tokens: Default::default(),
            gen_ai: gen_ai::operation(v.endpoint).filter(|_| !v.provider.is_empty()).map(|operation| GenAi::new(families, v, operation)),
            values,
        }
    }

    pub(super) fn count(&self, families: &Families<K>, record: &RequestRecord, origin: &K::Origin) {
        let v = &self.values;
        self.requests.add(1, origin);
        self.duration.observe(seconds(record.total_us()), origin);
        if let Some(own_us) = record.own_us() {
            self.own_time.get_or_init(|| families.own_time.series(&[v.endpoint], &v.operators)).observe(float(own_us), origin);
        }
        for ((what, wait), series) in WAITS.iter().zip(&self.waits) {
            let waited = record.waits.as_ref().map(wait).unwrap_or_default();
            if !waited.is_zero() {
                series.get_or_init(|| families.waits.series(&[v.endpoint, what], &v.operators)).observe(waited.as_secs_f64(), origin);
            }
        }
        for ((direction, bytes), series) in DIRECTIONS.iter().zip(&self.bytes) {
            if bytes(record) > 0 {
                series.get_or_init(|| families.bytes.series(&[v.endpoint, direction], &v.operators)).add(bytes(record), origin);
            }
        }
        for ((kind, count), series) in KINDS.iter().zip(&self.tokens) {
            if let Some(count) = count(&record.usage).filter(|count| *count > 0) {
                let of = [&*v.provider, &*v.model, &*v.client, kind];
                series.get_or_init(|| families.tokens.series(&of, &v.operators)).add(count, origin);
            }
        }
        self.failure(families, record, origin);
        if let Some(gen_ai) = &self.gen_ai {
            gen_ai.count(families, v, record, origin);
        }
    }

    fn failure(&self, families: &Families<K>, record: &RequestRecord, origin: &K::Origin) {
        let v = &self.values;
        if record.outcome == Outcome::ClientGone {
            let of = [v.endpoint, &*v.provider, &*v.model, record.left_while()];
            families.client_aborts.series(&of, &v.operators).add(1, origin);
        }
        if record.outcome != Outcome::Ok {
            let of = [v.endpoint, &*v.provider, &*v.model, &*v.client, v.fault, &*v.reason];
            self.errors.get_or_init(|| families.errors.series(&of, &v.operators)).add(1, origin);
        }
    }
}

impl<K: Keep> GenAi<K> {
    fn new(families: &Families<K>, v: &Values, operation: &'static str) -> Self {
        let of = [operation, gen_ai::provider(&v.provider), &v.model, &v.reason];
        Self {
            operation,
            duration: families.gen_duration.series(&of, &v.operators),
            first_token: OnceCell::new(),
            per_token: OnceCell::new(),
            usage: Default::default(),
        }
    }

    fn count(&self, families: &Families<K>, v: &Values, record: &RequestRecord, origin: &K::Origin) {
        let of = [self.operation, gen_ai::provider(&v.provider), &*v.model];
        self.duration.observe(seconds(record.total_us()), origin);
        for ((kind, count), series) in TYPES.iter().zip(&self.usage) {
            if let Some(count) = count(&record.usage) {
                let [operation, provider, model] = of;
                let series = series.get_or_init(|| families.gen_usage.series(&[operation, provider, model, kind], &v.operators));
                series.observe(float(count), origin);
            }
        }
        let Some(first) = record.first_content.filter(|_| record.stream) else { return };
        let first_us = record.us(first);
        self.first_token.get_or_init(|| families.gen_first_token.series(&of, &v.operators)).observe(seconds(first_us), origin);
        let more = record.usage.completion_tokens.unwrap_or_default().saturating_sub(1);
        if more > 0 && record.outcome == Outcome::Ok {
            let rest = seconds(record.total_us().saturating_sub(first_us));
            self.per_token.get_or_init(|| families.gen_per_token.series(&of, &v.operators)).observe(rest / float(more), origin);
        }
    }
}

/// The series of attempts with one provider, model, credential and verdict.
pub(super) struct AttemptLane<K: Keep> {
    provider: Box<str>,
    model: Box<str>,
    operators: Box<[Box<str>]>,
    attempts: CounterOf<K>,
    stages: [OnceCell<HistogramOf<K>>; STAGES.len()],
}

const STAGES: [&str; 4] = ["connect", "header", "first_content", "body"];

impl<K: Keep> AttemptLane<K> {
    pub(super) fn new(families: &Families<K>, attempt: &AttemptRecord, model: &str, operators: Box<[Box<str>]>) -> Self {
        let of = [&*attempt.provider, model, &attempt.credential, attempt.outcome];
        Self {
            provider: attempt.provider.as_str().into(),
            model: model.into(),
            attempts: families.attempts.series(&of, &operators),
            operators,
            stages: Default::default(),
        }
    }

    /// Counts an attempt. `ended` is when the answer was through, where this is the one that gave it.
    pub(super) fn count(&self, families: &Families<K>, attempt: &AttemptRecord, ended: Option<Instant>, origin: &K::Origin) {
        self.attempts.add(1, origin);
        let times = attempt.times;
        let mut since = Some(times.began);
        let moments = [times.connected, times.header, times.first_content, ended];
        for ((stage, moment), series) in STAGES.iter().zip(moments).zip(&self.stages) {
            if let (Some(from), Some(to)) = (since, moment) {
                let series = series.get_or_init(|| families.stages.series(&[&self.provider, &self.model, stage], &self.operators));
                series.observe(to.saturating_duration_since(from).as_secs_f64(), origin);
            }
            since = moment;
        }
    }
}

fn seconds(us: u64) -> f64 {
    float(us) / 1e6
}

#[allow(clippy::cast_precision_loss, reason = "microseconds and tokens of a request are far below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}
