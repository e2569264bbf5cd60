//! Records as Prometheus metrics. What they are called: [`families`]. Label values are bounded: a model has one only if it is known,
//! whatever else others choose is one of so many ([`bounded`]).
//!
//! Counting is on the request's thread, and cheap there ([`told`]). Examples are noted elsewhere ([`exemplars`]).

mod aliases;
mod bounded;
mod counted;
#[cfg(test)]
mod document;
pub(super) mod exemplars;
mod families;
mod format;
mod keep;
mod known;
mod lane;
mod openmetrics;
mod table;
mod told;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Result, TextEncoder};

use self::counted::Counted;
use self::exemplars::Exemplars;
use self::families::{Families, Standing};
pub use self::format::Format;
use self::known::KnownModels;
use self::told::{Bounds, Tables, Telling};
use super::event::{AttemptRecord, BreakerStanding, CacheStanding, CredentialStanding, Labels, QueueStanding, RequestRecord};
use super::redact;
use crate::config::MetricAliases;

/// All metrics.
pub(super) struct Metrics {
    standing: Standing,
    counted: Counted,
    known: Arc<KnownModels>,
    redactor: redact::InForce,
    requests: Arc<ArcSwap<Requests>>,
    aliases: ArcSwap<Vec<MetricAliases>>,
}

/// What requests tell, with the labels that the operator wants.
pub(super) struct Requests {
    bounds: Bounds,
    families: Families<Counted>,
    counted: Counted,
    examples: Families<Exemplars>,
    exemplars: Exemplars,
    /// Tells this from others in the threads' tables.
    id: u64,
}

/// A thread's series, and whose they are.
#[derive(Default)]
struct Found {
    of: (u64, u64),
    tables: Tables<Counted>,
}

thread_local! {
    static FOUND: RefCell<Found> = RefCell::default();
}

impl Requests {
    fn new(labels: Arc<[Box<str>]>, known: Arc<KnownModels>, redactor: redact::InForce) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (mut counted, mut exemplars) = (Counted::new(&labels), Exemplars::new(&labels));
        Ok(Self {
            families: Families::register(&mut counted)?,
            counted,
            examples: Families::register(&mut exemplars)?,
            exemplars,
            bounds: Bounds::new(known, labels, redactor),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Changes with the labels, and when a model became known: what a table says is old then.
    fn version(&self) -> (u64, u64) {
        (self.id, self.bounds.known.generation())
    }

    /// Counts by the series that this thread has found.
    fn count(&self, count: impl FnOnce(&Telling<'_, Counted>, &mut Tables<Counted>)) {
        let counted = FOUND.try_with(|found| {
            let Ok(mut found) = found.try_borrow_mut() else { return };
            let of = self.version();
            if found.of != of {
                *found = Found { of, ..Found::default() };
            }
            count(&Telling { bounds: &self.bounds, families: &self.families, origin: &() }, &mut found.tables);
        });
        // A thread that ends has no table any more: nothing runs there that could end a request.
        let _ = counted;
    }
}

impl Metrics {
    /// Registers every metric; `labels` are the operator's headers. What the redactor finds is in none of their values.
    ///
    /// # Errors
    /// If two share a name: a mistake in [`families`].
    pub(super) fn new(labels: Arc<[Box<str>]>, aliases: Vec<MetricAliases>, redactor: redact::InForce) -> Result<Self> {
        let mut counted = Counted::new(&Arc::default());
        let standing = Standing::register(&mut counted)?;
        standing.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let known = Arc::<KnownModels>::default();
        let requests = Arc::new(ArcSwap::from_pointee(Requests::new(labels, known.clone(), redactor.clone())?));
        Ok(Self { standing, counted, known, requests, redactor, aliases: ArcSwap::from_pointee(aliases) })
    }

    /// Goes by these headers and aliases from now on. What requests tell begins anew where the headers are others: a series has all the
    /// labels of its time.
    ///
    /// # Errors
    /// If a header would be a label that a metric has already.
    pub(super) fn follow(&self, labels: &Arc<[Box<str>]>, aliases: &[MetricAliases]) -> Result<()> {
        self.aliases.store(Arc::new(aliases.to_vec()));
        if *labels != self.labels() {
            self.requests.store(Arc::new(Requests::new(labels.clone(), self.known.clone(), self.redactor.clone())?));
        }
        Ok(())
    }

    /// The operator's headers.
    pub(super) fn labels(&self) -> Arc<[Box<str>]> {
        self.requests.load().bounds.headers().clone()
    }

    /// What requests tell, for who notes examples of it.
    pub(super) fn requests(&self) -> Arc<ArcSwap<Requests>> {
        self.requests.clone()
    }

    /// Counts a request, with those of its attempts that were not counted before.
    pub(super) fn request(&self, record: &RequestRecord) {
        self.requests.load().count(|telling, tables| telling.request(tables, record, record.counted));
    }

    /// Counts the attempts from one on, of a request that goes on.
    pub(super) fn attempts(&self, attempts: &[AttemptRecord], from: usize, labels: &Labels) {
        self.requests.load().count(|telling, tables| telling.failed(tables, attempts, from, labels));
    }

    /// Makes a model known: it has a label of its own from now on, also where it fails.
    pub(super) fn learn(&self, provider: &str, model: &str) {
        self.known.learn(provider, model);
    }

    /// The counter of what a sink lost.
    pub(super) fn dropped(&self, sink: &str) -> IntCounter {
        self.standing.dropped.with_label_values(&[sink])
    }

    pub(super) fn rejected(&self, reason: &'static str) {
        self.standing.rejected.with_label_values(&[reason]).inc();
    }

    pub(super) fn cooldown(&self, provider: &str, credential: &str, reason: &str) {
        self.standing.cooldowns.with_label_values(&[provider, credential, reason]).inc();
    }

    pub(super) fn streams_open(&self) -> &prometheus::IntGauge {
        &self.standing.streams_open
    }

    pub(super) fn reload(&self, ok: bool) {
        self.standing.reloads.with_label_values(&[if ok { "ok" } else { "refused" }]).inc();
        self.standing.last_reload_ok.set(i64::from(ok));
        if ok {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.standing.last_reload_at.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn under_way(&self, requests: usize, body_bytes: u64) {
        self.standing.in_flight.set(i64::try_from(requests).unwrap_or(i64::MAX));
        self.standing.body_bytes.set(i64::try_from(body_bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn cache(&self, standing: CacheStanding) {
        let Standing { cache_entries, cache_bytes, cache_evictions, .. } = &self.standing;
        cache_entries.set(i64::try_from(standing.entries).unwrap_or(i64::MAX));
        cache_bytes.set(i64::try_from(standing.bytes).unwrap_or(i64::MAX));
        for (reason, count) in [("space", standing.evicted), ("expired", standing.expired)] {
            cache_evictions.with_label_values(&[reason]).inc_by(count);
        }
    }

    pub(super) fn credentials<'a>(&self, standings: impl IntoIterator<Item = CredentialStanding<'a>>) {
        let Standing { credential_state, breaker_state, attempts_in_flight, .. } = &self.standing;
        [credential_state, breaker_state, attempts_in_flight].iter().for_each(|family| family.reset());
        for standing in standings {
            let of = [standing.provider, standing.credential];
            credential_state.with_label_values(&of).set(standing.state.as_gauge());
            attempts_in_flight.with_label_values(&of).set(i64::try_from(standing.in_flight).unwrap_or(i64::MAX));
            for BreakerStanding { model, open } in &standing.breakers {
                let model = self.known.label(standing.provider, model);
                breaker_state.with_label_values(&[standing.provider, standing.credential, model]).set(if *open { 2 } else { 1 });
            }
        }
    }

    pub(super) fn queues<'a>(&self, standings: impl IntoIterator<Item = QueueStanding<'a>>) {
        let Standing { places_taken, queue_length, .. } = &self.standing;
        [places_taken, queue_length].iter().for_each(|family| family.reset());
        for QueueStanding { provider, taken, waiting } in standings {
            places_taken.with_label_values(&[provider]).set(i64::try_from(taken).unwrap_or(i64::MAX));
            queue_length.with_label_values(&[provider]).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
    }

    /// All metrics, with the aliases that are wanted.
    pub(super) fn render(&self, format: Format) -> String {
        let requests = self.requests.load();
        let mut families: Vec<MetricFamily> = [&self.counted, &requests.counted].iter().flat_map(|all| all.registry.gather()).collect();
        families.sort_by(|one, other| one.name().cmp(other.name()));
        let aliases: Vec<MetricFamily> = self.aliases.load().iter().flat_map(|set| aliases::of(*set, &families)).collect();
        families.extend(aliases);
        match format {
            Format::OpenMetrics => openmetrics::write(&families, &requests.exemplars),
            Format::Text => TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
                log::error!("metrics could not be rendered: {error}");
                String::new()
            }),
        }
    }
}
