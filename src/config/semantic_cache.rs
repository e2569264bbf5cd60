//! `semantic_cache`: answers given again. Today to exactly the same requests only.

use super::field::Section;

const SEMANTIC_CACHE: &[&str] = &["enabled", "similarity_threshold", "ttl_seconds", "max_bytes", "max_entry_bytes"];

const YEAR_SECONDS: u64 = 366 * 24 * 60 * 60;
/// Less would hold no usual answer.
const LEAST_BYTES: u64 = 64 << 10;
const MOST_BYTES: u64 = 64 << 40;
const LEAST_ENTRY_BYTES: u64 = 1 << 10;
/// An entry is at most this part of all.
const PART: usize = 4;

/// What the cache keeps, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SemanticCache {
    /// Whether it is used.
    pub enabled: bool,
    /// Least cosine similarity of a hit, 0 to 1. Accepted and not yet active.
    pub similarity_threshold: Option<f64>,
    /// How long an answer is given again.
    pub ttl_seconds: u64,
    /// What all of it may take.
    pub max_bytes: usize,
    /// A longer answer is not kept.
    pub max_entry_bytes: usize,
}

impl Default for SemanticCache {
    fn default() -> Self {
        Self { enabled: true, similarity_threshold: None, ttl_seconds: 300, max_bytes: 64 << 20, max_entry_bytes: 1 << 20 }
    }
}

/// Reads the section; without it there is no cache.
pub(super) fn semantic_cache(root: &Section<'_>) -> Option<SemanticCache> {
    let section = root.get("semantic_cache")?.section(SEMANTIC_CACHE)?;
    let mut cache = SemanticCache::default();
    if let Some(enabled) = section.get("enabled").and_then(|field| field.boolean()) {
        cache.enabled = enabled;
    }
    if let Some(seconds) = section.get("ttl_seconds").and_then(|field| field.integer(1..=YEAR_SECONDS)) {
        cache.ttl_seconds = seconds;
    }
    section.size("max_bytes", LEAST_BYTES..=MOST_BYTES, &mut cache.max_bytes);
    // Of a smaller cache no more than an entry may take of it.
    cache.max_entry_bytes = cache.max_entry_bytes.min(cache.max_bytes / PART);
    let most = (cache.max_bytes / PART) as u64;
    section.size("max_entry_bytes", LEAST_ENTRY_BYTES..=most, &mut cache.max_entry_bytes);
    if let Some(field) = section.get("similarity_threshold") {
        cache.similarity_threshold = field.number(0.0..=1.0);
        if cache.enabled && cache.similarity_threshold.is_some() {
            field.notice("accepted and not yet active: only exact repetitions are served");
        }
    }
    Some(cache)
}
