//! OpenAI: paths, keys, errors.

mod check;
mod embed;
mod messages;
mod responses;
mod write;

use bytes::Bytes;
use serde_json::{Value, json};

use super::exchange::{Call, Format, Page, Refusal, is_good_key};
use super::fault;

/// The longest request body.
const BODY_LIMIT: usize = 64 << 20;

/// Statuses and the `type` and `code` that errors carry with them, where the refusal has no code of its own.
const KINDS: &[(u16, &str, Option<&str>)] = &[
    (401, "invalid_request_error", Some("invalid_api_key")),
    (402, "insufficient_quota", Some("billing_hard_limit_reached")),
    (403, "invalid_request_error", Some("unsupported_country_region_territory")),
    (404, "invalid_request_error", Some("model_not_found")),
    (429, "requests", Some("rate_limit_exceeded")),
    (500, "server_error", None),
    (503, "server_error", Some("service_unavailable")),
    (529, "server_error", Some("overloaded")),
];

/// The OpenAI wire format.
pub(super) struct OpenAi;

impl Format for OpenAi {
    fn serve(&self, call: &Call) -> Result<Page, Refusal> {
        authenticate(call)?;
        if call.body.len() > BODY_LIMIT {
            return Err(Refusal::new(413, "The request is too large."));
        }
        match (call.method.as_str(), call.path.as_str()) {
            ("POST", "/v1/chat/completions") => {
                let asked = check::chat(&body(call)?)?;
                let reply = write::reply(&asked);
                Ok(Page::Chat(Box::new(asked), reply))
            }
            ("POST", "/v1/responses") => {
                let asked = responses::check(&body(call)?)?;
                let reply = responses::reply(&asked);
                Ok(Page::Chat(Box::new(asked), reply))
            }
            ("POST", "/v1/embeddings") => embed::embeddings(&body(call)?),
            ("GET", "/v1/models") => Ok(Page::Json(models())),
            (method, "/v1/chat/completions" | "/v1/responses" | "/v1/embeddings" | "/v1/models") => {
                let message = format!("Not allowed to {method} on {} (HINT: Perhaps you meant to use a different HTTP method?)", call.path);
                Err(Refusal::new(405, message).code("method_not_supported"))
            }
            (method, path) => Err(Refusal::new(404, format!("Invalid URL ({method} {path})")).code("unknown_url")),
        }
    }

    fn error(&self, refusal: &Refusal) -> Value {
        let (kind, code) = KINDS
            .iter()
            .find(|(status, ..)| *status == refusal.status)
            .map_or(("invalid_request_error", None), |(_, kind, code)| (*kind, *code));
        // A path that does not exist has a code but no kind of its own; a missing key has neither.
        let code = match refusal.code {
            Some("none") => None,
            own => own.or(code),
        };
        json!({"error": {"message": refusal.message, "type": kind, "param": refusal.param, "code": code}})
    }

    fn error_event(&self) -> Bytes {
        let error = json!({"error": {
            "message": "The server had an error while processing your request (simulated)", "type": "server_error", "param": null, "code": null,
        }});
        format!("data: {error}\n\n").into()
    }

    fn empty_event(&self) -> Bytes {
        Bytes::from_static(b": \n\n")
    }

    fn ping(&self) -> &'static [u8] {
        b": keep-alive\n\n"
    }

    fn headers(&self, id: &str) -> Vec<(&'static str, String)> {
        vec![
            ("x-request-id", format!("req_sim{id}")),
            ("openai-version", "2020-10-01".to_owned()),
            ("openai-processing-ms", "1".to_owned()),
            ("x-ratelimit-limit-requests", "10000".to_owned()),
            ("x-ratelimit-remaining-requests", "9999".to_owned()),
            ("x-ratelimit-reset-requests", "6ms".to_owned()),
        ]
    }
}

fn authenticate(call: &Call) -> Result<(), Refusal> {
    match call.bearer() {
        Some(key) if is_good_key(key) => Ok(()),
        Some(key) => {
            let shown: String = key.chars().take(7).collect();
            let message = format!(
                "Incorrect API key provided: {shown}***. You can find your API key at https://platform.openai.com/account/api-keys."
            );
            Err(Refusal::new(401, message))
        }
        None => {
            let message = "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth \
                           (i.e. Authorization: Bearer YOUR_KEY).";
            Err(Refusal::new(401, message).code("none"))
        }
    }
}

fn body(call: &Call) -> Result<Value, Refusal> {
    let unparsed = |_| {
        Refusal::bad(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. \
             The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        )
    };
    call.json().map_err(unparsed)
}

fn models() -> Value {
    let names = ["gpt-4o", "gpt-4o-mini", "text-embedding-3-small"].into_iter().chain(fault::names());
    let data: Vec<Value> = names.map(|id| json!({"id": id, "object": "model", "created": 1_715_367_049, "owned_by": "system"})).collect();
    json!({"object": "list", "data": data})
}
