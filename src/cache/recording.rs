//! An answer on its way to its client, written down meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::{Answer, Cache, ENTRY_QUARTERS, Key};

/// A shorter answer needs no second piece of memory.
const FIRST_BYTES: usize = 4 * 1024;

/// Takes down what a client gets, up to `max_entry_bytes`, and while all recordings together fit into their share of `max_bytes`: an
/// answer that does not is not kept, and its client notices nothing.
#[derive(Debug)]
pub struct Recording {
    cache: Arc<Cache>,
    key: Key,
    purges: u64,
    bytes: Vec<u8>,
    /// So much of the share is ours.
    held: usize,
    given_up: bool,
}

impl Recording {
    pub(super) fn new(cache: Arc<Cache>, key: Key, purges: u64) -> Self {
        Self { cache, key, purges, bytes: Vec::new(), held: 0, given_up: false }
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: &[u8]) {
        if self.given_up {
            return;
        }
        let needed = self.bytes.len().saturating_add(piece.len());
        if needed > self.bytes.capacity() && !self.grow(needed) {
            return self.give_up();
        }
        self.bytes.extend_from_slice(piece);
    }

    /// What was taken down, if all of it was.
    pub fn take(&mut self) -> Option<Bytes> {
        // Without the room it grew into: an entry takes what it says.
        (!self.given_up).then(|| std::mem::take(&mut self.bytes).into_boxed_slice().into())
    }

    /// Keeps the answer.
    pub fn keep(self, answer: Answer, now: Instant) {
        self.cache.keep(self.key, answer, self.purges, now);
    }

    /// Whether there is room now for so many bytes.
    fn grow(&mut self, needed: usize) -> bool {
        let most = self.cache.max_entry_bytes;
        if needed > most {
            return false;
        }
        let roomy = needed.max(self.bytes.capacity().saturating_mul(2)).max(FIRST_BYTES).min(most);
        let more = roomy.saturating_sub(self.held);
        let share = self.cache.max_bytes / 4 * (4 - ENTRY_QUARTERS);
        let taken = self.cache.recording_bytes.fetch_add(more, Ordering::AcqRel);
        self.held += more;
        if taken.saturating_add(more) > share {
            return false;
        }
        self.bytes.reserve_exact(roomy.saturating_sub(self.bytes.len()));
        true
    }

    fn give_up(&mut self) {
        self.given_up = true;
        self.bytes = Vec::new();
        self.release();
    }

    fn release(&mut self) {
        self.cache.recording_bytes.fetch_sub(std::mem::take(&mut self.held), Ordering::AcqRel);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.release();
    }
}
