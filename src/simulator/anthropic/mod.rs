//! Anthropic: paths, keys, versions, errors.

mod check;
mod messages;
mod write;

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::prompt_tokens;
use super::exchange::{Call, Format, Page, Refusal, is_good_key};
use super::fault;

/// The longest request body.
const BODY_LIMIT: usize = 32 << 20;

/// Versions of the API.
const VERSIONS: &[&str] = &["2023-01-01", "2023-06-01", NEWEST];

/// Rejects sampling parameters whatever their value.
const NEWEST: &str = "2026-10-21";

/// The `type` of each status.
const KINDS: &[(u16, &str)] = &[
    (401, "authentication_error"),
    (402, "billing_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (503, "api_error"),
    (504, "timeout_error"),
    (529, "overloaded_error"),
];

/// The Anthropic wire format.
pub(super) struct Anthropic;

impl Format for Anthropic {
    fn serve(&self, call: &Call) -> Result<Page, Refusal> {
        let version = version(call)?;
        authenticate(call)?;
        if call.body.len() > BODY_LIMIT {
            return Err(Refusal::new(413, "Request exceeds the maximum size"));
        }
        let rules = check::Rules {
            sampling: version != NEWEST,
            system_messages: call.header("anthropic-beta").is_some_and(|betas| betas.contains("mid-conversation-system")),
        };
        match (call.method.as_str(), call.path.as_str()) {
            ("POST", "/v1/messages") => {
                let asked = check::create(&body(call)?, &rules)?;
                let reply = write::reply(&asked);
                Ok(Page::Chat(Box::new(asked), reply))
            }
            ("POST", "/v1/messages/count_tokens") => {
                let asked = check::count(&body(call)?, &rules)?;
                Ok(Page::Json(json!({"input_tokens": prompt_tokens(&asked)})))
            }
            ("GET", "/v1/models") => Ok(Page::Json(models())),
            (_, "/v1/messages" | "/v1/messages/count_tokens" | "/v1/models") => Err(Refusal::new(405, "Method Not Allowed")),
            _ => Err(Refusal::new(404, "Not found")),
        }
    }

    fn error(&self, refusal: &Refusal) -> Value {
        let kind = KINDS.iter().find(|(status, _)| *status == refusal.status).map_or("invalid_request_error", |(_, kind)| kind);
        json!({"type": "error", "error": {"type": kind, "message": refusal.message}, "request_id": "req_simulator"})
    }

    fn error_event(&self) -> Bytes {
        let error = json!({"type": "error", "error": {"details": null, "type": "overloaded_error", "message": "Overloaded"}});
        format!("event: error\ndata: {error}\n\n").into()
    }

    fn empty_event(&self) -> Bytes {
        Bytes::from_static(self.ping())
    }

    fn ping(&self) -> &'static [u8] {
        b"event: ping\ndata: {\"type\": \"ping\"}\n\n"
    }

    fn headers(&self, id: &str) -> Vec<(&'static str, String)> {
        vec![
            ("request-id", format!("req_sim{id}")),
            ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000".to_owned()),
            ("anthropic-ratelimit-requests-limit", "4000".to_owned()),
            ("anthropic-ratelimit-requests-remaining", "3999".to_owned()),
            ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:00Z".to_owned()),
        ]
    }
}

fn version(call: &Call) -> Result<&str, Refusal> {
    let version = call.header("anthropic-version").ok_or_else(|| Refusal::bad("anthropic-version: header is required"))?;
    if VERSIONS.contains(&version) {
        return Ok(version);
    }
    Err(Refusal::bad(format!("anthropic-version: \"{version}\" is not a valid version for this endpoint")))
}

/// Where both headers are sent, `x-api-key` counts.
fn authenticate(call: &Call) -> Result<(), Refusal> {
    match (call.header("x-api-key"), call.bearer()) {
        (Some(key), _) | (None, Some(key)) if is_good_key(key) => Ok(()),
        (Some(_), _) => Err(Refusal::new(401, "invalid x-api-key")),
        (None, Some(_)) => Err(Refusal::new(401, "Invalid bearer token")),
        (None, None) => Err(Refusal::new(401, "x-api-key header is required")),
    }
}

fn body(call: &Call) -> Result<Value, Refusal> {
    call.json().map_err(|error| Refusal::bad(format!("The request body is not valid JSON: {error}")))
}

fn models() -> Value {
    let names: Vec<&str> = ["claude-sonnet-4-6", "claude-haiku-4-5"].into_iter().chain(fault::names()).collect();
    let entry = |id: &&str| json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z"});
    let data: Vec<Value> = names.iter().map(entry).collect();
    json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()})
}
