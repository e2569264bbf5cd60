//! Headers of answers: what comes back from a provider, and what the gateway adds.

use std::time::{Duration, SystemTime};

use heliostat_filters::fault::Fault;
use heliostat_filters::loss::Loss;
use pingora::http::ResponseHeader;

use super::context::Context;
use crate::telemetry::event::AttemptRecord;
use crate::upstream::head::Head;
use crate::upstream::retry_after as wait;

/// The longest value of a header that lists things, and of one that comes back from a provider.
const LIST_BYTES: usize = 1024;
/// A provider's id longer than this is none.
const ID_BYTES: usize = 256;

/// Provider headers that come back: rate limits, waiting times, processing times. Prefixes end in `-`.
const COMES_BACK: &[&str] =
    &["x-ratelimit-", "anthropic-ratelimit-", "retry-after", "retry-after-ms", "openai-processing-ms", "openai-version", "x-should-retry"];

/// Headers a provider names its request with.
pub const UPSTREAM_IDS: &[&str] = &["x-request-id", "request-id", "x-goog-request-id"];

/// A header block with what every answer carries.
///
/// # Errors
/// An impossible status.
pub fn base(status: u16, context: &Context) -> pingora::Result<ResponseHeader> {
    let mut header = ResponseHeader::build(status, Some(16))?;
    header.insert_header("x-request-id", &context.request_id)?;
    if context.dialect.name() == "anthropic" {
        // The name that its clients know.
        header.insert_header("request-id", &context.request_id)?;
    }
    if let Some((provider, model)) = &context.outcome.served_by {
        insert(&mut header, "x-heliostat-provider", provider)?;
        if !model.is_empty() {
            insert(&mut header, "x-heliostat-model", model)?;
        }
    }
    if !context.outcome.attempts.is_empty() {
        insert(&mut header, "x-heliostat-attempts", &list(context.outcome.attempts.iter().map(attempt)))?;
    }
    if !context.outcome.losses.is_empty() {
        insert(&mut header, "x-heliostat-loss", &list(context.outcome.losses.iter().map(loss)))?;
    }
    if let Some(id) = &context.outcome.upstream_request_id {
        insert(&mut header, "x-upstream-request-id", id)?;
    }
    Ok(header)
}

/// Adds what comes back from the provider.
///
/// # Errors
/// None in practice: values were received as header values.
pub fn add_upstream(header: &mut ResponseHeader, upstream: &Head) -> pingora::Result<()> {
    for (name, value) in upstream.fields() {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let name = name.to_ascii_lowercase();
        let comes_back = |known: &&str| if known.ends_with('-') { name.starts_with(*known) } else { name == **known };
        if COMES_BACK.iter().any(comes_back) && value.len() <= LIST_BYTES && http::HeaderValue::from_bytes(value).is_ok() {
            header.append_header(name, value)?;
        }
    }
    Ok(())
}

/// The provider's own id of its request.
#[must_use]
pub fn upstream_id(upstream: &Head) -> Option<String> {
    UPSTREAM_IDS.iter().find_map(|name| upstream.text(name)).filter(|id| id.len() <= ID_BYTES).map(str::to_owned)
}

/// How long a provider asks to wait: by its headers, else by its body; else, after a 429, until the last limit that is used up is whole.
#[must_use]
pub fn retry_after(head: &Head, fault: &Fault) -> Option<Duration> {
    let stated = wait::parse(head.text("retry-after-ms"), head.text("retry-after"), SystemTime::now());
    let limits = || {
        let requests = wait::reset(head.text("x-ratelimit-remaining-requests"), head.text("x-ratelimit-reset-requests"));
        let tokens = wait::reset(head.text("x-ratelimit-remaining-tokens"), head.text("x-ratelimit-reset-tokens"));
        requests.max(tokens).filter(|_| head.status == 429)
    };
    stated.or_else(|| fault.retry_after_ms.and_then(wait::from_ms)).or_else(limits)
}

/// `openai/gpt-4o#OPENAI_KEY_PRIMARY;529;12ms`; without a slash where the model is not known.
fn attempt(record: &AttemptRecord) -> String {
    let AttemptRecord { provider, model, credential, .. } = record;
    let hash = if credential.is_empty() { "" } else { "#" };
    let slash = if model.is_empty() { "" } else { "/" };
    format!("{provider}{slash}{model}{hash}{credential};{};{}ms", record.word(), record.took().as_millis())
}

fn loss(loss: &Loss) -> String {
    loss.path.to_string()
}

/// Items joined by commas; those that do not fit are counted.
fn list(items: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    let mut left = 0;
    for item in items {
        if left > 0 || text.len() + item.len() + 2 > LIST_BYTES - 16 {
            left += 1;
            continue;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&item);
    }
    if left > 0 {
        text.push_str(&format!(", +{left} more"));
    }
    text
}

fn insert(header: &mut ResponseHeader, name: &'static str, value: &str) -> pingora::Result<()> {
    let visible: String = value.chars().map(|letter| if (' '..='~').contains(&letter) { letter } else { '?' }).collect();
    header.insert_header(name, visible)
}
