//! Answers kept in memory, to be given again to who asks exactly the same: the exact tier of `semantic_cache`.
//!
//! What is the same is the [`Key`]'s affair, and what of a request goes into it the proxy's, as is whether an answer may be kept. Here
//! they are only held: for a time (the configuration's, counted when they are looked up, so that a reload that lowers it counts for all),
//! and within a number of bytes. Three quarters of those are for entries (`store`), a quarter for answers under way ([`Recording`]).
//!
//! Nothing here waits, and nothing is shared with another process. Identical requests at the same time each go to a provider.

mod directives;
mod entry;
mod key;
mod recording;
mod store;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use self::directives::Directives;
pub use self::entry::{Answer, Entry, Found};
pub use self::key::{Key, KeyWriter};
pub use self::recording::Recording;
use self::store::Store;
use crate::config::SemanticCache;

/// Of `max_bytes`, so many quarters are for entries; the rest for answers under way.
const ENTRY_QUARTERS: usize = 3;

/// Answers kept in memory. One for the process: it outlives reloads that leave its bounds as they are.
#[derive(Debug)]
pub struct Cache {
    max_bytes: usize,
    max_entry_bytes: usize,
    /// Of the keys: nobody outside can make two requests that seem the same.
    secret: [u8; 32],
    store: Store,
    /// How often it was emptied: what was asked for before is not kept after.
    purges: AtomicU64,
    /// What answers under way hold.
    recording_bytes: AtomicUsize,
}

/// What there is in it, for the gauges, and what left it since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Answers.
    pub entries: usize,
    /// Their bytes, with what it takes to hold them.
    pub bytes: u64,
    /// Left for want of room.
    pub evicted: u64,
    /// Left because their time was over.
    pub expired: u64,
}

impl Cache {
    /// An empty one with these bounds.
    #[must_use]
    pub fn new(rules: &SemanticCache) -> Self {
        let SemanticCache { max_bytes, max_entry_bytes, .. } = *rules;
        Self {
            max_bytes,
            max_entry_bytes,
            secret: key::secret(),
            store: Store::new(max_bytes / 4 * ENTRY_QUARTERS, max_entry_bytes),
            purges: AtomicU64::new(0),
            recording_bytes: AtomicUsize::new(0),
        }
    }

    /// The one for a configuration: `previous` where its bounds are the same, and none where it is switched off. Runs at the start, and
    /// at every reload.
    #[must_use]
    pub fn of(rules: Option<&SemanticCache>, previous: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let rules = rules.filter(|rules| rules.enabled)?;
        let kept = previous.filter(|cache| (cache.max_bytes, cache.max_entry_bytes) == (rules.max_bytes, rules.max_entry_bytes));
        Some(kept.cloned().unwrap_or_else(|| Arc::new(Self::new(rules))))
    }

    /// Writes the key of a request.
    #[must_use]
    pub fn key(&self) -> KeyWriter {
        KeyWriter::new(&self.secret)
    }

    /// The answer to the request with this key, if it is younger than `ttl` and not older than `max_age`. One whose time is over leaves.
    #[must_use]
    pub fn find(&self, key: &Key, now: Instant, ttl: Duration, max_age: Option<Duration>) -> Option<Found> {
        let found = self.store.find(key, now, ttl)?;
        max_age.is_none_or(|max| found.age <= max).then_some(found)
    }

    /// The same, and nothing changes: neither what leaves nor what is taken for often asked.
    #[must_use]
    pub fn peek(&self, key: &Key, now: Instant, ttl: Duration, max_age: Option<Duration>) -> Option<Found> {
        let found = self.store.peek(key, now, ttl)?;
        max_age.is_none_or(|max| found.age <= max).then_some(found)
    }

    /// Begins to record the answer to the request with this key.
    #[must_use]
    pub fn record(self: &Arc<Self>, key: Key) -> Recording {
        Recording::new(self.clone(), key, self.purges.load(Ordering::Acquire))
    }

    /// Empties it; how many there were. What is under way is not kept either.
    pub fn purge(&self) -> usize {
        self.purges.fetch_add(1, Ordering::AcqRel);
        self.store.clear()
    }

    /// Takes out what is older. Runs every few seconds, so that nothing is held for long that nobody gets.
    pub fn sweep(&self, now: Instant, ttl: Duration) {
        self.store.sweep(now, ttl);
    }

    /// How it stands. Runs before the metrics are rendered.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.store.standing()
    }

    /// Takes an answer whose request was asked after so many purges.
    fn keep(&self, key: Key, answer: Answer, purges: u64, now: Instant) {
        let is_of_now = || self.purges.load(Ordering::Acquire) == purges;
        if !is_of_now() {
            return;
        }
        self.store.insert(key, Entry::new(answer, now));
        // It may have been emptied in between.
        if !is_of_now() {
            self.store.remove(&key);
        }
    }
}
