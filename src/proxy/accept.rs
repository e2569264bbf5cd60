//! The head of a request: its id, its bounds, what it is for, who sends it.

use heliostat_filters::dialect::openai::OpenAi;
use heliostat_filters::dialect::{Address, CLIENTS, Client, Kind};
use http::{HeaderMap, Method};
use pingora_proxy::Session;

use super::operation::Operation;
use super::problem::Problem;
use crate::config::{Limits, Snapshot};
use crate::listen::head;

/// What a request asks for.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A call that providers are asked for.
    Call(Called),
    /// `GET /v1/models`
    Models,
    /// Anything else of a provider's API: `/{provider}/…`
    PassThrough,
    /// Liveness or readiness.
    Health,
}

/// A call, and what its path says of it.
#[derive(Debug, Clone)]
pub struct Called {
    /// What it is for.
    pub operation: Operation,
    /// What its path says.
    pub address: Address,
}

/// Endpoints with a fixed path: path, method, what it is.
const ENDPOINTS: &[(&str, Method, Ask)] = &[
    ("/v1/chat/completions", Method::POST, call(&OpenAi, Kind::Chat)),
    ("/chat/completions", Method::POST, call(&OpenAi, Kind::Chat)),
    ("/v1/embeddings", Method::POST, call(&OpenAi, Kind::Embeddings)),
    ("/embeddings", Method::POST, call(&OpenAi, Kind::Embeddings)),
    ("/v1/models", Method::GET, Ask::Models),
    ("/models", Method::GET, Ask::Models),
];

/// Headers a client may carry its key in, with the scheme before it.
const KEY_HEADERS: &[(&str, &str)] = &[("authorization", "Bearer "), ("x-api-key", ""), ("api-key", ""), ("x-goog-api-key", "")];

impl Ask {
    /// The endpoint's name in logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Call(called) => match called.operation.kind {
                Kind::Chat => "chat",
                Kind::Embeddings => "embeddings",
                Kind::CountTokens => "count_tokens",
            },
            Self::Models => "models",
            Self::PassThrough => "passthrough",
            Self::Health => "health",
        }
    }
}

const fn call(client: &'static dyn Client, kind: Kind) -> Ask {
    Ask::Call(Called { operation: Operation { client, kind }, address: Address { model: None, stream: None } })
}

/// Finds the endpoint of a request.
///
/// # Errors
/// 404 for an unknown path, 405 for a known one with another method.
pub fn endpoint(session: &Session) -> Result<Ask, Problem> {
    let head = session.req_header();
    let path = head.uri.path().trim_end_matches('/');
    let mut of_path = ENDPOINTS.iter().filter(|(known, ..)| *known == path).peekable();
    if of_path.peek().is_none() {
        let addressed = CLIENTS.iter().find_map(|client| Some((*client, client.address(path)?)));
        if let Some((client, (kind, address))) = addressed.filter(|_| head.method == Method::POST) {
            return Ok(Ask::Call(Called { operation: Operation { client, kind }, address }));
        }
        let path = super::redact::cut(path, 128);
        let message = format!(
            "Unknown request URL: {} {path}. The gateway serves /v1/chat/completions, /v1/embeddings and /v1/models, and a configured \
             provider's own API below /{{its name}}/.",
            head.method
        );
        return Err(Problem::new(404, "unknown_url", message));
    }
    let found = of_path.find(|(_, method, _)| *method == head.method || (*method == Method::GET && head.method == Method::HEAD));
    let Some((_, _, ask)) = found else {
        return Err(Problem::new(405, "method_not_allowed", format!("{} is not allowed on {path}.", head.method)));
    };
    Ok(ask.clone())
}

/// Checks the raw head of an HTTP/1 request. HTTP/2 has one way to say a thing, and its library checks that.
///
/// # Errors
/// 400, and the connection is closed, for a head that two readers could read in two ways.
pub fn sound(session: &Session) -> Result<(), Problem> {
    if session.is_http2() {
        return Ok(());
    }
    head::check(&session.as_downstream().to_h1_raw()).map_err(|flaw| {
        let message = format!("The head of the request is not well-formed HTTP/1.1: {flaw}. Check the client, or the proxy in front.");
        Problem::new(400, "malformed_head", message).closing()
    })
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

/// Checks the client's key, where the configuration names any. Returns the key's name.
///
/// # Errors
/// 401 without a key, or with an unknown one.
pub fn authenticate<'s>(headers: &HeaderMap, snapshot: &'s Snapshot) -> Result<Option<&'s str>, Problem> {
    authenticate_by(offered(headers), snapshot)
}

/// The key a client sent in one of the headers that its SDK may use.
#[must_use]
pub fn offered(headers: &HeaderMap) -> Option<&[u8]> {
    KEY_HEADERS.iter().find_map(|(name, scheme)| {
        let value = headers.get(*name)?.as_bytes();
        let (before, key) = value.split_at_checked(scheme.len())?;
        before.eq_ignore_ascii_case(scheme.as_bytes()).then_some(key)
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
    match headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(harmless) {
        Some(id) => id.to_owned(),
        None => new_request_id(),
    }
}

/// A new id.
#[must_use]
pub fn new_request_id() -> String {
    format!("req_{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}

fn same(known: &[u8], offered: &[u8]) -> bool {
    let difference = known.iter().zip(offered).fold(0, |difference, (a, b)| difference | (a ^ b));
    known.len() == offered.len() && std::hint::black_box(difference) == 0
}
