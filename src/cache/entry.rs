//! An answer that is kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heliostat_filters::loss::Loss;

/// What an entry takes beside its texts: its own fields, its key, its place in the table.
const OVERHEAD_BYTES: usize = 512;

/// An answer as its client got it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `application/json`, `text/event-stream …`.
    pub content_type: String,
    /// The bytes.
    pub body: Bytes,
    /// Who made it.
    pub provider: String,
    /// The model's name there.
    pub model: String,
    /// What the translations lost.
    pub losses: Vec<Loss>,
}

/// An answer, and when it came.
#[derive(Debug)]
pub struct Entry {
    /// The answer.
    pub answer: Answer,
    /// When it was kept.
    pub since: Instant,
}

/// An answer that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// It.
    pub entry: Arc<Entry>,
    /// How old it is.
    pub age: Duration,
}

impl Entry {
    pub(super) fn new(answer: Answer, since: Instant) -> Self {
        Self { answer, since }
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// What it takes to hold it.
    pub(super) fn bytes(&self) -> u64 {
        let Answer { content_type, body, provider, model, losses } = &self.answer;
        let losses: usize = losses.iter().map(|loss| loss.path.len() + size_of::<Loss>()).sum();
        (OVERHEAD_BYTES + content_type.len() + body.len() + provider.len() + model.len() + losses) as u64
    }
}
