//! Events as Prometheus metrics. Every name is in [`Metrics::new`]; label values are bounded: a model has one only if it is known.

use std::time::{SystemTime, UNIX_EPOCH};

use heliostat_filters::usage::Usage;
use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result, TextEncoder, exponential_buckets,
};

use super::event::{AttemptRecord, CredentialState, Outcome, RequestRecord};
use super::known::KnownModels;

/// Whole requests, in seconds.
const DURATION_BUCKETS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Until the first content, in seconds.
const FIRST_CONTENT_BUCKETS: &[f64] = &[0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0];
/// Heliostat's own time: 5 µs, doubled up to 82 ms.
const OWN_TIME_FIRST_US: f64 = 5.0;
const OWN_TIME_BUCKETS: usize = 15;

/// All metrics, with a registry of their own.
pub(super) struct Metrics {
    registry: Registry,
    pub(super) known: KnownModels,
    pub(super) in_flight: IntGauge,
    pub(super) body_bytes: IntGauge,
    dropped: IntCounterVec,
    rejected: IntCounterVec,
    requests: IntCounterVec,
    attempts: IntCounterVec,
    duration: HistogramVec,
    first_content: HistogramVec,
    own_time: HistogramVec,
    tokens: IntCounterVec,
    failovers: IntCounterVec,
    losses: IntCounterVec,
    clients_gone: IntCounter,
    credential_state: IntGaugeVec,
    reloads: IntCounterVec,
    last_reload_ok: IntGauge,
    last_reload_at: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// If two share a name: a mistake in this function.
    pub(super) fn new() -> Result<Self> {
        let all = Registry::new();
        let own_buckets = exponential_buckets(OWN_TIME_FIRST_US, 2.0, OWN_TIME_BUCKETS)?;
        let lane = &["provider", "model"][..];
        build_info(&all)?;
        Ok(Self {
            known: KnownModels::default(),
            in_flight: gauge(&all, "requests_in_flight", "Requests under way")?,
            dropped: counters(&all, "telemetry_dropped_total", "Records lost to a slow or broken sink", &["sink"])?,
            body_bytes: gauge(&all, "body_bytes_in_flight", "Memory held for request bodies")?,
            rejected: counters(&all, "rejected_total", "Requests refused for a bound of the gateway's own", &["reason"])?,
            requests: counters(&all, "requests_total", "Requests", &["endpoint", "provider", "model", "status", "stream"])?,
            attempts: counters(&all, "attempts_total", "Attempts upstream", &["provider", "model", "credential", "outcome"])?,
            duration: histograms(&all, "request_duration_seconds", "From a request's start to its end", lane, DURATION_BUCKETS)?,
            first_content: histograms(&all, "first_content_seconds", "Until the first content was sent", lane, FIRST_CONTENT_BUCKETS)?,
            own_time: histograms(&all, "own_time_microseconds", "Time a request spent in Heliostat", &["endpoint"], &own_buckets)?,
            tokens: counters(&all, "tokens_total", "Tokens, as upstreams count them", &["provider", "model", "kind"])?,
            failovers: counters(&all, "failovers_total", "Requests answered by another than the first tried", &["from", "to"])?,
            losses: counters(&all, "losses_total", "What translations could not carry", &["kind", "dialect"])?,
            clients_gone: counter(&all, "clients_gone_total", "Requests whose client left before the end")?,
            credential_state: gauges(&all, "credential_state", "0 in use, 1 cooling down, 2 off", &["provider", "credential"])?,
            reloads: counters(&all, "config_reloads_total", "Configurations loaded or refused", &["result"])?,
            last_reload_ok: gauge(&all, "config_last_reload_successful", "1 if the last configuration was taken")?,
            last_reload_at: gauge(&all, "config_last_reload_success_timestamp_seconds", "When one was last taken")?,
            registry: all,
        })
    }

    pub(super) fn request(&self, event: &RequestRecord) {
        let (provider, model) = event.served().map_or(("", ""), |served| (&*served.provider, &*served.model));
        let model = self.label(provider, model, event.outcome == Outcome::Ok && event.status < 300);
        let lane = [provider, model];
        let stream = if event.stream { "true" } else { "false" };
        self.requests.with_label_values(&[event.endpoint, provider, model, &event.status.to_string(), stream]).inc();
        self.duration.with_label_values(&lane).observe(seconds(event.total_us()));
        if let Some(first) = event.first_content {
            self.first_content.with_label_values(&lane).observe(seconds(event.us(first)));
        }
        if let Some(own_us) = event.own_us() {
            #[allow(clippy::cast_precision_loss)] // Microseconds of a request are far below 2^53.
            self.own_time.with_label_values(&[event.endpoint]).observe(own_us as f64);
        }
        self.tokens(lane, &event.usage);
        self.failover(event);
        for loss in &event.losses {
            self.losses.with_label_values(&[loss.kind.as_str(), event.dialect]).inc();
        }
        if event.outcome == Outcome::ClientGone {
            self.clients_gone.inc();
        }
    }

    pub(super) fn attempt(&self, event: &AttemptRecord) {
        let model = self.label(&event.provider, &event.model, event.outcome == "ok");
        self.attempts.with_label_values(&[&*event.provider, model, &event.credential, event.outcome]).inc();
    }

    /// The counter of what a sink lost.
    pub(super) fn dropped(&self, sink: &str) -> IntCounter {
        self.dropped.with_label_values(&[sink])
    }

    pub(super) fn rejected(&self, reason: &'static str) {
        self.rejected.with_label_values(&[reason]).inc();
    }

    pub(super) fn reload(&self, ok: bool) {
        self.reloads.with_label_values(&[if ok { "ok" } else { "refused" }]).inc();
        self.last_reload_ok.set(i64::from(ok));
        if ok {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.last_reload_at.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn credentials<'a>(&self, states: impl IntoIterator<Item = (&'a str, &'a str, CredentialState)>) {
        self.credential_state.reset();
        for (provider, credential, state) in states {
            self.credential_state.with_label_values(&[provider, credential]).set(state.as_gauge());
        }
    }

    pub(super) fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            log::error!("metrics could not be rendered: {error}");
            String::new()
        })
    }

    /// The model's label. One that answered is known from then on.
    fn label<'a>(&self, provider: &str, model: &'a str, answered: bool) -> &'a str {
        if model.is_empty() {
            return model;
        }
        if answered {
            self.known.learn(provider, model);
        }
        self.known.label(provider, model)
    }

    fn tokens(&self, [provider, model]: [&str; 2], usage: &Usage) {
        let kinds = [
            ("prompt", usage.prompt_tokens),
            ("completion", usage.completion_tokens),
            ("cached", usage.cached_tokens),
            ("cache_write", usage.cache_write_tokens),
            ("reasoning", usage.reasoning_tokens),
            ("prompt_audio", usage.prompt_audio_tokens),
        ];
        for (kind, count) in kinds {
            if let Some(count) = count.filter(|count| *count > 0) {
                self.tokens.with_label_values(&[provider, model, kind]).inc_by(count);
            }
        }
    }

    /// A failover: the last attempt answered, and went to another candidate than the first.
    fn failover(&self, event: &RequestRecord) {
        let (Some(first), Some(served)) = (event.attempts.first(), event.served()) else { return };
        let moved = (&first.provider, &first.model) != (&served.provider, &served.model);
        if moved && served.outcome == "ok" {
            self.failovers.with_label_values(&[&first.provider, &served.provider]).inc();
        }
    }
}

#[allow(clippy::cast_precision_loss)] // As above.
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn build_info(all: &Registry) -> Result<()> {
    let info = gauges(all, "build_info", "The version that runs", &["version"])?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(())
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("heliostat")
}

fn counter(all: &Registry, name: &str, help: &str) -> Result<IntCounter> {
    registered(all, IntCounter::with_opts(opts(name, help))?)
}

fn counters(all: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    registered(all, IntCounterVec::new(opts(name, help), labels)?)
}

fn gauge(all: &Registry, name: &str, help: &str) -> Result<IntGauge> {
    registered(all, IntGauge::with_opts(opts(name, help))?)
}

fn gauges(all: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
    registered(all, IntGaugeVec::new(opts(name, help), labels)?)
}

fn histograms(all: &Registry, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec> {
    let opts = HistogramOpts { common_opts: opts(name, help), buckets: buckets.to_vec() };
    registered(all, HistogramVec::new(opts, labels)?)
}

fn registered<M: Collector + Clone + 'static>(all: &Registry, metric: M) -> Result<M> {
    all.register(Box::new(metric.clone()))?;
    Ok(metric)
}
