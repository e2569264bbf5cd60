//! Every metric: its name, labels, buckets and meaning. `src/telemetry/METRICS.md` is written from here.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result, exponential_buckets,
};

/// Buckets that OpenTelemetry's conventions advise: durations of whole requests, in seconds,
const DURATION: &[f64] = &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// until the first token,
const FIRST_TOKEN: &[f64] = &[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// per token after the first,
const PER_TOKEN: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
/// and numbers of tokens.
const TOKENS: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];
/// Waits and stages, in seconds.
const STAGE: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
/// Heliostat's own time: 5 µs, doubled up to 82 ms.
const OWN_TIME_FIRST_US: f64 = 5.0;
const OWN_TIME_BUCKETS: usize = 15;

const GEN_AI: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];
const GEN_AI_ERROR: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"];
const GEN_AI_TOKEN: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"];

/// All metrics.
pub(super) struct Families {
    pub(super) requests: IntCounterVec,
    pub(super) errors: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) own_time: HistogramVec,
    pub(super) waits: HistogramVec,
    pub(super) bytes: IntCounterVec,
    pub(super) client_aborts: IntCounterVec,
    pub(super) rejected: IntCounterVec,
    pub(super) tokens: IntCounterVec,
    pub(super) losses: IntCounterVec,
    pub(super) fallbacks: IntCounterVec,
    pub(super) retries: IntCounterVec,
    pub(super) attempts: IntCounterVec,
    pub(super) stages: HistogramVec,
    pub(super) gen_duration: HistogramVec,
    pub(super) gen_first_token: HistogramVec,
    pub(super) gen_per_token: HistogramVec,
    pub(super) gen_usage: HistogramVec,
    pub(super) cooldowns: IntCounterVec,
    pub(super) credential_state: IntGaugeVec,
    pub(super) breaker_state: IntGaugeVec,
    pub(super) attempts_in_flight: IntGaugeVec,
    pub(super) places_taken: IntGaugeVec,
    pub(super) queue_length: IntGaugeVec,
    pub(super) in_flight: IntGauge,
    pub(super) streams_open: IntGauge,
    pub(super) body_bytes: IntGauge,
    pub(super) dropped: IntCounterVec,
    pub(super) reloads: IntCounterVec,
    pub(super) last_reload_ok: IntGauge,
    pub(super) last_reload_at: IntGauge,
}

/// A metric as the reference tells it.
#[derive(Debug, Clone)]
#[cfg_attr(not(test), expect(dead_code, reason = "the reference is written by a test"))]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) labels: &'static [&'static str],
    /// Whether the operator's labels follow.
    pub(super) labelled: bool,
    pub(super) help: &'static str,
}

/// Registers metrics and keeps what the reference needs.
pub(super) struct Builder {
    pub(super) registry: Registry,
    pub(super) definitions: Vec<Definition>,
    labels: Arc<[Box<str>]>,
}

impl Families {
    /// Registers every metric. Those of requests and attempts get the operator's labels.
    ///
    /// # Errors
    /// If two share a name, or one of the operator's labels is one of its own.
    #[allow(clippy::too_many_lines, reason = "a table")]
    pub(super) fn register(b: &mut Builder) -> Result<Self> {
        let own_time = exponential_buckets(OWN_TIME_FIRST_US, 2.0, OWN_TIME_BUCKETS)?;
        let request = &["endpoint", "provider", "model", "client", "status", "stream", "outcome"];
        b.gauges("build_info", "The version that runs", &["version"])?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            requests: b.counters("requests_total", "Requests that ended", request)?,
            errors: b.counters(
                "errors_total",
                "Requests that did not end well, by whose fault",
                &["endpoint", "provider", "model", "client", "fault", "reason"],
            )?,
            duration: b.histograms("request_duration_seconds", "From a request's head to its end", &["endpoint", "outcome"], DURATION)?,
            own_time: b.histograms(
                "own_time_microseconds",
                "What a request cost in Heliostat: all but waiting for client and provider",
                &["endpoint"],
                &own_time,
            )?,
            waits: b.histograms(
                "wait_seconds",
                "What requests waited for: `client`, `queue`, `image_fetch`, `upstream`; once for each that waited",
                &["endpoint", "for"],
                STAGE,
            )?,
            bytes: b.counters("bytes_total", "Bytes of bodies, `from_client` and `to_client`", &["endpoint", "direction"])?,
            client_aborts: b.counters(
                "client_aborts_total",
                "Requests whose client left: while `sending` its own, while it waited (`queue`, `connect`, `header` …), or `receiving` the answer",
                &["endpoint", "provider", "model", "while"],
            )?,
            rejected: b.plain_counters("rejected_total", "Requests refused for a bound of the gateway's own", &["reason"])?,
            tokens: b.counters(
                "tokens_total",
                "Tokens as providers count them; `cached` and `cache_write` are among `prompt`, `reasoning` among `completion`",
                &["provider", "model", "client", "kind"],
            )?,
            losses: b.counters("losses_total", "What translations could not carry, by field", &["provider", "field", "kind"])?,
            fallbacks: b.counters(
                "fallbacks_total",
                "Requests answered by another candidate than the first",
                &["from_provider", "from_model", "to_provider", "to_model"],
            )?,
            retries: b.counters(
                "retries_total",
                "Attempts that followed a failed one at the same candidate; `reason` is that one's verdict",
                &["provider", "model", "reason"],
            )?,
            attempts: b.counters(
                "attempts_total",
                "Attempts and skipped candidates, by verdict",
                &["provider", "model", "credential", "outcome"],
            )?,
            stages: b.histograms(
                "upstream_stage_seconds",
                "Stages of attempts: `connect` (with the wait for a token), `header`, `first_content`, `body`",
                &["provider", "model", "stage"],
                STAGE,
            )?,
            gen_duration: b.gen_ai(
                "gen_ai_server_request_duration",
                "GenAI requests from head to end, in seconds",
                GEN_AI_ERROR,
                DURATION,
            )?,
            gen_first_token: b.gen_ai(
                "gen_ai_server_time_to_first_token",
                "Streams: from the request's head to the first content, in seconds",
                GEN_AI,
                FIRST_TOKEN,
            )?,
            gen_per_token: b.gen_ai(
                "gen_ai_server_time_per_output_token",
                "Streams: time per token after the first, in seconds",
                GEN_AI,
                PER_TOKEN,
            )?,
            gen_usage: b.gen_ai("gen_ai_client_token_usage", "Tokens of a request, `input` and `output`", GEN_AI_TOKEN, TOKENS)?,
            cooldowns: b.plain_counters(
                "cooldowns_total",
                "Rests and switch-offs of credentials and models, by the verdict that brought them",
                &["provider", "credential", "reason"],
            )?,
            credential_state: b.gauges(
                "credential_state",
                "0 in use, 1 cooling down, 2 off, 3 cordoned, 4 failing by a drill",
                &["provider", "credential"],
            )?,
            breaker_state: b.gauges(
                "breaker_state",
                "1 half-open, 2 open; a breaker that is closed has no series",
                &["provider", "credential", "model"],
            )?,
            attempts_in_flight: b.gauges("attempts_in_flight", "Attempts under way", &["provider", "credential"])?,
            places_taken: b.gauges(
                "queue_places_taken",
                "Places taken at a provider with a bound on requests at the same time",
                &["provider"],
            )?,
            queue_length: b.gauges("queue_length", "Requests waiting for a place at such a provider", &["provider"])?,
            in_flight: b.gauge("requests_in_flight", "Requests under way")?,
            streams_open: b.gauge("streams_open", "Streams that clients are receiving")?,
            body_bytes: b.gauge("body_bytes_in_flight", "Memory held for request bodies")?,
            dropped: b.plain_counters("telemetry_dropped_total", "Records lost to a slow or broken sink", &["sink"])?,
            reloads: b.plain_counters("config_reloads_total", "Configurations loaded (`ok`) or refused", &["result"])?,
            last_reload_ok: b.gauge("config_last_reload_successful", "1 if the last configuration was taken")?,
            last_reload_at: b.gauge("config_last_reload_success_timestamp_seconds", "When one was last taken")?,
        })
    }
}

impl Builder {
    /// With the names of the operator's labels.
    pub(super) fn new(labels: Arc<[Box<str>]>) -> Self {
        Self { registry: Registry::new(), definitions: Vec::new(), labels }
    }

    fn counters(&mut self, name: &str, help: &'static str, labels: &'static [&'static str]) -> Result<IntCounterVec> {
        let (name, all) = (self.define(name, "counter", help, labels, true), self.with_operators(labels));
        self.add(IntCounterVec::new(Opts::new(name, help), &borrowed(&all))?)
    }

    fn plain_counters(&mut self, name: &str, help: &'static str, labels: &'static [&'static str]) -> Result<IntCounterVec> {
        let name = self.define(name, "counter", help, labels, false);
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges(&mut self, name: &str, help: &'static str, labels: &'static [&'static str]) -> Result<IntGaugeVec> {
        let name = self.define(name, "gauge", help, labels, false);
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&mut self, name: &str, help: &'static str) -> Result<IntGauge> {
        let name = self.define(name, "gauge", help, &[], false);
        self.add(IntGauge::new(name, help)?)
    }

    fn histograms(&mut self, name: &str, help: &'static str, labels: &'static [&'static str], buckets: &[f64]) -> Result<HistogramVec> {
        let (name, all) = (self.define(name, "histogram", help, labels, true), self.with_operators(labels));
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &borrowed(&all))?)
    }

    /// A metric of the conventions: its name stands for itself.
    fn gen_ai(&mut self, name: &str, help: &'static str, labels: &'static [&'static str], buckets: &[f64]) -> Result<HistogramVec> {
        self.histograms(name, help, labels, buckets)
    }

    fn define(&mut self, name: &str, kind: &'static str, help: &'static str, labels: &'static [&'static str], labelled: bool) -> String {
        let name = if name.starts_with("gen_ai_") { name.to_owned() } else { format!("heliostat_{name}") };
        self.definitions.push(Definition { name: name.clone(), kind, labels, labelled, help });
        name
    }

    fn with_operators(&self, labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_owned()).chain(self.labels.iter().map(|header| label_of(header))).collect()
    }

    fn add<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

/// The label's name of a header: `x-team` is `x_team`.
pub(super) fn label_of(header: &str) -> String {
    header.replace('-', "_")
}

fn borrowed(labels: &[String]) -> Vec<&str> {
    labels.iter().map(String::as_str).collect()
}

/// The series of these values; the operator's labels come last.
pub(super) trait Child {
    /// What a series is.
    type Series;

    /// Finds or makes it. Not for the hot path.
    fn series(&self, values: &[&str], operators: &[Box<str>]) -> Self::Series;
}

impl Child for IntCounterVec {
    type Series = IntCounter;

    fn series(&self, values: &[&str], operators: &[Box<str>]) -> IntCounter {
        self.with_label_values(&all(values, operators))
    }
}

impl Child for HistogramVec {
    type Series = Histogram;

    fn series(&self, values: &[&str], operators: &[Box<str>]) -> Histogram {
        self.with_label_values(&all(values, operators))
    }
}

fn all<'v>(values: &[&'v str], operators: &'v [Box<str>]) -> Vec<&'v str> {
    values.iter().copied().chain(operators.iter().map(|value| &**value)).collect()
}
