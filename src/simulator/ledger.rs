//! What arrived at a simulator: the last requests and the number of connections, for tests to ask.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::exchange::Call;
use super::image::sha256;

/// How many requests are remembered.
const REMEMBERED: usize = 100;

/// The longest body that is kept as text.
const BODY_KEPT: usize = 64 << 10;

/// Headers that hold secrets. Their values are shown as a short hash: enough to tell keys apart.
const SECRET: &[&str] = &["authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie"];

/// The record of one simulator.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    connections: AtomicU64,
    requests: AtomicU64,
    entries: Mutex<VecDeque<Value>>,
}

impl Ledger {
    pub(super) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Records a request. Returns what will note its end, and an id for the reply.
    pub(super) fn enter(self: &Arc<Self>, call: &Call, asked: Option<&Asked>) -> (Ticket, String) {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let entry = json!({
            "number": number,
            "method": call.method.as_str(),
            "path": call.path,
            "query": hide_key(&call.query),
            "headers": headers(&call.headers),
            "body_bytes": call.body.len(),
            "body_sha256": sha256(&call.body),
            "body": (call.body.len() <= BODY_KEPT).then(|| std::str::from_utf8(&call.body).ok()).flatten(),
            "model": asked.map(|asked| asked.model.as_str()),
            "received": asked.map(Asked::summary),
            "outcome": "open",
        });
        let mut entries = self.entries();
        if entries.len() == REMEMBERED {
            entries.pop_front();
        }
        entries.push_back(entry);
        (Ticket { ledger: Arc::clone(self), number, outcome: "cancelled" }, format!("{number:08x}"))
    }

    /// Forgets the requests; the counters stay.
    pub(super) fn clear(&self) {
        self.entries().clear();
    }

    pub(super) fn show(&self) -> Value {
        let entries: Vec<Value> = self.entries().iter().cloned().collect();
        json!({"connections": self.connections.load(Ordering::Relaxed), "requests": entries})
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes how a request ended: `done`, or `cancelled` where it is dropped first because the client left or a fault broke the line.
pub(super) struct Ticket {
    ledger: Arc<Ledger>,
    number: u64,
    outcome: &'static str,
}

impl Ticket {
    /// The reply went out to its end.
    pub(super) fn finish(mut self) {
        self.outcome = "done";
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut entries = self.ledger.entries();
        let entry = entries.iter_mut().find(|entry| entry.get("number").and_then(Value::as_u64) == Some(self.number));
        if let Some(outcome) = entry.and_then(|entry| entry.get_mut("outcome")) {
            *outcome = self.outcome.into();
        }
    }
}

fn headers(headers: &HeaderMap) -> Value {
    let mut shown = Map::new();
    for name in headers.keys() {
        let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        let value = values.join(", ");
        shown.insert(name.to_string(), if SECRET.contains(&name.as_str()) { short_hash(&value) } else { value }.into());
    }
    Value::Object(shown)
}

fn hide_key(query: &str) -> String {
    let hide = |pair: &str| match pair.strip_prefix("key=") {
        Some(key) => format!("key={}", short_hash(key)),
        None => pair.to_owned(),
    };
    query.split('&').map(hide).collect::<Vec<_>>().join("&")
}

fn short_hash(secret: &str) -> String {
    let hash = sha256(secret.as_bytes());
    format!("sha256:{}", hash.get(..8).unwrap_or_default())
}
