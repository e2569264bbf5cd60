//! A request's place in a trace: W3C Trace Context, `traceparent`.

pub use opentelemetry::trace::{SpanContext, SpanId, TraceId};
use opentelemetry::trace::{TraceFlags, TraceState};

use crate::config::Sampling;

/// Where a request stands in a trace. Made once, when its head has been read; the same for everything that is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace: the caller's, or one that begins here.
    pub trace_id: TraceId,
    /// The span of the request in it. Where no spans are written, the caller's.
    pub span_id: SpanId,
    /// The caller's span, if the caller began the trace.
    pub parent: Option<SpanId>,
    /// Whether spans are written here. They are not where no collector was configured when the request began.
    pub written: bool,
    /// Whether the trace is kept, as far as could be said at the beginning. Upstreams are told so.
    pub sampled: bool,
}

impl Trace {
    /// Of a request whose spans are written.
    #[must_use]
    pub fn begin(caller: Option<&SpanContext>, sampling: &Sampling) -> Self {
        let trace_id = caller.map_or_else(|| TraceId::from(fastrand::u128(1..)), SpanContext::trace_id);
        let sampled = match caller {
            Some(caller) if sampling.parent_based => caller.is_sampled(),
            _ => is_in_share(trace_id, sampling.ratio),
        };
        Self { trace_id, span_id: new_span(), parent: caller.map(SpanContext::span_id), written: true, sampled }
    }

    /// Of a request of which the caller writes spans, and we do not.
    #[must_use]
    pub fn of_caller(caller: &SpanContext) -> Self {
        Self { trace_id: caller.trace_id(), span_id: caller.span_id(), parent: None, written: false, sampled: caller.is_sampled() }
    }

    /// What an upstream is told: its caller is `span`.
    #[must_use]
    pub fn traceparent(&self, span: SpanId) -> String {
        format!("00-{}-{span}-0{}", self.trace_id, u8::from(self.sampled))
    }
}

/// An id for a span.
#[must_use]
pub fn new_span() -> SpanId {
    SpanId::from(fastrand::u64(1..))
}

/// Whether a trace is among the share that is kept. By its id alone, so that all who see it say the same.
fn is_in_share(trace_id: TraceId, ratio: f64) -> bool {
    const WHOLE: f64 = 9_223_372_036_854_775_808.0;
    let [.., a, b, c, d, e, f, g, h] = trace_id.to_bytes();
    let random = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
    ratio >= 1.0 || (random as f64) < ratio * WHOLE
}

/// Reads a `traceparent`. `None` if it is not one: an unreadable context is dropped, as the specification asks.
#[must_use]
pub fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Version ff is forbidden; 00 has nothing after the flags; a later one may.
    let version = hex(version, 2).filter(|version| *version != 0xff)?;
    if version == 0 && parts.next().is_some() {
        return None;
    }
    let trace = TraceId::from(hex(trace, 32)?);
    let span = SpanId::from(u64::try_from(hex(span, 16)?).ok()?);
    let flags = TraceFlags::new(u8::try_from(hex(flags, 2)?).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

/// Exactly `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let all = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    all.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_and_nonsense_is_not() {
        let context = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled() && context.is_remote());
        assert!(parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more").is_some());
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_trace_goes_on_or_begins() {
        let caller = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let trace = Trace::begin(Some(&caller), &Sampling { ratio: 0.0, ..Sampling::default() });
        assert!(trace.sampled && trace.parent == Some(caller.span_id()) && trace.span_id != caller.span_id());
        let told = trace.traceparent(new_span());
        assert_eq!(parse(&told).unwrap().trace_id(), caller.trace_id(), "{told}");
        let alone = Sampling { ratio: 0.0, parent_based: false, ..Sampling::default() };
        assert!(!Trace::begin(Some(&caller), &alone).sampled);
        let fresh = Trace::begin(None, &Sampling::default());
        assert!(fresh.sampled && fresh.parent.is_none() && parse(&fresh.traceparent(fresh.span_id)).is_some());
    }

    #[test]
    fn a_share_is_a_share() {
        let sampling = Sampling { ratio: 0.25, ..Sampling::default() };
        let kept = (0..10_000).filter(|_| Trace::begin(None, &sampling).sampled).count();
        assert!((2_200..2_800).contains(&kept), "{kept}");
    }
}
