//! A configuration with what has been learnt under it: what a request begins and ends with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cache::Cache;
use crate::config::Snapshot;
use crate::upstream::limit::Gates;
use crate::upstream::select::Lanes;
use crate::upstream::token::Tokens;

/// One configuration in force. Swapped whole at a reload; requests in flight keep theirs.
#[derive(Debug)]
pub struct Live {
    /// What the configuration means.
    pub snapshot: Snapshot,
    /// How its credentials stand.
    pub lanes: Lanes,
    /// Its concurrency limits.
    pub gates: Gates,
    /// Access tokens of its service accounts.
    pub tokens: Tokens,
    /// Answers that may be given again.
    pub cache: Option<Arc<Cache>>,
}

impl Live {
    /// Puts a configuration in force. What was learnt under the previous one is kept where it still applies.
    #[must_use]
    pub fn new(snapshot: Snapshot, previous: Option<&Self>) -> Self {
        let lanes = Lanes::build(&snapshot, previous.map(|live| &live.lanes));
        let gates = Gates::build(&snapshot, previous.map(|live| &live.gates));
        let tokens = Tokens::build(&snapshot, previous.map(|live| &live.tokens));
        let cache = Cache::of(snapshot.semantic_cache.as_ref(), previous.and_then(|live| live.cache.as_ref()));
        Self { snapshot, lanes, gates, tokens, cache }
    }

    /// Takes answers out of the cache that are given no more.
    pub fn sweep_cache(&self, now: Instant) {
        if let (Some(cache), Some(rules)) = (&self.cache, &self.snapshot.semantic_cache) {
            cache.sweep(now, Duration::from_secs(rules.ttl_seconds));
        }
    }
}
