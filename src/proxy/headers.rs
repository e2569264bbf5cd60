//! Headers of answers: what comes back from a provider, and what the gateway adds.

use std::time::{Duration, SystemTime};

use heliostat_filters::fault::Fault;
use heliostat_filters::loss::Loss;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use pingora::{ErrorType, OrErr};

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

/// Anthropic's limits: what remains, and when it is whole again.
const ANTHROPIC_LIMITS: [[&str; 2]; 4] = [
    ["anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"],
    ["anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"],
    ["anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"],
    ["anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"],
];

/// Headers a provider names its request with.
pub const UPSTREAM_IDS: &[&str] = &["x-request-id", "request-id", "x-goog-request-id"];

/// So many fields fit an answer's header block before it grows.
const ROOM: usize = 24;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
static PROVIDER: HeaderName = HeaderName::from_static("x-heliostat-provider");
static MODEL: HeaderName = HeaderName::from_static("x-heliostat-model");
static ATTEMPTS: HeaderName = HeaderName::from_static("x-heliostat-attempts");
static LOSS: HeaderName = HeaderName::from_static("x-heliostat-loss");
static CACHE: HeaderName = HeaderName::from_static("x-cache");
static UPSTREAM_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");

/// A header block with what every answer carries.
///
/// # Errors
/// An impossible status.
pub fn base(status: u16, context: &Context) -> pingora::Result<ResponseHeader> {
    header(status, own(context))
}

/// The same, with what comes back from the provider.
///
/// # Errors
/// An impossible status.
pub fn relayed(status: u16, context: &Context, upstream: &Head) -> pingora::Result<ResponseHeader> {
    let mut fields = own(context);
    add_upstream(&mut fields, upstream);
    header(status, fields)
}

/// Names keep no case of their own: that would need a second map beside the first.
fn header(status: u16, fields: HeaderMap) -> pingora::Result<ResponseHeader> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = StatusCode::from_u16(status).explain_err(ErrorType::InvalidHTTPHeader, |_| "an impossible status")?;
    parts.headers = fields;
    Ok(parts.into())
}

fn own(context: &Context) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(ROOM);
    insert(&mut fields, &REQUEST_ID, &context.request_id);
    if context.dialect.name() == "anthropic" {
        // The name that its clients know.
        insert(&mut fields, &ANTHROPIC_REQUEST_ID, &context.request_id);
    }
    if let Some((provider, model)) = &context.outcome.served_by {
        insert(&mut fields, &PROVIDER, provider);
        if !model.is_empty() {
            insert(&mut fields, &MODEL, model);
        }
    }
    if !context.outcome.attempts.is_empty() {
        insert(&mut fields, &ATTEMPTS, &list(context.outcome.attempts.iter().map(attempt)));
    }
    if !context.outcome.losses.is_empty() {
        insert(&mut fields, &LOSS, &list(context.outcome.losses.iter().map(loss)));
    }
    if let Some(id) = &context.outcome.upstream_request_id {
        insert(&mut fields, &UPSTREAM_ID, id);
    }
    if let Some(caching) = &context.caching {
        insert(&mut fields, &CACHE, &caching.told.result.to_string());
    }
    fields
}

fn add_upstream(fields: &mut HeaderMap, upstream: &Head) {
    for (name, value) in upstream.fields() {
        let comes_back = |known: &&str| {
            let compared = if known.ends_with('-') { name.get(..known.len()).unwrap_or_default() } else { name };
            compared.eq_ignore_ascii_case(known.as_bytes())
        };
        if !COMES_BACK.iter().any(comes_back) || value.len() > LIST_BYTES {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            fields.append(name, value);
        }
    }
}

/// The provider's own id of its request.
#[must_use]
pub fn upstream_id(upstream: &Head) -> Option<String> {
    UPSTREAM_IDS.iter().find_map(|name| upstream.text(name)).filter(|id| id.len() <= ID_BYTES).map(str::to_owned)
}

/// How long a provider asks to wait: by its headers, else by its body; else, after a 429, until the last limit that is used up is whole.
#[must_use]
pub fn retry_after(head: &Head, fault: &Fault) -> Option<Duration> {
    let now = SystemTime::now();
    let stated = wait::parse(head.text("retry-after-ms"), head.text("retry-after"), now);
    let limits = || {
        let requests = wait::reset(head.text("x-ratelimit-remaining-requests"), head.text("x-ratelimit-reset-requests"));
        let tokens = wait::reset(head.text("x-ratelimit-remaining-tokens"), head.text("x-ratelimit-reset-tokens"));
        let anthropic =
            ANTHROPIC_LIMITS.iter().filter_map(|[remaining, reset]| wait::reset_at(head.text(remaining), head.text(reset), now));
        anthropic.max().max(requests).max(tokens).filter(|_| head.status == 429)
    };
    stated.or_else(|| fault.retry_after_ms.and_then(wait::from_ms)).or_else(limits)
}

/// `openai/gpt-4o#OPENAI_KEY_PRIMARY;529;12ms`; without a slash where the model is not known.
fn attempt(record: &AttemptRecord) -> String {
    let AttemptRecord { provider, model, credential, .. } = record;
    let hash = if credential.is_empty() { "" } else { "#" };
    let slash = if model.is_empty() { "" } else { "/" };
    [provider, slash, model, hash, credential, ";", &record.word(), ";", &record.took().as_millis().to_string(), "ms"].concat()
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
        if text.is_empty() {
            text = item;
            continue;
        }
        text.push_str(", ");
        text.push_str(&item);
    }
    if left > 0 {
        text.push_str(&format!(", +{left} more"));
    }
    text
}

/// What is not visible is shown as `?`.
fn insert(fields: &mut HeaderMap, name: &'static HeaderName, value: &str) {
    let value = if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        HeaderValue::from_str(value)
    } else {
        HeaderValue::try_from(value.chars().map(|letter| if (' '..='~').contains(&letter) { letter } else { '?' }).collect::<String>())
    };
    // Visible text is always a value.
    if let Ok(value) = value {
        fields.insert(name, value);
    }
}
