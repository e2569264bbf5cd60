//! Where entries are held: a table in shards, bounded in bytes. What is asked for again stays; a crowd of answers that are asked for
//! once passes through a tenth of it, and does not push out the rest (S3-FIFO with ghosts, of the library).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache as Table;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use super::entry::{Entry, Found};
use super::{Key, Standing};

/// A shard has room for so many of the largest entries.
const LARGEST_A_SHARD: usize = 2;
const SHARDS_MAX: usize = 16;
/// What is kept for answers that are asked for again.
const HOT: f64 = 0.9;
/// An answer of usual size: how many keys of answers that left are remembered depends on it.
const USUAL_BYTES: usize = 4 * 1024;

#[derive(Debug, Clone)]
struct InBytes;

/// Counts who leaves for want of room.
#[derive(Debug, Clone, Default)]
struct Leaving(Arc<AtomicU64>);

type Entries = Table<Key, Arc<Entry>, InBytes, DefaultHashBuilder, Leaving>;

pub(super) struct Store {
    entries: Entries,
    evicted: Arc<AtomicU64>,
    expired: AtomicU64,
}

impl Store {
    pub(super) fn new(max_bytes: usize, max_entry_bytes: usize) -> Self {
        let leaving = Leaving::default();
        let evicted = leaving.0.clone();
        let shards = (max_bytes / max_entry_bytes.max(1) / LARGEST_A_SHARD).clamp(1, SHARDS_MAX);
        // Its next power of two would make the shards smaller.
        let shards = 1 << shards.ilog2();
        let mut options = OptionsBuilder::new();
        options.shards(shards).hot_allocation(HOT).weight_capacity(max_bytes as u64).estimated_items_capacity(max_bytes / USUAL_BYTES);
        let entries = match options.build() {
            Ok(options) => Entries::with_options(options, InBytes, DefaultHashBuilder::default(), leaving),
            // Only where a number is missing above.
            Err(_) => Entries::with(0, max_bytes as u64, InBytes, DefaultHashBuilder::default(), leaving),
        };
        Self { entries, evicted, expired: AtomicU64::new(0) }
    }

    pub(super) fn find(&self, key: &Key, now: Instant, ttl: Duration) -> Option<Found> {
        let found = young(self.entries.get(key)?, now, ttl);
        if found.is_none() && self.entries.remove_if(key, |entry| entry.age(now) >= ttl).is_some() {
            self.expired.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    pub(super) fn peek(&self, key: &Key, now: Instant, ttl: Duration) -> Option<Found> {
        young(self.entries.peek(key)?, now, ttl)
    }

    pub(super) fn insert(&self, key: Key, entry: Entry) {
        self.entries.insert(key, Arc::new(entry));
    }

    pub(super) fn remove(&self, key: &Key) {
        self.entries.remove(key);
    }

    pub(super) fn clear(&self) -> usize {
        let before = self.entries.len();
        self.entries.clear();
        before
    }

    pub(super) fn sweep(&self, now: Instant, ttl: Duration) {
        self.entries.retain(|_, entry| {
            let stays = entry.age(now) < ttl;
            self.expired.fetch_add(u64::from(!stays), Ordering::Relaxed);
            stays
        });
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            entries: self.entries.len(),
            bytes: self.entries.weight(),
            evicted: self.evicted.swap(0, Ordering::Relaxed),
            expired: self.expired.swap(0, Ordering::Relaxed),
        }
    }
}

fn young(entry: Arc<Entry>, now: Instant, ttl: Duration) -> Option<Found> {
    let age = entry.age(now);
    (age < ttl).then_some(Found { entry, age })
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Weighter<Key, Arc<Entry>> for InBytes {
    fn weight(&self, _key: &Key, entry: &Arc<Entry>) -> u64 {
        entry.bytes()
    }
}

impl Lifecycle<Key, Arc<Entry>> for Leaving {
    type RequestState = ();

    fn on_evict(&self, _state: &mut (), _key: Key, _entry: Arc<Entry>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
