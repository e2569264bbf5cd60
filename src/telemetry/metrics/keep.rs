//! What is told of requests is kept twice, by the same code: added up ([`counted`](super::counted)), and the last request of each series
//! and bucket as its example ([`exemplars`](super::exemplars)).

use prometheus::Result;

/// A way to keep what requests tell.
pub(super) trait Keep {
    /// What is noted of the request that tells.
    type Origin;
    /// A family of counters,
    type Counters: Child<Series: Counter<Self::Origin>>;
    /// and one of histograms.
    type Histograms: Child<Series: Observer<Self::Origin>>;

    /// Adds a family of counters.
    ///
    /// # Errors
    /// There is one of this name already, or two labels share a name.
    fn counters(&mut self, name: &'static str, labels: &'static [&'static str], help: &'static str) -> Result<Self::Counters>;

    /// Adds a family of histograms.
    ///
    /// # Errors
    /// As [`counters`](Self::counters).
    fn histograms(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        buckets: &'static [f64],
    ) -> Result<Self::Histograms>;
}

/// A family's series by the values of their labels; the operator's come last.
pub(super) trait Child {
    /// What a series is.
    type Series;

    /// Finds or makes it. Not for the hot path.
    fn series(&self, values: &[&str], operators: &[Box<str>]) -> Self::Series;
}

/// A series that only grows.
pub(super) trait Counter<Origin> {
    /// So many more.
    fn add(&self, count: u64, origin: &Origin);
}

/// A series that sorts values into buckets.
pub(super) trait Observer<Origin> {
    /// One value more.
    fn observe(&self, value: f64, origin: &Origin);
}

/// The series of a family of counters,
pub(super) type CounterOf<K> = <<K as Keep>::Counters as Child>::Series;
/// and of one of histograms.
pub(super) type HistogramOf<K> = <<K as Keep>::Histograms as Child>::Series;

/// The values of all labels.
pub(super) fn all<'v>(values: &[&'v str], operators: &'v [Box<str>]) -> Vec<&'v str> {
    values.iter().copied().chain(operators.iter().map(|value| &**value)).collect()
}
