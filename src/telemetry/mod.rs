//! What happened, told once: the proxy reports typed events, and sinks turn them into metrics and access-log lines.
//!
//! A new sink is a new listener to these events, not a new call in the proxy. Nothing here ever blocks a request.

mod access_log;
pub mod event;
mod known;
mod metrics;
mod timestamp;
pub mod trace;

use std::io::Write;
use std::time::Duration;

use self::access_log::AccessLog;
use self::event::{AttemptFinished, CredentialState, RequestFinished};
use self::metrics::Metrics;

/// Every sink. One for the process, shared.
pub struct Telemetry {
    metrics: Metrics,
    access_log: AccessLog,
}

impl Telemetry {
    /// With the access log on standard output. Starts the log's thread, so call it after any fork.
    ///
    /// # Errors
    /// If two metrics share a name, or the thread cannot be started.
    pub fn new() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Self::with_access_log(std::io::stdout())
    }

    /// With the access log elsewhere.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_access_log(out: impl Write + Send + 'static) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let metrics = Metrics::new()?;
        let access_log = AccessLog::start(out, metrics.access_log_dropped.clone())?;
        Ok(Self { metrics, access_log })
    }

    /// Names a model of the configuration, so that it has a label of its own even before it answered.
    pub fn know_model(&self, provider: &str, model: &str) {
        self.metrics.known.learn(provider, model);
    }

    /// Requests under way. Runs before a rendering.
    pub fn in_flight(&self, count: usize) {
        self.metrics.in_flight.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A request ended, in whatever way. Runs once for each.
    pub fn request(&self, event: &RequestFinished<'_>) {
        self.metrics.request(event);
        self.access_log.request(event);
    }

    /// An attempt ended. Runs once for each, as it ends.
    pub fn attempt(&self, event: &AttemptFinished<'_>) {
        self.metrics.attempt(event);
    }

    /// A request was refused for a bound of the gateway's own; `reason` is the code its client got.
    pub fn rejected(&self, reason: &'static str) {
        self.metrics.rejected(reason);
    }

    /// Memory held for request bodies. Runs before a rendering.
    pub fn body_bytes(&self, held: u64) {
        self.metrics.body_bytes.set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    /// A configuration was loaded (`ok`), or refused and the old one kept.
    pub fn reload(&self, ok: bool) {
        self.metrics.reload(ok);
    }

    /// How the credentials stand. Runs before a rendering; credentials not named have left the configuration.
    pub fn credentials<'a>(&self, states: impl IntoIterator<Item = (&'a str, &'a str, CredentialState)>) {
        self.metrics.credentials(states);
    }

    /// All metrics in Prometheus' text format.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        self.metrics.render()
    }

    /// Waits until every line of the access log so far is written, at most for `patience`. Runs once at the end of a drain.
    pub fn flush(&self, patience: Duration) {
        self.access_log.flush(patience);
    }
}

#[cfg(test)]
mod tests;
