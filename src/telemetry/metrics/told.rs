//! What a request tells: its series, those of its attempts, its fallback, its losses. Each is found by one look into a table of the
//! thread that counts ([`table`](super::table), [`lane`](super::lane)); from then on there are only atomic additions.

use std::sync::Arc;
use std::time::Instant;

use super::bounded::{Bounded, LabelSets};
use super::families::Families;
use super::keep::{Child as _, Counter as _, CounterOf, Keep};
use super::known::KnownModels;
use super::lane::{AttemptLane, RequestLane, Values};
use super::table::Table;
use crate::telemetry::event::{AttemptRecord, Labels, Outcome, RequestRecord};
use crate::telemetry::redact;

/// The parts of a request's key that are not the operator's labels.
const PARTS: usize = 9;
/// And the most of those (`config`).
const LABELS_MAX: usize = 8;
/// A field's name in `heliostat_losses_total`, in bytes.
const FIELD_BYTES: usize = 64;

/// What bounds the labels' values.
pub(super) struct Bounds {
    pub(super) known: Arc<KnownModels>,
    operators: LabelSets,
    pub(super) redactor: redact::InForce,
    reasons: Bounded,
    fields: Bounded,
}

/// The series that a thread has found.
pub(super) struct Tables<K: Keep> {
    requests: Table<RequestLane<K>>,
    attempts: Table<AttemptLane<K>>,
    others: Table<CounterOf<K>>,
}

/// One who tells: whose labels are bounded by what, to which families, and what is noted of it.
pub(super) struct Telling<'t, K: Keep> {
    pub(super) bounds: &'t Bounds,
    pub(super) families: &'t Families<K>,
    pub(super) origin: &'t K::Origin,
}

impl<K: Keep> Default for Tables<K> {
    fn default() -> Self {
        Self { requests: Table::default(), attempts: Table::default(), others: Table::default() }
    }
}

impl Bounds {
    /// Of models that are known, and of what the operator's headers say.
    pub(super) fn new(known: Arc<KnownModels>, headers: Arc<[Box<str>]>, redactor: redact::InForce) -> Self {
        Self { known, operators: LabelSets::new(headers), redactor, reasons: Bounded::default(), fields: Bounded::default() }
    }

    /// The operator's headers.
    pub(super) fn headers(&self) -> &Arc<[Box<str>]> {
        self.operators.names()
    }

    /// What they said, as labels.
    fn operators(&self, said: &[&str]) -> Box<[Box<str>]> {
        let redactor = self.redactor.load();
        let clean: Vec<_> = said.iter().map(|said| redactor.text(said)).collect();
        self.operators.of(&clean.iter().map(|said| &**said).collect::<Vec<_>>())
    }

    /// A field of a body, as a label.
    fn field(&self, field: &str) -> String {
        self.fields.of(&self.redactor.load().text(field)).to_owned()
    }

    /// The model's label. One that answered is known from then on.
    pub(super) fn model<'m>(&self, provider: &str, model: &'m str, answered: bool) -> &'m str {
        if model.is_empty() {
            return model;
        }
        if answered {
            self.known.learn(provider, model);
        }
        self.known.label(provider, model)
    }
}

impl<K: Keep> Telling<'_, K> {
    /// A request, with its attempts from one on.
    pub(super) fn request(&self, tables: &mut Tables<K>, record: &RequestRecord, from: usize) {
        let mut said = [""; LABELS_MAX];
        let said = said_of(&record.labels, self.bounds.headers(), &mut said);
        let served = record.served();
        let (provider, model) = served.map_or(("", ""), |served| (&*served.provider, &*served.model));
        let mut digits = itoa::Buffer::new();
        let status = digits.format(record.status);
        let stream = if record.stream { "true" } else { "false" };
        let (fault, reason) = (record.blame().map_or("", |blame| blame.as_str()), reason(record));
        let client = record.client.as_deref().unwrap_or_default();
        let parts = [record.endpoint, provider, model, client, status, stream, record.outcome.as_str(), fault, reason];
        let lane = || {
            let model = self.bounds.model(provider, model, served.is_some_and(answered));
            let values = Values {
                endpoint: record.endpoint,
                provider: provider.into(),
                model: model.into(),
                client: client.into(),
                status: status.into(),
                stream,
                outcome: record.outcome.as_str(),
                fault,
                reason: self.bounds.reasons.of(reason).into(),
                operators: self.bounds.operators(said),
            };
            RequestLane::new(self.families, values)
        };
        keyed(parts, said, |key| tables.requests.row(key, lane).count(self.families, record, self.origin));
        self.attempts(tables, &record.attempts, from, Some(record.ended), said);
        self.fallback(tables, record, said);
        self.losses(tables, record, provider, said);
        if let Some(told) = &record.cache {
            let of = [record.endpoint, told.result.as_str()];
            let series = || self.families.cache.series(&of, &self.bounds.operators(said));
            keyed(["cache", of[0], of[1]], said, |key| tables.others.row(key, series).add(1, self.origin));
        }
    }

    /// Attempts from one on, of a request that goes on.
    pub(super) fn failed(&self, tables: &mut Tables<K>, attempts: &[AttemptRecord], from: usize, labels: &Labels) {
        let mut said = [""; LABELS_MAX];
        self.attempts(tables, attempts, from, None, said_of(labels, self.bounds.headers(), &mut said));
    }

    /// Attempts from one on. If the last gave the answer, it was through when the request `ended`.
    fn attempts(&self, tables: &mut Tables<K>, attempts: &[AttemptRecord], from: usize, ended: Option<Instant>, said: &[&str]) {
        let tried = |attempt: &&AttemptRecord| attempt.skipped.is_none();
        let mut before = attempts.iter().take(from).rfind(tried);
        for (position, attempt) in attempts.iter().enumerate().skip(from) {
            let parts = [&*attempt.provider, &*attempt.model, &*attempt.credential, attempt.outcome];
            let lane = || {
                let model = self.bounds.model(&attempt.provider, &attempt.model, answered(attempt));
                AttemptLane::new(self.families, attempt, model, self.bounds.operators(said))
            };
            let ended = ended.filter(|_| position + 1 == attempts.len() && attempt.outcome == "ok");
            keyed(parts, said, |key| tables.attempts.row(key, lane).count(self.families, attempt, ended, self.origin));
            if !tried(&attempt) {
                continue;
            }
            self.hedge(tables, attempt, said);
            // Two side by side follow each other in this list alone.
            let follows = |before: &&AttemptRecord| before.settled <= attempt.times.began;
            let before_it = before.filter(follows);
            if let Some(failed) = before_it.filter(|before| (&before.provider, &before.model) == (&attempt.provider, &attempt.model)) {
                let parts = ["retry", &*attempt.provider, &*attempt.model, failed.outcome];
                let series = || {
                    let model = self.bounds.model(&attempt.provider, &attempt.model, false);
                    self.families.retries.series(&[&*attempt.provider, model, failed.outcome], &self.bounds.operators(said))
                };
                keyed(parts, said, |key| tables.others.row(key, series).add(1, self.origin));
            }
            before = Some(attempt);
        }
    }

    /// A hedge.
    fn hedge(&self, tables: &mut Tables<K>, attempt: &AttemptRecord, said: &[&str]) {
        let Some(end) = attempt.hedge_end() else { return };
        let series = || {
            let model = self.bounds.model(&attempt.provider, &attempt.model, answered(attempt));
            self.families.hedges.series(&[&*attempt.provider, model, end], &self.bounds.operators(said))
        };
        keyed(["hedge", &*attempt.provider, &*attempt.model, end], said, |key| tables.others.row(key, series).add(1, self.origin));
    }

    /// A fallback: the last attempt answered, and went to another candidate than the first.
    fn fallback(&self, tables: &mut Tables<K>, record: &RequestRecord, said: &[&str]) {
        let first = record.attempts.iter().find(|attempt| !attempt.times.hedge);
        let (Some(first), Some(served)) = (first, record.served()) else { return };
        let (from, to) = ((&*first.provider, &*first.model), (&*served.provider, &*served.model));
        if from == to || served.outcome != "ok" {
            return;
        }
        let series = || {
            let of = [from.0, self.bounds.model(from.0, from.1, false), to.0, self.bounds.model(to.0, to.1, answered(served))];
            self.families.fallbacks.series(&of, &self.bounds.operators(said))
        };
        keyed(["fallback", from.0, from.1, to.0, to.1], said, |key| tables.others.row(key, series).add(1, self.origin));
    }

    fn losses(&self, tables: &mut Tables<K>, record: &RequestRecord, provider: &str, said: &[&str]) {
        for loss in &record.losses {
            let mut buffer = [0; FIELD_BYTES];
            let (field, kind) = (field(&loss.path, &mut buffer), loss.kind.as_str());
            let series = || self.families.losses.series(&[provider, &self.bounds.field(field), kind], &self.bounds.operators(said));
            keyed(["loss", provider, field, kind], said, |key| tables.others.row(key, series).add(1, self.origin));
        }
    }
}

/// What the operator's headers said, in the order of `names`. A request that began under another configuration was asked for others.
fn said_of<'r, 's>(labels: &'r Labels, names: &Arc<[Box<str>]>, said: &'s mut [&'r str; LABELS_MAX]) -> &'s [&'r str] {
    let same = Arc::ptr_eq(&labels.names, names);
    for (position, (place, name)) in said.iter_mut().zip(names.iter()).enumerate() {
        let position = if same { Some(position) } else { labels.names.iter().position(|asked| asked == name) };
        *place = position.and_then(|position| labels.values.get(position)?.as_deref()).unwrap_or_default();
    }
    said.get(..names.len().min(LABELS_MAX)).unwrap_or_default()
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

    #[test]
    fn headers_that_another_configuration_named_are_found_by_name() {
        let values = vec![Some("vision".into()), Some("score".into())];
        let labels = Labels { names: ["x-team".into(), "x-stage".into()].into(), values };
        let said = |names: &Arc<[Box<str>]>| {
            said_of(&labels, names, &mut [""; LABELS_MAX]).iter().map(|said| (*said).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(said(&labels.names), ["vision", "score"]);
        assert_eq!(said(&["x-stage".into(), "x-new".into(), "x-team".into()].into()), ["score", "", "vision"]);
        assert!(said(&Arc::default()).is_empty());
    }
}
