//! Spans without secrets: what a client wrote may hold a key, wherever it wrote it.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::telemetry::redact::Redactor;

/// Takes out of every text of these spans what must not be in it.
pub(super) fn all(spans: &mut [Span], redactor: &Redactor) {
    for span in spans {
        text(&mut span.name, redactor);
        text(&mut span.trace_state, redactor);
        attributes(&mut span.attributes, redactor);
        span.events.iter_mut().for_each(|event| attributes(&mut event.attributes, redactor));
    }
}

fn attributes(attributes: &mut [KeyValue], redactor: &Redactor) {
    attributes.iter_mut().filter_map(|attribute| attribute.value.as_mut()).for_each(|of| value(of, redactor));
}

fn value(of: &mut AnyValue, redactor: &Redactor) {
    match &mut of.value {
        Some(Value::StringValue(found)) => text(found, redactor),
        Some(Value::ArrayValue(values)) => values.values.iter_mut().for_each(|of| value(of, redactor)),
        _ => {}
    }
}

fn text(of: &mut String, redactor: &Redactor) {
    if let Cow::Owned(clean) = redactor.text(of) {
        *of = clean;
    }
}
