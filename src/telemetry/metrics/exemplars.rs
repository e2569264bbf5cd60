//! Examples: of each series, and of each bucket of a histogram, the last request that it counted, by its id and trace. Noted by a thread
//! of their own from the records that the other sinks get too: a request's thread does nothing for them but offer its record. Of more
//! than 5,000 requests a second that went well at the first attempt, only so many are noted.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus::Result;

use super::Requests;
use super::counted::label_of;
use super::keep::{Child, Counter, Keep, Observer, all};
use super::told::{Tables, Telling};
use crate::config::{Sampling, Traces};
use crate::telemetry::event::{Outcome, RequestRecord};
use crate::telemetry::otlp;
use crate::telemetry::queue::Message;
use crate::telemetry::trace::TraceId;

/// The name of this sink in `heliostat_telemetry_dropped_total`.
pub(in crate::telemetry) const SINK: &str = "exemplars";
/// So many series of a metric have examples: the first ones.
const SERIES_MAX: usize = 1_000;
/// How long records are gathered: a thread at rest need not be woken by a request.
const REST: Duration = Duration::from_millis(20);
/// Of the records that are gathered at once, so many are noted that tell of nothing but a success. Others always are.
const SUCCESSES_MAX: usize = 100;
/// What the names and values of an example's labels may come to, in characters (OpenMetrics).
const LABELS_MAX: usize = 128;

/// A request that stands for others.
#[derive(Debug)]
pub(in crate::telemetry) struct Example {
    /// As in `x-request-id`; `None` of one so long that it does not fit into an example.
    pub(in crate::telemetry) request_id: Option<Box<str>>,
    /// Of its trace, where somebody has its spans and there is room.
    pub(in crate::telemetry) trace_id: Option<TraceId>,
    /// When it ended, in seconds since 1970.
    pub(super) at_s: f64,
}

/// What a series or bucket counted of it.
pub(super) type Exemplar = (f64, Arc<Example>);

/// All examples, by the metric's name.
pub(super) struct Exemplars {
    operators: Vec<String>,
    families: HashMap<&'static str, Marks>,
}

/// The examples of a metric.
#[derive(Clone)]
pub(super) struct Marks {
    labels: Arc<[String]>,
    /// Where its buckets end; a counter has none.
    buckets: &'static [f64],
    series: Arc<Mutex<HashMap<Values, Slots>>>,
}

/// What the labels of a series say, in the order of their names.
type Values = Box<[Box<str>]>;

/// Those of a series: one, or one a bucket and one of what is beyond.
type Slots = Arc<Mutex<Vec<Option<Exemplar>>>>;

/// A series that remembers; not beyond the bound.
pub(super) struct Mark {
    buckets: &'static [f64],
    slots: Option<Slots>,
}

impl Exemplars {
    /// Of families that all have these labels of the operator's.
    pub(super) fn new(operators: &Arc<[Box<str>]>) -> Self {
        Self { operators: operators.iter().map(|header| label_of(header)).collect(), families: HashMap::new() }
    }

    /// The examples of a metric.
    pub(super) fn of(&self, name: &str) -> Option<&Marks> {
        self.families.get(name)
    }

    fn family(&mut self, name: &'static str, labels: &[&str], buckets: &'static [f64]) -> Marks {
        let labels = labels.iter().map(|label| (*label).to_owned()).chain(self.operators.iter().cloned()).collect();
        let marks = Marks { labels, buckets, series: Arc::default() };
        self.families.insert(name, marks.clone());
        marks
    }
}

impl Keep for Exemplars {
    type Origin = Arc<Example>;
    type Counters = Marks;
    type Histograms = Marks;

    fn counters(&mut self, name: &'static str, labels: &'static [&'static str], _: &'static str) -> Result<Marks> {
        Ok(self.family(name, labels, &[]))
    }

    fn histograms(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        _: &'static str,
        buckets: &'static [f64],
    ) -> Result<Marks> {
        Ok(self.family(name, labels, buckets))
    }
}

impl Marks {
    /// The examples of the series whose labels have these values.
    pub(super) fn find<'l>(&self, value: impl Fn(&str) -> &'l str) -> Vec<Option<Exemplar>> {
        let values: Values = self.labels.iter().map(|label| value(label).into()).collect();
        let slots = locked(&self.series).get(&values).cloned();
        slots.map(|slots| locked(&slots).clone()).unwrap_or_default()
    }
}

impl Child for Marks {
    type Series = Mark;

    fn series(&self, values: &[&str], operators: &[Box<str>]) -> Mark {
        let values: Values = all(values, operators).into_iter().map(Into::into).collect();
        let mut series = locked(&self.series);
        let room = series.len() < SERIES_MAX;
        let slots = match series.get(&values) {
            Some(slots) => Some(slots.clone()),
            None => room.then(|| series.entry(values).or_insert_with(|| Arc::new(vec![None; self.buckets.len() + 1].into())).clone()),
        };
        Mark { buckets: self.buckets, slots }
    }
}

impl Mark {
    fn note(&self, position: usize, exemplar: Exemplar) {
        let Some(slots) = &self.slots else { return };
        if let Some(slot) = locked(slots).get_mut(position) {
            *slot = Some(exemplar);
        }
    }
}

impl Counter<Arc<Example>> for Mark {
    fn add(&self, count: u64, origin: &Arc<Example>) {
        // Far below 2^53.
        #[allow(clippy::cast_precision_loss, reason = "bytes and tokens of one request")]
        self.note(0, (count as f64, origin.clone()));
    }
}

impl Observer<Arc<Example>> for Mark {
    fn observe(&self, value: f64, origin: &Arc<Example>) {
        self.note(self.buckets.partition_point(|bound| *bound < value), (value, origin.clone()));
    }
}

impl Example {
    /// Of a request that ended. As Prometheus takes no more than a little of an example, the id of the request comes before the trace's.
    pub(in crate::telemetry) fn of(record: &RequestRecord, id: &str, sampling: Option<&Sampling>) -> Self {
        let known = |trace: &_| otlp::known(sampling, record, trace);
        let trace_id = record.trace.filter(known).map(|trace| trace.trace_id);
        let mut left = LABELS_MAX;
        let mut fits = |name: &str, length: usize| {
            let fits = name.len() + length <= left;
            left -= if fits { name.len() + length } else { 0 };
            fits
        };
        let request_id = fits("request_id", id.chars().count()).then(|| id.into());
        let trace_id = trace_id.filter(|_| fits("trace_id", 32));
        let ended = record.started_at + record.ended.saturating_duration_since(record.started);
        Self { request_id, trace_id, at_s: ended.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() }
    }
}

/// Starts the thread that notes examples of `records`.
///
/// # Errors
/// The thread cannot be started.
pub(in crate::telemetry) fn start(
    records: Receiver<Message>,
    requests: Arc<ArcSwap<Requests>>,
    traces: Arc<ArcSwapOption<Traces>>,
) -> std::io::Result<()> {
    let mut noting = Noting { requests, traces, of: (0, 0), tables: Tables::default() };
    std::thread::Builder::new().name("exemplars".into()).spawn(move || noting.run(&records))?;
    Ok(())
}

/// The thread's work.
struct Noting {
    requests: Arc<ArcSwap<Requests>>,
    traces: Arc<ArcSwapOption<Traces>>,
    /// Whose series the tables hold.
    of: (u64, u64),
    tables: Tables<Exemplars>,
}

impl Noting {
    fn run(&mut self, records: &Receiver<Message>) {
        while let Ok(first) = records.recv() {
            let mut successes = 0;
            for message in std::iter::once(first).chain(records.try_iter()) {
                match message {
                    Message::Record(record) => {
                        successes += usize::from(is_plain(&record));
                        if successes <= SUCCESSES_MAX || !is_plain(&record) {
                            self.note(&record);
                        }
                    }
                    // One who no longer waits needs no answer.
                    Message::Flush(done) => drop(done.try_send(())),
                }
            }
            std::thread::sleep(REST);
        }
    }

    fn note(&mut self, record: &RequestRecord) {
        let requests = self.requests.load();
        if self.of != requests.version() {
            (self.of, self.tables) = (requests.version(), Tables::default());
        }
        let cleaned = requests.bounds.redactor.load().text(&record.request_id).into_owned();
        let example = Arc::new(Example::of(record, &cleaned, self.traces.load().as_ref().map(|traces| &traces.sampling)));
        Telling { bounds: &requests.bounds, families: &requests.examples, origin: &example }.request(&mut self.tables, record, 0);
    }
}

/// Whether it is a success like most others.
fn is_plain(record: &RequestRecord) -> bool {
    record.outcome == Outcome::Ok && record.attempts.len() == 1
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
