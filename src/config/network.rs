//! `network` and `concurrency_and_buffer_size`: clocks, retries and the bound on requests under way.

use super::field::{Field, Section};
use super::snapshot::{BreakerRules, BudgetRules, Concurrency, Retry};
use super::timeouts::{Overrides, Timeouts};

/// The keys of a `network` section, at the top level and in a provider.
const NETWORK: &[&str] = &["breaker", "hedge", "retry", "timeouts"];
const BREAKER: &[&str] = &["enabled", "consecutive", "error_rate", "min_requests", "window_ms", "open_ms", "open_max_ms", "fair_ms"];
const RETRY: &[&str] = &["max_retries", "backoff_initial_ms", "budget"];
const BUDGET: &[&str] = &["enabled", "share", "reserve"];
const CONCURRENCY: &[&str] = &["concurrency", "buffer_size"];

const MAX_RETRIES: u64 = 100;
const MAX_REQUESTS: u64 = 1_000_000;
/// Without a `buffer_size`, so many requests may wait for each that may run.
const QUEUE_PER_PLACE: usize = 10;
const DEFAULT_QUEUE_MS: u64 = 1_000;

/// What a `network` section sets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Network {
    pub(super) breaker: BreakerRules,
    pub(super) budget: BudgetRules,
    pub(super) retry: Retry,
    pub(super) timeouts: Timeouts,
}

impl Network {
    /// Reads a section over what holds already; what it leaves out stays.
    pub(super) fn read(mut self, field: Option<Field<'_>>) -> Self {
        if let Some(section) = field.and_then(|field| field.section(NETWORK)) {
            self.read_breaker(&section);
            self.read_retry(&section);
            self.timeouts = Overrides::of(&section).over(self.timeouts);
        }
        self
    }

    fn read_breaker(&mut self, network: &Section<'_>) {
        let Some(section) = network.get("breaker").and_then(|field| field.section(BREAKER)) else { return };
        let rules = &mut self.breaker;
        if let Some(enabled) = section.get("enabled").and_then(|field| field.boolean()) {
            rules.enabled = enabled;
        }
        for (key, target) in [("consecutive", &mut rules.consecutive), ("min_requests", &mut rules.min_requests)] {
            let count = section.get(key).and_then(|field| field.integer(1..=MAX_REQUESTS));
            *target = count.and_then(|count| u32::try_from(count).ok()).unwrap_or(*target);
        }
        if let Some(rate) = section.get("error_rate").and_then(|field| field.number(0.01..=1.0)) {
            rules.error_rate = rate;
        }
        section.milliseconds("window_ms", 1, &mut rules.window_ms);
        section.milliseconds("open_ms", 1, &mut rules.open_ms);
        section.milliseconds("open_max_ms", 1, &mut rules.open_max_ms);
        section.milliseconds("fair_ms", 1, &mut rules.fair_ms);
    }

    fn read_retry(&mut self, network: &Section<'_>) {
        let Some(section) = network.get("retry").and_then(|field| field.section(RETRY)) else { return };
        if let Some(retries) = section.get("max_retries").and_then(|field| field.integer(0..=MAX_RETRIES)) {
            self.retry.max_retries = u32::try_from(retries).ok();
        }
        section.milliseconds("backoff_initial_ms", 1, &mut self.retry.backoff_initial_ms);
        self.read_budget(&section);
    }

    fn read_budget(&mut self, retry: &Section<'_>) {
        let Some(section) = retry.get("budget").and_then(|field| field.section(BUDGET)) else { return };
        let rules = &mut self.budget;
        if let Some(enabled) = section.get("enabled").and_then(|field| field.boolean()) {
            rules.enabled = enabled;
        }
        if let Some(share) = section.get("share").and_then(|field| field.number(0.0..=100.0)) {
            rules.share = share;
        }
        if let Some(reserve) = section.get("reserve").and_then(|field| field.integer(0..=MAX_REQUESTS)) {
            rules.reserve = u32::try_from(reserve).unwrap_or(rules.reserve);
        }
    }
}

/// Reads a provider's bound, if it has one.
pub(super) fn concurrency(provider: &Section<'_>) -> Option<Concurrency> {
    let mut queue_ms = DEFAULT_QUEUE_MS;
    provider.milliseconds("queue_ms", 1, &mut queue_ms);
    let Some(section) = provider.get("concurrency_and_buffer_size").and_then(|field| field.section(CONCURRENCY)) else {
        if let Some(field) = provider.get("queue_ms") {
            field.notice("has no effect without concurrency_and_buffer_size.concurrency");
        }
        return None;
    };
    let queue = section.get("buffer_size").and_then(|field| field.size(0..=MAX_REQUESTS));
    let Some(limit) = section.get("concurrency") else {
        section.field.notice("has no effect without `concurrency`");
        return None;
    };
    let limit = limit.size(1..=MAX_REQUESTS)?;
    Some(Concurrency { limit, queue: queue.unwrap_or(limit.saturating_mul(QUEUE_PER_PLACE)), queue_ms })
}
