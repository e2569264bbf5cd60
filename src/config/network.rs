//! `network` and `concurrency_and_buffer_size`: clocks, retries and the bound on requests under way.

use super::field::{Field, Section};
use super::snapshot::{BreakerRules, BudgetRules, Concurrency, Retry, SlowStream, Timeouts};

/// The keys of a `network` section, at the top level and in a provider.
const NETWORK: &[&str] = &["breaker", "retry", "timeouts"];
const BREAKER: &[&str] = &["enabled", "consecutive", "error_rate", "min_requests", "window_ms", "open_ms", "open_max_ms", "fair_ms"];
const RETRY: &[&str] = &["max_retries", "backoff_initial_ms", "budget"];
const BUDGET: &[&str] = &["enabled", "share", "reserve"];
const TIMEOUTS: &[&str] = &["connect_ms", "tls_ms", "header_ms", "first_content_ms", "stall_ms", "total_ms", "slow_stream"];
const SLOW_STREAM: &[&str] = &["enabled", "window_ms", "min_bytes_per_s"];
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
            self.read_timeouts(&section);
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

    fn read_timeouts(&mut self, network: &Section<'_>) {
        let Some(section) = network.get("timeouts").and_then(|field| field.section(TIMEOUTS)) else { return };
        let mut said_header_ms = self.timeouts.header_ms.unwrap_or_default();
        let Timeouts { connect_ms, tls_ms, header_ms, first_content_ms, stall_ms, total_ms, slow_stream } = &mut self.timeouts;
        for (key, target) in TIMEOUTS.iter().zip([connect_ms, tls_ms, &mut said_header_ms, first_content_ms, stall_ms, total_ms]) {
            section.milliseconds(key, 1, target);
        }
        *header_ms = (said_header_ms > 0).then_some(said_header_ms);
        if let Some(section) = section.get("slow_stream").and_then(|field| field.section(SLOW_STREAM)) {
            *slow_stream = slow(&section, slow_stream.unwrap_or_default());
        }
    }
}

/// Reads what is asked of slow streams; to write the section is to ask.
fn slow(section: &Section<'_>, mut rules: SlowStream) -> Option<SlowStream> {
    section.milliseconds("window_ms", 1, &mut rules.window_ms);
    if let Some(bytes) = section.get("min_bytes_per_s").and_then(|field| field.integer(1..=MAX_REQUESTS)) {
        rules.min_bytes_per_s = bytes;
    }
    section.get("enabled").is_none_or(|field| field.boolean() != Some(false)).then_some(rules)
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
