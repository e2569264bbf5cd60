//! What happened, told once: the proxy reports typed records, and sinks turn them into metrics, log lines and spans.
//!
//! Metrics are counted where the request ends, and a failed attempt where it does. Any other sink (the log, the spans, the metrics' examples) has a thread of its own and a
//! bounded queue before it: nothing here ever blocks a request.

mod access_log;
pub mod event;
pub mod gen_ai;
mod metrics;
mod otlp;
mod queue;
mod redact;
mod timestamp;
pub mod trace;

use std::io::Write;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus::IntGauge;

use self::event::{AttemptRecord, CacheStanding, CredentialStanding, Labels, QueueStanding, RequestRecord};
pub use self::metrics::Format;
use self::metrics::{Metrics, exemplars};
pub use self::queue::Message;
use self::queue::Queue;
use self::redact::Redactor;
use crate::config::{Observability, Secret, Snapshot, Traces};

/// Every sink. One for the process, shared.
pub struct Telemetry {
    metrics: Metrics,
    queues: ArcSwap<Vec<Arc<Queue>>>,
    access_log: Arc<access_log::Wishes>,
    traces: Arc<ArcSwapOption<Traces>>,
    redactor: redact::InForce,
    /// Whether the exporter of traces runs.
    exports: Mutex<bool>,
}

/// Counts a stream as open until it is dropped.
#[derive(Debug)]
pub struct StreamOpen(IntGauge);

impl Drop for StreamOpen {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Telemetry {
    /// With the access log on standard output. Starts the log's thread, so call it after any fork.
    ///
    /// # Errors
    /// If two metrics share a name, or the thread cannot be started.
    pub fn new(rules: &Observability) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Self::build(rules, None)
    }

    /// With the access log elsewhere.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_access_log(
        rules: &Observability,
        out: impl Write + Send + 'static,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Self::build(rules, Some(Box::new(out)))
    }

    fn build(rules: &Observability, out: Option<Box<dyn Write + Send>>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        // Until the configuration is followed, what looks like a key is known.
        let redactor = redact::InForce::from(ArcSwap::from_pointee(Redactor::new(std::iter::empty())));
        let telemetry = Self {
            metrics: Metrics::new(rules.prometheus_labels.clone(), rules.metric_aliases.clone(), redactor.clone())?,
            queues: ArcSwap::default(),
            access_log: Arc::new(access_log::Wishes::new(redactor.clone())),
            traces: Arc::default(),
            redactor,
            exports: Mutex::default(),
        };
        let dropped = telemetry.metrics.dropped(access_log::SINK);
        access_log::start(telemetry.add_sink(access_log::SINK), telemetry.access_log.clone(), out, dropped)?;
        exemplars::start(telemetry.add_sink(exemplars::SINK), telemetry.metrics.requests(), telemetry.traces.clone())?;
        Ok(telemetry)
    }

    /// Adds a sink, and returns its end of the queue to it: every record from now on. What does not fit into the queue is counted in
    /// `heliostat_telemetry_dropped_total{sink}`.
    #[must_use]
    pub fn add_sink(&self, sink: &'static str) -> Receiver<Message> {
        let (queue, receiver) = Queue::new(sink, self.metrics.dropped(sink));
        let queue = Arc::new(queue);
        self.queues.rcu(|queues| queues.iter().cloned().chain([queue.clone()]).collect::<Vec<_>>());
        receiver
    }

    /// Says where spans go from now on. Runs at the start, and at every reload; the exporter's thread starts with the first collector.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn trace(&self, traces: Option<Arc<Traces>>) -> std::io::Result<()> {
        let wanted = traces.is_some();
        self.traces.store(traces);
        let mut exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted && !*exports {
            let dropped = self.metrics.dropped(otlp::SINK);
            otlp::start(self.add_sink(otlp::SINK), self.traces.clone(), self.redactor.clone(), dropped)?;
            *exports = true;
        }
        Ok(())
    }

    /// Goes by a configuration from now on: its models have a label of their own even before they answered, its access log is written,
    /// its secrets are not; metrics have its labels and aliases. Runs at the start, and at every reload.
    pub fn follow(&self, snapshot: &Snapshot) {
        let Observability { prometheus_labels, metric_aliases, access_log, .. } = &snapshot.observability;
        if let Err(error) = self.metrics.follow(prometheus_labels, metric_aliases) {
            log::error!("metrics keep the labels they have: {error}");
        }
        snapshot.named_models().for_each(|(provider, model)| self.metrics.learn(provider, model));
        self.redactor.store(Arc::new(Redactor::new(snapshot.secrets().map(Secret::expose))));
        self.access_log.rule(access_log.clone());
    }

    /// A text for the process's own log, without what is a secret, or looks like one.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        self.redactor.load().text(text).into_owned()
    }

    /// Opens the access log's file anew, before the next line: the old one has been moved away.
    pub fn reopen(&self) {
        self.access_log.reopen();
    }

    /// The request headers that are labels.
    #[must_use]
    pub fn labels(&self) -> Arc<[Box<str>]> {
        self.metrics.labels()
    }

    /// Requests under way, and the memory that their bodies hold. Runs before a rendering.
    pub fn under_way(&self, requests: usize, body_bytes: u64) {
        self.metrics.under_way(requests, body_bytes);
    }

    /// A client begins to receive a stream; until the returned value is dropped.
    #[must_use]
    pub fn stream(&self) -> StreamOpen {
        let open = self.metrics.streams_open().clone();
        open.inc();
        StreamOpen(open)
    }

    /// Attempts of a request that goes on; those before `from` have been counted.
    pub fn attempts(&self, attempts: &[AttemptRecord], from: usize, labels: &Labels) {
        self.metrics.attempts(attempts, from, labels);
    }

    /// A request ended, in whatever way. Runs once for each.
    pub fn request(&self, record: RequestRecord) {
        self.count(&record);
        self.hand_on(record);
    }

    /// The part of it that counts.
    #[inline(never)] // So that a bench can count it.
    pub fn count(&self, record: &RequestRecord) {
        self.metrics.request(record);
    }

    /// The part of it that hands the record to the sinks.
    #[inline(never)] // Likewise.
    pub fn hand_on(&self, record: RequestRecord) {
        let record = Arc::new(record);
        for queue in self.queues.load().iter() {
            queue.offer(&record);
        }
    }

    /// A credential, or a model at its provider, rests or is switched off; `reason` is the verdict that brought it.
    pub fn cooldown(&self, provider: &str, credential: &str, reason: &str) {
        self.metrics.cooldown(provider, credential, reason);
    }

    /// A request was refused for a bound of the gateway's own; `reason` is the code its client got.
    pub fn rejected(&self, reason: &'static str) {
        self.metrics.rejected(reason);
    }

    /// A configuration was loaded (`ok`), or refused and the old one kept.
    pub fn reload(&self, ok: bool) {
        self.metrics.reload(ok);
    }

    /// How the credentials stand. Runs before a rendering; credentials not named have left the configuration.
    pub fn credentials<'a>(&self, standings: impl IntoIterator<Item = CredentialStanding<'a>>) {
        self.metrics.credentials(standings);
    }

    /// How the bounded providers stand. Runs before a rendering.
    pub fn queues<'a>(&self, standings: impl IntoIterator<Item = QueueStanding<'a>>) {
        self.metrics.queues(standings);
    }

    /// How the cache stands; all zero where there is none. Runs before a rendering.
    pub fn cache(&self, standing: CacheStanding) {
        self.metrics.cache(standing);
    }

    /// All metrics.
    #[must_use]
    pub fn render_metrics(&self, format: Format) -> String {
        self.metrics.render(format)
    }

    /// Waits until the sinks have handed on every record so far, at most for `patience` each. Runs once at the end of a drain.
    pub fn flush(&self, patience: Duration) {
        for queue in self.queues.load().iter() {
            queue.flush(patience);
        }
    }
}

#[cfg(test)]
mod tests;
