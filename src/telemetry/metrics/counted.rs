//! Added up: the metrics library's own families, in a registry.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result};

use super::keep::{Child, Counter, Keep, Observer, all};

/// A metric as the reference tells it.
#[derive(Debug, Clone)]
#[cfg_attr(not(test), expect(dead_code, reason = "the reference is written by a test"))]
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// Registers metrics and keeps what the reference needs.
pub(super) struct Counted {
    pub(super) registry: Registry,
    pub(super) definitions: Vec<Definition>,
    operators: Vec<String>,
}

impl Counted {
    /// Whose families all have these labels of the operator's.
    pub(super) fn new(operators: &Arc<[Box<str>]>) -> Self {
        let operators = operators.iter().map(|header| label_of(header)).collect();
        Self { registry: Registry::new(), definitions: Vec::new(), operators }
    }

    /// Adds a family of gauges.
    ///
    /// # Errors
    /// As [`Keep::counters`].
    pub(super) fn gauges(&mut self, name: &'static str, labels: &'static [&'static str], help: &'static str) -> Result<IntGaugeVec> {
        self.define(name, "gauge", labels, help);
        self.add(IntGaugeVec::new(Opts::new(name, help), &self.all(labels))?)
    }

    /// Adds a gauge.
    ///
    /// # Errors
    /// As [`Keep::counters`].
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Result<IntGauge> {
        self.define(name, "gauge", &[], help);
        self.add(IntGauge::new(name, help)?)
    }

    fn define(&mut self, name: &'static str, kind: &'static str, labels: &'static [&'static str], help: &'static str) {
        self.definitions.push(Definition { name, kind, labels, help });
    }

    fn all<'l>(&'l self, labels: &[&'l str]) -> Vec<&'l str> {
        labels.iter().copied().chain(self.operators.iter().map(String::as_str)).collect()
    }

    fn add<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

impl Keep for Counted {
    type Origin = ();
    type Counters = IntCounterVec;
    type Histograms = HistogramVec;

    fn counters(&mut self, name: &'static str, labels: &'static [&'static str], help: &'static str) -> Result<IntCounterVec> {
        self.define(name, "counter", labels, help);
        self.add(IntCounterVec::new(Opts::new(name, help), &self.all(labels))?)
    }

    fn histograms(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        buckets: &'static [f64],
    ) -> Result<HistogramVec> {
        self.define(name, "histogram", labels, help);
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &self.all(labels))?)
    }
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

impl Counter<()> for IntCounter {
    fn add(&self, count: u64, (): &()) {
        self.inc_by(count);
    }
}

impl Observer<()> for Histogram {
    fn observe(&self, value: f64, (): &()) {
        // The library's own, of the same name.
        Self::observe(self, value);
    }
}

/// The label's name of a header: `x-team` is `x_team`.
pub(super) fn label_of(header: &str) -> String {
    header.replace('-', "_")
}
