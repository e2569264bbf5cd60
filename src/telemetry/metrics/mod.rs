//! Records as Prometheus metrics. What they are called: [`families`]. Label values are bounded: a model has one only if it is known,
//! whatever else others choose is one of so many ([`bounded`]).
//!
//! Counting is on the request's thread and cheap there: a thread finds the series of a request by one look into a table of its own
//! ([`table`], [`lane`]), and from then on there are only atomic additions.

mod aliases;
mod bounded;
#[cfg(test)]
mod document;
mod families;
mod known;
mod lane;
mod table;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, Result, TextEncoder};

use self::bounded::{Bounded, LabelSets};
use self::families::{Builder, Child as _, Families};
use self::known::KnownModels;
use self::lane::{AttemptLane, RequestLane, Values};
use self::table::Table;
use super::event::{AttemptRecord, BreakerStanding, CredentialStanding, Outcome, QueueStanding, RequestRecord};
use crate::config::MetricAliases;

/// The parts of a request's key that are not the operator's labels.
const PARTS: usize = 9;
/// And the most of those (`config`).
const LABELS_MAX: usize = 8;
/// A field's name in `heliostat_losses_total`, in bytes.
const FIELD_BYTES: usize = 64;

/// All metrics, with a registry of their own.
pub(super) struct Metrics {
    families: Families,
    builder: Builder,
    aliases: Vec<MetricAliases>,
    known: KnownModels,
    operators: LabelSets,
    reasons: Bounded,
    fields: Bounded,
    /// Tells this from others in the threads' tables.
    id: u64,
    /// Changes when a model became known: what the tables say of it is old then.
    generation: AtomicU64,
}

/// A thread's series.
#[derive(Default)]
struct Tables {
    of: (u64, u64),
    requests: Table<RequestLane>,
    attempts: Table<AttemptLane>,
    others: Table<IntCounter>,
}

thread_local! {
    static TABLES: RefCell<Tables> = RefCell::default();
}

impl Metrics {
    /// Registers every metric; `labels` are the operator's headers.
    ///
    /// # Errors
    /// If two share a name: a mistake in [`families`].
    pub(super) fn new(labels: Arc<[Box<str>]>, aliases: Vec<MetricAliases>) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut builder = Builder::new(labels.clone());
        Ok(Self {
            families: Families::register(&mut builder)?,
            builder,
            aliases,
            known: KnownModels::default(),
            operators: LabelSets::new(labels),
            reasons: Bounded::default(),
            fields: Bounded::default(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            generation: AtomicU64::new(0),
        })
    }

    /// The operator's headers.
    pub(super) fn labels(&self) -> &Arc<[Box<str>]> {
        self.operators.names()
    }

    /// Counts a request with its attempts.
    pub(super) fn request(&self, record: &RequestRecord) {
        let counted = TABLES.try_with(|tables| {
            let Ok(mut tables) = tables.try_borrow_mut() else { return };
            let of = (self.id, self.generation.load(Ordering::Relaxed));
            if tables.of != of {
                *tables = Tables { of, ..Tables::default() };
            }
            self.count(&mut tables, record);
        });
        // A thread that ends has no table any more: nothing runs there that could end a request.
        let _ = counted;
    }

    fn count(&self, tables: &mut Tables, record: &RequestRecord) {
        let mut said = [""; LABELS_MAX];
        let said = said_of(record, &mut said);
        let served = record.served();
        let (provider, model) = served.map_or(("", ""), |served| (&*served.provider, &*served.model));
        let mut digits = itoa::Buffer::new();
        let status = digits.format(record.status);
        let stream = if record.stream { "true" } else { "false" };
        let (fault, reason) = (record.blame().map_or("", |blame| blame.as_str()), reason(record));
        let client = record.client.as_deref().unwrap_or_default();
        let parts = [record.endpoint, provider, model, client, status, stream, record.outcome.as_str(), fault, reason];
        let lane = || {
            let model = self.model(provider, model, served.is_some_and(answered));
            let values = Values {
                endpoint: record.endpoint,
                provider: provider.into(),
                model: model.into(),
                client: client.into(),
                status: status.into(),
                stream,
                outcome: record.outcome.as_str(),
                fault,
                reason: self.reasons.of(reason).into(),
                operators: self.operators.of(said),
            };
            RequestLane::new(&self.families, values)
        };
        keyed(parts, said, |key| tables.requests.row(key, lane).count(&self.families, record));
        self.attempts(tables, record, said);
        self.fallback(tables, record, said);
        self.losses(tables, record, provider, said);
    }

    fn attempts(&self, tables: &mut Tables, record: &RequestRecord, said: &[&str]) {
        let mut before: Option<&AttemptRecord> = None;
        for (position, attempt) in record.attempts.iter().enumerate() {
            let parts = [&*attempt.provider, &*attempt.model, &*attempt.credential, attempt.outcome];
            let lane = || {
                let model = self.model(&attempt.provider, &attempt.model, answered(attempt));
                AttemptLane::new(&self.families, attempt, model, self.operators.of(said))
            };
            let last = position + 1 == record.attempts.len();
            let ended = (last && attempt.outcome == "ok").then_some(record.ended);
            keyed(parts, said, |key| tables.attempts.row(key, lane).count(&self.families, attempt, ended));
            if attempt.skipped.is_some() {
                continue;
            }
            if let Some(failed) = before.filter(|before| (&before.provider, &before.model) == (&attempt.provider, &attempt.model)) {
                let parts = ["retry", &*attempt.provider, &*attempt.model, failed.outcome];
                let series = || {
                    let model = self.model(&attempt.provider, &attempt.model, false);
                    self.families.retries.series(&[&*attempt.provider, model, failed.outcome], &self.operators.of(said))
                };
                keyed(parts, said, |key| tables.others.row(key, series).inc());
            }
            before = Some(attempt);
        }
    }

    /// A fallback: the last attempt answered, and went to another candidate than the first.
    fn fallback(&self, tables: &mut Tables, record: &RequestRecord, said: &[&str]) {
        let (Some(first), Some(served)) = (record.attempts.first(), record.served()) else { return };
        let (from, to) = ((&*first.provider, &*first.model), (&*served.provider, &*served.model));
        if from == to || served.outcome != "ok" {
            return;
        }
        let series = || {
            let of = [from.0, self.model(from.0, from.1, false), to.0, self.model(to.0, to.1, answered(served))];
            self.families.fallbacks.series(&of, &self.operators.of(said))
        };
        keyed(["fallback", from.0, from.1, to.0, to.1], said, |key| tables.others.row(key, series).inc());
    }

    fn losses(&self, tables: &mut Tables, record: &RequestRecord, provider: &str, said: &[&str]) {
        for loss in &record.losses {
            let mut buffer = [0; FIELD_BYTES];
            let (field, kind) = (field(&loss.path, &mut buffer), loss.kind.as_str());
            let series = || self.families.losses.series(&[provider, self.fields.of(field), kind], &self.operators.of(said));
            keyed(["loss", provider, field, kind], said, |key| tables.others.row(key, series).inc());
        }
    }

    /// The model's label. One that answered is known from then on.
    fn model<'m>(&self, provider: &str, model: &'m str, answered: bool) -> &'m str {
        if model.is_empty() {
            return model;
        }
        if answered {
            self.learn(provider, model);
        }
        self.known.label(provider, model)
    }

    /// Makes a model known: it has a label of its own from now on, also where it fails.
    pub(super) fn learn(&self, provider: &str, model: &str) {
        if self.known.learn(provider, model) {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counter of what a sink lost.
    pub(super) fn dropped(&self, sink: &str) -> IntCounter {
        self.families.dropped.with_label_values(&[sink])
    }

    pub(super) fn rejected(&self, reason: &'static str) {
        self.families.rejected.with_label_values(&[reason]).inc();
    }

    pub(super) fn cooldown(&self, provider: &str, credential: &str, reason: &str) {
        self.families.cooldowns.with_label_values(&[provider, credential, reason]).inc();
    }

    pub(super) fn streams_open(&self) -> &prometheus::IntGauge {
        &self.families.streams_open
    }

    pub(super) fn reload(&self, ok: bool) {
        self.families.reloads.with_label_values(&[if ok { "ok" } else { "refused" }]).inc();
        self.families.last_reload_ok.set(i64::from(ok));
        if ok {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.families.last_reload_at.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn under_way(&self, requests: usize, body_bytes: u64) {
        self.families.in_flight.set(i64::try_from(requests).unwrap_or(i64::MAX));
        self.families.body_bytes.set(i64::try_from(body_bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn credentials<'a>(&self, standings: impl IntoIterator<Item = CredentialStanding<'a>>) {
        let Families { credential_state, breaker_state, attempts_in_flight, .. } = &self.families;
        [credential_state, breaker_state, attempts_in_flight].iter().for_each(|family| family.reset());
        for standing in standings {
            let of = [standing.provider, standing.credential];
            credential_state.with_label_values(&of).set(standing.state.as_gauge());
            attempts_in_flight.with_label_values(&of).set(i64::try_from(standing.in_flight).unwrap_or(i64::MAX));
            for BreakerStanding { model, open } in &standing.breakers {
                let model = self.model(standing.provider, model, false);
                breaker_state.with_label_values(&[standing.provider, standing.credential, model]).set(if *open { 2 } else { 1 });
            }
        }
    }

    pub(super) fn queues<'a>(&self, standings: impl IntoIterator<Item = QueueStanding<'a>>) {
        let Families { places_taken, queue_length, .. } = &self.families;
        [places_taken, queue_length].iter().for_each(|family| family.reset());
        for QueueStanding { provider, taken, waiting } in standings {
            places_taken.with_label_values(&[provider]).set(i64::try_from(taken).unwrap_or(i64::MAX));
            queue_length.with_label_values(&[provider]).set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
    }

    /// All metrics in Prometheus' text format, with the aliases that are wanted.
    pub(super) fn render(&self) -> String {
        let mut families = self.builder.registry.gather();
        families.extend(self.aliases.iter().flat_map(|set| aliases::of(*set, &families)).collect::<Vec<_>>());
        TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| {
            log::error!("metrics could not be rendered: {error}");
            String::new()
        })
    }
}

/// What the operator's headers said, in their order.
fn said_of<'r, 's>(record: &'r RequestRecord, said: &'s mut [&'r str; LABELS_MAX]) -> &'s [&'r str] {
    let values = &record.labels.values;
    for (place, value) in said.iter_mut().zip(values) {
        *place = value.as_deref().unwrap_or_default();
    }
    said.get(..values.len().min(LABELS_MAX)).unwrap_or_default()
}

/// Calls with a key of these parts and the operator's values, on the stack.
fn keyed<const N: usize, T>(parts: [&str; N], said: &[&str], with: impl FnOnce(&[&str]) -> T) -> T {
    const { assert!(N <= PARTS, "a key has room for its parts") };
    let mut key = [""; PARTS + LABELS_MAX];
    let mut length = 0;
    for (place, part) in key.iter_mut().zip(parts.iter().chain(said)) {
        *place = part;
        length += 1;
    }
    with(key.get(..length).unwrap_or_default())
}

/// Whether a provider knew the model. A raw request's answer may be an error, and the attempt a success all the same.
fn answered(attempt: &AttemptRecord) -> bool {
    attempt.outcome == "ok" && attempt.status.is_some_and(|status| status < 300)
}

/// Why a request did not end well: the verdict on the attempt that decided it, else the code of the gateway's own answer.
fn reason(record: &RequestRecord) -> &str {
    match record.outcome {
        Outcome::Ok => "",
        Outcome::ClientGone => "client_gone",
        Outcome::Refused => record.error_code.as_deref().unwrap_or("error"),
        Outcome::Error => match record.served() {
            Some(served) if served.outcome != "ok" => served.outcome,
            _ => "broken_off",
        },
    }
}

/// A loss's path without the numbers in it: `messages[3].name` is `messages[].name`.
fn field<'b>(path: &str, buffer: &'b mut [u8; FIELD_BYTES]) -> &'b str {
    let mut within = false;
    let mut length = 0;
    let bytes = path.bytes().filter(|byte| {
        let kept = !within || *byte == b']';
        within = *byte == b'[' || (within && *byte != b']');
        kept
    });
    for (place, byte) in buffer.iter_mut().zip(bytes) {
        *place = byte;
        length += 1;
    }
    let written = buffer.get(..length).unwrap_or_default();
    let whole = std::str::from_utf8(written).map_or_else(|error| error.valid_up_to(), str::len);
    std::str::from_utf8(written.get(..whole).unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_no_numbers_and_is_short() {
        let of = |path: &str| field(path, &mut [0; FIELD_BYTES]).to_owned();
        assert_eq!(of("messages[3].content[12].text"), "messages[].content[].text");
        assert_eq!(of("logit_bias"), "logit_bias");
        assert_eq!(of(&"ü".repeat(100)), "ü".repeat(FIELD_BYTES / 2));
        assert_eq!(of("a[b"), "a[");
    }
}
