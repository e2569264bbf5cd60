//! The caller's trace on its way through: continued here, and told to every provider.

use http::HeaderMap;

use crate::config::Observability;
use crate::telemetry::trace::{self, SpanId, Trace};

/// What carries a trace (W3C Trace Context, W3C Baggage). Where no spans are written here all of it passes as it came.
const CARRIERS: &[&str] = &["traceparent", "tracestate", "baggage"];

/// The longest `tracestate` that is kept: as much as the specification wants to be passed on.
const STATE_BYTES: usize = 512;

/// Finds the place of a request in a trace. Runs when its head has been read.
#[must_use]
pub fn trace(headers: &HeaderMap, observability: &Observability) -> Option<Trace> {
    let caller = the_one(headers, "traceparent").and_then(trace::parse);
    match &observability.traces {
        Some(traces) => Some(Trace::begin(caller.as_ref(), &traces.sampling)),
        None => caller.as_ref().map(Trace::of_caller),
    }
}

/// The caller's own notes on its trace, where that goes on here; empty if there are none.
#[must_use]
pub fn state(headers: &HeaderMap, trace: Option<Trace>) -> String {
    let state = trace.and_then(|trace| trace.parent).and_then(|_| headers.get("tracestate")?.to_str().ok());
    state.filter(|state| state.len() <= STATE_BYTES).unwrap_or_default().to_owned()
}

/// What of a trace goes to a provider.
#[derive(Debug, Clone, Copy)]
pub struct Carried<'a> {
    client: &'a HeaderMap,
    /// The trace, where spans are written here, and the attempt's span.
    ours: Option<(Trace, SpanId)>,
    baggage: bool,
}

impl<'a> Carried<'a> {
    /// For an attempt whose span is `span`, of a request with these headers.
    #[must_use]
    pub fn new(client: &'a HeaderMap, trace: Option<Trace>, span: SpanId, observability: &Observability) -> Self {
        let traces = observability.traces.as_ref();
        Self {
            client,
            ours: trace.filter(|trace| trace.written).map(|trace| (trace, span)),
            baggage: traces.is_none_or(|traces| traces.baggage),
        }
    }

    /// Calls `write` with each header.
    pub fn each(&self, mut write: impl FnMut(&'static str, &[u8])) {
        let Some((trace, span)) = self.ours else {
            return CARRIERS.iter().for_each(|name| self.as_it_came(name, &mut write));
        };
        write("traceparent", trace.traceparent(span).as_bytes());
        // The state belongs to the caller's trace: of one that could not be read it means nothing.
        if trace.parent.is_some() {
            self.as_it_came("tracestate", &mut write);
        }
        if self.baggage {
            self.as_it_came("baggage", &mut write);
        }
    }

    fn as_it_came(&self, name: &'static str, write: &mut impl FnMut(&'static str, &[u8])) {
        self.client.get_all(name).iter().for_each(|value| write(name, value.as_bytes()));
    }
}

/// A header that may stand only once.
fn the_one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (first, None) = (values.next()?, values.next()) else { return None };
    first.to_str().ok()
}
