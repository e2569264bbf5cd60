//! How long an attempt may take.

use std::time::{Duration, Instant};

use crate::config::{Candidate, Timeouts};
use crate::proxy::attempt::AttemptClocks;
use crate::proxy::context::Call;

/// The clocks of an attempt. While another candidate is left an attempt may use at most half of what remains of the time to the first byte.
#[must_use]
pub fn clocks(call: &Call, candidate: &Candidate, others: bool, now: Instant) -> AttemptClocks {
    let timeouts = &candidate.timeouts;
    let remaining = call.clocks.first_byte.saturating_duration_since(now);
    let share = now + if others { remaining / 2 } else { remaining };
    let within = |ms: Option<u64>| ms.map_or(share, |ms| share.min(now + Duration::from_millis(ms)));
    let stall = Duration::from_millis(timeouts.stall_ms);
    if !call.stream {
        return AttemptClocks { header: within(timeouts.header_ms), first_content: share, stall, slow_stream: None };
    }
    let content = call.clocks.first_content.unwrap_or(Duration::from_millis(timeouts.first_content_ms));
    let header = within(Some(timeouts.header_ms.unwrap_or(Timeouts::STREAM_HEADER_MS)));
    // A slow answer is better than none.
    let slow_stream = timeouts.slow_stream.filter(|_| others);
    AttemptClocks { header: header.min(now + content), first_content: share.min(now + content), stall, slow_stream }
}
