//! `observability.attributes`: what a request, its answer and its body say, on every span of it.

use heliostat_filters::json::{Document, Kind, View, pointer};
use http::HeaderMap;

use super::context::Outcome;
use super::redact;
use crate::config::{Attribute, AttributeSource};
use crate::telemetry::event::AttributeValue;

/// A longer value is cut.
const VALUE_CHARACTERS: usize = 256;

/// Whether any is found in bodies.
#[must_use]
pub fn look_into_bodies(wanted: &[Attribute]) -> bool {
    wanted.iter().any(|attribute| matches!(attribute.source, AttributeSource::Body(_)))
}

/// Notes what is found in a request's body. Runs once, when it has been scanned.
pub fn of_body(wanted: &[Attribute], document: &Document, outcome: &mut Outcome) {
    for attribute in wanted {
        if let AttributeSource::Body(path) = &attribute.source
            && let Some(value) = pointer::at(document.root(), path, value).flatten()
        {
            outcome.attributes.push((attribute.name.clone(), value));
        }
    }
}

/// Notes what a provider's answer says. Runs when it is committed; `header` looks a name up.
pub fn of_answer<'h>(wanted: &[Attribute], outcome: &mut Outcome, header: impl Fn(&str) -> Option<&'h str>) {
    for attribute in wanted {
        if let AttributeSource::ResponseHeader(name) = &attribute.source
            && let Some(value) = header(name)
        {
            outcome.attributes.push((attribute.name.clone(), text(value)));
        }
    }
}

/// Notes what the request's headers say, what is constant, and, where no provider's answer said it, what the client was answered. Runs
/// at the end of a request.
pub fn at_the_end(wanted: &[Attribute], request: &HeaderMap, answer: Option<&HeaderMap>, outcome: &mut Outcome) {
    for attribute in wanted {
        let known = outcome.attributes.iter().any(|(name, _)| *name == attribute.name);
        let said = |headers: &HeaderMap, name: &str| Some(text(headers.get(name)?.to_str().ok()?));
        let value = match &attribute.source {
            AttributeSource::RequestHeader(name) => said(request, name),
            AttributeSource::ResponseHeader(name) if !known => answer.and_then(|answer| said(answer, name)),
            AttributeSource::Constant(value) => Some(AttributeValue::Text(value.to_string())),
            AttributeSource::ResponseHeader(_) | AttributeSource::Body(_) => None,
        };
        outcome.attributes.extend(value.map(|value| (attribute.name.clone(), value)));
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::Text(redact::cut(value.trim(), VALUE_CHARACTERS).to_owned())
}

/// `None` for a `null`.
fn value(view: View<'_>) -> Option<AttributeValue> {
    Some(match view.kind() {
        Kind::Null => return None,
        Kind::String => AttributeValue::Text(redact::cut(&view.text()?, VALUE_CHARACTERS).to_owned()),
        Kind::Bool => AttributeValue::Boolean(view.boolean()?),
        Kind::Number => match view.raw().parse() {
            Ok(whole) => AttributeValue::Integer(whole),
            Err(_) => AttributeValue::Number(view.number()?),
        },
        Kind::Object | Kind::Array => AttributeValue::Text(redact::cut(view.raw(), VALUE_CHARACTERS).to_owned()),
    })
}
