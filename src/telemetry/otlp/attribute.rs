//! Attributes as OTLP has them.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};

use crate::telemetry::event::AttributeValue;

/// Attributes of one span.
#[derive(Default, Clone)]
pub(super) struct Attributes(Vec<KeyValue>);

impl Attributes {
    pub(super) fn text(&mut self, key: &str, value: impl Into<String>) {
        self.push(key, Value::StringValue(value.into()));
    }

    /// The same, where there is something to say.
    pub(super) fn some(&mut self, key: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value.map(Into::into).filter(|value| !value.is_empty()) {
            self.text(key, value);
        }
    }

    pub(super) fn count(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.push(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)));
        }
    }

    pub(super) fn seconds(&mut self, key: &str, value: std::time::Duration) {
        self.push(key, Value::DoubleValue(value.as_secs_f64()));
    }

    pub(super) fn boolean(&mut self, key: &str, value: bool) {
        self.push(key, Value::BoolValue(value));
    }

    pub(super) fn texts(&mut self, key: &str, values: impl Iterator<Item = String>) {
        let values: Vec<AnyValue> = values.map(|value| AnyValue { value: Some(Value::StringValue(value)) }).collect();
        if !values.is_empty() {
            self.push(key, Value::ArrayValue(ArrayValue { values }));
        }
    }

    pub(super) fn value(&mut self, key: &str, value: &AttributeValue) {
        self.push(
            key,
            match value {
                AttributeValue::Text(text) => Value::StringValue(text.clone()),
                AttributeValue::Integer(whole) => Value::IntValue(*whole),
                AttributeValue::Number(number) => Value::DoubleValue(*number),
                AttributeValue::Boolean(boolean) => Value::BoolValue(*boolean),
            },
        );
    }

    /// As the wire has them. Of a name that was given twice the first value counts: what we say ourselves comes before what a
    /// configuration adds.
    pub(super) fn into_inner(self) -> Vec<KeyValue> {
        let mut kept: Vec<KeyValue> = Vec::with_capacity(self.0.len());
        for attribute in self.0 {
            if kept.iter().all(|known| known.key != attribute.key) {
                kept.push(attribute);
            }
        }
        kept
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    fn push(&mut self, key: &str, value: Value) {
        self.0.push(KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 });
    }
}
