//! `timeouts`: the clocks of attempts. A provider's are read over the top level's, a route's over its candidates'.

use super::field::{Field, Section};
use super::hedge::{Hedge, HedgeOverrides};

const TIMEOUTS: &[&str] = &["connect_ms", "tls_ms", "header_ms", "first_content_ms", "stall_ms", "total_ms", "slow_stream"];
const SLOW_STREAM: &[&str] = &["enabled", "window_ms", "min_bytes_per_s"];
const MAX_BYTES_PER_S: u64 = 1_000_000;

/// Clocks of an attempt, in milliseconds. Names and defaults: contract, "Candidates and attempts".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP connect.
    pub connect_ms: u64,
    /// TLS handshake.
    pub tls_ms: u64,
    /// Until the response header. Where nothing is set: 30 s for a stream; a whole reply comes with its header, and has only the total.
    pub header_ms: Option<u64>,
    /// Until the first content.
    pub first_content_ms: u64,
    /// Between contents.
    pub stall_ms: u64,
    /// All attempts and the whole reply.
    pub total_ms: u64,
    /// How fast a stream must begin; `None` is no matter how slow.
    pub slow_stream: Option<SlowStream>,
    /// When a second attempt is made beside it; `None` is never.
    pub hedge: Option<Hedge>,
}

/// How fast a stream must begin, while there is another candidate: it is held until it has said so much, and left if it has not in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowStream {
    /// From the first content on.
    pub window_ms: u64,
    /// Content, in bytes of JSON; a token is about four.
    pub min_bytes_per_s: u64,
}

impl SlowStream {
    /// What must have been said when the window ends.
    #[must_use]
    pub const fn least_bytes(self) -> u64 {
        self.window_ms.saturating_mul(self.min_bytes_per_s) / 1_000
    }
}

impl Default for SlowStream {
    fn default() -> Self {
        Self { window_ms: 1_000, min_bytes_per_s: 20 }
    }
}

impl Timeouts {
    /// Until the response header of a stream, where nothing is set.
    pub const STREAM_HEADER_MS: u64 = 30_000;
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 1_500,
            tls_ms: 2_000,
            header_ms: None,
            first_content_ms: 30_000,
            stall_ms: 30_000,
            total_ms: 600_000,
            slow_stream: None,
            hedge: None,
        }
    }
}

/// Clocks that a section sets; what it leaves out stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    connect_ms: Option<u64>,
    tls_ms: Option<u64>,
    header_ms: Option<u64>,
    first_content_ms: Option<u64>,
    stall_ms: Option<u64>,
    total_ms: Option<u64>,
    slow_stream: Option<SlowOverrides>,
    hedge: Option<HedgeOverrides>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SlowOverrides {
    enabled: bool,
    window_ms: Option<u64>,
    min_bytes_per_s: Option<u64>,
}

impl Overrides {
    /// Reads the `timeouts` and the `hedge` of a section.
    pub(super) fn of(section: &Section<'_>) -> Self {
        Self { hedge: HedgeOverrides::read(section.get("hedge")), ..Self::read(section.get("timeouts")) }
    }

    fn read(field: Option<Field<'_>>) -> Self {
        let Some(section) = field.and_then(|field| field.section(TIMEOUTS)) else { return Self::default() };
        let slow_stream = section.get("slow_stream").and_then(|field| field.section(SLOW_STREAM));
        Self {
            connect_ms: milliseconds(&section, "connect_ms"),
            tls_ms: milliseconds(&section, "tls_ms"),
            header_ms: milliseconds(&section, "header_ms"),
            first_content_ms: milliseconds(&section, "first_content_ms"),
            stall_ms: milliseconds(&section, "stall_ms"),
            total_ms: milliseconds(&section, "total_ms"),
            slow_stream: slow_stream.map(|section| SlowOverrides::read(&section)),
            hedge: None,
        }
    }

    /// `clocks`, but for what this sets.
    #[must_use]
    pub fn over(self, clocks: Timeouts) -> Timeouts {
        Timeouts {
            connect_ms: self.connect_ms.unwrap_or(clocks.connect_ms),
            tls_ms: self.tls_ms.unwrap_or(clocks.tls_ms),
            header_ms: self.header_ms.or(clocks.header_ms),
            first_content_ms: self.first_content_ms.unwrap_or(clocks.first_content_ms),
            stall_ms: self.stall_ms.unwrap_or(clocks.stall_ms),
            total_ms: self.total_ms.unwrap_or(clocks.total_ms),
            slow_stream: self.slow_stream.map_or(clocks.slow_stream, |slow| slow.over(clocks.slow_stream)),
            hedge: self.hedge.map_or(clocks.hedge, |hedge| hedge.over(clocks.hedge)),
        }
    }
}

impl SlowOverrides {
    fn read(section: &Section<'_>) -> Self {
        Self {
            enabled: section.get("enabled").is_none_or(|field| field.boolean() != Some(false)),
            window_ms: milliseconds(section, "window_ms"),
            min_bytes_per_s: section.get("min_bytes_per_s").and_then(|field| field.integer(1..=MAX_BYTES_PER_S)),
        }
    }

    /// To write the section is to ask for it.
    fn over(self, rules: Option<SlowStream>) -> Option<SlowStream> {
        let rules = rules.unwrap_or_default();
        let window_ms = self.window_ms.unwrap_or(rules.window_ms);
        let min_bytes_per_s = self.min_bytes_per_s.unwrap_or(rules.min_bytes_per_s);
        self.enabled.then_some(SlowStream { window_ms, min_bytes_per_s })
    }
}

fn milliseconds(section: &Section<'_>, key: &str) -> Option<u64> {
    let mut ms = 0;
    section.milliseconds(key, 1, &mut ms);
    (ms > 0).then_some(ms)
}
