//! The head of a request: its id, its labels, its bounds, who sends it.

use std::sync::Arc;

use heliostat_filters::dialect::openai::OpenAi;
use heliostat_filters::dialect::{Client, Dialect, Gemini};
use http::{HeaderMap, HeaderName, header};
use pingora::http::RequestHeader;

use super::endpoint;
use super::passthrough::decoded;
use super::problem::Problem;
use super::redact;
use crate::config::{Limits, Snapshot};
use crate::listen::head;
use crate::proxy::session::Session;
use crate::telemetry::event::Labels;

/// Headers a client may carry its key in, with the scheme before it.
static KEY_HEADERS: [(HeaderName, &str); 4] = [
    (header::AUTHORIZATION, "Bearer "),
    (HeaderName::from_static("x-api-key"), ""),
    (HeaderName::from_static("api-key"), ""),
    (HeaderName::from_static("x-goog-api-key"), ""),
];

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What a header may say as a label, in bytes.
const LABEL_BYTES: usize = 128;

/// Checks the raw head of an HTTP/1 request that has not been checked yet.
///
/// # Errors
/// 400, and the connection is closed, for a head that two readers could read in two ways.
pub fn sound(session: &Session<'_>) -> Result<(), Problem> {
    let Some(raw) = session.unchecked_head() else { return Ok(()) };
    head::check(&raw).map_err(|flaw| {
        let message = format!("The head of the request is not well-formed HTTP/1.1: {flaw}. Check the client, or the proxy in front.");
        Problem::new(400, "malformed_head", message).closing()
    })
}

/// In whose words a request is answered of which only the first bytes are known: by its path, as far as they go.
#[must_use]
pub fn speaker(opening: &[u8]) -> &'static dyn Client {
    let mut words = opening.split(|byte| matches!(byte, b' ' | b'\r' | b'\n' | 0));
    let head = words.next().zip(words.next()).and_then(|(method, path)| RequestHeader::build(method, path, None).ok());
    head.map_or(&OpenAi, |head| endpoint::speaker(&head))
}

/// Checks the head against the limits.
///
/// # Errors
/// 431 if it has too many fields or bytes.
pub fn bounds(headers: &HeaderMap, limits: &Limits) -> Result<(), Problem> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() <= limits.header_fields && bytes <= limits.header_bytes {
        return Ok(());
    }
    let message = format!("The request head is larger than {} bytes or {} fields.", limits.header_bytes, limits.header_fields);
    Err(Problem::new(431, "header_too_large", message).closing())
}

/// Checks the client's key, where the configuration names any. Returns the key's name. A client of Google's API may send it in its URL.
///
/// # Errors
/// 401 without a key, or with an unknown one.
pub fn authenticate<'s>(head: &RequestHeader, dialect: &dyn Dialect, snapshot: &'s Snapshot) -> Result<Option<&'s str>, Problem> {
    let in_query = if dialect.name() == Gemini.name() { offered_in_query(head.uri.query()) } else { None };
    authenticate_by(offered(&head.headers).or(in_query.as_deref().map(str::as_bytes)), snapshot)
}

/// The key a client sent in its URL, as Google's may: `?key=`.
#[must_use]
pub fn offered_in_query(query: Option<&str>) -> Option<String> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == "key").map(|(_, key)| decoded(key))
}

/// The key a client sent in one of the headers that its SDK may use.
#[must_use]
pub fn offered(headers: &HeaderMap) -> Option<&[u8]> {
    KEY_HEADERS.iter().find_map(|(name, scheme)| {
        let value = headers.get(name)?.as_bytes();
        let (before, key) = value.split_at_checked(scheme.len())?;
        // One space or more stands behind a scheme (RFC 9110 §11.4).
        before.eq_ignore_ascii_case(scheme.as_bytes()).then(|| key.trim_ascii_start())
    })
}

/// Checks the key a client offered, wherever it came from.
///
/// # Errors
/// As [`authenticate`].
pub fn authenticate_by<'s>(offered: Option<&[u8]>, snapshot: &'s Snapshot) -> Result<Option<&'s str>, Problem> {
    if snapshot.client_keys.is_empty() {
        return Ok(None);
    }
    let Some(offered) = offered else {
        let message = "You didn't provide an API key. Send one of the gateway's client keys as Authorization: Bearer KEY.";
        return Err(Problem::new(401, "missing_api_key", message));
    };
    // Every key is compared, in a time that does not depend on where they differ.
    let known =
        snapshot.client_keys.iter().fold(None, |found, key| if same(key.secret.expose().as_bytes(), offered) { Some(key) } else { found });
    match known {
        Some(key) => Ok(Some(&key.name)),
        None => Err(Problem::new(401, "invalid_api_key", "Incorrect API key provided. Use one of the gateway's client keys.")),
    }
}

/// The client's `x-request-id` if it is harmless, else a new one.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> String {
    let harmless =
        |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    match headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(harmless) {
        Some(id) => id.to_owned(),
        None => new_request_id(),
    }
}

/// What the headers with these names say, as labels of everything that is told of the request.
#[must_use]
pub fn labels(names: Arc<[Box<str>]>, headers: &HeaderMap) -> Labels {
    let said = |name: &str| Some(redact::cut(headers.get(name)?.to_str().ok()?.trim(), LABEL_BYTES).into());
    Labels { values: names.iter().map(|name| said(name)).collect(), names }
}

/// A new id.
#[must_use]
pub fn new_request_id() -> String {
    let mut id = String::with_capacity(36);
    id.push_str("req_");
    for random in [fastrand::u64(..), fastrand::u64(..)] {
        id.extend((0..16).filter_map(|place| char::from_digit((random >> (4 * place)) as u32 & 15, 16)));
    }
    id
}

fn same(known: &[u8], offered: &[u8]) -> bool {
    let difference = known.iter().zip(offered).fold(0, |difference, (a, b)| difference | (a ^ b));
    known.len() == offered.len() && std::hint::black_box(difference) == 0
}
